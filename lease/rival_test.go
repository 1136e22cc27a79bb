package lease_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

func TestSecondWorkerWithAnIDIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(3))
		defer f.end()
		lost := 0
		f.onLost = func(lease.LostInfo) { lost++ }
		f.startAs("first", "a")
		time.Sleep(time.Minute)
		second := f.startAs("second", "a")
		err := <-second.done
		if !errors.Is(err, lease.ErrSameID) || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("Run() of the second = %v, want ErrSameID and the id", err)
		}
		delete(f.workers, "second")
		time.Sleep(time.Minute)
		if lost > 0 || sum(f.counts()) != 3 {
			t.Errorf("the first lost %d leases and holds %d, want 0 and 3", lost, sum(f.counts()))
		}
	})
}

// Two that start at one moment see no lease of the other.
func TestTwoWorkersWithAnIDThatStartTogetherAreFoundOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		defer f.end()
		w := []*worker{f.startAs("first", "a"), f.startAs("second", "a")}
		time.Sleep(2 * time.Minute)
		ended := 0
		for i, tag := range []string{"first", "second"} {
			select {
			case err := <-w[i].done:
				ended++
				delete(f.workers, tag)
				if !errors.Is(err, lease.ErrSameID) {
					t.Errorf("Run() = %v, want ErrSameID", err)
				}
			default:
			}
		}
		if ended == 0 {
			t.Error("both still run")
		}
	})
}

// A worker that was frozen while another run took its id finds its rows written by
// that, and ends. It stores nothing.
func TestFrozenWorkerThatWasReplacedUnderItsIDEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(3))
		defer f.end()
		first := f.startAs("first", "a")
		time.Sleep(time.Minute)
		first.store.pause()
		time.Sleep(6 * time.Second)
		f.startAs("second", "a")
		time.Sleep(failover)
		if got := sum(f.counts()); got != 3 {
			t.Errorf("%d shards held by the second, want 3", got)
		}
		first.store.resume()
		time.Sleep(10 * time.Second)
		select {
		case err := <-first.done:
			if !errors.Is(err, lease.ErrSameID) {
				t.Errorf("Run() of the first = %v, want ErrSameID", err)
			}
			delete(f.workers, "first")
		default:
			t.Error("the first still runs")
		}
		if got := sum(f.counts()); got != 3 {
			t.Errorf("%d shards held at the end, want 3", got)
		}
	})
}

// A worker that crashed and comes back under its id goes on with its leases
// before anyone else can take them.
func TestRestartUnderTheSameIDGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		defer f.end()
		f.start("a")
		f.start("b")
		time.Sleep(30 * time.Second)
		moves := f.moved()
		f.crash(f.workers["b"])
		<-f.workers["b"].done
		time.Sleep(time.Second)
		f.start("b")
		time.Sleep(6 * time.Second)
		if got := f.counts()["b"]; got != 2 || f.moved() != moves {
			t.Errorf("7 s after the crash b holds %d leases and %d have moved, want 2 and 0", got, f.moved()-moves)
		}
	})
}

// A rival of which the row tells is judged by what was seen, not by one look that
// may be old.
func TestRestartIsNotTakenForARival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := lease.NewMemoryStore()
		old := lease.Worker{ID: "a", Updated: time.Now(), Properties: map[string]string{"library": lease.Library, "run": "0000-before"}}
		if err := store.PutWorker(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		c, err := lease.New(store, newStream(1), func(o *lease.Options) { o.WorkerID = "a" })
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
		defer stop()
		began := time.Now()
		var first time.Duration
		err = c.Run(ctx, func(fetch, _ context.Context, _ *lease.Held) error {
			first = time.Since(began)
			<-fetch.Done()
			return nil
		})
		if err != nil || first > 2*time.Second {
			t.Errorf("Run() = %v, first lease after %v", err, first)
		}
	})
}

// startAndCrash runs a worker under the id a for a while, and leaves what it held.
func (f *fleet) startAndCrash(after time.Duration) {
	f.t.Helper()
	first := f.startAs("first", "a")
	time.Sleep(after)
	f.crash(first)
	<-first.done
	delete(f.workers, "first")
}

