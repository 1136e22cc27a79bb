package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/lease"
)

// S1: whatever the order in which records are done, what is stored never passes
// one that is not, and in the end it is the last.
func TestCompletionsStoreTheDonePrefix(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "n")
		order := rapid.Permutation(numbers(n)).Draw(t, "order")
		every := rapid.IntRange(0, 5).Draw(t, "every")
		done := make([]bool, n)
		var stored []checkpoint.Position
		s := consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{batch(0, n-1)}, consumer.ErrStopping, func(_ context.Context, p checkpoint.Position) error {
			prefix := slices.Index(append(slices.Clone(done), false), false)
			if p.Compare(checkpoint.At(fmt.Sprint(prefix-1))) > 0 {
				t.Fatalf("stored %v with %d done in front", p, prefix)
			}
			stored = append(stored, p)
			return nil
		})
		ctx := t.Context()
		c, err := s.Completions(func(o *consumer.CompletionOptions) { o.CheckpointEvery = every })
		if err != nil {
			t.Fatal(err)
		}
		var begun []consumer.Begun
		for b, err := range s.Batches(ctx) {
			if err != nil {
				break
			}
			for i := range b.Records {
				k, err := c.Begin(ctx, b.Records[i].Position)
				if err != nil {
					t.Fatal(err)
				}
				begun = append(begun, k)
			}
		}
		for _, i := range order {
			done[i] = true
			if err := begun[i].Done(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if last := stored[len(stored)-1]; last != checkpoint.At(fmt.Sprint(n-1)) || c.Pending() != 0 {
			t.Fatalf("in the end %v is stored and %d are pending, want %d and 0", last, c.Pending(), n-1)
		}
		if !slices.IsSortedFunc(stored, checkpoint.Position.Compare) {
			t.Fatalf("stored %v", stored)
		}
	})
}

func numbers(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// What is done is stored after the interval also when no record comes and none is
// done any more.
func TestCompletionsAreStoredInALull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(10)
		stop := w.run(w.worker("w1"), w.pooled("w1", 4, time.Second))
		w.settle(time.Minute)
		time.Sleep(5 * time.Second)
		row, err := w.store().Row(t.Context(), id(0))
		if err != nil {
			t.Fatal(err)
		}
		if last := w.last(id(0)); row.Checkpoint != last {
			t.Errorf("stored %v, want %v", row.Checkpoint, last)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// last returns the highest position delivered of a shard.
func (w *world) last(shard string) (last checkpoint.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.delivered {
		if d.shard == shard && d.position.Compare(last) > 0 {
			last = d.position
		}
	}
	return last
}

// pooled handles records by several goroutines, each for a time that depends on
// the record, so that they are done out of order.
func (w *world) pooled(worker string, n int, most time.Duration) consumer.Handler {
	return func(ctx context.Context, s *consumer.Shard) error {
		c, err := s.Completions(func(o *consumer.CompletionOptions) {
			o.CheckpointInterval, o.MaxPending = time.Second, 3*n
		})
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		slots := make(chan struct{}, n)
		for b, err := range s.Batches(ctx) {
			if err != nil {
				return err
			}
			for i := range b.Records {
				r := &b.Records[i]
				begun, err := c.Begin(ctx, r.Position)
				if err != nil {
					return err
				}
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					time.Sleep(most * time.Duration(len(r.PartitionKey)*7+int(r.Data[len(r.Data)-1])) % 97 / 97)
					w.record(worker, s.ID(), r)
					_ = begun.Done(ctx) // a lease lost shows in Batches
				})
			}
		}
		wg.Wait()
		return nil
	}
}

// G1, S7: workers that finish records out of order come and go through a reshard;
// nothing is lost, no child starts before its parent is done.
func TestCompletionsThroughRestartsAndReshards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(100)
		for n := range 4 {
			name := fmt.Sprint("w", n)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := w.worker(name).Run(ctx, w.pooled(name, 4, 400*time.Millisecond)); err != nil {
				t.Error(err)
			}
			cancel()
			if n == 0 {
				w.split(id(0))
			}
			w.puts(20)
		}
		stop := w.run(w.worker("last"), w.pooled("last", 8, 100*time.Millisecond))
		w.settle(5 * time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		begins := map[string]time.Time{}
		ends := map[string]time.Time{}
		for _, d := range w.delivered {
			if begins[d.shard].IsZero() {
				begins[d.shard] = d.at
			}
			ends[d.shard] = d.at
		}
		for _, child := range []string{id(2), id(3)} {
			if begins[child].Before(ends[id(0)]) {
				t.Errorf("%s began before its parent was done", child)
			}
		}
	})
}

