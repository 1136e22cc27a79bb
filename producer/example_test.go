package producer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// clicksClient returns a client of a server in memory, with a stream "clicks".
func clicksClient() *kinesis.Client {
	srv := kinesistest.NewServer()
	if err := srv.CreateStream("clicks", 1); err != nil {
		panic(err)
	}
	return kinesis.NewFromConfig(srv.Config())
}

func Example() {
	ctx := context.Background()
	p, err := producer.New(clicksClient(), "clicks")
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := p.Put(ctx, producer.Record{PartitionKey: "user-7", Data: []byte("clicked")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Outcome, "on", res.ShardID)
	if err := p.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: stored on shardId-000000000000
}

func ExampleProducer_PutAsync() {
	ctx := context.Background()
	p, err := producer.New(clicksClient(), "clicks", func(o *producer.Options) {
		o.RecordMaxBufferedTime = 10 * time.Second // or until Close, which comes first
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	stored := 0 // callbacks run one after another, and all before Close returns
	for i := range 1000 {
		err := p.PutAsync(ctx, producer.Record{PartitionKey: fmt.Sprint("user-", i%10), Data: []byte("clicked")}, func(r producer.Result) {
			if r.Err != nil {
				fmt.Println(r.Err)
				return
			}
			stored++
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	if err := p.Close(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(stored, "records stored as", p.Stats().KinesisRecords, "Kinesis record")
	// Output: 1000 records stored as 1 Kinesis record
}

// A server that must not wait refuses what it has no room for.
func ExampleProducer_TryPut() {
	ctx := context.Background()
	p, err := producer.New(clicksClient(), "clicks", func(o *producer.Options) { o.MaxBufferedBytes = 64 << 10 })
	if err != nil {
		fmt.Println(err)
		return
	}
	accepted := 0
	for {
		err := p.TryPut(producer.Record{PartitionKey: "user-7", Data: make([]byte, 32<<10)}, nil)
		if errors.Is(err, producer.ErrFull) {
			fmt.Println("503 Service Unavailable after", accepted, "record")
			break
		}
		accepted++
	}
	if err := p.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: 503 Service Unavailable after 1 record
}

// What the service says about a record is in the error.
func ExamplePutError() {
	ctx := context.Background()
	p, err := producer.New(clicksClient(), "clocks")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = p.Put(ctx, producer.Record{PartitionKey: "user-7"})
	var putErr *producer.PutError
	if errors.As(err, &putErr) {
		fmt.Println(putErr.Outcome, "after", putErr.Attempts, "attempt")
	}
	if err := p.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: not stored after 1 attempt
}
