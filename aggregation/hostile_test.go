package aggregation_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kinesis-go/kinesis/aggregation"
)

const mebibyte = 1 << 20

// fill repeats a piece up to a mebibyte.
func fill(piece string) string { return string(bytes.Repeat([]byte(piece), mebibyte/len(piece))) }

// allocated returns the bytes fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Whatever a mebibyte claims to hold, reading it allocates at most twice its
// size in all, and one block.
func TestHostileInputTakesBoundedMemory(t *testing.T) {
	nested := func(tag byte) string {
		var b []byte
		for len(b) < 20000 {
			b = append([]byte{tag}, protowire.AppendBytes(nil, b)...)
		}
		return string(b)
	}
	tests := []struct {
		name    string
		msg     []byte
		records int // -1 if the message is malformed
	}{
		{"empty records", bytesOf(keyP, fill("\x1a\x04\x08\x00\x1a\x00")), 174762},
		{"empty keys", bytesOf(fill("\x0a\x00"), recordA), 1},
		{"keys of both kinds", bytesOf(fill("\x0a\x00\x12\x00"), recordA), 1},
		{"a key each", bytesOf(keyP, fill("\x0a\x01x\x1a\x04\x08\x00\x1a\x00")), 116508},
		{"a tag each", bytesOf(keyP, fill("\x1a\x08\x08\x00\x1a\x00\x22\x02\x0a\x00")), 104857},
		{"one record of tags", bytesOf(keyP, "\x1a\x80\x80\x40\x08\x00\x1a\x00", fill("\x22\x02\x0a\x00")[:mebibyte-4]), 1},
		{"unknown fields", bytesOf(fill("\x48\x00")), 0},
		{"overlong numbers", bytesOf(keyP, fill("\x1a\x0d\x08"+overlong+"\x1a\x00")), 69905},
		{"groups", bytesOf(fill("\x4b")), -1},
		{"groups, closed", bytesOf(keyP, fill("\x4b")[:mebibyte/2], fill("\x4c")[:mebibyte/2]), -1},
		{"nested records", bytesOf(keyP, nested(0x1a)), -1},
		{"nested unknown messages", bytesOf(keyP, nested(0x4a)), 0},
		{"last index bad", bytesOf(keyP, fill("\x1a\x04\x08\x00\x1a\x00"), "\x1a\x04\x08\x01\x1a\x00"), -1},
		{"last record cut", bytesOf(keyP, fill("\x1a\x04\x08\x00\x1a\x00"), "\x1a\x04\x08\x00\x1a"), -1},
		{"zeros", make([]byte, mebibyte), -1},
		{"ones", bytes.Repeat([]byte{0xff}, mebibyte), -1},
	}
	for _, tt := range tests {
		data := wrap(tt.msg)
		records := -1
		n := allocated(func() {
			a, err := aggregation.Decode(data)
			if err != nil {
				return
			}
			records = 0
			for _, r := range a.Records() {
				records++
				for range r.Tags.All() {
				}
			}
			if _, err := a.InRange(aggregation.HashRange{}); err != nil {
				t.Errorf("%s: InRange: %v", tt.name, err)
			}
		})
		if records != tt.records {
			t.Errorf("%s: %d records, want %d", tt.name, records, tt.records)
		}
		// The runtime allocates a little meanwhile, as its collector starts.
		if limit := uint64(2*len(data) + 64<<10); n > limit {
			t.Errorf("%s: %d bytes allocated for %d of input", tt.name, n, len(data))
		}
	}
}

// A Decoder does not hold on to what one hostile record made it allocate.
func TestDecoderLetsGoOfOversizedTables(t *testing.T) {
	hostile := wrap(bytesOf(fill("\x0a\x00"), recordA))
	d := new(aggregation.Decoder)
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	if _, err := d.Decode(hostile); err != nil {
		t.Fatal(err)
	}
	if after := held(); after > before+mebibyte/2 {
		t.Errorf("the Decoder holds %d bytes", after-before)
	}
	runtime.KeepAlive(d)
	runtime.KeepAlive(hostile)
}

// Records that jump about between two long keys make a reader hash each of them
// once, not once per record.
func TestInRangeHashesAKeyOnce(t *testing.T) {
	t.Parallel()
	key := string(protowire.AppendBytes([]byte{0x0a}, make([]byte, mebibyte/2)))
	digits := string(protowire.AppendBytes([]byte{0x12}, append(bytes.Repeat([]byte("0"), mebibyte/2), '7')))
	a, err := aggregation.Decode(wrap(bytesOf(
		keyP, key, key, "\x12\x011", digits, digits,
		fill("\x1a\x04\x08\x02\x1a\x00\x1a\x04\x08\x01\x1a\x00\x1a\x06\x08\x00\x10\x02\x1a\x00\x1a\x06\x08\x00\x10\x01\x1a\x00"))))
	if err != nil {
		t.Fatal(err)
	}
	full, err := aggregation.ParseHashRange("0", "340282366920938463463374607431768211455")
	if err != nil {
		t.Fatal(err)
	}
	// 131,000 records; at a millisecond each this would outlast the test.
	if in, err := a.InRange(full); !in || err != nil {
		t.Errorf("InRange = %v, %v", in, err)
	}
}

// Every vector, cut at every byte, as it is and with the digest made to fit.
func TestTruncatedVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Vectors {
		if len(v.Hex) > 2000 {
			continue // the message of 16 KiB adds time, not cases
		}
		for n := range len(v.Hex) {
			whole := v.Name == "trailing_garbage" && n == len(v.Hex)-2
			if a, err := aggregation.Decode(v.Hex[:n:n]); err == nil && !whole {
				t.Errorf("%s cut to %d bytes is an aggregate of %d records", v.Name, n, a.Len())
			}
			if n > 4 {
				checkMessage(t, v.Hex[4:n:n])
			}
		}
	}
}

func TestDecodeAllocatesOnce(t *testing.T) {
	var records []aggregation.Record
	for i := range 500 {
		r := aggregation.Record{PartitionKey: fmt.Sprint("key", i%100), Data: make([]byte, 50)}
		if i%2 == 0 {
			r.ExplicitHashKey = fmt.Sprint(i % 100)
		}
		if i%3 == 0 {
			r.Tags = mustTags(t, aggregation.Tag{Key: "k", Value: "v"})
		}
		records = append(records, r)
	}
	data := newAggregate(t, records...)
	half, err := aggregation.ParseHashRange("1000", "170141183460469231731687303715884105727")
	if err != nil {
		t.Fatal(err)
	}
	visit := func(a aggregation.Aggregate, err error) {
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range a.Records() {
			n += len(r.Data)
			for range r.Tags.All() {
				n++
			}
		}
		for c := a.Cursor(); ; {
			if _, _, ok := c.Next(); !ok {
				break
			}
		}
		if in, err := a.InRange(half); in || err != nil || n == 0 {
			t.Fatalf("InRange = %v, %v", in, err)
		}
	}
	if n := testing.AllocsPerRun(20, func() { visit(aggregation.Decode(data)) }); n > 1 {
		t.Errorf("%v allocations to read an aggregate", n)
	}
	var d aggregation.Decoder
	if n := testing.AllocsPerRun(20, func() { visit(d.Decode(data)) }); n != 0 {
		t.Errorf("%v allocations to read an aggregate with a Decoder in use", n)
	}
	plain := []byte("an ordinary record")
	if n := testing.AllocsPerRun(20, func() { _, _ = aggregation.Decode(plain) }); n != 0 {
		t.Errorf("%v allocations for an ordinary record", n)
	}
}
