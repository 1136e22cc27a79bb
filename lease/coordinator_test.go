package lease_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

func TestOneWorkerStartsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		defer f.end()
		f.start("a")
		time.Sleep(2 * time.Second)
		if got := f.counts()["a"]; got != 4 {
			t.Errorf("after 2 s it holds %d shards, want 4", got)
		}
	})
}

func TestWorkersShareTheShards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(8))
		defer f.end()
		f.start("a")
		f.start("b")
		f.start("c")
		time.Sleep(20 * time.Second)
		if diff := cmp.Diff(map[string]int{"a": 3, "b": 3, "c": 2}, f.counts()); diff != "" {
			t.Error(diff)
		}
		moves := f.moved()
		time.Sleep(15 * time.Minute)
		if f.moved() != moves {
			t.Errorf("a stable fleet moved %d leases", f.moved()-moves)
		}
	})
}

func TestCrashIsTakenOverWithinOneAndAHalfFailoverTimes(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"a", "b", "c"} { // a leads
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, lease.NewMemoryStore(), newStream(8))
				defer f.end()
				f.start("a")
				time.Sleep(time.Second)
				f.start("b")
				f.start("c")
				time.Sleep(21234 * time.Millisecond)
				before := f.counts()
				f.crash(f.workers[victim])
				crashed := time.Now()
				for sum(f.counts()) < 8 && time.Since(crashed) < time.Minute {
					time.Sleep(10 * time.Millisecond)
				}
				took := time.Since(crashed)
				t.Logf("%s crashed with %d leases; taken over after %v", victim, before[victim], took)
				if took > failover*3/2 {
					t.Errorf("taken over after %v, want at most %v", took, failover*3/2)
				}
				moves := f.moved()
				time.Sleep(10 * time.Minute)
				if n := f.moved() - moves; n > 0 {
					t.Errorf("%d more moves after the take-over", n)
				}
			})
		})
	}
}

func sum(m map[string]int) (n int) {
	for v := range maps.Values(m) {
		n += v
	}
	return n
}

func TestJoinAndLeaveMoveNoMoreThanTheyMust(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(12))
		defer f.end()
		f.start("a")
		time.Sleep(2 * time.Second)
		b := f.start("b")
		time.Sleep(20 * time.Second)
		if diff := cmp.Diff(map[string]int{"a": 6, "b": 6}, f.counts()); diff != "" {
			t.Fatal(diff)
		}
		moves := f.moved()
		f.start("c")
		time.Sleep(20 * time.Second)
		if diff := cmp.Diff(map[string]int{"a": 4, "b": 4, "c": 4}, f.counts()); diff != "" {
			t.Error(diff)
		}
		if got := f.moved() - moves; got > 4+1 {
			t.Errorf("%d moves when c joined, want 4", got)
		}
		moves = f.moved()
		f.leave(b)
		time.Sleep(time.Second)
		if got := sum(f.counts()); got != 12 {
			t.Errorf("%d leases held a second after b left, want 12", got)
		}
		time.Sleep(time.Minute)
		if got := f.moved() - moves; got != 0 {
			t.Errorf("the leader moved %d leases after b left, want 0: b gave each to its successor", got)
		}
	})
}

// The row of a dead worker looks fresh for a minute. Whoever leaves within it must
// not take the dead one, which has the fewest leases by then, for its successor,
// whether or not it saw the other die: a leads, b and c watch the table.
func TestLeavingSoonAfterACrashGivesNothingToTheDead(t *testing.T) {
	t.Parallel()
	for _, leaver := range []string{"a", "b", "c", "d", "e"} {
		t.Run(leaver, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, lease.NewMemoryStore(), newStream(12))
				defer f.end()
				for _, id := range []string{"a", "b", "c", "d", "e", "dead"} {
					f.start(id)
					time.Sleep(time.Second)
				}
				time.Sleep(33 * time.Second)
				f.crash(f.workers["dead"])
				time.Sleep(failover * 3 / 2)
				if got := sum(f.counts()); got != 12 {
					t.Fatalf("%d leases held after the take-over, want 12", got)
				}
				f.leave(f.workers[leaver])
				time.Sleep(time.Second)
				if got := sum(f.counts()); got != 12 {
					t.Errorf("%d leases held a second after %s left, want 12: %v", got, leaver, f.counts())
				}
			})
		})
	}
}

