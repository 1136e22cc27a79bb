package consumer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
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
//
// What is dealt out at a time is a lot: an array of jobs that workers go through
// with one counter, in the order of the shard, without a lock. A job whose key is
// in somebody's hands when its turn comes is passed over; whoever is done with the
// one before puts it among those to be begun again, which come first. What is done
// is marked in the jobs, and looked through now and then for how far all is done.
type keyed struct {
	runner
	done   *Completions
	window int64
	often  bool                    // every record may be the one that makes a position due
	fail   context.CancelCauseFunc // ends the dealing

	// tokens has one for each piece of news a worker has not looked at, at most one
	// per worker: a worker that waits takes one, looks, and passes the news on if
	// there is more than it takes itself.
	tokens chan struct{}
	over   chan struct{} // closed when nothing is dealt out any more

	// Of the handler's goroutine.
	last  map[string]*job // the newest of a key; may be done
	dealt int             // since the keys were looked through
	pages []*pageInHand

	// What lies in the queues below, for who looks without mu.
	freed, asides atomic.Int64

	mu     sync.Mutex // guards what follows
	newest *lot
	again  jobs // to be begun, by ticket: passed over, repetitions
	aside  jobs // wait for their next attempt, by its time

	// Tickets from limit on are not begun: none when the work ends, those behind
	// the newest that was begun when the shard is given up. What lies before that
	// one is worth doing, for else whatever was done behind it would be repeated.
	limit checkpoint.Ticket
	err   error             // why it ends, if a worker knows
	errAt checkpoint.Ticket // of the record it knows from

	settling sync.Mutex // guards what follows
	oldest   *lot       // of which something is not known to be done
	settled  int        // jobs of it that are
}

// A lot is what was dealt out at a time.
type lot struct {
	jobs  []job
	first checkpoint.Ticket
	taken atomic.Int64        // jobs that were, or more if there are no more
	next  atomic.Pointer[lot] // nil if it is the newest
}

// allTaken is more than a lot has.
const allTaken = math.MaxInt64 / 2

// A job is a record in hand.
type job struct {
	page   *pageInHand
	index  int // of the record in the page
	ticket checkpoint.Ticket
	trial  *trial // nil before the first failure
	state  atomic.Int32
	next   atomic.Pointer[job] // the next record of its key; closed when this one is done
}

// The states of a job.
const (
	jobReady   = iota // may be taken when its turn comes
	jobWaiting        // for the record of its key before it
	jobPassed         // waits, and its turn has passed
	jobDone
)

// closed follows a job that is done.
var closed = new(job)

// A trial is what became of a job that failed.
type trial struct {
	work
	due time.Time // of the next attempt
}

// A pageInHand is a batch some of whose records are not done.
type pageInHand struct {
	mem     *memory
	records []Record
	left    atomic.Int64
}

// record returns the record of j, alone.
func (j *job) record() []Record { return j.page.records[j.index : j.index+1 : j.index+1] }

// unlimited is the limit while the work goes on, and the ticket of no record.
const unlimited = checkpoint.Ticket(math.MaxUint64)

