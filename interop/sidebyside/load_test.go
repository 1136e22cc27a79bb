//go:build java

package sidebyside

import (
	"fmt"
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
		// Its leader balances once a minute, as by default: a report of the CPU covers
		// half of that, and what balances faster than it learns swings to and fro.
		return w.java(kcl35, "java-1", "--measure="+w.machine(record).url, "--balance=6")
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

// shown checks that both workers show their CPU.
func (w *world) shown(workers ...*worker) {
	w.t.Helper()
	rows := w.rows(w.t.Context())
	for _, k := range workers {
		var values []types.AttributeValue
		if all, ok := rows[k.name]["sts"].(*types.AttributeValueMemberM); ok {
			if cpu, ok := all.Value["C"].(*types.AttributeValueMemberL); ok {
				values = cpu.Value
			}
		}
		if len(values) == 0 || str(values[len(values)-1]) == "-1" {
			w.t.Errorf("the row of %s shows no CPU: %s", k.name, text(rows[k.name]))
		}
	}
}

// busyShard: of six shards one has half of the traffic. Leases have to move until
// its owner has next to nothing beside it.
func busyShard(javaLeads bool) func(*testing.T, *scenario) {
	return func(t *testing.T, s *scenario) {
		w := newWorld(t, 6)
		w.put(&flow{perSecond: 40, bytes: 3000, hash: w.spread(0, 1, 0, 2, 0, 3, 0, 4, 0, 5)})
		leader, follower := w.pair(javaLeads, 10*time.Millisecond, 10*time.Millisecond)
		w.steady("the busy shard and the others are apart", 20*time.Second, 3*joins, func() bool {
			return len(w.held[leader.name])+len(w.held[follower.name]) == 6 && len(w.held[w.owner("shardId-000000000000")]) <= 2
		})
		results.measured("a shard with half of the traffic, to where its owner has one of the 5 others at most",
			leader.side()+" leads", "%.0f s", time.Since(follower.begun).Seconds())
		w.shown(leader, follower)
		w.finish(s)
	}
}

// slowMachine: a record takes three times as long at the worker that does not lead.
// It has to end with less than half of the leases.
func slowMachine(javaLeads bool) func(*testing.T, *scenario) {
	return func(t *testing.T, s *scenario) {
		w := newWorld(t, 8)
		w.put(&flow{perSecond: 40, bytes: 3000, hash: w.spread(0, 1, 2, 3, 4, 5, 6, 7)})
		leader, follower := w.pair(javaLeads, 10*time.Millisecond, 30*time.Millisecond)
		few := func() bool { n := len(w.held[follower.name]); return 1 <= n && n <= 3 }
		w.steady("the slow machine has less", 90*time.Second, 3*joins, few)
		w.shown(leader, follower)
		w.mu.Lock()
		share := fmt.Sprintf("%d and %d", len(w.held[leader.name]), len(w.held[follower.name]))
		w.mu.Unlock()
		results.measured("leases of 8 of a machine, and of one three times slower", leader.side()+" leads", "%s", share)
		w.finish(s)
	}
}
