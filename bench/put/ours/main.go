// Command ours puts with the library of this repository.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
	"github.com/kinesis-go/kinesis/producer"
)

func main() {
	a := contest.Parse(os.Args[1:])
	p, err := producer.New(kinesis.NewFromConfig(a.Config()), a.Stream, func(o *producer.Options) {
		o.Aggregate = a.Aggregate
		o.RecordMaxBufferedTime = a.Buffered
		o.RecordTTL = a.TTL
		o.RateLimit = 0
		if a.Wire == "cbor" {
			o.Wire = producer.CBOR
		}
	})
	contest.Must(err)
	contest.Put(a, &putter{p})
}

type putter struct{ p *producer.Producer }

func (p *putter) Put(key string, data []byte, done func(contest.Fate)) error {
	return p.p.PutAsync(context.Background(), producer.Record{PartitionKey: key, Data: data}, func(r producer.Result) {
		if r.Err != nil {
			done(contest.Failed)
			return
		}
		done(contest.Stored)
	})
}

func (p *putter) Finish() error { return p.p.Close(context.Background()) }
