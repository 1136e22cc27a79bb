package producer_test

import (
	"context"
	"fmt"
	"strconv"
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

func BenchmarkPutParallel(b *testing.B) {
	p, err := producer.New(newStub(1000), "s", unpaced)
	if err != nil {
		b.Fatal(err)
	}
	data, ks := make([]byte, 100), keys(100_000)
	ctx := b.Context()
	var seed atomic.Int64
	before := processTime()
	b.SetParallelism(4)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := int(seed.Add(7919))
		for pb.Next() {
			if err := p.PutAsync(ctx, producer.Record{PartitionKey: ks[i%len(ks)], Data: data}, nil); err != nil {
				b.Error(err)
				return
			}
			i++
		}
	})
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(processTime()-before)/float64(b.N), "cpu-ns/op")
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
