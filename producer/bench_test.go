package producer_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
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

	"github.com/kinesis-go/kinesis/aggregation"
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
			k := shardmap.HashOf(aws.ToString(e.PartitionKey))
			if e.ExplicitHashKey != nil {
				var err error
				if k, err = shardmap.ParseHashKey(*e.ExplicitHashKey); err != nil {
					return nil, err
				}
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
	for _, size := range []int{100, 20 << 10} {
		b.Run(fmt.Sprintf("%dB/4shards/single", size), func(b *testing.B) {
			benchmarkPutAsync(b, newStub(4), size, unpaced, func(o *producer.Options) { o.Aggregate = false })
		})
	}
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
			next := g * n / 8 % len(ks)
			for range (g+1)*n/8 - g*n/8 {
				if err := p.PutAsync(ctx, producer.Record{PartitionKey: ks[next], Data: data}, nil); err != nil {
					b.Error(err)
					return
				}
				if next++; next == len(ks) {
					next = 0
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
//
// What is left is mostly memory: a Put among a thousand shards finds nothing that
// it needs in the core's caches. So the same run measures what that consists of:
// going the same way and doing nothing there (see tripTime), reading the clock, and
// packing in memory that is at hand. The rest is locks, the share of the budget, and the
// second way, from the stage to the parcel. It also measures the same work with fewer
// shards, whose calls no gate holds, since a shard has one under way: there the
// results are counted too.
//
// On two cores of an EPYC, otherwise idle, beyond 325 ns for the MD5s: 290 ns a
// record with one shard, 330 with ten or a hundred and 480 with a thousand, of
// which the trip takes 190, the clock 40 and packing 80. The cores are virtual:
// while their neighbours are busy all of these are up to half as much again, the
// trip too. Without a stage (see stage) a thousand shards took 590.
func BenchmarkPutToSeal(b *testing.B) {
	for _, shards := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(shards, "shards"), func(b *testing.B) { benchmarkPutToSeal(b, shards) })
	}
}

func benchmarkPutToSeal(b *testing.B, shards int) {
	const records, perAggregate = 100_000, 100
	g := &gate{stub: newStub(shards), want: records / perAggregate, holds: shards*perAggregate == records}
	p, err := producer.New(g, "s", unpaced, func(o *producer.Options) {
		o.RecordMaxBufferedTime, o.RecordTTL = time.Hour, time.Hour
		o.AggregationMaxRecords = perAggregate
	})
	if err != nil {
		b.Fatal(err)
	}
	ks := evenKeys(shards, records/shards)
	round := func() time.Duration {
		g.shut()
		before := processTime()
		putParallel(b, p, ks, len(ks))
		if !g.holds {
			flush(b, p)
			return processTime() - before
		}
		<-g.full
		used := processTime() - before
		close(g.pass)
		flush(b, p)
		return used
	}
	if err := p.PutAsync(b.Context(), producer.Record{PartitionKey: "first"}, nil); err != nil {
		b.Fatal(err)
	}
	flush(b, p) // the shards are known from here on
	round()     // and buffers have grown
	aggregates := make([][]byte, records/perAggregate)
	for i := range aggregates {
		aggregates[i] = make([]byte, g.bytes/g.have)
	}
	depots, order := newDepots(shards, perAggregate), rand.New(rand.NewPCG(1, 2)).Perm(records)
	runtime.GC()
	var used, digests, trips, clock, packs time.Duration
	n := 0.0
	for b.Loop() {
		used += round()
		digests += digestTime(ks, aggregates)
		trips += tripTime(depots, order)
		clock += clockTime(records)
		packs += packTime(b, ks, perAggregate)
		n += records
	}
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(used)/n, "cpu-ns/record")
	b.ReportMetric(float64(digests)/n, "md5-ns/record")
	b.ReportMetric(float64(trips)/n, "trip-ns/record")
	b.ReportMetric(float64(used-digests)/n, "beyond-md5-ns/record")
	b.ReportMetric(float64(clock)/n, "clock-ns/record")
	b.ReportMetric(float64(packs)/n, "pack-ns/record")
	b.ReportMetric(float64(used-digests-trips-clock-packs)/n, "rest-ns/record")
}

