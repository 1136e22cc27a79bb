package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
)

// A record is one user record and where it stands.
type record struct {
	shard        string
	position     checkpoint.Position
	partitionKey string
	data         []byte
}

// A function is what Lambda calls.
type function func(context.Context, events.KinesisEvent) (events.KinesisEventResponse, error)

// spare is how long before the function's deadline it stops of its own accord.
// What is killed in the middle answers nothing, and all of its batch comes again.
const spare = time.Second

// handler returns a function that calls put with each user record of an event, in
// order, up to the first that fails. What lies behind that one is left alone:
// Lambda sends it again, and records of a key stay in order.
func handler(put func(context.Context, record) error) function {
	return func(ctx context.Context, event events.KinesisEvent) (answer events.KinesisEventResponse, err error) {
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline.Add(-spare))
			defer cancel()
		}
		for _, r := range event.Records {
			if err := each(ctx, r, put); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", r.EventID, err)
				answer.BatchItemFailures = []events.KinesisBatchItemFailure{{ItemIdentifier: r.Kinesis.SequenceNumber}}
				break
			}
		}
		return answer, nil
	}
}

// each calls put with the user records of one Kinesis record.
//
// A function does not know the hash keys of its shard, so it cannot tell an
// aggregate that a reshard sent astray, which its producer puts again. Those
// records come twice, as after any retry of a producer.
func each(ctx context.Context, r events.KinesisEventRecord, put func(context.Context, record) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	shard, _, _ := strings.Cut(r.EventID, ":")
	one := record{shard, checkpoint.At(r.Kinesis.SequenceNumber), r.Kinesis.PartitionKey, r.Kinesis.Data}
	agg, err := aggregation.Decode(r.Kinesis.Data)
	if err != nil {
		if !errors.Is(err, aggregation.ErrNotAggregated) {
			fmt.Fprintf(os.Stderr, "%s: delivered as it is: %v\n", r.EventID, err)
		}
		return put(ctx, one)
	}
	for sub, user := range agg.Records() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		one.position.SubSequenceNumber = int64(sub)
		one.partitionKey, one.data = user.PartitionKey, user.Data
		if err := put(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// A sink takes each record once, whatever comes again. It remembers positions; one
// that is a table has shard, sequence number and subsequence number for its key and
// inserts what is not there. The newest position alone would not do: with a
// ParallelizationFactor above 1 batches of one shard are handled side by side.
type sink struct {
	out  io.Writer
	fail string // refuse the record at this position

	mu   sync.Mutex
	done map[place]bool
}

type place struct {
	shard string
	checkpoint.Position
}

func newSink(out io.Writer) *sink { return &sink{out: out, done: make(map[place]bool)} }

func (s *sink) put(_ context.Context, r record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := place{r.shard, r.position}
	switch {
	case r.position.String() == s.fail:
		return errors.New("the sink refuses it")
	case s.done[at]:
		fmt.Fprintf(s.out, "%s %s %s: again, left out\n", r.shard, r.position, r.data)
		return nil
	}
	s.done[at] = true
	fmt.Fprintf(s.out, "%s %s %s\n", r.shard, r.position, r.data)
	return nil
}
