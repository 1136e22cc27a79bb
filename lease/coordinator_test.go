package lease_test

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

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
		time.Sleep(time.Hour)
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
