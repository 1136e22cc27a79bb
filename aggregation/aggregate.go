package aggregation

import "iter"

// An Aggregate is an aggregate that has been checked. The zero value is empty.
type Aggregate struct {
	msg     []byte
	pks     []uint32 // where in msg the length of each partition key stands
	ehks    []uint32 // and of each explicit hash key
	records int
	first   int // where in msg the first record stands
}

// locateKeys fills the tables' offsets. In the order that writers use, tables
// first, it does not get to the records.
func (a *Aggregate) locateKeys() {
	pk, ehk := 0, 0
	for i := 0; i < len(a.msg) && pk+ehk < len(a.pks)+len(a.ehks); {
		at := i + 1
		shortTag, next := shortString(a.msg, i)
		tag := uint64(shortTag)
		if next == 0 {
			_, at = uvarint(a.msg, i) // tags, too, may be longer than need be
			tag, _, next, _ = nextField(a.msg, i)
		}
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
	return func(yield func(int, Record) bool) {
		for i, n := a.first, 0; ; n++ {
			pk, ehk, data, end, tags := a.read(i)
			if end == 0 || !yield(n, Record{PartitionKey: pk, ExplicitHashKey: ehk, Data: data, Tags: tags}) {
				return
			}
			i = end
		}
	}
}

// read returns the parts of the first record at or behind offset i of the
// message and where it ends, or an end of 0 if there is none. The parts come one
// by one because so they stay in registers, which a Record is too large for.
//
// What it reads has been checked; it looks again, and ends early, only because
// the caller may have broken the rule not to change data.
func (a *Aggregate) read(i int) (pk, ehk string, data []byte, end int, tags Tags) {
	for i < len(a.msg) {
		if pki, ehki, from, next := shortRecord(a.msg, i); next > 0 {
			if pki >= len(a.pks) || ehki >= len(a.ehks) {
				break
			}
			if ehki >= 0 {
				ehk = key(a.msg, a.ehks[ehki])
			}
			return key(a.msg, a.pks[pki]), ehk, a.msg[from:next:next], next, Tags{}
		}
		tag, v, next, f := nextField(a.msg, i)
		if f != noFault {
			break
		}
		if tag == tagRecord {
			var r Record
			if !a.record(&r, place{next - int(v), next}) {
				break
			}
			return r.PartitionKey, r.ExplicitHashKey, r.Data, next, r.Tags
		}
		i = next
	}
	return "", "", nil, 0, Tags{}
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
