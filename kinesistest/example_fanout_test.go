package kinesistest_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// A subscription that opens and then breaks off, once: the reader has to come
// back, not before 5 seconds later.
func ExampleBreakage() {
	srv := kinesistest.NewServer()
	defer srv.Close()
	client, ctx := kinesis.NewFromConfig(srv.Config()), context.Background()
	if err := srv.CreateStream("clicks", 1); err != nil {
		fmt.Println(err)
		return
	}
	consumer, err := client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN:    aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/clicks"),
		ConsumerName: aws.String("billing"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv.Inject(kinesistest.Fault{
		Operation:    "SubscribeToShard",
		Stream:       "clicks",
		Times:        1,
		Subscription: kinesistest.Breakage{Kind: kinesistest.BreakCut},
	})
	out, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN:      consumer.Consumer.ConsumerARN,
		ShardId:          aws.String("shardId-000000000000"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	events := out.GetStream()
	defer events.Close()
	for range events.Events() {
		fmt.Println("an event")
	}
	fmt.Println("broken off:", events.Err() != nil)
	// Output:
	// broken off: true
}
