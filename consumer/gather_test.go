package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A script is a batchSource that delivers at given times.
type script struct {
	steps []step
	begun time.Time
	end   error
	held  atomic.Int64 // memories not released
}

type step struct {
	at      time.Duration
	records []Record
}

func (s *script) err() error { return nil }

func (s *script) next(ctx context.Context, until time.Time) (*Batch, error) {
	if len(s.steps) == 0 {
		return nil, s.end
	}
	at := s.begun.Add(s.steps[0].at)
	if !until.IsZero() && until.Before(at) {
		return nil, sleep(ctx, time.Until(until))
	}
	if err := sleep(ctx, time.Until(at)); err != nil {
		return nil, err
	}
	b := &Batch{Records: s.steps[0].records, mem: newMemory(func() { s.held.Add(-1) })}
	s.held.Add(1)
	s.steps = s.steps[1:]
	return b, nil
}

func (s *script) shard(stored *[]string) *Shard {
	s.begun = time.Now()
	shard := NewShard("clicks", "shardId-000000000000", nil, nil, func(_ context.Context, p checkpoint.Position) error {
		*stored = append(*stored, p.String())
		return nil
	})
	shard.source = s
	return shard
}

// some makes records with sequence numbers from-to and 10 bytes each.
func some(from, to int) (rs []Record) {
	for n := from; n <= to; n++ {
		rs = append(rs, Record{Data: fmt.Appendf(nil, "%09d", n), PartitionKey: "k", Position: checkpoint.At(fmt.Sprint(n))})
	}
	return rs
}

func TestBatchesAreCutAndJoined(t *testing.T) {
	t.Parallel()
	sec := func(n int, from, to int) step { return step{time.Duration(n) * time.Second, some(from, to)} }
	tests := []struct {
		name  string
		opts  func(*EachOptions)
		steps []step
		want  []string // second: first-last
	}{
		{"as they come", func(*EachOptions) {}, []step{sec(0, 1, 5), sec(1, 6, 6)}, []string{"0: 1-5", "1: 6-6"}},
		{"cut by count", func(o *EachOptions) { o.BatchRecords = 2 }, []step{sec(0, 1, 5), sec(1, 6, 6)},
			[]string{"0: 1-2", "0: 3-4", "0: 5-5", "1: 6-6"}},
		{"cut by bytes", func(o *EachOptions) { o.BatchBytes = 25 }, []step{sec(0, 1, 5)}, []string{"0: 1-2", "0: 3-4", "0: 5-5"}},
		{"one larger than the bound", func(o *EachOptions) { o.BatchBytes = 5 }, []step{sec(0, 1, 3)}, []string{"0: 1-1", "0: 2-2", "0: 3-3"}},
		{"joined by count", func(o *EachOptions) { o.BatchRecords, o.BatchAge = 4, time.Minute },
			[]step{sec(0, 1, 1), sec(1, 2, 2), sec(2, 3, 5), sec(3, 6, 8)}, []string{"2: 1-4", "3: 5-8"}},
		{"joined by bytes", func(o *EachOptions) { o.BatchBytes, o.BatchAge = 45, time.Minute },
			[]step{sec(0, 1, 3), sec(1, 4, 4), sec(2, 5, 5), sec(3, 6, 12)}, []string{"2: 1-4", "3: 5-8", "3: 9-12"}},
		{"across many", func(o *EachOptions) { o.BatchRecords, o.BatchAge = 4, time.Minute },
			[]step{sec(0, 1, 3), sec(1, 4, 6), sec(2, 7, 9), sec(3, 10, 12), sec(4, 13, 15), sec(5, 16, 18), sec(6, 19, 21), sec(7, 22, 24)},
			[]string{"1: 1-4", "2: 5-8", "3: 9-12", "5: 13-16", "6: 17-20", "7: 21-24"}},
		{"by age", func(o *EachOptions) { o.BatchRecords, o.BatchAge = 100, 5*time.Second },
			[]step{sec(0, 1, 1), sec(4, 2, 2), sec(6, 3, 3), sec(20, 4, 4), sec(30, 5, 5), sec(40, 6, 6), sec(50, 7, 7)},
			[]string{"5: 1-2", "11: 3-3", "25: 4-4", "35: 5-5", "45: 6-6", "50: 7-7"}},
		{"the rest at the end of the shard", func(o *EachOptions) { o.BatchRecords, o.BatchAge = 3, time.Minute },
			[]step{sec(0, 1, 4)}, []string{"0: 1-3", "0: 4-4"}},
		{"ticks", func(o *EachOptions) { o.Tick = 10 * time.Second }, []step{sec(5, 1, 1), sec(29, 2, 2)},
			[]string{"5: 1-1", "15: tick", "25: tick", "29: 2-2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &script{steps: tt.steps, end: io.EOF}
				var got, stored []string
				begun := time.Now()
				h := EachBatch(func(_ context.Context, b *Batch) error {
					if src.held.Load() > 4 {
						t.Errorf("%d pages are accounted for", src.held.Load())
					}
					what := "tick"
					if len(b.Records) > 0 {
						what = b.Records[0].Position.String() + "-" + b.Last().String()
					}
					got = append(got, fmt.Sprintf("%.0f: %s", time.Since(begun).Seconds(), what))
					return nil
				}, func(o *EachOptions) { o.CheckpointInterval = 0 }, tt.opts)
				s := src.shard(&stored)
				if err := h(t.Context(), s); err != nil {
					t.Error(err)
				}
				s.letGo()
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if src.held.Load() != 0 {
					t.Errorf("%d pages are still accounted for", src.held.Load())
				}
			})
		})
	}
}