func TestLeaderLeavesWithoutAGap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := lease.NewMemoryStore()
		f := newFleet(t, store, newStream(6))
		defer f.end()
		a := f.start("a")
		time.Sleep(time.Second)
		f.start("b")
		time.Sleep(30 * time.Second)
		f.leave(a)
		if lock, _ := store.Lock(t.Context()); lock.Owner == "a" {
			t.Error("the lock is still there")
		}
		snap, _ := store.Snapshot(t.Context())
		for _, w := range snap.Workers {
			if w.ID == "a" {
				t.Error("the worker row is still there")
			}
		}
		time.Sleep(time.Second)
		if got := f.counts()["b"]; got != 6 {
			t.Errorf("b holds %d leases a second later, want 6", got)
		}
	})
}

func TestSplitAndMergeParentsBeforeChildren(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := lease.NewMemoryStore()
		s := newStream(3)
		f := newFleet(t, store, s)
		defer f.end()
		f.start("a")
		f.start("b")
		time.Sleep(20 * time.Second)
		s.split(shardID(0))             // → 3, 4
		s.merge(shardID(1), shardID(2)) // → 5
		s.split(shardID(3))             // → 6, 7 before 3 was ever read
		s.merge(shardID(4), shardID(5)) // → 8
		time.Sleep(20 * time.Second)
		f.mu.Lock()
		for id, want := range map[string]bool{shardID(6): true, shardID(7): true, shardID(8): true, shardID(0): false, shardID(5): false} {
			if got := f.holders[id] != ""; got != want {
				t.Errorf("%s held: %v, want %v", id, got, want)
			}
		}
		f.mu.Unlock()
		time.Sleep(time.Minute)
		snap, _ := store.Snapshot(t.Context())
		for _, r := range snap.Rows {
			if r.Finished() {
				t.Errorf("the row of %s is still there: %+v", r.Key, r)
			}
		}
		if s.lists > 3 {
			t.Errorf("the shards were listed %d times", s.lists)
		}
	})
}

func TestChildrenStartWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStream(2)
		f := newFleet(t, lease.NewMemoryStore(), s)
		defer f.end()
		f.start("a")
		f.start("b")
		time.Sleep(20 * time.Second)
		s.merge(shardID(0), shardID(1)) // one parent on each worker
		time.Sleep(3 * time.Second)     // hold looks every second, and stops for a moment to finish
		if got := sum(f.counts()); got != 1 {
			t.Errorf("%d shards held, want the child alone", got)
		}
	})
}

// A worker whose calls hang for longer than the failover time stops before
// anyone else may start, and stores nothing afterwards.
func TestPausedWorkerStopsBeforeItsLeaseExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		defer f.end()
		f.start("a")
		b := f.start("b")
		time.Sleep(20 * time.Second)
		b.store.pause()
		time.Sleep(9100 * time.Millisecond)
		if got := f.counts()["b"]; got != 0 {
			t.Errorf("9.1 s after its last renewal b still works on %d shards", got)
		}
		time.Sleep(10 * time.Second)
		if got := f.counts()["a"]; got != 4 {
			t.Errorf("a holds %d shards, want 4", got)
		}
		b.store.resume() // what hung arrives now
		time.Sleep(time.Minute)
		if diff := cmp.Diff(map[string]int{"a": 2, "b": 2}, f.counts()); diff != "" {
			t.Error(diff)
		}
		if len(f.backwards) > 0 {
			t.Error(f.backwards)
		}
	})
}

