package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
)

// A truth is what a seed puts into a shard and what is seen to become of it.
type truth struct {
	t    *testing.T
	rng  *rand.Rand
	keys []string // by sequence number - 1

	window int // records

	mu      sync.Mutex
	begun   []bool       // the last call of the record is under way
	done    []bool       // the function or the dead-letter function succeeded
	letters map[int]bool // are to be dead-lettered
	got     map[int]int  // dead-lettered, how often
	stored  int          // highest position stored
	running int          // calls under way
	peak    int          // of running
}

func newTruth(t *testing.T, seed uint64, records int) *truth {
	w := &truth{t: t, rng: rand.New(rand.NewPCG(seed, 1)), letters: map[int]bool{}, got: map[int]int{}}
	keys := 1 + w.rng.IntN(20)
	for range records {
		w.keys = append(w.keys, fmt.Sprint("k", w.rng.IntN(keys)))
		if w.rng.IntN(40) == 0 {
			w.letters[len(w.keys)] = true
		}
	}
	w.begun, w.done = make([]bool, records), make([]bool, records)
	return w
}

// batches are those behind what is stored, cut anew.
func (w *truth) batches() (batches []*consumer.Batch) {
	for n := w.stored; n < len(w.keys); {
		to := min(n+w.rng.IntN(50), len(w.keys))
		b := batch(n+1, to)
		for i := range b.Records {
			b.Records[i].PartitionKey = w.keys[n+i]
			b.Records[i].Data = append(b.Records[i].Data, make([]byte, 100)...)
		}
		batches, n = append(batches, b), to
	}
	return batches
}

func number(p checkpoint.Position) (n int) {
	_, _ = fmt.Sscan(p.SequenceNumber, &n)
	return n
}

// store checks that nothing unfinished is stored.
func (w *truth) store(_ context.Context, p checkpoint.Position) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rng.IntN(10) == 0 {
		return errNo
	}
	n := number(p)
	for i := range n {
		if !w.done[i] {
			w.t.Errorf("%d is stored, and %d is not done", n, i+1)
		}
	}
	w.stored = max(w.stored, n)
	return nil
}

// handle checks the order of the key and of the window, and then works, fails,
// panics or blocks.
func (w *truth) handle(r *consumer.Record) error {
	n := number(r.Position)
	w.mu.Lock()
	w.running++
	w.peak = max(w.peak, w.running)
	if w.begun[n-1] {
		w.t.Errorf("%d is called twice at a time", n)
	}
	w.begun[n-1] = true
	oldest := 0
	for i := range n - 1 {
		if !w.done[i] && oldest == 0 {
			oldest = i + 1
		}
		if w.keys[i] == w.keys[n-1] && !w.done[i] {
			w.t.Errorf("%d begins before %d of the same key is done", n, i+1)
		}
	}
	if oldest > 0 && w.window > 0 && n-oldest >= w.window {
		w.t.Errorf("%d begins while %d is not done: beyond the window of %d", n, oldest, w.window)
	}
	luck, pause := w.rng.IntN(20), time.Duration(w.rng.IntN(50))*time.Millisecond
	bad := w.letters[n]
	w.mu.Unlock()
	if luck == 0 {
		pause *= 100
	}
	time.Sleep(pause)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	w.begun[n-1] = false
	switch {
	case luck == 1:
		panic("unlucky")
	case luck == 2 || bad:
		return errNo
	}
	w.done[n-1] = true
	return nil
}

// Records of random keys, with functions that fail, block and panic, tables that
// refuse, dead letters, and stops at random: whatever the order, everything is
// done once everything has ended, in the order of its key, nothing is stored
// before it is done, and the window holds.
func TestKeyedKeepsItsPromisesUnderRandomSchedules(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			w := newTruth(t, seed, 400)
			concurrency := []int{1, 2, 3, 8, 16}[w.rng.IntN(5)]
			w.window = 2 + w.rng.IntN(60)
			attempts := 12 // luck alone does not use them up
			h := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error { return w.handle(r) },
				func(o *consumer.EachOptions) {
					o.Concurrency, o.OnFailure.ParkKey = concurrency, true
					o.WindowBytes = int64(w.window) * (100 + 2 + 256) // the least a record weighs
					o.CheckpointInterval = time.Duration(w.rng.IntN(3)) * 100 * time.Millisecond
					o.OnFailure.Attempts = attempts
					o.OnFailure.Backoff, o.OnFailure.MaxBackoff = 10*time.Millisecond, 100*time.Millisecond
					o.OnFailure.DeadLetter = func(_ context.Context, f *consumer.Failure) error {
						w.mu.Lock()
						defer w.mu.Unlock()
						n := number(f.Record.Position)
						if !w.letters[n] || f.Attempts != attempts {
							t.Errorf("%d was given up after %d attempts", n, f.Attempts)
						}
						w.got[n]++
						w.done[n-1] = true
						return nil
					}
				})
			for tenure := 0; ; tenure++ {
				ctx, cancel := context.WithCancelCause(t.Context())
				if tenure < 3 {
					time.AfterFunc(time.Duration(w.rng.IntN(3000))*time.Millisecond, func() { cancel(consumer.ErrStopping) })
				}
				from := w.stored
				batches, end := w.batches(), error(nil)
				if tenure < 3 && w.rng.IntN(2) == 0 { // is asked to stop, and may end in peace
					batches, end = batches[:w.rng.IntN(len(batches)+1)], consumer.ErrStopping
				}
				err := h(ctx, consumer.NewShard("clicks", "shardId-0", batches, end, w.store))
				cancel(nil)
				if w.running != 0 {
					t.Fatal("the handler returned before its calls")
				}
				if err == nil {
					break
				}
				isStopping(t, err)
				if w.stored < from || tenure > 3 {
					t.Fatalf("tenure %d from %d to %d", tenure, from, w.stored)
				}
				// The next one begins behind what is stored, and repeats the rest.
				for i := w.stored; i < len(w.done); i++ {
					w.done[i] = false
				}
			}
			if i := slices.Index(w.done, false); i >= 0 {
				t.Errorf("%d was never done", i+1)
			}
			for n := range w.letters {
				if w.got[n] == 0 {
					t.Errorf("%d was not dead-lettered", n)
				}
			}
			if w.peak > concurrency {
				t.Errorf("%d calls at a time, want at most %d", w.peak, concurrency)
			}
		})
	}
}

