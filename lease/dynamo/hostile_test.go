package dynamo_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// nested returns a value of that many levels.
func nested(levels int) types.AttributeValue {
	v := s("in the middle")
	for range levels {
		v = &types.AttributeValueMemberL{Value: []types.AttributeValue{v}}
	}
	return v
}

// hostileRows are rows that no worker of ours wrote: unknown ones, and known ones
// with anything in them.
func hostileRows() []item {
	now := fmt.Sprint(time.Now().Unix()) // an old worker row is removed, by right
	big := &types.AttributeValueMemberB{Value: bytes.Repeat([]byte{7}, 5000)}
	leaseRow := func(key string, changes item) item {
		it := item{"leaseKey": s(key), "leaseCounter": n("1"), "checkpoint": s("TRIM_HORIZON"), "leaseOwner": s("a")}
		for k, v := range changes {
			it[k] = v
		}
		return it
	}
	return []item{
		{"leaseKey": s("future"), "entityType": s("SOMETHING_NEW"), "x": nested(30), "big": big},
		{"leaseKey": s("typed"), "entityType": n("1")},
		{"leaseKey": s("bare")},
		{"leaseKey": s("123:clicks:5"), "entityType": s("STREAM"), "streamId": s("123:clicks:5")},
		{"leaseKey": s("TableMigration3.5"), "entityType": s("TABLE_MIGRATION"), "tm": s("ANYTHING")},
		leaseRow("no-counter", item{"leaseCounter": s("1")}),
		leaseRow("huge-counter", item{"leaseCounter": n("99999999999999999999999999999999999999")}),
		leaseRow("odd-owner", item{"leaseOwner": s("a"), "checkpointOwner": n("5")}),
		leaseRow("odd-position", item{"checkpoint": s(strings.Repeat("9", 3000))}),
		leaseRow("odd-children", item{"childShardIds": nested(20)}),
		leaseRow("odd-range", item{"startingHashKey": s("-1"), "endingHashKey": s("x")}),
		leaseRow("odd-pending", item{"pendingCheckpoint": s("nowhere"), "pendingCheckpointState": big}),
		leaseRow("odd-run", item{"kinesisGoRun": n("5")}),
		{"leaseKey": s("worker-1"), "entityType": s("WORKER_METRIC_STATS"), "lut": s("now")},
		{"leaseKey": s("worker-2"), "entityType": s("WORKER_METRIC_STATS"), "lut": n("253402300800")},
		{"leaseKey": s("worker-3"), "entityType": s("WORKER_METRIC_STATS"), "lut": n("1"), "sts": nested(9), "opr": s("")},
		{"leaseKey": s("worker-4"), "entityType": s("WORKER_METRIC_STATS"), "lut": n(now), "sts": &types.AttributeValueMemberM{Value: item{
			"C": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("990"), n("-5.5")}}}}},
	}
}

