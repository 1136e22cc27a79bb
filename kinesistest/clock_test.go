package kinesistest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kinesis/kinesistest"
)

func TestClockOffset(t *testing.T) {
	for _, offset := range []time.Duration{time.Hour, -time.Hour, time.Minute} {
		t.Run(offset.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
				mustCreate(t, srv, "s", 1)
				client, off := newClient(srv), offset.Abs() > 5*time.Minute
				_, err := put(t.Context(), client, "first")
				var refused smithy.APIError
				if off != (errors.As(err, &refused) && refused.ErrorCode() == "InvalidSignatureException") || !off && err != nil {
					t.Errorf("the first put: %v", err)
				}
				// The client has learnt the server's time from the refusal.
				if _, err := put(t.Context(), client, "second"); err != nil {
					t.Errorf("the second put: %v", err)
				}
				if _, err := put(t.Context(), kinesis.NewFromConfig(srv.Config()), "third"); err != nil {
					t.Errorf("a client that retries: %v", err)
				}
				tables := dynamodb.NewFromConfig(srv.Config())
				createLeases(t, tables)
				table, err := tables.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("leases")})
				if err != nil {
					t.Fatal(err)
				}
				if ahead := time.Until(*table.Table.CreationDateTime); (ahead - offset).Abs() > time.Minute {
					t.Errorf("the table was created %v ahead of the clock here, want %v", ahead, offset)
				}
				for r := range srv.Records("s") {
					if ahead := time.Until(r.Arrival); (ahead - offset).Abs() > time.Minute {
						t.Errorf("record %s arrived %v ahead of the clock here, want %v", r.PartitionKey, ahead, offset)
					}
				}
				_, err = client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: aws.String("s"), ShardId: aws.String(shard0),
					ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(-time.Second))})
				if future := offset < 0; future != (err != nil && strings.Contains(err.Error(), "cannot be greater")) {
					t.Errorf("a position just before the clock here: %v", err)
				}
			}, func(o *kinesistest.Options) { o.ClockOffset = offset })
		})
	}
}
