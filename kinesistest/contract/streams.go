package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var streamChecks = []Check{
	{ID: "K.create.states", Source: api("CreateStream"),
		Says: "a new stream is CREATING and takes no records until it is ACTIVE",
		Run:  createStates},
	{ID: "K.create.duplicate", Source: api("CreateStream"),
		Says: "a name in use is refused with ResourceInUseException",
		Run:  createDuplicate},
	{ID: "K.create.badname", Source: api("CreateStream"),
		Says: "a stream's name is 1 to 128 of a-z A-Z 0-9 _ . -",
		Run:  createBadName},
	{ID: "K.create.badcount", Source: api("CreateStream"),
		Says: "a provisioned stream needs a shard count of at least 1, one on demand takes none",
		Run:  createBadCount},
	{ID: "K.create.ondemand", Source: guide("how-do-i-size-a-stream"),
		Says: "a stream on demand starts with 4 shards",
		Run:  createOnDemand},
	{ID: "K.create.again", Source: api("DeleteStream"),
		Says: "a stream made again under the same name has nothing of the one before",
		Run:  createAgain},
	{ID: "K.describe.missing", Source: api("DescribeStream"),
		Says: "an unknown stream is a ResourceNotFoundException",
		Run:  describeMissing},
	{ID: "K.describe.shape", Source: api("StreamDescription"),
		Says: "the shards of a new stream tile the hash keys, are open and have no parents; retention is 24 hours",
		Run:  describeShape},
	{ID: "K.describe.paging", Source: api("DescribeStream"),
		Says: "Limit and ExclusiveStartShardId page through the shards, HasMoreShards ends it",
		Run:  describePaging},
	{ID: "K.summary.newfields", Source: api("StreamDescriptionSummary"),
		Says: "a summary says MaxRecordSizeInKiB, 1024 by default, and the open shards",
		Run:  summaryNewFields},
	{ID: "K.liststreams.paging", Source: api("ListStreams"),
		Says: "streams are listed in the order of their names, in pages with a NextToken",
		Run:  listStreamsPaging},
	{ID: "K.arn.only", Source: api("PutRecords"),
		Says: "operations on a stream take StreamARN instead of StreamName",
		Run:  arnOnly},
	{ID: "K.arn.mismatch", Source: api("DescribeStreamSummary"),
		Says: "StreamName and StreamARN of two streams are refused",
		Run:  arnMismatch},
	{ID: "K.delete.states", Source: api("DeleteStream"),
		Says: "a deleted stream is DELETING, then unknown",
		Run:  deleteStates},
	{ID: "K.autodistribution", Source: guide("service-managed-pk-how-it-works"),
		Says: "with RecordDistributionStrategy AUTO keys are optional, records are spread, ordering by number is refused",
		Run:  autoDistribution},
}

func (e *Env) status(ctx context.Context, name string) (types.StreamStatus, error) {
	out, err := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return "", err
	}
	return out.StreamDescriptionSummary.StreamStatus, nil
}

func createStates(ctx context.Context, e *Env) error {
	name := e.name()
	if _, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)}); err != nil {
		return err
	}
	start := time.Now()
	if st, err := e.status(ctx, name); err != nil || st != types.StreamStatusCreating {
		return within(start, time.Second, fmt.Errorf("just created: %v, %v, want CREATING", st, err))
	}
	_, err := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), Data: []byte("x")})
	if err := refused("PutRecord while CREATING", err, notFound, inUse); err != nil {
		return within(start, time.Second, err)
	}
	return e.active(ctx, name)
}

func createDuplicate(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	_, err = e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
	return refused("creating it again", err, inUse)
}

func createBadName(ctx context.Context, e *Env) error {
	for _, name := range []string{"bad name!", "ä", text(129), ""} {
		_, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
		if err := refused(fmt.Sprintf("name %.20q", name), err, validation, invalidArgument); err != nil {
			return err
		}
	}
	return nil
}

func createBadCount(ctx context.Context, e *Env) error {
	for _, in := range []*kinesis.CreateStreamInput{
		{ShardCount: aws.Int32(0)},
		{ShardCount: aws.Int32(-1)},
		{}, // provisioned is the default mode, and needs a count
		{ShardCount: aws.Int32(1), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}},
		{ShardCount: aws.Int32(1), StreamModeDetails: &types.StreamModeDetails{StreamMode: "SOMETIMES"}},
	} {
		in.StreamName = aws.String(e.name())
		_, err := e.Kinesis.CreateStream(ctx, in)
		if err := refused(fmt.Sprintf("count %v, mode %v", in.ShardCount, in.StreamModeDetails), err, validation, invalidArgument); err != nil {
			return err
		}
	}
	return nil
}

