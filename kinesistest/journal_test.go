package kinesistest_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/kinesistest"
)

func TestJournalHasBothServicesInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		ctx, client, db := t.Context(), newClient(srv), dynamodb.NewFromConfig(srv.Config())
		createLeases(t, db)
		out := putMany(t, client, 3)
		if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("leases"), Item: map[string]ddbtypes.AttributeValue{
			"leaseKey": &ddbtypes.AttributeValueMemberS{Value: "a"}, "leaseCounter": &ddbtypes.AttributeValueMemberN{Value: "7"},
		}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:           aws.String("leases"),
			Key:                 map[string]ddbtypes.AttributeValue{"leaseKey": &ddbtypes.AttributeValueMemberS{Value: "a"}},
			ConditionExpression: aws.String("leaseCounter = :old"),
			UpdateExpression:    aws.String("SET leaseCounter = leaseCounter + :one"),
			ExpressionAttributeValues: map[string]ddbtypes.AttributeValue{
				":old": &ddbtypes.AttributeValueMemberN{Value: "7"}, ":one": &ddbtypes.AttributeValueMemberN{Value: "1"}},
		}); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		key := kinesistest.Row{"leaseKey": "a"}
		before := kinesistest.Row{"leaseKey": "a", "leaseCounter": json.Number("7")}
		after := kinesistest.Row{"leaseKey": "a", "leaseCounter": json.Number("8")}
		want := []kinesistest.Change{
			{N: 1, Time: now.Add(-time.Second), Append: &kinesistest.Append{Stream: "s", ShardID: "shardId-000000000000", SequenceNumber: *out.Records[0].SequenceNumber, Records: 3}},
			{N: 2, Time: now.Add(-time.Second), Write: &kinesistest.Write{Table: "leases", Operation: "PutItem", Key: key, After: before}},
			{N: 3, Time: now, Write: &kinesistest.Write{Table: "leases", Operation: "UpdateItem", Key: key, Before: before, After: after}},
		}
		got := srv.Journal()
		if len(got) == 3 && got[2].Write != nil {
			if got[2].Write.Condition == "" {
				t.Error("a conditional write has no condition")
			}
			got[2].Write.Condition = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]kinesistest.Row{after}, srv.Rows("leases")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestJournalForgetsTheOldest(t *testing.T) {
	for _, limit := range []int{0, 1, 7, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
				mustCreate(t, srv, "s", 1)
				client := newClient(srv)
				for i := range 20 {
					if _, err := put(t.Context(), client, "k"); err != nil {
						t.Fatal(err)
					}
					got := srv.Journal()
					if len(got) != min(i+1, limit) {
						t.Fatalf("after %d changes the journal has %d, want at most %d", i+1, len(got), limit)
					}
					for j, c := range got {
						if want := uint64(i + 2 - len(got) + j); c.N != want {
							t.Fatalf("after %d changes entry %d is change %d, want %d", i+1, j, c.N, want)
						}
					}
				}
			}, func(o *kinesistest.Options) { o.JournalEntries = limit })
		})
	}
}

// The journal has the records of a shard in the order of their numbers, also
// when many put at once.
func TestJournalOrderIsTheOrderOfTheShard(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					if _, err := put(t.Context(), client, "k"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		last := ""
		for _, c := range srv.Journal() {
			if c.Append.SequenceNumber <= last {
				t.Fatalf("change %d has %s after %s", c.N, c.Append.SequenceNumber, last)
			}
			last = c.Append.SequenceNumber
		}
	})
}
