package kinesistest_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// inBubble runs f in a synctest bubble on a server that is closed afterwards.
func inBubble(t *testing.T, f func(t *testing.T, srv *kinesistest.Server), optFns ...func(*kinesistest.Options)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer(optFns...)
		defer srv.Close()
		f(t, srv)
	})
}

// newClient returns a client that does not retry.
func newClient(srv *kinesistest.Server) *kinesis.Client {
	return kinesis.NewFromConfig(srv.Config(), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
}

func mustCreate(t *testing.T, srv *kinesistest.Server, name string, shards int) {
	t.Helper()
	if err := srv.CreateStream(name, shards); err != nil {
		t.Fatal(err)
	}
}

func TestPutAndRead(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "clicks", 2)
		ctx, client := t.Context(), newClient(srv)
		var entries []types.PutRecordsRequestEntry
		for i := range 20 {
			entries = append(entries, types.PutRecordsRequestEntry{Data: []byte(fmt.Sprint("click ", i)), PartitionKey: aws.String(fmt.Sprint("user ", i))})
		}
		put, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("clicks"), Records: entries})
		if err != nil || *put.FailedRecordCount != 0 || len(put.Records) != 20 {
			t.Fatalf("PutRecords = %+v, %v", put, err)
		}
		got := map[string]string{}
		for _, sh := range srv.Shards("clicks") {
			it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: &sh.ID, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
			if err != nil {
				t.Fatal(err)
			}
			page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
			if err != nil {
				t.Fatal(err)
			}
			if page.NextShardIterator == nil || *page.MillisBehindLatest != 0 {
				t.Errorf("page of %s = %+v", sh.ID, page)
			}
			for _, r := range page.Records {
				got[*r.SequenceNumber] = string(r.Data)
				if !r.ApproximateArrivalTimestamp.Equal(time.Now()) {
					t.Errorf("arrival = %v, want %v", r.ApproximateArrivalTimestamp, time.Now())
				}
			}
		}
		for i, r := range put.Records {
			if want := string(entries[i].Data); got[*r.SequenceNumber] != want {
				t.Errorf("record %s = %q, want %q", *r.SequenceNumber, got[*r.SequenceNumber], want)
			}
		}
	})
}

func TestIteratorExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		ctx, client := t.Context(), newClient(srv)
		it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: aws.String("s"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeLatest})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if _, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator}); err != nil {
			t.Fatalf("after 5 minutes: %v", err)
		}
		time.Sleep(time.Millisecond)
		var expired *types.ExpiredIteratorException
		if _, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator}); !errors.As(err, &expired) {
			t.Fatalf("after more than 5 minutes: %v, want ExpiredIteratorException", err)
		}
	})
}
