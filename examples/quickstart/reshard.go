package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// A stream is the one this run writes to, with what an operator does to it.
type stream struct {
	client  *kinesis.Client
	name    string
	created bool // by this run, which then deletes it
	largest int  // KiB that a record may have; 0 for the service's default of 1024
}

// create makes the stream with so many shards, or finds it there.
func (s *stream) create(ctx context.Context, shards int) error {
	in := &kinesis.CreateStreamInput{StreamName: &s.name, ShardCount: aws.Int32(int32(shards))}
	if s.largest > 0 {
		in.MaxRecordSizeInKiB = aws.Int32(int32(s.largest))
	}
	_, err := s.client.CreateStream(ctx, in)
	var exists *types.ResourceInUseException
	if s.created = err == nil; err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create stream %s: %w", s.name, err)
	}
	return s.wait(ctx)
}

// wait returns when the stream is ACTIVE.
func (s *stream) wait(ctx context.Context) error {
	for {
		out, err := s.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &s.name})
		if err != nil {
			return fmt.Errorf("describe stream %s: %w", s.name, err)
		}
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// delete removes the stream if this run made it.
func (s *stream) delete(ctx context.Context) error {
	if !s.created {
		return nil
	}
	_, err := s.client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &s.name, EnforceConsumerDeletion: aws.Bool(true)})
	return err
}

// shards lists every shard the stream still has.
func (s *stream) shards(ctx context.Context) ([]types.Shard, error) {
	var all []types.Shard
	in := &kinesis.ListShardsInput{StreamName: &s.name}
	for {
		out, err := s.client.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the shards of %s: %w", s.name, err)
		}
		all = append(all, out.Shards...)
		if out.NextToken == nil {
			return all, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

// open lists the open shards in the order of their hash keys.
func (s *stream) open(ctx context.Context) ([]types.Shard, error) {
	all, err := s.shards(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(sh types.Shard) bool { return sh.SequenceNumberRange.EndingSequenceNumber != nil })
	slices.SortFunc(all, func(a, b types.Shard) int {
		return decimal(a.HashKeyRange.StartingHashKey).Cmp(decimal(b.HashKeyRange.StartingHashKey))
	})
	return all, nil
}

// split divides the first open shard into two halves.
func (s *stream) split(ctx context.Context) (what string, err error) {
	open, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	sh := open[0]
	middle := decimal(sh.HashKeyRange.StartingHashKey)
	middle.Add(middle, decimal(sh.HashKeyRange.EndingHashKey)).Rsh(middle, 1).Add(middle, big.NewInt(1))
	_, err = s.client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: &s.name, ShardToSplit: sh.ShardId, NewStartingHashKey: aws.String(middle.String()),
	})
	if err != nil {
		return "", fmt.Errorf("split %s: %w", *sh.ShardId, err)
	}
	return "split " + short(*sh.ShardId), s.wait(ctx)
}

// merge joins two neighbours: a child of the split with the shard beside it, or
// the two children if there is no other. Which shards finish first is then open.
func (s *stream) merge(ctx context.Context) (what string, err error) {
	open, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	if len(open) < 2 {
		return "", errors.New("merge: the stream has only one open shard")
	}
	first := min(1, len(open)-2)
	a, b := open[first], open[first+1]
	_, err = s.client.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: &s.name, ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId,
	})
	if err != nil {
		return "", fmt.Errorf("merge %s and %s: %w", *a.ShardId, *b.ShardId, err)
	}
	return "merged " + short(*a.ShardId) + " and " + short(*b.ShardId), s.wait(ctx)
}

// lineage returns the parents of every shard.
func (s *stream) lineage(ctx context.Context) (map[string][]string, error) {
	all, err := s.shards(ctx)
	if err != nil {
		return nil, err
	}
	parents := make(map[string][]string, len(all))
	for _, sh := range all {
		parents[*sh.ShardId] = nil
		for _, p := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
			if p != nil {
				parents[*sh.ShardId] = append(parents[*sh.ShardId], *p)
			}
		}
	}
	return parents, nil
}

// decimal reads a hash key, which the service writes in decimal.
func decimal(s *string) *big.Int {
	n, ok := new(big.Int).SetString(aws.ToString(s), 10)
	if !ok {
		return new(big.Int)
	}
	return n
}
