package aggregation

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
)

// Protobuf tags of the format: field number << 3 | wire type.
const (
	tagPartitionKey    = 0x0A
	tagExplicitHashKey = 0x12
	tagRecord          = 0x1A

	tagPartitionKeyIndex    = 0x08
	tagExplicitHashKeyIndex = 0x10
	tagData                 = 0x1A
	tagTag                  = 0x22

	tagTagKey   = 0x0A
	tagTagValue = 0x12
)

// maxMessage is the largest message protobuf allows. It also lets offsets be
// kept in 32 bits.
const maxMessage = math.MaxInt32

// A fault is a reason why bytes are not a message of the format.
type fault uint8

const (
	noFault fault = iota
	faultTooLong
	faultTruncated
	faultVarint
	faultFieldNumber
	faultWireType
	faultEndGroup
	faultGroup
	faultNoPartitionKeyIndex
	faultNoData
	faultNoTagKey
)

// uvarint reads the varint at b[i] and returns its value and where it ends. A
// negative end is a fault: its value is then meaningless.
func uvarint(b []byte, i int) (uint64, int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return longUvarint(b, i)
}

// longUvarint is uvarint without the short cut for one byte. As every protobuf
// reader it takes up to ten bytes, also where fewer would do.
func longUvarint(b []byte, i int) (uint64, int) {
	v, n := binary.Uvarint(b[min(i, len(b)):])
	switch {
	case n > 0:
		return v, i + n
	case n < 0:
		return 0, -int(faultVarint)
	}
	return 0, -int(faultTruncated)
}

// nextField reads the field at b[i] and returns its tag and where it ends. For
// a varint v is its value; for a string, bytes or message v is the length of
// its content, which stands at b[next-v : next]. Other types are skipped.
func nextField(b []byte, i int) (tag, v uint64, next int, f fault) {
	tag, i = uvarint(b, i)
	switch {
	case i < 0:
		return 0, 0, 0, fault(-i)
	case tag>>3 == 0 || tag > math.MaxUint32:
		return 0, 0, 0, faultFieldNumber
	}
	switch tag & 7 {
	case 0:
		if v, i = uvarint(b, i); i < 0 {
			return 0, 0, 0, fault(-i)
		}
	case 1:
		i += 8
	case 2:
		if v, i = uvarint(b, i); i < 0 {
			return 0, 0, 0, fault(-i)
		}
		if v > uint64(len(b)-i) {
			return 0, 0, 0, faultTruncated
		}
		i += int(v)
	case 3:
		return 0, 0, 0, faultGroup
	case 4:
		return 0, 0, 0, faultEndGroup
	case 5:
		i += 4
	default:
		return 0, 0, 0, faultWireType
	}
	if i > len(b) {
		return 0, 0, 0, faultTruncated
	}
	return tag, v, i, noFault
}

// A rawRecord is a message Record with its keys still indexes.
type rawRecord struct {
	pk, ehk      uint64
	hasPK        bool
	hasEHK       bool
	hasTags      bool
	data, dataTo int // b[data:dataTo] is the payload
}

// shortRecord reads the field at msg[i] if it is a record as writers make them:
// fields in order, no tags, nothing above 16 KiB. It returns the indexes of the
// keys (ehk is -1 if the record has none), where the payload begins, and where
// it and the field end; a next of 0 means that it is not such a record, which
// leaves it to nextField and parse to say what it is. It finds nothing that they
// do not, in a quarter of the time.
func shortRecord(msg []byte, i int) (pk, ehk, data, next int) {
	const longestHead = 12 // two bytes each for length and indexes
	b := msg[i:]
	if len(b) < longestHead || b[0] != tagRecord {
		return 0, 0, 0, 0
	}
	size, at := shortUvarint(b, 1)
	end := at + size
	if size >= short || end > len(b) || b[at] != tagPartitionKeyIndex {
		return 0, 0, 0, 0
	}
	pk, at = shortUvarint(b, at+1)
	ehk = -1
	if b[at] == tagExplicitHashKeyIndex {
		ehk, at = shortUvarint(b, at+1)
	}
	if b[at] != tagData {
		return 0, 0, 0, 0
	}
	size, at = shortUvarint(b, at+1) // a longer size cannot end where its message does
	if pk >= short || ehk >= short || at+size != end {
		return 0, 0, 0, 0
	}
	return pk, ehk, i + at, i + end
}

