package producer

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// KinesisAPI is what a Producer calls. A *kinesis.Client is one.
//
// The producer switches the client's own retries off for each call, since two
// retry loops fight; every other setting of the client stays as it is. An
// implementation may not keep a PutRecordsInput, nor the bytes in it, when
// PutRecords has returned: they are the producer's and used again.
type KinesisAPI interface {
	PutRecords(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
	ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
}
