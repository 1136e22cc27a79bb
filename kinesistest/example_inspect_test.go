package kinesistest_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// A stream is split under a program that reads it; Shards tells what became of it.
// With Options.StreamUpdating it takes a while, as on AWS.
func ExampleServer_Shards() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	if err := srv.CreateStream("clicks", 1); err != nil {
		fmt.Println(err)
		return
	}
	_, err := kinesis.NewFromConfig(srv.Config()).SplitShard(context.Background(), &kinesis.SplitShardInput{
		StreamName: aws.String("clicks"), ShardToSplit: aws.String("shardId-000000000000"),
		NewStartingHashKey: aws.String("170141183460469231731687303715884105728"), // 2^127, the middle
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, sh := range srv.Shards("clicks") {
		fmt.Printf("%s child of %q, open: %t\n", sh.ID, sh.ParentID, sh.EndingSequenceNumber == "")
	}
	// Output:
	// shardId-000000000000 child of "", open: false
	// shardId-000000000001 child of "shardId-000000000000", open: true
	// shardId-000000000002 child of "shardId-000000000000", open: true
}

// Who stored what, in the order in which it happened: here a client that put a
// record again, because it did not get the first answer.
func ExampleServer_Journal() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	if err := srv.CreateStream("clicks", 1); err != nil {
		fmt.Println(err)
		return
	}
	srv.Inject(kinesistest.Fault{Operation: "PutRecord", Lose: kinesistest.LoseResponse, Times: 1})
	client := kinesis.NewFromConfig(srv.ConfigFor("writer-1"), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
	for range 2 {
		_, err := client.PutRecord(context.Background(), &kinesis.PutRecordInput{
			StreamName: aws.String("clicks"), PartitionKey: aws.String("user-7"), Data: []byte("home page"),
		})
		fmt.Println("failed:", err != nil)
	}
	for _, c := range srv.Journal() {
		if c.Append != nil {
			fmt.Println(c.N, c.Append.Client, "stored", c.Append.Records, "in", c.Append.ShardID)
		}
	}
	// Output:
	// failed: true
	// failed: false
	// 1 writer-1 stored 1 in shardId-000000000000
	// 2 writer-1 stored 1 in shardId-000000000000
}
