package dynamo

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Eventually consistent reads on AWS may show a table as it was a moment ago,
// and a global index runs behind its table. Here both are as fresh as the
// table unless Options.ReadLag and Options.IndexLag say otherwise.

// A pastChange is a change of a row and when it was applied. One of before
// and after may be nil, not both.
type pastChange struct {
	at            time.Time
	before, after Item
}

// spot returns the place of the row in its table.
func (c pastChange) spot(t *table) *entry {
	if c.before != nil {
		return t.key.place(c.before)
	}
	return t.key.place(c.after)
}

// past is what happened to a table in the last ReadLag, oldest first.
type past []pastChange

// since drops the changes up to the given time from the front.
func (p past) since(at time.Time) past {
	n := 0
	for n < len(p) && !p[n].at.After(at) {
		n++
	}
	return slices.Delete(p, 0, n)
}

// get returns the item that the row e of t was before the changes after the
// given time.
func (p past) get(t *table, e *entry, at time.Time) Item {
	for _, c := range p {
		if c.at.After(at) && c.spot(t).compare(e) == 0 {
			return c.before
		}
	}
	return t.rows.get(e)
}

// rows returns the entries of t before the changes after the given time.
func (p past) rows(t *table, at time.Time) rows {
	old := slices.Clone(t.rows)
	for _, c := range slices.Backward(p) {
		switch {
		case !c.at.After(at):
			return old
		case c.before != nil:
			old.put(t.key.place(c.before))
		default:
			old.remove(c.spot(t))
		}
	}
	return old
}

// stale decides whether the next eventually consistent read shows the past.
// The lock is held.
func (s *Service) stale() bool {
	if s.opts.ReadLag <= 0 {
		return false
	}
	s.reads++
	x := spotOf(fmt.Sprintf("%d %d", s.opts.ReadLagSeed, s.reads))
	return float64(x>>11)/math.Exp2(53) < s.opts.ReadLagProbability
}

// set stores after in the place of before, which is what t holds, and removes
// the row if after is nil. The lock is held.
func (s *Service) set(t *table, before, after Item, now time.Time) {
	if before == nil && after == nil {
		return
	}
	if after != nil {
		t.rows.put(t.key.place(after))
		t.expires(after)
	} else {
		t.rows.remove(t.key.place(before))
	}
	c := pastChange{now, before, after}
	if s.opts.ReadLag > 0 {
		t.past = append(t.past, c)
	}
	for _, ix := range t.indexes {
		if ix.local || s.opts.IndexLag <= 0 {
			ix.move(t, before, after)
		} else {
			ix.late = append(ix.late, c)
		}
	}
}

// catchUp brings into an index the changes up to the given time.
func (ix *index) catchUp(t *table, at time.Time) {
	for _, c := range ix.late {
		if !c.at.After(at) {
			ix.move(t, c.before, c.after)
		}
	}
	ix.late = ix.late.since(at)
}

// of returns the entries of rows of a table in the order of the index.
func (ix *index) of(t *table, all rows) rows {
	var list rows
	for _, e := range all {
		if ix.key.complete(e.item) {
			list = append(list, ix.place(t, e.item))
		}
	}
	slices.SortFunc(list, (*entry).compare)
	return list
}
