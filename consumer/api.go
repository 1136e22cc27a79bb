package consumer

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// KinesisAPI is what a consumer asks of Kinesis. *kinesis.Client provides it.
//
// Its retries are switched off for each call but the first, which finds the
// stream: a consumer has its own back-off, which knows the shard. Timeouts are
// the consumer's too.
type KinesisAPI interface {
	ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	GetShardIterator(context.Context, *kinesis.GetShardIteratorInput, ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(context.Context, *kinesis.GetRecordsInput, ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// FanOutAPI is what a consumer asks of Kinesis in addition when
// [Options.Retrieval] is [FanOut] or [Auto]. *kinesis.Client provides it.
//
// The client of SubscribeToShard is that of the others but for its connections:
// where the HTTP client is the SDK's own, subscriptions have connections to
// themselves, over HTTP/2, made with the same transport settings but for MaxConnsPerHost,
// and without its timeouts. Any other HTTP client serves them as it is.
type FanOutAPI interface {
	KinesisAPI
	SubscribeToShard(context.Context, *kinesis.SubscribeToShardInput, ...func(*kinesis.Options)) (*kinesis.SubscribeToShardOutput, error)
	DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
	DescribeStreamConsumer(context.Context, *kinesis.DescribeStreamConsumerInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamConsumerOutput, error)
	RegisterStreamConsumer(context.Context, *kinesis.RegisterStreamConsumerInput, ...func(*kinesis.Options)) (*kinesis.RegisterStreamConsumerOutput, error)
	DeregisterStreamConsumer(context.Context, *kinesis.DeregisterStreamConsumerInput, ...func(*kinesis.Options)) (*kinesis.DeregisterStreamConsumerOutput, error)
}
