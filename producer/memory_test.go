package producer_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/producer"
)

// deaf never answers.
type deaf struct{ *stub }

func (deaf) PutRecords(ctx context.Context, _ *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// blind never answers anything, so that no shards are known.
type blind struct{ deaf }

func (blind) ListShards(ctx context.Context, _ *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// What records count for is what they take. Not parallel: what it measures is the
// process. In bubbles, so that nothing moves while it does.
func TestMemoryOfOutstandingRecords(t *testing.T) {
	for _, tt := range []struct {
		name    string
		api     producer.KinesisAPI
		records int
		options func(*producer.Options)
	}{
		{"aggregated", deaf{newStub(4)}, 100_000, func(*producer.Options) {}},
		{"single", deaf{newStub(4)}, 100_000, func(o *producer.Options) { o.Aggregate = false }},
		{"while no shards are known", blind{deaf{newStub(4)}}, 100_000, func(*producer.Options) {}},
		{"aggregated one by one", deaf{newStub(4)}, 20_000, func(o *producer.Options) { o.AggregationMaxRecords = 1 }},
		{"in small aggregates", deaf{newStub(4)}, 20_000, func(o *producer.Options) { o.AggregationMaxBytes = 1000 }},
		{"among many shards", deaf{newStub(1000)}, 3000, func(*producer.Options) {}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, err := producer.New(tt.api, "s", unpaced, tt.options, func(o *producer.Options) { o.RequestTimeout = time.Hour })
			if err != nil {
				t.Fatal(err)
			}
			ks, data := keys(10_000), make([]byte, 100)
			put := func(records int) {
				for i := range records {
					if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: ks[i%len(ks)], Data: data}, nil); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
			}
			put(1) // the shards are known from here on
			before := heap()
			put(tt.records)
			used, counted := heap()-before, uint64(p.Stats().BufferedBytes)
			filling := uint64(p.Stats().Shards) * 5 << 10 // beyond what is counted
			t.Logf("%s: %d records of 100 bytes take %.1f MiB, counted as %.1f", tt.name, tt.records, float64(used)/(1<<20), float64(counted)/(1<<20))
			if used > counted*5/4+filling {
				t.Errorf("%s: %d records of 100 bytes take %d bytes and count for %d", tt.name, tt.records, used, counted)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := p.Close(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Close = %v", err)
			}
		})
	}
}

// Not parallel: allocations are counted for the process.
func TestPutAsyncDoesNotAllocate(t *testing.T) {
	p, err := producer.New(newStub(4), "s", unpaced)
	if err != nil {
		t.Fatal(err)
	}
	ks, data, i := keys(1000), make([]byte, 100), 0
	put := func() {
		i++
		if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: ks[i%len(ks)], Data: data}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 50_000 {
		put()
	}
	if n := testing.AllocsPerRun(50_000, put); n != 0 {
		t.Errorf("PutAsync allocates %v times", n)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Not parallel: allocations are counted for the process. Requests cost some too,
// and many Puts share one.
func TestPutAllocatesOnce(t *testing.T) {
	p, err := producer.New(newStub(4), "s", unpaced, func(o *producer.Options) { o.RecordMaxBufferedTime = 10 * time.Millisecond })
	if err != nil {
		t.Fatal(err)
	}
	const goroutines, puts = 1000, 10
	ks, data := keys(goroutines), make([]byte, 100)
	round := func() {
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for range puts {
					if _, err := p.Put(t.Context(), producer.Record{PartitionKey: ks[g], Data: data}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	round()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	round()
	runtime.ReadMemStats(&after)
	if n := float64(after.Mallocs-before.Mallocs) / (goroutines * puts); n > 1 {
		t.Errorf("Put allocates %.2f times", n)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Not parallel: allocations are counted for the process. Of a slice that is much
// larger than the buffer, few records are under way at a time, and only those
// need something to wait with.
func TestPutManyWaitsInLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := producer.New(newStub(1), "s", unpaced, func(o *producer.Options) { o.MaxBufferedBytes = 64 << 10 })
		if err != nil {
			t.Fatal(err)
		}
		records := make([]producer.Record, 50_000)
		for i := range records {
			records[i] = producer.Record{PartitionKey: "k", Data: make([]byte, 100)}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		results, err := p.PutMany(t.Context(), records)
		runtime.ReadMemStats(&after)
		if err != nil || len(results) != len(records) {
			t.Fatalf("PutMany = %d results, %v", len(results), err)
		}
		const each = 176 + 8 // a Result, and a pointer to what waits for it
		// Under the race detector pools drop a part of what they are given.
		if n := (after.TotalAlloc - before.TotalAlloc) / uint64(len(records)); n > 3*each {
			t.Errorf("PutMany allocates %d bytes a record, want not much more than the %d of its result", n, each)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
