package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

func put(ctx context.Context, client *kinesis.Client, key string) (*kinesis.PutRecordOutput, error) {
	return client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: &key, Data: []byte("data of " + key)})
}

// stored returns the partition keys of the records of stream s.
func stored(srv *kinesistest.Server) (keys []string) {
	for r := range srv.Records("s") {
		keys = append(keys, r.PartitionKey)
	}
	return keys
}

func TestFaultLoses(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		for _, loss := range []kinesistest.Loss{kinesistest.LoseRequest, kinesistest.LoseResponse} {
			remove := srv.Inject(kinesistest.Fault{Operation: "PutRecord", Lose: loss})
			if _, err := put(t.Context(), client, fmt.Sprint("loss ", loss)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("loss %d: %v, want a connection reset", loss, err)
			}
			remove()
			remove()
		}
		if got := stored(srv); !slices.Equal(got, []string{fmt.Sprint("loss ", kinesistest.LoseResponse)}) {
			t.Errorf("stored = %q, want what lost its response alone", got)
		}
		// To the SDK it is an error of the network, which it tries again.
		srv.Inject(kinesistest.Fault{Operation: "PutRecord", Lose: kinesistest.LoseResponse, Times: 1})
		if _, err := put(t.Context(), kinesis.NewFromConfig(srv.Config()), "twice"); err != nil {
			t.Errorf("with retries: %v", err)
		}
		if got := stored(srv); len(got) != 3 {
			t.Errorf("stored = %q, want the retried one twice", got)
		}
	})
}

func TestFaultFailsBeforeOrAfterApplying(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		srv.Inject(kinesistest.Fault{Operation: "PutRecord", Match: func(c *kinesistest.Call) bool { return c.Keys[0] == "before" }, Error: kinesistest.Throttled})
		srv.Inject(kinesistest.Fault{Operation: "PutRecord", Match: func(c *kinesistest.Call) bool { return c.Keys[0] == "after" }, Error: kinesistest.InternalFailure, Applied: true})
		var throttled *types.ProvisionedThroughputExceededException
		if _, err := put(t.Context(), client, "before"); !errors.As(err, &throttled) {
			t.Errorf("before: %v", err)
		}
		if _, err := put(t.Context(), client, "after"); err == nil || !strings.Contains(err.Error(), "InternalFailure") || !strings.Contains(err.Error(), "500") {
			t.Errorf("after: %v", err)
		}
		if _, err := put(t.Context(), client, "other"); err != nil {
			t.Error(err)
		}
		if got := stored(srv); !slices.Equal(got, []string{"after", "other"}) {
			t.Errorf("stored = %q", got)
		}
	})
}

func TestFaultDelays(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		srv.Inject(kinesistest.Fault{Operation: "PutRecord", Delay: 2 * time.Second, DelayAfter: 3 * time.Second})
		start := time.Now()
		if _, err := put(t.Context(), client, "slow"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the call took %v, want 5s", took)
		}
		for r := range srv.Records("s") {
			if got := r.Arrival.Sub(start); got != 2*time.Second {
				t.Errorf("applied after %v, want 2s", got)
			}
		}
		for _, tt := range []struct {
			patience time.Duration
			applied  int
		}{{time.Second, 1}, {4 * time.Second, 2}} {
			ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
			_, err := put(ctx, client, "given up")
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("given up after %v: %v", tt.patience, err)
			}
			if got := stored(srv); len(got) != tt.applied {
				t.Errorf("given up after %v: stored %q", tt.patience, got)
			}
		}
	})
}

func TestFaultHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		one, other := kinesis.NewFromConfig(srv.ConfigFor("one"), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }), newClient(srv)
		remove := srv.Inject(kinesistest.Fault{Client: "one", Hang: true})
		ended := make(chan error, 1)
		go func() {
			_, err := put(t.Context(), one, "one")
			ended <- err
		}()
		if _, err := put(t.Context(), other, "other"); err != nil {
			t.Errorf("another client: %v", err)
		}
		synctest.Wait()
		select {
		case err := <-ended:
			t.Errorf("the call ended: %v", err)
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := put(ctx, one, "patient"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a timeout: %v", err)
		}
		remove()
		if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after the fault was removed: %v", err)
		}
		if _, err := put(t.Context(), one, "again"); err != nil {
			t.Error(err)
		}
		if got := stored(srv); !slices.Equal(got, []string{"other", "again"}) {
			t.Errorf("stored = %q", got)
		}
	})
}

