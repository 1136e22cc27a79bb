package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/examples/internal/verdict"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/producer"
)

const (
	// backlogBytes bounds what is put and not read yet, so that the embedded
	// server's memory is bounded however many records pass through.
	backlogBytes = 256 << 20

	// patience is how long nothing may arrive before records count as lost. It
	// covers the longest silence there is, the take-over of a dead worker's shards.
	patience = 60 * time.Second
)

// A show is one run: the stage (a server, a stream), the cast (a producer, a
// fleet) and the critic (a verdict).
type show struct {
	opts    *options
	out     *screen
	errs    io.Writer
	server  *kinesistest.Server // nil on AWS or another server
	stream  *stream
	tables  *dynamodb.Client
	fleet   *fleet
	puts    *producer.Producer
	verdict *verdict.Verdict

	read     atomic.Int64 // deliveries
	bytesIn  atomic.Int64
	bytesOut atomic.Int64
	started  int          // shards open at the start
	failed   atomic.Int64 // puts that ended without being stored for certain
	failure  atomic.Pointer[error]
	workers  int // started so far
}

// prepare makes everything that the run needs.
func (s *show) prepare(ctx context.Context) error {
	o := s.opts
	if o.digest {
		s.verdict.KeepDigests("")
	}
	streams, err := s.clients(ctx)
	if err != nil {
		return err
	}
	s.stream = &stream{client: streams, name: o.stream}
	if o.embedded() {
		s.stream.name = "trades"
		s.stream.largest = 10 << 10
	}
	if err := s.stream.create(ctx, o.shards); err != nil {
		return err
	}
	if s.started, err = s.learn(ctx); err != nil {
		return err
	}
	if err := s.checkTable(ctx); err != nil {
		return err
	}
	start := consumer.FromTrimHorizon()
	if !s.stream.created {
		start = consumer.FromTime(time.Now().Add(-time.Second)) // what is in it is not ours
	}
	s.fleet = &fleet{
		kinesis: streams, dynamo: s.tables, stream: s.stream.name, app: o.app, shards: s.started,
		start: start, way: o.way, board: newBoard(), deliver: s.delivered, say: s.out.say,
		events: lease.Events{CheckpointStored: s.trim},
	}
	s.puts, err = producer.New(streams, s.stream.name, func(p *producer.Options) {
		if o.embedded() {
			p.RateLimit = 0 // full speed: the embedded server runs without limits
		}
	})
	return err
}

// checkTable refuses a lease table that is older than the stream. Its rows name
// the shards of another stream, as done, and shards are numbered alike.
func (s *show) checkTable(ctx context.Context) error {
	if s.server != nil || !s.stream.created {
		return nil
	}
	_, err := s.tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.opts.app})
	var none *types.ResourceNotFoundException
	if err == nil {
		return fmt.Errorf("-app %s: there is a lease table of that name, of another stream: take another name, or none", s.opts.app)
	}
	if errors.As(err, &none) {
		return nil
	}
	return fmt.Errorf("describe table %s: %w", s.opts.app, err)
}

// clients connects to the server that the flags name, or brings one.
func (s *show) clients(ctx context.Context) (streams *kinesis.Client, err error) {
	if s.opts.embedded() {
		s.server = kinesistest.NewServer(kinesistest.Unthrottled, func(o *kinesistest.Options) { o.JournalEntries = 0 })
		cfg := s.server.Config()
		s.tables = dynamodb.NewFromConfig(cfg)
		return kinesis.NewFromConfig(cfg), nil
	}
	if s.tables, err = s.opts.aws.DynamoDB(ctx); err != nil {
		return nil, err
	}
	return s.opts.aws.Kinesis(ctx)
}

