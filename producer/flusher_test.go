package producer_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// Unthrottled, a record is on its way within RecordMaxBufferedTime, also when
// the answers take longer than that.
func TestRecordsLeaveInTime(t *testing.T) {
	t.Parallel()
	for _, buffered := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		for _, latency := range []time.Duration{0, 20 * time.Millisecond, 150 * time.Millisecond} {
			for _, aggregate := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, 8, func(o *producer.Options) {
						o.RecordMaxBufferedTime, o.Aggregate, o.MaxInFlight = buffered, aggregate, 400
					})
					if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "warm up"}); err != nil {
						t.Fatal(err)
					}
					w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", DelayAfter: latency})
					var mu sync.Mutex
					var waits []time.Duration
					for i := range 300 {
						put := time.Now()
						if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: fmt.Sprint(i)}, func(r producer.Result) {
							mu.Lock()
							defer mu.Unlock()
							waits = append(waits, r.Attempts[0].Start.Sub(put))
							if r.Err != nil || len(r.Attempts) != 1 {
								t.Errorf("result %+v", r)
							}
						}); err != nil {
							t.Fatal(err)
						}
						time.Sleep(1300 * time.Microsecond)
					}
					w.close()
					slices.Sort(waits)
					if p99 := waits[len(waits)*99/100]; p99 > buffered+2*time.Millisecond {
						t.Errorf("buffered %v, latency %v: p99 %v", buffered, latency, p99)
					}
				})
			}
		}
	}
}

// With time to wait, many records and many shards share a call.
func TestShardsShareCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 100)
		for i := range 10_000 {
			if err := w.send(fmt.Sprint(i), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		w.close()
		w.check()
		// A call takes along what would leave in the next 20 ms.
		if s := w.Stats(); s.Requests > 500 || s.KinesisRecords > 6000 {
			t.Errorf("%d requests with %d Kinesis records for 10 s of 100 shards", s.Requests, s.KinesisRecords)
		}
	})
}

// A shard that throttles does not delay the others.
func TestHotShardDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	for _, aggregate := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4, func(o *producer.Options) {
				o.Aggregate, o.MaxBufferedBytes, o.RecordTTL = aggregate, 1<<20, 5*time.Second
			})
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000002", Error: kinesistest.Throttled})
			var mu sync.Mutex
			var slowest time.Duration
			stored := 0
			for i := range 6000 {
				put := time.Now()
				err := w.TryPut(producer.Record{PartitionKey: fmt.Sprint(i), Data: make([]byte, 100)}, func(r producer.Result) {
					mu.Lock()
					defer mu.Unlock()
					if r.Err == nil {
						stored++
						slowest = max(slowest, time.Since(put))
					} else if r.Outcome != producer.NotStored {
						t.Errorf("result %+v", r)
					}
				})
				if err != nil && hashOf(fmt.Sprint(i)).Hi>>62 != 2 {
					t.Fatalf("record %d, not of the hot shard: %v", i, err)
				}
				time.Sleep(2 * time.Millisecond)
			}
			w.close()
			if slowest > 102*time.Millisecond || stored < 4200 {
				t.Errorf("%d stored on the other shards, the slowest after %v", stored, slowest)
			}
		})
	}
}

// A saturated shard is used fully and throttles next to nothing.
func TestPaceUsesTheShardFully(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		aggregate bool
		size      int
		want      func(s producer.Stats) float64 // of 10 s and the first burst
	}{
		{"bytes", true, 1000, func(s producer.Stats) float64 { return float64(s.Bytes) / (11 << 20) }},
		{"records", false, 10, func(s producer.Stats) float64 { return float64(s.KinesisRecords) / 11_000 }},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, func(o *producer.Options) {
				o.Aggregate, o.MaxBufferedBytes, o.RecordTTL = tt.aggregate, 1<<20, time.Hour
			})
			start := time.Now()
			data := make([]byte, tt.size)
			for time.Since(start) < 10*time.Second {
				if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: "k", Data: data}, nil); err != nil {
					t.Fatal(err)
				}
			}
			s := w.Stats()
			if used := tt.want(s); used < 0.98 || used > 1.02 {
				t.Errorf("%s: used %.3f of the shard", tt.name, used)
			}
			if s.Throttled > s.KinesisRecords/100 {
				t.Errorf("%s: %d of %d Kinesis records throttled", tt.name, s.Throttled, s.KinesisRecords)
			}
			w.close()
		})
	}
}

// While a service is down the producer asks now and then, however many shards
// there are, and recovers when it does.
func TestOutageIsNoStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 100, func(o *producer.Options) { o.RecordTTL, o.AggregationMaxBytes = time.Hour, 1000 })
		w.sendMany(1000)
		time.Sleep(time.Second)
		before := w.Stats().Requests
		heal := w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: internalFailure})
		for i := range 3000 {
			if err := w.send(fmt.Sprint(i), fmt.Sprint("down ", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		if n := w.Stats().Requests - before; n > 160 {
			t.Errorf("%d requests in 2 minutes of outage", n)
		}
		heal()
		time.Sleep(11 * time.Second) // twice the longest back-off
		if n := w.ended(); n != 4000 {
			t.Errorf("%d of 4000 have a result", n)
		}
		w.close()
		if got := w.check(); got[producer.Stored] != 4000 {
			t.Errorf("outcomes %v", got)
		}
	})
}

// Without faults a shard stores the records of one caller in the order of Put.
func TestOrderIsThatOfPut(t *testing.T) {
	t.Parallel()
	for _, aggregate := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3, func(o *producer.Options) { o.Aggregate, o.AggregationMaxBytes = aggregate, 1000 })
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", DelayAfter: 30 * time.Millisecond})
			for i := range 3000 {
				if err := w.send(fmt.Sprint("key-", i%10), fmt.Sprintf("%05d", i)); err != nil {
					t.Fatal(err)
				}
				if i%10 == 0 {
					time.Sleep(15 * time.Millisecond)
				}
			}
			w.close()
			w.check()
			last := map[string]string{}
			for data, at := range sortedPlaces(w.stored()) {
				if data < last[at.key] {
					t.Errorf("%s of %s is stored after %s", data, at.key, last[at.key])
				}
				last[at.key] = data
			}
		})
	}
}

// Nothing happens while there is nothing to do.
func TestIdleProducerSleeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.sendMany(10)
		time.Sleep(time.Second)
		calls := 0
		w.srv.Inject(kinesistest.Fault{Match: func(*kinesistest.Call) bool { calls++; return false }})
		time.Sleep(24 * time.Hour)
		if calls != 0 {
			t.Errorf("%d calls in an idle day", calls)
		}
		w.close()
	})
}

// The flusher looks at lanes on its own account while they ask to be looked at:
// no request to look is lost, and none goes round in circles.
func TestFlushRacesWithPut(t *testing.T) {
	t.Parallel()
	for round := range 4 {
		p, err := producer.New(newStub(3), "s", unpaced, func(o *producer.Options) {
			o.RecordMaxBufferedTime, o.AggregationMaxBytes = time.Duration(round)*time.Millisecond, 300
			o.Aggregate = round%2 == 1
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 2000 {
					if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: fmt.Sprint(g, i), Data: make([]byte, 100)}, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for range 200 {
				if err := p.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := p.Stats(); s.Stored != 8000 || s.BufferedBytes != 0 {
			t.Errorf("Stats = %+v, want 8000 stored", s)
		}
	}
}
