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

var reshardChecks = []Check{
	{ID: "K.split.updating", Source: api("SplitShard"),
		Says: "while a shard is split the stream is UPDATING, takes records and refuses another change",
		Run:  splitUpdating},
	{ID: "K.split.lineage", Source: api("SplitShard"),
		Says: "a split closes its shard and opens two that name it as parent and begin behind its end",
		Run:  splitLineage},
	{ID: "K.split.dataretained", Source: guide("kinesis-using-sdk-java-after-resharding"),
		Says: "a closed shard gives its records as before",
		Run:  splitDataRetained},
	{ID: "K.split.childshards", Source: api("GetRecords"),
		Says: "the last page of a closed shard has no next iterator and names the children",
		Run:  splitChildShards},
	{ID: "K.split.putgoestochild", Source: guide("kinesis-using-sdk-java-after-resharding"),
		Says: "after a split records go to the children",
		Run:  splitPutGoesToChild},
	{ID: "K.split.closedshard", Source: api("SplitShard"),
		Says: "a closed shard cannot be split again, nor an unknown one",
		Run:  splitClosedShard},
	{ID: "K.split.badkey", Source: api("SplitShard"),
		Says: "a split's hash key lies inside the shard and leaves both children some",
		Run:  splitBadKey},
	{ID: "K.merge", Source: api("MergeShards"),
		Says: "a merge closes two shards and opens one that names both as parents",
		Run:  merge},
	{ID: "K.merge.refused", Source: api("MergeShards"),
		Says: "only two neighbours can be merged",
		Run:  mergeRefused},
}

// half is the hash key in the middle of the ring.
const half = "170141183460469231731687303715884105728"

// split splits a shard and waits until it is done.
func (e *Env) split(ctx context.Context, name, shard, at string) error {
	if err := calm(ctx, func() error {
		_, err := e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: &shard, NewStartingHashKey: &at})
		return err
	}); err != nil {
		return fmt.Errorf("SplitShard: %w", err)
	}
	return e.active(ctx, name)
}

// splitFilled makes a stream of one shard, fills and then splits it.
func (e *Env) splitFilled(ctx context.Context, n int) (name string, numbers []string, err error) {
	if name, numbers, err = e.filled(ctx, n); err != nil {
		return
	}
	return name, numbers, e.split(ctx, name, shard0, half)
}

func splitUpdating(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	if _, err := e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String(half)}); err != nil {
		return err
	}
	start := time.Now()
	if st, err := e.status(ctx, name); err != nil || st != types.StreamStatusUpdating {
		return within(start, time.Second, fmt.Errorf("just split: %v, %v, want UPDATING", st, err))
	}
	_, err = e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String("1000")})
	if err := refused("a split while UPDATING", err, inUse); err != nil {
		return within(start, time.Second, err)
	}
	if _, err := e.put(ctx, name, "k", "x"); err != nil {
		return fmt.Errorf("while UPDATING: %w", err)
	}
	return e.active(ctx, name)
}

func splitLineage(ctx context.Context, e *Env) error {
	name, numbers, err := e.splitFilled(ctx, 3)
	if err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil || len(shards) != 3 {
		return fmt.Errorf("%d shards, %v, want 3", len(shards), err)
	}
	parent, children := shards[0], shards[1:]
	end := parent.SequenceNumberRange.EndingSequenceNumber
	if end == nil || less(*end, numbers[2]) {
		return fmt.Errorf("the parent ends at %v, its last record is %s", aws.ToString(end), numbers[2])
	}
	for i, sh := range children {
		if aws.ToString(sh.ParentShardId) != shard0 || sh.AdjacentParentShardId != nil {
			return fmt.Errorf("child %s has parents %v and %v", *sh.ShardId, aws.ToString(sh.ParentShardId), sh.AdjacentParentShardId)
		}
		if start := *sh.SequenceNumberRange.StartingSequenceNumber; !less(*end, start) || sh.SequenceNumberRange.EndingSequenceNumber != nil {
			return fmt.Errorf("child %s starts at %s, not behind its parent's end %s, or has an end", *sh.ShardId, start, *end)
		}
		if want := []string{"0", half}[i]; *sh.HashKeyRange.StartingHashKey != want {
			return fmt.Errorf("child %s starts at hash key %s, want %s", *sh.ShardId, *sh.HashKeyRange.StartingHashKey, want)
		}
	}
	return tiles(children)
}

func splitDataRetained(ctx context.Context, e *Env) error {
	name, numbers, err := e.splitFilled(ctx, 20)
	if err != nil {
		return err
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil {
		return err
	}
	if err := sameNumbers("the closed parent", records, numbers); err != nil {
		return err
	}
	records, _, err = e.read(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0),
		ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &numbers[9]})
	if err != nil {
		return err
	}
	return sameNumbers("after the tenth", records, numbers[10:])
}

