package dynamo_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
	"github.com/kinesis-go/kinesis/lease/leasetest"
)

func TestStoreOnDynamoDB(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	t.Cleanup(srv.Close)
	client := dynamodb.NewFromConfig(srv.Config())
	var tables atomic.Int64
	leasetest.TestStore(t, func(t *testing.T) lease.Store {
		s, err := dynamo.New(client, fmt.Sprintf("app-%d", tables.Add(1)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
