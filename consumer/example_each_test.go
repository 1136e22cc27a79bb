package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
)

// orders stands for a shard in these examples: NewShard runs a handler without a
// stream, as in a test of one's own.
func orders(keys ...string) *consumer.Shard {
	b := &consumer.Batch{}
	for i, key := range keys {
		b.Records = append(b.Records, consumer.Record{
			PartitionKey: key, Data: fmt.Appendf(nil, "%s-%d", key, i+1), Position: checkpoint.At(fmt.Sprint(i + 1)),
		})
	}
	return consumer.NewShard("orders", "shardId-000000000000", []*consumer.Batch{b}, nil, nil)
}

// Eight records of a shard at a time, those of one customer in order: a customer
// whose record takes long holds up no other.
func ExampleEachRecord_concurrency() {
	ctx := context.Background()
	others := make(chan struct{})
	handler := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
		if string(r.Data) == "ada-1" {
			<-others
		} else if r.PartitionKey == "bob" {
			defer close(others)
		}
		fmt.Println(string(r.Data))
		return nil
	}, func(o *consumer.EachOptions) { o.Concurrency = 8 })
	if err := handler(ctx, orders("ada", "ada", "bob")); err != nil { // a program calls Consumer.Run(ctx, handler)
		fmt.Println(err)
	}
	// Output:
	// bob-3
	// ada-1
	// ada-2
}

// A record is tried three times; then it goes to a queue, with the reason, and
// its customer's next record comes.
func ExampleFailurePolicy() {
	ctx := context.Background()
	handler := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
		if r.PartitionKey == "bob" {
			return errors.New("no such customer")
		}
		fmt.Println("handled", string(r.Data))
		return nil
	}, func(o *consumer.EachOptions) {
		o.OnFailure.Attempts = 3
		o.OnFailure.Backoff = time.Millisecond
		o.OnFailure.DeadLetter = func(_ context.Context, f *consumer.Failure) error {
			fmt.Printf("gave up %s after %d attempts: %v\n", f.Record.Data, f.Attempts, f.Err)
			return nil // an error would be tried again until the queue takes it
		}
	})
	if err := handler(ctx, orders("ada", "bob", "cy")); err != nil {
		fmt.Println(err)
	}
	// Output:
	// handled ada-1
	// gave up bob-2 after 3 attempts: no such customer
	// handled cy-3
}

// A bulk insert that fails is divided until the one bad row is alone.
func ExampleFailurePolicy_bisect() {
	ctx := context.Background()
	handler := consumer.EachBatch(func(_ context.Context, b *consumer.Batch) error {
		for _, r := range b.Records {
			if r.PartitionKey == "bob" {
				return errors.New("constraint violated")
			}
		}
		fmt.Println("inserted", len(b.Records))
		return nil
	}, func(o *consumer.EachOptions) {
		o.OnFailure.Bisect, o.OnFailure.Attempts = true, 1
		o.OnFailure.DeadLetter = func(_ context.Context, f *consumer.Failure) error {
			fmt.Println("gave up", string(f.Record.Data))
			return nil
		}
	})
	if err := handler(ctx, orders("ada", "ada", "bob", "cy")); err != nil {
		fmt.Println(err)
	}
	// Output:
	// inserted 2
	// gave up bob-3
	// inserted 1
}

// Objects of 1,000 records or 5 MiB, or what has come within 30 seconds.
func ExampleEachBatch() {
	ctx := context.Background()
	handler := consumer.EachBatch(func(_ context.Context, b *consumer.Batch) error {
		fmt.Println("write an object of", len(b.Records), "records")
		return nil
	}, func(o *consumer.EachOptions) {
		o.BatchRecords, o.BatchBytes, o.BatchAge = 1000, 5<<20, 30*time.Second
	})
	if err := handler(ctx, orders("ada", "bob", "cy")); err != nil {
		fmt.Println(err)
	}
	// Output: write an object of 3 records
}

// Records that their producer named are handled once within the reach of the
// window, also when the producer had to send one twice.
func ExampleEachOptions_dedupe() {
	ctx := context.Background()
	b := &consumer.Batch{Records: []consumer.Record{
		{ID: "order-7", Data: []byte("ada"), Position: checkpoint.At("1")},
		{ID: "order-8", Data: []byte("bob"), Position: checkpoint.At("2")},
		{ID: "order-7", Data: []byte("ada"), Position: checkpoint.At("3")},
	}}
	handler := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
		fmt.Println(r.ID)
		return nil
	}, func(o *consumer.EachOptions) { o.DedupeBytes = 1 << 20 })
	if err := handler(ctx, consumer.NewShard("orders", "shardId-000000000000", []*consumer.Batch{b}, nil, nil)); err != nil {
		fmt.Println(err)
	}
	// Output:
	// order-7
	// order-8
}

// A handler with a loop of its own flushes what it has gathered when nothing
// comes.
func ExampleShard_Tick() {
	ctx := context.Background()
	handler := func(ctx context.Context, s *consumer.Shard) error {
		s.Tick(5 * time.Second)
		gathered := 0
		for batch, err := range s.Batches(ctx) {
			if err != nil {
				return err
			}
			gathered += len(batch.Records)
			if gathered < 1000 && len(batch.Records) > 0 {
				continue // a tick has none
			}
			// … flush what was gathered, then s.Checkpoint …
			gathered = 0
		}
		fmt.Println("left at the end of the shard:", gathered)
		return nil
	}
	if err := handler(ctx, orders("ada", "bob")); err != nil {
		fmt.Println(err)
	}
	// Output: left at the end of the shard: 2
}