func flush(b *testing.B, p *producer.Producer) {
	b.Helper()
	if err := p.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// A gate lets calls wait that carry sealed aggregates.
type gate struct {
	*stub
	want  int  // aggregates in a round
	holds bool // calls wait for all of them

	mu    sync.Mutex
	have  int
	full  chan struct{} // closed when a round's aggregates are there
	pass  chan struct{} // closed when they may go on
	bytes int
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.have, g.bytes, g.full, g.pass = 0, 0, make(chan struct{}), make(chan struct{})
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
	if g.have += len(in.Records); !g.holds || g.pass == nil {
		return nil
	}
	if g.have == g.want {
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

// digestTime measures the two MD5s of each record: of its key, and of its bytes
// of an aggregate, which are no more at hand than those of the producer's.
func digestTime(ks []string, aggregates [][]byte) time.Duration {
	before := processTime()
	for i, key := range ks {
		h := hashOf(key)
		if a := aggregates[i*len(aggregates)/len(ks)]; i%(len(ks)/len(aggregates)) == 0 {
			d := md5.Sum(a)
			a[0], a[1] = d[0], byte(h.Lo)
		}
	}
	return processTime() - before
}

// clockTime measures reading the clock for so many records, as Put does to know
// when each expires.
func clockTime(records int) time.Duration {
	start, before := time.Now(), processTime()
	var sum time.Duration
	for range records {
		sum += time.Since(start)
	}
	runtime.KeepAlive(sum)
	return processTime() - before
}

// packTime measures packing records of 100 bytes into one aggregate after
// another, which does not leave the caches.
func packTime(b *testing.B, ks []string, perAggregate int) time.Duration {
	enc, data := aggregation.NewEncoder(51_200), make([]byte, 100)
	before := processTime()
	for _, key := range ks {
		if enc.Len() == perAggregate {
			enc.Reset()
		}
		if err := enc.Append(aggregation.Record{PartitionKey: key, Data: data}); err != nil {
			b.Fatal(err)
		}
	}
	return processTime() - before
}

// A depot is what any producer has for a shard, and nothing more: a lock, and
// where a record's bytes, its key, the key's place in an index and its fate go.
type depot struct {
	mu    sync.Mutex
	cargo *cargo
}

type cargo struct {
	n       int
	records []byte
	keys    []byte
	index   []uint64
	fates   [][5]uint64
}

const cargoBytes, cargoKey = 100, 10

func newDepots(shards, perAggregate int) []*depot {
	depots := make([]*depot, shards)
	for i := range depots {
		depots[i] = &depot{cargo: &cargo{
			records: make([]byte, perAggregate*cargoBytes), keys: make([]byte, perAggregate*cargoKey),
			index: make([]uint64, 256), fates: make([][5]uint64, perAggregate),
		}}
	}
	return depots
}

// tripTime measures how long the memory takes for records on their way to so many
// shards, in an order of chance and from eight goroutines: those that write them
// into depots and do nothing else.
func tripTime(depots []*depot, order []int) time.Duration {
	var data [cargoBytes]byte
	trip := func(d *depot, i int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		c := d.cargo
		copy(c.records[c.n*cargoBytes:], data[:])
		copy(c.keys[c.n*cargoKey:], data[:cargoKey])
		c.index[i*0x9e3779b9>>8%len(c.index)] = uint64(c.n)
		c.fates[c.n] = [5]uint64{1, 2, 3, 4, uint64(i)}
		if c.n++; c.n == len(c.fates) {
			c.n = 0
		}
	}
	var wg sync.WaitGroup
	before := processTime()
	for g := range 8 {
		wg.Go(func() {
			for _, i := range order[g*len(order)/8 : (g+1)*len(order)/8] {
				trip(depots[i%len(depots)], i)
			}
		})
	}
	wg.Wait()
	return processTime() - before
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
