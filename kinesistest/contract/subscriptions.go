package contract

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var subscriptionChecks = []Check{
	{ID: "K.sub.trim_horizon", Source: api("StartingPosition"),
		Says: "a subscription at TRIM_HORIZON gives every record, in order",
		Run:  subscribes(types.ShardIteratorTypeTrimHorizon, -1, 0)},
	{ID: "K.sub.at_seq", Source: api("StartingPosition"),
		Says: "a subscription AT_SEQUENCE_NUMBER begins with that record",
		Run:  subscribes(types.ShardIteratorTypeAtSequenceNumber, 3, 3)},
	{ID: "K.sub.after_seq", Source: api("StartingPosition"),
		Says: "a subscription AFTER_SEQUENCE_NUMBER begins behind that record",
		Run:  subscribes(types.ShardIteratorTypeAfterSequenceNumber, 3, 4)},
	{ID: "K.sub.latest", Source: api("StartingPosition"),
		Says: "a subscription at LATEST gives what is put after it began",
		Run:  subscribeLatest},
	{ID: "K.sub.at_timestamp", Source: api("StartingPosition"),
		Says: "a subscription AT_TIMESTAMP begins with the first record at or after a time",
		Run:  subscribeAtTimestamp},
	{ID: "K.sub.continuation", Source: api("SubscribeToShardEvent"),
		Says: "a new subscription behind the continuation number of an event goes on where that one ended",
		Run:  subscribeContinuation},
	{ID: "K.sub.livepush", Source: api("SubscribeToShard"),
		Says: "records are pushed as they come, once and in order",
		Run:  subscribeLive},
	{ID: "K.sub.two_consumers", Source: guide("enhanced-consumers"),
		Says: "each of two consumers gets every record",
		Run:  subscribeTwice},
	{ID: "K.sub.heartbeat", Source: "https://github.com/aws/aws-sdk-ruby/issues/2779",
		Says: "an idle subscription gets an event without records about every 5 seconds, with a continuation number",
		Run:  subscribeHeartbeat},
	{ID: "K.sub.5s_rule", Source: api("SubscribeToShard"),
		Says: "a second SubscribeToShard within 5 seconds is a ResourceInUseException",
		Run:  subscribeTooSoon},
	{ID: "K.sub.takeover", Source: api("SubscribeToShard"),
		Says: "after 5 seconds a second subscription takes over and the first ends",
		Run:  subscribeTakeover},
	{ID: "K.sub.5min_end", Source: api("SubscribeToShard"),
		Says: "a subscription ends after 5 minutes, without an error",
		Run:  subscribeLife, Slow: true},
	{ID: "K.sub.shardend_live", Source: api("SubscribeToShardEvent"),
		Says: "when its shard is split, a subscription gives the last record, then the children without a continuation number, then ends",
		Run:  subscribeToTheEnd},
	{ID: "K.sub.closedshard", Source: api("SubscribeToShardEvent"),
		Says: "a subscription to a closed shard gives its records, its children, and ends",
		Run:  subscribeClosed},
	{ID: "K.sub.unknown", Source: api("SubscribeToShard"),
		Says: "an unknown consumer or shard is a ResourceNotFoundException, a bad position an InvalidArgumentException",
		Run:  subscribeUnknown},
	{ID: "K.sub.while_creating", Source: api("SubscribeToShard"),
		Says: "a consumer that is not ACTIVE cannot subscribe",
		Run:  subscribeWhileCreating},
	{ID: "K.sub.while_updating", Source: api("SplitShard"),
		Says: "a stream that is UPDATING can be subscribed to",
		Run:  subscribeWhileUpdating},
	{ID: "K.sub.deregister", Source: api("DeregisterStreamConsumer"),
		Says: "the subscriptions of a deregistered consumer end",
		Run:  subscribeDeregister},
	{ID: "K.sub.dryrun", Source: api("SubscribeToShard"),
		Says: "DryRun answers DryRunOperationException and opens nothing",
		Run:  subscribeDryRun},
	{ID: "K.sub.2MiBps", Source: guide("enhanced-consumers"),
		Says: "a consumer gets at most 2 MiB a second of a shard",
		Run:  subscribeThroughput, Slow: true},
}

func horizon() *types.StartingPosition {
	return &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
}

func latest() *types.StartingPosition {
	return &types.StartingPosition{Type: types.ShardIteratorTypeLatest}
}

// reader registers a consumer and subscribes it to the first shard.
func (e *Env) reader(ctx context.Context, stream string, from *types.StartingPosition) (*feed, error) {
	consumer, err := e.consumer(ctx, stream, "reader")
	if err != nil {
		return nil, err
	}
	return e.subscribe(ctx, consumer, shard0, from)
}

