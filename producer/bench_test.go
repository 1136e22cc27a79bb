package producer_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// A stub answers at once that everything is stored, so that what is left is the
// producer's own work.
type stub struct {
	shards []types.Shard
	number atomic.Int64
}

func newStub(shards int) *stub {
	s := &stub{}
	for i, r := range shardmap.Split(shards) {
		s.shards = append(s.shards, types.Shard{
			ShardId:      aws.String(fmt.Sprintf("shardId-%012d", i)),
			HashKeyRange: &types.HashKeyRange{StartingHashKey: aws.String(r.Start.String()), EndingHashKey: aws.String(r.End.String())},
		})
	}
	return s
}

func (s *stub) PutRecords(_ context.Context, in *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out := &kinesis.PutRecordsOutput{Records: make([]types.PutRecordsResultEntry, len(in.Records))}
	seq := aws.String(strconv.FormatInt(s.number.Add(1), 10))
	for i := range out.Records {
		out.Records[i] = types.PutRecordsResultEntry{ShardId: s.shards[0].ShardId, SequenceNumber: seq}
	}
	if len(s.shards) > 1 {
		for i, e := range in.Records {
			k, err := shardmap.ParseHashKey(*e.ExplicitHashKey)
			if err != nil {
				return nil, err
			}
			lo, hi := 0, len(s.shards)-1
			for lo < hi {
				mid := (lo + hi + 1) / 2
				if start, _ := shardmap.ParseHashKey(*s.shards[mid].HashKeyRange.StartingHashKey); k.Less(start) {
					hi = mid - 1
				} else {
					lo = mid
				}
			}
			out.Records[i].ShardId = s.shards[lo].ShardId
		}
	}
	return out, nil
}

func (s *stub) ListShards(_ context.Context, in *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	return &kinesis.ListShardsOutput{Shards: s.shards}, nil
}

func (s *stub) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{}}, nil
}

// processTime returns the CPU time of the process, where that can be had: unlike
// the time a benchmark takes it does not depend on who else uses the machine.
var processTime = func() time.Duration { return 0 }

func hashOf(key string) shardmap.HashKey { return shardmap.HashOf(key) }

func keys(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "user-" + strconv.Itoa(i)
	}
	return out
}

func unpaced(o *producer.Options) { o.RateLimit = 0 }

func BenchmarkPutAsync(b *testing.B) {
	for _, size := range []int{100, 1024, 20 << 10} {
		for _, shards := range []int{1, 4, 1000} {
			b.Run(fmt.Sprintf("%dB/%dshards", size, shards), func(b *testing.B) {
				benchmarkPutAsync(b, newStub(shards), size, unpaced)
			})
		}
	}
	b.Run("100B/4shards/single", func(b *testing.B) {
		benchmarkPutAsync(b, newStub(4), 100, unpaced, func(o *producer.Options) { o.Aggregate = false })
	})
}

// With the SDK and a server in memory, so that all of the process is counted.
func BenchmarkPutAsyncServer(b *testing.B) {
	srv := kinesistest.NewServer(kinesistest.Unthrottled)
	defer srv.Close()
	client := kinesis.NewFromConfig(srv.Config())
	if _, err := client.CreateStream(b.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(4)}); err != nil {
		b.Fatal(err)
	}
	benchmarkPutAsync(b, client, 100, unpaced)
}

