package producer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/budget"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/internal/wire"
)

// A Producer puts records into one stream. Use [New] to make one and
// [Producer.Close] to end it. It is safe for concurrent use.
type Producer struct {
	client KinesisAPI
	wire   *wire.Codec
	stream target
	opts   Options
	start  time.Time     // instants count from here
	window time.Duration // how early a record may leave to keep others company
	small  int           // bytes of data of a record that may go on a stage, and always gains

	overhead int64 // what a record costs beyond its bytes where it is aggregated

	budget  *budget.Budget
	routes  atomic.Pointer[routes]
	parcels sync.Pool // of *parcel that aggregate
	singles sync.Pool // of *parcel that do not
	stages  sync.Pool // of *stage
	waiters sync.Pool // of *waiter
	counts  counters
	ids     ids
	looked  atomic.Int64 // instant of the end of the last look at the stream

	// From everybody to the flusher: set something, then signal wake.
	ready   atomic.Pointer[lane] // lanes to look at, linked by next
	wake    chan struct{}        // holds one signal
	inbox   inbox
	closing chan struct{} // closed by the first Close
	closed  sync.Once
	done    chan struct{} // closed when everything has ended

	running   sync.WaitGroup // the flusher
	senders   sync.WaitGroup // goroutines in a request or a load
	callbacks callbacks

	flusher // what only the flusher touches
}

// An inbox is what others leave for the flusher. mu guards all of it.
type inbox struct {
	mu      sync.Mutex
	answers []*request
	flushes []*ticket
	loads   []loaded
	look    bool            // somebody wants the stream looked at
	asks    []chan struct{} // of those who wait for it; to be closed after the look
	abort   error           // why a Close gave up waiting
}

