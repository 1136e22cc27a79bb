package consumer

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A keyed works on many records of a shard at a time and on those of one
// partition key in order.
//
// The handler's goroutine deals the records out, up to the bytes of the window;
// each of a fixed number of workers takes the oldest record that may be worked on
// and whose key nobody has in hand. A record that failed lies aside until its
// next attempt without holding a worker, and the others of its key behind it.
// What is stored is the position before the oldest record that is not done.
type keyed struct {
	runner
	done   *Completions
	window int64
	fail   context.CancelCauseFunc // ends the dealing

	// tokens has one for each piece of news a worker has not looked at, at most one
	// per worker: a worker that waits takes one, looks, and passes the news on if
	// there is more than it takes itself.
	tokens chan struct{}
	over   chan struct{} // closed when nothing is dealt out any more

	mu    sync.Mutex // guards what follows
	last  map[string]*job
	fresh []*job // dealt out and not begun, of keys nobody had in hand; by ticket
	again jobs   // to be begun, by ticket: followers in their key, repetitions
	aside jobs   // wait for their next attempt, by its time
	pages []*pageInHand

	// Tickets from limit on are not begun: none when the work ends, those behind
	// the newest that was begun when the shard is given up. What lies before that
	// one is worth doing, for else whatever was done behind it would be repeated.
	limit checkpoint.Ticket
	begun checkpoint.Ticket // one more than the newest that was
	err   error             // why it ends, if a worker knows
	errAt checkpoint.Ticket // of the record it knows from
}

// A job is a record in hand. It belongs to who holds it: a queue of keyed or a
// worker.
type job struct {
	record []Record // just the one
	ticket checkpoint.Ticket
	next   *job // the next record of its key
	page   *pageInHand
	trial  *work     // nil before the first failure
	due    time.Time // of its next attempt
}

// A pageInHand is a batch some of whose records are not done.
type pageInHand struct {
	mem  *memory
	left int
}

// unlimited is the limit while the work goes on, and the ticket of no record.
const unlimited = checkpoint.Ticket(math.MaxUint64)

func newKeyed(r runner, o *EachOptions) *keyed {
	k := &keyed{
		runner: r, window: o.WindowBytes, last: map[string]*job{},
		done: newCompletions(r.shard, CompletionOptions{
			CheckpointInterval: o.CheckpointInterval, CheckpointEvery: o.CheckpointEvery,
		}),
		again: jobs{before: byTicket}, aside: jobs{before: byDue},
		tokens: make(chan struct{}, o.Concurrency), over: make(chan struct{}), limit: unlimited,
	}
	r.shard.inHands = k.done
	return k
}

// run works until the end of the shard, nil, or until something else ends it. It
// stores how far all is done before it returns.
func (k *keyed) run(ctx context.Context) error {
	dealing, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	k.fail = fail
	var wg sync.WaitGroup
	for range cap(k.tokens) {
		wg.Go(func() { k.work(ctx) })
	}
	err := k.deal(ctx, dealing)
	k.end(unlimited, err)
	close(k.over)
	if ctx.Err() == nil && errors.Is(err, ErrStopping) {
		_ = k.done.Flush(ctx) // what is in hand may outlast ctx; tried again below
	}
	wg.Wait()
	for _, p := range k.pages {
		if p.left > 0 {
			p.mem.release()
		}
	}
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return nil
	case k.err != nil:
		err = k.err
	}
	return withFlush(err, k.done.store(ctx))
}

// deal hands the records of the shard to the workers and returns why it ended,
// io.EOF when all of them are done. Its waits end with dealing.
func (k *keyed) deal(ctx, dealing context.Context) error {
	for {
		var until time.Time
		if k.done.unsettled() {
			until = k.done.wakeAt()
		}
		b, err := k.shard.next(dealing, until)
		switch {
		case errors.Is(err, io.EOF):
			for k.done.Pending() > 0 {
				if err := k.await(ctx, dealing); err != nil {
					return err
				}
			}
			return io.EOF
		case err != nil:
			return err
		case b == nil:
			err = k.done.storeDue(ctx)
		default:
			err = k.admit(ctx, dealing, b)
		}
		if err != nil {
			return err
		}
	}
}

// admit deals out the records of b as the window has room.
func (k *keyed) admit(ctx, dealing context.Context, b *Batch) error {
	records := b.Records
	if len(records) == 0 {
		return nil
	}
	page := &pageInHand{mem: b.mem.retain(), left: len(records)}
	k.mu.Lock()
	k.pages = append(slices.DeleteFunc(k.pages, func(p *pageInHand) bool { return p.left == 0 }), page)
	k.mu.Unlock()
	for len(records) > 0 {
		first, n, err := k.done.admit(records, k.window)
		if err != nil {
			return err
		}
		if n == 0 {
			if err := k.await(ctx, dealing); err != nil {
				return err
			}
			continue
		}
		k.add(records[:n], first, page)
		records = records[n:]
	}
	return nil
}

// await waits until the oldest record may have been done, or a position may be
// due to be stored.
func (k *keyed) await(ctx, dealing context.Context) error {
	if err := k.shard.rest(dealing, k.done.wakeAt(), k.done.room); err != nil {
		return err
	}
	return k.done.storeDue(ctx)
}

// add queues records that were admitted.
func (k *keyed) add(records []Record, first checkpoint.Ticket, page *pageInHand) {
	made := make([]job, len(records))
	k.mu.Lock()
	for i := range records {
		j := &made[i]
		*j = job{record: records[i : i+1 : i+1], ticket: first + checkpoint.Ticket(i), page: page}
		if key := k.lane(&j.record[0]); key != "" {
			before := k.last[key]
			k.last[key] = j
			if before != nil {
				before.next = j
				continue
			}
		}
		k.fresh = append(k.fresh, j)
	}
	k.mu.Unlock()
	k.tell()
}

