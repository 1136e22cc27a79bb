package aggregation

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// An Encoder is an open aggregate that grows in place. Use [NewEncoder] to make
// one.
//
// Append copies a record's payload to where it will stand in the sealed
// aggregate; nothing copies it again. Only the key tables, which stand before
// the records and grow as they do, are put in front by [Encoder.Seal], into
// headroom kept for them. An Encoder learns how much headroom its aggregates
// need: the first time, Seal moves the records once to make room.
//
// Once its buffers have grown an Encoder allocates nothing, and [Encoder.Reset]
// keeps them for the next aggregate.
type Encoder struct {
	max     int // size not to be exceeded by the second record or a later one
	size    int // of the sealed aggregate, overhead included
	records int

	// buf[start:] is the records as they stand on the wire. The key tables and
	// the magic will end at start. There is always capacity for a digest.
	buf   []byte
	start int

	pks, ehks keyTable
}

// minHeadroom is the room for key tables that a new Encoder keeps.
const minHeadroom = 512

// NewEncoder returns an empty Encoder whose aggregates do not exceed maxBytes.
// The KPL's default is 51,200; Kinesis takes records of up to 1 MiB, or 10 MiB
// where the stream allows it, and counts the partition key, one byte of
// [OuterPartitionKey], beside the data. A lone record may be larger; see
// [Encoder.Append].
func NewEncoder(maxBytes int) *Encoder {
	return &Encoder{
		max:  min(maxBytes, maxMessage),
		size: overhead,
		pks:  keyTable{tag: tagPartitionKey},
		ehks: keyTable{tag: tagExplicitHashKey},
	}
}

// measure finds out what r would do, changing nothing: which entries of the key
// tables it uses, the size of its message, and of the whole aggregate with it.
func (e *Encoder) measure(r *Record) (pk, ehk entry, inner, size int) {
	size = e.size
	if pk = e.pks.find(r.PartitionKey); !e.pks.has(pk) {
		size += fieldSize(len(r.PartitionKey))
	}
	inner = 1 + uvarintSize(pk.index) + fieldSize(len(r.Data))
	if r.ExplicitHashKey != "" {
		if ehk = e.ehks.find(r.ExplicitHashKey); !e.ehks.has(ehk) {
			size += fieldSize(len(r.ExplicitHashKey))
		}
		inner += 1 + uvarintSize(ehk.index)
	}
	if r.Tags.fields != "" {
		inner += r.Tags.size()
	}
	return pk, ehk, inner, size + fieldSize(inner)
}

// SizeWith returns the exact size the aggregate would have with r appended.
func (e *Encoder) SizeWith(r Record) int {
	_, _, _, size := e.measure(&r)
	return size
}

// Append adds a record to the end of the aggregate. It copies the record, which
// the caller may change afterwards.
//
// If the aggregate would exceed its maximum Append returns [ErrFull]. The first
// record is taken whatever its size, since it may be sent alone and bare (see
// [Encoder.First]). Other errors say what is wrong with the record: an explicit
// hash key must be canonical ([NormalizeHashKey]), and a partition key must be
// valid UTF-8, since a reader in Java would replace what is not. The lengths
// that Kinesis allows are the caller's to check. After any error the aggregate
// is as it was.
func (e *Encoder) Append(r Record) error {
	pk, ehk, inner, size := e.measure(&r)
	if size > e.max && (e.records > 0 || size > maxMessage) {
		return e.refuse(size)
	}
	newPK, newEHK := !e.pks.has(pk), r.ExplicitHashKey != "" && !e.ehks.has(ehk)
	if newPK || newEHK {
		if err := checkKeys(&r); err != nil {
			return err
		}
	}
	if newPK {
		e.pks.add(r.PartitionKey, pk.hash)
	}
	if newEHK {
		e.ehks.add(r.ExplicitHashKey, ehk.hash)
	}

	n, record := len(e.buf), fieldSize(inner)
	if cap(e.buf)-n < record+md5.Size {
		e.grow(record + md5.Size)
		n = len(e.buf)
	}
	e.buf = e.buf[:n+record]
	b := e.buf[n:]
	b[0] = tagRecord
	i := putUvarint(b, 1, inner)
	b[i] = tagPartitionKeyIndex
	i = putUvarint(b, i+1, pk.index)
	if r.ExplicitHashKey != "" {
		b[i] = tagExplicitHashKeyIndex
		i = putUvarint(b, i+1, ehk.index)
	}
	b[i] = tagData
	i = putUvarint(b, i+1, len(r.Data))
	i += copy(b[i:], r.Data)
	if r.Tags.fields != "" {
		r.Tags.appendTo(b[:i])
	}
	e.size = size
	e.records++
	return nil
}

// refuse returns why an aggregate of the given size cannot be.
func (e *Encoder) refuse(size int) error {
	if e.records > 0 {
		return ErrFull
	}
	return fmt.Errorf("aggregation: append: record makes %d bytes, a protobuf message holds at most %d", size, maxMessage)
}

func checkKeys(r *Record) error {
	if !utf8.ValidString(r.PartitionKey) {
		return fmt.Errorf("aggregation: append: partition key: %w", errUTF8)
	}
	if r.ExplicitHashKey == "" {
		return nil
	}
	if _, err := shardmap.ParseHashKey(r.ExplicitHashKey); err != nil {
		return fmt.Errorf("aggregation: append: explicit %w", err)
	}
	return nil
}

func putUvarint(b []byte, i, v int) int {
	if v < 0x80 {
		b[i] = byte(v)
		return i + 1
	}
	return i + binary.PutUvarint(b[i:], uint64(v))
}