// New returns a Producer for a stream, given by name or ARN. It makes no call
// and starts one goroutine, the flusher, which [Producer.Close] ends.
//
// If options are out of bounds the error names all of them.
func New(client KinesisAPI, stream string, optFns ...func(*Options)) (*Producer, error) {
	opts := defaults()
	opts.ProducerID = rand.Text()
	for _, fn := range optFns {
		fn(&opts)
	}
	t, err := parseTarget(stream)
	if client == nil {
		err = errors.Join(errors.New("producer: client is nil: must be set"), err)
	}
	if err = errors.Join(err, opts.validate()); err != nil {
		return nil, err
	}
	if err := shardmap.CheckMD5(); err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	p := &Producer{
		client:   client,
		wire:     wire.New(opts.Wire),
		stream:   t,
		opts:     opts,
		start:    time.Now(),
		window:   min(50*time.Millisecond, opts.RecordMaxBufferedTime/5),
		small:    min(smallData, opts.AggregationMaxBytes/3),
		overhead: opts.overhead(),
		budget:   opts.Budget,
		ids:      newIDs(),
		wake:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	if p.budget == nil {
		p.budget = NewBudget(opts.MaxBufferedBytes)
	}
	p.callbacks.wake, p.callbacks.logger = make(chan struct{}, 1), opts.Logger
	p.flusher = flusher{
		loadAt:  never,
		backoff: pace.Backoff{Base: 50 * time.Millisecond, Max: 5 * time.Second},
	}
	p.routes.Store(p.newRoutes(facts{maxRecord: defaultRecordBytes}, nil, nil))
	p.running.Go(p.run)
	return p, nil
}

// Put puts a record and waits for its result. The error is nil if the record
// was stored; otherwise it is the result's Err.
//
// Put waits for room in the buffer, then until the record is stored or has
// failed, at the latest for [Options.RecordTTL]. If ctx ends before the record
// was accepted, it was not stored. If ctx ends later, the record goes on without
// the caller: the outcome is Unknown, with the cause of ctx.
//
// The errors are [*RecordError] for a record that cannot be put, [ErrClosed]
// after Close, [*PutError] for an accepted record, or the cause of ctx.
//
// Data is copied; the caller may change it when Put returns.
func (p *Producer) Put(ctx context.Context, r Record) (Result, error) {
	w := p.newWaiter()
	if err := p.accept(ctx, &r, nil, w); err != nil {
		p.waiters.Put(w)
		return Result{Record: r, Outcome: NotStored, Err: err}, err
	}
	res := p.await(ctx, w, &r)
	return res, res.Err
}

func (p *Producer) newWaiter() *waiter {
	w, _ := p.waiters.Get().(*waiter)
	if w == nil {
		w = &waiter{done: make(chan struct{}, 1)}
	}
	return w
}

// await waits for the result of a record that was accepted with w, until ctx
// ends.
func (p *Producer) await(ctx context.Context, w *waiter, r *Record) Result {
	select {
	case <-w.done:
	case <-ctx.Done():
		select {
		case <-w.done: // a result that is there wins
		default:
			err := &PutError{Outcome: Unknown, Reason: context.Cause(ctx)}
			return Result{Record: *r, Outcome: Unknown, Err: err}
		}
	}
	res := w.result
	w.result = Result{}
	p.waiters.Put(w)
	res.Record = *r
	return res
}

// PutAsync puts a record and returns when it is accepted. It waits for room in
// the buffer until ctx ends; after that ctx has no effect. If it returns an
// error, which is one of [Producer.Put]'s, the record was not accepted and done
// is not called.
//
// Done, if not nil, is called once with the record's result, on a goroutine
// that runs all of a Producer's callbacks one after another. The memory of a
// record is free again after its callback, so a callback that blocks makes Put
// and PutAsync wait. In a callback use [Producer.TryPut] to put again; Put,
// Flush and Close may wait for the callback itself. If done panics, Close
// panics with the same value.
//
// Data is copied; the caller may change it when PutAsync returns.
func (p *Producer) PutAsync(ctx context.Context, r Record, done func(Result)) error {
	return p.accept(ctx, &r, done, nil)
}

// TryPut is PutAsync for a caller that must not wait: it returns [ErrFull] if
// there is no room for the record, or if the stream has to be asked first whether
// it takes it, as for one above 1 MiB or without a key before all others.
func (p *Producer) TryPut(r Record, done func(Result)) error {
	var noWait context.Context
	return p.accept(noWait, &r, done, nil)
}

// accept takes a record over. A nil ctx means not to wait for anything.
func (p *Producer) accept(ctx context.Context, r *Record, done func(Result), w *waiter) error {
	if ctx != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	hash, err := r.checkKeys()
	if err != nil {
		return err
	}
	rt := p.routes.Load()
	if r.PartitionKey == "" || r.size() > rt.maxRecord {
		if rt, err = p.checkStream(ctx, r, rt); err != nil {
			return err
		}
	}
	tags, err := p.tag(ctx, r)
	if err != nil {
		return err
	}
	ar := aggregation.Record{PartitionKey: r.PartitionKey, ExplicitHashKey: r.ExplicitHashKey, Data: r.Data, Tags: tags}
	e := entry{key: r.PartitionKey, done: done, wait: w}
	for {
		l := rt.lane(hash)
		cost := p.cost(&ar, l)
		if !l.share.TryAcquire(cost) {
			if err := p.waitForRoom(ctx, l, cost); err != nil {
				return err
			}
			if rt = p.routes.Load(); rt.lane(hash) != l {
				l.share.Release(cost)
				continue
			}
		}
		state, look := l.put(p, &e, &ar, hash, cost)
		if look {
			p.signal(l)
		}
		if state == laneOpen {
			return nil
		}
		l.share.Release(cost)
		if state == laneClosed {
			return ErrClosed
		}
		<-rt.replaced // soon: the flusher is at it
		rt = p.routes.Load()
	}
}

// waitForRoom acquires cost bytes of the lane's share. If the lane was retired
// meanwhile nothing is acquired and the error is nil.
func (p *Producer) waitForRoom(ctx context.Context, l *lane, cost int64) error {
	if total := p.budget.Total(); cost > total {
		return &RecordError{"Data", fmt.Sprintf("%d bytes in the buffer", cost), fmt.Sprintf("must be at most MaxBufferedBytes, %d", total)}
	}
	if ctx == nil {
		return p.notNow()
	}
	err := l.share.Acquire(ctx, cost)
	if errors.Is(err, budget.ErrClosed) {
		select {
		case <-p.closing:
			return ErrClosed
		default:
			l.share.Charge(cost) // accept gives it back when it has found the new lane
			return nil
		}
	}
	return err
}

// notNow returns why a TryPut is refused that would have to wait.
func (p *Producer) notNow() error {
	select {
	case <-p.closing:
		return ErrClosed
	default:
		return ErrFull
	}
}

// checkStream checks what depends on the stream: whether it takes a record
// without a key, or one above 1 MiB. If that is not known, or known for long
// enough to have changed, it waits for a look at the stream.
func (p *Producer) checkStream(ctx context.Context, r *Record, rt *routes) (*routes, error) {
	if r.size() <= maxRecordBytes && (!rt.known || rt.refuses(r) != nil && p.stale()) {
		if err := p.ask(ctx); err != nil {
			return rt, err
		}
		if rt = p.routes.Load(); ctx == nil && !rt.known {
			return rt, p.notNow()
		}
	}
	return rt, rt.refuses(r)
}

// refuses returns why the stream does not take a record, as far as is known.
func (f *facts) refuses(r *Record) error {
	if r.PartitionKey == "" && !f.auto {
		return &RecordError{"PartitionKey", "empty", "must have 1 to 256 characters"}
	}
	if n := r.size(); n > f.maxRecord {
		return tooLarge(n, f.maxRecord)
	}
	return nil
}

// staleness is how old knowledge may be that has a record refused.
const staleness = 10 * time.Second

func (p *Producer) stale() bool {
	return p.now() >= instant(p.looked.Load()).after(staleness)
}

// ask has the stream looked at, and waits for it unless ctx is nil.
func (p *Producer) ask(ctx context.Context) error {
	var looked chan struct{}
	if ctx != nil {
		looked = make(chan struct{})
	}
	p.inbox.mu.Lock()
	if p.inbox.look = true; looked != nil {
		p.inbox.asks = append(p.inbox.asks, looked)
	}
	p.inbox.mu.Unlock()
	p.signal(nil)
	if ctx == nil {
		return nil
	}
	select {
	case <-looked:
		return nil
	case <-p.closing:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Flush sends what was put before it without waiting for company, and returns
// when all of that has its result and its callbacks have returned, or with the
// cause of ctx. Do not call it in a callback.
func (p *Producer) Flush(ctx context.Context) error {
	t := &ticket{done: make(chan struct{})}
	t.left.Store(1)
	p.inbox.mu.Lock()
	p.inbox.flushes = append(p.inbox.flushes, t)
	p.inbox.mu.Unlock()
	p.signal(nil)
	select {
	case <-t.done:
		return nil
	case <-p.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close stops accepting records, sends what is buffered, waits until every
// accepted record has its result and every callback has returned, and ends all
// goroutines of the Producer.
//
// If ctx ends first, Close ends the records not yet sent with [ErrClosed],
// cancels the calls under way, whose records may then be Unknown, waits for
// them and for callbacks, and returns the cause of ctx.
//
// Close may be called more than once and by any goroutine but the callbacks';
// every call waits. A Put racing with Close either completes or returns
// ErrClosed. If a callback panicked Close panics with the same value.
func (p *Producer) Close(ctx context.Context) error {
	p.closed.Do(func() { close(p.closing) })
	p.signal(nil)
	select {
	case <-p.done:
	case <-ctx.Done():
		p.inbox.mu.Lock()
		if p.inbox.abort == nil {
			p.inbox.abort = context.Cause(ctx)
		}
		p.inbox.mu.Unlock()
		p.signal(nil)
		<-p.done
	}
	p.running.Wait()
	if v := p.callbacks.panicked; v != nil {
		panic(v)
	}
	return p.aborted
}

// signal tells the flusher that there is something for it, on a lane or in the
// inbox.
func (p *Producer) signal(l *lane) {
	if l != nil {
		for {
			head := p.ready.Load()
			l.next = head
			if p.ready.CompareAndSwap(head, l) {
				break
			}
		}
	}
	select {
	case p.wake <- struct{}{}:
	default: // it has a signal waiting
	}
}

// now returns the instant it is.
func (p *Producer) now() instant { return instant(time.Since(p.start)) }

// time returns the time of an instant.
func (p *Producer) time(t instant) time.Time { return p.start.Add(time.Duration(t)) }

// A target is how calls name the stream.
type target struct{ name, arn *string }

func parseTarget(stream string) (target, error) {
	switch {
	case strings.HasPrefix(stream, "arn:"):
		if !strings.Contains(stream, ":stream/") {
			return target{}, fmt.Errorf("producer: stream is %s: must be a stream's name or ARN", quote(stream))
		}
		return target{arn: &stream}, nil
	case len(stream) < 1 || len(stream) > 128 || strings.ContainsFunc(stream, notInName):
		return target{}, fmt.Errorf("producer: stream is %s: must be an ARN or 1 to 128 letters, digits, '_', '.' or '-'", quote(stream))
	}
	return target{name: &stream}, nil
}

func notInName(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_.-", r))
}
