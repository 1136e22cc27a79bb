package lease_test

import (
	"context"
	"fmt"
	"log"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// One worker holds the one shard of a stream, stores how far it has got, and
// stops.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	store := lease.NewMemoryStore()
	c, err := lease.New(store, newStream(1))
	if err != nil {
		log.Fatal(err)
	}
	err = c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
		fmt.Println("holding", h.Shard().ID, "from", h.Position())
		if err := h.Checkpoint(work, checkpoint.At("42")); err != nil {
			return err
		}
		stop()
		<-fetch.Done()
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	row, err := store.Row(context.Background(), "shardId-000000000000")
	fmt.Printf("stored %v, owner %q, %v\n", row.Checkpoint, row.Owner, err)
	// Output:
	// holding shardId-000000000000 from TRIM_HORIZON
	// stored 42, owner "", <nil>
}

// A program that is no worker looks at the rows: who reads what, and why nobody
// reads the rest.
func ExampleViewer() {
	ctx := context.Background()
	store := lease.NewMemoryStore()
	for n, owner := range []string{"worker-1", ""} {
		shard := fmt.Sprintf("shardId-%012d", n)
		row, err := store.Write(ctx, lease.Write{Op: lease.Create, Row: lease.Row{Key: shard, Shard: shard, Checkpoint: checkpoint.TrimHorizon}})
		if err == nil && owner != "" {
			_, err = store.Write(ctx, lease.Write{Op: lease.Assign, Seen: row, Owner: owner})
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	viewer, err := lease.NewViewer(store)
	if err != nil {
		log.Fatal(err)
	}
	fleet, err := viewer.Fleet(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range fleet.Shards {
		fmt.Printf("%s %v %s%s\n", s.Shard, s.State, s.Owner, s.Why)
	}
	// Output:
	// shardId-000000000000 held worker-1
	// shardId-000000000001 free no worker shows life
}
