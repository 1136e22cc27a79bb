//go:build java

package sidebyside

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// firstRecord measures the time from a worker's start to its first record.
func (w *world) firstRecord(k *worker, how string) {
	w.t.Helper()
	w.firstOf(k, "process start to first record, "+how+", failover "+failover.String())
}

func (w *world) firstOf(k *worker, what string) {
	w.t.Helper()
	var at time.Time
	w.await(k.name+" reads its first record", 2*joins, func() bool {
		for _, e := range w.events {
			if e.Worker == k.name && e.Kind == "record" {
				at = e.at()
				return true
			}
		}
		return false
	})
	results.measured(what, k.side(), "%.1f s", at.Sub(k.begun).Seconds())
}

// balanced awaits a worker's share of two leases.
func (w *world) balanced(k *worker) {
	w.t.Helper()
	w.holding(k, 2, joins)
	results.measured("process start to its share of 2 of 4 leases, failover "+failover.String(), k.side(), "%.1f s", time.Since(k.begun).Seconds())
}

// figureHandoffs measures how long leases were being handed over, by their rows.
func (w *world) figureHandoffs(what, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, took := range w.handoffs {
		results.measured(what, who, "%.1f s", took.Seconds())
	}
}

func (k *worker) side() string {
	if k.java {
		return "Java"
	}
	return "ours"
}

// figureChildren measures the time from a shard's end to the first record of each
// of its children.
func (w *world) figureChildren(parent, who string) {
	w.t.Helper()
	stream, shard := w.shardOf(parent)
	children := map[string]bool{}
	for _, s := range w.open(stream) {
		if aws.ToString(s.ParentShardId) == shard {
			children[w.label(stream, *s.ShardId)] = true
		}
	}
	var end time.Time
	first := map[string]*event{}
	w.await("the children of "+parent+" are read", joins, func() bool {
		for i := range w.events {
			e := &w.events[i]
			switch {
			case e.Kind == "shardEnded" && e.Shard == parent:
				end = e.at()
			case e.Kind == "record" && children[e.Shard] && first[e.Shard] == nil:
				first[e.Shard] = e
			}
		}
		return !end.IsZero() && len(first) == len(children)
	})
	for _, e := range first {
		results.measured("end of a parent to the first record of a child", who+", child with "+w.workers[e.Worker].side(), "%.1f s", e.at().Sub(end).Seconds())
	}
}

// rest measures two workers over four idle shards.
func (w *world) rest(who string, workers ...*worker) {
	w.t.Helper()
	<-time.After(5 * time.Minute) // what a start brings is over, the measured traffic has decayed, and so has what that moved
	reads, writes, cpu, mib := 0, 0, time.Duration(0), 0
	for _, k := range workers {
		_, used := k.usage(w.t)
		r, wr := k.wire.count()
		reads, writes, cpu = reads-r, writes-wr, cpu-used
	}
	const span = 2 * time.Minute
	<-time.After(span)
	for _, k := range workers {
		rss, used := k.usage(w.t)
		r, wr := k.wire.count()
		reads, writes, cpu, mib = reads+r, writes+wr, cpu+used, mib+rss
	}
	const at = "two alone, at rest, 4 leases: "
	results.measured(at+"DynamoDB calls a minute", who, "%.1f writes, %.1f reads", float64(writes)/span.Minutes(), float64(reads)/span.Minutes())
	results.measured(at+"CPU a minute and worker", who, "%.2f s", cpu.Seconds()/span.Minutes()/2)
	results.measured(at+"memory of a worker", who, "%d MiB", mib/2)
}

// life is what happens to an application in all its days, with two workers of one
// side and default settings, for the figures of both sides.
func life(who string, begin func(w *world, name string) *worker) func(*testing.T, *scenario) {
	return func(t *testing.T, s *scenario) {
		const alone = "two alone, "
		w := newWorld(t, 4)
		day := w.put(&flow{perSecond: 40})
		a := begin(w, "a")
		w.holding(a, 4, 2*joins)
		w.firstOf(a, alone+"process start to first record, new application")
		b := begin(w, "b")
		w.firstOf(b, alone+"process start to first record, joining")
		w.holding(b, 2, 2*joins)
		results.measured(alone+"process start to its share of 2 of 4 leases", who, "%.1f s", time.Since(b.begun).Seconds())
		w.figureHandoffs(alone+"a lease being handed over", who)
		day.end()
		w.rest(who, a, b)

		w.put(&flow{perSecond: 40, first: 1_000_000})
		took := w.takeOver(b, a, 4)
		results.measured(alone+"kill -9 of the follower to its last lease elsewhere", who, "%.1f s", took.Seconds())
		c := begin(w, "c")
		w.holding(c, 2, 2*joins)
		w.reads(c, soon)
		took = w.takeOver(a, c, 4)
		results.measured(alone+"kill -9 of the leader to its last lease elsewhere", who, "%.1f s", took.Seconds())
		w.split("shardId-000000000000")
		w.begunShards(6)
		w.figureChildren("shardId-000000000000", alone+"parent with "+who)
		w.finish(s)
	}
}

// The settings of both are the KCL's defaults.

func oursByDefault(w *world, name string) *worker {
	return w.ours(name, "-failover", "10s", "-poll", "1500ms")
}

func javaByDefault(w *world, name string) *worker {
	return w.java(kcl35, name, "--failover=10000", "--fast=false", "--poll=1500")
}