// KCL#261: the end of a shard is not stored while records in flight are not done.
func TestShardEndWaitsForRecordsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(10)
		w.split(id(0))
		var mu sync.Mutex
		var failed []error
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.HandlerFailed = func(i consumer.HandlerFailedInfo) {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, i.Err)
			}
		})
		careless := true
		stop := w.run(c, func(ctx context.Context, s *consumer.Shard) error {
			done, err := s.Completions()
			if err != nil {
				return err
			}
			for b, err := range s.Batches(ctx) {
				if err != nil {
					return err
				}
				for i := range b.Records {
					begun, err := done.Begin(ctx, b.Records[i].Position)
					if err != nil {
						return err
					}
					if i == 4 && careless {
						continue // lost on the way
					}
					w.record("w1", s.ID(), &b.Records[i])
					_ = begun.Done(ctx)
				}
			}
			careless = false
			return nil
		})
		w.settle(time.Minute)
		time.Sleep(time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(failed) != 1 || !errors.Is(failed[0], consumer.ErrUnfinished) {
			t.Errorf("failures %v, want ErrUnfinished once", failed)
		}
		if got := w.repeated(); got != 5 {
			t.Errorf("%d records came again, want the 5 behind the lost one", got)
		}
	})
}

func TestBeginWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := consumer.NewShard("clicks", "shardId-0", nil, nil, nil)
		c, err := s.Completions(func(o *consumer.CompletionOptions) { o.MaxPending = 1 })
		if err != nil {
			t.Fatal(err)
		}
		first, err := c.Begin(t.Context(), checkpoint.At("1"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Begin(ctx, checkpoint.At("2")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Begin() of a full window = %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Second)
			_ = first.Done(t.Context())
		})
		second, err := c.Begin(t.Context(), checkpoint.At("2"))
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := errors.Join(second.Done(t.Context()), second.Done(t.Context())); err != nil {
			t.Error(err)
		}
		if _, err := c.Begin(t.Context(), checkpoint.At("2")); err == nil {
			t.Error("a record was begun twice")
		}
		if err := (consumer.Begun{}).Done(t.Context()); err != nil {
			t.Error(err)
		}
		_, err = consumer.NewShard("", "", nil, nil, nil).Completions(func(o *consumer.CompletionOptions) {
			o.MaxPending, o.CheckpointEvery, o.CheckpointInterval = 0, -1, -1
		})
		for _, field := range []string{"MaxPending", "CheckpointEvery", "CheckpointInterval"} {
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("Completions() = %v, want it to name %s", err, field)
			}
		}
	})
}

// A position announced by a worker that dies is found by the next, with its
// state; storing one clears it.
func TestPendingCheckpointSurvivesItsWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(10)
		ctx, cancel := context.WithCancel(t.Context())
		err := w.worker("w1").Run(ctx, func(ctx context.Context, s *consumer.Shard) error {
			for b, err := range s.Batches(ctx) {
				if err != nil {
					return err
				}
				if err := s.Checkpoint(ctx, b.Records[2].Position); err != nil {
					return err
				}
				if err := s.Prepare(ctx, b.Records[1].Position, nil); err == nil {
					t.Error("a position behind the one stored was announced")
				}
				if err := s.Prepare(ctx, b.Last(), make([]byte, lease.MaxPendingState+1)); err == nil {
					t.Error("a state without bound was announced")
				}
				if err := s.Prepare(ctx, b.Records[6].Position, []byte("first")); err != nil {
					t.Error(err)
				}
				if err := s.Prepare(ctx, b.Records[7].Position, []byte("tx-17")); err != nil {
					t.Error(err)
				}
				cancel()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = w.worker("w2").Run(ctx, func(ctx context.Context, s *consumer.Shard) error {
			p, state, ok := s.Pending()
			if !ok || string(state) != "tx-17" || s.Checkpointed().Compare(p) >= 0 {
				t.Errorf("Pending() = %v, %q, %v with %v stored", p, state, ok, s.Checkpointed())
			}
			for b, err := range s.Batches(ctx) {
				if err != nil {
					return err
				}
				if len(b.Records) != 7 {
					t.Errorf("%d records come again, want the 7 that were not stored", len(b.Records))
				}
				if err := s.Checkpoint(ctx, p); err != nil {
					return err
				}
				row, err := w.store().Row(ctx, s.ID())
				if err != nil || row.Pending != nil || row.Checkpoint != p {
					t.Errorf("row %+v, %v, want nothing pending", row, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
