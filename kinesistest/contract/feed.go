package contract

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// A feed is what has come of a subscription.
type feed struct {
	stream  *kinesis.SubscribeToShardEventStream
	records []types.Record
	events  int
	last    types.SubscribeToShardEvent
	ended   bool
}

func (f *feed) close() { _ = f.stream.Close() } // what it has to report is in Err

var errQuiet = errors.New("nothing came")

// next takes the next event, which must come within a time. At the end it
// reports ended, and the stream's error.
func (f *feed) next(ctx context.Context, within time.Duration) error {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case e, ok := <-f.stream.Events():
		if !ok {
			f.ended = true
			return f.stream.Err()
		}
		event, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
		if !ok {
			return fmt.Errorf("an event of type %T", e)
		}
		f.events++
		f.last = event.Value
		f.records = append(f.records, event.Value.Records...)
		return nil
	case <-t.C:
		return fmt.Errorf("%w within %v", errQuiet, within)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// gather takes events until n records are there.
func (f *feed) gather(ctx context.Context, n int) error {
	for len(f.records) < n {
		if err := f.next(ctx, 20*time.Second); err != nil {
			return fmt.Errorf("after %d of %d records: %w", len(f.records), n, err)
		}
		if f.ended {
			return fmt.Errorf("the subscription ended after %d of %d records", len(f.records), n)
		}
	}
	return nil
}

// finish takes events until the subscription ends.
func (f *feed) finish(ctx context.Context) error {
	for !f.ended {
		if err := f.next(ctx, 20*time.Second); err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) subscribe(ctx context.Context, consumer *string, shard string, from *types.StartingPosition) (*feed, error) {
	// Subscriptions of one client share a decoder, which the race detector
	// reports (smithy-go#714); this gives each its own.
	own := func(o *kinesis.Options) { o.Protocol = awsjson.New11(schemas.Kinesis_20131202) }
	out, err := e.Kinesis.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: consumer, ShardId: &shard, StartingPosition: from}, own)
	if err != nil {
		return nil, fmt.Errorf("SubscribeToShard: %w", err)
	}
	return &feed{stream: out.GetStream()}, nil
}

// ends fails unless a feed has ended at the end of its shard, with n children.
func (f *feed) ends(n int) error {
	if f.last.ContinuationSequenceNumber != nil || len(f.last.ChildShards) != n {
		return fmt.Errorf("the last event has continuation %q and %d children, want none and %d",
			aws.ToString(f.last.ContinuationSequenceNumber), len(f.last.ChildShards), n)
	}
	for _, c := range f.last.ChildShards {
		if c.ShardId == nil || c.HashKeyRange == nil || len(c.ParentShards) != 1 || c.ParentShards[0] != shard0 {
			return fmt.Errorf("a child is %+v", c)
		}
	}
	return nil
}