// play runs the show and reports whether every record arrived once, in order.
func (s *show) play(ctx context.Context) (ok bool, err error) {
	began := time.Now()
	if err := s.prepare(ctx); err != nil {
		return false, err
	}
	s.out.say("stream %s with %d shards, %d workers of application %s", s.stream.name, s.started, s.opts.workers, s.opts.app)
	for range s.opts.workers {
		if err := s.hire(ctx); err != nil {
			return false, err
		}
	}
	if err := s.seated(ctx); err != nil {
		return false, err
	}
	s.out.say("%v", s.fleet.board)
	stopLive := s.out.live(s.status)
	err = s.put(ctx)
	if err == nil {
		err = s.arrived(ctx)
	}
	stopLive()
	if err != nil {
		return false, err
	}
	s.pause(ctx, 3*checkpointEvery) // for the positions of the last records
	s.out.say("\nlease table %s:", s.opts.app)
	if err := showTable(ctx, s.out, s.tables, s.opts.app); err != nil {
		return false, err
	}
	if err := s.fleet.stop(); err != nil {
		return false, err
	}
	return s.report(ctx, time.Since(began))
}

// pause waits a moment.
func (s *show) pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// hire starts one more worker.
func (s *show) hire(ctx context.Context) error {
	s.workers++
	return s.fleet.add(ctx, fmt.Sprintf("worker-%d", s.workers))
}

// seated waits until every shard has a worker and the workers share them, so
// that the show begins with its cast on stage. It begins without if that takes
// too long; only a shard that nobody reads ends it.
func (s *show) seated(ctx context.Context) error {
	shards := s.started
	board := s.fleet.board
	all := func() bool { return board.size() >= shards || s.fleet.err() != nil }
	if err := s.await(ctx, patience, all, func() int64 { return int64(board.size()) }); err != nil {
		return err
	}
	shared := func() bool { return board.shared(min(shards, s.opts.workers)) || s.fleet.err() != nil }
	if err := s.await(ctx, 5*time.Second, shared, func() int64 { return 0 }); !errors.Is(err, errPatience) {
		return err
	}
	return nil
}

// await waits until done. It gives up when progress stands still for too long.
func (s *show) await(ctx context.Context, patience time.Duration, done func() bool, progress func() int64) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last, since := progress(), time.Now()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if p := progress(); p != last {
			last, since = p, time.Now()
		}
		if time.Since(since) > patience {
			return errPatience
		}
	}
	return s.fleet.err()
}

var errPatience = errors.New("nothing has moved for " + patience.String())

// delivered is called for every record that a worker handles.
func (s *show) delivered(shard string, r *consumer.Record) {
	p := r.Position
	s.verdict.Delivered(shard, p.SequenceNumber, int(p.SubSequenceNumber), r.PartitionKey, r.Data)
	s.bytesOut.Add(int64(len(r.Data)))
	s.read.Add(1)
}

// trim lets the embedded server forget what the only application has done with.
func (s *show) trim(i lease.CheckpointInfo) {
	if s.server == nil || !i.Position.IsRecord() {
		return
	}
	if err := s.server.Trim(s.stream.name, i.Shard, i.Position.SequenceNumber); err != nil {
		s.out.say("trim: %v", err)
	}
}

// status is the live line.
func (s *show) status() string {
	put, delivered := s.verdict.Progress()
	return strings.Join([]string{
		"put " + count(put), "read " + count(s.read.Load()), "lag " + count(max(0, put-delivered)), s.fleet.board.String(),
	}, " · ")
}

// clean ends what still runs after a failure and removes what the run made on a
// server that outlives it. What it has to say does not come behind the last line.
func (s *show) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if s.puts != nil {
		_ = s.puts.Close(ctx) // a run that did well has closed it
	}
	if s.fleet != nil {
		_ = s.fleet.stop()
	}
	if err := s.verdict.Close(); err != nil {
		fmt.Fprintln(s.errs, "quickstart:", err)
	}
	if s.server != nil {
		s.server.Close()
		return
	}
	if s.stream == nil {
		return
	}
	if err := s.stream.delete(ctx); err != nil {
		fmt.Fprintf(s.errs, "quickstart: stream %s is left over: %v\n", s.stream.name, err)
	}
	if !s.opts.ownApp {
		return
	}
	_, err := s.tables.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &s.opts.app})
	var none *types.ResourceNotFoundException
	if err != nil && !errors.As(err, &none) {
		fmt.Fprintf(s.errs, "quickstart: table %s is left over: %v\n", s.opts.app, err)
	}
}
