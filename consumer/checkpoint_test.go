package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
)

// What went wrong with positions in other libraries.

// An empty page made the library forget which positions may be stored, and a valid
// one was refused (KCL#40, KCL#37).
func TestEmptyBatchDoesNotForgetWhatMayBeStored(t *testing.T) {
	t.Parallel()
	var st store
	s := consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{batch(1, 3), {}, batch(4, 4)}, consumer.ErrStopping, st.put)
	for b, err := range s.Batches(t.Context()) {
		if err != nil {
			break
		}
		if len(b.Records) > 0 {
			continue
		}
		if err := s.Checkpoint(t.Context(), checkpoint.At("3")); err != nil {
			t.Errorf("after an empty batch Checkpoint(3) = %v", err)
		}
	}
	if err := s.Checkpoint(t.Context(), checkpoint.At("4")); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(st.positions) != "[3 4]" {
		t.Errorf("stored %v", st.positions)
	}
}

// A record that was done late moved the position back (kinesumer#1, redpanda#425).
func TestLateCompletionDoesNotMoveThePositionBack(t *testing.T) {
	t.Parallel()
	var st store
	s := consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{batch(1, 4)}, consumer.ErrStopping, st.put)
	c, err := s.Completions(func(o *consumer.CompletionOptions) { o.CheckpointInterval = 0 })
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range s.Batches(t.Context()) {
		if err != nil {
			break
		}
		begun := map[int]consumer.Begun{}
		for i := range b.Records {
			if begun[i], err = c.Begin(t.Context(), b.Records[i].Position); err != nil {
				t.Fatal(err)
			}
		}
		for _, i := range []int{0, 2, 3, 1, 1, 0} {
			if err := begun[i].Done(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if fmt.Sprint(st.positions) != "[1 4]" {
		t.Errorf("stored %v, want 1, then 4 when the late one was done", st.positions)
	}
	var refused *consumer.CheckpointError
	if err := s.Checkpoint(t.Context(), checkpoint.At("2")); !errors.As(err, &refused) {
		t.Errorf("Checkpoint(2) behind 4 = %v", err)
	}
}

// A timer stored the position of records that were delivered and not yet done
// (pulsar#8192); a process that ended then lost them.
func TestTimerStoresNothingThatIsNotDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(60)
		stop := w.run(w.worker("w1"), func(ctx context.Context, s *consumer.Shard) error {
			return consumer.EachRecord(func(ctx context.Context, r *consumer.Record) error {
				time.Sleep(100 * time.Millisecond)
				row, err := w.store().Row(ctx, s.ID())
				if err != nil || row.Checkpoint.IsRecord() && row.Checkpoint.Compare(r.Position) >= 0 {
					t.Errorf("%v is stored while %v is worked on (%v)", row.Checkpoint, r.Position, err)
				}
				w.record("w1", s.ID(), r)
				return nil
			}, func(o *consumer.EachOptions) { o.CheckpointInterval = 250 * time.Millisecond })(ctx, s)
		})
		w.settle(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
