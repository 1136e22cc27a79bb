package aggregation

import (
	"fmt"
	"testing"
)

// footprint is the memory an Encoder holds.
func (e *Encoder) footprint() int {
	n := cap(e.buf)
	for _, t := range []*keyTable{&e.pks, &e.ehks} {
		n += cap(t.wire) + 8*cap(t.spans) + 4*cap(t.slots)
	}
	return n
}

// One record or one aggregate far beyond the ordinary must not cost memory for
// ever.
func TestResetLetsGoOfOversizedBuffers(t *testing.T) {
	t.Parallel()
	const max = 51200
	giants := map[string]Record{
		"payload": {PartitionKey: "p", Data: make([]byte, 10<<20)},
		"key":     {PartitionKey: string(make([]byte, 10<<20))},
	}
	for name, giant := range giants {
		e := NewEncoder(max)
		if err := e.Append(giant); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Seal(); err != nil {
			t.Fatal(err)
		}
		e.Reset()
		if n := e.footprint(); n > 3*max {
			t.Errorf("after a giant %s the Encoder holds %d bytes", name, n)
		}
		if err := e.Append(Record{PartitionKey: "p"}); err != nil || e.max != max {
			t.Errorf("after a giant %s: %v, maximum %d", name, err, e.max)
		}
	}
}

// A full aggregate takes little more memory than its bytes, the index of its
// keys included.
func TestEncoderMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const max = 51200
	tests := []struct {
		data, keys int
		most       int
	}{
		{100, 1, 2 * max},
		{100, 1 << 30, 2 * max},
		{1, 1, 2 * max},
		{0, 1 << 30, 8 * max}, // nothing but keys
	}
	for _, tt := range tests {
		e := NewEncoder(max)
		for round := range 3 {
			e.Reset()
			for i := 0; ; i++ {
				if e.Append(Record{PartitionKey: fmt.Sprint(i % tt.keys), Data: make([]byte, tt.data)}) != nil {
					break
				}
			}
			if _, err := e.Seal(); err != nil {
				t.Fatal(err)
			}
			if n := e.footprint(); n > tt.most {
				t.Errorf("%d bytes, %d keys, round %d: the Encoder holds %d bytes", tt.data, tt.keys, round, n)
			}
		}
	}
}

// Room for the digest is left whatever way the records are moved.
func TestSealLeavesRoomForTheDigest(t *testing.T) {
	t.Parallel()
	key := string(make([]byte, minHeadroom))
	for n := range 3000 {
		e := NewEncoder(maxMessage)
		for range 2 {
			if err := e.Append(Record{PartitionKey: key, Data: make([]byte, n)}); err != nil {
				t.Fatal(err)
			}
		}
		data, err := e.Seal()
		if err != nil {
			t.Fatal(err)
		}
		if a, err := Decode(data); err != nil || a.Len() != 2 {
			t.Fatalf("payload of %d bytes: %d records, %v", n, a.Len(), err)
		}
	}
}
