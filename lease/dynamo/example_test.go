package dynamo_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// The second step of the way from KCL 2.x: the version may rise.
func ExampleNew_version() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	client := dynamodb.NewFromConfig(srv.Config())
	store, err := dynamo.New(client, "clicks-app", func(o *dynamo.Options) { o.Version = dynamo.Version2XTo3X })
	if err != nil {
		log.Fatal(err)
	}
	// consumer.New and consumer.NewMulti take the store.
	fmt.Println(store.Open(context.Background()))
	// Output: <nil>
}

// A program that only wants to know how far its application has got.
func Example() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	store, err := dynamo.New(dynamodb.NewFromConfig(srv.Config()), "clicks-app")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := store.Open(ctx); err != nil {
		log.Fatal(err)
	}
	row := lease.Row{Key: "shardId-000000000000", Shard: "shardId-000000000000", Checkpoint: checkpoint.TrimHorizon}
	if _, err := store.Write(ctx, lease.Write{Op: lease.Create, Row: row}); err != nil {
		log.Fatal(err)
	}
	snap, err := store.Snapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range snap.Rows {
		fmt.Println(r.Shard, r.Checkpoint)
	}
	// Output: shardId-000000000000 TRIM_HORIZON
}
