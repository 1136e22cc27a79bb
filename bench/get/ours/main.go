// Command ours reads with the library of this repository.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

func main() {
	a := contest.Parse(os.Args[1:])
	cfg := a.Config()
	store, err := dynamo.New(dynamodb.NewFromConfig(cfg), "bench-ours")
	contest.Must(err)
	c, err := consumer.New(kinesis.NewFromConfig(cfg), store, a.Stream, retrieval(a))
	contest.Must(err)
	g := contest.NewGetter(a)
	g.Run(func(ctx context.Context) error { return c.Run(ctx, handler(a, g)) })
}

func handler(a contest.Args, g *contest.Getter) consumer.Handler {
	switch a.Mode {
	case "record":
		return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
			g.Got(r.Data)
			return nil
		})
	case "keyed":
		return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
			g.Got(r.Data)
			return nil
		}, func(o *consumer.EachOptions) { o.Concurrency = 8 })
	default:
		return consumer.EachBatch(func(_ context.Context, b *consumer.Batch) error {
			for i := range b.Records {
				g.Got(b.Records[i].Data)
			}
			return nil
		})
	}
}

func retrieval(a contest.Args) func(*consumer.Options) {
	return func(o *consumer.Options) {
		o.PollInterval = 200 * time.Millisecond
		if a.Wire == "cbor" {
			o.Wire = consumer.CBOR
		}
		if a.Retrieval == "fanout" {
			o.Retrieval, o.FanOutConsumer = consumer.FanOut, "bench-ours"
		}
	}
}
