package producer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// Several producers that know nothing of each other saturate one shard: they use
// it nearly fully, in parts of like size, and are seldom throttled.
func TestProducersShareAShard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		producers int
		aggregate bool
		latency   time.Duration

		warm, measured time.Duration
	}{
		{2, true, 15 * time.Millisecond, 40 * time.Second, time.Minute},
		{4, true, 0, 40 * time.Second, 2 * time.Minute},
		{2, false, 15 * time.Millisecond, 40 * time.Second, 20 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d producers, aggregate %v", tt.producers, tt.aggregate), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newServer(t, 1)
				w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", DelayAfter: tt.latency})
				var ps []*producer.Producer
				for i := range tt.producers {
					p, err := producer.New(w.client, stream, func(o *producer.Options) {
						o.Aggregate, o.MaxBufferedBytes, o.RecordTTL = tt.aggregate, 256<<10, time.Hour
						o.ProducerID = fmt.Sprint("producer-", i)
					})
					if err != nil {
						t.Fatal(err)
					}
					ps = append(ps, p)
				}
				size := 10_000
				if !tt.aggregate {
					size = 10
				}
				warm := saturate(t, ps, size, tt.warm)
				end := saturate(t, ps, size, tt.measured)
				used, throttled, kinesis, least, most := 0.0, int64(0), int64(0), 1e18, 0.0
				for i := range ps {
					part := float64(end[i].Bytes-warm[i].Bytes) / (1 << 20)
					if !tt.aggregate {
						part = float64(end[i].KinesisRecords-warm[i].KinesisRecords) / 1000
					}
					part /= tt.measured.Seconds()
					used, least, most = used+part, min(least, part), max(most, part)
					throttled += end[i].Throttled - warm[i].Throttled
					kinesis += end[i].KinesisRecords - warm[i].KinesisRecords
				}
				lost := float64(throttled) / float64(throttled+kinesis)
				t.Logf("used %.3f of the shard, throttled %.3f, most/least %.2f", used, lost, most/least)
				if used < 0.9 || lost > 0.1 || most/least > 3 {
					t.Errorf("used %.3f of the shard, throttled %.3f, most/least %.2f", used, lost, most/least)
				}
				for _, p := range ps {
					if err := p.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// saturate puts as much as each producer takes, for a while, and returns their
// counts.
func saturate(t *testing.T, ps []*producer.Producer, size int, d time.Duration) []producer.Stats {
	t.Helper()
	data := make([]byte, size)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, p := range ps {
			for p.TryPut(producer.Record{PartitionKey: "k", Data: data}, nil) == nil {
			}
		}
	}
	stats := make([]producer.Stats, len(ps))
	for i, p := range ps {
		stats[i] = p.Stats()
	}
	return stats
}

// Where no map can be had the number of the shards is enough for a pace: what is
// put too fast for all of them together does not come as a storm of records that
// are throttled and tried again.
func TestPaceWithoutAMap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, func(o *producer.Options) { o.RecordTTL = time.Hour })
		w.srv.Inject(kinesistest.Fault{Operation: "ListShards", Error: &kinesistest.Error{Status: 400, Code: "AccessDeniedException"}})
		const records = 12_000
		w.sendMany(records)
		w.close()
		if o := w.check(); o[producer.Stored] != records {
			t.Fatalf("outcomes %v", o)
		}
		s, took := w.Stats(), time.Duration(0)
		for _, d := range w.took {
			took = max(took, d)
		}
		t.Logf("%d throttled, %d calls in %v", s.Throttled, s.Requests, took)
		if s.Throttled > records/4 || took > 10*time.Second {
			t.Errorf("%d of %d records were throttled in %v", s.Throttled, records, took)
		}
	})
}

// A producer that uses the whole of a shard lets another one in, even where
// every call takes the same time and no chance opens a gap.
func TestLateProducerGetsItsPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 1)
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Delay: 20 * time.Millisecond})
		start := func(id string) *producer.Producer {
			p, err := producer.New(w.client, stream, func(o *producer.Options) {
				o.MaxBufferedBytes, o.RecordTTL, o.ProducerID = 256<<10, time.Hour, id
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		ps := []*producer.Producer{start("first")}
		saturate(t, ps, 10_000, 5*time.Second)
		ps = append(ps, start("late"))
		warm := saturate(t, ps, 10_000, 20*time.Second)
		end := saturate(t, ps, 10_000, 20*time.Second)
		for i, p := range ps {
			if part := float64(end[i].Bytes-warm[i].Bytes) / (20 << 20); part < 0.2 {
				t.Errorf("producer %d used %.3f of the shard", i, part)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
