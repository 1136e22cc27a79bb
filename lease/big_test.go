package lease_test

import (
	"flag"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

var (
	bigShards  = flag.Int("big.shards", 1000, "how many shards the big fleet shares")
	bigWorkers = flag.Int("big.workers", 2, "how many workers the big fleet has")
)

// The figures for 10,000 shards, and for 50 workers, are printed by
//
//	go test ./lease -run Thousands -v -big.shards=10000 -big.workers=1
//	go test ./lease -run Thousands -v -big.shards=5000 -big.workers=50
func TestThousandsOfShardsStartAndSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shards, workers := *bigShards, *bigWorkers
		f := newFleet(t, lease.NewMemoryStore(), newStream(shards))
		defer f.end()
		f.tick = 10 * time.Second
		began := time.Now()
		f.start("w0")
		until(10*time.Minute, func() bool { return sum(f.counts()) == shards })
		t.Logf("all %d shards held after %v", shards, time.Since(began))
		if took, bound := time.Since(began), 20*time.Second+time.Duration(shards)*2*time.Millisecond; took > bound {
			t.Errorf("all held after %v, want at most %v", took, bound)
		}
		joined := time.Now()
		for i := 1; i < workers; i++ {
			f.start(fmt.Sprintf("w%d", i))
		}
		spread := func() bool {
			counts := f.counts()
			low, high := shards, 0
			for i := range workers {
				n := counts[fmt.Sprintf("w%d", i)]
				low, high = min(low, n), max(high, n)
			}
			return sum(counts) == shards && high-low <= 1
		}
		until(10*time.Minute, spread)
		t.Logf("shared by %d workers after %v, %d moves", workers, time.Since(joined), f.moved()-shards)
		if took := time.Since(joined); took > 2*time.Minute {
			t.Errorf("shared after %v, want at most 2m", took)
		}
		const rest = 20 * time.Second
		cpu := cpuTime(t)
		time.Sleep(rest)
		cpu = cpuTime(t) - cpu
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		t.Logf("at rest, with the store and the checkpoints of the test: %v of CPU a minute and worker, %d KiB a worker",
			cpu*(time.Minute/rest)/time.Duration(workers), m.HeapAlloc/1024/uint64(workers))
	})
}

// until waits for what is asked for, at most so long.
func until(limit time.Duration, done func() bool) {
	for end := time.Now().Add(limit); time.Now().Before(end) && !done(); {
		time.Sleep(100 * time.Millisecond)
	}
}

// cpuTime returns the processor time this process has used.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
