package lease

import (
	"cmp"
	"slices"
	"time"
)

// A move is a decision to give a lease to a worker.
type move struct {
	write  Write
	from   string
	reason Reason
}

// planMoves decides as leader who gets which lease, by count as the KCL does in
// its mode LEASE_COUNT_BASED. A lease that nobody holds, or whose holder is
// dead, goes to the worker with the fewest; then leases move from the worker
// with the most to that with the fewest until the counts differ by at most one.
// Finished leases count for nothing and stay where they are.
//
// At most movesPerStep leases move at a time. Nothing moves once the counts are even, so a stable fleet is left alone.
func planMoves(now time.Time, o *observer, snap *Snapshot, maxLeases int) []move {
	c := newCensus(o.active(now), maxLeases)
	if len(c.workers) == 0 {
		return nil
	}
	var free, movable []*Row
	for i := range snap.Rows {
		r := &snap.Rows[i]
		switch {
		case r.Finished():
		case r.Reader() == "" || o.expired(now, r) || o.stuck(now, r):
			free = append(free, r)
		default:
			c.count(r.Owner)
			if r.Leaving == "" && c.has(r.Owner) && (o.started(r) || o.idle(r)) {
				movable = append(movable, r)
			}
		}
	}
	moves := c.assign(now, o, free)
	return append(moves, c.balance(o, movable, max(0, movesPerStep-len(moves)))...)
}

// planLeave decides where the leases of a worker that stops go, without its
// row among the workers any more: to those with the fewest.
//
// Workers that hold a lease come before those that hold none. The row of a dead
// one looks fresh for a minute, and once its leases have been taken it would be
// the first choice. A live one without leases gets its part from the leader.
func planLeave(now time.Time, o *observer, snap *Snapshot, me string, keys []string) map[string]string {
	active := slices.DeleteFunc(o.active(now), func(id string) bool { return id == me })
	c := newCensus(active, len(snap.Rows)+1)
	for i := range snap.Rows {
		if r := &snap.Rows[i]; !r.Finished() && r.Owner != me {
			c.count(r.Owner)
		}
	}
	if idle := func(id string) bool { return c.leases[id] == 0 }; slices.ContainsFunc(c.workers, func(id string) bool { return !idle(id) }) {
		c.workers = slices.DeleteFunc(c.workers, idle)
	}
	to := make(map[string]string)
	for _, key := range keys {
		if w := c.least(""); w != "" {
			c.count(w)
			to[key] = w
		}
	}
	return to
}

// A census counts the leases of the active workers.
type census struct {
	workers []string // sorted
	leases  map[string]int
	max     int
}

func newCensus(workers []string, maxLeases int) *census {
	c := &census{workers: workers, leases: make(map[string]int, len(workers)), max: maxLeases}
	for _, w := range workers {
		c.leases[w] = 0
	}
	return c
}

func (c *census) has(worker string) bool { _, ok := c.leases[worker]; return ok }

func (c *census) count(worker string) {
	if c.has(worker) {
		c.leases[worker]++
	}
}

// least returns the worker with the fewest leases that may have one more, not
// counting the one named, and "" if there is none.
func (c *census) least(not string) string {
	best := ""
	for _, w := range c.workers {
		if w != not && c.leases[w] < c.max && (best == "" || c.leases[w] < c.leases[best]) {
			best = w
		}
	}
	return best
}

// most returns the worker with the most leases.
func (c *census) most() string {
	return slices.MaxFunc(c.workers, func(a, b string) int { return cmp.Compare(c.leases[a], c.leases[b]) })
}

func (c *census) assign(now time.Time, o *observer, free []*Row) []move {
	var moves []move
	for _, r := range free {
		from := r.Reader()
		to := c.least(from) // a worker that let a lease expire does not get it back
		if to == "" {
			to = c.least("")
		}
		if to == "" || len(moves) == movesPerStep {
			break
		}
		c.count(to)
		m := move{from: from, write: Write{Op: Assign, Seen: *r, Owner: to}}
		switch {
		case from == "":
			m.reason = ReasonFree
		case o.expired(now, r):
			// The counter is part of the condition: an owner that shows life
			// after all keeps its lease.
			m.write.Op = Take
			m.reason = ReasonExpired
		default:
			m.reason = ReasonStuck
		}
		moves = append(moves, m)
	}
	return moves
}

func (c *census) balance(o *observer, movable []*Row, limit int) []move {
	var moves []move
	for len(c.workers) > 1 && len(moves) < limit {
		to, from := c.least(""), c.most()
		if to == "" || c.leases[from]-c.leases[to] < 2 {
			break
		}
		i := lastOf(movable, from)
		if i < 0 {
			break // what it has is on the move, or about to start
		}
		m := move{from: from, reason: ReasonCount, write: Write{Op: Handoff, Seen: *movable[i], Owner: to}}
		if o.idle(movable[i]) {
			m.write.Op = Take // there is no work to finish, and perhaps nobody to answer
		}
		moves = append(moves, m)
		movable = slices.Delete(movable, i, i+1)
		c.leases[from]--
		c.leases[to]++
	}
	return moves
}

func lastOf(rows []*Row, owner string) int {
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].Owner == owner {
			return i
		}
	}
	return -1
}
