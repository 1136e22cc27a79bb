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

var shardChecks = []Check{
	{ID: "K.listshards.paging", Source: api("ListShards"),
		Says: "MaxResults pages the shards; a page's NextToken stands alone",
		Run:  listShardsPaging},
	{ID: "K.listshards.token+name", Source: api("ListShards"),
		Says: "NextToken together with StreamName, StreamARN or StreamCreationTimestamp is refused",
		Run:  listShardsTokenAndName},
	{ID: "K.listshards.token_expiry", Source: api("ListShards"),
		Says: "a NextToken is good for 300 seconds, then ExpiredNextTokenException",
		Run:  listShardsTokenExpiry, Slow: true},
	{ID: "K.listshards.exclusivestart", Source: api("ListShards"),
		Says: "ExclusiveStartShardId lists the shards behind it",
		Run:  listShardsExclusiveStart},
	{ID: "K.listshards.created", Source: api("ListShards"),
		Says: "StreamCreationTimestamp tells streams of one name apart",
		Run:  listShardsCreated},
	{ID: "K.z.garbage_nexttoken", Source: api("ListShards"),
		Says: "a NextToken that is none is refused, and the server lives on",
		Run:  garbageNextToken},
	{ID: "K.filter.at_latest", Source: api("ShardFilter"),
		Says: "ShardFilter AT_LATEST shows the shards open now",
		Run:  filter(types.ShardFilterTypeAtLatest, "1 2")},
	{ID: "K.filter.at_trim_horizon", Source: api("ShardFilter"),
		Says: "ShardFilter AT_TRIM_HORIZON shows the shards open at the trim horizon",
		Run:  filter(types.ShardFilterTypeAtTrimHorizon, "0")},
	{ID: "K.filter.from_trim_horizon", Source: api("ShardFilter"),
		Says: "ShardFilter FROM_TRIM_HORIZON shows every shard that is retained",
		Run:  filter(types.ShardFilterTypeFromTrimHorizon, "0 1 2")},
	{ID: "K.filter.at_timestamp", Source: api("ShardFilter"),
		Says: "ShardFilter AT_TIMESTAMP shows the shards open at a time",
		Run:  filterAtTimestamp},
	{ID: "K.filter.from_timestamp", Source: api("ShardFilter"),
		Says: "ShardFilter FROM_TIMESTAMP shows the shards open at a time or later",
		Run:  filterFromTimestamp},
	{ID: "K.filter.after_shard_id", Source: api("ShardFilter"),
		Says: "ShardFilter AFTER_SHARD_ID shows the shards behind an id",
		Run:  filterAfterShardID},
	{ID: "K.filter.paging", Source: api("ShardFilter"),
		Says: "a filter holds over the pages of its listing",
		Run:  filterPaging},
	{ID: "K.filter.incomplete", Source: api("ShardFilter"),
		Says: "a filter without what its type needs is refused",
		Run:  filterIncomplete},
}

func listShardsPaging(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 5)
	if err != nil {
		return err
	}
	all, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name, MaxResults: aws.Int32(2)})
	if err != nil {
		return err
	}
	if got := shardIDs(all); got != "0 1 2 3 4" {
		return fmt.Errorf("pages of 2 have shards %s", got)
	}
	for _, sh := range all {
		if sh.SequenceNumberRange == nil || sh.SequenceNumberRange.StartingSequenceNumber == nil || sh.SequenceNumberRange.EndingSequenceNumber != nil {
			return fmt.Errorf("open shard %+v has no start or has an end", sh)
		}
	}
	return tiles(all)
}

// token returns a NextToken that continues a listing of shards.
func (e *Env) token(ctx context.Context, name string) (*string, error) {
	out, err := e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &name, MaxResults: aws.Int32(1)})
	if err != nil {
		return nil, err
	}
	if len(out.Shards) != 1 || out.NextToken == nil {
		return nil, fmt.Errorf("MaxResults 1 gives %d shards, NextToken %v", len(out.Shards), out.NextToken)
	}
	return out.NextToken, nil
}

func listShardsTokenAndName(ctx context.Context, e *Env) error {
	name, arn, err := e.streamARN(ctx, 2)
	if err != nil {
		return err
	}
	token, err := e.token(ctx, name)
	if err != nil {
		return err
	}
	for what, in := range map[string]*kinesis.ListShardsInput{
		"name":                  {StreamName: &name},
		"ARN":                   {StreamARN: arn}, // amazon-kinesis-producer#481
		"creation time":         {StreamCreationTimestamp: aws.Time(time.Now())},
		"ExclusiveStartShardId": {ExclusiveStartShardId: aws.String(shard0)},
	} {
		in.NextToken = token
		_, err = e.Kinesis.ListShards(ctx, in)
		if err := refused("token with "+what, err, invalidArgument); err != nil {
			return err
		}
	}
	return nil
}

