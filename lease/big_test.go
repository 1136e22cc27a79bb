package lease_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

func TestThousandsOfShardsStartAndSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const shards = 1000
		f := newFleet(t, lease.NewMemoryStore(), newStream(shards))
		defer f.end()
		began := time.Now()
		f.start("a")
		for sum(f.counts()) < shards && time.Since(began) < 10*time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("all held after %v", time.Since(began))
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("all held after %v, want at most 20s", took)
		}
		joined := time.Now()
		f.start("b")
		for f.counts()["b"] < shards/2 && time.Since(joined) < 10*time.Minute {
			time.Sleep(time.Second)
		}
		t.Logf("shared after %v", time.Since(joined))
		if took := time.Since(joined); took > time.Minute {
			t.Errorf("shared after %v, want at most 1m", took)
		}
	})
}
