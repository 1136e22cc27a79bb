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
