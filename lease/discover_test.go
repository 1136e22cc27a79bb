package lease_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

// rest is a hold of a shard in which nothing is ever found.
func (f *fleet) rest(w *worker, fetch, work context.Context, h *lease.Held) error {
	if drop, ok := f.take(w, work, h); ok {
		defer drop()
		<-fetch.Done()
	}
	return nil
}

// countReads counts a worker's calls that read, from now on.
func countReads(w *worker, n *atomic.Int64) {
	w.store.faults(func(c storeCall) (error, bool) {
		switch c.op {
		case "owned", "row", "snapshot", "lock":
			n.Add(1)
		}
		return nil, false
	}, nil)
}

// Two workers of the KCL 3.5.1 with four idle leases were measured to read 19.5
// times a minute, each of the others of a larger fleet 10 times.
func TestWorkerAtRestReadsTwentyTimesAMinute(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2, 5} {
		for _, shards := range []int{1, 4, 32} {
			t.Run(fmt.Sprintf("%d workers %d shards", workers, shards), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, lease.NewMemoryStore(), newStream(shards))
					defer f.end()
					f.held = f.rest
					for i := range workers {
						f.start(fmt.Sprintf("w%d", i))
					}
					time.Sleep(165 * time.Second)
					const minutes = 3
					reads := make([]atomic.Int64, workers)
					for i := range workers {
						countReads(f.workers[fmt.Sprintf("w%d", i)], &reads[i])
					}
					time.Sleep(minutes * time.Minute)
					for i := range reads {
						if n := reads[i].Load(); n > 20*minutes || n < 15*minutes {
							t.Errorf("w%d read %d times in %d minutes, want 15 to 20 a minute", i, n, minutes)
						}
					}
				})
			})
		}
	}
}

// When records begin to flow again the fleet looks every second, and when they
// end it comes to rest.
func TestFleetLooksEverySecondWhileRecordsFlow(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"bytes", "checkpoints"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, lease.NewMemoryStore(), newStream(4))
				defer f.end()
				var flows atomic.Bool
				f.held = func(w *worker, fetch, work context.Context, h *lease.Held) error {
					drop, ok := f.take(w, work, h)
					if !ok {
						return nil
					}
					defer drop()
					for n := int64(1); sleep(fetch, time.Second); n++ {
						switch {
						case !flows.Load():
						case what == "bytes":
							h.Observe(100)
						default:
							if err := h.Checkpoint(work, simPosition(int(n))); err != nil {
								return err
							}
						}
					}
					return nil
				}
				f.start("a")
				b := f.start("b")
				var reads atomic.Int64
				countReads(b, &reads)
				in := func(d time.Duration) int64 {
					reads.Store(0)
					time.Sleep(d)
					return reads.Load()
				}
				time.Sleep(165 * time.Second)
				if n := in(time.Minute); n > 20 {
					t.Errorf("%d reads in a minute at rest, want at most 20", n)
				}
				flows.Store(true)
				time.Sleep(10 * time.Second)
				if n := in(time.Minute); n < 60 || n > 75 {
					t.Errorf("%d reads in a minute while records flow, want 60 to 75", n)
				}
				flows.Store(false)
				time.Sleep(5 * time.Minute) // the measured throughput decays
				if n := in(time.Minute); n > 20 {
					t.Errorf("%d reads in a minute at rest again, want at most 20", n)
				}
			})
		})
	}
}

// A fleet that is at rest finds a dead worker no later than a busy one, whoever it
// is and whenever it dies.
func TestCrashAtRestIsTakenOverWithinOneAndAHalfFailoverTimes(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ workers, shards int }{{2, 4}, {3, 1}, {3, 6}, {5, 10}, {5, 40}} {
		for victim := range size.workers {
			for late := range 2 {
				t.Run(fmt.Sprintf("%d of %d workers, %d shards, %d", victim, size.workers, size.shards, late), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						f := newFleet(t, lease.NewMemoryStore(), newStream(size.shards))
						defer f.end()
						f.held = f.rest
						for i := range size.workers {
							f.start(fmt.Sprintf("w%d", i))
							time.Sleep(time.Second)
						}
						time.Sleep(165*time.Second + time.Duration(late)*1971*time.Millisecond)
						f.crash(f.workers[fmt.Sprintf("w%d", victim)])
						crashed := time.Now()
						for sum(f.counts()) < size.shards && time.Since(crashed) < time.Minute {
							time.Sleep(10 * time.Millisecond)
						}
						if took := time.Since(crashed); took > failover*3/2 {
							t.Errorf("taken over after %v, want at most %v", took, failover*3/2)
						}
					})
				})
			}
		}
	}
}

// A worker that joins a fleet at rest has its part soon.
func TestWorkerThatJoinsAFleetAtRestGetsItsPart(t *testing.T) {
	t.Parallel()
	for late := range 4 {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, lease.NewMemoryStore(), newStream(9))
				defer f.end()
				f.held = f.rest
				f.start("a")
				f.start("b")
				time.Sleep(165*time.Second + time.Duration(late)*950*time.Millisecond)
				f.start("c")
				joined := time.Now()
				for f.counts()["c"] < 3 && time.Since(joined) < time.Minute {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(joined); took > 9*time.Second {
					t.Errorf("c has its part after %v, want at most 9s", took)
				}
			})
		})
	}
}

// A table is small if it has few rows of any kind: of many workers that share few
// leases not each reads all the rows of the others all the time.
func TestFewOfManyWorkersReadTheTableAllTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		defer f.end()
		f.held = f.rest
		const workers = 50
		for i := range workers {
			f.start(fmt.Sprintf("w%02d", i))
		}
		time.Sleep(time.Minute)
		looks := make([]atomic.Int64, workers)
		for i := range workers {
			f.workers[fmt.Sprintf("w%02d", i)].store.faults(func(c storeCall) (error, bool) {
				if c.op == "snapshot" {
					looks[i].Add(1)
				}
				return nil, false
			}, nil)
		}
		time.Sleep(time.Minute)
		often := 0
		for i := range looks {
			if looks[i].Load() > 3 { // now and then each does
				often++
			}
		}
		if often > 3 {
			t.Errorf("%d of %d workers read the whole table all the time, want the leader and two more", often, workers)
		}
	})
}

// A worker that was cut off for so long that its leases were taken from it gets its
// part again soon after it is back, whenever that is: at first nobody knows whether
// the one who took them did so before or after it showed life.
func TestWorkerThatIsBackGetsItsPartSoon(t *testing.T) {
	t.Parallel()
	for out := failover * 5 / 4; out < failover*8/5; out += 100 * time.Millisecond {
		t.Run(fmt.Sprint(out), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, lease.NewMemoryStore(), newStream(9))
				defer f.end()
				f.start("a") // leads
				time.Sleep(5 * time.Second)
				b := f.start("b")
				f.start("c")
				time.Sleep(40 * time.Second)
				b.store.pause()
				time.Sleep(out)
				b.store.resume()
				back := time.Now()
				for f.counts()["b"] < 3 && time.Since(back) < time.Minute {
					time.Sleep(50 * time.Millisecond)
				}
				if took := time.Since(back); took > 8*time.Second {
					t.Errorf("b has its part %v after it was back, want at most 8s", took)
				}
			})
		})
	}
}
