//go:build java

package sidebyside

import (
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// open returns the open shards of a stream in the order of their ranges.
func (w *world) open(stream string) []types.Shard {
	w.t.Helper()
	shards := slices.DeleteFunc(w.shards(stream), func(s types.Shard) bool { return s.SequenceNumberRange.EndingSequenceNumber != nil })
	slices.SortFunc(shards, func(a, b types.Shard) int {
		return number(*a.HashKeyRange.StartingHashKey).Cmp(number(*b.HashKeyRange.StartingHashKey))
	})
	return shards
}

func number(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic(s)
	}
	return n
}

// split splits a shard in the middle.
func (w *world) split(label string) {
	w.t.Helper()
	stream, shard := w.shardOf(label)
	for _, s := range w.open(stream) {
		if *s.ShardId != shard {
			continue
		}
		mid := new(big.Int).Add(number(*s.HashKeyRange.StartingHashKey), number(*s.HashKeyRange.EndingHashKey))
		at := mid.Rsh(mid, 1).String()
		if _, err := w.kinesis.SplitShard(w.t.Context(), &kinesis.SplitShardInput{StreamName: &stream, ShardToSplit: &shard, NewStartingHashKey: &at}); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	w.t.Fatalf("there is no open shard %s", label)
}

// mergeAcross merges two neighbours that different workers hold, and returns them.
func (w *world) mergeAcross() [2]string {
	w.t.Helper()
	var pair [2]string
	w.await("neighbours are held by different workers", soon, func() bool {
		shards := w.open(w.stream)
		for i := range shards[1:] {
			a, b := *shards[i].ShardId, *shards[i+1].ShardId
			if oa, ob := w.owner(a), w.owner(b); oa != "" && ob != "" && oa != ob {
				pair = [2]string{a, b}
				return true
			}
		}
		return false
	})
	w.merge(pair[0], pair[1])
	return pair
}

// merge merges two neighbours.
func (w *world) merge(a, b string) {
	w.t.Helper()
	if _, err := w.kinesis.MergeShards(w.t.Context(), &kinesis.MergeShardsInput{StreamName: &w.stream, ShardToMerge: &a, AdjacentShardToMerge: &b}); err != nil {
		w.t.Fatal(err)
	}
}

// owner returns who holds a shard. The caller holds mu.
func (w *world) owner(shard string) string {
	for name, shards := range w.held {
		if _, ok := shards[shard]; ok {
			return name
		}
	}
	return ""
}

// one returns a shard that a worker holds.
func (w *world) one(k *worker) string {
	w.t.Helper()
	var shard string
	w.await(k.name+" has a lease", soon, func() bool {
		for shard = range w.held[k.name] {
			return true
		}
		return false
	})
	return shard
}

// begunShards awaits that so many shards were ever begun.
func (w *world) begunShards(n int) {
	w.t.Helper()
	w.await(fmt.Sprintf("%d shards were begun", n), joins, func() bool {
		shards := map[string]bool{}
		for _, e := range w.events {
			if e.Kind == "leaseGained" {
				shards[e.Shard] = true
			}
		}
		return len(shards) >= n
	})
}

// cleaned awaits that the rows of finished shards are deleted.
func (w *world) cleaned(shards ...string) {
	w.t.Helper()
	deadline := time.Now().Add(joins)
	for {
		rows := w.rows(w.t.Context())
		left := slices.DeleteFunc(slices.Clone(shards), func(s string) bool { return rows[s] == nil })
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("rows of finished shards are left: %v", left)
		}
		<-time.After(time.Second)
	}
}

// reshard splits a shard of each worker and merges two of both.
func (w *world) reshard(java, ours *worker) {
	w.t.Helper()
	a, b := w.one(java), w.one(ours)
	w.split(a)
	w.split(b)
	w.begunShards(8)
	w.mergeAcross()
	w.begunShards(9)
	w.figureChildren(a, "parent with Java")
	w.figureChildren(b, "parent with ours")
	w.cleaned(a, b)
}

func reshardOursLeads(t *testing.T, s *scenario) {
	w, go1, java1 := newFleet(t, false)
	w.reshard(java1, go1)
	w.kill(go1)
	w.holding(java1, 5, joins)
	w.finish(s)
}

func reshardJavaLeads(t *testing.T, s *scenario) {
	w, go1, java1 := newFleet(t, true)
	w.reshard(java1, go1)
	w.finish(s)
}
