package consumer

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// BenchmarkUnpack measures what stands between a GetRecords response and the
// handler: the digest, the range filter, de-aggregation and the Record values.
func BenchmarkUnpack(b *testing.B) {
	plain := make([]types.Record, 10_000)
	for i := range plain {
		plain[i] = wireRecord(fmt.Sprintf("%056d", i), fmt.Sprint("key", i%100), make([]byte, 1024))
	}
	e := aggregation.NewEncoder(51_200)
	for i := range 400 {
		if err := e.Append(aggregation.Record{PartitionKey: fmt.Sprint("key", i%100), Data: make([]byte, 100)}); err != nil {
			b.Fatal(err)
		}
	}
	data, err := e.Seal()
	if err != nil {
		b.Fatal(err)
	}
	aggregated := make([]types.Record, 100)
	for i := range aggregated {
		aggregated[i] = wireRecord(fmt.Sprintf("%056d", i), "a", data)
	}
	for _, bb := range []struct {
		name    string
		records []types.Record
		users   int
		bytes   int64
	}{
		{"plain 1 KiB", plain, 10_000, 10_000 << 10},
		{"aggregated 100 B", aggregated, 40_000, 40_000 * 100},
	} {
		b.Run(bb.name, func(b *testing.B) {
			o := defaults()
			u := &unpacker{opts: &o, hashes: &shardmap.FullRange, observe: func(int) {}}
			b.SetBytes(bb.bytes)
			b.ReportAllocs()
			for b.Loop() {
				u.load(page{records: bb.records})
				n := 0
				for batch := u.batch(); batch != nil; batch = u.batch() {
					n += len(batch.Records)
				}
				if n != bb.users {
					b.Fatalf("%d records, want %d", n, bb.users)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bb.users), "ns/record")
		})
	}
}

// BenchmarkUnpackOpened measures the same without the digest and the check of
// the aggregate: what each of its records costs on its way into a batch.
func BenchmarkUnpackOpened(b *testing.B) {
	for _, bb := range []struct {
		name string
		tags []aggregation.Tag
	}{
		{"bare", nil},
		{"with an id", []aggregation.Tag{{Key: aggregation.IDTag, Value: "7NHQ3DW5PZKTQHGEXAMPLE2A4B-1k"}}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			tags, err := aggregation.NewTags(bb.tags...)
			if err != nil {
				b.Fatal(err)
			}
			e := aggregation.NewEncoder(10 << 20)
			for i := range 10_000 {
				if err := e.Append(aggregation.Record{PartitionKey: fmt.Sprint("key", i%100), Data: make([]byte, 100), Tags: tags}); err != nil {
					b.Fatal(err)
				}
			}
			data, err := e.Seal()
			if err != nil {
				b.Fatal(err)
			}
			agg, err := aggregation.Decode(data)
			if err != nil {
				b.Fatal(err)
			}
			o := defaults()
			u := &unpacker{opts: &o, observe: func(int) {}}
			first := wireRecord("1", "a", data)
			b.ReportAllocs()
			for b.Loop() {
				u.openAggregate(&first, agg, false)
				if batch := u.batch(); len(batch.Records) != 10_000 {
					b.Fatalf("%d records, want 10000", len(batch.Records))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*10_000), "ns/record")
		})
	}
}

// BenchmarkEachRecord measures what EachRecord adds to a call of the function.
func BenchmarkEachRecord(b *testing.B) {
	batch := &Batch{Records: make([]Record, 10_000)}
	for i := range batch.Records {
		batch.Records[i].Position = checkpoint.Position{SequenceNumber: "49590338271490256608559692538361571095921575989136588898", SubSequenceNumber: int64(i)}
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	alive := func() error { return nil }
	h := EachRecord(func(context.Context, *Record) error { return nil })
	b.ReportAllocs()
	for b.Loop() {
		s := NewShard("clicks", "shardId-000000000000", []*Batch{batch}, nil, nil)
		s.source = &judged{s.source, judge(ctx, ctx, alive)}
		if err := h(ctx, s); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Records)), "ns/record")
}

// judged is a batchSource that is stopped as a reader is.
type judged struct {
	batchSource
	judge func() error
}

func (j *judged) err() error { return j.judge() }

// BenchmarkKeyed measures what keyed concurrency adds to a call of the function,
// the workers' included.
func BenchmarkKeyed(b *testing.B) {
	for _, workers := range []int{1, 4, 16} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			batch := &Batch{Records: make([]Record, 10_000)}
			for i := range batch.Records {
				batch.Records[i].PartitionKey = fmt.Sprint("key", i%1000)
				batch.Records[i].Position = checkpoint.Position{SequenceNumber: "49590338271490256608559692538361571095921575989136588898", SubSequenceNumber: int64(i)}
			}
			h := EachRecord(func(context.Context, *Record) error { return nil }, func(o *EachOptions) {
				o.Concurrency, o.OnFailure.ParkKey = workers, true
			})
			b.ReportAllocs()
			for b.Loop() {
				if err := h(b.Context(), NewShard("clicks", "shardId-000000000000", []*Batch{batch}, nil, nil)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Records)), "ns/record")
		})
	}
}

// BenchmarkEachBatch measures what EachBatch adds, per record.
func BenchmarkEachBatch(b *testing.B) {
	batch := &Batch{Records: make([]Record, 10_000)}
	for i := range batch.Records {
		batch.Records[i].Position = checkpoint.Position{SequenceNumber: "49590338271490256608559692538361571095921575989136588898", SubSequenceNumber: int64(i)}
	}
	h := EachBatch(func(context.Context, *Batch) error { return nil })
	b.ReportAllocs()
	for b.Loop() {
		if err := h(b.Context(), NewShard("clicks", "shardId-000000000000", []*Batch{batch}, nil, nil)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Records)), "ns/record")
}
