package aggregation_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/kinesis-go/kinesis/aggregation"
)

func mustAppend(tb testing.TB, enc *aggregation.Encoder, records ...aggregation.Record) {
	tb.Helper()
	for i, r := range records {
		if err := enc.Append(r); err != nil {
			tb.Fatalf("record %d: %v", i, err)
		}
	}
}

func mustSeal(tb testing.TB, enc *aggregation.Encoder) []byte {
	tb.Helper()
	data, err := enc.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestAppendCopiesTheRecord(t *testing.T) {
	t.Parallel()
	key, data := []byte("partition"), []byte("payload")
	enc := aggregation.NewEncoder(1000)
	mustAppend(t, enc, aggregation.Record{PartitionKey: unsafe.String(&key[0], len(key)), ExplicitHashKey: "5", Data: data})
	copy(key, "#########")
	copy(data, "#######")
	want := newAggregate(t, aggregation.Record{PartitionKey: "partition", ExplicitHashKey: "5", Data: []byte("payload")})
	if got := mustSeal(t, enc); string(got) != string(want) {
		t.Errorf("sealed %q, want %q", got, want)
	}
}

// The first record is taken whatever its size; a later one only if the whole
// stays within the limit, which it may reach exactly.
func TestAppendKeepsToTheLimit(t *testing.T) {
	t.Parallel()
	r := aggregation.Record{PartitionKey: "pk", Data: make([]byte, 100)}
	size := len(newAggregate(t, r, r, r))
	for limit := size - 1; limit <= size; limit++ {
		enc := aggregation.NewEncoder(limit)
		mustAppend(t, enc, r, r)
		err := enc.Append(r)
		if want := limit == size; (err == nil) != want || !want && err != aggregation.ErrFull {
			t.Errorf("limit %d, size %d: %v", limit, size, err)
		}
	}
	for _, limit := range []int{math.MinInt, -1, 0, 1} {
		enc := aggregation.NewEncoder(limit)
		mustAppend(t, enc, r)
		if err := enc.Append(r); err != aggregation.ErrFull {
			t.Errorf("second record within %d bytes: %v", limit, err)
		}
		if string(mustSeal(t, enc)) != string(newAggregate(t, r)) {
			t.Errorf("limit %d: first record damaged", limit)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		record aggregation.Record
		want   string
	}{
		{"leading zero", aggregation.Record{ExplicitHashKey: "042"}, `explicit hash key "042"`},
		{"blank", aggregation.Record{ExplicitHashKey: " 42"}, `explicit hash key " 42"`},
		{"negative", aggregation.Record{ExplicitHashKey: "-1"}, `explicit hash key "-1"`},
		{"2^128", aggregation.Record{ExplicitHashKey: "340282366920938463463374607431768211456"}, "2^128-1"},
		{"no number", aggregation.Record{ExplicitHashKey: "shard"}, `explicit hash key "shard"`},
		{"key not UTF-8", aggregation.Record{PartitionKey: "a\xff"}, "partition key: not valid UTF-8"},
	}
	for _, tt := range tests {
		// The second time all but the explicit hash key is known.
		known := aggregation.Record{PartitionKey: strings.ToValidUTF8(tt.record.PartitionKey, ""), ExplicitHashKey: "1", Data: []byte("1")}
		for _, before := range [][]aggregation.Record{nil, {known}} {
			enc := aggregation.NewEncoder(1000)
			mustAppend(t, enc, before...)
			size := enc.Size()
			err := enc.Append(tt.record)
			if err == nil || errors.Is(err, aggregation.ErrFull) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
			}
			if enc.Len() != len(before) || enc.Size() != size {
				t.Errorf("%s: the aggregate changed", tt.name)
			}
			after := aggregation.Record{PartitionKey: "next", ExplicitHashKey: "2"}
			mustAppend(t, enc, after)
			if string(mustSeal(t, enc)) != string(newAggregate(t, append(before, after)...)) {
				t.Errorf("%s: the refused record left a trace", tt.name)
			}
		}
	}
}

func TestEmptyEncoder(t *testing.T) {
	t.Parallel()
	enc := aggregation.NewEncoder(1000)
	for range 2 {
		if enc.Len() != 0 || enc.Size() != 0 || mustSeal(t, enc) != nil {
			t.Errorf("Len = %d, Size = %d, Seal = %x", enc.Len(), enc.Size(), mustSeal(t, enc))
		}
		if r := enc.First(); r.PartitionKey != "" || r.Data != nil {
			t.Errorf("First = %v", r)
		}
		enc.Truncate(0)
		enc.Truncate(-1)
		enc.Truncate(1)
		enc.Reset()
	}
	var zero aggregation.Encoder // not promised, but harmless
	mustAppend(t, &zero, aggregation.Record{PartitionKey: "p"})
	mustSeal(t, &zero)
}

func TestSealMayBeFollowedByAppend(t *testing.T) {
	t.Parallel()
	var records []aggregation.Record
	enc := aggregation.NewEncoder(math.MaxInt)
	for i := range 200 {
		r := aggregation.Record{PartitionKey: fmt.Sprint("key", i), Data: make([]byte, i)}
		records = append(records, r)
		mustAppend(t, enc, r)
		for range 2 {
			if string(mustSeal(t, enc)) != string(newAggregate(t, records...)) {
				t.Fatalf("aggregate of %d records is wrong", i+1)
			}
		}
	}
}

// Truncate gives what encoding the remaining records from scratch gives, also
// after the keys that left are used again in another order.
func TestTruncateForgetsKeys(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	enc := aggregation.NewEncoder(math.MaxInt)
	var records []aggregation.Record
	for range 2000 {
		if rng.IntN(5) == 0 {
			n := rng.IntN(len(records) + 1)
			enc.Truncate(n)
			records = records[:n]
		}
		r := aggregation.Record{PartitionKey: fmt.Sprint(rng.IntN(300)), Data: make([]byte, rng.IntN(20))}
		if rng.IntN(2) == 0 {
			r.ExplicitHashKey = fmt.Sprint(rng.IntN(300))
		}
		mustAppend(t, enc, r)
		records = append(records, r)
		if string(mustSeal(t, enc)) != string(newAggregate(t, records...)) {
			t.Fatalf("aggregate of %d records differs from one made from scratch", len(records))
		}
	}
}

// The payload's only copy is Append's: Seal leaves it where it is, once an
// aggregate like it has taught the Encoder how much room the keys need.
func TestSealDoesNotMoveThePayload(t *testing.T) {
	t.Parallel()
	for _, keys := range []int{1, 10, 1 << 30} {
		enc := aggregation.NewEncoder(51200)
		for round := range 3 {
			enc.Reset()
			for i := 0; ; i++ {
				if enc.Append(aggregation.Record{PartitionKey: fmt.Sprintf("key-%012d", i%keys), Data: make([]byte, 100)}) != nil {
					break
				}
			}
			before := &enc.First().Data[0]
			a, err := aggregation.Decode(mustSeal(t, enc))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range a.Records() {
				if moved := &r.Data[0] != before; moved && (round > 0 || keys <= 10) {
					t.Errorf("%d keys, round %d: Seal moved the payload", keys, round)
				}
				break
			}
		}
	}
}

// First is the payload as it stands in the aggregate, so that sending a lone
// record bare costs no copy.
func TestFirstAliasesTheAggregate(t *testing.T) {
	t.Parallel()
	enc := aggregation.NewEncoder(100)
	mustAppend(t, enc, aggregation.Record{PartitionKey: "p", ExplicitHashKey: "3", Data: make([]byte, 5000)})
	r := enc.First()
	if r.PartitionKey != "p" || r.ExplicitHashKey != "3" || len(r.Data) != 5000 || cap(r.Data) != 5000 {
		t.Errorf("First = %q %q, %d bytes of %d", r.PartitionKey, r.ExplicitHashKey, len(r.Data), cap(r.Data))
	}
	data := mustSeal(t, enc)
	if &r.Data[0] != &data[len(data)-16-5000] {
		t.Error("First copied the payload")
	}
}

func TestSealedBytesCannotBeOverrun(t *testing.T) {
	t.Parallel()
	enc := aggregation.NewEncoder(1000)
	mustAppend(t, enc, aggregation.Record{PartitionKey: "p"})
	if data := mustSeal(t, enc); cap(data) != len(data) {
		t.Errorf("sealed aggregate has room for %d more bytes, which are the Encoder's", cap(data)-len(data))
	}
}

func TestEncoderAllocatesNothingOnceGrown(t *testing.T) {
	enc := aggregation.NewEncoder(51200)
	tags := mustTags(t, aggregation.Tag{Key: "k", Value: "v"})
	var records []aggregation.Record
	for i := range 300 {
		r := aggregation.Record{PartitionKey: fmt.Sprint("key", i), Data: make([]byte, 50)}
		if i%2 == 0 {
			r.ExplicitHashKey = fmt.Sprint(i)
		}
		if i%3 == 0 {
			r.Tags = tags
		}
		records = append(records, r)
	}
	run := func() {
		enc.Reset()
		for i := range records {
			_ = enc.SizeWith(records[i])
			if err := enc.Append(records[i]); err != nil {
				t.Fatal(err)
			}
		}
		enc.Truncate(250)
		_ = enc.First()
		if _, err := enc.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	run()
	run()
	if n := testing.AllocsPerRun(10, run); n != 0 {
		t.Errorf("%v allocations per aggregate of %d records", n, len(records))
	}
}