// A key that stands still holds up no other until the window is full.
func TestStalledKeyHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 2, 16} {
		synctest.Test(t, func(t *testing.T) {
			b := batch(1, 1000)
			for i := range b.Records {
				b.Records[i].PartitionKey = fmt.Sprint("k", i%10)
			}
			var mu sync.Mutex
			handled := 0
			h := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				if r.PartitionKey == "k3" {
					return errNo
				}
				mu.Lock()
				defer mu.Unlock()
				handled++
				return nil
			}, func(o *consumer.EachOptions) { o.Concurrency, o.OnFailure.ParkKey = concurrency, true })
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Hour, func() { cancel(consumer.ErrStopping) })
			var st store
			isStopping(t, h(ctx, consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{b}, nil, st.put)))
			if handled != 900 {
				t.Errorf("%d records of other keys handled, want 900", handled)
			}
			same(t, "stored", st.positions, "3")
		})
	}
}

// Of the records that may run, the oldest runs.
func TestOneAtATimeKeepsTheOrderOfTheShard(t *testing.T) {
	t.Parallel()
	var got []string
	h := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
		got = append(got, string(r.Data))
		return nil
	}, func(o *consumer.EachOptions) { o.OnFailure.ParkKey = true })
	b := batch(1, 100)
	for i := range b.Records {
		b.Records[i].PartitionKey = fmt.Sprint("k", i%7)
	}
	if err := h(t.Context(), consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{b}, nil, nil)); err != nil {
		t.Fatal(err)
	}
	for i, d := range got {
		if d != fmt.Sprint(i+1) {
			t.Fatalf("handled in the order %v", got)
		}
	}
	if len(got) != 100 {
		t.Errorf("%d records handled", len(got))
	}
}

// Records without a key are in nobody's way.
func TestRecordsWithoutAKeyRunAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := batch(1, 100)
		for i := range b.Records {
			b.Records[i].PartitionKey = ""
		}
		h := consumer.EachRecord(func(context.Context, *consumer.Record) error {
			time.Sleep(time.Second)
			return nil
		}, func(o *consumer.EachOptions) { o.Concurrency = 10 })
		begun := time.Now()
		if err := h(t.Context(), consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{b}, nil, nil)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
	})
}

// A stop lets what is in hand end, begins nothing, and stores what is done; the
// next worker goes on there without a repetition.
func TestKeyedStopRepeatsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(3000)
		work := func(name string) consumer.Handler {
			return func(ctx context.Context, s *consumer.Shard) error {
				return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
					if strings.HasPrefix(r.PartitionKey, "key-1") { // hot, and far behind the others
						time.Sleep(300 * time.Millisecond)
					}
					time.Sleep(10 * time.Millisecond)
					w.record(name, s.ID(), r)
					return nil
				}, func(o *consumer.EachOptions) { o.Concurrency = 8 })(ctx, s)
			}
		}
		stop := w.run(w.worker("w1"), work("w1"))
		for len(w.missing()) > 2000 {
			time.Sleep(50 * time.Millisecond)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(w.missing()) == 0 {
			t.Error("nothing was left for the second worker: the test tests nothing")
		}
		stop = w.run(w.worker("w2"), work("w2"))
		w.settle(5 * time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := w.repeated(); n > 0 {
			t.Errorf("%d records repeated", n)
		}
	})
}

// An error that ends the handler is that of the oldest record, and reaches it
// while it waits for batches.
func TestKeyedEndsWithTheOldestError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := batch(1, 10)
		for i := range b.Records {
			b.Records[i].PartitionKey = fmt.Sprint(i)
		}
		h := consumer.EachRecord(func(context.Context, *consumer.Record) error {
			time.Sleep(time.Second)
			return errNo
		}, func(o *consumer.EachOptions) { o.Concurrency, o.OnFailure.Attempts = 10, 1 })
		var re *consumer.RecordError
		err := h(t.Context(), consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{b, nil, nil, nil}, consumer.ErrStopping, nil))
		if !errors.As(err, &re) || re.Position != checkpoint.At("1") {
			t.Errorf("handler returned %v, want the error of record 1", err)
		}
	})
}

// A call that outlasts the drain timeout costs the checkpoint of nothing that
// was done before it.
func TestKeyedStopStoresBeforeItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(50)
		var mu sync.Mutex
		handled := 0
		stop := w.run(w.worker("w1"), consumer.EachRecord(func(ctx context.Context, r *consumer.Record) error {
			mu.Lock()
			handled++
			n := handled
			mu.Unlock()
			if n == 50 {
				<-ctx.Done()
			}
			return nil
		}, func(o *consumer.EachOptions) { o.Concurrency, o.CheckpointInterval = 2, time.Hour }))
		time.Sleep(20 * time.Second)
		if err := stop(); err != nil {
			t.Logf("Run = %v", err)
		}
		row, err := w.store().Row(t.Context(), id(0))
		if err != nil || !row.Checkpoint.IsRecord() {
			t.Errorf("stored %v (%v), want the record before the last", row.Checkpoint, err)
		}
	})
}