// Whatever the bounds: every record once, in order, nothing stored before it is
// done, no batch beyond its bounds and none older than its age.
func TestBatchesKeepTheirBoundsUnderRandomSchedules(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			src := &script{end: ErrStopping}
			n, at := 0, time.Duration(0)
			arrived := map[string]time.Duration{}
			for range 30 {
				k := rng.IntN(12)
				at += time.Duration(rng.IntN(3000)) * time.Millisecond
				src.steps = append(src.steps, step{at, some(n+1, n+k)})
				for i := n + 1; i <= n+k; i++ {
					arrived[fmt.Sprint(i)] = at
				}
				n += k
			}
			src.steps = append(src.steps, step{at + time.Hour, nil}) // so that nothing waits at the end
			var o EachOptions
			done, bad := 0, rng.IntN(n+1)
			var stored []string
			begun := time.Now()
			h := EachBatch(func(_ context.Context, b *Batch) error {
				first := b.Records[0].Position.SequenceNumber
				if first != fmt.Sprint(done+1) {
					t.Fatalf("got %s after %d", first, done)
				}
				if o.BatchRecords > 0 && len(b.Records) > o.BatchRecords || o.BatchBytes > 0 && len(b.Records)*10 > int(o.BatchBytes) {
					t.Errorf("%d records in a batch", len(b.Records))
				}
				if age := time.Since(begun) - arrived[first]; age > o.BatchAge {
					t.Errorf("a record waited %v, want at most %v", age, o.BatchAge)
				}
				for i := range b.Records {
					if b.Records[i].Position.SequenceNumber == fmt.Sprint(bad) {
						return errors.New("bad")
					}
				}
				done += len(b.Records)
				return nil
			}, func(e *EachOptions) {
				e.BatchRecords, e.BatchBytes = 1+rng.IntN(20), int64(10+rng.IntN(200))
				e.BatchAge = time.Duration(rng.IntN(5)) * time.Second
				e.CheckpointInterval = time.Duration(rng.IntN(2)) * time.Second
				e.OnFailure.Bisect, e.OnFailure.Attempts = true, 1
				e.OnFailure.DeadLetter = func(_ context.Context, f *Failure) error {
					if f.Record.Position.SequenceNumber != fmt.Sprint(bad) {
						t.Errorf("%v was given up", f.Record.Position)
					}
					done++
					return nil
				}
				o = *e
			})
			s := src.shard(&stored)
			s.store = func(_ context.Context, p checkpoint.Position) error {
				if p.Compare(checkpoint.At(fmt.Sprint(done))) > 0 {
					t.Errorf("%v is stored and %d done", p, done)
				}
				stored = append(stored, p.String())
				return nil
			}
			if err := h(t.Context(), s); !errors.Is(err, ErrStopping) {
				t.Error(err)
			}
			s.letGo()
			if done != n || src.held.Load() != 0 || stored[len(stored)-1] != fmt.Sprint(n) {
				t.Errorf("%d of %d done, %d pages held, stored %v", done, n, src.held.Load(), stored)
			}
		})
	}
}

// What waits for its batch when the shard is given up was not begun.
func TestGatheredRecordsAreLeftToTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{steps: []step{{0, some(1, 5)}}, end: ErrStopping}
		var stored, got []string
		h := EachBatch(func(_ context.Context, b *Batch) error {
			got = append(got, b.Last().String())
			return nil
		}, func(o *EachOptions) { o.BatchRecords, o.BatchAge = 3, time.Minute })
		s := src.shard(&stored)
		if err := h(t.Context(), s); !errors.Is(err, ErrStopping) {
			t.Error(err)
		}
		s.letGo()
		if !slices.Equal(got, []string{"3"}) || !slices.Equal(stored, []string{"3"}) || src.held.Load() != 0 {
			t.Errorf("handled %v, stored %v, %d pages held", got, stored, src.held.Load())
		}
	})
}

// A handler of its own gets ticks by asking for them.
func TestShardTicksWhileNothingComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{steps: []step{{0, some(1, 1)}, {3500 * time.Millisecond, some(2, 2)}}, end: io.EOF}
		var stored, got []string
		begun := time.Now()
		s := src.shard(&stored)
		s.Tick(time.Second)
		for b, err := range s.Batches(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%v %d", time.Since(begun), len(b.Records)))
		}
		if want := []string{"0s 1", "1s 0", "2s 0", "3s 0", "3.5s 1"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
