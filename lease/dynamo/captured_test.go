package dynamo

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
)

// exact compares attribute values.
var exact = cmp.Exporter(func(reflect.Type) bool { return true })

// Every row of every table that was captured from real workers is understood, and
// written as it is but for what the write says.
func TestCapturedRowsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"testdata/kcl-v272-2workers.json", "testdata/kcl-v351-multistream.json", "testdata/kcl-v351-reshard-12s.json",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			srv := kinesistest.NewServer()
			defer srv.Close()
			client := dynamodb.NewFromConfig(srv.Config())
			s, err := New(client, "app")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := make(map[string]item)
			for _, it := range readItems(t, file) {
				key, _ := text(it, attrKey)
				want[key] = it
				if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &s.table, Item: it}); err != nil {
					t.Fatal(err)
				}
			}
			writeAll(t, s, want)
			for key, it := range want {
				out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
					TableName: &s.table, Key: keyOf(key), ConsistentRead: aws.Bool(true),
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(it, out.Item, exact); diff != "" {
					t.Errorf("%s: %s", key, diff)
				}
			}
		})
	}
}

// writeAll writes every row that is understood, and notes in want what is to change
// by that.
func writeAll(t *testing.T, s *Store, want map[string]item) {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil || len(snap.Bad) > 0 {
		t.Fatalf("Snapshot() = %v, bad %v", err, snap.Bad)
	}
	kinds := 0
	for _, it := range want {
		if k := kindOf(it); k != kindOther {
			kinds++
		}
	}
	n := len(snap.Rows) + len(snap.Workers)
	if snap.Lock.Version != "" {
		n++
	}
	if n != kinds {
		t.Fatalf("%d rows were understood, %d are of a kind that is", n, kinds)
	}
	for _, r := range snap.Rows {
		if _, err := s.Write(t.Context(), lease.Write{Op: lease.Renew, Seen: r}); err != nil {
			t.Error(err)
		}
		want[r.Key][attrCounter] = num(r.Counter + 1)

		// A row made anew is the same but for what Create resets.
		made := encodeRow(r)
		made[attrCounter] = want[r.Key][attrCounter]
		if _, typed := want[r.Key][attrType]; !typed {
			delete(made, attrType) // the KCL before 3.5 gives none
		}
		if diff := cmp.Diff(want[r.Key], made, exact); diff != "" {
			t.Errorf("%s made anew: %s", r.Key, diff)
		}
	}
	for _, w := range snap.Workers {
		if err := s.PutWorker(t.Context(), w); err != nil {
			t.Error(err)
		}
	}
	if l := snap.Lock; l.Version != "" {
		next := l
		next.Version = "next"
		if err := s.SwapLock(t.Context(), l, next); err != nil {
			t.Error(err)
		}
		want[lockKey][attrLockVersion] = &types.AttributeValueMemberS{Value: "next"}
	}
}
