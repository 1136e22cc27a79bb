package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// What went wrong in other libraries, each as a fleet in which it would show.

// put makes a row as some history has left it.
func put(t *testing.T, store lease.Store, row lease.Row, writes ...lease.Write) {
	t.Helper()
	cur, err := store.Write(t.Context(), lease.Write{Op: lease.Create, Row: row})
	for _, w := range writes {
		if err != nil {
			break
		}
		w.Seen = cur
		cur, err = store.Write(t.Context(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A leader that cannot do its work kept its lock and did nothing (KCL pull
// request 1669).
func TestLeaderThatCannotReadTheTableIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		defer f.end()
		a := f.start("a")
		time.Sleep(2 * time.Second)
		f.start("b")
		c := f.start("c")
		time.Sleep(30 * time.Second)
		a.store.faults(func(c storeCall) (error, bool) {
			if c.op == "snapshot" {
				return errThrottled, false
			}
			return nil, false
		}, nil)
		stuck := time.Now()
		led := func() bool {
			lock, _ := f.store.Lock(t.Context())
			return lock.Owner == "b" || lock.Owner == "c"
		}
		until(time.Minute, led)
		if took := time.Since(stuck); took > 2*failover {
			t.Errorf("replaced after %v, want at most %v", took, 2*failover)
		}
		f.crash(c)
		delete(f.workers, "c")
		time.Sleep(2 * failover)
		if got := sum(f.counts()); got != 4 {
			t.Errorf("%d shards held under the new leader, want 4", got)
		}
	})
}

// A killed leader was never replaced, since every look at its lock began to count
// anew (KCL#1803).
func TestKilledLeaderIsReplacedWithinTwiceItsLease(t *testing.T) {
	t.Parallel()
	for n := range 8 {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, lease.NewMemoryStore(), newStream(3))
			defer f.end()
			a := f.start("a")
			time.Sleep(time.Second)
			f.start("b")
			time.Sleep(20*time.Second + time.Duration(n)*1370*time.Millisecond)
			f.crash(a)
			killed := time.Now()
			delete(f.workers, "a")
			until(time.Minute, func() bool {
				lock, _ := f.store.Lock(t.Context())
				return lock.Owner == "b"
			})
			if took := time.Since(killed); took > 2*failover {
				t.Errorf("replaced after %v, want at most %v", took, 2*failover)
			}
		})
	}
}

// A handover that its partners left unfinished, in every state the row can be in,
// left the shard to nobody for ever (KCL pull requests 1718, 1729, 1743, 1765).
func TestUnfinishedHandoverLeavesNoShardSilent(t *testing.T) {
	t.Parallel()
	for _, who := range [][2]string{{"gone", "a"}, {"a", "gone"}, {"gone", "dead"}, {"a", "b"}, {"b", "a"}} {
		t.Run(fmt.Sprint(who), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, s := lease.NewMemoryStore(), newStream(1)
				row := lease.Row{Key: shardID(0), Shard: shardID(0), Range: s.shards[0].Range, Checkpoint: checkpoint.TrimHorizon}
				put(t, store, row, lease.Write{Op: lease.Assign, Owner: who[0]}, lease.Write{Op: lease.Handoff, Owner: who[1]})
				f := newFleet(t, store, s)
				defer f.end()
				f.start("a")
				f.start("b")
				time.Sleep(failover * 3 / 2)
				if got := sum(f.counts()); got != 1 {
					t.Errorf("nobody holds the shard that %s was to hand to %s", who[0], who[1])
				}
			})
		})
	}
}

// The one worker of an application restarted while its lease was in its own name
// on both sides (KCL pull request 1718).
func TestLeaseHandedFromAWorkerToItselfIsHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, s := lease.NewMemoryStore(), newStream(1)
		row := lease.Row{Key: shardID(0), Shard: shardID(0), Range: s.shards[0].Range, Checkpoint: checkpoint.TrimHorizon, Owner: "a", Leaving: "a"}
		put(t, store, row)
		f := newFleet(t, store, s)
		defer f.end()
		f.start("a")
		time.Sleep(2 * failover)
		if got := sum(f.counts()); got != 1 {
			t.Error("nobody holds the shard")
		}
	})
}

