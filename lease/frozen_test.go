package lease

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

type noSource struct{ Source }

// A process that was frozen goes on anywhere: in a write, before the guard has had
// its turn to end what is overdue. Nobody else need have touched the row for that
// write to be refused.
func TestNothingIsWrittenOnceTheLeaseCouldHaveExpired(t *testing.T) {
	t.Parallel()
	store := NewMemoryStore()
	row := Row{Key: "s", Shard: "s", Checkpoint: checkpoint.At("5"), Owner: "me"}
	if _, err := store.Write(t.Context(), Write{Op: Create, Row: row}); err != nil {
		t.Fatal(err)
	}
	c, err := New(store, noSource{}, func(o *Options) { o.WorkerID = "me" })
	if err != nil {
		t.Fatal(err)
	}
	h := newHeld(newMember(c, nil), Stream{}, row)
	work, cancel := context.WithCancelCause(t.Context())
	h.cancelWork, h.cancelFetch = cancel, cancel
	h.acquired(time.Now(), row)
	if err := h.Checkpoint(t.Context(), checkpoint.At("6")); err != nil || h.Err() != nil {
		t.Fatalf("Checkpoint() = %v, Err() = %v", err, h.Err())
	}
	h.until = time.Now()
	if h.Err() == nil {
		t.Error("Err() = nil on a lease that could have expired")
	}
	if err := h.Checkpoint(t.Context(), checkpoint.At("7")); !errors.Is(err, ErrLost) {
		t.Errorf("Checkpoint() = %v, want ErrLost", err)
	}
	if got, err := store.Row(t.Context(), "s"); err != nil || got.Checkpoint != checkpoint.At("6") {
		t.Errorf("the row is at %v, %v; want what was stored in time", got.Checkpoint, err)
	}
	if !errors.Is(context.Cause(work), ErrLost) {
		t.Errorf("the work goes on: %v", context.Cause(work))
	}
}
