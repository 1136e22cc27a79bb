// Command achunariov puts with github.com/achunariov/kinesis-producer, which
// aggregates by shard and reports failures only.
package main

import (
	"os"

	producer "github.com/achunariov/kinesis-producer"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

func main() {
	a := contest.Parse(os.Args[1:])
	client := kinesis.NewFromConfig(a.Config())
	p := producer.New(&producer.Config{
		StreamName: a.Stream, Client: client, GetShards: producer.GetKinesisShardsFunc(client, a.Stream),
		FlushInterval: a.Buffered, AggregateBatchSize: a.AggregateBytes(), BacklogCount: 2000, Logger: silent{},
	})
	p.Start()
	contest.Put(a, contest.Untelling{Send: p.Put, Stop: p.Stop})
}

type silent struct{}

func (silent) Info(string, ...producer.LogValue)         {}
func (silent) Error(string, error, ...producer.LogValue) {}
