package aggregation

import "iter"

// An Aggregate is an aggregate that has been checked. The zero value is empty.
type Aggregate struct {
	msg     []byte
	pks     []uint32 // where in msg the length of each partition key stands
	ehks    []uint32 // and of each explicit hash key
	records int
}

// locateKeys fills the tables' offsets. In the order that writers use, tables
// first, it does not get to the records.
func (a *Aggregate) locateKeys() {
	pk, ehk := 0, 0
	for i := 0; i < len(a.msg) && pk+ehk < len(a.pks)+len(a.ehks); {
		tag, _, next, _ := nextField(a.msg, i)
		_, at := uvarint(a.msg, i) // behind the tag, which may be longer than need be
		switch tag {
		case tagPartitionKey:
			a.pks[pk] = uint32(at)
			pk++
		case tagExplicitHashKey:
			a.ehks[ehk] = uint32(at)
			ehk++
		}
		i = next
	}
}

// Len returns the number of user records, which may be zero.
func (a Aggregate) Len() int { return a.records }

// Records yields the user records in order, each with its subsequence number,
// counted from 0. It may be used more than once.
func (a Aggregate) Records() iter.Seq2[int, Record] {
	return func(yield func(int, Record) bool) { a.walk(0, 0, yield) }
}

// walk yields the records from offset i of the message on, numbered from n, and
// returns where it stopped and the next number.
//
// What it reads has been checked; it looks again, and ends early, only because
// the caller may have broken the rule not to change data.
func (a *Aggregate) walk(i, n int, yield func(int, Record) bool) (int, int) {
	msg := a.msg
	for i < len(msg) {
		var r Record
		if pk, ehk, data, next := shortRecord(msg, i); next > 0 {
			if pk >= len(a.pks) || ehk >= len(a.ehks) {
				break
			}
			r.PartitionKey = key(msg, a.pks[pk])
			if ehk >= 0 {
				r.ExplicitHashKey = key(msg, a.ehks[ehk])
			}
			r.Data = msg[data:next:next]
			i = next
		} else {
			tag, v, next, f := nextField(msg, i)
			if f != noFault {
				break
			}
			i = next
			if tag != tagRecord {
				continue
			}
			if !a.record(&r, place{next - int(v), next}) {
				break
			}
		}
		n++
		if !yield(n-1, r) {
			return i, n
		}
	}
	return len(msg), n
}

// record sets r to the record at a place in the message.
func (a *Aggregate) record(r *Record, at place) bool {
	var raw rawRecord
	if _, f := raw.parse(a.msg[:at.to], at.from); f != noFault || !a.holds(&raw) {
		return false
	}
	raw.set(r, a.msg, at)
	r.PartitionKey = key(a.msg, a.pks[raw.pk])
	if raw.hasEHK {
		r.ExplicitHashKey = key(a.msg, a.ehks[raw.ehk])
	}
	return true
}

// holds reports whether the tables have the keys that r names.
func (a *Aggregate) holds(r *rawRecord) bool {
	return r.pk < uint64(len(a.pks)) && (!r.hasEHK || r.ehk < uint64(len(a.ehks)))
}

// key returns the table entry whose length stands at b[i].
func key(b []byte, i uint32) string {
	if at := int(i) + 1; at < len(b) {
		if end := at + int(b[i]); b[i] < 0x80 && end <= len(b) {
			return view(b[at:end])
		}
	}
	return longKey(b, i)
}

func longKey(b []byte, i uint32) string {
	n, at := uvarint(b, int(i))
	if at < 0 || n > uint64(len(b)-at) {
		return "" // b was changed after it was checked
	}
	return view(b[at : at+int(n)])
}
