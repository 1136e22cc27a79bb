package lease

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// An observer knows what has changed in a table since when, by its own clock.
// That is how it tells the living from the dead: nothing in the table is a time
// that it would compare with its own, except at the first sight of a worker.
type observer struct {
	timing  timing
	me      string
	last    time.Time // of the last look
	stirred time.Time // when the last look was that showed that the fleet is not at rest
	rows    map[string]*rowView
	workers map[string]*workerView
	lock    lockView
	company bool // somebody else has a worker row or an unfinished lease
}

type rowView struct {
	owner, leaving string
	counter        int64
	at             checkpoint.Position
	moved          time.Time // when it was moved, by the word of its mover

	since time.Time // when this state was first seen, less the time of not looking
	pair  time.Time // when these two workers were first seen

	// assigned means that the reader was not seen to renew yet since it was named,
	// and idle that it has not: the counter is the one it was named with.
	assigned, idle bool
	missed         bool // it expired in this state, and its reader was told off
	never          bool // it was free at the first sight, and is

	rate    float64   // KiB/s, smoothed
	rated   bool      // there ever was one
	ratedAt time.Time // when rate was brought up to date
}

type workerView struct {
	updated time.Time // the row's own word
	changed time.Time // when that was first seen
	fresh   bool      // changed was a change, or a first sight that looked recent
	ours    bool      // a worker of this library

	// suspect: a lease of its has expired, and it has shown no life since. Its row
	// stays fresh for a minute after its death.
	suspect bool

	// missed counts the leases given to it that expired without ever being renewed,
	// since it renewed any. It gets none until shunned: it writes its row and
	// discovers nothing, as a worker of the KCL does whose index was refused.
	missed  int
	shunned time.Time

	cpu, limit        float64 // percent; limit is the end of its operating range
	cpuKnown, failing bool

	cost  float64   // what a KiB/s costs it in CPU, smoothed; 0 if never measured
	price float64   // that as a multiple of the mean, as last acted on
	moved time.Time // when it last got or lost a lease
}

type lockView struct {
	lock  Lock
	since time.Time
}

func newObserver(t timing, me string) *observer {
	return &observer{timing: t, me: me, rows: make(map[string]*rowView), workers: make(map[string]*workerView)}
}

// observe takes note of a look at the table that ended at now.
func (o *observer) observe(now time.Time, snap *Snapshot) {
	o.skipBlindTime(now)
	o.observeWorkers(now, snap.Workers)
	signs := o.observeRows(now, snap.Rows)
	if slices.ContainsFunc(snap.Rows, func(r Row) bool { return o.restless(now, &r) }) {
		o.stirred = now
	}
	o.observeLock(now, snap.Lock)
	o.judgeWorkers(now, snap.Rows, signs)
	o.judgeCosts(now, snap.Rows)
	o.judgePrices(o.active(now))
	o.company = len(o.workers) > 1 || slices.ContainsFunc(snap.Rows, func(r Row) bool {
		return r.Reader() != "" && r.Reader() != o.me && !r.Finished()
	})
	o.last = now
}

// skipBlindTime makes time in which nothing was read not count against anyone:
// when the table could not be read, others could not write it either.
func (o *observer) skipBlindTime(now time.Time) {
	gap := now.Sub(o.last)
	if !o.last.IsZero() && gap <= o.timing.failover/2 {
		return
	}
	o.stirred = now
	if o.last.IsZero() {
		return
	}
	blind := gap - o.timing.scan
	for _, v := range o.rows {
		v.since, v.pair = v.since.Add(blind), v.pair.Add(blind)
	}
}

