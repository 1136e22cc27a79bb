package producer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/producer"
)

// What the KPL makes of the same records, measured on its own code.
type packingCase struct {
	Name  string
	Shape []struct {
		Repeat       int
		PartitionKey string `json:"partition_key"`
		KeyFormat    string `json:"partition_key_format"`
		HashKeyMod   int    `json:"explicit_hash_key_mod"`
		DataLen      int    `json:"data_len"`
	}
	MaxSize  int   `json:"aggregation_max_size"`
	MaxCount int64 `json:"aggregation_max_count"`
	Flushes  []struct{ Records int }
	Buffered int `json:"buffered_at_end"`
}

// The same records make no more Kinesis records than the KPL makes of them, none
// above a limit.
func TestPacksNoLessThanTheKPL(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../aggregation/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Batching []packingCase }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Batching {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { c.run(t) })
		})
	}
}

func (c packingCase) run(t *testing.T) {
	s := &spy{stub: newStub(1)}
	p, err := producer.New(s, "s", unpaced, func(o *producer.Options) {
		o.AggregationMaxBytes, o.AggregationMaxRecords = c.MaxSize, int(min(c.MaxCount, math.MaxInt32))
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []producer.Record
	for _, shape := range c.Shape {
		for range shape.Repeat {
			r := producer.Record{PartitionKey: shape.PartitionKey, Data: make([]byte, shape.DataLen)}
			if shape.KeyFormat != "" {
				r.PartitionKey = fmt.Sprintf("%016d", len(all))
			}
			if shape.HashKeyMod > 0 {
				r.ExplicitHashKey = strconv.Itoa(len(all) % shape.HashKeyMod)
			}
			if err := p.PutAsync(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ours, theirs := 0, len(c.Flushes)
	// What the KPL holds at the end leaves it when it is due.
	for rest := all[len(all)-c.Buffered:]; len(rest) > 0; theirs++ {
		enc := aggregation.NewEncoder(c.MaxSize)
		for len(rest) > 0 && enc.Append(aggregation.Record{PartitionKey: rest[0].PartitionKey, ExplicitHashKey: rest[0].ExplicitHashKey, Data: rest[0].Data}) == nil {
			rest = rest[1:]
		}
	}
	for _, call := range s.calls {
		for _, e := range call {
			ours++
			if e.key == "a" && e.size > c.MaxSize {
				t.Errorf("an aggregate of %d bytes, want at most %d", e.size, c.MaxSize)
			}
		}
	}
	t.Logf("%d records in %d Kinesis records, the KPL's are %d", len(all), ours, theirs)
	if ours > theirs {
		t.Errorf("%d Kinesis records, the KPL makes %d", ours, theirs)
	}
}

// An aggregate that has all the records it may have does not wait for another
// one to find out.
func TestLargeRecordsAreAggregatedWhereThatSavesAUnit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		sizes []int // of the data, in the order of their Puts
		want  []int // bytes of data sent in one Kinesis record, 0 for an aggregate
	}{
		{"among their like", []int{20_000, 20_000, 20_000}, []int{20_000, 20_000, 20_000}},
		{"three fit", []int{17_000, 17_000, 17_000}, []int{0}},
		{"a small one before", []int{200, 20_000, 20_000}, []int{0, 20_000}},
		{"a small one behind", []int{20_000, 200, 20_000}, []int{0, 20_000}},
		{"a unit that is paid for anyway", []int{16_000, 16_000, 18_000}, []int{0}},
		{"above a unit", []int{30_000, 30_000}, []int{30_000, 30_000}},
		{"above a unit, with a small one", []int{15_000, 30_000}, []int{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &spy{stub: newStub(1)}
				p, err := producer.New(s, "s", unpaced)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range test.sizes {
					if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: "k", Data: make([]byte, n)}, nil); err != nil {
						t.Fatal(err)
					}
				}
				if err := p.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				var got []int
				for _, e := range slices.Concat(s.calls...) {
					if e.key == "a" {
						e.size = 0
					}
					got = append(got, e.size)
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("sent %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestFullCountLeavesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(o *producer.Options) {
			o.RecordMaxBufferedTime, o.RecordTTL, o.AggregationMaxRecords = time.Hour, 2*time.Hour, 10
		})
		w.sendMany(10)
		time.Sleep(time.Second)
		if s := w.Stats(); s.Stored != 10 || s.KinesisRecords != 1 {
			t.Errorf("after a second of an hour: %+v", s)
		}
		w.sendMany(25)
		time.Sleep(time.Second)
		if s := w.Stats(); s.Stored != 30 || s.KinesisRecords != 3 {
			t.Errorf("after 25 more: %+v", s)
		}
		w.close()
	})
}

// No request is above the limits of PutRecords, no record above the stream's,
// whatever is put.
func TestRequestsStayWithinLimits(t *testing.T) {
	t.Parallel()
	for _, aggregate := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := &spy{stub: newStub(3)}
			p, err := producer.New(s, "s", unpaced, func(o *producer.Options) {
				o.Aggregate, o.AggregationMaxBytes = aggregate, 10<<20 // more than the stream takes
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3000 {
				size := []int{0, 10, 1000, 50_000, 300_000, 1<<20 - 8}[i*7%6] / (1 + i%3)
				if i%20 > 0 {
					size /= 100
				}
				r := producer.Record{PartitionKey: fmt.Sprint(i), Data: bytes.Repeat([]byte("x"), size), ID: strings.Repeat("i", i%200)}
				if err := p.PutAsync(t.Context(), r, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, call := range s.calls {
				total := 0
				for _, e := range call {
					total += e.size + len(e.key)
					if e.size+len(e.key) > 1<<20 {
						t.Errorf("a record of %d bytes", e.size+len(e.key))
					}
				}
				if len(call) > 500 || total > 5<<20 && len(call) > 1 {
					t.Errorf("a request of %d records and %d bytes", len(call), total)
				}
			}
			if got := p.Stats(); got.Stored != 3000 {
				t.Errorf("Stats = %+v", got)
			}
		})
	}
}
