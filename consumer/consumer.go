package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/hostload"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/internal/wire"
	"github.com/kinesis-go/kinesis/lease"
)

// A Handler processes one shard for as long as this worker holds it. It is
// called once per tenure, on a goroutine of its own, and again from the position
// stored last if it fails.
//
// Its ctx carries the values of [Consumer.Run]'s. It stays alive when Run's ends,
// so that the work in hand can be finished, and ends before the lease can
// expire (cause lease.ErrLost) or when the drain timeout has passed (cause
// lease.ErrDrainTimeout).
//
// What it returns:
//
//   - nil after [Shard.Batches] ended by itself: the shard is done, its children
//     may be read;
//   - nil or [ErrStopping] while the shard is being given up: a clean stop;
//   - nil otherwise: [ErrReturnedEarly], a failure;
//   - any other error, or a panic: a failure. [Events.HandlerFailed] tells it,
//     and the handler is called again after a pause of at most 200 ms, doubling
//     with each failure in a row to at most 30 s. Nothing is skipped; a record
//     that fails for ever is tried for ever.
//
// [EachRecord] and [EachBatch] make handlers of functions, with a choice of what
// becomes of records that fail.
type Handler func(ctx context.Context, s *Shard) error

// A Consumer reads a stream, or many, together with every other consumer of the same
// application: those whose store is the same lease table.
type Consumer struct {
	client  KinesisAPI
	stream  streamRef
	many    *multi // nil for a consumer of one stream, which is the one above
	opts    Options
	wire    *wire.Codec
	leases  *lease.Coordinator
	budget  *Budget
	fans    fanOuts
	health  health
	running atomic.Bool

	heritage heritage
}

// New returns a consumer of a stream, given by name or ARN, for the application
// whose leases are in store. It does no I/O and starts nothing; [Consumer.Run]
// does. The error names every option that is out of range.
func New(client KinesisAPI, store lease.Store, stream string, optFns ...func(*Options)) (*Consumer, error) {
	o := defaults()
	for _, fn := range optFns {
		fn(&o)
	}
	ref, err := parseStream(stream)
	err = errors.Join(err, o.validate(), shardmap.CheckMD5())
	if client == nil {
		err = errors.Join(err, errors.New("consumer: client is nil, want a Kinesis client"))
	} else if _, ok := client.(FanOutAPI); !ok && (o.Retrieval != Polling || o.Deregister) {
		err = errors.Join(err, fmt.Errorf("consumer: Retrieval is %v, but the client has not the methods of FanOutAPI", o.Retrieval))
	}
	if store == nil {
		err = errors.Join(err, errors.New("consumer: store is nil, want a lease.Store"))
	}
	if err != nil {
		return nil, err
	}
	c := newConsumer(client, o)
	c.stream = ref
	if err := c.join(store, &source{client: client, stream: ref, start: o.Start}); err != nil {
		return nil, err
	}
	return c, nil
}

func newConsumer(client KinesisAPI, o Options) *Consumer {
	c := &Consumer{client: client, opts: o, wire: wire.New(o.Wire), budget: o.Budget}
	if c.budget == nil {
		c.budget = NewBudget(o.MaxBufferedBytes)
	}
	return c
}

// join makes the worker of the lease engine.
func (c *Consumer) join(store lease.Store, from lease.Source) (err error) {
	c.leases, err = lease.New(store, from, func(l *lease.Options) {
		l.Logger = c.opts.Logger
		l.Load = hostload.New().CPU
		if c.opts.Lease != nil {
			c.opts.Lease(l)
		}
	})
	return err
}

