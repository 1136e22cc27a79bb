package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
)

var errNo = errors.New("no")

// shard is one for a test of an adapter: the batches, then a stop.
func shard(st *store, batches ...*consumer.Batch) *consumer.Shard {
	return consumer.NewShard("clicks", "shardId-000000000000", batches, consumer.ErrStopping, st.put)
}

func isStopping(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, consumer.ErrStopping) {
		t.Errorf("handler returned %v, want ErrStopping", err)
	}
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// By default a record that fails is repeated in place, and the shard waits.
func TestFailedRecordIsRepeatedInPlace(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var st store
			var calls []string
			h := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				calls = append(calls, string(r.Data))
				if len(calls) < 5 && string(r.Data) == "2" {
					if panics {
						panic(errNo)
					}
					return errNo
				}
				return nil
			}, func(o *consumer.EachOptions) { o.CheckpointInterval = 0 })
			begun := time.Now()
			isStopping(t, h(t.Context(), shard(&st, batch(1, 3))))
			same(t, "calls", calls, "1", "2", "2", "2", "2", "3")
			same(t, "stored", st.positions, "1", "2", "3")
			if took := time.Since(begun); took > 200*time.Millisecond+400*time.Millisecond+800*time.Millisecond {
				t.Errorf("took %v, longer than the pauses together", took)
			}
		})
	}
}

func TestAttemptsEndRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(100)
		var infos []consumer.HandlerFailedInfo
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.HandlerFailed = func(i consumer.HandlerFailedInfo) { infos = append(infos, i) }
		})
		var at checkpoint.Position
		n := 0
		err := c.Run(t.Context(), func(ctx context.Context, s *consumer.Shard) error {
			if s.ID() != id(0) {
				return w.handler("w1")(ctx, s)
			}
			return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				if n++; n >= 10 {
					at = r.Position
					panic("boom")
				}
				return nil
			}, func(o *consumer.EachOptions) { o.OnFailure.Attempts = 3 })(ctx, s)
		})
		var re *consumer.RecordError
		var pe *consumer.PanicError
		if !errors.As(err, &re) || !errors.As(err, &pe) || re.Attempts != 3 || re.Position != at || re.ShardID != id(0) {
			t.Fatalf("Run = %v, want a RecordError at %v after 3 attempts", err, at)
		}
		if n != 12 || !strings.Contains(string(pe.Stack), "policy_test.go") {
			t.Errorf("%d calls, want 12; stack %s", n, pe.Stack)
		}
		if i := infos[2]; i.Since.IsZero() || i.Since != infos[0].Since || i.Records != 1 || time.Since(i.Since) < infos[0].Retry {
			t.Errorf("the record blocks since %v", i.Since)
		}
		if len(infos) != 3 || !infos[2].GivenUp || infos[1].GivenUp || infos[1].Failures != 2 || infos[0].Position != at {
			t.Errorf("reported %+v", infos)
		}
		row, err := w.store().Row(t.Context(), id(0))
		if err != nil || row.Checkpoint.Compare(at) >= 0 || !row.Checkpoint.IsRecord() {
			t.Errorf("stored %v (%v), want the record before %v", row.Checkpoint, err, at)
		}
	})
}

// The dead-letter function must succeed before a record counts as done.
func TestDeadLetterIsRepeatedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			var st store
			var letters []string
			tries := 0
			h := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				if string(r.Data) == "2" {
					return errNo
				}
				return nil
			}, func(o *consumer.EachOptions) {
				o.Concurrency = concurrency
				o.CheckpointInterval = 0
				o.OnFailure.Attempts = 2
				o.OnFailure.DeadLetter = func(_ context.Context, f *consumer.Failure) error {
					switch tries++; tries {
					case 1:
						return errNo
					case 2:
						panic("queue")
					}
					if slices.Contains(st.positions, "2") || slices.Contains(st.positions, "3") {
						t.Errorf("%v are stored before the letter is sent", st.positions)
					}
					letters = append(letters, fmt.Sprintf("%s after %d in %s: %v", f.Record.Data, f.Attempts, f.Record.ShardID, f.Err))
					return nil
				}
			})
			s := consumer.NewShard("clicks", "shardId-000000000000", []*consumer.Batch{batch(1, 3)}, nil, st.put)
			if err := h(t.Context(), s); err != nil {
				t.Error(err)
			}
			same(t, "letters", letters, "2 after 2 in shardId-000000000000: no")
			if st.positions[len(st.positions)-1] != "3" {
				t.Errorf("stored %v", st.positions)
			}
		})
	}
}

func TestPermanentErrorIsNotRepeated(t *testing.T) {
	t.Parallel()
	n := 0
	h := consumer.EachRecord(func(context.Context, *consumer.Record) error { n++; return errNo }, func(o *consumer.EachOptions) {
		o.OnFailure.Permanent = func(err error) bool { return errors.Is(err, errNo) }
	})
	var re *consumer.RecordError
	if err := h(t.Context(), shard(&store{}, batch(1, 3))); !errors.As(err, &re) || !errors.Is(err, errNo) || re.Attempts != 1 || n != 1 {
		t.Errorf("%d calls, error %v; want 1 and a RecordError", n, err)
	}
}

