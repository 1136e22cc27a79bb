package checkpoint

import "fmt"

// A Tracker turns completions in any order into one safe position. Work is
// announced with [Tracker.Begin] in the order of the shard and finished with
// [Tracker.Done] in any order. The zero value is ready; it is not safe for
// concurrent use.
//
// It costs one slot per position between the oldest unfinished one and the
// newest, whatever order they finish in; [Tracker.Pending] is their number, for
// a caller that bounds it.
type Tracker struct {
	slots     []slot // from the oldest unfinished position on
	first     Ticket // of slots[0]
	watermark Position
	newest    Position
}

// A Ticket names a position that was begun.
type Ticket uint64

type slot struct {
	position Position
	done     bool
}

// Begin announces work on the record at p, which must lie behind every position
// begun before, and returns its ticket. An error means that p is not after the
// newest position; nothing was begun.
func (t *Tracker) Begin(p Position) (Ticket, error) {
	if t.newest.Compare(p) >= 0 {
		return 0, fmt.Errorf("checkpoint: position %v begun after %v, which it does not follow", p, t.newest)
	}
	t.newest = p
	t.slots = append(t.slots, slot{position: p})
	return t.first + Ticket(len(t.slots)) - 1, nil
}

// Done says that the work behind k is finished. A ticket that is already done,
// or was never given, changes nothing.
func (t *Tracker) Done(k Ticket) {
	// A ticket below first wraps around to a huge number.
	i := uint64(k - t.first)
	if i >= uint64(len(t.slots)) {
		return
	}
	t.slots[i].done = true
	n := 0
	for n < len(t.slots) && t.slots[n].done {
		n++
	}
	if n == 0 {
		return
	}
	t.watermark = t.slots[n-1].position
	t.first += Ticket(n)
	if n == len(t.slots) {
		t.slots = t.slots[:0] // keeps the array for the next batch
	} else {
		t.slots = t.slots[n:]
	}
}

// Watermark returns the newest position up to which everything begun is done,
// and false while there is none.
func (t *Tracker) Watermark() (Position, bool) { return t.watermark, !t.watermark.IsZero() }

// Pending returns the number of positions from the oldest unfinished one to the
// newest, both included.
func (t *Tracker) Pending() int { return len(t.slots) }