// grow makes room for n more bytes, doubling up to what the maximum asks for.
func (e *Encoder) grow(n int) {
	records := e.buf[e.start:]
	e.start = max(e.start, minHeadroom)
	need := e.start + len(records) + n
	buf := make([]byte, e.start, max(need, e.start+min(2*cap(e.buf), e.max), 2*minHeadroom))
	e.buf = append(buf, records...)
}

// Len returns the number of records.
func (e *Encoder) Len() int { return e.records }

// Size returns the exact size of what [Encoder.Seal] returns.
func (e *Encoder) Size() int {
	if e.records == 0 {
		return 0
	}
	return e.size
}

// First returns the first record, or the zero Record if there is none. Its hash
// key is the explicit hash key of the Kinesis record. A record that is alone is
// sent bare: its Data as the Kinesis record's, with its own partition key.
//
// The result aliases the Encoder's memory and is valid until the next Truncate
// or Reset.
func (e *Encoder) First() Record {
	for _, r := range e.Records() {
		return r
	}
	return Record{}
}

// Records yields the records in order, numbered from 0. They alias the
// Encoder's memory and are valid until the next Truncate or Reset.
func (e *Encoder) Records() iter.Seq2[int, Record] {
	return func(yield func(int, Record) bool) {
		msg := e.buf[e.start:]
		for n, i := 0, 0; i < len(msg); n++ {
			var r Record
			if r, i = e.read(msg, i); i == 0 || !yield(n, r) {
				return
			}
		}
	}
}

// read returns the record at msg[i] and where it ends, which is 0 if somebody has
// changed it.
func (e *Encoder) read(msg []byte, i int) (r Record, next int) {
	pk, ehk, data, next := shortRecord(msg, i)
	if next > 0 {
		r.Data = msg[data:next:next]
	} else {
		_, size, end, f := nextField(msg, i)
		at := place{end - int(size), end}
		var raw rawRecord
		if f != noFault {
			return r, 0
		}
		if _, f = raw.parse(msg[:end], at.from); f != noFault {
			return r, 0
		}
		raw.set(&r, msg, at)
		if pk, ehk, next = int(raw.pk), -1, end; raw.hasEHK {
			ehk = int(raw.ehk)
		}
	}
	r.PartitionKey = e.pks.at(pk)
	if ehk >= 0 {
		r.ExplicitHashKey = e.ehks.at(ehk)
	}
	return r, next
}

// Truncate keeps the first n records and drops the rest, with the keys that
// only they used: the aggregate is as if they had never been appended. It reads
// over the records kept. An n of Len or more changes nothing; below 0 it counts
// as 0.
func (e *Encoder) Truncate(n int) {
	if n >= e.records {
		return
	}
	e.records = max(n, 0)
	kept, end, pks, ehks := 0, 0, 0, 0
	for at, raw := range rawRecords(e.buf[e.start:]) {
		if kept == e.records {
			break
		}
		kept, end = kept+1, at.to
		pks = max(pks, int(raw.pk)+1)
		if raw.hasEHK {
			ehks = max(ehks, int(raw.ehk)+1)
		}
	}
	e.buf = e.buf[:e.start+end]
	e.pks.truncate(pks)
	e.ehks.truncate(ehks)
	e.size = overhead + len(e.pks.wire) + len(e.ehks.wire) + end
}

// Seal returns the aggregate, complete with key tables and digest, or nil if it
// is empty. It fails only where the process may not compute MD5. The result
// aliases the Encoder's memory and is valid until the next Append, Truncate or
// Reset, all of which may follow.
func (e *Encoder) Seal() ([]byte, error) {
	if e.records == 0 {
		return nil, nil
	}
	if err := shardmap.CheckMD5(); err != nil {
		return nil, fmt.Errorf("aggregation: seal: %w", err)
	}
	// What is sealed may be read by several, and then nothing is left to be found.
	e.pks.locate(e.pks.n)
	e.ehks.locate(e.ehks.n)
	head := len(Magic) + len(e.pks.wire) + len(e.ehks.wire)
	if head > e.start {
		e.moveRecords(head + head/4)
	}
	out := e.buf[e.start-head : len(e.buf)+md5.Size : len(e.buf)+md5.Size]
	n := copy(out, Magic)
	n += copy(out[n:], e.pks.wire)
	copy(out[n:], e.ehks.wire)
	end := len(out) - md5.Size
	sum := md5.Sum(out[len(Magic):end])
	copy(out[end:], sum[:])
	return out, nil
}

// moveRecords makes the headroom larger.
func (e *Encoder) moveRecords(start int) {
	records := e.buf[e.start:]
	buf := e.buf
	if cap(buf) < start+len(records)+md5.Size {
		buf = make([]byte, 0, start+max(len(records)+md5.Size, cap(e.buf)-e.start))
	}
	e.buf = buf[:start+len(records)]
	copy(e.buf[start:], records)
	e.start = start
}

// Reset empties the Encoder, which keeps its buffers unless a lone record made
// them larger than the maximum asks for. What Seal, First and Records returned
// is no longer valid.
func (e *Encoder) Reset() {
	if e.oversized() {
		*e = *NewEncoder(e.max)
		return
	}
	e.records, e.size = 0, overhead
	e.buf = e.buf[:e.start]
	e.pks.truncate(0)
	e.ehks.truncate(0)
}

// oversized reports whether a buffer is larger than aggregates of the maximum
// size can make it.
func (e *Encoder) oversized() bool {
	largest := 2 * (e.max + minHeadroom)
	return e.max < maxMessage/4 &&
		(cap(e.buf)-e.start > largest || e.start > largest || cap(e.pks.wire) > largest)
}
