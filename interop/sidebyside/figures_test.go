//go:build java

package sidebyside

import "time"

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