// Every kind of call loses its answer now and then. Nothing is lost by it.
func TestLostAnswersCostNothing(t *testing.T) {
	t.Parallel()
	ops := []string{"renew", "checkpoint", "assign", "take", "hand off", "release", "create", "delete",
		"put worker", "swap lock", "snapshot", "owned", "row", "lock", "delete worker"}
	for _, op := range ops {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStream(4)
				f := newFleet(t, lease.NewMemoryStore(), s)
				lost := 0
				f.onLost = func(lease.LostInfo) { lost++ }
				defer f.end()
				for _, id := range []string{"a", "b", "c"} {
					w := f.start(id)
					n := 0
					w.store.faults(func(c storeCall) (error, bool) {
						if c.op != op {
							return nil, false
						}
						n++
						return nil, n%2 == 1
					}, nil)
					time.Sleep(15 * time.Second)
				}
				s.split(shardID(0))
				s.merge(shardID(1), shardID(2))
				time.Sleep(30 * time.Second)
				f.leave(f.workers["b"])
				time.Sleep(30 * time.Second)
				if got := sum(f.counts()); got != 4 {
					t.Errorf("%d shards held, want 4: %v", got, f.counts())
				}
				if lost > 0 {
					t.Errorf("%d leases lost", lost)
				}
			})
		})
	}
}

func TestOutageShorterThanTheFenceGoesUnnoticed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outage time.Duration
		lost   bool
	}{{4 * time.Second, false}, {3 * time.Minute, true}}
	for _, tt := range tests {
		t.Run(tt.outage.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, lease.NewMemoryStore(), newStream(9))
				lost := 0
				f.onLost = func(lease.LostInfo) { lost++ }
				defer f.end()
				var out atomic.Bool
				for _, id := range []string{"a", "b", "c"} {
					f.start(id).store.faults(func(storeCall) (error, bool) {
						if out.Load() {
							return errCut, false
						}
						return nil, false
					}, nil)
				}
				time.Sleep(30 * time.Second)
				before, moves := f.counts(), f.moved()
				out.Store(true)
				time.Sleep(tt.outage)
				out.Store(false)
				time.Sleep(time.Minute)
				if diff := cmp.Diff(before, f.counts()); diff != "" || f.moved() != moves {
					t.Errorf("%d moves after the outage: %s", f.moved()-moves, diff)
				}
				if (lost > 0) != tt.lost {
					t.Errorf("%d leases lost", lost)
				}
			})
		})
	}
}

// A stutterer sends every write twice and answers with what the second brought,
// as a client does that repeats a call whose answer was lost.
type stutterer struct{ lease.Store }

func (s stutterer) Write(ctx context.Context, w lease.Write) (lease.Row, error) {
	_, _ = s.Store.Write(ctx, w)
	return s.Store.Write(ctx, w)
}

func (s stutterer) SwapLock(ctx context.Context, seen, next lease.Lock) error {
	_ = s.Store.SwapLock(ctx, seen, next)
	return s.Store.SwapLock(ctx, seen, next)
}

func TestRetriesInsideTheClientCostNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStream(6)
		f := newFleet(t, stutterer{lease.NewMemoryStore()}, s)
		lost := 0
		f.onLost = func(lease.LostInfo) { lost++ }
		defer f.end()
		f.start("a")
		b := f.start("b")
		time.Sleep(30 * time.Second)
		s.split(shardID(0))
		s.merge(shardID(1), shardID(2))
		time.Sleep(30 * time.Second)
		if got := sum(f.counts()); got != 6 {
			t.Errorf("%d shards held, want 6", got)
		}
		f.leave(b)
		time.Sleep(2 * time.Second)
		if got := f.counts()["a"]; got != 6 {
			t.Errorf("a holds %d shards after b left, want 6", got)
		}
		if lost > 0 {
			t.Errorf("%d leases lost", lost)
		}
		elections := 0
		for _, l := range f.lines {
			if strings.Contains(l, "leading=true") {
				elections++
			}
		}
		if elections != 1 {
			t.Errorf("%d elections, want 1", elections)
		}
	})
}

func TestRowsDeletedByHandComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := lease.NewMemoryStore()
		f := newFleet(t, store, newStream(4))
		defer f.end()
		f.start("a")
		f.start("b")
		time.Sleep(20 * time.Second)
		remove := func(keep int) {
			snap, _ := store.Snapshot(t.Context())
			for _, r := range snap.Rows[keep:] {
				if _, err := store.Write(t.Context(), lease.Write{Op: lease.Delete, Seen: r}); err != nil {
					t.Error(err)
				}
			}
			f.mu.Lock()
			f.stored = nil // whoever deletes a row forgets its position
			f.mu.Unlock()
		}
		for _, keep := range []int{3, 0} {
			remove(keep)
			time.Sleep(time.Minute)
			if diff := cmp.Diff(map[string]int{"a": 2, "b": 2}, f.counts()); diff != "" {
				t.Errorf("a minute after all rows but %d were deleted: %s", keep, diff)
			}
		}
	})
}

