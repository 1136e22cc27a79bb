package contract

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var scalingChecks = []Check{
	{ID: "K.updateshardcount.up", Source: api("UpdateShardCount"),
		Says: "doubling the shards closes all and opens twice as many of equal size, each with a parent",
		Run:  scaleUp},
	{ID: "K.updateshardcount.down", Source: api("UpdateShardCount"),
		Says: "halving the shards merges each two neighbours",
		Run:  scaleDown},
	{ID: "K.updateshardcount.uneven", Source: api("UpdateShardCount"),
		Says: "any other target gives shards of equal size that tile the hash keys, by way of short-lived ones",
		Run:  scaleUneven},
	{ID: "K.updateshardcount.data", Source: api("UpdateShardCount"),
		Says: "what was put before a change of the shard count can be read from the closed shards",
		Run:  scaleData},
	{ID: "K.updateshardcount.bounds", Source: api("UpdateShardCount"),
		Says: "a target above double or below half the open shards is refused",
		Run:  scaleBounds},
	{ID: "K.updateshardcount.10_a_day", Source: api("UpdateShardCount"),
		Says: "the shard count is changed at most 10 times in 24 hours",
		Run:  scaleTooOften, Slow: true},
}

func (e *Env) scale(ctx context.Context, name string, target int32) error {
	var out *kinesis.UpdateShardCountOutput
	out, err := e.Kinesis.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: &name, TargetShardCount: &target, ScalingType: types.ScalingTypeUniformScaling})
	if err != nil {
		return fmt.Errorf("UpdateShardCount to %d: %w", target, err)
	}
	if aws.ToInt32(out.TargetShardCount) != target || aws.ToString(out.StreamName) != name {
		return fmt.Errorf("UpdateShardCount to %d says %+v", target, out)
	}
	return e.active(ctx, name)
}

// open returns the open shards of a stream, by the hash keys they tile.
func (e *Env) open(ctx context.Context, name string) ([]types.Shard, error) {
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
	if err != nil {
		return nil, err
	}
	return shards, tiles(shards)
}

func scaleUp(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 2)
	if err != nil {
		return err
	}
	if err := e.scale(ctx, name, 4); err != nil {
		return err
	}
	open, err := e.open(ctx, name)
	if err != nil || len(open) != 4 {
		return fmt.Errorf("%d open shards, %v, want 4", len(open), err)
	}
	for _, sh := range open {
		if sh.ParentShardId == nil || sh.AdjacentParentShardId != nil {
			return fmt.Errorf("shard %s has parents %q and %q", *sh.ShardId, aws.ToString(sh.ParentShardId), aws.ToString(sh.AdjacentParentShardId))
		}
	}
	all, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil || len(all) != 6 {
		return fmt.Errorf("%d shards, %v, want 2 closed and 4 open", len(all), err)
	}
	return nil
}

func scaleDown(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 4)
	if err != nil {
		return err
	}
	if err := e.scale(ctx, name, 2); err != nil {
		return err
	}
	open, err := e.open(ctx, name)
	if err != nil || len(open) != 2 {
		return fmt.Errorf("%d open shards, %v, want 2", len(open), err)
	}
	for _, sh := range open {
		if sh.ParentShardId == nil || sh.AdjacentParentShardId == nil {
			return fmt.Errorf("shard %s has parents %q and %q, want two", *sh.ShardId, aws.ToString(sh.ParentShardId), aws.ToString(sh.AdjacentParentShardId))
		}
	}
	return nil
}

func scaleUneven(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 2)
	if err != nil {
		return err
	}
	if err := e.scale(ctx, name, 3); err != nil {
		return err
	}
	open, err := e.open(ctx, name)
	if err != nil || len(open) != 3 {
		return fmt.Errorf("%d open shards, %v, want 3", len(open), err)
	}
	all, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return err
	}
	// Every parent that is named is there: nothing has expired.
	known := map[string]bool{}
	for _, sh := range all {
		known[*sh.ShardId] = true
	}
	for _, sh := range all {
		for _, parent := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
			if parent != nil && !known[*parent] {
				return fmt.Errorf("shard %s names a parent %s that is not listed", *sh.ShardId, *parent)
			}
		}
	}
	return nil
}

func scaleData(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 5)
	if err != nil {
		return err
	}
	if err := e.scale(ctx, name, 2); err != nil {
		return err
	}
	records, last, err := e.readAll(ctx, name, shard0)
	if err != nil {
		return err
	}
	if err := sameNumbers("the closed shard", records, numbers); err != nil {
		return err
	}
	return childShards(last, []string{shard0}, 2)
}

func scaleBounds(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 4)
	if err != nil {
		return err
	}
	for _, target := range []int32{9, 1, 0, -1} {
		err := e.scale(ctx, name, target)
		if err := refused(fmt.Sprint("from 4 shards to ", target), err, invalidArgument, validation, limitExceeded); err != nil {
			return err
		}
	}
	return nil
}

func scaleTooOften(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	for i := range 10 {
		if err := e.scale(ctx, name, int32(2-i%2)); err != nil {
			return fmt.Errorf("change %d: %w", i+1, err)
		}
		if err := sleep(ctx, time.Minute); err != nil {
			return err
		}
	}
	if err := refused("change 11", e.scale(ctx, name, 2), limitExceeded, invalidArgument); err != nil {
		return err
	}
	if err := sleep(ctx, 24*time.Hour); err != nil {
		return err
	}
	return e.scale(ctx, name, 2)
}