// A batch is divided until the culprit is alone; everything else is done, in
// order and in large parts.
func TestBisectFindsTheCulprits(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{{"1"}, {"64"}, {"37"}, {"36", "37"}, {"1", "2", "3", "63"}, {}} {
		synctest.Test(t, func(t *testing.T) {
			var st store
			var done, letters []string
			calls := 0
			h := consumer.EachBatch(func(_ context.Context, b *consumer.Batch) error {
				calls++
				var data []string
				for _, r := range b.Records {
					if slices.Contains(bad, string(r.Data)) {
						return errNo
					}
					data = append(data, string(r.Data))
				}
				done = append(done, data...)
				return nil
			}, func(o *consumer.EachOptions) {
				o.CheckpointInterval = 0
				o.OnFailure.Bisect, o.OnFailure.Attempts = true, 2
				o.OnFailure.DeadLetter = func(_ context.Context, f *consumer.Failure) error {
					letters = append(letters, string(f.Record.Data))
					done = append(done, string(f.Record.Data))
					return nil
				}
			})
			isStopping(t, h(t.Context(), shard(&st, batch(1, 64))))
			same(t, "letters", letters, bad...)
			for i, d := range done {
				if d != fmt.Sprint(i+1) {
					t.Fatalf("done in the order %v", done)
				}
			}
			if len(done) != 64 || calls > 1+len(bad)*2*7 {
				t.Errorf("%d records done in %d calls", len(done), calls)
			}
			if st.positions[len(st.positions)-1] != "64" {
				t.Errorf("stored %v", st.positions)
			}
		})
	}
}

// Without Bisect the records of a batch are given up one by one.
func TestBatchIsGivenUpAsAWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var st store
		var letters []string
		h := consumer.EachBatch(func(context.Context, *consumer.Batch) error { return errNo }, func(o *consumer.EachOptions) {
			o.OnFailure.Attempts = 2
			o.OnFailure.DeadLetter = func(_ context.Context, f *consumer.Failure) error {
				letters = append(letters, string(f.Record.Data))
				if len(letters) == 2 {
					return errNo // is offered again, and the first is not
				}
				return nil
			}
		})
		isStopping(t, h(t.Context(), shard(&st, batch(1, 3))))
		same(t, "letters", letters, "1", "2", "2", "3")
		same(t, "stored", st.positions, "3")
	})
}

func TestFailingRecordDoesNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.puts(10)
			var failed int
			c := w.worker("w1", func(o *consumer.Options) {
				o.Events.HandlerFailed = func(i consumer.HandlerFailedInfo) { failed = i.Failures }
			})
			stop := w.run(c, consumer.EachRecord(func(context.Context, *consumer.Record) error { return errNo },
				func(o *consumer.EachOptions) {
					o.Concurrency = concurrency
					o.OnFailure.Backoff, o.OnFailure.MaxBackoff = time.Hour, time.Hour
				}))
			time.Sleep(20 * time.Second)
			begun := time.Now()
			if err := stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > time.Second || failed == 0 {
				t.Errorf("stopped after %v and %d failures", took, failed)
			}
		})
	}
}

// Hooks see each call, and their context goes through it.
func TestCallEventsFrameEachCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(3)
		type key struct{}
		var log []string
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.HandlerStart = func(ctx context.Context, i consumer.HandlerCallInfo) context.Context {
				log = append(log, fmt.Sprint("start ", len(i.Records), " attempt ", i.Attempt))
				return context.WithValue(ctx, key{}, i.Attempt)
			}
			o.Events.HandlerEnd = func(ctx context.Context, i consumer.HandlerCallInfo, took time.Duration, err error) {
				log = append(log, fmt.Sprint("end ", ctx.Value(key{}), " ", took, " ", err))
			}
		})
		n := 0
		stop := w.run(c, consumer.EachRecord(func(ctx context.Context, _ *consumer.Record) error {
			if n++; n == 1 {
				time.Sleep(time.Second)
				panic("boom")
			}
			if n == 2 {
				log = append(log, fmt.Sprint("in ", ctx.Value(key{})))
			}
			return nil
		}))
		time.Sleep(20 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		same(t, "log", log[:5], "start 1 attempt 1", "end 1 1s consumer: handler panicked: boom", "start 1 attempt 2", "in 2", "end 2 0s <nil>")
	})
}