// The row of a child that is deleted while that of its parent is still there comes
// back, and the shard is read from its oldest record.
func TestRowOfAChildDeletedByHandComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, s := lease.NewMemoryStore(), newStream(2)
		f := newFleet(t, store, s)
		defer f.end()
		f.held = func(w *worker, fetch, work context.Context, h *lease.Held) error {
			drop, ok := f.take(w, work, h)
			if !ok {
				return nil
			}
			defer drop()
			for sleep(fetch, time.Second) { // nothing is read, so the rows of the parents stay
				if s.isClosed(h.Shard().ID) {
					children, _ := s.Children(work, h.Stream(), h.Shard().ID)
					return h.Finish(work, children)
				}
			}
			return nil
		}
		f.start("a")
		time.Sleep(20 * time.Second)
		s.split(shardID(0))             // → 2, 3
		s.merge(shardID(3), shardID(1)) // → 4
		time.Sleep(20 * time.Second)
		before := f.counts()
		for _, n := range []int{2, 4} {
			row, err := store.Row(t.Context(), shardID(n))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Write(t.Context(), lease.Write{Op: lease.Delete, Seen: row}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		for _, n := range []int{2, 4} {
			if row, err := store.Row(t.Context(), shardID(n)); err != nil || row.Owner == "" {
				t.Errorf("row of shard %d: %+v, %v", n, row, err)
			}
		}
		if diff := cmp.Diff(before, f.counts()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNewNamesEveryBadOption(t *testing.T) {
	t.Parallel()
	_, err := lease.New(nil, nil, func(o *lease.Options) {
		o.WorkerID, o.FailoverTime, o.DrainTimeout, o.MaxLeases, o.Logger = "Leader", 0, -1, 0, nil
	})
	for _, want := range []string{"WorkerID", "FailoverTime", "DrainTimeout", "MaxLeases", "Logger", "store", "source"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want it to name %s", err, want)
		}
	}
}

func TestRunRefusesAWorkerIDThatIsTaken(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"clicks": "name of the stream", shardID(0): "taken by a row"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := lease.NewMemoryStore()
				row := lease.Row{Key: shardID(0), Shard: shardID(0), Checkpoint: checkpoint.TrimHorizon}
				if _, err := store.Write(t.Context(), lease.Write{Op: lease.Create, Row: row}); err != nil {
					t.Fatal(err)
				}
				c, err := lease.New(store, newStream(1), func(o *lease.Options) { o.WorkerID = id })
				if err != nil {
					t.Fatal(err)
				}
				err = c.Run(t.Context(), func(_, _ context.Context, _ *lease.Held) error { return nil })
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Run() = %v, want %q in it", err, want)
				}
			})
		})
	}
}

// A hold that returns while the lease is its worker's gives it up, and the
// leader assigns it again.
func TestHoldThatFailsIsCalledAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := lease.NewMemoryStore()
		failure := errors.New("handler failed")
		told := 0
		c, err := lease.New(store, newStream(1), func(o *lease.Options) {
			o.Events.Released = func(i lease.ReleasedInfo) {
				if errors.Is(i.Err, failure) {
					told++
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		began, calls := time.Now(), 0
		err = c.Run(ctx, func(_, _ context.Context, _ *lease.Held) error {
			if calls++; calls == 5 {
				stop()
				return nil
			}
			return failure
		})
		if err != nil || calls != 5 {
			t.Errorf("Run() = %v after %d calls, want 5", err, calls)
		}
		if took := time.Since(began); took < 3*time.Second || took > 30*time.Second {
			t.Errorf("5 calls in %v, want a pause of about a second or more between them", took)
		}
		if told != 4 {
			t.Errorf("Events.Released told of %d failures, want 4", told)
		}
	})
}
