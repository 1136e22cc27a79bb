package contract

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var retentionChecks = []Check{
	{ID: "K.retention.bounds", Source: api("IncreaseStreamRetentionPeriod"),
		Says: "retention is 24 to 8,760 hours, Increase only raises it and Decrease only lowers it",
		Run:  retentionBounds},
	{ID: "K.retention.expiry", Source: guide("kinesis-extended-retention"),
		Says: "a record older than the retention period is gone; positions before read on from the oldest",
		Run:  retentionExpiry, Slow: true},
	{ID: "K.retention.increase", Source: api("IncreaseStreamRetentionPeriod"),
		Says: "a longer retention period does not bring back what is gone",
		Run:  retentionIncrease, Slow: true},
	{ID: "K.retention.closedshard", Source: guide("kinesis-using-sdk-java-after-resharding"),
		Says: "a closed shard is listed until its retention has passed, then unknown",
		Run:  retentionClosedShard, Slow: true},
}

func (e *Env) retain(ctx context.Context, name string, hours int32, longer bool) error {
	err := calm(ctx, func() error {
		var err error
		if longer {
			_, err = e.Kinesis.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: &name, RetentionPeriodHours: &hours})
		} else {
			_, err = e.Kinesis.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: &name, RetentionPeriodHours: &hours})
		}
		return err
	})
	if err != nil {
		return err
	}
	return e.active(ctx, name)
}

func retentionBounds(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	if err := e.retain(ctx, name, 48, true); err != nil {
		return err
	}
	out, err := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil || aws.ToInt32(out.StreamDescriptionSummary.RetentionPeriodHours) != 48 {
		return fmt.Errorf("after an increase to 48 hours: %+v, %v", out, err)
	}
	for _, tt := range []struct {
		hours  int32
		longer bool
	}{{47, true}, {8761, true}, {49, false}, {23, false}, {0, false}} {
		err := e.retain(ctx, name, tt.hours, tt.longer)
		if err := refused(fmt.Sprintf("%d hours, increase %v", tt.hours, tt.longer), err, invalidArgument, validation); err != nil {
			return err
		}
	}
	return e.retain(ctx, name, 24, false)
}

// What is older than the retention period cannot be read; a position before
// it reads from the trim horizon on.
func retentionExpiry(ctx context.Context, e *Env) error {
	name, old, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 23*time.Hour); err != nil {
		return err
	}
	young, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil {
		return err
	}
	if err := sameNumbers("after 23 hours", records, append(old, young...)); err != nil {
		return err
	}
	if err := sleep(ctx, 2*time.Hour); err != nil {
		return err
	}
	for _, in := range []*kinesis.GetShardIteratorInput{
		{ShardIteratorType: types.ShardIteratorTypeTrimHorizon},
		{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &old[0]},
		{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &old[0]},
		{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(-48 * time.Hour))},
	} {
		in.StreamName, in.ShardId = &name, aws.String(shard0)
		records, _, err := e.read(ctx, in)
		if err != nil {
			return err
		}
		if err := sameNumbers(fmt.Sprintf("after 25 hours, %s", in.ShardIteratorType), records, young); err != nil {
			return err
		}
	}
	return nil
}

// A longer period does not bring back what is gone.
func retentionIncrease(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 25*time.Hour); err != nil {
		return err
	}
	if err := e.retain(ctx, name, 48, true); err != nil {
		return err
	}
	kept, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 47*time.Hour); err != nil {
		return err
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil {
		return err
	}
	return sameNumbers("47 hours after an increase to 48", records, kept)
}

// A closed shard is listed until its records may be gone, and its id then
// still stands as a parent.
func retentionClosedShard(ctx context.Context, e *Env) error {
	name, _, err := e.splitFilled(ctx, 1)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 23*time.Hour); err != nil {
		return err
	}
	if err := e.shows(ctx, name, nil, "0 1 2"); err != nil {
		return fmt.Errorf("after 23 hours: %w", err)
	}
	if err := sleep(ctx, 2*time.Hour); err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return err
	}
	if got := shardIDs(shards); got != "1 2" {
		return fmt.Errorf("after 25 hours shards %q are listed, want 1 2", got)
	}
	if aws.ToString(shards[0].ParentShardId) != shard0 {
		return fmt.Errorf("the child's parent is %v", shards[0].ParentShardId)
	}
	for _, kind := range []types.ShardFilterType{types.ShardFilterTypeAtTrimHorizon, types.ShardFilterTypeAtLatest} {
		if err := e.shows(ctx, name, &types.ShardFilter{Type: kind}, "1 2"); err != nil {
			return err
		}
	}
	_, err = e.oldest(ctx, name)
	return refused("an iterator of the expired shard", err, notFound)
}