// runOn runs a worker under the id a on a store of its own until ctx ends, and
// returns how many leases it was given.
func (f *fleet) runOn(ctx context.Context, store lease.Store) (held int64, err error) {
	f.t.Helper()
	c, err := lease.New(store, f.stream, func(o *lease.Options) { o.WorkerID = "a" })
	if err != nil {
		f.t.Fatal(err)
	}
	var n atomic.Int64
	err = c.Run(ctx, func(fetch, _ context.Context, _ *lease.Held) error {
		n.Add(1)
		<-fetch.Done()
		return nil
	})
	return n.Load(), err
}

// The first look of a worker that was restarted at once may show the table as it was
// before the run that crashed acquired anything. What that wrote is no rival's.
func TestRestartThatSeesAnOldTableIsNotRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(3))
		defer f.end()
		f.startAndCrash(5 * time.Second)
		old := lease.NewMemoryStore()
		store := &faulty{Store: f.store, id: "second", onWrite: func(lease.Write) {}}
		store.show(old)
		time.AfterFunc(2*time.Second, func() { store.show(nil) })
		ctx, stop := context.WithTimeout(t.Context(), 2*failover)
		defer stop()
		if held, err := f.runOn(ctx, store); err != nil || held != 3 {
			t.Errorf("Run() = %v, %d shards were held, want 3", err, held)
		}
	})
}

// Looks that go back and forth between an old and a new state of the table show no
// life.
func TestLooksOutOfOrderAreNoSignOfARival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(1))
		defer f.end()
		f.startAndCrash(7 * time.Second)
		old := lease.NewMemoryStore()
		row, err := f.store.Row(t.Context(), shardID(0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := old.Write(t.Context(), lease.Write{Op: lease.Create, Row: row}); err != nil { // its counter is 0
			t.Fatal(err)
		}
		store := &faulty{Store: f.store, id: "second", onWrite: func(lease.Write) {}}
		ctx, stop := context.WithTimeout(t.Context(), 2*failover)
		defer stop()
		go func() {
			for i := 0; sleep(ctx, failover/10); i++ {
				store.show([]lease.Store{old, nil}[i%2])
			}
		}()
		if _, err := f.runOn(ctx, store); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}

// startBlind starts a second worker under the id a, which sees an empty table for
// its first two seconds, and so nothing of what the run before it holds.
func (f *fleet) startBlind() *worker {
	f.t.Helper()
	w := f.startAs("second", "a")
	w.store.show(lease.NewMemoryStore())
	time.AfterFunc(2*time.Second, func() { w.store.show(nil) })
	return w
}

// A run that was not seen at the start is found out by two renewals, wherever the
// first of them falls, and keeps its leases.
func TestLiveRunThatWasNotSeenAtTheStartIsFoundOutByItsRenewals(t *testing.T) {
	t.Parallel()
	for phase := time.Duration(0); phase < failover*2/5; phase += 700 * time.Millisecond {
		t.Run(phase.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, lease.NewMemoryStore(), newStream(1))
				defer f.end()
				f.tick = time.Hour // no checkpoints: the renewals are all there is to see
				f.startAs("first", "a")
				time.Sleep(time.Minute + phase)
				second := f.startBlind()
				began := time.Now()
				err := <-second.done
				delete(f.workers, "second")
				// Two seconds blind, a look, and two renewals.
				if took := time.Since(began); !errors.Is(err, lease.ErrSameID) || took > 2*time.Second+failover/10+2*failover*2/5 {
					t.Errorf("Run() of the second = %v after %v", err, took)
				}
				time.Sleep(failover)
				if f.counts()["first"] != 1 {
					t.Errorf("held: %v, want 1 by the first", f.counts())
				}
			})
		})
	}
}

// One change is none: a leader may have given the lease anew.
func TestOneChangeOfARowIsNoSignOfARival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(1))
		defer f.end()
		f.startAndCrash(5 * time.Second)
		second := f.startBlind()
		time.Sleep(4 * time.Second)
		row, err := f.store.Row(t.Context(), shardID(0))
		if err == nil {
			_, err = f.store.Write(t.Context(), lease.Write{Op: lease.Renew, Seen: row}) // the last write of the first, late
		}
		if err != nil {
			t.Fatal(err)
		}
		changed := time.Now()
		for f.counts()["second"] == 0 && time.Since(changed) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		// It was watched for half the failover time since.
		if took := time.Since(changed); took < failover/2-failover/10 || took > failover/2+failover/5 {
			t.Errorf("held %v after the change", took)
		}
		select {
		case err := <-second.done:
			t.Errorf("Run() = %v", err)
			delete(f.workers, "second")
		default:
		}
	})
}
