//go:build java

package sidebyside

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Balancing by load. Each worker runs on a machine that tells its use of the CPU,
// and both sides show theirs in their rows; so the leader of either side has to
// read the other's.

// pair starts two workers, the leader first, each on a machine on which a record
// takes so long.
func (w *world) pair(javaLeads bool, leads, follows time.Duration) (leader, follower *worker) {
	w.t.Helper()
	java := func(record time.Duration) *worker {
		// It balances each half minute, as often as the CPU is reported.
		return w.java(kcl35, "java-1", "--measure="+w.machine(record).url, "--balance=3")
	}
	ours := func(record time.Duration) *worker {
		return w.ours("go-1", "-measure", w.machine(record).url)
	}
	first, second := ours, java
	if javaLeads {
		first, second = java, ours
	}
	leader = first(leads)
	w.holding(leader, len(w.open(w.stream)), joins)
	follower = second(follows)
	return leader, follower
}

// spread returns the explicit hash keys of records that go to a stream's shards in
// turn, as the list of their numbers says.
func (w *world) spread(turn ...int) func(int) string {
	w.t.Helper()
	shards := w.open(w.stream)
	return func(n int) string { return *shards[turn[n%len(turn)]].HashKeyRange.StartingHashKey }
}

// steady awaits that something was true for so long.
func (w *world) steady(what string, long, within time.Duration, holds func() bool) {
	w.t.Helper()
	since := time.Now()
	w.await(what, within, func() bool {
		if !holds() {
			since = time.Now()
		}
		return time.Since(since) >= long
	})
}

// shown awaits that both workers show their CPU, which they do after the first half
// minute.
func (w *world) shown(workers ...*worker) {
	w.t.Helper()
	w.await("both show their CPU", joins, func() bool {
		rows := w.rows(w.t.Context())
		for _, k := range workers {
			var values []types.AttributeValue
			if all, ok := rows[k.name]["sts"].(*types.AttributeValueMemberM); ok {
				if cpu, ok := all.Value["C"].(*types.AttributeValueMemberL); ok {
					values = cpu.Value
				}
			}
			if len(values) == 0 || str(values[len(values)-1]) == "-1" {
				return false
			}
		}
		return true
	})
}

// busyShard: of six shards one has half of the traffic. Leases have to move until
// its owner has next to nothing beside it.
func busyShard(javaLeads bool) func(*testing.T, *scenario) {
	return func(t *testing.T, s *scenario) {
		w := newWorld(t, 6)
		w.put(&flow{perSecond: 40, bytes: 3000, hash: w.spread(0, 1, 0, 2, 0, 3, 0, 4, 0, 5)})
		leader, follower := w.pair(javaLeads, 10*time.Millisecond, 10*time.Millisecond)
		w.holding(follower, 1, joins)
		w.shown(leader, follower)
		w.steady("the busy shard and the others are apart", 20*time.Second, 3*joins, func() bool {
			return len(w.held[leader.name])+len(w.held[follower.name]) == 6 && len(w.held[w.owner("shardId-000000000000")]) <= 2
		})
		results.measured("a shard with half of the traffic, to where its owner has one of the 5 others at most",
			leader.side()+" leads", "%.0f s", time.Since(follower.begun).Seconds())
		w.finish(s)
	}
}

// slowMachine: a record takes three times as long at the worker that does not lead.
// In the mean of four minutes it has to have less than half of the leases: what the
// KCL reads is old, so that it swings about where it aims at.
func slowMachine(javaLeads bool) func(*testing.T, *scenario) {
	return func(t *testing.T, s *scenario) {
		w := newWorld(t, 8)
		w.put(&flow{perSecond: 40, bytes: 3000, hash: w.spread(0, 1, 2, 3, 4, 5, 6, 7)})
		leader, follower := w.pair(javaLeads, 10*time.Millisecond, 30*time.Millisecond)
		w.holding(follower, 1, joins)
		<-time.After(2 * time.Minute) // until they are shared, and the CPU is known
		const enough, window = 3.2, 240
		var had []int // by the second
		next, mean := time.Now(), 0.0
		w.await("the slow machine has less", 3*joins, func() bool {
			if time.Now().Before(next) {
				return false
			}
			next = next.Add(time.Second)
			if had = append(had, len(w.held[follower.name])); len(had) < window {
				return false
			}
			sum := 0
			for _, n := range had[len(had)-window:] {
				sum += n
			}
			mean = float64(sum) / window
			return mean <= enough
		})
		w.shown(leader, follower)
		if mean == 0 {
			t.Error("the slow machine has nothing")
		}
		results.measured("leases of 8 that a machine has which is three times slower, 4 minutes' mean", leader.side()+" leads", "%.1f", mean)
		w.finish(s)
	}
}