func TestCloseEndsCallsThatHang(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		srv.Inject(kinesistest.Fault{Hang: true})
		ended := make(chan error, 1)
		go func() {
			_, err := put(t.Context(), client, "k")
			ended <- err
		}()
		synctest.Wait()
		srv.Close()
		if err := <-ended; err == nil {
			t.Error("the call that hung succeeded")
		}
		if _, err := put(t.Context(), client, "k"); !errors.Is(err, kinesistest.ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
		if len(srv.Shards("s")) != 1 {
			t.Error("a closed server cannot be inspected")
		}
	})
}

func putMany(t *testing.T, client *kinesis.Client, n int) *kinesis.PutRecordsOutput {
	t.Helper()
	var entries []types.PutRecordsRequestEntry
	for i := range n {
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(i)), Data: []byte("x")})
	}
	out, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: entries})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFaultFailsSingleRecords(t *testing.T) {
	tests := []struct {
		name  string
		fault kinesistest.Fault
		fails func(i int, shard string) bool
	}{
		{"by index", kinesistest.Fault{Entries: func(i int, _, _ string) bool { return i%3 == 0 }}, func(i int, _ string) bool { return i%3 == 0 }},
		{"by key", kinesistest.Fault{Key: "7"}, func(i int, _ string) bool { return i == 7 }},
		{"by shard", kinesistest.Fault{Shard: "shardId-000000000001"}, func(_ int, shard string) bool { return shard == "shardId-000000000001" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
				mustCreate(t, srv, "s", 3)
				client := newClient(srv)
				want := putMany(t, client, 30)
				tt.fault.Operation, tt.fault.Error, tt.fault.Times = "PutRecords", kinesistest.Throttled, 1
				srv.Inject(tt.fault)
				failed := int32(0)
				for i, r := range putMany(t, client, 30).Records {
					if fails := tt.fails(i, *want.Records[i].ShardId); fails != (r.ErrorCode != nil) {
						t.Errorf("record %d of %s: code %v", i, *want.Records[i].ShardId, aws.ToString(r.ErrorCode))
					} else if fails {
						failed++
						if *r.ErrorCode != kinesistest.Throttled.Code {
							t.Errorf("record %d fails with %s", i, *r.ErrorCode)
						}
					}
				}
				if got := len(stored(srv)); failed == 0 || got != 60-int(failed) {
					t.Errorf("%d failed, %d of 60 are stored", failed, got)
				}
				if out := putMany(t, client, 30); *out.FailedRecordCount != 0 {
					t.Errorf("after the one time %d failed", *out.FailedRecordCount)
				}
			})
		})
	}
}

// A call without a record that the fault is about is not one of its calls.
func TestFaultCountsCallsWithItsRecords(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		srv.Inject(kinesistest.Fault{Key: "15", Error: kinesistest.Throttled, Times: 1})
		for _, tt := range []struct{ n, failed int32 }{{10, 0}, {20, 1}, {20, 0}} {
			if got := *putMany(t, client, int(tt.n)).FailedRecordCount; got != tt.failed {
				t.Errorf("of %d records %d failed, want %d", tt.n, got, tt.failed)
			}
		}
		if _, err := put(t.Context(), client, "15"); err != nil {
			t.Error(err)
		}
	})
}

