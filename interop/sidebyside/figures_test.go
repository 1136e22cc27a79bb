//go:build java

package sidebyside

import (
	"testing"
	"time"
)

// firstRecord measures the time from a worker's start to its first record.
func (w *world) firstRecord(k *worker, how string) {
	w.t.Helper()
	var at time.Time
	w.await(k.name+" reads its first record", joins, func() bool {
		for _, e := range w.events {
			if e.Worker == k.name && e.Kind == "record" {
				at = e.at()
				return true
			}
		}
		return false
	})
	results.measured("process start to first record, "+how+", failover "+failover.String(), k.side(), "%.1f s", at.Sub(k.begun).Seconds())
}

// balanced awaits a worker's share of two leases.
func (w *world) balanced(k *worker) {
	w.t.Helper()
	w.holding(k, 2, joins)
	results.measured("process start to its share of 2 of 4 leases, failover "+failover.String(), k.side(), "%.1f s", time.Since(k.begun).Seconds())
}

// figureHandoffs measures how long leases were being handed over, by their rows.
func (w *world) figureHandoffs(who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, took := range w.handoffs {
		results.measured("a lease being handed over", who, "%.1f s", took.Seconds())
	}
}

func (k *worker) side() string {
	if k.java {
		return "Java"
	}
	return "ours"
}

// figureChildren measures the time from a shard's end to the begin of its children.
func (w *world) figureChildren(parent, who string) {
	w.t.Helper()
	children := map[string]bool{}
	for _, s := range w.open() {
		if s.ParentShardId != nil && *s.ParentShardId == parent {
			children[*s.ShardId] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var end time.Time
	for _, e := range w.events {
		switch {
		case e.Kind == "shardEnded" && e.Shard == parent:
			end = e.at()
		case e.Kind == "leaseGained" && children[e.Shard] && !end.IsZero():
			delete(children, e.Shard)
			results.measured("end of a parent to the begin of a child", who+", child with "+w.workers[e.Worker].side(), "%.1f s", e.at().Sub(end).Seconds())
		}
	}
}

// rest measures two workers with default settings over four idle shards.
func (w *world) rest(who string, workers ...*worker) {
	w.t.Helper()
	w.await("all leases are held", 2*joins, func() bool {
		held := 0
		for _, k := range workers {
			held += len(w.held[k.name])
		}
		return held >= 4
	})
	<-time.After(time.Minute) // what a start brings is over
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
	results.measured("at rest, 4 leases, 2 workers, failover 10s: DynamoDB calls a minute", who, "%.1f writes, %.1f reads", float64(writes)/span.Minutes(), float64(reads)/span.Minutes())
	results.measured("at rest, 4 leases, 2 workers, failover 10s: CPU a minute and worker", who, "%.2f s", cpu.Seconds()/span.Minutes()/2)
	results.measured("at rest, 4 leases, 2 workers, failover 10s: memory of a worker", who, "%d MiB", mib/2)
}

func oursAtRest(t *testing.T, s *scenario) {
	w := newWorld(t, 4)
	go1 := w.ours("go-1", "-failover", "10s", "-poll", "1500ms")
	w.holding(go1, 4, soon)
	w.rest("ours", go1, w.ours("go-2", "-failover", "10s", "-poll", "1500ms"))
	w.finish(s)
}

func javaAtRest(t *testing.T, s *scenario) {
	w := newWorld(t, 4)
	java1 := w.java(kcl35, "java-1", "--failover=10000", "--fast=false", "--poll=1500")
	w.holding(java1, 4, joins)
	w.rest("Java", java1, w.java(kcl35, "java-2", "--failover=10000", "--fast=false", "--poll=1500"))
	w.finish(s)
}