// G8, G10: two workers share the shards and hand them over in a table full of
// rows and attributes that nobody understands. No lease is lost, nothing hangs,
// the rows that cannot be read are told of by name, and all of it is there
// afterwards as it was.
func TestFleetAmongHostileRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer()
		defer srv.Close()
		_, client := open(t, srv)
		hostile := hostileRows()
		for _, it := range hostile {
			put(t, client, "app", it)
		}
		beside := item{"note": s("mine"), "deep": nested(20), "kinesisGoMoved": s("not a map"), "kinesisGoReadTo": s("soon")}
		for i := range 4 { // rows as a stranger made them, with attributes of its own
			it := item{
				"leaseKey": s(fmt.Sprintf("shardId-%012d", i)), "leaseCounter": n("3"), "checkpoint": s("TRIM_HORIZON"),
				"checkpointSubSequenceNumber": n("0"), "ownerSwitchesSinceCheckpoint": n("0"),
			}
			for k, v := range beside {
				it[k] = v
			}
			put(t, client, "app", it)
		}
		var mu sync.Mutex
		held, skipped := map[string]int{}, map[string]string{}
		var lost []error
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		run := func(ctx context.Context, id string) {
			store, err := dynamo.New(dynamodb.NewFromConfig(srv.ConfigFor(id)), "app")
			if err != nil {
				t.Fatal(err)
			}
			c, err := lease.New(store, shards(4), func(o *lease.Options) {
				o.WorkerID = id
				o.Events.Lost = func(i lease.LostInfo) { mu.Lock(); defer mu.Unlock(); lost = append(lost, i.Err) }
				o.Events.RowSkipped = func(i lease.RowSkippedInfo) {
					mu.Lock()
					defer mu.Unlock()
					skipped[i.Err.Key] = i.Err.Error()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				done <- c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
					mu.Lock()
					held[id]++
					mu.Unlock()
					<-fetch.Done()
					mu.Lock()
					held[id]--
					mu.Unlock()
					return h.Checkpoint(work, checkpoint.At("5"))
				})
			}()
		}
		run(ctx, "a")
		time.Sleep(5 * time.Second)
		bctx, stopB := context.WithCancel(t.Context())
		run(bctx, "b")
		time.Sleep(30 * time.Second)
		mu.Lock()
		if held["a"] != 2 || held["b"] != 2 {
			t.Errorf("held %v, want 2 each", held)
		}
		mu.Unlock()
		stopB()
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(lost) > 0 {
			t.Errorf("lost %v", lost)
		}
		equal := cmp.Comparer(func(a, b types.AttributeValue) bool { return render(a) == render(b) })
		for _, it := range hostile {
			key := it["leaseKey"].(*types.AttributeValueMemberS).Value
			if diff := cmp.Diff(it, get(t, client, key), equal); diff != "" {
				t.Errorf("row %s: %s", key, diff)
			}
			if strings.HasPrefix(key, "odd-") && !strings.Contains(skipped[key], key) {
				t.Errorf("row %s: told of as %q", key, skipped[key])
			}
			if len(skipped[key]) > 400 {
				t.Errorf("row %s: told of in %d bytes", key, len(skipped[key]))
			}
		}
		for attr, row := range map[string]string{"leaseCounter": "no-counter", "checkpoint": "odd-position", "childShardIds": "odd-children", "lut": "worker-1"} {
			if !strings.Contains(skipped[row], attr) {
				t.Errorf("row %s: %q does not name %s", row, skipped[row], attr)
			}
		}
		for i := range 4 {
			got := get(t, client, fmt.Sprintf("shardId-%012d", i))
			for _, attr := range []string{"note", "deep"} {
				if render(got[attr]) != render(beside[attr]) {
					t.Errorf("shard %d: %s is %s", i, attr, render(got[attr]))
				}
			}
			if got["checkpoint"].(*types.AttributeValueMemberS).Value != "5" {
				t.Errorf("shard %d: position %s", i, render(got["checkpoint"]))
			}
		}
	})
}

// render writes a value out, to compare.
func render(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberL:
		var parts []string
		for _, e := range v.Value {
			parts = append(parts, render(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case *types.AttributeValueMemberM:
		var parts []string
		for k, e := range v.Value {
			parts = append(parts, k+":"+render(e))
		}
		slices.Sort(parts)
		return fmt.Sprint(parts)
	case *types.AttributeValueMemberN:
		return "N" + v.Value
	}
	return fmt.Sprintf("%#v", v)
}

// An owner whose row is spoiled while it holds it loses that lease alone.
func TestSpoiledRowCostsItsOwnLeaseAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer()
		defer srv.Close()
		store, client := open(t, srv)
		var mu sync.Mutex
		lost := map[string]bool{}
		c, err := lease.New(store, shards(3), func(o *lease.Options) {
			o.WorkerID = "a"
			o.Events.Lost = func(i lease.LostInfo) { mu.Lock(); defer mu.Unlock(); lost[i.Shard] = true }
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- c.Run(ctx, func(fetch, _ context.Context, _ *lease.Held) error {
				<-fetch.Done()
				return nil
			})
		}()
		time.Sleep(5 * time.Second)
		spoiled := get(t, client, "shardId-000000000001")
		spoiled["checkpoint"] = n("17")
		put(t, client, "app", spoiled)
		time.Sleep(30 * time.Second)
		mu.Lock()
		if len(lost) != 1 || !lost["shardId-000000000001"] {
			t.Errorf("lost %v, want the spoiled one alone", lost)
		}
		mu.Unlock()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