// A write that failed left its values in memory, and what was built on them
// skipped records (KCL pull requests 1354, 1788).
func TestPositionOfAFailedCheckpointIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		holdOne(t, func(store *faulty, _, work context.Context, h *lease.Held) {
			if err := h.Checkpoint(work, checkpoint.At("5")); err != nil {
				t.Fatal(err)
			}
			store.faults(func(c storeCall) (error, bool) {
				if c.op == "checkpoint" || c.op == "row" {
					return errThrottled, false
				}
				return nil, false
			}, nil)
			if err := h.Checkpoint(work, checkpoint.At("9")); err == nil {
				t.Error("a checkpoint that failed gave no error")
			}
			if got := h.Position(); got != checkpoint.At("5") {
				t.Errorf("Position() = %v after a failed checkpoint, want 5", got)
			}
			store.faults(nil, nil)
			if err := h.Checkpoint(work, checkpoint.At("7")); err != nil {
				t.Errorf("Checkpoint(7) = %v: 9 was never stored", err)
			}
		})
	})
}

// Renewals and checkpoints of one worker refuted each other, and it evicted itself
// (KCL#537, KCL#108).
func TestRenewalsAndCheckpointsDoNotRefuteEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := 0
		counted := &countingStore{Store: lease.NewMemoryStore(), refused: &refused}
		c, err := lease.New(&faulty{Store: counted, id: "a", onWrite: func(lease.Write) {}}, newStream(1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		err = c.Run(ctx, func(_, work context.Context, h *lease.Held) error {
			defer stop()
			for n := range int64(500) {
				if err := h.Checkpoint(work, checkpoint.Position{SequenceNumber: "1", SubSequenceNumber: n}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(n*37%4000) * time.Millisecond)
			}
			return nil
		})
		if err != nil || refused > 0 {
			t.Errorf("Run() = %v, %d writes refused", err, refused)
		}
	})
}

type countingStore struct {
	lease.Store
	refused *int
}

func (s *countingStore) Write(ctx context.Context, w lease.Write) (lease.Row, error) {
	row, err := s.Store.Write(ctx, w)
	if err != nil {
		*s.refused++
	}
	return row, err
}

// The loss of one lease waited for its handler, and with it every other shard of
// the worker (KCL pull request 501).
func TestStuckHandlerHoldsUpNoOtherShard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		free := make(chan struct{})
		f.held = func(w *worker, fetch, work context.Context, h *lease.Held) error {
			if h.Shard().ID != shardID(0) {
				return f.hold(w, fetch, work, h)
			}
			<-free // whatever the contexts say
			return nil
		}
		f.start("a")
		time.Sleep(5 * time.Second)
		row, _ := f.store.Row(t.Context(), shardID(0))
		if _, err := f.store.Write(t.Context(), lease.Write{Op: lease.Take, Seen: row, Owner: "thief"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		f.mu.Lock()
		lost := 0
		f.onLost = func(lease.LostInfo) { lost++ }
		f.mu.Unlock()
		f.stream.split(shardID(1))
		time.Sleep(time.Minute)
		held := sum(f.counts())
		f.mu.Lock()
		if held != 4 || lost > 0 { // 2, 3 and the two children
			t.Errorf("%d shards held beside the stuck one, %d lost", held, lost)
		}
		f.mu.Unlock()
		close(free)
		f.end()
	})
}

// Children began at LATEST, and what was put between the reshard and their first
// read was lost (KCL#734, KCL#751).
func TestChildrenOfAnApplicationAtLatestBeginAtTheirOldestRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStream(2)
		s.start = checkpoint.Latest
		f := newFleet(t, lease.NewMemoryStore(), s)
		defer f.end()
		f.start("a")
		time.Sleep(5 * time.Second)
		row, _ := f.store.Row(t.Context(), shardID(0))
		if row.Checkpoint != checkpoint.Latest && !row.Checkpoint.IsRecord() {
			t.Errorf("the first shards begin at %v, want LATEST", row.Checkpoint)
		}
		s.split(shardID(0))
		s.merge(shardID(2), shardID(3)) // before those were read
		var created []lease.Row
		until(5*time.Second, func() bool {
			snap, _ := f.store.Snapshot(t.Context())
			for _, r := range snap.Rows {
				known := slices.ContainsFunc(created, func(c lease.Row) bool { return c.Key == r.Key })
				if len(r.Parents) > 0 && !known {
					created = append(created, r)
				}
			}
			return len(created) == 3
		})
		for _, r := range created {
			if r.Checkpoint != checkpoint.TrimHorizon && !r.Checkpoint.IsRecord() && !r.Finished() {
				t.Errorf("child %s begins at %v", r.Key, r.Checkpoint)
			}
		}
		if len(created) != 3 {
			t.Errorf("%d children have rows, want 3", len(created))
		}
	})
}

