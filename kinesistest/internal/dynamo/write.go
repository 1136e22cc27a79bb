package dynamo

import (
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

// A write is one conditional change of one row.
type write struct {
	op     string // for Applied
	client string // for Applied
	table  string
	key    Item            // the key attributes; for a put, the whole item
	put    bool            // key is the whole item
	cond   *expr.Condition // nil: unconditional
	reveal bool            // a refusal carries the row
	update *expr.Update    // for updates
	remove bool            // a delete
	check  bool            // a transaction's condition, which writes nothing
}

// A change is a write that may be stored: its row on either side.
type change struct {
	*write
	t             *table
	before, after Item
	usage         usage // once it is known
}

// write carries out one write.
func (s *Service) write(w *write) (*change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	c, err := s.prepare(w, now)
	if c == nil {
		return nil, err
	}
	if err := s.admit(c.t, nil, c.hash(), true, now); err != nil {
		return nil, err
	}
	c.usage = c.used()
	s.spend(c.usage, nil, c.hash(), now)
	if err != nil {
		return nil, err
	}
	s.commit(c, now)
	return c, nil
}

// hash returns the sort key of the row's hash attribute.
func (c *change) hash() string { return c.key[c.t.key.hash.Name].SortKey() }

// prepare finds out what w would do, and changes nothing. Where the condition
// is false it returns the change, which leaves the row as it is and costs
// units all the same, beside the error. The lock is held.
func (s *Service) prepare(w *write, now time.Time) (*change, error) {
	t, err := s.open(w.table, now)
	if err != nil {
		return nil, err
	}
	if err := w.valid(t, s.opts.Limits); err != nil {
		return nil, err
	}
	row := t.get(w.key)
	c := &change{write: w, t: t, before: row, after: row}
	if !w.cond.Holds(row) {
		if !w.reveal {
			row = nil
		}
		return c, errCondition(row)
	}
	switch {
	case w.check:
	case w.put:
		c.after = w.key
	case w.remove:
		c.after = nil
	default:
		if err := c.apply(s.opts.Limits); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// apply computes what an update makes of the row, or of a new one.
func (c *change) apply(l Limits) (err error) {
	base := c.before
	if base == nil {
		if !c.update.Creates() {
			return nil
		}
		base = c.key
	}
	if c.after, err = c.update.Apply(base); err != nil {
		return err
	}
	return c.t.check(c.after, true, l)
}

// valid checks what needs the table's definition and not the row.
func (w *write) valid(t *table, l Limits) error {
	if w.put {
		if err := t.key.checkItem(w.key, l); err != nil {
			return err
		}
		return t.check(w.key, false, l)
	}
	if err := t.key.checkKey(w.key, l); err != nil {
		return err
	}
	for _, p := range w.update.Paths() {
		for _, name := range t.key.names() {
			if p.Root() == name {
				return invalidf("Cannot update attribute %s. This attribute is part of the key", name)
			}
		}
		if p.Nested() {
			if err := t.scalar(p.Root()); err != nil {
				return err
			}
		}
	}
	return nil
}

// scalar refuses a path into an attribute that is the key of an index.
func (t *table) scalar(name string) error {
	for _, ix := range t.indexes {
		for _, key := range ix.key.names() {
			if key == name {
				return attr.Invalidf("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: %s", name)
			}
		}
	}
	return nil
}

// commit stores a change and tells the record of applied writes. The lock is
// held since prepare.
func (s *Service) commit(c *change, now time.Time) {
	if c.check {
		return
	}
	s.set(c.t, c.before, c.after, now)
	if s.opts.Applied == nil {
		return
	}
	s.opts.Applied(Applied{
		Table: c.table, Op: c.op, Client: c.client, Key: c.key.Only(c.t.key.names()...),
		Before: c.before, After: c.after, Condition: c.cond.String(),
	})
}

// returned returns the attributes that ReturnValues asks for.
func (c *change) returned(values string) Item {
	switch values {
	case "ALL_OLD":
		return c.before
	case "ALL_NEW":
		return c.after
	case "UPDATED_OLD":
		return c.updated(c.before)
	case "UPDATED_NEW":
		return c.updated(c.after)
	}
	return nil
}

// updated returns the part of it that the update's paths lead to.
func (c *change) updated(it Item) Item {
	paths := c.update.Paths()
	if len(paths) == 0 {
		return nil
	}
	return expr.Projection(paths).Of(it)
}

// reply is the response to one write.
func (c *change) reply(w wanted) map[string]any {
	out := map[string]any{}
	if it := c.returned(w.values); len(it) > 0 {
		out["Attributes"] = it
	}
	if w.capacity != "NONE" {
		out["ConsumedCapacity"] = c.usage.consumed(w.capacity)
	}
	if w.metrics {
		if m := c.collection(); m != nil {
			out["ItemCollectionMetrics"] = m
		}
	}
	return out
}

// wanted is what the response to a write is to hold.
type wanted struct {
	values   string // ReturnValues
	capacity string // ReturnConsumedCapacity
	metrics  bool   // ReturnItemCollectionMetrics
}

// returnValues takes ReturnValues of an operation that knows the old row only.
func (r *request) returnValues() string {
	v := r.anyReturn()
	if v != "NONE" && v != "ALL_OLD" {
		r.fail(attr.Invalidf("ReturnValues can only be ALL_OLD or NONE"))
	}
	return v
}

// anyReturn takes ReturnValues.
func (r *request) anyReturn() string {
	return r.enum("ReturnValues", "NONE", "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW")
}

// reveal takes ReturnValuesOnConditionCheckFailure.
func (r *request) reveal() bool {
	return r.enum("ReturnValuesOnConditionCheckFailure", "NONE", "ALL_OLD", "NONE") == "ALL_OLD"
}
