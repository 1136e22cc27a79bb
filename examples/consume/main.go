// Command consume reads a stream as one worker of an application and prints a
// JSON line for every thing that happens: a lease gained or lost, a record, a
// checkpoint, the end of a shard. What to watch: start it two or three times with
// the same -app and see the shards being shared; kill one and see the others
// take over. SIGTERM or Ctrl-C stops it gracefully, a closed output too. What goes
// wrong meanwhile and passes is told on standard error.
//
//	go run ./examples/consume -stream clicks -app clicks-app
//	go run ./examples/consume -stream clicks -app clicks-app -retrieval fanout
//	go run ./examples/consume -endpoint http://127.0.0.1:4567 -stream clicks -app clicks-app -worker w1 -until 1000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second signal ends the program at once
	signal.Ignore(syscall.SIGPIPE) // a write to a closed pipe fails instead
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 0 after a clean stop, 1 if the work could not go
// on, 2 for a wrong flag.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "consume:", err)
		return 2
	}
	if err := consume(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "consume:", err)
		return 1
	}
	return 0
}

// consume reads until ctx ends, the time is up or enough records were read.
func consume(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	streams, err := o.aws.Kinesis(ctx)
	if err != nil {
		return err
	}
	tables, err := o.aws.DynamoDB(ctx)
	if err != nil {
		return err
	}
	store, err := dynamo.New(tables, o.app)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.runFor > 0 {
		defer time.AfterFunc(o.runFor, func() { cancel(errDone) }).Stop()
	}
	log := &journal{w: stdout, worker: o.worker, fail: cancel}
	c, err := consumer.New(streams, store, o.stream, func(c *consumer.Options) {
		c.Start = o.start
		c.Retrieval = o.way
		if o.way != consumer.Polling {
			c.FanOutConsumer = o.fanOut
		}
		c.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		c.Lease = func(l *lease.Options) {
			l.WorkerID = o.worker
			l.FailoverTime = o.failover
			l.Events = log.leaseEvents()
		}
	})
	if err != nil {
		return err
	}
	var read atomic.Int64
	each := func(e *consumer.EachOptions) {
		e.CheckpointEvery = o.every
	}
	err = c.Run(ctx, func(ctx context.Context, s *consumer.Shard) error {
		return consumer.EachRecord(func(ctx context.Context, r *consumer.Record) error {
			n := read.Add(1)
			if o.until > 0 && n >= o.until {
				cancel(errDone)
			}
			if o.until > 0 && n > o.until {
				return errDone // more than was asked for: the next reader has it
			}
			return log.record(s.Stream(), s.ID(), r)
		}, each)(ctx, s)
	})
	return errors.Join(err, log.write(event{Kind: "stopped", Stream: o.stream}))
}

var errDone = errors.New("done")