// subscribes checks a position as iterates does.
func subscribes(kind types.ShardIteratorType, at, from int) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		name, numbers, err := e.filled(ctx, 10)
		if err != nil {
			return err
		}
		position := &types.StartingPosition{Type: kind}
		if at >= 0 {
			position.SequenceNumber = &numbers[at]
		}
		f, err := e.reader(ctx, name, position)
		if err != nil {
			return err
		}
		defer f.close()
		if err := f.gather(ctx, len(numbers)-from); err != nil {
			return err
		}
		return sameNumbers(string(kind), f.records, numbers[from:])
	}
}

func subscribeLatest(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	f, err := e.reader(ctx, name, latest())
	if err != nil {
		return err
	}
	defer f.close()
	numbers, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	if err := f.gather(ctx, 2); err != nil {
		return err
	}
	return sameNumbers("LATEST", f.records, numbers)
}

func subscribeAtTimestamp(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 1100*time.Millisecond); err != nil {
		return err
	}
	at := time.Now()
	if err := sleep(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	numbers, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	f, err := e.reader(ctx, name, &types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: &at})
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.gather(ctx, 2); err != nil {
		return err
	}
	return sameNumbers("from between two groups", f.records, numbers)
}

func subscribeContinuation(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	consumer, err := e.consumer(ctx, name, "reader")
	if err != nil {
		return err
	}
	f, err := e.subscribe(ctx, consumer, shard0, horizon())
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.gather(ctx, 3); err != nil {
		return err
	}
	continuation := f.last.ContinuationSequenceNumber
	if continuation == nil {
		return errors.New("an event of an open shard has no continuation number")
	}
	f.close()
	if err := sleep(ctx, 5200*time.Millisecond); err != nil {
		return err
	}
	numbers, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	again, err := e.subscribe(ctx, consumer, shard0, &types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: continuation})
	if err != nil {
		return err
	}
	defer again.close()
	if err := again.gather(ctx, 2); err != nil {
		return err
	}
	return sameNumbers("behind the continuation number", again.records, numbers)
}

func subscribeLive(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	f, err := e.reader(ctx, name, horizon())
	if err != nil {
		return err
	}
	defer f.close()
	var numbers []string
	for range 4 {
		more, err := e.fill(ctx, name, 10)
		if err != nil {
			return err
		}
		numbers = append(numbers, more...)
		if err := f.gather(ctx, len(numbers)); err != nil {
			return err
		}
	}
	return sameNumbers("pushed", f.records, numbers)
}

func subscribeTwice(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 5)
	if err != nil {
		return err
	}
	for _, id := range []string{"one", "two"} {
		consumer, err := e.consumer(ctx, name, id)
		if err != nil {
			return err
		}
		f, err := e.subscribe(ctx, consumer, shard0, horizon())
		if err != nil {
			return err
		}
		defer f.close()
		if err := f.gather(ctx, 5); err != nil {
			return err
		}
		if err := sameNumbers("consumer "+id, f.records, numbers); err != nil {
			return err
		}
	}
	return nil
}

func subscribeHeartbeat(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	f, err := e.reader(ctx, name, latest())
	if err != nil {
		return err
	}
	defer f.close()
	for f.events < 2 {
		start := time.Now()
		if err := f.next(ctx, 15*time.Second); err != nil || f.ended {
			return fmt.Errorf("event %d: ended %v, %v", f.events, f.ended, err)
		}
		if f.last.ContinuationSequenceNumber == nil || f.last.MillisBehindLatest == nil || len(f.last.Records) > 0 {
			return fmt.Errorf("an idle event is %+v", f.last)
		}
		if took := time.Since(start); f.events > 1 && (took < 3*time.Second || took > 8*time.Second) {
			return fmt.Errorf("the second event came after %v, want about 5s", took)
		}
	}
	return nil
}

func subscribeTooSoon(ctx context.Context, e *Env) error {
	_, consumer, err := e.registered(ctx)
	if err != nil {
		return err
	}
	f, err := e.subscribe(ctx, consumer, shard0, latest())
	if err != nil {
		return err
	}
	defer f.close()
	start := time.Now()
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	second, err := e.subscribe(ctx, consumer, shard0, latest())
	if err == nil {
		second.close()
	}
	return within(start, 4*time.Second, refused("2 s later", err, inUse))
}

func subscribeTakeover(ctx context.Context, e *Env) error {
	name, consumer, err := e.registered(ctx)
	if err != nil {
		return err
	}
	first, err := e.subscribe(ctx, consumer, shard0, latest())
	if err != nil {
		return err
	}
	defer first.close()
	if err := sleep(ctx, 5500*time.Millisecond); err != nil {
		return err
	}
	second, err := e.subscribe(ctx, consumer, shard0, latest())
	if err != nil {
		return fmt.Errorf("5.5 s later: %w", err)
	}
	defer second.close()
	if err := first.finish(ctx); err != nil && code(err) != inUse {
		return fmt.Errorf("the first: %w", err)
	}
	numbers, err := e.fill(ctx, name, 1)
	if err != nil {
		return err
	}
	if err := second.gather(ctx, 1); err != nil {
		return fmt.Errorf("the second: %w", err)
	}
	return sameNumbers("the second", second.records, numbers)
}

