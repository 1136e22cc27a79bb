package consumer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A worker does not tell at once of records that took it no time. If the next one
// takes long, a worker that has nothing to do tells for it: what is done does not
// keep room in the window, nor its position from being stored.
func TestIdleWorkerTellsOfWhatABusyOneHasDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := EachOptions{Concurrency: 2, WindowBytes: 8 << 20, CheckpointInterval: time.Hour}
		s := NewShard("clicks", "shardId-000000000000", nil, nil, nil)
		k := newKeyed(runner{shard: s, policy: &opts.OnFailure}, &opts)
		busy, idle := &worker{keyed: k, at: k.newest, read: time.Now()}, &worker{keyed: k, at: k.newest}
		records := distinct(some(1, 4))
		first, n, err := k.done.admit(records, opts.WindowBytes)
		if err != nil || n != 4 {
			t.Fatal(n, err)
		}
		page := &pageInHand{records: records}
		page.left.Store(4)
		k.add(page, records, 0, n, first)
		for range 3 {
			j, _, _ := busy.take()
			if err := busy.finish(t.Context(), j); err != nil {
				t.Fatal(err)
			}
		}
		busy.take() // the fourth takes long
		if j, _, _ := idle.take(); j != nil {
			t.Fatal("there is more than four records")
		}
		if err := idle.report(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := k.done.Pending(); p != 1 {
			t.Errorf("%d records are pending, want the one that is in hand", p)
		}
	})
}

// Every record fails at first. The oldest are tried again when their time has come,
// not when every other one has been tried.
func TestRecordThatFailedIsTriedAgainInTimeWhileAllFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{end: ErrStopping, steps: []step{{0, distinct(some(1, 500))}, {time.Hour, nil}}}
		var stored []string
		s := src.shard(&stored)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		begun, calls := time.Now(), 0
		h := EachRecord(func(_ context.Context, r *Record) error {
			if r.Position == checkpoint.At("1") {
				if calls++; calls == 3 {
					if took := time.Since(begun); took > 10*time.Second {
						t.Errorf("tried for the third time after %v, want at most 10s", took)
					}
					cancel(ErrStopping)
				}
			}
			time.Sleep(time.Second)
			return errors.New("no")
		}, func(o *EachOptions) { o.Concurrency = 2 })
		if err := h(ctx, s); !errors.Is(err, ErrStopping) {
			t.Error(err)
		}
	})
}

// What is done waits for the interval until its position is stored, and no longer,
// whenever in the interval before it was done.
func TestPositionIsStoredWhenTheIntervalHasPassed(t *testing.T) {
	t.Parallel()
	const interval = 10 * time.Second
	for _, takes := range []time.Duration{time.Second, 3 * time.Second, 9 * time.Second, 19 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			src := &script{end: ErrStopping, steps: []step{{0, distinct(some(1, 1))}, {time.Hour, nil}}}
			var done, stored time.Time
			s := src.shard(new([]string))
			s.store = func(context.Context, checkpoint.Position) error {
				stored = time.Now()
				return nil
			}
			h := EachRecord(func(context.Context, *Record) error {
				time.Sleep(takes)
				done = time.Now()
				return nil
			}, func(o *EachOptions) { o.Concurrency, o.CheckpointInterval = 2, interval })
			if err := h(t.Context(), s); !errors.Is(err, ErrStopping) {
				t.Error(err)
			}
			if waited := stored.Sub(done); waited != interval {
				t.Errorf("stored %v after the record was done, want %v", waited, interval)
			}
		})
	}
}
