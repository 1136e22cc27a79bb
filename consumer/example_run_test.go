package consumer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/lease"
)

// A worker runs until its context ends, here after the third record. The table is
// in memory; package lease/dynamo has the one that workers in other processes share.
func Example() {
	ctx, stop := context.WithCancel(context.Background()) // a service has signal.NotifyContext here
	client, closeServer := clicks(ctx)
	defer closeServer()

	c, err := consumer.New(client, lease.NewMemoryStore(), "clicks")
	if err != nil {
		log.Fatal(err)
	}
	err = c.Run(ctx, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
		fmt.Println(r.PartitionKey, string(r.Data))
		if string(r.Data) == "third" {
			stop()
		}
		return nil
	}))
	fmt.Println("Run returned", err)
	// Output:
	// user-7 first
	// user-7 second
	// user-7 third
	// Run returned <nil>
}

// A handler with a loop of its own keeps state of the shard in a variable and
// says itself how far it is. NewShard tests it without a stream.
func ExampleHandler() {
	perKey := consumer.Handler(func(ctx context.Context, s *consumer.Shard) error {
		count := map[string]int{}
		for batch, err := range s.Batches(ctx) {
			if err != nil {
				return err // consumer.ErrStopping for one, which is a clean stop
			}
			for _, r := range batch.Records {
				count[r.PartitionKey]++
			}
			fmt.Println(count)
			if err := s.Checkpoint(ctx, batch.Last()); err != nil {
				return err
			}
		}
		return nil // the end of the shard
	})

	batch := func(position, key string) *consumer.Batch {
		return &consumer.Batch{Records: []consumer.Record{{PartitionKey: key, Position: checkpoint.At(position)}}}
	}
	shard := consumer.NewShard("clicks", "shardId-000000000000",
		[]*consumer.Batch{batch("101", "ann"), batch("102", "bob"), batch("103", "ann")}, nil, nil)
	if err := perKey(context.Background(), shard); err != nil {
		fmt.Println(err)
	}
	fmt.Println("stored", shard.Checkpointed())
	// Output:
	// map[ann:1]
	// map[ann:1 bob:1]
	// map[ann:2 bob:1]
	// stored 103
}

// Who reads what, as a page for operators shows it: while a worker runs, and after.
func ExampleConsumer_Fleet() {
	ctx, stop := context.WithCancel(context.Background())
	client, closeServer := clicks(ctx)
	defer closeServer()
	c, err := consumer.New(client, lease.NewMemoryStore(), "clicks")
	if err != nil {
		log.Fatal(err)
	}
	look := func() {
		fleet, err := c.Fleet(context.WithoutCancel(ctx))
		if err != nil {
			log.Fatal(err)
		}
		for _, s := range fleet.Shards {
			fmt.Println(s.Shard, s.State)
		}
	}
	err = c.Run(ctx, consumer.EachRecord(func(context.Context, *consumer.Record) error {
		if ctx.Err() == nil {
			look()
			stop()
		}
		return nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	look()
	// Output:
	// shardId-000000000000 held
	// shardId-000000000000 free
}

// An application reads its stream once more, say because of a fault in the handler
// that is mended now. Its workers may be running meanwhile.
func ExampleRewind() {
	ctx := context.Background()
	client, closeServer := clicks(ctx)
	defer closeServer()
	store := lease.NewMemoryStore()
	readThree := func() {
		ctx, stop := context.WithCancel(ctx)
		c, err := consumer.New(client, store, "clicks")
		if err != nil {
			log.Fatal(err)
		}
		seen := 0
		err = c.Run(ctx, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
			fmt.Println(string(r.Data))
			if seen++; seen == 3 {
				stop()
			}
			return nil
		}))
		if err != nil {
			log.Fatal(err)
		}
	}

	readThree()
	rewound, err := consumer.Rewind(ctx, client, store, "clicks", consumer.FromTrimHorizon())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("set back", len(rewound), "shard")
	readThree()
	// Output:
	// first
	// second
	// third
	// set back 1 shard
	// first
	// second
	// third
}
