package consumer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
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