// shortString reads the field at b[i] if it has a one-byte tag, is a string,
// bytes or message of less than 128 bytes, and is whole. It returns the tag and
// where the field ends, or an end of 0, which leaves the field to nextField.
func shortString(b []byte, i int) (tag byte, next int) {
	if i+1 < len(b) && b[i]&0x87 == 2 && b[i+1] < 0x80 {
		if next = i + 2 + int(b[i+1]); next <= len(b) {
			return b[i], next
		}
	}
	return 0, 0
}

// short bounds what shortUvarint can read. It returns more for a longer varint.
const short = 1 << 14

// shortUvarint reads a varint of one or two bytes. There must be two.
func shortUvarint(b []byte, i int) (v, next int) {
	v = int(b[i])
	if v < 0x80 {
		return v, i + 1
	}
	return v&0x7f | int(b[i+1])<<7, i + 2
}

// parse reads the message Record that is b[i:]: fields in any order, the last of
// repeated ones counting, unknown ones skipped. If that fails it returns the
// fault and the offset of the field at fault.
func (r *rawRecord) parse(b []byte, i int) (int, fault) {
	*r = rawRecord{data: -1}
	start := i
	for i < len(b) {
		tag, v, next, f := nextField(b, i)
		if f != noFault {
			return i, f
		}
		switch tag {
		case tagPartitionKeyIndex:
			r.pk, r.hasPK = v, true
		case tagExplicitHashKeyIndex:
			r.ehk, r.hasEHK = v, true
		case tagData:
			r.data, r.dataTo = next-int(v), next
		case tagTag:
			if _, f := parseTag(b[:next], next-int(v)); f != noFault {
				return i, f
			}
			r.hasTags = true
		}
		i = next
	}
	switch {
	case !r.hasPK:
		return start, faultNoPartitionKeyIndex
	case r.data < 0:
		return start, faultNoData
	}
	return 0, noFault
}

// A place is where a message Record stands in a message: msg[from:to].
type place struct{ from, to int }

// rawRecords yields every message Record of msg, which has been checked. If it
// was changed since, the sequence ends early.
func rawRecords(msg []byte) iter.Seq2[place, *rawRecord] {
	return func(yield func(place, *rawRecord) bool) {
		var r rawRecord
		for i := 0; i < len(msg); {
			tag, v, next, f := nextField(msg, i)
			if f != noFault {
				return
			}
			if tag == tagRecord {
				at := place{next - int(v), next}
				if _, f := r.parse(msg[:next], at.from); f != noFault || !yield(at, &r) {
					return
				}
			}
			i = next
		}
	}
}

// set sets out to the parts of a user record that stand in msg itself, which is
// all but its keys.
func (r *rawRecord) set(out *Record, msg []byte, at place) {
	*out = Record{Data: msg[r.data:r.dataTo:r.dataTo]}
	if r.hasTags {
		out.Tags.fields = view(msg[at.from:at.to])
	}
}

// parseTag reads the message Tag that is b[i:].
func parseTag(b []byte, i int) (t Tag, f fault) {
	hasKey := false
	for i < len(b) {
		tag, v, next, f := nextField(b, i)
		if f != noFault {
			return Tag{}, f
		}
		switch tag {
		case tagTagKey:
			t.Key, hasKey = view(b[next-int(v):next]), true
		case tagTagValue:
			t.Value, t.HasValue = view(b[next-int(v):next]), true
		}
		i = next
	}
	if !hasKey {
		return Tag{}, faultNoTagKey
	}
	return t, noFault
}

// uvarintSize returns the number of bytes v takes as a varint.
func uvarintSize(v int) int { return (9*bits.Len64(uint64(v)) + 64) / 64 }

// fieldSize returns the number of bytes of a field with n bytes of content.
func fieldSize(n int) int { return 1 + uvarintSize(n) + n }
