package dynamo

import (
	"slices"
	"strings"
	"time"
)

// A table is a table: its definition, its life and its items. It is guarded
// by its service's lock.
type table struct {
	name     string
	id       string
	created  time.Time
	defs     definitions
	key      schema
	units    throughput // zero: on demand
	guarded  bool       // DeletionProtectionEnabled
	class    string     // TableClass; "" is STANDARD
	tags     map[string]string
	billedAt time.Time // when it last became on-demand; zero if never

	lifetime   lifetime
	nextExpiry time.Time // no row expires before it; zero if none does
	recovery   recovery

	ceiling throughput // OnDemandThroughput; zero is none
	sealed  seal
	changed throughputChanges
	meter   meter
	hotKeys map[string]*meter // by sort key of the hash attribute
	cooled  time.Time         // when hotKeys was last rid of idle ones

	indexes []*index // in order of creation
	rows    rows
	past    past

	readyAt   time.Time // CREATING until then
	updatedAt time.Time // UPDATING until then
	goneAt    time.Time // DELETING from the request until then; zero if it stays
}

// status is the table's state at the given time.
func (t *table) status(now time.Time) string {
	switch {
	case !t.goneAt.IsZero():
		return "DELETING"
	case now.Before(t.readyAt):
		return "CREATING"
	case now.Before(t.updatedAt):
		return "UPDATING"
	}
	return "ACTIVE"
}

// settle forgets tables and indexes whose deletion is over.
func (s *Service) settle(now time.Time) {
	for name, t := range s.tables {
		if !t.goneAt.IsZero() && !now.Before(t.goneAt) {
			delete(s.tables, name)
			continue
		}
		s.settleTable(t, now)
	}
}

// settleTable does what has come due in t since the last call. The lock is
// held.
func (s *Service) settleTable(t *table, now time.Time) {
	s.expire(t, now)
	t.past = t.past.since(now.Add(-s.opts.ReadLag))
	for _, ix := range t.indexes {
		ix.catchUp(t, now.Add(-s.opts.IndexLag))
	}
	t.settle(now)
}

// settle forgets indexes whose deletion is over.
func (t *table) settle(now time.Time) {
	if !slices.ContainsFunc(t.indexes, func(ix *index) bool { return !ix.goneAt.IsZero() && !now.Before(ix.goneAt) }) {
		return
	}
	kept := t.indexes[:0]
	for _, ix := range t.indexes {
		if ix.goneAt.IsZero() || now.Before(ix.goneAt) {
			kept = append(kept, ix)
		}
	}
	clear(t.indexes[len(kept):])
	t.indexes = kept
	for name := range t.defs {
		if !slices.ContainsFunc(t.keys(), func(k schema) bool { return k.hash.Name == name || k.rng.Name == name }) {
			delete(t.defs, name)
		}
	}
}

// keys returns the keys of the table and of its indexes.
func (t *table) keys() []schema {
	keys := []schema{t.key}
	for _, ix := range t.indexes {
		keys = append(keys, ix.key)
	}
	return keys
}

// find returns the table for an operation on itself, or that it is missing.
func (s *Service) find(name string, now time.Time) (*table, error) {
	s.settle(now)
	t, ok := s.tables[name]
	if !ok {
		return nil, errNoTable(name)
	}
	return t, nil
}

// open returns the table for an operation on its items. A table that is
// being created or deleted has none.
func (s *Service) open(name string, now time.Time) (*table, error) {
	t, ok := s.tables[name]
	if !ok || now.Before(t.readyAt) || !t.goneAt.IsZero() {
		return nil, errNotFound()
	}
	s.settleTable(t, now)
	return t, nil
}

// index returns the index of that name.
func (t *table) index(name string) (*index, bool) {
	for _, ix := range t.indexes {
		if ix.name == name {
			return ix, true
		}
	}
	return nil, false
}

// get returns the item with the given key, nil if there is none.
func (t *table) get(key Item) Item { return t.rows.get(t.key.place(key)) }

// check returns the error of storing it as a row.
func (t *table) check(it Item, update bool, l Limits) error {
	if over(it.Size(), l.ItemBytes) {
		if update {
			return errUpdateSize
		}
		return errItemSize
	}
	for _, ix := range t.indexes {
		if err := ix.check(it, update, l); err != nil {
			return err
		}
	}
	return nil
}

// bytes returns the size of all items.
func (rs rows) bytes(view func(Item) Item) int {
	n := 0
	for _, e := range rs {
		n += view(e.item).Size()
	}
	return n
}

// arn returns the table's name as an ARN, with a suffix such as /index/x.
func (s *Service) arn(t *table, suffix ...string) string {
	return s.opts.Identity.ARN("dynamodb", "table/"+t.name+strings.Join(suffix, ""))
}
