package lease

import (
	"slices"
	"time"
)

// A move is a decision to give a lease to a worker.
type move struct {
	write  Write
	from   string
	reason Reason
}

// planBounds are the options that bound what a plan gives to one worker, and how
// uneven it leaves the fleet.
type planBounds struct {
	leases    int
	rate      float64 // KiB/s
	threshold float64 // part of the mean by which a worker's load may differ from it
}

// planMoves decides as leader who gets which lease. It serves the same purpose as
// the KCL's decision by variance, from the same rows, and differs in what it
// does about noise and about streams without traffic:
//
//   - A lease that nobody holds, or whose holder is dead, goes to the worker to
//     which it adds least.
//   - A worker above its operating range gives one lease at a time.
//   - While a worker's load differs from the mean by more than the threshold,
//     leases move from the one that carries most to the one that carries least.
//     Load is throughput, times what a KiB/s was seen to cost the worker in CPU.
//     A move must be worth half as much again as what it moves, so that the
//     difference it leaves does not suffice to move it back.
//   - Leases with next to no traffic are spread so that the numbers of leases
//     differ by at most one. They carry no load, so the one does not undo the
//     other.
//
// Finished leases count for nothing and stay where they are. At most
// movesPerStep leases move at a time. Under a constant load the plan is empty
// once it was carried out.
func planMoves(now time.Time, o *observer, snap *Snapshot, b planBounds) []move {
	p := newPlan(now, o, b)
	if len(p.loads) == 0 {
		return nil
	}
	var open []*Row
	for i := range snap.Rows {
		if r := &snap.Rows[i]; !r.Finished() {
			open = append(open, r)
		}
	}
	var free []ratedRow
	for _, r := range o.rate(now, open) {
		if r.Reader() == "" || o.expired(now, r.Row) || o.stuck(now, r.Row) {
			free = append(free, r)
			continue
		}
		to := p.byID[r.Owner]
		if to == nil {
			continue
		}
		p.carry(to, r)
		if r.Leaving == "" && (o.started(r.Row) || o.idle(r.Row)) {
			r.at = r.Owner
			p.movable = append(p.movable, &r)
		}
	}
	p.assign(free)
	p.relieve()
	p.evenLoad()
	p.evenCount()
	p.moveHeld()
	return p.moves
}

// planLeave decides where the leases of a worker that stops go, without its
// row among the workers any more: to those to which they add least.
//
// Workers that hold a lease come before those that hold none. The row of a dead
// one looks fresh for a minute, and once its leases have been taken it would be
// the first choice. A live one without leases gets its part from the leader.
func planLeave(now time.Time, o *observer, snap *Snapshot, me string, keys []string) map[string]string {
	p := newPlan(now, o, planBounds{leases: len(snap.Rows) + 1})
	p.drop(func(l *load) bool { return l.id == me })
	var open []*Row
	for i := range snap.Rows {
		if r := &snap.Rows[i]; !r.Finished() {
			open = append(open, r)
		}
	}
	mine := make(map[string]ratedRow, len(keys))
	for _, r := range o.rate(now, open) {
		if l := p.byID[r.Owner]; l != nil {
			p.carry(l, r)
		}
		mine[r.Key] = r
	}
	empty := func(l *load) bool { return l.leases == 0 }
	if slices.ContainsFunc(p.loads, func(l *load) bool { return !empty(l) }) {
		p.drop(empty)
	}
	leases := make([]ratedRow, 0, len(keys))
	for _, key := range keys {
		if r, ok := mine[key]; ok {
			leases = append(leases, r)
		} else {
			leases = append(leases, ratedRow{Row: &Row{Key: key}}) // not seen yet
		}
	}
	slices.SortStableFunc(leases, byRate)
	to := make(map[string]string)
	for _, r := range leases {
		if l := p.pick(r, ""); l != nil {
			p.carry(l, r)
			to[r.Key] = l.id
		}
	}
	return to
}

// A plan is the working of planMoves.
type plan struct {
	now    time.Time
	o      *observer
	bounds planBounds

	loads   []*load // of the active workers, by id
	byID    map[string]*load
	movable []*ratedRow // held, renewed and not on the move; by key
	moves   []move
	steps   int // that led to moves, some of them perhaps to and fro
}

func newPlan(now time.Time, o *observer, b planBounds) *plan {
	p := &plan{now: now, o: o, bounds: b, loads: o.loadsOf(now), byID: make(map[string]*load)}
	for _, l := range p.loads {
		p.byID[l.id] = l
	}
	return p
}

// drop leaves out workers.
func (p *plan) drop(out func(*load) bool) {
	p.loads = slices.DeleteFunc(p.loads, func(l *load) bool {
		if out(l) {
			delete(p.byID, l.id)
			return true
		}
		return false
	})
}

func (p *plan) carry(l *load, r ratedRow) {
	l.leases++
	l.rate += r.rate
}

func (p *plan) room() bool { return p.steps < movesPerStep }

// may reports whether a worker may have one more lease.
func (p *plan) may(l *load, r ratedRow) bool {
	return l.leases < p.bounds.leases && (p.bounds.rate == 0 || r.idle() || l.rate+r.rate <= p.bounds.rate)
}

// pick returns the worker to which a lease adds least, other than the one named
// if there is a choice; one that is barred comes last. It is nil if nobody may
// have it.
func (p *plan) pick(r ratedRow, not string) *load {
	var best *load
	rank := func(l *load) int {
		switch {
		case l.id == not:
			return 2
		case l.barred:
			return 1
		}
		return 0
	}
	for _, l := range p.loads {
		if !p.may(l, r) {
			continue
		}
		if best == nil || rank(l) < rank(best) || rank(l) == rank(best) && p.lighter(l, best, r) {
			best = l
		}
	}
	return best
}