func benchmarkPutAsync(b *testing.B, client producer.KinesisAPI, size int, optFns ...func(*producer.Options)) {
	p, err := producer.New(client, "s", optFns...)
	if err != nil {
		b.Fatal(err)
	}
	data, ks := make([]byte, size), keys(10_000)
	var failed atomic.Int64
	done := func(r producer.Result) {
		if r.Err != nil {
			failed.Add(1)
		}
	}
	ctx := b.Context()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	i, before := 0, processTime()
	for b.Loop() {
		if err := p.PutAsync(ctx, producer.Record{PartitionKey: ks[i%len(ks)], Data: data}, done); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	if n := failed.Load(); n > 0 {
		b.Errorf("%d records failed", n)
	}
	s := p.Stats()
	b.ReportMetric(float64(processTime()-before)/float64(i), "cpu-ns/op")
	b.ReportMetric(float64(s.Stored)/float64(s.KinesisRecords), "records/parcel")
	b.ReportMetric(float64(s.KinesisRecords)/float64(s.Requests), "parcels/call")
}

// Eight goroutines put to a thousand shards, and all of the process is counted.
func BenchmarkPutParallel(b *testing.B) {
	for _, c := range []struct {
		name  string
		optFn func(*producer.Options)
	}{
		{"plain", unpaced},
		{"ordered", func(o *producer.Options) { o.RateLimit, o.Ordered = 0, true }},
		{"ids", func(o *producer.Options) { o.RateLimit, o.RecordIDs = 0, true }},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := producer.New(newStub(1000), "s", c.optFn)
			if err != nil {
				b.Fatal(err)
			}
			ks := keys(100_000)
			before := processTime()
			b.ReportAllocs()
			b.ResetTimer()
			putParallel(b, p, ks, b.N)
			if err := p.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(processTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// putParallel puts n records of 100 bytes from eight goroutines.
func putParallel(b *testing.B, p *producer.Producer, ks []string, n int) {
	data, ctx := make([]byte, 100), b.Context()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := g; i < n; i += 8 {
				if err := p.PutAsync(ctx, producer.Record{PartitionKey: ks[i%len(ks)], Data: data}, nil); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// What it costs to get a record from Put into a sealed aggregate, eight
// goroutines putting to a thousand shards: each takes a hundred records, of as
// many keys, to an aggregate. A gate holds the calls when everything is sealed,
// so that nothing that comes after is counted. The two MD5s that no producer can
// do without, of the key and of the record's part of its aggregate, are measured
// in the same run and taken off.
func BenchmarkPutToSeal(b *testing.B) {
	const shards, perAggregate = 1000, 100
	g := &gate{stub: newStub(shards), want: shards}
	p, err := producer.New(g, "s", unpaced, func(o *producer.Options) {
		o.RecordMaxBufferedTime, o.RecordTTL = time.Hour, time.Hour
		o.AggregationMaxRecords = perAggregate
	})
	if err != nil {
		b.Fatal(err)
	}
	ks := evenKeys(shards, perAggregate)
	round := func() time.Duration {
		g.shut()
		before := processTime()
		putParallel(b, p, ks, len(ks))
		<-g.full
		used := processTime() - before
		close(g.pass)
		if err := p.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		return used
	}
	if err := p.PutAsync(b.Context(), producer.Record{PartitionKey: "first"}, nil); err != nil {
		b.Fatal(err)
	}
	if err := p.Flush(b.Context()); err != nil { // the shards are known from here on
		b.Fatal(err)
	}
	round() // and buffers have grown
	var used time.Duration
	n := 0.0
	for b.Loop() {
		used += round()
		n += float64(len(ks))
	}
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	spent := float64(used) / n
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(spent, "cpu-ns/record")
	b.ReportMetric(spent-digestTime(ks, float64(g.bytes)/(n+float64(len(ks)))), "cpu-ns-beyond-md5/record")
}

// A gate lets calls wait that carry sealed aggregates.
type gate struct {
	*stub
	want int // aggregates in a round

	mu    sync.Mutex
	have  int
	full  chan struct{} // closed when a round's aggregates are there
	pass  chan struct{} // closed when they may go on
	bytes int
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.have, g.full, g.pass = 0, make(chan struct{}), make(chan struct{})
}

func (g *gate) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, f ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	if pass := g.count(in); pass != nil {
		<-pass
	}
	return g.stub.PutRecords(ctx, in, f...)
}

func (g *gate) count(in *kinesis.PutRecordsInput) (pass chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range in.Records {
		g.bytes += len(in.Records[i].Data)
	}
	if g.have += len(in.Records); g.have == g.want && g.pass != nil {
		close(g.full)
	}
	return g.pass
}

// evenKeys returns so many keys for each of a stream's shards, in no order.
func evenKeys(shards, each int) []string {
	ranges, left, out := shardmap.Split(shards), make(map[int]int), []string(nil)
	for i := 0; len(out) < shards*each; i++ {
		key := "user-" + strconv.Itoa(i)
		at, _ := slices.BinarySearchFunc(ranges, hashOf(key), func(r shardmap.Range, k shardmap.HashKey) int {
			if r.Contains(k) {
				return 0
			}
			return r.Start.Compare(k)
		})
		if left[at] < each {
			left[at]++
			out = append(out, key)
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i := range out {
		out[i] = strings.Clone(out[i]) // side by side in memory, as a caller's are at hand
	}
	return out
}

// digestTime measures the two MD5s of a record, in nanoseconds: its key's, and
// that of its bytes of an aggregate.
func digestTime(ks []string, bytes float64) float64 {
	const n = 500_000
	before := processTime()
	var sum byte
	for i := range n {
		h := hashOf(ks[i%len(ks)])
		sum += byte(h.Lo)
	}
	aggregate := make([]byte, int(bytes*100))
	for range n / 100 {
		d := md5.Sum(aggregate)
		aggregate[0] = d[0] + sum
	}
	return float64(processTime()-before) / n
}

// What order costs where it costs most: one shard, answers after 10 ms, and no
// pace to hide it.
func BenchmarkOrder(b *testing.B) {
	for _, hot := range []int{1, 1000} {
		for _, aggregate := range []bool{true, false} {
			for _, order := range []bool{false, true} {
				b.Run(fmt.Sprintf("%dkeys/aggregate=%v/ordered=%v", hot, aggregate, order), func(b *testing.B) {
					p, err := producer.New(slow{newStub(1)}, "s", unpaced, func(o *producer.Options) {
						o.Aggregate, o.Ordered, o.MaxBufferedBytes, o.RecordTTL = aggregate, order, 2<<20, time.Hour
					})
					if err != nil {
						b.Fatal(err)
					}
					data, ks, i := make([]byte, 100), keys(hot), 0
					start := time.Now()
					for b.Loop() {
						if err := p.PutAsync(b.Context(), producer.Record{PartitionKey: ks[i%len(ks)], Data: data}, nil); err != nil {
							b.Fatal(err)
						}
						i++
					}
					b.ReportMetric(float64(p.Stats().Stored)/time.Since(start).Seconds(), "records/s")
					ctx, cancel := context.WithCancel(context.Background())
					cancel() // what is left would take long, where order costs most
					if err := p.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
						b.Fatal(err)
					}
				})
			}
		}
	}
}

// slow answers after 10 ms.
type slow struct{ *stub }

func (s slow) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, f ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	time.Sleep(10 * time.Millisecond)
	return s.stub.PutRecords(ctx, in, f...)
}

func BenchmarkPut(b *testing.B) {
	p, err := producer.New(newStub(4), "s", unpaced, func(o *producer.Options) { o.RecordMaxBufferedTime = 5 * time.Millisecond })
	if err != nil {
		b.Fatal(err)
	}
	data, ks := make([]byte, 100), keys(100_000)
	ctx := b.Context()
	b.ReportAllocs()
	before := processTime()
	b.SetParallelism(1000)
	b.RunParallel(func(pb *testing.PB) {
		i := 0
		for pb.Next() {
			if _, err := p.Put(ctx, producer.Record{PartitionKey: ks[i%len(ks)], Data: data}); err != nil {
				b.Error(err)
			}
			i++
		}
	})
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(processTime()-before)/float64(b.N), "cpu-ns/op")
}