// lane returns what records that must not overtake each other share, empty if
// that is nothing. A stream that spreads records itself gives them no key and
// promises no order; a repetition still waits for what it may repeat.
func (k *keyed) lane(r *Record) string {
	if r.PartitionKey == "" && k.seen != nil {
		return r.ID
	}
	return r.PartitionKey
}

// tell gives the workers news.
func (k *keyed) tell() {
	select {
	case k.tokens <- struct{}{}:
	default: // every worker is going to look
	}
}

// work is a worker.
func (k *keyed) work(ctx context.Context) {
	var j *job
	defer func() {
		if j != nil { // the function called runtime.Goexit
			k.end(j.ticket, ErrExited)
		}
	}()
	for {
		if err := k.shard.alive(ctx); err != nil {
			k.end(unlimited, err)
		}
		next, due, more := k.take()
		if next == nil {
			if !k.idle(due) {
				return
			}
			continue
		}
		if more {
			k.tell()
		}
		j = next
		if err := k.attempt(ctx, j); err != nil {
			k.end(j.ticket, err)
		}
		j = nil
	}
}

// idle waits for news, or until due unless it is zero. False means that there is
// nothing to come.
func (k *keyed) idle(due time.Time) bool {
	var timer <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-k.tokens:
	case <-timer:
	case <-k.over:
		return false
	}
	return true
}

// take returns the oldest job to begin and whether another worker should look, or
// if there is none, when one that lies aside is due.
func (k *keyed) take() (j *job, due time.Time, more bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.aside.list) > 0 && k.limit == unlimited {
		due = k.aside.list[0].due
		for now := time.Now(); len(k.aside.list) > 0 && !now.Before(due); {
			heap.Push(&k.again, heap.Pop(&k.aside))
			if len(k.aside.list) > 0 {
				due = k.aside.list[0].due
			}
		}
	}
	from := &k.fresh
	if len(k.again.list) > 0 && (len(k.fresh) == 0 || k.again.list[0].ticket < k.fresh[0].ticket) {
		from = &k.again.list
	}
	if len(*from) == 0 || (*from)[0].ticket >= k.limit {
		return nil, due, false
	}
	if j = (*from)[0]; from == &k.fresh {
		k.fresh[0] = nil
		k.fresh = k.fresh[1:]
	} else {
		heap.Pop(&k.again)
	}
	k.begun = max(k.begun, j.ticket+1)
	return j, due, len(k.again.list)+len(k.fresh)+len(k.aside.list) > 0
}

// attempt makes one attempt at j. An error ends the handler.
func (k *keyed) attempt(ctx context.Context, j *job) error {
	var w work
	if j.trial != nil {
		w = *j.trial
	} else {
		w.records = j.record
	}
	v, pause, err := workDone, time.Duration(0), error(nil)
	if j.trial != nil || !k.repeats(&j.record[0]) {
		v, pause, err = k.try(ctx, &w)
	}
	switch v {
	case workAgain:
		k.putAside(j, w, pause)
		return nil
	case workDone:
		k.finish(j)
		if k.done.finish(j.ticket) {
			k.tell() // who stores does not begin what this has freed
			return k.done.storeDue(ctx)
		}
		return nil
	case workSplit, workEnds:
	}
	return err
}

func (k *keyed) putAside(j *job, w work, pause time.Duration) {
	j.trial, j.due = &w, time.Now().Add(pause)
	k.mu.Lock()
	heap.Push(&k.aside, j)
	k.mu.Unlock()
	k.tell()
}

// finish lets go of j and frees the next record of its key.
func (k *keyed) finish(j *job) {
	var free *memory
	k.mu.Lock()
	if key := k.lane(&j.record[0]); key != "" {
		if j.next != nil {
			heap.Push(&k.again, j.next)
		} else {
			delete(k.last, key)
		}
	}
	if j.page.left--; j.page.left == 0 {
		free = j.page.mem
	}
	k.mu.Unlock()
	free.release()
}

// end says why the work ends, which is known from the record of a ticket. Of
// what several workers know, what the oldest record ended with counts.
func (k *keyed) end(ticket checkpoint.Ticket, err error) {
	k.mu.Lock()
	limit := checkpoint.Ticket(0)
	if errors.Is(err, ErrStopping) {
		limit = k.begun
	}
	k.limit = min(k.limit, limit)
	if k.err == nil || ticket < k.errAt {
		k.err, k.errAt = err, ticket
	}
	k.mu.Unlock()
	k.fail(err)
}

// jobs is a heap.
type jobs struct {
	list   []*job
	before func(a, b *job) bool
}

func byTicket(a, b *job) bool { return a.ticket < b.ticket }

func byDue(a, b *job) bool {
	return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.ticket, b.ticket)) < 0
}

func (q *jobs) Len() int           { return len(q.list) }
func (q *jobs) Less(i, j int) bool { return q.before(q.list[i], q.list[j]) }
func (q *jobs) Swap(i, j int)      { q.list[i], q.list[j] = q.list[j], q.list[i] }
func (q *jobs) Push(x any)         { q.list = append(q.list, x.(*job)) }

func (q *jobs) Pop() any {
	n := len(q.list) - 1
	j := q.list[n]
	q.list[n] = nil
	q.list = q.list[:n]
	return j
}
