package producer

import (
	"context"
	"fmt"
)

// PutMany puts records in their order and waits for all of their results, one
// for each record and in the same order. The error is nil if all were stored;
// otherwise it says how many were not and wraps the error of the first.
//
// A record that cannot be put does not stop the others. If ctx ends, those not
// accepted by then are NotStored, with the cause of ctx, and those without a
// result are Unknown, as with [Producer.Put].
func (p *Producer) PutMany(ctx context.Context, records []Record) ([]Result, error) {
	results := make([]Result, len(records))
	waiters := make([]*waiter, len(records))
	next := 0 // the first whose result has not been taken
	for i, r := range records {
		w := p.newWaiter()
		err := p.accept(ctx, &r, nil, w)
		results[i].Record = r
		if err != nil {
			p.waiters.Put(w)
			results[i].Outcome, results[i].Err = NotStored, err
			continue
		}
		waiters[i] = w
		// The waiters of records that have their results serve those to come.
		for ; next < i && (waiters[next] == nil || waiters[next].ready()); next++ {
			p.take(ctx, waiters[next], &results[next])
		}
	}
	for ; next < len(records); next++ {
		p.take(ctx, waiters[next], &results[next])
	}
	failed, first := 0, -1
	for i := range results {
		if results[i].Err != nil {
			if failed++; first < 0 {
				first = i
			}
		}
	}
	if failed == 0 {
		return results, nil
	}
	return results, fmt.Errorf("producer: %d of %d records not stored, the first is number %d: %w", failed, len(records), first, results[first].Err)
}

// take waits for the result of a record, unless it has no waiter because it was
// not accepted.
func (p *Producer) take(ctx context.Context, w *waiter, res *Result) {
	if w != nil {
		*res = p.await(ctx, w, &res.Record)
	}
}
