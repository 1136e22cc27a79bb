package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// holdOne runs a worker on a stream of one shard and hands its lease to do, with
// the worker's store. The worker stops when do returns.
func holdOne(t *testing.T, do func(store *faulty, fetch, work context.Context, h *lease.Held), optFns ...func(*lease.Options)) lease.Store {
	t.Helper()
	inner := lease.NewMemoryStore()
	store := &faulty{Store: inner, id: "a", onWrite: func(lease.Write) {}}
	c, err := lease.New(store, newStream(1), append(optFns, func(o *lease.Options) { o.WorkerID = "a" })...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	held := 0
	err = c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
		if held++; held == 1 {
			do(store, fetch, work, h)
			stop()
		}
		return nil
	})
	if err != nil {
		t.Errorf("Run() = %v", err)
	}
	return inner
}

// The row has held a renewal since it was made, not since its answer was found.
func TestRenewalWithoutAnAnswerCountsFromItsFirstAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		holdOne(t, func(store *faulty, _, work context.Context, _ *lease.Held) {
			var made time.Time
			renewals := 0
			store.faults(func(c storeCall) (error, bool) {
				if c.op != "renew" {
					return nil, false
				}
				renewals++
				if renewals == 1 {
					made = time.Now()
				}
				if renewals > 2 {
					return errCut, false
				}
				return nil, renewals == 1
			}, nil)
			<-work.Done()
			if !errors.Is(context.Cause(work), lease.ErrLost) {
				t.Errorf("cause %v, want ErrLost", context.Cause(work))
			}
			if renewals < 3 {
				t.Fatalf("%d renewals tried, want more than the two that the test needs", renewals)
			}
			if lived := time.Since(made); lived > failover*9/10 {
				t.Errorf("the work context ended %v after the renewal that was made, want at most %v", lived, failover*9/10)
			}
		})
	})
}

func TestCheckpointsAreOrderedAndFenced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := holdOne(t, func(store *faulty, _, work context.Context, h *lease.Held) {
			if h.Position() != checkpoint.TrimHorizon {
				t.Errorf("position %v, want TRIM_HORIZON", h.Position())
			}
			var backwards *lease.BackwardsError
			steps := []struct {
				p  checkpoint.Position
				ok bool
			}{
				{checkpoint.At("10"), true},
				{checkpoint.At("10"), true},
				{checkpoint.At("9"), false},
				{checkpoint.Position{SequenceNumber: "10", SubSequenceNumber: 3}, true},
				{checkpoint.At("10"), false},
				{checkpoint.TrimHorizon, false},
			}
			for _, st := range steps {
				err := h.Checkpoint(work, st.p)
				if st.ok && err != nil || !st.ok && !errors.As(err, &backwards) {
					t.Errorf("Checkpoint(%v) = %v", st.p, err)
				}
			}
			for _, p := range []checkpoint.Position{{}, checkpoint.At("x"), checkpoint.ShardEnd} {
				if err := h.Checkpoint(work, p); err == nil || errors.As(err, &backwards) {
					t.Errorf("Checkpoint(%v) = %v, want another error", p, err)
				}
			}
			if err := h.Finish(work, []lease.Shard{{ID: "x", Parents: []string{"y"}}}); err == nil {
				t.Error("Finish() with a child of another shard gave no error")
			}
			if err := h.Finish(work, nil); err != nil {
				t.Errorf("Finish() = %v", err)
			}
			if err := h.Finish(work, nil); err != nil {
				t.Errorf("Finish() again = %v", err)
			}
			if err := h.Checkpoint(work, checkpoint.At("20")); !errors.Is(err, lease.ErrFinished) {
				t.Errorf("Checkpoint() after Finish = %v, want ErrFinished", err)
			}
		})
		row, err := store.Row(t.Context(), shardID(0))
		if err != nil || row.Checkpoint != checkpoint.ShardEnd || row.Owner != "" {
			t.Errorf("row %+v, %v, want a finished one of nobody", row, err)
		}
	})
}

func TestCheckpointCountsAsARenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		renewals := 0
		holdOne(t, func(store *faulty, _, work context.Context, h *lease.Held) {
			store.faults(func(c storeCall) (error, bool) {
				if c.op == "renew" {
					renewals++
				}
				return nil, false
			}, nil)
			for n := range int64(60) {
				if err := h.Checkpoint(work, checkpoint.Position{SequenceNumber: "1", SubSequenceNumber: n}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
			}
		})
		if renewals > 0 {
			t.Errorf("%d renewals beside a checkpoint every second, want none", renewals)
		}
	})
}

// Checkpoints that are refused, each after a long wait, leave the renewals
// between them their time: who cannot store a position keeps its shard.
func TestFailingCheckpointsDoNotKeepRenewalsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttled := errors.New("test: throttled")
		checkpoints := func(c storeCall) bool { return c.op == "checkpoint" }
		holdOne(t, func(store *faulty, _, work context.Context, h *lease.Held) {
			store.faults(func(c storeCall) (error, bool) {
				if checkpoints(c) {
					return throttled, false
				}
				return nil, false
			}, func(c storeCall) time.Duration {
				switch {
				case checkpoints(c):
					return 3800 * time.Millisecond // refused at half of it, just before the call is given up
				case c.op == "row":
					return time.Second // how a refusal is looked into
				}
				return 0
			})
			for begun, n := time.Now(), int64(0); time.Since(begun) < 2*time.Minute; n++ {
				err := h.Checkpoint(work, checkpoint.Position{SequenceNumber: "1", SubSequenceNumber: n})
				if !errors.Is(err, throttled) {
					t.Errorf("Checkpoint after %v = %v, want the store's error", time.Since(begun), err)
					return
				}
			}
			if err := h.Err(); err != nil {
				t.Errorf("the lease was lost beside failing checkpoints: %v", err)
			}
		})
	})
}

// Leaders balance by the throughput in the rows. Frequent checkpoints leave no
// renewal to carry it.
func TestThroughputIsReportedHoweverOftenCheckpointsAre(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			holdOne(t, func(store *faulty, _, work context.Context, h *lease.Held) {
				rateAfter := func(d time.Duration, bytes int) float64 {
					for end, n := time.Now().Add(d), int64(0); time.Now().Before(end); n++ {
						time.Sleep(100 * time.Millisecond)
						h.Observe(bytes)
						if n%int64(every/(100*time.Millisecond)) > 0 {
							continue
						}
						p := checkpoint.Position{SequenceNumber: "1", SubSequenceNumber: time.Now().UnixMilli()}
						if err := h.Checkpoint(work, p); err != nil {
							t.Error(err)
						}
					}
					row, err := store.Row(work, shardID(0))
					if err != nil || row.Throughput == nil {
						t.Errorf("checkpoints every %v: row %+v, %v, want a throughput", every, row, err)
						return 0
					}
					return *row.Throughput
				}
				if got := rateAfter(time.Minute, 10<<10); got < 95 || got > 101 { // the store takes its time
					t.Errorf("checkpoints every %v: %v KiB/s in the row, want about 100", every, got)
				}
				if got := rateAfter(time.Minute, 1<<10); got > 11 {
					t.Errorf("checkpoints every %v: %v KiB/s in the row a minute after it fell to 10", every, got)
				}
			})
		})
	}
}

// A lease taken without waiting, as a KCL 2.x worker does: the work context ends
// at the next renewal, and nothing is stored after the theft.
func TestStolenLeaseEndsAtTheNextRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := holdOne(t, func(store *faulty, fetch, work context.Context, h *lease.Held) {
			row, _ := store.Store.Row(t.Context(), shardID(0))
			if _, err := store.Store.Write(t.Context(), lease.Write{Op: lease.Take, Seen: row, Owner: "thief"}); err != nil {
				t.Fatal(err)
			}
			stolen := time.Now()
			<-work.Done()
			if took := time.Since(stolen); took > failover*2/5 || !errors.Is(context.Cause(fetch), lease.ErrLost) {
				t.Errorf("the contexts ended %v after the theft, fetch with %v", took, context.Cause(fetch))
			}
			if err := h.Checkpoint(t.Context(), checkpoint.At("5")); !errors.Is(err, lease.ErrLost) {
				t.Errorf("Checkpoint() = %v, want ErrLost", err)
			}
			if !errors.Is(h.Err(), lease.ErrLost) {
				t.Errorf("Err() = %v, want ErrLost", h.Err())
			}
		})
		row, _ := store.Row(t.Context(), shardID(0))
		if row.Checkpoint != checkpoint.TrimHorizon || row.Owner != "thief" {
			t.Errorf("row %+v, want the thief's, unread", row)
		}
	})
}

