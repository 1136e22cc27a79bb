package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// leadership is what a member knows of its own claim to lead. It is used by the
// loop goroutine alone.
type leadership struct {
	leading bool
	since   time.Time // when it was elected
	until   time.Time // when others may take the lock, unless it is renewed
	lock    Lock      // as written last
	tried   Lock      // a lock whose writing got no answer, zero if none
	triedAt time.Time // when that was issued

	roster *roster // nil until it is needed
}

// watchers is the number of workers beside the leader that read the whole table
// all the time, to be able to act at once when the leader dies. The others look
// at the lock alone, unless the table is small: then it costs no more to read it,
// and whoever does need not look for its own leases besides.
const (
	watchers   = 2
	smallTable = 48 // rows of leases and workers
)

// watches reports whether this worker reads the whole table at every look.
func (m *member) watches(now time.Time) bool {
	if m.observer.last.IsZero() || now.Sub(m.observer.last) >= reportEvery {
		return true // whoever is not a watcher learns now and then whether it has become one
	}
	if len(m.observer.rows)+len(m.observer.workers) <= smallTable {
		return true
	}
	rank := 0
	for _, id := range m.observer.active(now) {
		switch id {
		case m.id:
			return rank < watchers
		case m.observer.lock.lock.Owner:
		default:
			rank++
		}
	}
	return true // not in the list: its row is not seen yet
}

// pollLock looks at the lock alone. If it stays free for longer than a watcher
// takes to notice, there is no watcher left, and the next look is at the table.
func (m *member) pollLock(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, m.timing.call)
	defer cancel()
	lock, err := m.store.Lock(call)
	if err != nil {
		m.log.Warn("leader lock not read", "error", err)
		return
	}
	now := time.Now()
	m.observer.observeLock(now, lock)
	if m.observer.lockFree(now.Add(-m.timing.scan)) {
		m.observer.last = time.Time{}
	}
}

// stand takes the leader lock if it is free.
func (m *member) stand(ctx context.Context, now time.Time) {
	if m.lead.leading || !m.observer.lockFree(now) {
		m.adoptLock()
		return
	}
	next := Lock{Owner: m.id, Version: newVersion(), Duration: m.timing.lock}
	m.swapLock(ctx, m.observer.lock.lock, next)
}

// adoptLock recognises a lock that this worker wrote without getting an answer.
func (m *member) adoptLock() {
	l := &m.lead
	if !l.leading && l.tried.Version != "" && m.observer.lock.lock.Version == l.tried.Version {
		m.elected(l.tried, l.triedAt)
	}
}

// heartbeat renews the leader lock and ends the leadership if it cannot.
func (m *member) heartbeat(ctx context.Context) {
	l := &m.lead
	m.due.beat = time.Now().Add(m.timing.beat)
	if l.tried.Version != "" {
		// The last heartbeat got no answer. The row says which lock is there.
		call, cancel := context.WithTimeout(ctx, m.timing.call)
		cur, err := m.store.Lock(call)
		cancel()
		switch {
		case err != nil:
			m.log.Warn("leader lock not read", "error", err)
			m.deposedBy(time.Now())
			m.due.beat = time.Now().Add(m.timing.retry)
			return
		case cur.Version == l.tried.Version:
			l.lock, l.until = l.tried, l.triedAt.Add(m.timing.lock)
		case cur.Version != l.lock.Version:
			m.deposed("another worker has the lock")
			return
		}
		l.tried = Lock{}
	}
	next := Lock{Owner: m.id, Version: newVersion(), Duration: m.timing.lock}
	m.swapLock(ctx, l.lock, next)
}

// swapLock writes the lock and takes note of the outcome.
func (m *member) swapLock(ctx context.Context, seen, next Lock) {
	l := &m.lead
	issued := time.Now()
	call, cancel := context.WithTimeout(ctx, m.timing.call)
	err := m.store.SwapLock(call, seen, next)
	if errors.Is(err, ErrLockMoved) {
		// A client that repeats a call whose answer was lost is refused by its own
		// first try.
		if cur, rerr := m.store.Lock(call); rerr == nil && cur.Version == next.Version {
			err = nil
		}
	}
	cancel()
	switch {
	case err == nil:
		m.elected(next, issued)
	case errors.Is(err, ErrLockMoved):
		m.deposed("another worker has the lock")
	default:
		l.tried, l.triedAt = next, issued
		m.log.Warn("leader lock not written", "error", err)
		m.due.beat = time.Now().Add(m.timing.retry)
		m.deposedBy(time.Now())
	}
}

// elected notes that this worker holds the lock, written at issued.
func (m *member) elected(lock Lock, issued time.Time) {
	l := &m.lead
	l.lock, l.tried = lock, Lock{}
	l.until = issued.Add(m.timing.lock)
	m.due.beat = issued.Add(m.timing.beat)
	m.observer.observeLock(time.Now(), lock)
	if l.leading {
		return
	}
	l.leading, l.since, l.roster = true, time.Now(), nil
	m.log.Info("leading")
	call(m.events.Elected, ElectedInfo{Leading: true})
}

// deposedBy ends the leadership if the lock may belong to another by now.
func (m *member) deposedBy(now time.Time) {
	if m.lead.leading && !now.Before(m.lead.until) {
		m.deposed("lock not renewed in time")
	}
}