func newKeyed(r runner, o *EachOptions) *keyed {
	nothing := new(lot)
	k := &keyed{
		runner: r, window: o.WindowBytes, last: map[string]*job{},
		often: o.CheckpointInterval == 0 || o.CheckpointEvery > 0,
		done: newCompletions(r.shard, CompletionOptions{
			CheckpointInterval: o.CheckpointInterval, CheckpointEvery: o.CheckpointEvery,
		}),
		newest: nothing, oldest: nothing,
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
		w := &worker{keyed: k, at: k.newest}
		wg.Go(func() { w.work(ctx) })
	}
	err := k.deal(ctx, dealing)
	k.end(unlimited, err)
	close(k.over)
	if ctx.Err() == nil && errors.Is(err, ErrStopping) {
		k.settle(0)
		_ = k.done.Flush(ctx) // what is in hand may outlast ctx; tried again below
	}
	wg.Wait()
	k.settle(0)
	for _, p := range k.pages {
		if p.left.Load() > 0 {
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
		k.settle(0)
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
			k.forget()
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
	page := &pageInHand{mem: b.mem.retain(), records: records}
	page.left.Store(int64(len(records)))
	k.pages = append(slices.DeleteFunc(k.pages, func(p *pageInHand) bool { return p.left.Load() == 0 }), page)
	for from := 0; from < len(records); {
		first, n, err := k.done.admit(records[from:], k.window)
		if err != nil {
			return err
		}
		if n == 0 {
			if err := k.await(ctx, dealing); err != nil {
				return err
			}
			continue
		}
		k.add(page, records, from, n, first)
		from += n
	}
	return nil
}

// await waits until the oldest record may have been done, or a position may be
// due to be stored.
func (k *keyed) await(ctx, dealing context.Context) error {
	if err := k.shard.rest(dealing, k.done.wakeAt(), k.done.room); err != nil {
		return err
	}
	k.settle(0)
	return k.done.storeDue(ctx)
}

// add deals out n records of page, from one on, that were admitted.
func (k *keyed) add(page *pageInHand, records []Record, from, n int, first checkpoint.Ticket) {
	h := &lot{jobs: make([]job, n), first: first}
	for i := range h.jobs {
		j := &h.jobs[i]
		j.page, j.index, j.ticket = page, from+i, first+checkpoint.Ticket(i)
		key := k.lane(&records[from+i])
		if key == "" {
			continue
		}
		if before := k.last[key]; before != nil {
			j.state.Store(jobWaiting)
			if !before.next.CompareAndSwap(nil, j) {
				j.state.Store(jobReady) // it is done
			}
		}
		k.last[key] = j
	}
	if k.dealt += n; k.dealt >= len(k.last) {
		k.forget()
	}
	k.mu.Lock()
	if k.limit == unlimited {
		k.newest.next.Store(h)
		k.newest = h
	}
	k.mu.Unlock()
	k.tell()
}

// forget lets go of the keys of which nothing is in hand.
func (k *keyed) forget() {
	maps.DeleteFunc(k.last, func(_ string, j *job) bool { return j.state.Load() == jobDone })
	k.dealt = 0
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

// settle looks how far all is done, when that many records more are, and reports
// whether a position is due to be stored.
func (k *keyed) settle(finished int) (due bool) {
	k.settling.Lock()
	h, n := k.oldest, k.settled
	first := h.first + checkpoint.Ticket(n)
	var last checkpoint.Ticket // one more than that
	for {
		for n < len(h.jobs) && h.jobs[n].state.Load() == jobDone {
			n++
		}
		last = h.first + checkpoint.Ticket(n)
		next := h.next.Load()
		if n < len(h.jobs) || next == nil {
			break
		}
		h, n = next, 0
	}
	k.oldest, k.settled = h, n
	k.settling.Unlock()
	return k.done.settle(first, last, finished)
}

// end says why the work ends, which is known from the record of a ticket. Of
// what several workers know, what the oldest record ended with counts.
func (k *keyed) end(ticket checkpoint.Ticket, err error) {
	k.mu.Lock()
	limit := k.stopTaking()
	if !errors.Is(err, ErrStopping) {
		limit = 0
	}
	k.limit = min(k.limit, limit)
	if k.err == nil || ticket < k.errAt {
		k.err, k.errAt = err, ticket
	}
	k.mu.Unlock()
	k.fail(err)
}

// stopTaking has nothing taken from the lots any more, and returns one ticket
// more than that of the newest that was. The caller has mu.
func (k *keyed) stopTaking() checkpoint.Ticket {
	k.settling.Lock()
	h := k.oldest
	k.settling.Unlock()
	if k.limit != unlimited {
		return k.limit
	}
	for ; h != nil; h = h.next.Load() {
		if n := h.taken.Swap(allTaken); n < int64(len(h.jobs)) {
			for later := h.next.Load(); later != nil; later = later.next.Load() {
				later.taken.Store(allTaken)
			}
			return h.first + checkpoint.Ticket(n)
		}
	}
	return unlimited - 1 // of all that there are
}

// jobs is a heap.
type jobs struct {
	list   []*job
	before func(a, b *job) bool
}

func byTicket(a, b *job) bool { return a.ticket < b.ticket }

func byDue(a, b *job) bool {
	return cmp.Or(a.trial.due.Compare(b.trial.due), cmp.Compare(a.ticket, b.ticket)) < 0
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