func createOnDemand(ctx context.Context, e *Env) error {
	name := e.name()
	mode := &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
	if _, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, StreamModeDetails: mode}); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	out, err := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return err
	}
	d := out.StreamDescriptionSummary
	if aws.ToInt32(d.OpenShardCount) != 4 || d.StreamModeDetails == nil || d.StreamModeDetails.StreamMode != types.StreamModeOnDemand {
		return fmt.Errorf("%v shards in mode %v, want 4 in ON_DEMAND", aws.ToInt32(d.OpenShardCount), d.StreamModeDetails)
	}
	return nil
}

// A name may be used again, and numbers of the stream before are not of the
// new one.
func createAgain(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 1)
	if err != nil {
		return err
	}
	if err := e.delete(ctx, name); err != nil {
		return err
	}
	if err := calm(ctx, func() error {
		_, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
		return err
	}); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	if records, _, err := e.readAll(ctx, name, shard0); err != nil || len(records) != 0 {
		return fmt.Errorf("the new stream has %d records, %v", len(records), err)
	}
	_, err = e.iterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0),
		ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &numbers[0]})
	return refused("a sequence number of the stream before", err, invalidArgument)
}

// delete deletes a stream and waits until it is gone.
func (e *Env) delete(ctx context.Context, name string) error {
	if err := calm(ctx, func() error {
		_, err := e.Kinesis.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &name})
		return err
	}); err != nil {
		return fmt.Errorf("DeleteStream: %w", err)
	}
	return until(ctx, "stream gone", func() (bool, error) {
		_, err := e.status(ctx, name)
		if code(err) == notFound {
			return true, nil
		}
		return false, err
	})
}

func describeMissing(ctx context.Context, e *Env) error {
	name := aws.String(e.name())
	_, err1 := e.Kinesis.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: name})
	_, err2 := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name})
	_, err3 := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String("k"), Data: []byte("x")})
	_, err4 := e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name})
	_, err5 := e.Kinesis.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: name})
	return errors.Join(
		refused("DescribeStream", err1, notFound),
		refused("DescribeStreamSummary", err2, notFound),
		refused("PutRecord", err3, notFound),
		refused("ListShards", err4, notFound),
		refused("DeleteStream", err5, notFound))
}

func describeShape(ctx context.Context, e *Env) error {
	before := time.Now().Add(-time.Second)
	name, err := e.stream(ctx, 3)
	if err != nil {
		return err
	}
	out, err := e.Kinesis.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: &name})
	if err != nil {
		return err
	}
	d := out.StreamDescription
	switch {
	case aws.ToString(d.StreamName) != name || d.StreamARN == nil:
		return fmt.Errorf("name %v, ARN %v", d.StreamName, d.StreamARN)
	case d.StreamModeDetails == nil || d.StreamModeDetails.StreamMode != types.StreamModeProvisioned:
		return fmt.Errorf("mode %+v, want PROVISIONED", d.StreamModeDetails)
	case aws.ToInt32(d.RetentionPeriodHours) != 24:
		return fmt.Errorf("retention %d hours, want 24", aws.ToInt32(d.RetentionPeriodHours))
	case d.StreamCreationTimestamp == nil || d.StreamCreationTimestamp.Before(before) || d.StreamCreationTimestamp.After(time.Now().Add(time.Second)):
		return fmt.Errorf("created at %v", d.StreamCreationTimestamp)
	case d.HasMoreShards == nil || *d.HasMoreShards:
		return errors.New("HasMoreShards is not false")
	case len(d.Shards) != 3:
		return fmt.Errorf("%d shards, want 3", len(d.Shards))
	}
	for _, sh := range d.Shards {
		if sh.ParentShardId != nil || sh.AdjacentParentShardId != nil || sh.SequenceNumberRange.EndingSequenceNumber != nil {
			return fmt.Errorf("a new shard has a parent or an end: %+v", sh)
		}
	}
	return tiles(d.Shards)
}

func describePaging(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 5)
	if err != nil {
		return err
	}
	var all []types.Shard
	var after *string
	for range 3 {
		out, err := e.Kinesis.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: &name, Limit: aws.Int32(2), ExclusiveStartShardId: after})
		if err != nil {
			return err
		}
		d := out.StreamDescription
		all = append(all, d.Shards...)
		if more := len(all) < 5; len(d.Shards) == 0 || aws.ToBool(d.HasMoreShards) != more {
			return fmt.Errorf("page of %d after %d shards has HasMoreShards %v", len(d.Shards), len(all), aws.ToBool(d.HasMoreShards))
		}
		after = all[len(all)-1].ShardId
	}
	return tiles(all)
}

func summaryNewFields(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 2)
	if err != nil {
		return err
	}
	out, err := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return err
	}
	d := out.StreamDescriptionSummary
	if aws.ToInt32(d.MaxRecordSizeInKiB) != 1024 || aws.ToInt32(d.OpenShardCount) != 2 {
		return fmt.Errorf("MaxRecordSizeInKiB %v, OpenShardCount %v, want 1024 and 2", aws.ToInt32(d.MaxRecordSizeInKiB), aws.ToInt32(d.OpenShardCount))
	}
	if d.RecordDistributionStrategy != "" {
		return fmt.Errorf("a provisioned stream has RecordDistributionStrategy %s", d.RecordDistributionStrategy)
	}
	return nil
}

