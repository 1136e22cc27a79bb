// Command sdk reads with GetRecords of the AWS SDK, a goroutine a shard, and takes
// aggregates apart with package aggregation.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

func main() {
	a := contest.Parse(os.Args[1:])
	client := kinesis.NewFromConfig(a.Config())
	out, err := client.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: &a.Stream})
	contest.Must(err)
	g := contest.NewGetter(a)
	g.Run(func(ctx context.Context) error {
		all, ctx := errgroup.WithContext(ctx)
		for _, s := range out.Shards {
			all.Go(func() error { return read(ctx, client, a, s, g) })
		}
		return all.Wait()
	})
}

func read(ctx context.Context, client *kinesis.Client, a contest.Args, s types.Shard, g *contest.Getter) error {
	it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &a.Stream, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return err
	}
	for next := it.ShardIterator; next != nil; {
		out, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			return err
		}
		for _, r := range out.Records {
			agg, err := aggregation.Decode(r.Data)
			if err != nil {
				g.Got(r.Data)
				continue
			}
			for _, u := range agg.Records() {
				g.Got(u.Data)
			}
		}
		next = out.NextShardIterator
		if err := contest.Pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
