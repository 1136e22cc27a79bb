package aggregation_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kinesis-go/kinesis/aggregation"
)

// checkMessage decodes a message, magic and digest put around it, and compares
// the outcome with the oracle's. The one deviation is that groups are refused.
func checkMessage(tb testing.TB, msg []byte) {
	tb.Helper()
	data := wrap(msg)
	a, err := aggregation.Decode(data)
	if len(msg) == 0 {
		if err == nil {
			tb.Error("empty message accepted")
		}
		return
	}
	want, badIndex, oracleErr := oracleDecode(tb, msg)
	if err == nil {
		if oracleErr != nil || badIndex {
			tb.Fatalf("message %x accepted; the oracle: %v, bad index %v", msg, oracleErr, badIndex)
		}
		if d := diff(want, foldTags(tb, collect(tb, a))); d != "" {
			tb.Fatalf("message %x: records (-oracle +ours):\n%s", msg, d)
		}
		checkReencoding(tb, a)
		return
	}
	var bad *aggregation.MalformedError
	if !errors.As(err, &bad) {
		tb.Fatalf("message %x: %v is no MalformedError", msg, err)
	}
	if a.Len() != 0 {
		tb.Fatalf("message %x: %d records beside an error", msg, a.Len())
	}
	if bad.Offset < len(aggregation.Magic) || bad.Offset > len(data) {
		tb.Errorf("message %x: fault at byte %d of %d", msg, bad.Offset, len(data))
	}
	switch bad.Reason {
	case aggregation.ReasonGroup:
	case aggregation.ReasonIndex:
		if oracleErr != nil || !badIndex {
			tb.Fatalf("message %x: %v; the oracle: %v, bad index %v", msg, err, oracleErr, badIndex)
		}
	case aggregation.ReasonSyntax, aggregation.ReasonMissingField:
		if oracleErr == nil {
			tb.Fatalf("message %x: %v, but the oracle accepts it", msg, err)
		}
	default:
		tb.Fatalf("message %x: reason %q", msg, bad.Reason)
	}
}

// checkReencoding appends what was decoded to an Encoder, which refuses keys
// that no producer may write, and decodes that again.
func checkReencoding(tb testing.TB, a aggregation.Aggregate) {
	tb.Helper()
	want := collect(tb, a)
	enc := aggregation.NewEncoder(1 << 30)
	for _, r := range want {
		if enc.Append(r) != nil {
			return
		}
	}
	data, err := enc.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	if data == nil {
		return
	}
	again, err := aggregation.Decode(data)
	if err != nil {
		tb.Fatalf("re-encoded: %v", err)
	}
	if d := diff(want, collect(tb, again)); d != "" {
		tb.Fatalf("re-encoded (-first +second):\n%s", d)
	}
}

func FuzzDecode(f *testing.F) {
	vectors := readVectors(f)
	for _, v := range vectors.Vectors {
		f.Add([]byte(v.Hex))
		if len(v.Hex) > 20 {
			f.Add([]byte(v.Hex[4 : len(v.Hex)-16]))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := aggregation.Decode(b); err == nil {
			checkMessage(t, b[4:len(b)-16])
			if a.Len() == 0 && len(collect(t, a)) != 0 {
				t.Error("records in an empty aggregate")
			}
		} else if bad := (*aggregation.MalformedError)(nil); aggregation.Is(b) !=
			(errors.As(err, &bad) && bad.Reason != aggregation.ReasonTooShort) {
			t.Errorf("Is(%x) = %v, but Decode says %v", b, aggregation.Is(b), err)
		}
		checkMessage(t, b)
	})
}

// A script makes records and truncations out of a fuzzer's bytes.
type script struct{ b []byte }

func (s *script) byte() int {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return int(c)
}

func (s *script) record(tb testing.TB) aggregation.Record {
	r := aggregation.Record{PartitionKey: fmt.Sprint("key-", s.byte()%200)}
	shape := s.byte()
	if shape&1 != 0 {
		r.ExplicitHashKey = fmt.Sprint(s.byte() % 150)
	}
	n := s.byte()
	if shape&2 != 0 {
		n *= 100 // lengths of one, two and three bytes
	}
	r.Data = make([]byte, n)
	for i := range r.Data {
		r.Data[i] = byte(i * shape)
	}
	if shape&12 == 12 {
		r.Tags = mustTags(tb, aggregation.Tag{Key: fmt.Sprint("tag", n)}, aggregation.Tag{Key: "v", Value: fmt.Sprint(n), HasValue: true})
	}
	return r
}

// checkScript runs a script on an Encoder and on a list of records, and compares
// the two after every step.
func checkScript(t *testing.T, b []byte) {
	s := script{b}
	limit := s.byte()*256 + s.byte()
	enc := aggregation.NewEncoder(limit)
	var model []aggregation.Record
	var scratch []byte
	for len(s.b) > 0 {
		switch op := s.byte(); {
		case op < 16:
			n := s.byte() % (len(model) + 1)
			enc.Truncate(n)
			model = model[:n]
		case op < 20:
			enc.Reset()
			model = nil
		case op < 24:
			if _, err := enc.Seal(); err != nil {
				t.Fatal(err)
			}
		default:
			r := s.record(t)
			given := r
			scratch = append(scratch[:0], r.Data...)
			given.Data = scratch // reused for the next record: Append must copy
			before, with := enc.Size(), enc.SizeWith(given)
			err := enc.Append(given)
			switch {
			case len(model) > 0 && with > limit:
				if err != aggregation.ErrFull || enc.Size() != before {
					t.Fatalf("Append beyond the limit: %v, size %d then %d", err, before, enc.Size())
				}
			case err != nil:
				t.Fatal(err)
			default:
				model = append(model, r)
				if enc.Size() != with {
					t.Fatalf("SizeWith = %d, then Size = %d", with, enc.Size())
				}
			}
		}
		if enc.Len() != len(model) {
			t.Fatalf("Len = %d, want %d", enc.Len(), len(model))
		}
	}
	if limit < enc.Size() && enc.Len() > 1 {
		t.Fatalf("size %d exceeds the limit %d", enc.Size(), limit)
	}
	checkAggregate(t, enc, model)
}

func checkAggregate(t *testing.T, enc *aggregation.Encoder, model []aggregation.Record) {
	t.Helper()
	i := 0
	for n, r := range enc.Records() {
		if n != i {
			t.Fatalf("record %d is numbered %d", i, n)
		}
		if d := diff(model[i:i+1], []aggregation.Record{r}); d != "" {
			t.Fatalf("record %d in the encoder (-want +got):\n%s", i, d)
		}
		i++
	}
	data, err := enc.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if i != len(model) || len(data) != enc.Size() {
		t.Fatalf("%d records, %d bytes; want %d, %d", i, len(data), len(model), enc.Size())
	}
	if len(model) == 0 {
		if data != nil {
			t.Fatalf("empty aggregate sealed as %x", data)
		}
		return
	}
	if want := oracleEncode(t, model); string(data) != string(want) {
		t.Fatalf("sealed %x, the oracle writes %x", data, want)
	}
	a, err := aggregation.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(model, collect(t, a)); d != "" {
		t.Fatalf("decoded (-want +got):\n%s", d)
	}
}

func FuzzRoundTrip(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		b := make([]byte, 30*n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	// Long enough for indexes of two bytes and tables beyond the first headroom.
	long := binary.BigEndian.AppendUint16(nil, 60000)
	for i := range 300 {
		long = append(long, 200, byte(i), 1, byte(i), 3)
	}
	f.Add(long)
	f.Fuzz(checkScript)
}