func listStreamsPaging(ctx context.Context, e *Env) error {
	want := map[string]bool{}
	for range 3 {
		name, err := e.stream(ctx, 1)
		if err != nil {
			return err
		}
		want[name] = true
	}
	in := &kinesis.ListStreamsInput{Limit: aws.Int32(1)}
	last := ""
	for len(want) > 0 {
		var out *kinesis.ListStreamsOutput
		if err := calm(ctx, func() (err error) {
			out, err = e.Kinesis.ListStreams(ctx, in)
			return err
		}); err != nil {
			return err
		}
		if len(out.StreamNames) != 1 || out.StreamNames[0] <= last || len(out.StreamSummaries) != 1 || aws.ToString(out.StreamSummaries[0].StreamName) != out.StreamNames[0] {
			return fmt.Errorf("a page after %q has names %q and summaries %+v", last, out.StreamNames, out.StreamSummaries)
		}
		last = out.StreamNames[0]
		delete(want, last)
		if !aws.ToBool(out.HasMoreStreams) {
			break
		}
		if out.NextToken == nil {
			return errors.New("more streams and no NextToken")
		}
		in.NextToken = out.NextToken
	}
	if len(want) > 0 {
		return fmt.Errorf("not listed: %v", want)
	}
	return nil
}

// arn returns the ARN of a stream.
func (e *Env) arn(ctx context.Context, name string) (*string, error) {
	d, err := e.summary(ctx, name)
	if err != nil {
		return nil, err
	}
	return d.StreamARN, nil
}

func arnOnly(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	arn, err := e.arn(ctx, name)
	if err != nil {
		return err
	}
	_, put := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamARN: arn, PartitionKey: aws.String("k"), Data: []byte("x")})
	_, puts := e.Kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamARN: arn, Records: []types.PutRecordsRequestEntry{{PartitionKey: aws.String("k"), Data: []byte("x")}}})
	_, describe := e.Kinesis.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamARN: arn})
	_, summary := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamARN: arn})
	_, list := e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamARN: arn})
	it, iterator := e.Kinesis.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamARN: arn, ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err := errors.Join(put, puts, describe, summary, list, iterator); err != nil {
		return err
	}
	page, err := e.get(ctx, &kinesis.GetRecordsInput{StreamARN: arn, ShardIterator: it.ShardIterator})
	if err != nil || len(page.Records) != 2 {
		return fmt.Errorf("GetRecords = %+v, %v, want 2 records", page, err)
	}
	_, err = e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamARN: arn, ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String("1000")})
	return err
}

func arnMismatch(ctx context.Context, e *Env) error {
	a, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	b, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	arn, err := e.arn(ctx, a)
	if err != nil {
		return err
	}
	_, err = e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &b, StreamARN: arn})
	if err := refused("name and ARN of two streams", err, invalidArgument, validation); err != nil {
		return err
	}
	_, err = e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &a, StreamARN: arn})
	return err
}

func deleteStates(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	if _, err := e.Kinesis.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &name}); err != nil {
		return err
	}
	start := time.Now()
	if st, err := e.status(ctx, name); err != nil || st != types.StreamStatusDeleting {
		return within(start, time.Second, fmt.Errorf("just deleted: %v, %v, want DELETING", st, err))
	}
	return until(ctx, "stream gone", func() (bool, error) {
		_, err := e.status(ctx, name)
		if code(err) == notFound {
			return true, nil
		}
		return false, err
	})
}

// On a stream that distributes records itself keys are optional, and ordering
// by sequence number is refused.
func autoDistribution(ctx context.Context, e *Env) error {
	name := e.name()
	_, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
		StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}})
	if code(err) == validation {
		return nil // where the strategy is not offered
	}
	if err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	out, err := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil || out.StreamDescriptionSummary.RecordDistributionStrategy != types.RecordDistributionStrategyAuto {
		return fmt.Errorf("summary %+v, %v, want AUTO", out, err)
	}
	var shards []string
	for i := range 40 {
		put, err := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, Data: fmt.Append(nil, i)})
		if err != nil {
			return fmt.Errorf("PutRecord without a key: %w", err)
		}
		if !slices.Contains(shards, *put.ShardId) {
			shards = append(shards, *put.ShardId)
		}
	}
	if len(shards) < 2 {
		return fmt.Errorf("40 records went to %v alone", shards)
	}
	_, err = e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, Data: []byte("x"), SequenceNumberForOrdering: aws.String("1")})
	return refused("SequenceNumberForOrdering", err, invalidArgument)
}
