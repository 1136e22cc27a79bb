package aggregation

// A Cursor walks an aggregate's records one by one and can rest between them,
// for a reader that takes them in portions. [Aggregate.Records] is the simpler
// way to take them all.
//
// A Cursor is valid as long as its Aggregate, and belongs to one goroutine at a
// time. A copy goes on from where the original stood.
type Cursor struct {
	a  Aggregate
	at int // where in the message to look for the next record
	n  int // its subsequence number
}

// Cursor returns a cursor in front of the first record.
func (a Aggregate) Cursor() Cursor { return Cursor{a: a, at: a.first} }

// Next returns the next record and its subsequence number, and false when there
// is none.
func (c *Cursor) Next() (sub int, r Record, ok bool) {
	pk, ehk, data, end, tags := c.a.read(c.at)
	if end == 0 {
		return 0, Record{}, false
	}
	c.at = end
	c.n++
	return c.n - 1, Record{PartitionKey: pk, ExplicitHashKey: ehk, Data: data, Tags: tags}, true
}

// Left returns how many records Next has yet to return.
func (c *Cursor) Left() int { return c.a.records - c.n }