func (o *observer) observeWorkers(now time.Time, workers []Worker) {
	seen := make(map[string]bool, len(workers))
	for _, w := range workers {
		seen[w.ID] = true
		v := o.workers[w.ID]
		switch {
		case v == nil:
			// The one comparison of clocks, as the KCL does it: a row that looks
			// old is not trusted until it changes.
			age := now.Sub(w.Updated)
			v = &workerView{changed: now, moved: now, fresh: age <= workerFresh && age >= -workerFresh}
			o.workers[w.ID] = v
			o.stirred = now
		case !v.updated.Equal(w.Updated):
			v.changed, v.fresh, v.suspect = now, true, false
		}
		v.updated = w.Updated
		v.ours = w.Properties[propertyLibrary] == Library
		v.cpu, v.limit, v.cpuKnown, v.failing = cpuOf(&w)
	}
	for id := range o.workers {
		if !seen[id] {
			delete(o.workers, id)
			o.stirred = now
		}
	}
}

// observeRows returns the workers that have renewed a lease since the last look.
func (o *observer) observeRows(now time.Time, rows []Row) (signs map[string]bool) {
	signs = make(map[string]bool)
	seen := make(map[string]bool, len(rows))
	for i := range rows {
		r := &rows[i]
		seen[r.Key] = true
		v := o.rows[r.Key]
		if v == nil {
			v = &rowView{
				owner: r.Owner, leaving: r.Leaving, counter: r.Counter,
				since: now, pair: now, assigned: true, never: r.Owner == "", at: r.Checkpoint,
			}
			o.stirred = now
			v.observeRate(now, r.Throughput)
			if m := r.Moved; m != nil {
				v.moved = m.At
				if w := o.workers[m.From]; w != nil && !w.updated.After(m.At) { // it has told nothing of itself since
					o.noteDead(w, r)
				}
			}
			o.rows[r.Key] = v
			o.noteMove(now, r.Owner, r.Leaving)
			continue
		}
		samePair := v.owner == r.Owner && v.leaving == r.Leaving
		if samePair && v.counter == r.Counter {
			continue
		}
		v.since, v.missed, v.never = now, false, false
		if v.at != r.Checkpoint {
			v.at, o.stirred = r.Checkpoint, now
		}
		v.observeRate(now, r.Throughput)
		if samePair {
			v.assigned, v.idle = false, false
			signs[r.Reader()] = true
		} else {
			o.noteMove(now, r.Owner, r.Leaving, v.owner, v.leaving)
			o.noteDeath(now, v, r)
			v.pair, o.stirred = now, now
			v.assigned = r.Leaving == ""
			v.idle = v.assigned && r.Counter == v.counter+1
		}
		v.owner, v.leaving, v.counter = r.Owner, r.Leaving, r.Counter
	}
	for key := range o.rows {
		if !seen[key] {
			delete(o.rows, key)
			o.stirred = now
		}
	}
	return signs
}

// noteDeath suspects the worker from which the lease was just taken because it did
// not renew it: a leader that went since may have been the only one to see that.
// An explanation from before, which a worker of the KCL leaves in the row, does not
// count. Nor does one of a worker that has shown life since: it had been frozen, or
// cut off, and is back.
func (o *observer) noteDeath(now time.Time, v *rowView, r *Row) {
	m := r.Moved
	if m == nil || m.At.Equal(v.moved) {
		return
	}
	v.moved = m.At
	w := o.workers[m.From]
	if w == nil {
		return
	}
	// What it wrote since the last look is younger than the renewal that was missed,
	// unless that look is long ago.
	back := w.changed.Equal(now) && (now.Sub(o.last) <= o.timing.failover/2 || w.updated.After(m.At))
	if !back {
		o.noteDead(w, r)
	}
}

// noteDead suspects a worker, until it shows life, if a row says that its lease was
// taken because it did not renew it.
func (o *observer) noteDead(w *workerView, r *Row) {
	if m := r.Moved; m.Reason == ReasonExpired && m.From != o.me && m.From != r.Reader() {
		w.suspect = true
	}
}

// noteMove notes that the leases of these workers are not those they were.
func (o *observer) noteMove(now time.Time, ids ...string) {
	for _, id := range ids {
		if w := o.workers[id]; w != nil {
			w.moved = now
		}
	}
}

