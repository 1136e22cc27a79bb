package kinesistest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

func Example() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	ctx, client := context.Background(), kinesis.NewFromConfig(srv.Config())

	if err := srv.CreateStream("clicks", 2); err != nil {
		fmt.Println(err)
		return
	}
	out, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName:   aws.String("clicks"),
		PartitionKey: aws.String("user-7"),
		Data:         []byte("home page"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("stored in", *out.ShardId)
	for r := range srv.Records("clicks") {
		fmt.Printf("%s: %s\n", r.PartitionKey, r.Data)
	}
	// Output:
	// stored in shardId-000000000000
	// user-7: home page
}

// A put whose answer is lost was stored all the same.
func ExampleServer_Inject() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	if err := srv.CreateStream("clicks", 1); err != nil {
		fmt.Println(err)
		return
	}
	srv.Inject(kinesistest.Fault{Operation: "PutRecord", Lose: kinesistest.LoseResponse, Times: 1})

	client := kinesis.NewFromConfig(srv.Config(), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
	_, err := client.PutRecord(context.Background(), &kinesis.PutRecordInput{
		StreamName: aws.String("clicks"), PartitionKey: aws.String("user-7"), Data: []byte("home page"),
	})
	fmt.Println("failed:", err != nil)
	for r := range srv.Records("clicks") {
		fmt.Printf("stored: %s\n", r.Data)
	}
	// Output:
	// failed: true
	// stored: home page
}

// Some records of a PutRecords are throttled, the others stored.
func ExampleServer_Inject_partialFailure() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	if err := srv.CreateStream("clicks", 1); err != nil {
		fmt.Println(err)
		return
	}
	srv.Inject(kinesistest.Fault{Operation: "PutRecords", Key: "user-1", Error: kinesistest.Throttled})

	var entries []types.PutRecordsRequestEntry
	for i := range 3 {
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("user-", i)), Data: []byte("x")})
	}
	out, err := kinesis.NewFromConfig(srv.Config()).PutRecords(context.Background(), &kinesis.PutRecordsInput{
		StreamName: aws.String("clicks"), Records: entries,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, r := range out.Records {
		fmt.Printf("%s: %q\n", *entries[i].PartitionKey, aws.ToString(r.ErrorCode))
	}
	// Output:
	// user-0: ""
	// user-1: "ProvisionedThroughputExceededException"
	// user-2: ""
}

// One worker of a fleet is cut off from both services, as if it had crashed.
func ExampleServer_ConfigFor() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	if err := srv.CreateStream("clicks", 1); err != nil {
		fmt.Println(err)
		return
	}
	srv.Inject(kinesistest.Fault{Client: "worker-1", Lose: kinesistest.LoseRequest})

	for _, name := range []string{"worker-1", "worker-2"} {
		client := kinesis.NewFromConfig(srv.ConfigFor(name), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
		_, err := client.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("clicks")})
		fmt.Println(name, "is cut off:", err != nil)
	}
	// Output:
	// worker-1 is cut off: true
	// worker-2 is cut off: false
}

// Errors are the SDK's own types.
func ExampleServer_Config() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	_, err := kinesis.NewFromConfig(srv.Config()).ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("clicks")})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		fmt.Println(missing.ErrorMessage())
	}
	// Output:
	// Stream clicks under account 123456789012 not found.
}
