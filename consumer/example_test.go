package consumer_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"golang.org/x/sync/errgroup"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
)

// clicks returns a client of a stream "clicks" with one shard and three records.
func clicks(ctx context.Context) (client *kinesis.Client, closeServer func()) {
	srv := kinesistest.NewServer()
	client = kinesis.NewFromConfig(srv.Config())
	if err := srv.CreateStream("clicks", 1); err != nil {
		log.Fatal(err)
	}
	for _, data := range []string{"first", "second", "third"} {
		_, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: aws.String("clicks"), PartitionKey: aws.String("user-7"), Data: []byte(data),
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	return client, srv.Close
}

// A program that keeps the position of a shard where it likes goes on from there.
func ExampleReadShard() {
	ctx := context.Background()
	client, closeServer := clicks(ctx)
	defer closeServer()

	stored := checkpoint.TrimHorizon
	read := func(records int) error {
		for batch, err := range consumer.ReadShard(ctx, client, "clicks", "shardId-000000000000", consumer.From(stored)) {
			if err != nil {
				return err
			}
			for _, r := range batch.Records {
				fmt.Println(string(r.Data))
				if stored, records = r.Position, records-1; records == 0 {
					return nil
				}
			}
		}
		stored = checkpoint.ShardEnd // consumer.Children are next
		return nil
	}
	if err := read(2); err != nil {
		log.Fatal(err)
	}
	fmt.Println("once more")
	if err := read(1); err != nil {
		log.Fatal(err)
	}
	// Output:
	// first
	// second
	// once more
	// third
}

// The first three records of a stream, whatever its shards.
func ExampleTail() {
	ctx := context.Background()
	client, closeServer := clicks(ctx)
	defer closeServer()

	seen := 0
	for batch, err := range consumer.Tail(ctx, client, "clicks", consumer.FromTrimHorizon()) {
		if err != nil {
			log.Fatal(err)
		}
		for _, r := range batch.Records {
			fmt.Println(r.ShardID, r.PartitionKey, string(r.Data))
		}
		if seen += len(batch.Records); seen >= 3 {
			break
		}
	}
	// Output:
	// shardId-000000000000 user-7 first
	// shardId-000000000000 user-7 second
	// shardId-000000000000 user-7 third
}

// Records are handled four at a time and done in any order; what is stored is the
// position before the oldest that is not done. No server is needed to test it.
func ExampleShard_Completions() {
	handler := func(ctx context.Context, s *consumer.Shard) error {
		done, err := s.Completions()
		if err != nil {
			return err
		}
		var work errgroup.Group
		work.SetLimit(4)
		for batch, err := range s.Batches(ctx) {
			if err != nil {
				return err
			}
			for _, r := range batch.Records {
				begun, err := done.Begin(ctx, r.Position)
				if err != nil {
					return err
				}
				work.Go(func() error {
					_ = strings.ToUpper(string(r.Data)) // the work
					return begun.Done(ctx)
				})
			}
		}
		if err := work.Wait(); err != nil {
			return err
		}
		return done.Flush(ctx)
	}

	var batch consumer.Batch
	for n := range 10 {
		batch.Records = append(batch.Records, consumer.Record{Data: []byte("data"), Position: checkpoint.At(fmt.Sprint(100 + n))})
	}
	var stored checkpoint.Position
	shard := consumer.NewShard("clicks", "shardId-000000000000", []*consumer.Batch{&batch}, nil,
		func(_ context.Context, p checkpoint.Position) error { stored = p; return nil })
	err := handler(context.Background(), shard)
	fmt.Println("stored", stored, err)
	// Output: stored 109 <nil>
}

// One consumer reads several streams, one of them of another account, and tells
// their records apart.
func ExampleNewMulti() {
	ctx, stop := context.WithCancel(context.Background())
	ours, theirs := kinesistest.NewServer(), kinesistest.NewServer(func(o *kinesistest.Options) { o.AccountID = "222222222222" })
	defer ours.Close()
	defer theirs.Close()
	for _, srv := range []*kinesistest.Server{ours, theirs} {
		if err := srv.CreateStream("clicks", 1); err != nil {
			log.Fatal(err)
		}
		_, err := kinesis.NewFromConfig(srv.Config()).PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: aws.String("clicks"), PartitionKey: aws.String("k"), Data: []byte("hello"),
		})
		if err != nil {
			log.Fatal(err)
		}
	}

	streams := func(context.Context) ([]consumer.Stream, error) { // asked every minute
		return []consumer.Stream{
			{Name: "clicks"},
			{Name: "clicks", Client: kinesis.NewFromConfig(theirs.Config())},
		}, nil
	}
	c, err := consumer.NewMulti(kinesis.NewFromConfig(ours.Config()), lease.NewMemoryStore(), streams)
	if err != nil {
		log.Fatal(err)
	}
	got := make(chan string, 2)
	var run sync.WaitGroup
	run.Go(func() {
		err := c.Run(ctx, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
			account, _, _ := strings.Cut(r.StreamID, ":")
			got <- fmt.Sprintf("%s of %s: %s", r.Stream, account, r.Data)
			return nil
		}))
		if err != nil {
			log.Fatal(err)
		}
	})
	lines := []string{<-got, <-got}
	stop()
	run.Wait()
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
	// Output:
	// clicks of 123456789012: hello
	// clicks of 222222222222: hello
}
