// Command harlow reads with github.com/harlow/kinesis-consumer, its store and its
// group left at their defaults: no leases, checkpoints nowhere.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	harlow "github.com/harlow/kinesis-consumer"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

func main() {
	a := contest.Parse(os.Args[1:])
	c, err := harlow.New(a.Stream, harlow.WithClient(kinesis.NewFromConfig(a.Config())),
		harlow.WithShardIteratorType("TRIM_HORIZON"), harlow.WithScanInterval(200*time.Millisecond), harlow.WithAggregation(a.Aggregate))
	contest.Must(err)
	g := contest.NewGetter(a)
	g.Run(func(ctx context.Context) error {
		return c.Scan(ctx, func(r *harlow.Record) error {
			g.Got(r.Data)
			return nil
		})
	})
}