func subscribeLife(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	start := time.Now()
	f, err := e.reader(ctx, name, latest())
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.finish(ctx); err != nil {
		return err
	}
	if took := time.Since(start); took < 295*time.Second || took > 310*time.Second {
		return fmt.Errorf("it ended after %v, want 5m", took)
	}
	return nil
}

func subscribeToTheEnd(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	f, err := e.reader(ctx, name, horizon())
	if err != nil {
		return err
	}
	defer f.close()
	numbers, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	if err := e.split(ctx, name, shard0, half); err != nil {
		return err
	}
	if err := f.finish(ctx); err != nil {
		return err
	}
	if err := sameNumbers("all of the shard", f.records, numbers); err != nil {
		return err
	}
	return f.ends(2)
}

func subscribeClosed(ctx context.Context, e *Env) error {
	name, numbers, err := e.splitFilled(ctx, 5)
	if err != nil {
		return err
	}
	f, err := e.reader(ctx, name, horizon())
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.finish(ctx); err != nil {
		return err
	}
	if err := sameNumbers("the closed shard", f.records, numbers); err != nil {
		return err
	}
	return f.ends(2)
}

func subscribeUnknown(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 1)
	if err != nil {
		return err
	}
	consumer, err := e.consumer(ctx, name, "reader")
	if err != nil {
		return err
	}
	for _, tt := range []struct {
		what     string
		consumer string
		shard    string
		from     types.StartingPosition
		code     string
	}{
		{"another consumer", *consumer + "1", shard0, *latest(), notFound},
		{"another shard", *consumer, "shardId-000000000099", *latest(), notFound},
		{"a number that is none", *consumer, shard0, types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber, SequenceNumber: aws.String("123")}, invalidArgument},
		{"no number", *consumer, shard0, types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber}, invalidArgument},
		{"no time", *consumer, shard0, types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp}, invalidArgument},
		{"a future time", *consumer, shard0, types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(time.Hour))}, invalidArgument},
	} {
		// One call a second is let through to each shard.
		if err := sleep(ctx, 1100*time.Millisecond); err != nil {
			return err
		}
		f, err := e.subscribe(ctx, &tt.consumer, tt.shard, &tt.from)
		if err == nil {
			f.close()
		}
		if err := refused(tt.what, err, tt.code); err != nil {
			return err
		}
	}
	return nil
}

func subscribeWhileCreating(ctx context.Context, e *Env) error {
	_, stream, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	start := time.Now()
	c, err := e.register(ctx, stream, "reader")
	if err != nil {
		return err
	}
	f, err := e.subscribe(ctx, c.ConsumerARN, shard0, latest())
	if err == nil {
		f.close()
	}
	return within(start, time.Second, refused("while CREATING", err, inUse))
}

func subscribeWhileUpdating(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 2)
	if err != nil {
		return err
	}
	consumer, err := e.consumer(ctx, name, "reader")
	if err != nil {
		return err
	}
	if _, err := e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String(half)}); err != nil {
		return err
	}
	f, err := e.subscribe(ctx, consumer, shard0, horizon())
	if err != nil {
		return fmt.Errorf("while UPDATING: %w", err)
	}
	defer f.close()
	if err := f.gather(ctx, 2); err != nil {
		return err
	}
	return sameNumbers("while UPDATING", f.records, numbers)
}

func subscribeDeregister(ctx context.Context, e *Env) error {
	_, consumer, err := e.registered(ctx)
	if err != nil {
		return err
	}
	f, err := e.subscribe(ctx, consumer, shard0, latest())
	if err != nil {
		return err
	}
	defer f.close()
	if err := e.deregister(ctx, consumer); err != nil {
		return err
	}
	if err := f.finish(ctx); err != nil && code(err) != notFound {
		return err
	}
	return nil
}

func subscribeDryRun(ctx context.Context, e *Env) error {
	_, consumer, err := e.registered(ctx)
	if err != nil {
		return err
	}
	_, err = e.Kinesis.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: consumer, ShardId: aws.String(shard0), StartingPosition: latest(), DryRun: aws.Bool(true)})
	if err := refused("DryRun", err, "DryRunOperationException"); err != nil {
		return err
	}
	if err := sleep(ctx, 1100*time.Millisecond); err != nil {
		return err
	}
	f, err := e.subscribe(ctx, consumer, shard0, latest())
	if err != nil {
		return fmt.Errorf("after a dry run: %w", err)
	}
	f.close()
	return nil
}

func subscribeThroughput(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	if err := e.putMebibytes(ctx, name, 10); err != nil {
		return err
	}
	f, err := e.reader(ctx, name, horizon())
	if err != nil {
		return err
	}
	defer f.close()
	start := time.Now()
	if err := f.gather(ctx, 10); err != nil {
		return err
	}
	// A second's worth may come at once.
	if took := time.Since(start); took < 3*time.Second || took > 15*time.Second {
		return fmt.Errorf("10 MiB came in %v, want about 5s", took)
	}
	return nil
}
