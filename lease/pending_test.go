package lease_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// alone runs a worker that has one lease, and calls hold with it once.
func alone(t *testing.T, store lease.Store, hold func(work context.Context, h *lease.Held)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	c, err := lease.New(store, newStream(1), func(o *lease.Options) { o.WorkerID = "a" })
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(ctx, func(_, work context.Context, h *lease.Held) error {
		defer stop()
		hold(work, h)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

const shard0 = "shardId-000000000000"

func TestPrepareLeavesThePositionStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := lease.NewMemoryStore()
		row := func() lease.Row {
			r, err := store.Row(t.Context(), shard0)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		inside := checkpoint.Position{SequenceNumber: "7", SubSequenceNumber: 3}
		alone(t, store, func(ctx context.Context, h *lease.Held) {
			if h.Pending() != nil {
				t.Error("something is pending at the start")
			}
			if err := h.Checkpoint(ctx, checkpoint.At("5")); err != nil {
				t.Error(err)
			}
			state := []byte("state")
			if err := h.Prepare(ctx, inside, state); err != nil {
				t.Error(err)
			}
			state[0] = 'X' // the caller's again
			r := row()
			if r.Checkpoint != checkpoint.At("5") || r.Pending == nil || r.Pending.At != inside || string(r.Pending.State) != "state" {
				t.Errorf("row %+v", r)
			}
			h.Pending().State[0] = 'X'
			if p := h.Pending(); p == nil || string(p.State) != "state" {
				t.Errorf("Pending() = %+v", p)
			}
			counter := r.Counter
			if err := h.Prepare(ctx, inside, []byte("state")); err != nil || row().Counter != counter {
				t.Errorf("announcing the same again: %v, counter %d after %d", err, row().Counter, counter)
			}
			if err := h.Prepare(ctx, checkpoint.At("5"), nil); err != nil || row().Counter != counter {
				t.Errorf("announcing what is stored: %v", err)
			}
			var back *lease.BackwardsError
			if err := h.Prepare(ctx, checkpoint.At("4"), nil); !errors.As(err, &back) {
				t.Errorf("announcing what lies before: %v", err)
			}
			if err := h.Prepare(ctx, checkpoint.At("x"), nil); err == nil {
				t.Error("announcing no position gave no error")
			}
			if err := h.Prepare(ctx, inside, make([]byte, lease.MaxPendingState+1)); err == nil || !strings.Contains(err.Error(), "65536") {
				t.Errorf("announcing too much: %v", err)
			}
			// Another position stored clears it, in the same write.
			if err := h.Checkpoint(ctx, checkpoint.At("6")); err != nil || row().Pending != nil {
				t.Errorf("%v, row %+v", err, row())
			}
			if err := h.Prepare(ctx, checkpoint.ShardEnd, nil); err != nil {
				t.Errorf("announcing the end: %v", err)
			}
			if err := h.Finish(ctx, nil); err != nil {
				t.Error(err)
			}
			if err := h.Prepare(ctx, checkpoint.ShardEnd, nil); !errors.Is(err, lease.ErrFinished) {
				t.Errorf("announcing after the end: %v", err)
			}
		})
	})
}

// The answer of an announcement that is lost, and another worker's lease.
func TestPrepareThroughLostAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := lease.NewMemoryStore()
		store := &faulty{Store: memory, id: "a", onWrite: func(lease.Write) {}, calls: map[storeCall]uint64{}}
		alone(t, store, func(ctx context.Context, h *lease.Held) {
			lose := true
			store.faults(func(c storeCall) (error, bool) {
				defer func() { lose = false }()
				return nil, lose && c.op == "prepare"
			}, nil)
			if err := h.Prepare(ctx, checkpoint.At("7"), []byte("s")); err != nil {
				t.Error(err)
			}
			row, err := memory.Row(ctx, shard0)
			if err != nil || row.Pending == nil || row.Pending.At != checkpoint.At("7") {
				t.Errorf("row %+v, %v", row, err)
			}
			taken, err := memory.Write(ctx, lease.Write{Op: lease.Take, Seen: row, Owner: "b"})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Prepare(ctx, checkpoint.At("8"), nil); !errors.Is(err, lease.ErrLost) {
				t.Errorf("Prepare() of a lease that is gone = %v", err)
			}
			now, err := memory.Row(context.WithoutCancel(ctx), shard0)
			if err != nil || !now.Equal(taken) {
				t.Errorf("row %+v, %v, want it as b took it", now, err)
			}
			time.Sleep(time.Second)
		})
	})
}
