package lease_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

// A worker that stops gives its leases to the one that stays, which has them
// within a second of the moment the last work is done, however long that took: it
// may have become the leader, and the only one with a worker row, long before. If
// nothing was read for two minutes and it stops at once, nobody can expect it:
// then it is a few seconds.
func TestLeaseOfAWorkerThatTakesItsTimeToStopIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	for drain := time.Duration(0); drain < 20*time.Second; drain += 1300 * time.Millisecond {
		for _, flows := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v %v", drain, flows), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { leaveAfter(t, drain, flows) })
			})
		}
	}
}

func leaveAfter(t *testing.T, drain time.Duration, flows bool) {
	f := newFleet(t, lease.NewMemoryStore(), newStream(2))
	defer f.end()
	var done, begun time.Time
	f.held = func(w *worker, fetch, work context.Context, h *lease.Held) error {
		begun = time.Now()
		drop, ok := f.take(w, work, h)
		if !ok {
			return nil
		}
		defer drop()
		for sleep(fetch, 20*time.Second) {
			if flows {
				h.Observe(1)
			}
		}
		if w.id == "a" {
			time.Sleep(drain)
			done = time.Now()
		}
		return nil
	}
	a := f.start("a")
	f.start("b")
	time.Sleep(3 * time.Minute)
	f.leave(a)
	time.Sleep(failover)
	bound := time.Second
	if !flows && drain < 4*time.Second {
		bound = 4 * time.Second
	}
	if f.counts()["b"] != 2 || begun.Sub(done) > bound {
		t.Errorf("b holds %v, the last one %v after a was done, want 2 within %v", f.counts(), begun.Sub(done), bound)
	}
}

// A hold that ends with Run's context, before the loop has seen that it ended,
// hands its lease over like any other.
func TestLeaseIsHandedOverAlsoIfTheHoldIsFirstToStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(2))
		defer f.end()
		var released []lease.ReleasedInfo
		run := make(chan struct{})
		f.held = func(w *worker, fetch, work context.Context, h *lease.Held) error {
			if w.id == "a" {
				<-run
			} else {
				<-fetch.Done()
			}
			return nil
		}
		a := f.start("a", func(o *lease.Options) {
			o.Events.Released = func(i lease.ReleasedInfo) { released = append(released, i) }
		})
		f.start("b")
		time.Sleep(time.Minute)
		w := a.store
		w.faults(nil, func(c storeCall) time.Duration { // the loop is in a call of the store
			if c.op == "owned" || c.op == "snapshot" {
				return 300 * time.Millisecond
			}
			return 0
		})
		time.Sleep(time.Second)
		a.stop()
		close(run)
		if err := <-a.done; err != nil {
			t.Error(err)
		}
		delete(f.workers, "a")
		if len(released) != 1 || released[0].To != "b" || released[0].Reason != lease.ReasonStopping {
			t.Errorf("released %+v, want one to b because a stops", released)
		}
	})
}
