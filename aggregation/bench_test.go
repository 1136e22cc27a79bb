package aggregation

import (
	"crypto/md5"
	"fmt"
	"testing"
	"time"
)

// benchSize is the KPL's default maximum of an aggregate.
const benchSize = 51200

// benchRecords returns records that fill one aggregate, with the given number
// of partition keys, 16 bytes each, used in turn.
func benchRecords(data, keys int) []Record {
	e := NewEncoder(benchSize)
	var out []Record
	for i := 0; ; i++ {
		r := Record{PartitionKey: fmt.Sprintf("%016d", i%keys), Data: make([]byte, data)}
		if e.Append(r) != nil {
			return out
		}
		out = append(out, r)
	}
}

var benchShapes = []struct {
	name       string
	data, keys int
}{
	{"100B/10keys", 100, 10},
	{"100B/distinct", 100, 1 << 30},
	{"1KiB/10keys", 1024, 10},
	{"1KiB/distinct", 1024, 1 << 30},
}

func perRecord(b *testing.B, records int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
}

// BenchmarkDecode opens an aggregate and visits its records, the digest aside.
func BenchmarkDecode(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			records := benchRecords(shape.data, shape.keys)
			data := sealed(b, records)
			msg := data[len(Magic) : len(data)-md5.Size]
			b.SetBytes(int64(len(records) * shape.data))
			b.ReportAllocs()
			var d Decoder
			for b.Loop() {
				a, err := d.open(msg)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for _, r := range a.Records() {
					n += len(r.Data) + len(r.PartitionKey)
				}
				if n != len(records)*(shape.data+16) {
					b.Fatal("records lost")
				}
			}
			perRecord(b, len(records))
		})
	}
}

// BenchmarkDecodeDigest is the whole of Decode, beside crypto/md5 over the same
// bytes.
func BenchmarkDecodeDigest(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			data := sealed(b, benchRecords(shape.data, shape.keys))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			besideMD5(b, data, func() {
				a, err := Decode(data)
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range a.Records() {
					if len(r.Data) != shape.data {
						b.Fatal("record damaged")
					}
				}
			})
		})
	}
}

// BenchmarkEncode appends records until the aggregate is full, the digest
// aside.
func BenchmarkEncode(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			records := benchRecords(shape.data, shape.keys)
			b.SetBytes(int64(len(records) * shape.data))
			b.ReportAllocs()
			e := NewEncoder(benchSize)
			for b.Loop() {
				e.Reset()
				for i := range records {
					if err := e.Append(records[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			perRecord(b, len(records))
		})
	}
}

// BenchmarkEncodeDigest is the making of a whole aggregate, beside crypto/md5
// over the same bytes.
func BenchmarkEncodeDigest(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			records := benchRecords(shape.data, shape.keys)
			data := sealed(b, records)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			e := NewEncoder(benchSize)
			besideMD5(b, data, func() {
				e.Reset()
				for i := range records {
					if err := e.Append(records[i]); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := e.Seal(); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// besideMD5 alternates fn and the digest of data, and reports the time of the
// one in that of the other: 1 would be a codec that costs nothing.
func besideMD5(b *testing.B, data []byte, fn func()) {
	var codec, digest time.Duration
	var sum [md5.Size]byte
	for b.Loop() {
		start := time.Now()
		fn()
		middle := time.Now()
		sum = md5.Sum(data[len(Magic) : len(data)-md5.Size])
		codec, digest = codec+middle.Sub(start), digest+time.Since(middle)
	}
	if sum != [md5.Size]byte(data[len(data)-md5.Size:]) {
		b.Fatal("digest is wrong")
	}
	b.ReportMetric(float64(digest)/float64(codec), "md5-speed")
}

func sealed(tb testing.TB, records []Record) []byte {
	tb.Helper()
	e := NewEncoder(maxMessage)
	for i := range records {
		if err := e.Append(records[i]); err != nil {
			tb.Fatal(err)
		}
	}
	data, err := e.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
