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
	{"100B/1key", 100, 1},
	{"100B/10keys", 100, 10},
	{"100B/distinct", 100, 1 << 30},
	{"1KiB/10keys", 1024, 10},
	{"1KiB/distinct", 1024, 1 << 30},
}

// A stopwatch keeps the fastest of many rounds, which on a busy machine says
// more of the code than their mean does.
type stopwatch struct{ best time.Duration }

func (s *stopwatch) time(fn func()) {
	start := time.Now()
	fn()
	if d := time.Since(start); s.best == 0 || d < s.best {
		s.best = d
	}
}

// report states the fastest round per record.
func (s *stopwatch) report(b *testing.B, records int) {
	b.ReportMetric(float64(s.best)/float64(records), "best-ns/record")
}

// besideMD5 alternates fn and the digest of data, and reports how much of
// crypto/md5's speed is left: 1 would be a codec that costs nothing.
func besideMD5(b *testing.B, data []byte, fn func()) {
	var codec, digest stopwatch
	msg, want := data[len(Magic):len(data)-md5.Size], [md5.Size]byte(data[len(data)-md5.Size:])
	for b.Loop() {
		codec.time(fn)
		digest.time(func() {
			if md5.Sum(msg) != want {
				b.Fatal("digest is wrong")
			}
		})
	}
	b.ReportMetric(float64(digest.best)/float64(codec.best), "md5-speed")
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
			var watch stopwatch
			for b.Loop() {
				watch.time(func() {
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
				})
			}
			watch.report(b, len(records))
		})
	}
}

// BenchmarkCursor visits the records by way of a Cursor.
func BenchmarkCursor(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			records := benchRecords(shape.data, shape.keys)
			a, err := Decode(sealed(b, records))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(records) * shape.data))
			b.ReportAllocs()
			var watch stopwatch
			for b.Loop() {
				watch.time(func() {
					n := 0
					for c := a.Cursor(); ; n++ {
						if _, _, ok := c.Next(); !ok {
							break
						}
					}
					if n != len(records) {
						b.Fatal("records lost")
					}
				})
			}
			watch.report(b, len(records))
		})
	}
}

// BenchmarkDecodeDigest is all of Decode, beside crypto/md5 over the same bytes.
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

// BenchmarkEncode appends records until the aggregate is full, the digest aside.
func BenchmarkEncode(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			records := benchRecords(shape.data, shape.keys)
			b.SetBytes(int64(len(records) * shape.data))
			b.ReportAllocs()
			e := NewEncoder(benchSize)
			fill(b, e, records) // grows the buffers
			var watch stopwatch
			for b.Loop() {
				watch.time(func() { fill(b, e, records) })
			}
			watch.report(b, len(records))
		})
	}
}

// BenchmarkEncodeDigest makes a whole aggregate, beside crypto/md5 over the same
// bytes.
func BenchmarkEncodeDigest(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			records := benchRecords(shape.data, shape.keys)
			data := sealed(b, records)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			e := NewEncoder(benchSize)
			besideMD5(b, data, func() {
				fill(b, e, records)
				if _, err := e.Seal(); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkInRange is the test against a shard's range, which hashes every
// partition key once.
func BenchmarkInRange(b *testing.B) {
	most, err := ParseHashRange("1", "340282366920938463463374607431768211455")
	if err != nil {
		b.Fatal(err)
	}
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			records := benchRecords(shape.data, shape.keys)
			a, err := Decode(sealed(b, records))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var watch stopwatch
			for b.Loop() {
				watch.time(func() {
					if in, err := a.InRange(most); !in || err != nil {
						b.Fatal(in, err)
					}
				})
			}
			watch.report(b, len(records))
		})
	}
}

func fill(tb testing.TB, e *Encoder, records []Record) {
	e.Reset()
	for i := range records {
		if err := e.Append(records[i]); err != nil {
			tb.Fatal(err)
		}
	}
}

func sealed(tb testing.TB, records []Record) []byte {
	tb.Helper()
	e := NewEncoder(maxMessage)
	fill(tb, e, records)
	data, err := e.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
