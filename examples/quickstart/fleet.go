package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

const (
	// failover is short so that a watcher sees a crashed worker's shards move, and
	// so are the polls. The library's defaults are 10 s, which is what Java workers
	// expect, and 1 s. Both are stretched for each shard: this one process has to
	// poll and to renew all of them.
	failover         = 2 * time.Second
	failoverPerShard = 10 * time.Millisecond
	poll             = 200 * time.Millisecond
	pollPerShard     = 2 * time.Millisecond

	// checkpointEvery is short for the same reason: the table is to show where
	// everyone stands.
	checkpointEvery = 100 * time.Millisecond
)

// A fleet is the workers of one application, all in this process, each with
// clients of its own as if it were alone on a machine.
type fleet struct {
	kinesis *kinesis.Client
	dynamo  *dynamodb.Client
	stream  string
	app     string
	shards  int
	start   consumer.Start
	way     consumer.Retrieval
	deliver func(shard string, r *consumer.Record)
	events  lease.Events // beside the fleet's own
	board   *board
	say     func(format string, args ...any)

	mu      sync.Mutex
	workers []*worker
	errs    []error
	wg      sync.WaitGroup
}

// A worker is one consumer.
type worker struct {
	name   string
	cancel context.CancelFunc
	dead   atomic.Bool // crashed: nothing of it may be seen outside
}

// add starts a worker that runs until ctx ends or it crashes.
func (f *fleet) add(ctx context.Context, name string) error {
	w := &worker{name: name}
	streams := kinesis.New(f.kinesis.Options(), func(o *kinesis.Options) { o.HTTPClient = w.wire(o.HTTPClient) })
	tables := dynamodb.New(f.dynamo.Options(), func(o *dynamodb.Options) { o.HTTPClient = w.wire(o.HTTPClient) })
	store, err := dynamo.New(tables, f.app)
	if err != nil {
		return err
	}
	c, err := consumer.New(streams, store, f.stream, func(o *consumer.Options) {
		o.Start = f.start
		if o.Retrieval = f.way; f.way != consumer.Polling {
			o.FanOutConsumer, o.Deregister = f.app, true
		}
		o.PollInterval = poll + time.Duration(f.shards)*pollPerShard
		o.Events.HandlerFailed = func(i consumer.HandlerFailedInfo) { f.failed(w, i) }
		o.Lease = func(l *lease.Options) {
			l.WorkerID = name
			l.FailoverTime = failover + time.Duration(f.shards)*failoverPerShard
			l.Events = f.watch(w)
		}
	})
	if err != nil {
		return err
	}
	ctx, w.cancel = context.WithCancel(ctx)
	f.mu.Lock()
	f.workers = append(f.workers, w)
	f.mu.Unlock()
	f.wg.Go(func() {
		err := c.Run(ctx, f.handler(w))
		if err != nil && !w.dead.Load() {
			f.mu.Lock()
			f.errs = append(f.errs, fmt.Errorf("%s: %w", name, err))
			f.mu.Unlock()
		}
	})
	return nil
}

// handler hands each record to the verdict, in the order of its shard, and
// leaves the checkpoints to the library.
func (f *fleet) handler(w *worker) consumer.Handler {
	return func(ctx context.Context, s *consumer.Shard) error {
		return consumer.EachBatch(func(ctx context.Context, b *consumer.Batch) error {
			for i := range b.Records {
				if w.dead.Load() {
					return errCrashed
				}
				f.deliver(s.ID(), &b.Records[i])
			}
			return nil
		}, func(o *consumer.EachOptions) { o.CheckpointInterval = checkpointEvery })(ctx, s)
	}
}

// failed reports a handler's failure, which nothing in this program should cause.
func (f *fleet) failed(w *worker, i consumer.HandlerFailedInfo) {
	if !w.dead.Load() {
		f.say("%s failed at shard %s: %v", w.name, short(i.ShardID), i.Err)
	}
}

// crash ends the first living worker as a power cut would: from one moment to
// the next nothing of it reaches the stream or the lease table. It returns the
// worker's name and the shards it held.
func (f *fleet) crash() (name string, shards []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers {
		if held := f.board.heldBy(w.name); !w.dead.Load() && len(held) > 0 {
			w.dead.Store(true)
			w.cancel()
			return w.name, held
		}
	}
	return "", nil
}

// stop ends the living workers gracefully and waits for all.
func (f *fleet) stop() error {
	f.mu.Lock()
	workers := f.workers
	f.mu.Unlock()
	for _, w := range workers {
		w.cancel()
	}
	f.wg.Wait()
	return f.err()
}

// err returns why workers ended that nobody stopped.
func (f *fleet) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

var errCrashed = errors.New("worker crashed")

// wire returns the worker's connection to what next reaches, cut in both
// directions once the worker is dead: a request does not get out, an answer does
// not get in.
func (w *worker) wire(next aws.HTTPClient) aws.HTTPClient {
	return smithyhttp.ClientDoFunc(func(r *http.Request) (*http.Response, error) {
		if w.dead.Load() {
			return nil, errCrashed
		}
		resp, err := next.Do(r)
		if err == nil && w.dead.Load() {
			resp.Body.Close()
			return nil, errCrashed
		}
		return resp, err
	})
}
