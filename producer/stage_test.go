package producer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/budget"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// packed puts records into a lane and returns what its parcels hold. Records of
// more than so many bytes are not staged.
func packed(t interface{ Fatalf(string, ...any) }, small int, opts Options, records []aggregation.Record) (parcels [][]string) {
	pr := &Producer{opts: opts, start: time.Now(), small: small, budget: budget.New(1 << 30)}
	rt := &routes{facts: facts{maxRecord: defaultRecordBytes}}
	l := pr.newLane(shardLane, shardmap.Shard{Range: shardmap.FullRange}, rt.facts)
	rt.lanes = []*lane{l}
	pr.routes.Store(rt)
	cost, staged := int64(0), 0
	for i := range records {
		r := &records[i]
		state, _ := l.put(pr, &entry{key: r.PartitionKey}, r, hashKey(r), pr.cost(r, l))
		if state != laneOpen {
			t.Fatalf("put = %d", state)
		}
		cost += pr.cost(r, l)
		staged = max(staged, int(l.n))
	}
	l.takeOpen(pr)
	if l.stage != nil {
		t.Fatalf("a lane without a parcel keeps its stage")
	}
	if small >= 0 != (staged > 0) && opts.AggregationMaxRecords > 3 && len(records) > 100 {
		t.Fatalf("%d records were staged, of up to %d bytes", staged, small)
	}
	for _, q := range l.queue {
		var in []string
		q.each(func(_ int, e *entry, r aggregation.Record) {
			in = append(in, fmt.Sprint(e.key, " ", r.PartitionKey, " ", r.ExplicitHashKey, " ", string(r.Data), " ", slices.Collect(r.Tags.All())))
			cost -= pr.cost(&r, l)
		})
		parcels = append(parcels, in)
	}
	if cost != 0 {
		t.Fatalf("%d bytes are charged to nobody", cost)
	}
	return parcels
}

func TestAStageDoesNotChangeWhatParcelsHold(t *testing.T) {
	t.Parallel()
	tags, err := aggregation.NewTags(aggregation.Tag{Key: "k", Value: "v", HasValue: true})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(name string, values ...int) int { return rapid.SampledFrom(values).Draw(rt, name) }
		opts := defaults()
		opts.AggregationMaxBytes = pick("max bytes", 64, 500, 5000, 51_200, 1<<20)
		opts.AggregationMaxRecords = pick("max records", 1, 2, 3, 17, 18, 1<<30)
		keys, keyBytes, size := pick("keys", 1, 3, 1000), pick("key bytes", 1, 100, 1000), pick("size", 1, 100, 600, 9000)
		odd := pick("one odd in", 1, 7, 1<<30)
		rnd := rand.New(rand.NewPCG(1, uint64(rapid.IntRange(0, 1<<20).Draw(rt, "seed"))))
		records := make([]aggregation.Record, pick("records", 1, 2, 3, 18, 19, 300))
		for i := range records {
			r := &records[i]
			key := fmt.Sprint(rnd.IntN(keys))
			r.PartitionKey = key + strings.Repeat("k", rnd.IntN(keyBytes))
			r.Data = []byte(strings.Repeat(key, size)[:rnd.IntN(size)])
			switch rnd.IntN(odd) {
			case 0:
				r.ExplicitHashKey = "7"
			case 1:
				r.Tags = tags
			}
		}
		if odd == 1 || opts.AggregationMaxBytes < 5000 || size > 100 || keyBytes > 100 {
			records = records[:min(len(records), 100)] // maybe nothing is staged
		}
		if diff := cmp.Diff(packed(rt, -1, opts, records), packed(rt, min(smallData, opts.AggregationMaxBytes/3), opts, records)); diff != "" {
			rt.Fatalf("parcels without a stage and with one (-without +with):\n%s", diff)
		}
	})
}

// No small record adds more to an aggregate than it counts for on the stage.
func TestStagedOverheadIsEnough(t *testing.T) {
	t.Parallel()
	enc := aggregation.NewEncoder(maxRecordBytes)
	most := 0
	for i := range 1 << 15 {
		r := aggregation.Record{PartitionKey: fmt.Sprint(i), Data: []byte{}}
		if i%(1<<12) == 1 {
			r.PartitionKey, r.Data = fmt.Sprintf("%0*d", 4*maxKeyCharacters, i), make([]byte, smallData)
		}
		if i > 0 {
			most = max(most, enc.SizeWith(r)-enc.Size()-len(r.PartitionKey)-len(r.Data))
		}
		if err := enc.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	// The indexes here have three bytes at most.
	if most+1 != stagedOverhead {
		t.Errorf("small records add up to %d bytes to their keys and data, stagedOverhead is %d", most, stagedOverhead)
	}
}