// Run reads shards until ctx ends, calling h for each one this worker holds. It
// creates the lease table if there is none, joins the workers that are there,
// and returns when every handler and goroutine it started has ended and the
// leases are given back.
//
// At the end of ctx it returns nil, as soon as every handler has: one that does
// not return when its own context has ended keeps Run waiting.
//
// It returns an error early if the work cannot go on: the table is not usable,
// Kinesis says at the start that the stream does not exist or that this caller
// may not list its shards, a handler's options are out of range, or a record was
// given up as a [FailurePolicy] says (a [*RecordError]).
func (c *Consumer) Run(ctx context.Context, h Handler) error {
	if h == nil {
		return errors.New("consumer: handler is nil")
	}
	if !c.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer c.running.Store(false)
	if err := c.find(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := c.leases.Run(ctx, func(fetch, work context.Context, held *lease.Held) error {
		err := c.hold(ctx, fetch, work, held, h)
		var fatal *fatalError
		if errors.As(err, &fatal) {
			cancel(fatal)
		}
		return err
	})
	cause := context.Cause(ctx)
	cancel(nil)
	c.fans.end()
	c.heritage.end()
	var fatal *fatalError
	if errors.As(cause, &fatal) {
		return fatal.err
	}
	if err == nil && c.opts.Deregister {
		c.deregisterLast(ctx)
	}
	return err
}

// Fleet returns what the lease table says now of the whole application: which
// worker reads which shard, since when, why, and how far behind; what nobody
// reads, and why; who leads. It works whether or not [Consumer.Run] does, and
// costs one read of the whole table. A program that is no worker uses
// [lease.NewViewer].
func (c *Consumer) Fleet(ctx context.Context) (lease.Fleet, error) { return c.leases.Fleet(ctx) }

// find returns an error if the stream is not there for this caller, so that a
// mistyped name does not wait for ever, nor leaves a table behind. What may pass
// by itself is no reason to give up.
func (c *Consumer) find(ctx context.Context) error {
	if c.many != nil {
		return nil // the lease engine asks for them first
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.client.ListShards(call, &kinesis.ListShardsInput{
		StreamName: c.stream.nameOnly(), StreamARN: c.stream.arnOnly(), MaxResults: aws.Int32(1),
	})
	if ctx.Err() == nil && isCode(err, "ResourceNotFoundException", "InvalidArgumentException", "ValidationException",
		"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException",
		"ExpiredTokenException", "IncompleteSignatureException", "MissingAuthenticationTokenException") {
		return fmt.Errorf("consumer: list the shards of %s: %w", c.stream.name, err)
	}
	return nil
}

// handlerBackoff spaces the calls of a handler that fails.
var handlerBackoff = pace.Backoff{Base: 200 * time.Millisecond, Max: 30 * time.Second}

// finishBackoff spaces the attempts to write the end of a shard.
var finishBackoff = pace.Backoff{Base: 200 * time.Millisecond, Max: 5 * time.Second}

// hold works on a shard until it is finished, lost or to be given up.
func (c *Consumer) hold(run, fetch, work context.Context, held *lease.Held, h Handler) error {
	failures := 0
	for {
		from := held.Position()
		retrieval, err := c.retriever(run, held, from)
		if err != nil {
			return err
		}
		var s *Shard
		u := c.unpacker(held, from)
		u.reached = func(t time.Time) { held.ReadTo(s.handledTo(t)) }
		r := startReader(run, fetch, held.Err, retrieval, retrieval.account, u)
		s = &Shard{
			stream: label(held), name: held.Stream().Name, streamID: held.Stream().ID, id: held.Shard().ID, epoch: held.Epoch(),
			source: r, stored: from,
			store: held.Checkpoint, prepare: held.Prepare, pending: held.Pending(), failed: c.opts.checkpointFailed,
			opts: &c.opts, stops: [2]<-chan struct{}{run.Done(), fetch.Done()},
			parents: held.Shard().Parents, heritage: &c.heritage,
		}
		err = s.settle(work, handle(work, s, h))
		s.end()
		s.letGo()
		r.stop()
		retrieval.close()
		var fatal *fatalError
		switch {
		case errors.As(err, &fatal) || errors.As(r.failed, &fatal):
			return fatal
		case err == nil && s.ended:
			return c.finish(fetch, work, held, s, r.children)
		case work.Err() != nil:
			return context.Cause(work)
		case r.failed != nil:
			return r.failed
		case r.err() != nil:
			if err == nil || errors.Is(err, ErrStopping) {
				return nil
			}
			return err
		case err == nil:
			err = ErrReturnedEarly
		}
		if held.Position() != from {
			failures = 0
		}
		pause := handlerBackoff.Delay(held.Epoch().Owner, "handler", s.id, failures)
		failures++
		c.opts.handlerFailed(HandlerFailedInfo{Stream: s.stream, ShardID: s.id, Err: err, Failures: failures, Retry: pause})
		if sleep(fetch, pause) != nil {
			return err // what the lease engine is told when the shard is given up
		}
	}
}

// handle runs the handler and turns a panic into an error. It runs on a
// goroutine of its own, so that one that exits it takes nothing else along.
func handle(ctx context.Context, s *Shard, h Handler) error {
	err := ErrExited
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: debug.Stack()}
			}
		}()
		err = h(ctx, s)
	})
	wg.Wait()
	return err
}

// finishGrace is how long the end of a shard may still be written when the shard
// is to be given up.
const finishGrace = time.Second

// finish writes the end of a shard, trying until it is written or the lease is
// lost: the children wait for it. It may have to wait for another worker itself,
// to which the other parent of a merge belongs. A worker that gives the shard up
// does not: it stores how far it got, and the next one finishes.
func (c *Consumer) finish(fetch, work context.Context, held *lease.Held, s *Shard, children []lease.Shard) error {
	ctx, cancel := context.WithCancelCause(work)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		select {
		case <-fetch.Done():
			_ = sleep(ctx, finishGrace)
			cancel(ErrStopping)
		case <-ctx.Done():
		}
	})
	c.heritage.leave(s)
	ready := false
	for n := 0; ; n++ {
		var err error
		if !ready {
			err = s.beforeStore(ctx)
		}
		if ready = err == nil; ready {
			err = held.Finish(ctx, children)
		}
		switch {
		case err == nil || errors.Is(err, lease.ErrLost):
			return err
		case work.Err() != nil:
			return context.Cause(work)
		case ctx.Err() != nil:
			return s.storeDelivered(work)
		}
		c.opts.checkpointFailed(CheckpointFailedInfo{Stream: s.stream, ShardID: s.id, Position: checkpoint.ShardEnd, Err: err})
		_ = sleep(ctx, finishBackoff.Delay(s.epoch.Owner, "finish", s.id, n))
	}
}

// label returns what names the stream of a lease in events.
func label(held *lease.Held) string {
	s := held.Stream()
	return s.Label()
}

func (c *Consumer) unpacker(held *lease.Held, from checkpoint.Position) unpacker {
	return unpacker{
		stream: label(held), streamID: held.Stream().ID, name: held.Stream().Name, shardID: held.Shard().ID, hashes: held.Shard().Range,
		after: from, opts: &c.opts, observe: held.Observe,
	}
}