// A function that calls runtime.Goexit ends its handler, also from a worker.
func TestGoexitOfAFunctionEndsTheHandler(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.puts(100)
			var errs []error
			c := w.worker("w1", func(o *consumer.Options) {
				o.Events.HandlerFailed = func(i consumer.HandlerFailedInfo) { errs = append(errs, i.Err) }
			})
			exited := false
			stop := w.run(c, func(ctx context.Context, s *consumer.Shard) error {
				return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
					w.record("w1", s.ID(), r)
					if string(r.Data) == "key5/1" && !exited {
						exited = true
						runtime.Goexit()
					}
					return nil
				}, func(o *consumer.EachOptions) { o.Concurrency = concurrency })(ctx, s)
			})
			time.Sleep(20 * time.Second)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if exited && (len(errs) != 1 || !errors.Is(errs[0], consumer.ErrExited)) {
				t.Errorf("reported %v, want ErrExited", errs)
			}
		})
	}
}

func TestEachOptionsThatDoNotFitAreNamed(t *testing.T) {
	t.Parallel()
	bad := func(o *consumer.EachOptions) {
		o.Concurrency, o.WindowBytes = 2000, 1
		o.OnFailure.Attempts, o.OnFailure.Backoff = -1, 0
		o.OnFailure.ParkKey, o.OnFailure.Bisect = true, true
	}
	record := consumer.EachRecord(func(context.Context, *consumer.Record) error { return nil }, bad)(t.Context(), shard(&store{}))
	batch := consumer.EachBatch(func(context.Context, *consumer.Batch) error { return nil }, bad)(t.Context(), shard(&store{}))
	for _, tt := range []struct {
		err  error
		want []string
	}{
		{record, []string{"Concurrency is 2000", "WindowBytes is 1", "Attempts is -1", "Backoff is 0s", "Bisect is true"}},
		{batch, []string{"Concurrency is 2000", "ParkKey is true"}},
	} {
		for _, want := range tt.want {
			if tt.err == nil || !strings.Contains(tt.err.Error(), want) {
				t.Errorf("got %v, want %q", tt.err, want)
			}
		}
	}
}

// Later records of a key follow one that was given up to the dead letters, in
// order, until the key has been quiet for long enough.
func TestKeyFollowsItsDeadLetter(t *testing.T) {
	t.Parallel()
	for _, park := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := batch(1, 9)
			for i := range b.Records {
				b.Records[i].PartitionKey = fmt.Sprint("k", i%3)
			}
			var handled, letters []string
			h := consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				if r.Position == checkpoint.At("2") {
					return errNo
				}
				if r.Position == checkpoint.At("7") {
					time.Sleep(time.Hour) // k1 is forgotten meanwhile
				}
				handled = append(handled, string(r.Data))
				return nil
			}, func(o *consumer.EachOptions) {
				o.OnFailure.Permanent = func(error) bool { return true }
				o.OnFailure.ParkKey = park
				o.OnFailure.KeyFollows = time.Minute
				o.OnFailure.DeadLetter = func(_ context.Context, f *consumer.Failure) error {
					letters = append(letters, fmt.Sprint(string(f.Record.Data), " ", f.Attempts, " ", f.Err))
					return nil
				}
			})
			s := consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{b}, nil, nil)
			if err := h(t.Context(), s); err != nil {
				t.Error(err)
			}
			same(t, "handled", handled, "1", "3", "4", "6", "7", "8", "9")
			same(t, "letters", letters, "2 1 no", "5 0 "+consumer.ErrKeyGivenUp.Error())
		})
	}
}

// What a worker remembers of keys is bounded; beyond, a record waits.
func TestTooManyGivenUpKeysWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := batch(1, 10_001)
		for i := range b.Records {
			b.Records[i].PartitionKey = fmt.Sprint(i)
		}
		var last time.Duration
		begun := time.Now()
		h := consumer.EachRecord(func(context.Context, *consumer.Record) error { return errNo }, func(o *consumer.EachOptions) {
			o.OnFailure.Permanent = func(error) bool { return true }
			o.OnFailure.KeyFollows = time.Minute
			o.OnFailure.DeadLetter = func(context.Context, *consumer.Failure) error {
				last = time.Since(begun)
				return nil
			}
		})
		if err := h(t.Context(), consumer.NewShard("clicks", "shardId-0", []*consumer.Batch{b}, nil, nil)); err != nil {
			t.Error(err)
		}
		if last < time.Minute || last > 2*time.Minute {
			t.Errorf("the last was taken after %v, want when the first was forgotten", last)
		}
	})
}

// A record that blocks its key shows in the lag of its shard, although reading
// goes on.
func TestBlockedKeyShowsAsLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(200)
		c := w.worker("w1")
		stop := w.run(c, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
			if r.PartitionKey == "key-7" {
				return errNo
			}
			return nil
		}, func(o *consumer.EachOptions) { o.Concurrency = 4 }))
		time.Sleep(5 * time.Minute)
		fleet, err := c.Fleet(t.Context())
		if err != nil || len(fleet.Shards) != 1 {
			t.Fatalf("Fleet = %+v, %v", fleet, err)
		}
		if s := fleet.Shards[0]; !s.BehindKnown || s.Behind < 4*time.Minute {
			t.Errorf("behind by %v (known: %v) with a record that has been waiting for 5m", s.Behind, s.BehindKnown)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
