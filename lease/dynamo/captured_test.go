package dynamo

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
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

// An attribute that nobody knows yet, with a value of every kind.
const attrFuture = "future"

var future = &types.AttributeValueMemberM{Value: item{
	"s": str(""), "n": num(-1), "b": &types.AttributeValueMemberB{Value: []byte{0, 255}}, "y": &types.AttributeValueMemberBOOL{Value: true},
	"z": &types.AttributeValueMemberNULL{Value: true}, "l": &types.AttributeValueMemberL{Value: []types.AttributeValue{num(1), str("x")}},
	"ss": &types.AttributeValueMemberSS{Value: []string{"a"}}, "ns": &types.AttributeValueMemberNS{Value: []string{"1"}},
	"bs": &types.AttributeValueMemberBS{Value: [][]byte{{1}}},
}}

// Every row of every table that was captured from real workers is understood, and
// written as it is but for what the write says. What a later KCL may add to any of
// them stays.
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
				it[attrFuture] = future
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
		made[attrFuture] = future
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

// A captured application: all its tables.
type capture struct {
	Tables []struct {
		TableName string
		KeySchema []struct{ AttributeName string }
		Items     []map[string]map[string]json.RawMessage
	}
}

// restore makes the tables of a captured application.
func restore(t *testing.T, client *dynamodb.Client, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c capture
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	for _, table := range c.Tables {
		key := table.KeySchema[0].AttributeName
		if _, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &table.TableName, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
		}); err != nil {
			t.Fatal(err)
		}
		for _, raw := range table.Items {
			it := readItem(raw)
			it[attrFuture] = future
			if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table.TableName, Item: it}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The applications of KCL 3.4 and of one on its way to 3.5 are joined as they are.
func TestCapturedApplicationsAreJoined(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file    string
		layout  layout
		leader  string
		workers []string
	}{
		{"testdata/kcl-v342-three-tables.json", layoutInit, "java34", []string{"java34"}},
		{"testdata/kcl-v342-v351-pending.json", layoutPending, "go2", []string{"go2", "java34", "java35", "java35m"}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			srv := kinesistest.NewServer()
			defer srv.Close()
			client := dynamodb.NewFromConfig(srv.Config())
			restore(t, client, tt.file)
			s, err := New(client, "app", func(o *Options) { o.MigrateTables = tt.layout == layoutPending })
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			snap, err := s.Snapshot(t.Context())
			if err != nil || len(snap.Bad) > 0 || len(snap.Rows) != 4 {
				t.Fatalf("Snapshot() = %d rows, bad %v, %v", len(snap.Rows), snap.Bad, err)
			}
			var workers []string
			for _, w := range snap.Workers {
				workers = append(workers, w.ID)
			}
			if s.layout.layout != tt.layout || snap.Lock.Owner != tt.leader || !slices.Equal(workers, tt.workers) {
				t.Errorf("layout %v, leader %q, workers %v", s.layout, snap.Lock.Owner, workers)
			}
			if p, err := s.Phase(t.Context(), lease.Facts{Worker: "w"}); err != nil || p.Assign != lease.AssignByLeader || p.Elect != lease.ElectByLock {
				t.Errorf("Phase() = %+v, %v", p, err)
			}
			next := snap.Lock
			next.Version = "next"
			if err := s.SwapLock(t.Context(), snap.Lock, next); err != nil {
				t.Error(err)
			}
			if got, err := s.lockIn(t.Context(), s.legacyState()); err != nil || got != next {
				t.Errorf("the lock where the KCL looks is %+v, %v", got, err)
			}
			for _, w := range snap.Workers {
				if err := s.PutWorker(t.Context(), w); err != nil {
					t.Error(err)
				}
			}
			for _, r := range snap.Rows {
				if _, err := s.Write(t.Context(), lease.Write{Op: lease.Renew, Seen: r}); err != nil {
					t.Error(err)
				}
			}
			for _, p := range []place{s.leases(), s.legacyState(), s.legacyWorkers()} {
				if err := s.scanAll(t.Context(), p.table, true, func(it item) {
					id, _ := text(it, p.key)
					made := p == s.leases() && s.layout.layout == layoutPending && !slices.ContainsFunc(snap.Rows, func(r lease.Row) bool { return r.Key == id })
					if diff := cmp.Diff(types.AttributeValue(future), it[attrFuture], exact); diff != "" && !made {
						t.Errorf("%s of %s: %s", id, p.table, diff)
					}
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
