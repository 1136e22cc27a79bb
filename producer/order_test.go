package producer_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

func ordered(o *producer.Options) { o.Ordered = true }

// byKey returns, for each partition key, the records of it that a KCL reader is
// handed, in the order in which the stream took them.
func (w *world) byKey() map[string][]string {
	w.Helper()
	type item struct {
		data string
		at   place
	}
	lists := make(map[string][]item)
	for data, places := range w.stored() {
		for _, at := range places {
			if !at.hidden {
				lists[at.key] = append(lists[at.key], item{data, at})
			}
		}
	}
	out := make(map[string][]string)
	for key, list := range lists {
		// A child's numbers are above its parents'.
		slices.SortFunc(list, func(a, b item) int {
			if len(a.at.seq) != len(b.at.seq) {
				return len(a.at.seq) - len(b.at.seq)
			}
			if a.at.seq != b.at.seq {
				if a.at.seq < b.at.seq {
					return -1
				}
				return 1
			}
			return a.at.sub - b.at.sub
		})
		for _, it := range list {
			out[key] = append(out[key], it.data)
		}
	}
	return out
}

// checkOrder fails unless the first copies of each key's records lie in the
// order of their Puts, and so do the last copies. With strict a record may not
// come after a later one at all.
func (w *world) checkOrder(strict bool) {
	w.Helper()
	for key, list := range w.byKey() {
		first, last := make(map[string]int), make(map[string]int)
		for i, data := range list {
			if _, seen := first[data]; !seen {
				first[data] = i
			}
			last[data] = i
		}
		sorted := slices.Sorted(func(yield func(string) bool) {
			for data := range first {
				if !yield(data) {
					return
				}
			}
		})
		for i := 1; i < len(sorted); i++ {
			a, b := sorted[i-1], sorted[i]
			if first[a] > first[b] || last[a] > last[b] || strict && last[a] > first[b] {
				w.Errorf("key %s: %s lies at %d…%d, %s at %d…%d", key, a, first[a], last[a], b, first[b], last[b])
				return
			}
		}
	}
}

// Whatever happens on the way, the records of a key lie in the stream in the
// order of their Puts.
func TestOrderedSurvives(t *testing.T) {
	t.Parallel()
	some := func(i int, _, _ string) bool { return i%2 == 0 }
	tests := []struct {
		name   string
		fault  kinesistest.Fault
		shards int // reshard after so many records, 0 never
	}{
		{"nothing", kinesistest.Fault{}, 0},
		{"slow answers", kinesistest.Fault{DelayAfter: 250 * time.Millisecond}, 0},
		{"slow and fast answers", kinesistest.Fault{DelayAfter: 400 * time.Millisecond, Every: 3}, 0},
		{"throttled entries", kinesistest.Fault{Entries: some, Error: kinesistest.Throttled, Probability: 0.4}, 0},
		{"throttled calls", kinesistest.Fault{Error: kinesistest.Throttled, Probability: 0.3}, 0},
		{"failing entries", kinesistest.Fault{Entries: some, Error: internalFailure, Probability: 0.4}, 0},
		{"lost requests", kinesistest.Fault{Lose: kinesistest.LoseRequest, Probability: 0.3}, 0},
		{"lost answers", kinesistest.Fault{Lose: kinesistest.LoseResponse, Probability: 0.3}, 0},
		{"hanging", kinesistest.Fault{Hang: true, Every: 7, Times: 3}, 0},
		{"reshards", kinesistest.Fault{DelayAfter: 20 * time.Millisecond}, 250},
		{"reshards and throttling", kinesistest.Fault{Entries: some, Error: kinesistest.Throttled, Probability: 0.4, DelayAfter: 30 * time.Millisecond}, 250},
		{"reshards and lost answers", kinesistest.Fault{Lose: kinesistest.LoseResponse, Probability: 0.3}, 250},
		{"reshards and slow answers", kinesistest.Fault{DelayAfter: 300 * time.Millisecond}, 150},
	}
	for _, tt := range tests {
		for _, aggregate := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/aggregate %v", tt.name, aggregate), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newServer(t, 2, kinesistest.Unthrottled)
					p, err := producer.New(w.client, stream, ordered, func(o *producer.Options) {
						o.Aggregate, o.AggregationMaxBytes, o.RecordTTL = aggregate, 700, time.Hour
						o.RequestTimeout = time.Second
					})
					if err != nil {
						t.Fatal(err)
					}
					w.Producer = p
					fault := tt.fault
					fault.Operation, fault.Seed = "PutRecords", 1
					w.srv.Inject(fault)
					for i := range 1000 {
						if err := w.send(fmt.Sprint("key-", i%9), fmt.Sprintf("%05d", i)); err != nil {
							t.Fatal(err)
						}
						if i%3 == 0 {
							time.Sleep(3 * time.Millisecond)
						}
						if tt.shards > 0 && i%tt.shards == tt.shards-1 {
							w.reshard()
						}
					}
					w.close()
					if got := w.check(); got[producer.Stored] != 1000 {
						t.Errorf("outcomes %v", got)
					}
					w.checkOrder(!aggregate)
				})
			})
		}
	}
}
