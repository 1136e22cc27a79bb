package dynamo_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/checkpoint"
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

// shards is a source of n shards that stay open.
type shards int

func (n shards) Streams(context.Context) ([]lease.Stream, error) {
	return []lease.Stream{{Name: "clicks", Start: checkpoint.TrimHorizon}}, nil
}

func (n shards) Shards(context.Context, lease.Stream, lease.ShardsAt) ([]lease.Shard, error) {
	var out []lease.Shard
	for i := range int(n) {
		out = append(out, lease.Shard{ID: fmt.Sprintf("shardId-%012d", i)})
	}
	return out, nil
}

func (n shards) Children(context.Context, lease.Stream, string) ([]lease.Shard, error) {
	return nil, nil
}

// Two workers on the real client: they share the shards, one dies, the other
// takes over; and the rows are those that the KCL would write.
func TestFleetOnDynamoDB(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer(func(o *kinesistest.Options) { o.TableCreating = 2 * time.Second })
		defer srv.Close()
		held := make(map[string]int)
		var mu sync.Mutex
		count := func(id string) int {
			mu.Lock()
			defer mu.Unlock()
			return held[id]
		}
		run := func(id string) (stop context.CancelFunc, done chan error) {
			store, err := dynamo.New(dynamodb.NewFromConfig(srv.ConfigFor(id)), "app")
			if err != nil {
				t.Fatal(err)
			}
			c, err := lease.New(store, shards(6), func(o *lease.Options) { o.WorkerID = id })
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done = make(chan error, 1)
			go func() {
				done <- c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
					mu.Lock()
					held[id]++
					mu.Unlock()
					<-fetch.Done()
					err := h.Checkpoint(work, checkpoint.At("5"))
					mu.Lock()
					held[id]--
					mu.Unlock()
					return err
				})
			}()
			return stop, done
		}
		stopA, doneA := run("a")
		time.Sleep(4 * time.Second) // 2 of them for the table
		if count("a") != 6 {
			t.Errorf("a holds %d leases after 4 s, want 6", count("a"))
		}
		stopB, doneB := run("b")
		time.Sleep(15 * time.Second)
		if count("a") != 3 || count("b") != 3 {
			t.Errorf("a holds %d leases, b %d, want 3 each", count("a"), count("b"))
		}
		time.Sleep(time.Minute)
		store, client := open(t, srv)
		if it := get(t, client, "Migration3.0"); it == nil {
			t.Error("the version is not marked after a minute of leading")
		}
		remove := srv.Inject(kinesistest.Fault{Client: "a", Hang: true})
		crashed := time.Now()
		for count("b") < 6 && time.Since(crashed) < time.Minute {
			time.Sleep(50 * time.Millisecond)
		}
		if took := time.Since(crashed); took > 15*time.Second {
			t.Errorf("taken over after %v", took)
		}
		remove()
		stopA()
		if err := <-doneA; err != nil {
			t.Error(err)
		}
		stopB()
		if err := <-doneB; err != nil {
			t.Error(err)
		}
		snap, err := store.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(snap.Rows) != 6 || len(snap.Workers) != 0 || snap.Lock != (lease.Lock{}) {
			t.Errorf("left behind: %+v", snap)
		}
		for _, r := range snap.Rows {
			if r.Owner != "" || r.Checkpoint != checkpoint.At("5") {
				t.Errorf("row %+v, want it free, at 5", r)
			}
		}
	})
}
