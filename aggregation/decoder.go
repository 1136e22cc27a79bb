package aggregation

import (
	"crypto/md5"
	"fmt"

	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// overhead is what an aggregate has around its message.
const overhead = len(Magic) + md5.Size

// Is reports whether data begins like an aggregate and is long enough to be
// one. [Decode] alone tells whether it is one.
func Is(data []byte) bool { return len(data) > overhead && string(data[:len(Magic)]) == Magic }

// Decode checks a Kinesis record's data and opens it as an aggregate. It makes
// at most one allocation, of 4 bytes per key, and none per record.
//
// Its errors are [ErrNotAggregated] for an ordinary record, a [*MalformedError]
// for one that only begins like an aggregate, and the reason why this process
// cannot compute MD5. With all of them the Kinesis record is still whole and the
// caller's to deliver.
//
// The Aggregate and all that comes out of it alias data.
func Decode(data []byte) (Aggregate, error) {
	var d Decoder
	return d.Decode(data)
}

// A Decoder decodes one aggregate after another without allocating. The zero
// value is ready for use.
type Decoder struct {
	offsets []uint32 // lent to the Aggregate last returned
}

// maxKept is how many key offsets a Decoder keeps between aggregates (64 KiB),
// so that one hostile record does not cost memory for ever.
const maxKept = 16 << 10

// Decode is the function [Decode], with the Decoder's memory: the Aggregate it
// returns is valid until the next call. Records already handed out stay valid.
func (d *Decoder) Decode(data []byte) (Aggregate, error) {
	if len(data) < len(Magic) || string(data[:len(Magic)]) != Magic {
		return Aggregate{}, ErrNotAggregated
	}
	if len(data) <= overhead {
		return Aggregate{}, &MalformedError{Reason: ReasonTooShort, Offset: len(data), Record: -1}
	}
	if err := shardmap.CheckMD5(); err != nil {
		return Aggregate{}, fmt.Errorf("aggregation: check the digest: %w", err)
	}
	end := len(data) - md5.Size
	if md5.Sum(data[len(Magic):end]) != [md5.Size]byte(data[end:]) {
		return Aggregate{}, &MalformedError{Reason: ReasonDigest, Offset: end, Record: -1}
	}
	return d.open(data[len(Magic):end])
}

// open decodes the message of an aggregate.
func (d *Decoder) open(msg []byte) (Aggregate, error) {
	s, err := scan(msg)
	if err != nil {
		return Aggregate{}, err
	}
	n := s.pks + s.ehks
	offsets := d.offsets
	if cap(offsets) < n {
		offsets = make([]uint32, n)
	}
	if d.offsets = offsets; cap(offsets) > maxKept {
		d.offsets = nil
	}
	a := Aggregate{
		msg:     msg,
		pks:     offsets[:s.pks:s.pks],
		ehks:    offsets[s.pks:n:n],
		records: s.records,
		first:   s.first,
	}
	a.locateKeys()
	return a, nil
}

// A summary is what a message turned out to hold.
type summary struct {
	records   int
	first     int // where in the message the first record stands
	pks, ehks int // entries of the tables

	// What the tables must hold: one more than the highest index used.
	needPKs, needEHKs uint64
}

// scan checks a whole message, so that reading it again cannot fail.
func scan(msg []byte) (summary, error) {
	if len(msg) > maxMessage {
		return summary{}, malformed(faultTooLong, 0, -1)
	}
	var s summary
	var r rawRecord
	for i := 0; i < len(msg); {
		// What writers make, fast; the same again below, slow but complete.
		if pk, ehk, _, next := shortRecord(msg, i); next > 0 {
			s.needPKs = max(s.needPKs, uint64(pk+1))
			s.needEHKs = max(s.needEHKs, uint64(ehk+1))
			s.addRecord(i)
			i = next
			continue
		}
		switch tag, next := shortString(msg, i); tag {
		case tagPartitionKey:
			s.pks++
			i = next
			continue
		case tagExplicitHashKey:
			s.ehks++
			i = next
			continue
		}
		tag, v, next, f := nextField(msg, i)
		if f != noFault {
			return s, malformed(f, i, -1)
		}
		switch tag {
		case tagPartitionKey:
			s.pks++
		case tagExplicitHashKey:
			s.ehks++
		case tagRecord:
			if at, f := r.parse(msg[:next], next-int(v)); f != noFault {
				return s, malformed(f, at, s.records)
			}
			s.addRecord(i)
			// An index of 2^64-1 must not wrap round to a need of 0.
			s.needPKs = max(s.needPKs, max(r.pk, r.pk+1))
			if r.hasEHK {
				s.needEHKs = max(s.needEHKs, max(r.ehk, r.ehk+1))
			}
		}
		i = next
	}
	if s.needPKs > uint64(s.pks) || s.needEHKs > uint64(s.ehks) {
		return s, indexError(msg, s)
	}
	return s, nil
}

func (s *summary) addRecord(at int) {
	if s.records == 0 {
		s.first = at
	}
	s.records++
}

// indexError finds the first record that names a missing key, in a message
// known to have one. Tables may follow the records that use them, so the
// first pass cannot tell.
func indexError(msg []byte, s summary) error {
	e := &MalformedError{Reason: ReasonIndex, Offset: len(Magic), Record: -1}
	for at, r := range rawRecords(msg) {
		e.Offset, e.Record = len(Magic)+at.from, e.Record+1
		switch {
		case r.pk >= uint64(s.pks):
			e.detail = fmt.Sprintf("partition key index %d, table of %d", r.pk, s.pks)
			return e
		case r.hasEHK && r.ehk >= uint64(s.ehks):
			e.detail = fmt.Sprintf("explicit hash key index %d, table of %d", r.ehk, s.ehks)
			return e
		}
	}
	return e
}
