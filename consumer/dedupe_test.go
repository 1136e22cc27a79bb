package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// shelf is a DedupeStore in memory.
type shelf struct {
	windows map[string][]byte
	fail    error
	saves   int
}

func (s *shelf) Load(_ context.Context, _ *Shard, id string) ([]byte, error) {
	return s.windows[id], s.fail
}

func (s *shelf) Save(_ context.Context, shard *Shard, window []byte) error {
	if s.fail != nil {
		return s.fail
	}
	s.saves++
	s.windows[shard.ID()] = slices.Clone(window)
	return nil
}

// named makes records with the given ids, numbered from first.
func named(first int, ids ...string) []Record {
	rs := some(first, first+len(ids)-1)
	for i := range rs {
		rs[i].ID = ids[i]
	}
	return rs
}

func TestRepetitionsAreLeftOutAndReported(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"EachRecord", "keyed", "EachBatch"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &script{steps: []step{
					{0, named(1, "a", "b", "a", "", "")},
					{time.Second, named(6, "c", "b", "c", "d", "a")},
				}, end: ErrStopping}
				var stored, got, skipped []string
				note := func(r *Record) { got = append(got, r.Position.String()) }
				opts := func(o *EachOptions) {
					o.DedupeBytes = 1 << 20
					o.OnFailure.ParkKey = mode == "keyed"
				}
				failed := false
				h := EachRecord(func(_ context.Context, r *Record) error {
					if r.ID == "b" && !failed {
						failed = true // what failed was not dealt with: its repetition in place is none
						return errors.New("no")
					}
					note(r)
					return nil
				}, opts)
				if mode == "EachBatch" {
					h = EachBatch(func(_ context.Context, b *Batch) error {
						if !failed {
							failed = true
							return errors.New("no")
						}
						for i := range b.Records {
							note(&b.Records[i])
						}
						return nil
					}, opts)
				}
				s := src.shard(&stored)
				src.steps = append(src.steps, step{time.Hour, nil})
				s.opts.Events.Skipped = func(i SkippedInfo) {
					if i.Reason != SkippedDuplicate || i.From != i.To || i.Records != 1 {
						t.Errorf("reported %+v", i)
					}
					skipped = append(skipped, i.From.String())
				}
				if err := h(t.Context(), s); !errors.Is(err, ErrStopping) {
					t.Error(err)
				}
				if want := []string{"1", "2", "4", "5", "6", "9"}; !slices.Equal(got, want) {
					t.Errorf("handled %v, want %v", got, want)
				}
				if want := []string{"3", "7", "8", "10"}; !slices.Equal(skipped, want) {
					t.Errorf("reported %v, want %v", skipped, want)
				}
				if stored[len(stored)-1] != "10" {
					t.Errorf("stored %v", stored)
				}
			})
		})
	}
}

// The window outlives its worker, never lags behind what is stored, and a worker
// that repeats what another did without a checkpoint finds it there.
func TestWindowIsKeptAcrossAHandoff(t *testing.T) {
	t.Parallel()
	kept := &shelf{windows: map[string][]byte{}}
	run := func(steps ...step) (got, stored []string) {
		synctest.Test(t, func(t *testing.T) {
			src := &script{steps: steps, end: ErrStopping}
			h := EachRecord(func(_ context.Context, r *Record) error {
				got = append(got, r.Position.String())
				return nil
			}, func(o *EachOptions) { o.DedupeBytes, o.DedupeStore, o.CheckpointInterval = 1<<20, kept, 0 })
			s := src.shard(&stored)
			s.store = func(_ context.Context, p checkpoint.Position) error {
				d := newDedupe(1 << 20)
				if err := d.load(kept.windows[s.ID()]); err != nil {
					t.Error(err)
				}
				if len(d.order) != len(got) {
					t.Errorf("%d ids are saved when %v is stored and %v done", len(d.order), p, got)
				}
				stored = append(stored, p.String())
				return nil
			}
			if err := h(t.Context(), s); !errors.Is(err, ErrStopping) {
				t.Error(err)
			}
		})
		return got, stored
	}
	if got, _ := run(step{0, named(1, "a", "b", "c")}); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("the first worker handled %v", got)
	}
	src := &script{steps: []step{{0, named(4, "b", "d", "c", "e")}}, end: ErrStopping}
	var stored, got []string
	h := EachRecord(func(_ context.Context, r *Record) error {
		got = append(got, r.ID)
		return nil
	}, func(o *EachOptions) { o.DedupeBytes, o.DedupeStore = 1<<20, kept })
	if err := h(t.Context(), src.shard(&stored)); !errors.Is(err, ErrStopping) {
		t.Error(err)
	}
	if !slices.Equal(got, []string{"d", "e"}) || !slices.Equal(stored, []string{"7"}) {
		t.Errorf("the second worker handled %v and stored %v", got, stored)
	}
}