func listShardsTokenExpiry(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 2)
	if err != nil {
		return err
	}
	token, err := e.token(ctx, name)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 299*time.Second); err != nil {
		return err
	}
	if _, err := e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{NextToken: token}); err != nil {
		return fmt.Errorf("after 299 s: %w", err)
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	_, err = e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{NextToken: token})
	return refused("after 301 s", err, "ExpiredNextTokenException")
}

func listShardsExclusiveStart(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 4)
	if err != nil {
		return err
	}
	all, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name, ExclusiveStartShardId: aws.String("shardId-000000000001")})
	if err != nil {
		return err
	}
	if got := shardIDs(all); got != "2 3" {
		return fmt.Errorf("after shard 1 of 4 come %q, want 2 3", got)
	}
	return nil
}

func listShardsCreated(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	out, err := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return err
	}
	created := *out.StreamDescriptionSummary.StreamCreationTimestamp
	if _, err := e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &name, StreamCreationTimestamp: &created}); err != nil {
		return fmt.Errorf("with its creation time: %w", err)
	}
	other := created.Add(-time.Hour)
	_, err = e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &name, StreamCreationTimestamp: &other})
	return refused("with another creation time", err, notFound)
}

func garbageNextToken(ctx context.Context, e *Env) error {
	for _, token := range []string{"garbage", "AAAA", text(2000), "!"} {
		_, err := e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{NextToken: &token})
		if err := refused(fmt.Sprintf("NextToken %.10q", token), err, invalidArgument, validation); err != nil {
			return err
		}
	}
	name, err := e.stream(ctx, 1) // it lives
	if err != nil {
		return err
	}
	_, err = e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	return err
}

// splitStream makes a stream whose shard 0 is split into 1 and 2, and returns
// times well before and well after the split.
func (e *Env) splitStream(ctx context.Context) (name string, before, after time.Time, err error) {
	if name, err = e.stream(ctx, 1); err != nil {
		return
	}
	if err = sleep(ctx, 1100*time.Millisecond); err != nil {
		return
	}
	before = time.Now()
	if err = sleep(ctx, 1100*time.Millisecond); err != nil {
		return
	}
	if err = e.split(ctx, name, shard0, half); err != nil {
		return
	}
	if err = sleep(ctx, 1100*time.Millisecond); err != nil {
		return
	}
	return name, before, time.Now(), nil
}

func filter(kind types.ShardFilterType, want string) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		name, _, _, err := e.splitStream(ctx)
		if err != nil {
			return err
		}
		return e.shows(ctx, name, &types.ShardFilter{Type: kind}, want)
	}
}

// shows fails unless a filter shows the shards with the indexes in want.
func (e *Env) shows(ctx context.Context, name string, f *types.ShardFilter, want string) error {
	got, err := e.ids(ctx, name, f)
	if err != nil {
		return err
	}
	if got != want {
		kind := types.ShardFilterType("no filter")
		if f != nil {
			kind = f.Type
		}
		return fmt.Errorf("%s shows shards %q, want %q", kind, got, want)
	}
	return nil
}

func filterAtTimestamp(ctx context.Context, e *Env) error {
	name, before, after, err := e.splitStream(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		e.shows(ctx, name, &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: &before}, "0"),
		e.shows(ctx, name, &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: &after}, "1 2"))
}

func filterFromTimestamp(ctx context.Context, e *Env) error {
	name, before, after, err := e.splitStream(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		e.shows(ctx, name, &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: &before}, "0 1 2"),
		e.shows(ctx, name, &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: &after}, "1 2"))
}

func filterAfterShardID(ctx context.Context, e *Env) error {
	name, _, _, err := e.splitStream(ctx)
	if err != nil {
		return err
	}
	return e.shows(ctx, name, &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String(shard0)}, "1 2")
}

// A filter holds over all pages.
func filterPaging(ctx context.Context, e *Env) error {
	name, _, _, err := e.splitStream(ctx)
	if err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name, MaxResults: aws.Int32(1),
		ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
	if err != nil {
		return err
	}
	if got := shardIDs(shards); got != "1 2" {
		return fmt.Errorf("AT_LATEST in pages of 1 shows %q, want 1 2", got)
	}
	return nil
}

func filterIncomplete(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	for _, f := range []types.ShardFilter{
		{Type: types.ShardFilterTypeAtTimestamp},
		{Type: types.ShardFilterTypeFromTimestamp},
		{Type: types.ShardFilterTypeAfterShardId},
		{Type: "SOMETIMES"},
	} {
		_, err := e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &name, ShardFilter: &f})
		if err := refused(string(f.Type), err, invalidArgument, validation); err != nil {
			return err
		}
	}
	return nil
}