// A worker that was stopped before it had started, without leases, or while
// everything failed never came to an end (KCL#427, KCL#128, KCL#616).
func TestRunEndsWheneverItIsStopped(t *testing.T) {
	t.Parallel()
	for _, outage := range []string{"none", "refused", "hanging"} {
		for ms := 0; ms < 12000; ms = ms*3/2 + 1 {
			synctest.Test(t, func(t *testing.T) {
				store := &faulty{Store: lease.NewMemoryStore(), id: "a", onWrite: func(lease.Write) {}}
				var out atomic.Bool
				store.faults(func(storeCall) (error, bool) {
					if out.Load() {
						return errCut, false
					}
					return nil, false
				}, nil)
				c, err := lease.New(store, newStream(2))
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() {
					done <- c.Run(ctx, func(fetch, _ context.Context, _ *lease.Held) error {
						<-fetch.Done()
						return nil
					})
				}()
				time.Sleep(time.Duration(ms) * time.Millisecond)
				out.Store(outage == "refused")
				if outage == "hanging" {
					store.pause()
				}
				stop()
				stopped := time.Now()
				if err := <-done; err != nil {
					t.Errorf("stopped after %d ms, outage %s: Run() = %v", ms, outage, err)
				}
				if took := time.Since(stopped); took > failover*3/2 {
					t.Errorf("stopped after %d ms, outage %s: ended %v later", ms, outage, took)
				}
				if outage == "hanging" {
					store.resume()
					time.Sleep(time.Second) // what hung is made now
				}
			})
		}
	}
}

// One shard that nobody can read kept the others from being shared (vmware-go-kcl
// v2 #50), or was asked for without a pause.
func TestShardThatAlwaysFailsDisturbsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(9))
		defer f.end()
		calls := 0
		f.held = func(w *worker, fetch, work context.Context, h *lease.Held) error {
			if h.Shard().ID == shardID(4) {
				f.mu.Lock()
				calls++
				f.mu.Unlock()
				return errors.New("test: poison")
			}
			return f.hold(w, fetch, work, h)
		}
		f.start("a")
		time.Sleep(5 * time.Second)
		f.start("b")
		time.Sleep(2 * time.Minute)
		counts := f.counts()
		if counts["a"] < 3 || counts["b"] < 3 || sum(counts) != 8 {
			t.Errorf("counts %v, want the 8 others shared", counts)
		}
		if calls < 10 || calls > 180 {
			t.Errorf("%d calls in two minutes for the shard that fails, want some, and a pause between them", calls)
		}
		f.mu.Lock()
		begun := 0
		for shard, n := range f.begun {
			if shard != shardID(4) {
				begun += n
			}
		}
		f.mu.Unlock()
		if begun > 8+6 {
			t.Errorf("the 8 others were begun %d times", begun)
		}
	})
}

// A checkpoint that was kept back was written when the lease had gone (harlow
// kinesis-consumer pull request 189).
func TestNothingIsStoredAfterTheRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var late *lease.Held
		store := holdOne(t, func(_ *faulty, _, work context.Context, h *lease.Held) {
			if err := h.Checkpoint(work, checkpoint.At("5")); err != nil {
				t.Error(err)
			}
			late = h
		})
		if err := late.Checkpoint(t.Context(), checkpoint.At("6")); !errors.Is(err, lease.ErrLost) {
			t.Errorf("Checkpoint() after Run = %v, want ErrLost", err)
		}
		if err := late.Finish(t.Context(), nil); !errors.Is(err, lease.ErrLost) {
			t.Errorf("Finish() after Run = %v, want ErrLost", err)
		}
		if row, _ := store.Row(t.Context(), shardID(0)); row.Checkpoint != checkpoint.At("5") {
			t.Errorf("the row is at %v, want 5", row.Checkpoint)
		}
	})
}