func TestNothingIsStoredThatTheWindowDoesNotKnow(t *testing.T) {
	t.Parallel()
	kept := &shelf{windows: map[string][]byte{}}
	var stored []string
	src := &script{steps: []step{{0, named(1, "a")}}, end: ErrStopping}
	h := EachRecord(func(context.Context, *Record) error {
		kept.fail = io.ErrClosedPipe
		return nil
	}, func(o *EachOptions) { o.DedupeBytes, o.DedupeStore = 1<<20, kept })
	if err := h(t.Context(), src.shard(&stored)); !errors.Is(err, ErrStopping) || len(stored) != 0 {
		t.Errorf("stored %v although the window could not be saved; %v", stored, err)
	}
	if err := h(t.Context(), src.shard(&stored)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("handler returned %v although the window could not be loaded", err)
	}
}

func TestSavedWindowThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, saved := range [][]byte{{0}, {2}, {1, 1}, make([]byte, 17), append([]byte{1}, make([]byte, 15)...)} {
		if err := newDedupe(1 << 10).load(saved); err == nil {
			t.Errorf("load(%v) succeeded", saved)
		}
	}
}

// The window reaches back as far as its bytes say, the newest are known, and a
// smaller one takes over the newest of a larger.
func TestWindowReachesAsFarAsItsBytes(t *testing.T) {
	t.Parallel()
	d := newDedupe(100 * idBytes)
	for n := range 1000 {
		d.add(named(1, fmt.Sprint(n)))
		for back := range 120 {
			id := fmt.Sprint(n - back)
			if got, want := d.knows(&Record{ID: id}), back < 100 && back <= n; got != want {
				t.Fatalf("after %d ids the one %d back: known %v, want %v", n+1, back, got, want)
			}
		}
	}
	small := newDedupe(10 * idBytes)
	if err := small.load(d.save()); err != nil {
		t.Fatal(err)
	}
	if !small.knows(&Record{ID: "999"}) || !small.knows(&Record{ID: "990"}) || small.knows(&Record{ID: "989"}) {
		t.Error("a smaller window does not know the newest of a larger")
	}
}

// A window made of several has the newest of each, also when they differ in length.
func TestWindowOfSeveralHasTheNewestOfEach(t *testing.T) {
	t.Parallel()
	var saved [][]byte
	for shard, n := range []int{1000, 0, 30, 5} {
		d := newDedupe(100 * idBytes)
		for i := range n {
			d.add(named(1, fmt.Sprint(shard, "-", n-1-i)))
		}
		saved = append(saved, d.save())
	}
	d := newDedupe(65 * idBytes)
	if err := d.load(append(saved, nil)...); err != nil {
		t.Fatal(err)
	}
	for shard, want := range []int{30, 0, 30, 5} {
		n := 0
		for d.knows(&Record{ID: fmt.Sprint(shard, "-", n)}) {
			n++
		}
		if n != want {
			t.Errorf("of shard %d the newest %d are known, want %d", shard, n, want)
		}
	}
	if len(d.order) != 65 {
		t.Errorf("%d ids in all, want 65", len(d.order))
	}
}

func TestWindowStaysWithinItsBytes(t *testing.T) {
	const limit = 1 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := newDedupe(limit)
	r := make([]Record, 1)
	for n := range 5 * limit / idBytes {
		r[0].ID = fmt.Sprint("record-", n)
		d.add(r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > limit*5/4 {
		t.Errorf("%d bytes in use, want at most about %d", used, limit)
	}
	runtime.KeepAlive(d)
}