func (m *member) deposed(reason string) {
	was := m.lead.leading
	m.lead = leadership{}
	m.due.watch, m.due.discover = time.Now(), time.Now()
	if was {
		m.log.Warn("leading no more", "reason", reason)
		call(m.events.Elected, ElectedInfo{Leading: false})
	}
}

// resign gives the leader lock up.
func (m *member) resign(ctx context.Context) {
	if !m.lead.leading && m.lead.tried.Version == "" {
		return
	}
	cur, err := m.store.Lock(ctx)
	if err == nil && cur.Version != "" && (cur.Version == m.lead.lock.Version || cur.Version == m.lead.tried.Version) {
		err = m.store.SwapLock(ctx, cur, Lock{})
	}
	if err != nil {
		m.log.Warn("leader lock not released", "error", err)
	}
	if m.lead.leading {
		m.lead = leadership{}
		call(m.events.Elected, ElectedInfo{Leading: false})
	}
}

// newVersion returns a random UUID, the form of the KCL.
func newVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Bounds of the leader's writes: how many between two looks at what else is
// due, and how many at a time.
const (
	movesPerStep = 1024
	parallel     = 32
)

// rule does the leader's duties with what is in the table, and reports whether
// nothing is left to do.
func (m *member) rule(ctx, base context.Context, now time.Time, snap *Snapshot) (settled bool) {
	settled = m.keepStreams(ctx, now, snap)
	if m.taking() {
		m.removeFinished(ctx, snap)
		return settled
	}
	moves := planMoves(now, m.observer, snap, m.options.bounds())
	if m.isStopping() {
		return true
	}
	m.makeMoves(ctx, base, moves)
	m.removeFinished(ctx, snap)
	m.removeStale(ctx, now, snap)
	for i := range snap.Rows {
		r := &snap.Rows[i]
		if !r.Finished() && (r.Owner == "" || r.Leaving != "" || m.observer.expired(now, r)) {
			settled = false
		}
	}
	return settled && len(moves) == 0
}

func (m *member) isStopping() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopping
}

// makeMoves writes what was decided. A move that is refused was decided on a row
// that has changed since; the next look decides again.
func (m *member) makeMoves(ctx, base context.Context, moves []move) {
	if len(moves) == movesPerStep {
		m.wakeWatch(true) // there are more
	}
	rows := make([]Row, len(moves))
	made := make([]bool, len(moves))
	var g errgroup.Group
	g.SetLimit(parallel)
	for i := range moves {
		g.Go(func() error {
			var err error
			rows[i], err = m.write(ctx, moves[i].write.Explained(time.Now(), moves[i].reason))
			made[i] = err == nil
			var conflict *ConflictError
			if err != nil && !errors.As(err, &conflict) && ctx.Err() == nil {
				m.log.Warn("lease not moved", "lease", moves[i].write.Key(), "error", err)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
	for i, mv := range moves {
		if !made[i] {
			continue
		}
		m.log.Info("lease moved", "lease", rows[i].Key, "from", mv.from, "to", mv.write.Owner, "reason", mv.reason)
		call(m.events.Assigned, AssignedInfo{
			Stream: m.labelOf(&rows[i]), Shard: rows[i].Shard, From: mv.from, To: mv.write.Owner,
			Graceful: mv.write.Op == Handoff, Reason: mv.reason,
		})
		m.begin(base, rows[i])
		if mv.from == m.id && mv.write.Op == Handoff {
			m.nudge(rows[i].Key)
		}
	}
}

func (m *member) nudge(key string) {
	m.mu.Lock()
	h := m.held[key]
	m.mu.Unlock()
	if h != nil {
		h.nudge()
	}
}

// removeFinished deletes the rows of finished shards that nobody needs.
func (m *member) removeFinished(ctx context.Context, snap *Snapshot) {
	index := indexRows(snap.Rows)
	for _, r := range snap.Rows {
		if !removable(r, index) {
			continue
		}
		if _, err := m.write(ctx, Write{Op: Delete, Seen: r}); err != nil {
			m.log.Warn("row of a finished shard not removed", "lease", r.Key, "error", err)
			continue
		}
		m.log.Info("row of a finished shard removed", "lease", r.Key)
	}
}

// removable reports whether the row of a finished shard can go: all its children
// have been read from, so that they can do without it, and no parent has a row
// left, so that lineages are removed from their beginning.
func removable(r Row, index map[string]Row) bool {
	if !r.Finished() || len(r.Children) == 0 {
		return false
	}
	prefix := strings.TrimSuffix(r.Key, r.Shard)
	for _, id := range r.Children {
		child, ok := index[prefix+id]
		if !ok || !child.Checkpoint.IsRecord() && !child.Finished() {
			return false
		}
	}
	return !slices.ContainsFunc(r.Parents, func(id string) bool {
		_, ok := index[prefix+id]
		return ok
	})
}

// removeStale deletes the rows of workers that have not written theirs for a day.
func (m *member) removeStale(ctx context.Context, now time.Time, snap *Snapshot) {
	for _, w := range snap.Workers {
		v := m.observer.workers[w.ID]
		if v == nil || now.Sub(v.changed) < workerFresh || now.Sub(w.Updated) < workerStale {
			continue
		}
		call, cancel := context.WithTimeout(ctx, m.timing.call)
		if err := m.store.DeleteWorker(call, w); err != nil {
			m.log.Warn("old worker row not removed", "id", w.ID, "error", err)
		}
		cancel()
	}
}
