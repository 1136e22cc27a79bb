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
	size := 50 << 10
	if !a.Aggregate {
		size = 1 // what is larger goes alone
	}
	p := producer.New(&producer.Config{
		StreamName: a.Stream, Client: client, GetShards: producer.GetKinesisShardsFunc(client, a.Stream),
		FlushInterval: a.Buffered, AggregateBatchSize: size, BacklogCount: 2000, Logger: silent{},
	})
	p.Start()
	contest.Put(a, putter{p})
}

type putter struct{ p *producer.Producer }

// Put copies the data, which the library keeps.
func (p putter) Put(key string, data []byte, done func(contest.Fate)) error {
	defer done(contest.Untold)
	return p.p.Put(append([]byte(nil), data...), key)
}

func (p putter) Finish() error { p.p.Stop(); return nil }

type silent struct{}

func (silent) Info(string, ...producer.LogValue)         {}
func (silent) Error(string, error, ...producer.LogValue) {}