// lighter reports whether r adds less to a than to b: an idle lease to the one
// with fewer leases, a busy one to the one that then carries less.
func (p *plan) lighter(a, b *load, r ratedRow) bool {
	if !r.idle() {
		if x, y := a.cost()+r.rate*a.price, b.cost()+r.rate*b.price; x != y {
			return x < y
		}
	}
	if a.leases != b.leases {
		return a.leases < b.leases
	}
	return a.cost() < b.cost()
}

// assign gives out free leases, the busiest first, since that spreads them best.
func (p *plan) assign(free []ratedRow) {
	slices.SortStableFunc(free, byRate)
	for _, r := range free {
		from := r.Reader()
		to := p.pick(r, from) // a worker that let a lease expire does not get it back
		if !p.room() {
			return
		}
		if to == nil {
			continue // a smaller one may fit
		}
		p.carry(to, r)
		m := move{from: from, reason: ReasonFree, write: Write{Op: Assign, Seen: *r.Row, Owner: to.id}}
		switch {
		case from == "":
		case p.o.expired(p.now, r.Row):
			// The counter is part of the condition: an owner that shows life
			// after all keeps its lease.
			m.write.Op, m.reason = Take, ReasonExpired
		default:
			m.reason = ReasonStuck
		}
		p.moves = append(p.moves, m)
		p.steps++
	}
}

// move gives a lease that is held to another worker. A plan may change its mind.
func (p *plan) move(r *ratedRow, to *load, reason Reason) {
	from := p.byID[r.at]
	from.leases--
	from.rate -= r.rate
	p.carry(to, *r)
	r.at, r.reason = to.id, reason
	p.steps++
}

// moveHeld adds the moves of leases that are held, where the plan left them.
func (p *plan) moveHeld() {
	for _, r := range p.movable {
		if r.at == r.Owner {
			continue
		}
		m := move{from: r.Owner, reason: r.reason, write: Write{Op: Handoff, Seen: *r.Row, Owner: r.at}}
		if p.o.idle(r.Row) {
			m.write.Op = Take // there is no work to finish, and perhaps nobody to answer
		}
		p.moves = append(p.moves, m)
	}
}

// movableOf returns the leases of a worker that may move, by key.
func (p *plan) movableOf(l *load, idle bool) []*ratedRow {
	var out []*ratedRow
	for _, r := range p.movable {
		if r.at == l.id && r.known && r.idle() == idle {
			out = append(out, r)
		}
	}
	return out
}

// relieve moves the smallest busy lease off each worker that is above its
// operating range. The next goes when the effect of this one was measured.
func (p *plan) relieve() {
	for _, from := range p.loads {
		if !from.over || from.leases < 2 || !p.room() {
			continue
		}
		var least *ratedRow
		for _, r := range p.movableOf(from, false) {
			if least == nil || r.rate < least.rate {
				least = r
			}
		}
		if least == nil {
			continue
		}
		if to := p.pick(*least, from.id); to != nil && to != from && !to.barred {
			p.move(least, to, ReasonOverLimit)
		}
	}
}

// worth is by how much the difference of two workers must exceed what a move
// adds to the lesser of them.
const worth = 1.5

// evenLoad moves busy leases until every worker's load is near the mean.
func (p *plan) evenLoad() {
	spent := make(map[*load]bool) // have nothing that is worth a move
	for p.room() {
		var mean float64
		var from, to *load
		for _, l := range p.loads {
			mean += l.cost() / float64(len(p.loads))
			if !spent[l] && (from == nil || l.cost() > from.cost()) {
				from = l
			}
			if !l.barred && l.leases < p.bounds.leases && (to == nil || l.cost() < to.cost()) {
				to = l
			}
		}
		if from == nil || to == nil || from == to {
			return
		}
		band := p.bounds.threshold * mean
		if from.cost() <= mean+band && to.cost() >= mean-band {
			return
		}
		if from.cost()-to.cost() <= band {
			return // noise could turn the two round
		}
		if r := p.fitting(from, to); r != nil {
			p.move(r, to, ReasonLoad)
			clear(spent)
		} else {
			spent[from] = true
		}
	}
}

// fitting returns the lease that evens out two workers best, nil if none is
// worth a move.
func (p *plan) fitting(from, to *load) (best *ratedRow) {
	gap := from.cost() - to.cost()
	ideal := gap / (from.price + to.price)
	off := func(r *ratedRow) float64 { return max(r.rate-ideal, ideal-r.rate) }
	for _, r := range p.movableOf(from, false) {
		if p.may(to, *r) && r.rate*to.price*worth <= gap && (best == nil || off(r) < off(best)) {
			best = r
		}
	}
	return best
}

// evenCount moves idle leases until the numbers of leases differ by at most one,
// as far as there are idle ones.
func (p *plan) evenCount() {
	idle := make(map[*load][]*ratedRow)
	for _, l := range p.loads {
		idle[l] = p.movableOf(l, true)
	}
	for p.room() {
		var from, to *load
		for _, l := range p.loads {
			if len(idle[l]) > 0 && (from == nil || l.leases > from.leases) {
				from = l
			}
			if !l.barred && l.leases < p.bounds.leases && (to == nil || l.leases < to.leases) {
				to = l
			}
		}
		if from == nil || to == nil || from.leases-to.leases < 2 {
			return
		}
		last := len(idle[from]) - 1
		p.move(idle[from][last], to, ReasonCount)
		idle[from] = idle[from][:last]
	}
}
