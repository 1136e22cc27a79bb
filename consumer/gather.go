package consumer

import (
	"context"
	"slices"
	"time"
)

// A gatherer cuts and joins the batches of a shard into those of EachBatch. It
// belongs to the handler's goroutine.
type gatherer struct {
	runner
	opts *EachOptions

	// What waits for its batch to fill: less than one batch.
	records []Record
	bytes   int64
	behind  time.Duration
	since   time.Time // when the first of records came
	in      []*memory // what they lie in

	called time.Time // end of the last call of the function, or the beginning
}

// due is when something is to be done even if no batch comes, zero for never.
func (g *gatherer) due() time.Time {
	var due time.Time
	if len(g.records) > 0 {
		due = g.since.Add(g.opts.BatchAge)
	}
	if g.opts.Tick > 0 {
		due = earliest(due, g.called.Add(g.opts.Tick))
	}
	return due
}

// earliest returns the earlier of two times, either of which may be zero for
// never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// take works on what is due after b came, nil if a time has passed. Last says
// that nothing more will come.
func (g *gatherer) take(ctx context.Context, k *keeper, b *Batch, last bool) error {
	if b != nil && len(b.Records) > 0 {
		if err := g.add(ctx, k, b); err != nil {
			return err
		}
	}
	now := time.Now()
	switch {
	case len(g.records) > 0 && (last || !now.Before(g.since.Add(g.opts.BatchAge))):
		records := g.records
		g.records, g.bytes = nil, 0
		err := g.hand(ctx, k, records)
		g.letGo()
		return err
	case g.opts.Tick > 0 && !last && !now.Before(g.called.Add(g.opts.Tick)):
		return g.hand(ctx, k, nil)
	}
	return nil
}

// add hands over what b makes full, and keeps the rest.
func (g *gatherer) add(ctx context.Context, k *keeper, b *Batch) error {
	g.behind = b.Behind
	records := b.Records
	from := 0 // of the open batch in records, as far as it is not in g.records
	for i := range records {
		size := int64(len(records[i].Data) + len(records[i].PartitionKey))
		n := len(g.records) + i - from
		if n > 0 && (g.opts.BatchBytes > 0 && g.bytes+size > g.opts.BatchBytes || g.opts.BatchRecords > 0 && n >= g.opts.BatchRecords) {
			if err := g.full(ctx, k, records[from:i:i]); err != nil {
				return err
			}
			from = i
		}
		g.bytes += size
	}
	rest := records[from:]
	if n := len(g.records) + len(rest); g.opts.BatchRecords > 0 && n >= g.opts.BatchRecords || g.opts.BatchBytes > 0 && g.bytes >= g.opts.BatchBytes {
		return g.full(ctx, k, slices.Clip(rest))
	}
	if len(g.records) == 0 {
		g.since = time.Now()
		g.records = slices.Clip(rest) // the batch's own memory
	} else {
		g.records = append(g.records, rest...)
	}
	g.in = append(g.in, b.mem.retain())
	return nil
}

// full hands over a batch: what was gathered and more.
func (g *gatherer) full(ctx context.Context, k *keeper, more []Record) error {
	records := more
	if len(g.records) > 0 {
		records = append(g.records, more...)
	}
	g.records, g.bytes = nil, 0
	err := g.hand(ctx, k, records)
	g.letGo()
	return err
}

func (g *gatherer) hand(ctx context.Context, k *keeper, records []Record) error {
	err := g.batch(ctx, k, records, g.behind)
	g.called = time.Now()
	return err
}

// letGo releases what lay in earlier batches.
func (g *gatherer) letGo() {
	for _, m := range g.in {
		m.release()
	}
	g.in = g.in[:0]
}