// A leader of the KCL hands a lease over: fetching ends, the work goes on, the
// last position is stored, and the row then belongs to the next owner.
func TestHandoverLetsTheWorkFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := lease.NewMemoryStore()
		store := &faulty{Store: inner, id: "a", onWrite: func(lease.Write) {}}
		c, err := lease.New(store, newStream(1), func(o *lease.Options) { o.WorkerID = "a" })
		if err != nil {
			t.Fatal(err)
		}
		// Another worker leads for as long as the test lasts.
		if err := inner.SwapLock(t.Context(), lease.Lock{}, lease.Lock{Owner: "j", Version: "1", Duration: time.Hour}); err != nil {
			t.Fatal(err)
		}
		row, _ := inner.Write(t.Context(), lease.Write{Op: lease.Create, Row: lease.Row{Key: shardID(0), Shard: shardID(0), Checkpoint: checkpoint.TrimHorizon}})
		if _, err := inner.Write(t.Context(), lease.Write{Op: lease.Assign, Seen: row, Owner: "a"}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		err = c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
			row, _ := inner.Row(t.Context(), shardID(0))
			if _, err := inner.Write(t.Context(), lease.Write{Op: lease.Handoff, Seen: row, Owner: "j"}); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			<-fetch.Done()
			if took := time.Since(began); took > 2*time.Second || context.Cause(fetch) != lease.ErrStopping {
				t.Errorf("fetch ended after %v with %v", took, context.Cause(fetch))
			}
			time.Sleep(20 * time.Second) // work that takes longer than the failover time
			if err := h.Checkpoint(work, checkpoint.At("7")); err != nil {
				t.Errorf("last Checkpoint() = %v", err)
			}
			stop()
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		row, _ = inner.Row(t.Context(), shardID(0))
		if row.Owner != "j" || row.Leaving != "" || row.Checkpoint != checkpoint.At("7") {
			t.Errorf("row %+v, want it handed over at 7", row)
		}
	})
}

func TestDrainTimeoutEndsTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := lease.NewMemoryStore()
		c, err := lease.New(store, newStream(1), func(o *lease.Options) {
			o.WorkerID = "a"
			o.DrainTimeout = 15 * time.Second
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		err = c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
			stop()
			began := time.Now()
			<-work.Done()
			if took := time.Since(began); took != 15*time.Second || context.Cause(work) != lease.ErrDrainTimeout {
				t.Errorf("work ended after %v with %v", took, context.Cause(work))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if row, _ := store.Row(t.Context(), shardID(0)); row.Owner != "" {
			t.Errorf("the row still belongs to %q", row.Owner)
		}
	})
}

// A renewal that comes due while the lease is released does not revive it.
func TestReleasedLeaseIsNotRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		released, after := false, 0
		store := holdOne(t, func(store *faulty, _, work context.Context, h *lease.Held) {
			store.faults(func(c storeCall) (error, bool) {
				if c.op == "renew" && released {
					after++
				}
				released = released || c.op == "release"
				return nil, false
			}, func(c storeCall) time.Duration {
				if c.op == "release" {
					return 1900 * time.Millisecond
				}
				return 0
			})
			if err := h.Checkpoint(work, checkpoint.At("1")); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second) // the next renewal is due in one
		})
		row, _ := store.Row(t.Context(), shardID(0))
		if !released || after > 0 || row.Owner != "" {
			t.Errorf("released %v, %d renewals after it, owner %q", released, after, row.Owner)
		}
	})
}