// observeLock keeps the time a version was first seen across looks, however
// often it is read (KCL#1803).
func (o *observer) observeLock(now time.Time, lock Lock) {
	if o.lock.since.IsZero() || o.lock.lock != lock {
		if o.lock.lock.Owner != lock.Owner {
			o.stirred = now
		}
		o.lock = lockView{lock: lock, since: now}
	}
}

// lockFree reports whether the leader lock may be taken.
func (o *observer) lockFree(now time.Time) bool {
	if o.lock.since.IsZero() {
		return false // never looked
	}
	l := o.lock.lock
	return l.Version == "" || l.Released || now.Sub(o.lock.since) > l.Duration
}

// patience returns how long the reader of a row may stay without a sign of life.
// A worker of the KCL may take longer than the failover time to discover what
// was assigned to it.
func (o *observer) patience(v *rowView) time.Duration {
	reader := v.owner
	if v.leaving != "" {
		reader = v.leaving
	}
	if w := o.workers[reader]; v.assigned && w != nil && !w.ours {
		return 2 * o.timing.failover
	}
	return o.timing.failover
}

// expired reports whether the reader of the row has been without a sign of life
// for too long.
func (o *observer) expired(now time.Time, r *Row) bool {
	v := o.rows[r.Key]
	return v != nil && r.Reader() != "" && now.Sub(v.since) > o.patience(v)
}

// stuck reports whether the handover of the row has taken too long.
func (o *observer) stuck(now time.Time, r *Row) bool {
	v := o.rows[r.Key]
	return v != nil && r.Leaving != "" && now.Sub(v.pair) > o.timing.handoff
}

// started reports whether the reader of the row was seen to renew since the lease
// was given to it, and idle whether it certainly has not. Neither may be known.
func (o *observer) started(r *Row) bool {
	v := o.rows[r.Key]
	return v != nil && !v.assigned
}

func (o *observer) idle(r *Row) bool {
	v := o.rows[r.Key]
	return v != nil && v.idle
}

// nextExpiry returns when the next row can expire that has not, far in the
// future if none can.
func (o *observer) nextExpiry(now time.Time) time.Time {
	next := now.Add(time.Hour)
	for _, v := range o.rows {
		if v.owner == "" && v.leaving == "" {
			continue
		}
		if at := v.since.Add(o.patience(v) + time.Millisecond); at.After(now) {
			next = earlier(next, at)
		}
	}
	return next
}

// maxShunned is the longest time for which a worker gets no leases since it missed
// those before.
const maxShunned = 10 * time.Minute

// judgeWorkers suspects the workers of which a lease has expired, until they show
// life. A live worker that lost one lease renews the others soon. Nobody suspects
// itself: a lease in its name that it does not hold is one that it can have.
func (o *observer) judgeWorkers(now time.Time, rows []Row, signs map[string]bool) {
	dead, missed := make(map[string]bool), make(map[string]bool)
	for i := range rows {
		if r := &rows[i]; o.expired(now, r) {
			v := o.rows[r.Key]
			dead[r.Reader()] = true
			missed[r.Reader()] = missed[r.Reader()] || v.assigned && !v.missed
			v.missed = true
		}
	}
	for id, w := range o.workers {
		if signs[id] {
			w.missed, w.shunned = 0, time.Time{}
		} else if missed[id] && id != o.me {
			w.shunned = now.Add(min(o.timing.failover<<min(w.missed, 10), maxShunned))
			w.missed++
		}
		if dead[id] || signs[id] {
			w.suspect = dead[id] && id != o.me
		}
	}
}

// active returns the workers that leases may be assigned to, sorted.
func (o *observer) active(now time.Time) []string {
	var ids []string
	for id, w := range o.workers {
		if w.fresh && !w.suspect && !now.Before(w.shunned) && now.Sub(w.changed) <= workerFresh+o.timing.scan {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
