package producer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/budget"
	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// Whoever reads the counts while the shards change has them from one table of
// lanes, the old or the new one, and both say the same.
func TestCountsStayWhenLanesAreReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer()
		defer srv.Close()
		if err := srv.CreateStream("s", 3); err != nil {
			t.Fatal(err)
		}
		p, err := New(kinesis.NewFromConfig(srv.Config()), "s")
		if err != nil {
			t.Fatal(err)
		}
		put := func() {
			for i := range 100 {
				if err := p.PutAsync(t.Context(), Record{PartitionKey: fmt.Sprint(i)}, nil); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		put()
		old := p.routes.Load()
		next := p.newRoutes(facts{maxRecord: defaultRecordBytes}, nil, old)
		p.reroute(next, p.now()) // the flusher sleeps
		put()
		before, _ := old.totals()
		after, taken := p.routes.Load().totals()
		if s := p.Stats(); before != 100 || after != 200 || s.Accepted != 200 || s.BufferedBytes != taken-p.counts.released.Load() {
			t.Errorf("%d records accepted before and %d after, want 100 and 200; Stats = %+v", before, after, s)
		}
		if err := p.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
}

// With Ordered, records of a key that were sent together without an answer stay
// together when the shards change: if they are sent again it is all of them, or
// the last ones, since the first are the first to expire.
func TestReplacedLanesKeepRunsTogether(t *testing.T) {
	t.Parallel()
	type sent struct {
		keys      []string
		misplaced int32
		maybe     bool
	}
	doubt, misplaced := sent{keys: []string{"k", "k"}, maybe: true}, sent{keys: []string{"k", "k"}, misplaced: alonePacked, maybe: true}
	tests := []struct {
		name    string
		parcels []sent
		want    [][]string
	}{
		{"never sent", []sent{{keys: []string{"x", "x"}}, {keys: []string{"k", "k"}}}, [][]string{{"x", "x", "k"}, {"k"}}},
		{"without an answer", []sent{{keys: []string{"x", "x"}}, doubt}, [][]string{{"x", "x"}, {"k", "k"}}},
		{"both without an answer", []sent{{keys: []string{"x", "x"}, maybe: true}, doubt}, [][]string{{"x", "x"}, {"k", "k"}}},
		{"with company behind", []sent{doubt, {keys: []string{"x", "x"}}}, [][]string{{"k", "k", "x"}, {"x"}}},
		{"misplaced", []sent{misplaced, {keys: []string{"x"}}}, [][]string{{"k", "k"}, {"x"}}},
	}
	for _, tt := range tests {
		opts := defaults()
		opts.Ordered, opts.AggregationMaxBytes = true, 1000
		p := &Producer{opts: opts, start: time.Now(), budget: budget.New(1 << 20), wake: make(chan struct{}, 1)} // no flusher runs
		table := func(ranges ...shardmap.Range) *routes {
			var shards []shardmap.Shard
			for i, r := range ranges {
				shards = append(shards, shardmap.Shard{ID: fmt.Sprint(len(ranges), i), Range: r})
			}
			m, err := shardmap.New(shards)
			if err != nil {
				t.Fatal(err)
			}
			return p.newRoutes(facts{maxRecord: defaultRecordBytes}, m, nil)
		}
		p.routes.Store(table(shardmap.FullRange))
		l := p.routes.Load().lanes[0]
		for _, s := range tt.parcels {
			q := p.newParcel(l, 0, 0, true)
			for _, key := range s.keys {
				r := aggregation.Record{PartitionKey: key, Data: make([]byte, 300)}
				if !q.add(&entry{key: key, expires: never - 1}, &r, hashKey(&r), p.cost(&r, l)) {
					t.Fatalf("%s: a record of %s does not fit", tt.name, key)
				}
			}
			l.share.Charge(q.cost)
			if s.maybe {
				q.tried([]Attempt{{}}, nil)
				q.doubted()
				q.misplaced = s.misplaced
			}
			l.enqueue(q)
		}
		low, high := shardmap.FullRange, shardmap.FullRange
		high.Start = shardmap.HashKey{Hi: 1} // nobody's is below
		low.End = shardmap.HashKey{Lo: ^uint64(0)}
		p.reroute(table(low, high), 0)
		var got [][]string
		for _, q := range p.routes.Load().lanes[1].queue {
			var keys []string
			for i := range q.entries {
				keys = append(keys, q.entries[i].key)
			}
			got = append(got, keys)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: the keys of the parcels (-want +got):\n%s", tt.name, diff)
		}
		if n := len(p.routes.Load().lanes[0].queue); n > 0 || slices.Contains(p.lanes, l) {
			t.Errorf("%s: %d parcels are elsewhere", tt.name, n)
		}
	}
}
