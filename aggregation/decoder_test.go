package aggregation_test

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kinesis-go/kinesis/aggregation"
)

var rounds = flag.Int("rounds", 5000, "random messages in TestDecodeAgreesWithProtobuf")

// A mill makes messages that are nearly of the format: known and unknown fields
// in any order, repeated, missing, of wrong types, with numbers longer than they
// need be, and now and then a damaged byte.
type mill struct{ *rand.Rand }

func (m mill) uvarint(b []byte, v uint64) []byte {
	b = protowire.AppendVarint(b, v)
	for m.IntN(20) == 0 {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}

func (m mill) field(b []byte, number int, content []byte) []byte {
	b = m.uvarint(b, uint64(number)<<3|2)
	return append(m.uvarint(b, uint64(len(content))), content...)
}

func (m mill) number(b []byte, number int, v uint64) []byte {
	return m.uvarint(m.uvarint(b, uint64(number)<<3), v)
}

// stray appends a field that nobody expects there.
func (m mill) stray(b []byte) []byte {
	number := m.IntN(6)
	if m.IntN(4) == 0 {
		number = m.IntN(1 << 29)
	}
	kind := m.IntN(6)
	if m.IntN(10) > 0 {
		number = max(number, 1)
		kind = []int{0, 1, 2, 5}[m.IntN(4)]
	}
	b = m.uvarint(b, uint64(number)<<3|uint64(kind))
	switch kind {
	case 0:
		return m.uvarint(b, m.Uint64()>>m.IntN(64))
	case 1:
		return append(b, make([]byte, 8)...)
	case 2:
		return append(m.uvarint(b, 3), "abc"...)
	case 5:
		return append(b, make([]byte, 4)...)
	}
	return b
}

func (m mill) record() []byte {
	var b []byte
	for range 1 + m.IntN(2) {
		if m.IntN(50) > 0 {
			b = m.number(b, 1, uint64(m.IntN(3)))
		}
		if m.IntN(3) == 0 {
			b = m.number(b, 2, uint64(m.IntN(2)))
		}
		if m.IntN(50) > 0 {
			b = m.field(b, 3, make([]byte, m.IntN(200)))
		}
		for m.IntN(6) == 0 {
			var tag []byte
			if m.IntN(10) > 0 {
				tag = m.field(tag, 1, []byte("k\xff"))
			}
			if m.IntN(2) == 0 {
				tag = m.field(tag, 2, []byte("v"))
			}
			b = m.field(b, 4, tag)
		}
		for m.IntN(15) == 0 {
			b = m.stray(b)
		}
	}
	return b
}

func (m mill) message() []byte {
	var b []byte
	for range 2 + m.IntN(8) {
		switch m.IntN(6) {
		case 0, 1:
			b = m.field(b, 1, []byte("key")[:m.IntN(4)])
		case 2:
			b = m.field(b, 2, []byte("7"))
		case 3, 4:
			b = m.field(b, 3, m.record())
		case 5:
			if m.IntN(4) == 0 {
				b = m.stray(b)
			}
		}
	}
	if len(b) > 0 && m.IntN(3) == 0 {
		b[m.IntN(len(b))] ^= 1 << m.IntN(8)
	}
	if len(b) > 0 && m.IntN(10) == 0 {
		b = b[:m.IntN(len(b))]
	}
	return b
}

func TestDecodeAgreesWithProtobuf(t *testing.T) {
	t.Parallel()
	m := mill{rand.New(rand.NewPCG(7, uint64(*rounds)))}
	outcomes := map[aggregation.Reason]int{}
	for range *rounds {
		msg := m.message()
		checkMessage(t, msg)
		if t.Failed() {
			return
		}
		_, err := aggregation.Decode(wrap(msg))
		if bad := (*aggregation.MalformedError)(nil); errors.As(err, &bad) {
			outcomes[bad.Reason]++
		} else {
			outcomes[""]++
		}
	}
	for _, r := range []aggregation.Reason{"", aggregation.ReasonSyntax, aggregation.ReasonGroup, aggregation.ReasonMissingField, aggregation.ReasonIndex} {
		if outcomes[r] < *rounds/100 {
			t.Errorf("the mill made %d messages with outcome %q of %d, too few to mean anything", outcomes[r], r, *rounds)
		}
	}
}

// bytesOf builds a message from fields given as strings of raw bytes.
func bytesOf(parts ...string) []byte { return []byte(strings.Join(parts, "")) }

const (
	keyP     = "\x0a\x01p"                 // partition key 0: "p"
	recordA  = "\x1a\x05\x08\x00\x1a\x01A" // record: key 0, "A"
	overlong = "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"
)

func TestDecodeOddButLegal(t *testing.T) {
	t.Parallel()
	a := aggregation.Record{PartitionKey: "p", Data: []byte("A")}
	tests := []struct {
		name string
		msg  []byte
		want []aggregation.Record
	}{
		{"varint of ten bytes", bytesOf(keyP, "\x1a\x0e\x08"+overlong+"\x1a\x01A"), []aggregation.Record{a}},
		{"tag of two bytes", bytesOf("\x8a\x00\x01p", "\x9a\x00\x05\x08\x00\x1a\x01A"), []aggregation.Record{a}},
		{"length of two bytes", bytesOf("\x0a\x81\x00p", recordA), []aggregation.Record{a}},
		{"table behind the records", bytesOf(recordA, recordA, keyP), []aggregation.Record{a, a}},
		{"fields reversed", bytesOf(keyP, "\x1a\x05\x1a\x01A\x08\x00"), []aggregation.Record{a}},
		{"last data counts", bytesOf(keyP, "\x1a\x08\x08\x00\x1a\x01B\x1a\x01A"), []aggregation.Record{a}},
		{"last index counts", bytesOf(keyP, "\x1a\x07\x08\x09\x08\x00\x1a\x01A"), []aggregation.Record{a}},
		{"table entry as a number is unknown", bytesOf("\x08\x07", keyP, recordA), []aggregation.Record{a}},
		{"record as fixed32 is unknown", bytesOf("\x1d\x00\x00\x00\x00", keyP, recordA), []aggregation.Record{a}},
		{"index as string is unknown", bytesOf(keyP, "\x1a\x08\x0a\x01x\x08\x00\x1a\x01A"), []aggregation.Record{a}},
		{"unknown fields of every type", bytesOf(keyP, "\x48\x01\x49--------\x4a\x02xx\x4d----", recordA), []aggregation.Record{a}},
		{"highest field number", bytesOf(keyP, "\xf8\xff\xff\xff\x0f\x00", recordA), []aggregation.Record{a}},
		{"empty partition key", bytesOf("\x0a\x00", recordA), []aggregation.Record{{Data: []byte("A")}}},
		{"partition key is not UTF-8", bytesOf("\x0a\x01\xff", recordA), []aggregation.Record{{PartitionKey: "\xff", Data: []byte("A")}}},
		{"unused table entries", bytesOf(keyP, keyP, "\x12\x01x", recordA), []aggregation.Record{a}},
		{"empty explicit hash key", bytesOf(keyP, "\x12\x00", "\x1a\x07\x08\x00\x10\x00\x1a\x01A"), []aggregation.Record{a}},
		{"unknown fields alone", bytesOf("\x48\x01"), nil},
	}
	for _, tt := range tests {
		got, err := aggregation.Decode(wrap(tt.msg))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if d := diff(tt.want, collect(t, got)); d != "" {
			t.Errorf("%s: records (-want +got):\n%s", tt.name, d)
		}
		checkMessage(t, tt.msg)
	}
}

func TestDecodeMalformed(t *testing.T) {
	t.Parallel()
	const (
		syntax  = aggregation.ReasonSyntax
		group   = aggregation.ReasonGroup
		missing = aggregation.ReasonMissingField
		index   = aggregation.ReasonIndex
		maximum = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" // 2^64-1
	)
	tests := []struct {
		name   string
		msg    []byte
		reason aggregation.Reason
		record int
		offset int
	}{
		{"field number 0", bytesOf(keyP, "\x02\x00"), syntax, -1, 7},
		{"field number beyond 29 bits", bytesOf(keyP, "\x80\x80\x80\x80\x10\x00"), syntax, -1, 7},
		{"tag cut off", bytesOf(keyP, "\x80"), syntax, -1, 7},
		{"varint of eleven bytes", bytesOf(keyP, "\x48\x80"+overlong), syntax, -1, 7},
		{"varint beyond 64 bits", bytesOf(keyP, "\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), syntax, -1, 7},
		{"wire type 6", bytesOf(keyP, "\x4e\x00"), syntax, -1, 7},
		{"wire type 7", bytesOf(keyP, "\x4f\x00"), syntax, -1, 7},
		{"end of a group", bytesOf(keyP, "\x4c"), syntax, -1, 7},
		{"fixed64 cut off", bytesOf(keyP, "\x49-------"), syntax, -1, 7},
		{"fixed32 cut off", bytesOf(keyP, "\x4d---"), syntax, -1, 7},
		{"length one too long", bytesOf(keyP, "\x1a\x06\x08\x00\x1a\x01A"), syntax, -1, 7},
		{"length of 2^31", bytesOf(keyP, "\x1a\x80\x80\x80\x80\x08\x08\x00\x1a\x01A"), syntax, -1, 7},
		{"length of 2^64-1", bytesOf(keyP, "\x1a"+maximum), syntax, -1, 7},
		{"payload reaches into the next record", bytesOf(keyP, "\x1a\x05\x08\x00\x1a\x02A", recordA), syntax, 0, 11},
		{"payload of 2^63", bytesOf(keyP, recordA, "\x1a\x0d\x08\x00\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), syntax, 1, 18},
		{"group", bytesOf(keyP, "\x4b\x48\x01\x4c", recordA), group, -1, 7},
		{"group in a record", bytesOf(keyP, recordA, "\x1a\x07\x08\x00\x1a\x01A\x2b\x2c"), group, 1, 21},
		{"group in a tag", bytesOf(keyP, "\x1a\x0c\x08\x00\x1a\x01A\x22\x05\x0a\x01k\x1b\x1c"), group, 0, 14},
		{"empty record", bytesOf(keyP, recordA, "\x1a\x00"), missing, 1, 16},
		{"no partition key index", bytesOf(keyP, "\x1a\x03\x1a\x01A"), missing, 0, 9},
		{"no data", bytesOf(keyP, "\x1a\x02\x08\x00"), missing, 0, 9},
		{"partition key index as fixed64", bytesOf(keyP, "\x1a\x0c\x09--------\x1a\x01A"), missing, 0, 9},
		{"data as a number", bytesOf(keyP, "\x1a\x04\x08\x00\x18\x00"), missing, 0, 9},
		{"tag without key", bytesOf(keyP, "\x1a\x0a\x08\x00\x1a\x01A\x22\x03\x12\x01v"), missing, 0, 14},
		{"no table", bytesOf(recordA), index, 0, 6},
		{"index one too high", bytesOf(keyP, recordA, "\x1a\x05\x08\x01\x1a\x01A"), index, 1, 16},
		{"index of 2^32, which Java takes for 0", bytesOf(keyP, "\x1a\x09\x08\x80\x80\x80\x80\x10\x1a\x01A"), index, 0, 9},
		{"index of 2^64-1", bytesOf(keyP, "\x1a\x0e\x08"+maximum+"\x1a\x01A"), index, 0, 9},
		{"explicit hash key index of 2^64-1", bytesOf(keyP, "\x1a\x10\x08\x00\x10"+maximum+"\x1a\x01A"), index, 0, 9},
		{"explicit hash key index without table", bytesOf(keyP, "\x1a\x07\x08\x00\x10\x00\x1a\x01A"), index, 0, 9},
	}
	for _, tt := range tests {
		checkMessage(t, tt.msg)
		_, err := aggregation.Decode(wrap(tt.msg))
		var bad *aggregation.MalformedError
		if !errors.As(err, &bad) {
			t.Errorf("%s: error %v, want a MalformedError", tt.name, err)
			continue
		}
		if bad.Reason != tt.reason || bad.Record != tt.record || bad.Offset != tt.offset {
			t.Errorf("%s: %v; want %q in record %d at byte %d", tt.name, err, tt.reason, tt.record, tt.offset)
		}
	}
}

// Numbers of three bytes whose third looks like the tag that would follow a
// number of two.
func TestDecodeLongNumbersThatLookShort(t *testing.T) {
	t.Parallel()
	keys := strings.Repeat("\x0a\x00", 20000)
	data := func(n int) string { return string(make([]byte, n)) }
	tests := []struct {
		name   string
		msg    []byte
		reason aggregation.Reason // empty for an aggregate of one record
	}{
		// Length 2 + 8<<14; read as two bytes it is 16386, then key index 0x48 and a
		// payload that ends in the right place.
		{"length", bytesOf(keys, "\x1a\x82\x80\x08", "\x48\x1a", "\xfd\x7f----", "\x08\x00\x1a\xf4\xff\x07", data(131060)), ""},
		// Index 26<<14; read as two bytes it is 16384, which the table has.
		{"partition key index", bytesOf(keys, "\x1a\x1f\x08\x80\x80\x1a\x1a\x19", data(25)), aggregation.ReasonIndex},
		{"explicit hash key index", bytesOf(keys, strings.ReplaceAll(keys, "\x0a", "\x12"),
			"\x1a\x21\x08\x00\x10\x80\x80\x1a\x1a\x19", data(25)), aggregation.ReasonIndex},
	}
	for _, tt := range tests {
		checkMessage(t, tt.msg)
		a, err := aggregation.Decode(wrap(tt.msg))
		var bad *aggregation.MalformedError
		switch {
		case tt.reason == "" && (err != nil || a.Len() != 1):
			t.Errorf("%s: %d records, %v", tt.name, a.Len(), err)
		case tt.reason != "" && (!errors.As(err, &bad) || bad.Reason != tt.reason):
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.reason)
		}
	}
}

// A damaged neighbour must not cost a record: the aggregate comes whole or not
// at all.
func TestDecodeHandsOutNothingBesideAnError(t *testing.T) {
	t.Parallel()
	good := newAggregate(t,
		aggregation.Record{PartitionKey: "a", Data: []byte("first")},
		aggregation.Record{PartitionKey: "b", ExplicitHashKey: "7", Data: []byte("second")})
	msg := good[4 : len(good)-16]
	for i := range msg {
		for bit := range 8 {
			damaged := append([]byte(nil), msg...)
			damaged[i] ^= 1 << bit
			checkMessage(t, damaged)
		}
		checkMessage(t, msg[:i])
	}
}

func TestDecodeAliasesItsInput(t *testing.T) {
	t.Parallel()
	data := newAggregate(t,
		aggregation.Record{PartitionKey: "pk", ExplicitHashKey: "12", Data: []byte("one")},
		aggregation.Record{PartitionKey: "pk", Data: []byte("two")})
	a, err := aggregation.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	inside := func(p *byte) bool {
		at := uintptr(unsafe.Pointer(p)) - uintptr(unsafe.Pointer(&data[0]))
		return at < uintptr(len(data))
	}
	before := string(data)
	for _, r := range a.Records() {
		if !inside(&r.Data[0]) || !inside(unsafe.StringData(r.PartitionKey)) ||
			r.ExplicitHashKey != "" && !inside(unsafe.StringData(r.ExplicitHashKey)) {
			t.Errorf("record %v was copied", r)
		}
		if cap(r.Data) != len(r.Data) {
			t.Errorf("payload has room for %d more bytes, which are not its own", cap(r.Data)-len(r.Data))
		}
		_ = append(r.Data, "overwritten?"...)
	}
	if string(data) != before {
		t.Error("appending to a payload changed its neighbour")
	}
}

func TestRecordsCanBeLeftAndTakenAgain(t *testing.T) {
	t.Parallel()
	a, err := aggregation.Decode(newAggregate(t,
		aggregation.Record{PartitionKey: "a"}, aggregation.Record{PartitionKey: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, r := range a.Records() {
			if r.PartitionKey != "a" {
				t.Errorf("first record is %q", r.PartitionKey)
			}
			break
		}
	}
	if len(collect(t, a)) != 2 {
		t.Error("records are gone after an early end")
	}
}

func TestZeroAggregateIsEmpty(t *testing.T) {
	t.Parallel()
	var a aggregation.Aggregate
	if in, err := a.InRange(aggregation.HashRange{}); len(collect(t, a)) != 0 || !in || err != nil {
		t.Errorf("the zero Aggregate is not empty, or out of range: %v, %v", in, err)
	}
}

// Whoever breaks the rule and changes the bytes loses records, and no more.
func TestChangingTheInputDoesNotPanic(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	source := newAggregate(t,
		aggregation.Record{PartitionKey: "a", ExplicitHashKey: "1", Data: make([]byte, 200)},
		aggregation.Record{PartitionKey: strings.Repeat("b", 200), Data: make([]byte, 3), Tags: mustTags(t, aggregation.Tag{Key: "k"})},
		aggregation.Record{PartitionKey: "a", Data: make([]byte, 30)})
	for range 3000 {
		data := append([]byte(nil), source...)
		a, err := aggregation.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + rng.IntN(4) {
			data[rng.IntN(len(data))] = byte(rng.Uint32())
		}
		for _, r := range a.Records() {
			for range r.Tags.All() {
			}
		}
		_, _ = a.InRange(aggregation.HashRange{})
	}
}

// Where MD5 is forbidden, every call that needs it fails and says why, and none
// panics. The setting is read when a process starts, hence another one.
func TestWithoutMD5(t *testing.T) {
	t.Parallel()
	if os.Getenv("AGGREGATION_TEST_WITHOUT_MD5") == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWithoutMD5$", "-test.v")
		child.Env = append(os.Environ(), "GODEBUG=fips140=only", "AGGREGATION_TEST_WITHOUT_MD5=1")
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("with GODEBUG=fips140=only: %v\n%s", err, out)
		}
		return
	}
	const says = "fips140"
	_, err := aggregation.Decode(readVectors(t).Vectors[0].Hex)
	var bad *aggregation.MalformedError
	if err == nil || !strings.Contains(err.Error(), says) || errors.Is(err, aggregation.ErrNotAggregated) || errors.As(err, &bad) {
		t.Errorf("Decode: %v", err)
	}
	if _, err := aggregation.Decode([]byte("plain")); err != aggregation.ErrNotAggregated {
		t.Errorf("Decode of an ordinary record: %v", err)
	}
	enc := aggregation.NewEncoder(1000)
	if err := enc.Append(aggregation.Record{PartitionKey: "p"}); err != nil {
		t.Errorf("Append: %v", err)
	}
	if _, err := enc.Seal(); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("Seal: %v", err)
	}
	if _, err := enc.First().HashKey(); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("HashKey: %v", err)
	}
	if k, err := (aggregation.Record{ExplicitHashKey: "7"}).HashKey(); err != nil || k.String() != "7" {
		t.Errorf("HashKey of an explicit one: %v, %v", k, err)
	}
}