// A worker that was stopped went on fetching until its table had answered.
func TestFetchingEndsAtOnceThoughTheTableHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: lease.NewMemoryStore(), id: "a", onWrite: func(lease.Write) {}}
		c, err := lease.New(store, newStream(3))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var stopped time.Time // not changed once ctx has ended
		var ended atomic.Int64
		time.AfterFunc(5*time.Second, func() { store.pause(); stopped = time.Now(); stop() })
		err = c.Run(ctx, func(fetch, _ context.Context, h *lease.Held) error {
			<-fetch.Done()
			ended.Add(1)
			if late := time.Since(stopped); late > 0 {
				t.Errorf("fetching of %s ended %v after the stop", h.Shard().ID, late)
			}
			return nil
		})
		if took := time.Since(stopped); err != nil || ended.Load() != 3 || took > failover {
			t.Errorf("Run() = %v after %v, %d shards were held", err, took, ended.Load())
		}
		store.resume()
		time.Sleep(time.Second) // what hung arrives
	})
}

// An empty closed shard ended without its children ever starting (KCL pull request
// 1319), and so did a lineage of such.
func TestEmptyShardsLeadToTheirChildren(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStream(1)
		s.split(shardID(0))             // 1, 2
		s.merge(shardID(1), shardID(2)) // 3
		s.split(shardID(3))             // 4, 5
		f := newFleet(t, lease.NewMemoryStore(), s)
		f.tick = 10 * time.Millisecond
		defer f.end()
		f.start("a")
		f.start("b")
		time.Sleep(10 * time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.holders[shardID(4)] == "" || f.holders[shardID(5)] == "" {
			t.Errorf("holders %v, want the last two shards held", f.holders)
		}
	})
}

// The child of a merge started although its other parent, whose row had gone, was
// never read to its end (KCL#1080).
func TestChildOfAMergeWaitsForTheRowOfItsOtherParent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStream(2)
		f := newFleet(t, lease.NewMemoryStore(), s)
		defer f.end()
		f.start("a")
		time.Sleep(10 * time.Second)
		row, _ := f.store.Row(t.Context(), shardID(1))
		if _, err := f.store.Write(t.Context(), lease.Write{Op: lease.Delete, Seen: row}); err != nil {
			row, _ = f.store.Row(t.Context(), shardID(1)) // it was renewed meanwhile
			if _, err := f.store.Write(t.Context(), lease.Write{Op: lease.Delete, Seen: row}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(failover / 2) // its holder has found out
		f.mu.Lock()
		f.stored, f.begun[shardID(1)] = nil, 0 // whoever deletes a row forgets its position
		f.mu.Unlock()
		s.merge(shardID(0), shardID(1))
		early := false
		until(2*time.Minute, func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			early = early || f.begun[shardID(2)] > 0 && f.begun[shardID(1)] == 0
			return f.begun[shardID(2)] > 0
		})
		f.mu.Lock()
		defer f.mu.Unlock()
		if early || f.begun[shardID(2)] == 0 {
			t.Errorf("the child was held %d times, the other parent %d", f.begun[shardID(2)], f.begun[shardID(1)])
		}
	})
}

// A worker that joins after another has died, and leads before the other's row is
// old, gives it nothing: the rows of the leases that were taken from the dead say so.
func TestNewLeaderGivesNothingToTheDeadFromBeforeItJoined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		defer f.end()
		has := func(id string, leases int) {
			until(time.Minute, func() bool { return f.counts()[id] >= leases })
		}
		f.start("a")
		has("a", 4)
		f.start("b")
		has("b", 2)
		f.crash(f.workers["b"])
		has("a", 4)
		f.start("c")
		has("c", 2)
		f.crash(f.workers["a"])
		crashed := time.Now()
		has("c", 4)
		if took := time.Since(crashed); took > failover*3/2 {
			t.Errorf("taken over after %v, want at most %v", took, failover*3/2)
		}
	})
}
