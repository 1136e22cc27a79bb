package producer_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// The same records under any options, faults that heal and reshards are all
// stored, where their results say, readable by the KCL.
func TestSameRecordsUnderAnyOptions(t *testing.T) {
	t.Parallel()
	// Rapid's T must not be used in a bubble for more than drawing, so a case is
	// drawn first and then run.
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCase(rt)
		synctest.Test(t, func(t *testing.T) { c.run(t) })
		if t.Failed() {
			rt.Fatalf("failed with %+v", c)
		}
	})
}

type metamorphicCase struct {
	shards, records, keys, size int
	pause                       time.Duration
	buffered                    time.Duration
	aggregate, explicit         bool
	ordered, ids                bool
	aggBytes, aggRecords        int
	colBytes, colRecords        int
	inFlight, rate              int
	buffer                      int64
	reshards                    int
	fault                       kinesistest.Fault
}

func drawCase(rt *rapid.T) metamorphicCase {
	pick := func(name string, values ...int) int { return rapid.SampledFrom(values).Draw(rt, name) }
	c := metamorphicCase{
		shards: pick("shards", 1, 2, 5), records: pick("records", 1, 2, 50, 400), keys: pick("keys", 1, 7, 1000), size: pick("size", 0, 10, 300, 3000),
		pause:    time.Duration(pick("pause", 0, 1, 5)) * time.Millisecond,
		buffered: time.Duration(pick("buffered", 0, 1, 20, 100, 1000)) * time.Millisecond,
		ordered:  rapid.Bool().Draw(rt, "ordered"), ids: rapid.Bool().Draw(rt, "ids"),
		aggregate: rapid.Bool().Draw(rt, "aggregate"), explicit: rapid.Bool().Draw(rt, "explicit"),
		aggBytes: pick("aggregation bytes", 64, 1000, 51_200, 10<<20), aggRecords: pick("aggregation records", 1, 2, 100, 1<<30),
		colBytes: pick("collection bytes", 51_200, 5<<20), colRecords: pick("collection records", 1, 3, 500),
		inFlight: pick("in flight", 1, 2, 32), rate: pick("rate", 0, 100), buffer: int64(pick("buffer", 64<<10, 1<<20)),
		reshards: pick("reshards", 0, 0, 1, 3),
	}
	faults := []kinesistest.Fault{
		{Times: 1, Delay: time.Millisecond},
		{Probability: 0.3, Error: kinesistest.Throttled, Entries: func(i int, _, _ string) bool { return i%2 == 0 }},
		{Probability: 0.3, Lose: kinesistest.LoseRequest},
		{Probability: 0.2, Lose: kinesistest.LoseResponse},
		{Probability: 0.2, DelayAfter: 300 * time.Millisecond},
		{Probability: 0.2, Error: internalFailure},
	}
	c.fault = faults[rapid.IntRange(0, len(faults)-1).Draw(rt, "fault")]
	c.fault.Operation, c.fault.Seed = "PutRecords", uint64(rapid.IntRange(0, 1000).Draw(rt, "seed"))
	return c
}

func (c metamorphicCase) run(t *testing.T) {
	w := newServer(t, int32(c.shards), kinesistest.Unthrottled)
	p, err := producer.New(w.client, stream, func(o *producer.Options) {
		o.RecordTTL = time.Hour // faults heal by chance; none may outlast this
		o.Ordered, o.RecordIDs = c.ordered, c.ids
		o.RecordMaxBufferedTime = c.buffered
		o.Aggregate, o.AggregationMaxBytes, o.AggregationMaxRecords = c.aggregate, c.aggBytes, c.aggRecords
		o.CollectionMaxBytes, o.CollectionMaxRecords = c.colBytes, c.colRecords
		o.MaxInFlight, o.RateLimit, o.MaxBufferedBytes = c.inFlight, c.rate, c.buffer
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Producer = p
	w.srv.Inject(c.fault)
	for i := range c.records {
		r := producer.Record{PartitionKey: fmt.Sprint("key-", i%c.keys), Data: []byte(fmt.Sprintf("%04d %s", i, strings.Repeat("x", c.size)))}
		if c.explicit && i%3 == 0 {
			r.ExplicitHashKey = hashOf(fmt.Sprint(i)).String()
		}
		if err := w.sendRecord(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		time.Sleep(c.pause)
		if c.reshards > 0 && i%(c.records/c.reshards+1) == 10 {
			w.reshard()
		}
	}
	w.close()
	if got := w.check(); got[producer.Stored] != c.records {
		t.Errorf("outcomes %v, want %d stored", got, c.records)
	}
	if n := w.duplicates(); n > 0 && c.fault.Lose != kinesistest.LoseResponse {
		t.Errorf("%d duplicates", n)
	}
	if c.ordered && !c.explicit {
		w.checkOrder(!c.aggregate)
	}
}
