package lease

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// How long nothing must have happened for a fleet to be at rest, and how often its
// workers look then for leases they were given. A look at the table is one as well,
// so with a failover time of up to 10 s there is no other.
const (
	restAfter = 2 * time.Minute
	restLook  = 3500 * time.Millisecond
)

// nextDiscovery sets when to look next for leases that were given to this worker.
// Whoever hands one over leaves its shard without a reader until the next one has
// found it. While records flow, or anything is on the move, that is within a
// second. It would be sixty reads a minute for each worker of a fleet that has
// nothing to read, too; there it is a few seconds.
func (m *member) nextDiscovery(now time.Time) {
	period := m.timing.discover
	if m.observer.atRest(now) {
		period = max(period, restLook)
	}
	m.due.discover = now.Add(m.jitter("discover", period))
}

// atRest reports whether nothing is to be expected in the table, by what is known
// of the present.
func (o *observer) atRest(now time.Time) bool {
	return now.Sub(o.last) <= o.timing.failover/2 && now.Sub(o.stirred) > restAfter
}

// restless reports whether the row makes a change likely, or one matter: it is free
// or between two workers, its reader ought to have renewed it, or records flow. A
// throughput halves with each renewal after the last record, so it is zero some
// minutes later.
func (o *observer) restless(now time.Time, r *Row) bool {
	if r.Finished() {
		return false
	}
	v := o.rows[r.Key]
	return r.Owner == "" || r.Leaving != "" || now.Sub(v.since) > o.timing.failover/2 ||
		r.Throughput != nil && *r.Throughput > 0
}

// discovers reports whether somebody else can give this worker a lease: the
// leader, or as leader's another worker that stops. That one may have removed its
// worker row long before its last work is done.
func (m *member) discovers() bool {
	return !m.taking() && (!m.lead.leading || m.observer.company)
}

// discover looks for leases that were assigned to this worker, and for held ones
// that are being taken away.
func (m *member) discover(ctx, base context.Context) {
	m.nextDiscovery(time.Now())
	call, cancel := context.WithTimeout(ctx, m.timing.call)
	keys, err := m.store.Owned(call, m.id)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			m.log.Warn("own leases not listed", "error", err)
		}
		return
	}
	held := m.heldByKey()
	var fresh []string
	for _, key := range keys {
		if _, ok := held[key]; ok {
			delete(held, key)
		} else {
			fresh = append(fresh, key)
		}
	}
	for _, row := range m.readRows(ctx, fresh) {
		m.begin(base, row)
	}
	nudgeLeaving(held)
}

// findOwn does what discover does with rows that were read anyway.
func (m *member) findOwn(base context.Context, rows []Row) {
	held := m.heldByKey()
	for i := range rows {
		if rows[i].Owner == m.id {
			delete(held, rows[i].Key)
		}
		m.begin(base, rows[i])
	}
	if !m.taking() {
		nudgeLeaving(held)
	}
}

// nudgeLeaving makes the renewers look at rows that the table shows as not ours:
// they are being handed over, or what was read lags.
func nudgeLeaving(held map[string]*Held) {
	for _, key := range slices.Sorted(maps.Keys(held)) {
		if h := held[key]; h.mayBeLeaving() {
			h.nudge()
		}
	}
}

// readRows reads rows, leaving out those that are gone.
func (m *member) readRows(ctx context.Context, keys []string) []Row {
	rows := make([]Row, len(keys))
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, key := range keys {
		g.Go(func() error {
			row, err := m.row(ctx, key)
			if err == nil {
				rows[i] = row
			} else if !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
				m.log.Warn("own lease not read", "lease", key, "error", err)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
	return slices.DeleteFunc(rows, func(r Row) bool { return r.Key == "" })
}

// mayBeLeaving reports whether it is worth a look whether the lease is being
// handed over: it is held and was not looked at a moment ago.
func (h *Held) mayBeLeaving() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state == holding && h.row.Leaving == "" && time.Since(h.until.Add(-h.m.timing.fence)) > h.m.timing.step/2
}
