package lease

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kinesis-go/kinesis/internal/pace"
)

// A taker is what planTake knows of its worker.
type taker struct {
	me       string
	leases   int // most it may have
	failover time.Duration

	// luck orders leases among which a worker of the KCL would choose at random.
	luck func(key string) uint64
}

// priorityAfter is after how many failover times without life a lease is taken
// whatever the worker's part is.
const priorityAfter = 3

// planTake decides which leases a worker takes for itself, by the rule of KCL 2.x,
// so that workers of both come to the same shares:
//
//   - A lease can be had if nobody owns it or its owner has not renewed it for the
//     failover time. The workers are the owners of all others, and this one.
//   - Leases that nobody has cared for three times as long are taken at once, as
//     many as the worker may have.
//   - Else it takes what it lacks to its part, which is rounded up.
//   - Only if none can be had, it takes one from the worker that has most, if that
//     has more than its part, or if it lacks two itself.
//
// Finished leases count, since they do for the KCL. Steal says that those to take
// belong to a live worker.
func (t *taker) planTake(now time.Time, o *observer, rows []Row) (take []*Row, steal bool) {
	counts := map[string]int{t.me: 0}
	var free, old []*Row
	for i := range rows {
		r := &rows[i]
		switch age, never := o.ageOf(now, r); {
		case never || age > priorityAfter*t.failover:
			old = append(old, r)
			fallthrough
		case r.Owner == "" || age > t.failover:
			free = append(free, r)
		default:
			counts[r.Owner]++
		}
	}
	mine := counts[t.me]
	if len(old) > 0 {
		return t.pick(old, t.leases-mine), false
	}
	target := 1
	if workers := len(counts); workers < len(rows) {
		target = min((len(rows)+workers-1)/workers, t.leases)
	}
	need := target - mine
	if need <= 0 {
		return nil, false
	}
	if len(free) > 0 {
		return t.pick(free, need), false
	}
	victim := mostLoaded(counts)
	over := counts[victim] - target
	if victim == t.me || over < 0 || over == 0 && need < 2 {
		return nil, false
	}
	var theirs []*Row
	for i := range rows {
		if rows[i].Owner == victim {
			theirs = append(theirs, &rows[i])
		}
	}
	return t.pick(theirs, 1), true // the KCL's maxLeasesToStealAtOneTime
}

// pick returns up to n of the leases.
func (t *taker) pick(from []*Row, n int) []*Row {
	slices.SortFunc(from, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(t.luck(a.Key), t.luck(b.Key)), cmp.Compare(a.Key, b.Key))
	})
	return from[:max(0, min(n, len(from)))]
}

// mostLoaded returns the worker that has most leases, of several the first by id.
func mostLoaded(counts map[string]int) (id string) {
	for w, n := range counts {
		if id == "" || n > counts[id] || n == counts[id] && w < id {
			id = w
		}
	}
	return id
}

// ageOf returns how long a row was seen without a change. Never means that it was
// free at the first sight and is.
func (o *observer) ageOf(now time.Time, r *Row) (age time.Duration, never bool) {
	v := o.rows[r.Key]
	if v == nil {
		return 0, false
	}
	return now.Sub(v.since), v.never
}

// stealEvery is the KCL's pace of taking, in failover times. What nobody has, or a
// dead worker, is taken at every look; a live worker's lease only so often, since
// that interrupts its work.
const stealEvery = 2

// takeLeases takes leases as planTake says, and reports whether there was nothing
// to take.
func (m *member) takeLeases(ctx, base context.Context, now time.Time, snap *Snapshot) (settled bool) {
	held := m.heldByKey()
	m.ticks++
	round := m.ticks
	t := taker{
		me: m.id, leases: m.options.MaxLeases, failover: m.timing.failover,
		luck: func(key string) uint64 { return pace.Hash(m.id, "take", key, round) },
	}
	take, steal := t.planTake(now, m.observer, snap.Rows)
	take = slices.DeleteFunc(take, func(r *Row) bool { return held[r.Key] != nil })
	if len(take) == 0 || m.isStopping() {
		return true
	}
	if steal {
		if now.Before(m.due.steal) {
			return true
		}
		m.due.steal = now.Add(m.jitter("steal", stealEvery*m.timing.failover))
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, r := range take[:min(len(take), movesPerStep)] {
		g.Go(func() error {
			m.takeLease(ctx, base, r, steal)
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
	return false
}

// takeLease takes one lease. One that is stolen may have been renewed meanwhile.
func (m *member) takeLease(ctx, base context.Context, seen *Row, steal bool) {
	from, reason := seen.Reader(), ReasonFree
	switch {
	case steal:
		reason = ReasonCount
	case from != "":
		reason = ReasonExpired
	}
	row, err := m.write(ctx, Write{Op: Take, Seen: *seen, Owner: m.id}.Explained(time.Now(), reason))
	var conflict *ConflictError
	if steal && errors.As(err, &conflict) {
		if cur := conflict.Current; cur != nil && cur.Owner == seen.Owner && cur.Leaving == seen.Leaving {
			row, err = m.write(ctx, Write{Op: Take, Seen: *cur, Owner: m.id}.Explained(time.Now(), reason))
		}
	}
	if err != nil {
		if !errors.As(err, &conflict) && ctx.Err() == nil {
			m.log.Warn("lease not taken", "lease", seen.Key, "error", err)
		}
		return
	}
	m.log.Info("lease taken", "lease", row.Key, "from", from, "reason", reason)
	call(m.events.Assigned, AssignedInfo{
		Stream: m.labelOf(&row), Shard: row.Shard, From: from, To: m.id, Reason: reason,
	})
	m.begin(base, row)
}