func TestFaultChoosesAmongCalls(t *testing.T) {
	tests := []struct {
		name  string
		fault kinesistest.Fault
		want  string // x for each of ten calls that fails
	}{
		{"all", kinesistest.Fault{}, "xxxxxxxxxx"},
		{"times", kinesistest.Fault{Times: 3}, "xxx......."},
		{"skip", kinesistest.Fault{Skip: 2, Times: 1}, "..x......."},
		{"every", kinesistest.Fault{Every: 4}, "x...x...x."},
		{"skip and every", kinesistest.Fault{Skip: 1, Every: 3, Times: 2}, ".x..x....."},
		{"other operation", kinesistest.Fault{Operation: "GetRecords"}, ".........."},
		{"other service", kinesistest.Fault{Service: kinesistest.DynamoDB}, ".........."},
		{"this service", kinesistest.Fault{Service: kinesistest.Kinesis}, "xxxxxxxxxx"},
		{"other stream", kinesistest.Fault{Stream: "t"}, ".........."},
		{"this stream", kinesistest.Fault{Stream: "s"}, "xxxxxxxxxx"},
		{"table", kinesistest.Fault{Table: "s"}, ".........."},
		{"key", kinesistest.Fault{Key: "4"}, "....x....."},
		{"other client", kinesistest.Fault{Client: "one"}, ".........."},
		{"chance", kinesistest.Fault{Probability: 0.5, Seed: 1}, "...xx...x."},
		{"certain", kinesistest.Fault{Probability: 1}, "xxxxxxxxxx"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
				mustCreate(t, srv, "s", 1)
				client := newClient(srv)
				tt.fault.Error = kinesistest.Throttled
				srv.Inject(tt.fault)
				got := ""
				for i := range 10 {
					if _, err := put(t.Context(), client, fmt.Sprint(i)); err != nil {
						got += "x"
					} else {
						got += "."
					}
				}
				if got != tt.want {
					t.Errorf("failed %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestFaultProbability(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		srv.Inject(kinesistest.Fault{Probability: 0.2, Seed: 42, Error: kinesistest.Throttled})
		failed := 0
		for range 1000 {
			if _, err := put(t.Context(), client, "k"); err != nil {
				failed++
			}
		}
		if failed < 150 || failed > 250 {
			t.Errorf("%d of 1000 failed, want about 200", failed)
		}
	})
}

func TestFaultFindsStreamAndShardOfAnIterator(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 2)
		ctx, client := t.Context(), newClient(srv)
		srv.Inject(kinesistest.Fault{Operation: "GetRecords", Stream: "s", Shard: "shardId-000000000001", Error: kinesistest.Throttled})
		for i, id := range []string{"shardId-000000000000", "shardId-000000000001"} {
			it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: aws.String("s"), ShardId: &id, ShardIteratorType: types.ShardIteratorTypeLatest})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator}); (err != nil) != (i == 1) {
				t.Errorf("shard %d: %v", i, err)
			}
		}
	})
}

func TestFaultFindsTheKeyOfARow(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		ctx := t.Context()
		db := dynamodb.NewFromConfig(srv.Config(), func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
		createLeases(t, db)
		srv.Inject(kinesistest.Fault{Operation: "UpdateItem", Table: "leases", Key: "shard-2", Error: kinesistest.InternalFailure})
		for i := range 4 {
			_, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName:                 aws.String("leases"),
				Key:                       map[string]ddbtypes.AttributeValue{"leaseKey": &ddbtypes.AttributeValueMemberS{Value: fmt.Sprint("shard-", i)}},
				UpdateExpression:          aws.String("SET leaseOwner = :w"),
				ExpressionAttributeValues: map[string]ddbtypes.AttributeValue{":w": &ddbtypes.AttributeValueMemberS{Value: "w"}},
			})
			if (err != nil) != (i == 2) {
				t.Errorf("row %d: %v", i, err)
			}
		}
		if got := len(srv.Rows("leases")); got != 3 {
			t.Errorf("%d rows, want 3", got)
		}
	})
}

func createLeases(t *testing.T, db *dynamodb.Client) {
	t.Helper()
	if _, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            aws.String("leases"),
		BillingMode:          ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: ddbtypes.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
}

// Intercept sees calls and may change their answers; faults stack in the order
// of their injection.
func TestFaultIntercepts(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		var seen []string
		srv.Inject(kinesistest.Fault{Operation: "PutRecord", Intercept: func(_ context.Context, c *kinesistest.Call, next func() kinesistest.Answer) kinesistest.Answer {
			a := next()
			seen = append(seen, fmt.Sprint(c.Service, " ", c.Operation, " ", c.Stream, " ", c.Keys, " ", len(c.Records()), " ", a.Err != nil))
			if a.Err != nil {
				return kinesistest.Answer{Body: []byte(`{"ShardId":"made up","SequenceNumber":"1"}`)}
			}
			return a
		}})
		srv.Inject(kinesistest.Fault{Operation: "PutRecord", Skip: 1, Error: kinesistest.ServiceUnavailable})
		for i, want := range []string{"shardId-000000000000", "made up"} {
			out, err := put(t.Context(), client, "k")
			if err != nil || *out.ShardId != want {
				t.Errorf("put %d = %+v, %v, want %s", i, out, err, want)
			}
		}
		if want := []string{"Kinesis PutRecord s [k] 1 false", "Kinesis PutRecord s [k] 1 true"}; !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
	})
}
