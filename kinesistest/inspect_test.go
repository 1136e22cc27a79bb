package kinesistest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

const shard0 = "shardId-000000000000"

func split(t *testing.T, client *kinesis.Client) {
	t.Helper()
	if _, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: aws.String(shard0),
		NewStartingHashKey: aws.String("170141183460469231731687303715884105728")}); err != nil {
		t.Fatal(err)
	}
}

// readAll reads a shard of stream s from its trim horizon to its tip or end.
func readAll(t *testing.T, client *kinesis.Client, shard string) (keys []string) {
	t.Helper()
	it, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: aws.String("s"), ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		t.Fatal(err)
	}
	for next := it.ShardIterator; next != nil; {
		page, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			keys = append(keys, *r.PartitionKey)
		}
		if *page.MillisBehindLatest == 0 {
			break
		}
		next = page.NextShardIterator
	}
	return keys
}

func TestRecordsAreTheGroundTruth(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		first, err := put(t.Context(), client, "in the parent")
		if err != nil {
			t.Fatal(err)
		}
		split(t, client)
		out, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("7"), Data: []byte("in a child")})
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Collect(srv.Records("s"))
		if len(got) != 2 || got[0].SequenceNumber != *first.SequenceNumber || got[0].ShardID != shard0 ||
			got[1].SequenceNumber != *out.SequenceNumber || got[1].ShardID != *out.ShardId || got[1].ExplicitHashKey != "7" ||
			string(got[1].Data) != "in a child" || !got[1].Arrival.Equal(time.Now()) {
			t.Errorf("records = %+v", got)
		}
		shards := srv.Shards("s")
		if len(shards) != 3 || shards[0].EndingSequenceNumber == "" || shards[0].Records != 1 || shards[1].ParentID != shard0 ||
			shards[1].StartingHashKey != "0" || shards[2].EndingSequenceNumber != "" {
			t.Errorf("shards = %+v", shards)
		}
		for range srv.Records("none") {
			t.Error("a stream that is none has a record")
		}
		if srv.Shards("none") != nil || srv.Rows("none") != nil {
			t.Error("what does not exist has shards or rows")
		}
	})
}

func TestTrim(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		var numbers []string
		for i := range 10 {
			out, err := put(t.Context(), client, fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, *out.SequenceNumber)
		}
		if err := srv.Trim("s", shard0, numbers[4]); err != nil {
			t.Fatal(err)
		}
		want := []string{"4", "5", "6", "7", "8", "9"}
		if got := readAll(t, client, shard0); !slices.Equal(got, want) {
			t.Errorf("after a trim at 4 there are %v", got)
		}
		if err := srv.Trim("s", shard0, numbers[1]); err != nil { // behind the horizon: nothing to do
			t.Error(err)
		}
		time.Sleep(time.Second)
		// A position that was trimmed reads on from the horizon.
		it, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: aws.String("s"), ShardId: aws.String(shard0),
			ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &numbers[0]})
		if err != nil {
			t.Fatal(err)
		}
		page, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
		if err != nil || len(page.Records) != 6 {
			t.Errorf("after a trimmed position come %d records, %v", len(page.Records), err)
		}
		for what, args := range map[string][3]string{
			"stream": {"none", shard0, numbers[0]}, "shard": {"s", "shardId-000000000009", numbers[0]}, "number": {"s", shard0, "7"},
		} {
			var coded *kinesistest.Error
			if err := srv.Trim(args[0], args[1], args[2]); !errors.As(err, &coded) || !strings.HasPrefix(err.Error(), "kinesistest: ") {
				t.Errorf("with a wrong %s: %v", what, err)
			}
		}
	})
}

func TestRetentionTrimsUnlessKept(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
				mustCreate(t, srv, "s", 1)
				client := newClient(srv)
				// More than a segment, so that memory could be freed.
				for range 3 {
					if _, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: aws.String("old"), Data: make([]byte, 1<<20-3)}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(25 * time.Hour)
				if _, err := put(t.Context(), client, "new"); err != nil {
					t.Fatal(err)
				}
				if got := readAll(t, client, shard0); !slices.Equal(got, []string{"new"}) {
					t.Errorf("after a day there are %v", got)
				}
				if got, want := len(stored(srv)), map[bool]int{false: 1, true: 4}[keep]; got != want {
					t.Errorf("in memory are %d, want %d", got, want)
				}
				if got := srv.Shards("s")[0].Records; got != 1 {
					t.Errorf("Shard.Records = %d, want those that can be read", got)
				}
			}, kinesistest.Unthrottled, func(o *kinesistest.Options) { o.KeepTrimmed = keep })
		})
	}
}

func TestConsumersAndTheirSubscriptions(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 2)
		if got := srv.Consumers("s"); got != nil {
			t.Errorf("consumers of a new stream: %v", got)
		}
		client, arn := newClient(srv), aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/s")
		out, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arn, ConsumerName: aws.String("reader")})
		if err != nil {
			t.Fatal(err)
		}
		sub, err := client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: out.Consumer.ConsumerARN, ShardId: aws.String(shard0),
			StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}})
		if err != nil {
			t.Fatal(err)
		}
		want := kinesistest.Consumer{Name: "reader", ARN: *out.Consumer.ConsumerARN, Status: "ACTIVE", Created: time.Now(), Subscriptions: []string{shard0}}
		if got := srv.Consumers("s"); len(got) != 1 || got[0].Name != want.Name || got[0].ARN != want.ARN || got[0].Status != want.Status || !slices.Equal(got[0].Subscriptions, want.Subscriptions) {
			t.Errorf("consumers %+v, want %+v", got, want)
		}
		sub.GetStream().Close()
		time.Sleep(time.Second)
		if got := srv.Consumers("s"); len(got) != 1 || len(got[0].Subscriptions) != 0 {
			t.Errorf("after the subscription has ended: %+v", got)
		}
		if got := srv.Streams(); !slices.Equal(got, []string{"s"}) || len(srv.Tables()) != 0 {
			t.Errorf("streams %q, tables %q", got, srv.Tables())
		}
	})
}

func TestJournalNamesClients(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		for _, name := range []string{"one", "two", ""} {
			if _, err := put(t.Context(), kinesis.NewFromConfig(srv.ConfigFor(name)), "key"); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, c := range srv.Journal() {
			got = append(got, c.Append.Client)
		}
		if !slices.Equal(got, []string{"one", "two", ""}) {
			t.Errorf("clients of the appends: %q", got)
		}
	})
}