func splitChildShards(ctx context.Context, e *Env) error {
	name, _, err := e.splitFilled(ctx, 5)
	if err != nil {
		return err
	}
	for _, kind := range []types.ShardIteratorType{types.ShardIteratorTypeTrimHorizon, types.ShardIteratorTypeLatest} {
		_, last, err := e.read(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0), ShardIteratorType: kind})
		if err != nil {
			return err
		}
		if err := childShards(last, []string{shard0}, 2); err != nil {
			return fmt.Errorf("from %s: %w", kind, err)
		}
	}
	return nil
}

// childShards fails unless a page ends a shard and names its children.
func childShards(last *kinesis.GetRecordsOutput, parents []string, children int) error {
	if last.NextShardIterator != nil || len(last.ChildShards) != children {
		return fmt.Errorf("the last page has iterator %v and %d children, want none and %d", aws.ToString(last.NextShardIterator), len(last.ChildShards), children)
	}
	for _, c := range last.ChildShards {
		got := slices.Sorted(slices.Values(c.ParentShards))
		if !slices.Equal(got, parents) || c.HashKeyRange == nil || c.ShardId == nil {
			return fmt.Errorf("child %s has parents %v, want %v", aws.ToString(c.ShardId), got, parents)
		}
	}
	return nil
}

func splitPutGoesToChild(ctx context.Context, e *Env) error {
	name, _, err := e.splitFilled(ctx, 1)
	if err != nil {
		return err
	}
	for i := range 20 {
		out, err := e.put(ctx, name, fmt.Sprint("key ", i), "x")
		if err != nil {
			return err
		}
		if *out.ShardId == shard0 {
			return errors.New("a record went to the closed parent")
		}
	}
	return nil
}

func splitClosedShard(ctx context.Context, e *Env) error {
	name, _, err := e.splitFilled(ctx, 0)
	if err != nil {
		return err
	}
	_, err = e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String("1000")})
	if err := refused("a second split", err, invalidArgument, inUse, validation); err != nil {
		return err
	}
	_, err = e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: aws.String("shardId-000000000099"), NewStartingHashKey: aws.String("1000")})
	return refused("a shard that is none", err, notFound)
}

func splitBadKey(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 2)
	if err != nil {
		return err
	}
	for _, key := range []string{"0", "1", half, ring.String(), "340282366920938463463374607431768211456", "-1", "x", "01"} {
		err := calm(ctx, func() error {
			_, err := e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: aws.String(shard0), NewStartingHashKey: &key})
			return err
		})
		if err := refused("splitting shard 0 of 2 at "+key, err, invalidArgument, validation); err != nil {
			return err
		}
	}
	return nil
}

func merge(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 2)
	if err != nil {
		return err
	}
	want := map[string][]string{}
	for i := range 10 {
		out, err := e.put(ctx, name, fmt.Sprint("key ", i), "x")
		if err != nil {
			return err
		}
		want[*out.ShardId] = append(want[*out.ShardId], *out.SequenceNumber)
	}
	const shard1 = "shardId-000000000001"
	if _, err := e.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: &name, ShardToMerge: aws.String(shard0), AdjacentShardToMerge: aws.String(shard1)}); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil || len(shards) != 3 {
		return fmt.Errorf("%d shards, %v, want 3", len(shards), err)
	}
	child := shards[2]
	if aws.ToString(child.ParentShardId) != shard0 || aws.ToString(child.AdjacentParentShardId) != shard1 {
		return fmt.Errorf("the child's parents are %v and %v", aws.ToString(child.ParentShardId), aws.ToString(child.AdjacentParentShardId))
	}
	for _, parent := range shards[:2] {
		end := parent.SequenceNumberRange.EndingSequenceNumber
		if end == nil || !less(*end, *child.SequenceNumberRange.StartingSequenceNumber) {
			return fmt.Errorf("parent %s ends at %v, its child starts at %s", *parent.ShardId, aws.ToString(end), *child.SequenceNumberRange.StartingSequenceNumber)
		}
		records, last, err := e.readAll(ctx, name, *parent.ShardId)
		if err != nil {
			return err
		}
		if err := sameNumbers("parent "+*parent.ShardId, records, want[*parent.ShardId]); err != nil {
			return err
		}
		if err := childShards(last, []string{shard0, shard1}, 1); err != nil {
			return fmt.Errorf("parent %s: %w", *parent.ShardId, err)
		}
	}
	out, err := e.put(ctx, name, "key", "x")
	if err != nil || *out.ShardId != *child.ShardId {
		return fmt.Errorf("a put goes to %+v, %v", out, err)
	}
	return tiles(shards[2:])
}

func mergeRefused(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 3)
	if err != nil {
		return err
	}
	for _, pair := range [][2]string{{shard0, shard0}, {shard0, "shardId-000000000002"}} {
		_, err := e.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: &name, ShardToMerge: &pair[0], AdjacentShardToMerge: &pair[1]})
		if err := refused(fmt.Sprint("merging ", pair), err, invalidArgument, validation); err != nil {
			return err
		}
	}
	_, err = e.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: &name, ShardToMerge: aws.String(shard0), AdjacentShardToMerge: aws.String("shardId-000000000099")})
	return refused("a shard that is none", err, notFound)
}
