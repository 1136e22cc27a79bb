package aggregation

import "hash/maphash"

// A keyTable is a key table of an open aggregate: the distinct keys in the
// order of their first use, in the form they will have on the wire, and an
// index to find them.
//
// The index is an open-addressing hash table that holds no strings, so that it
// costs the garbage collector nothing and a look-up allocates nothing. Entries
// leave only from the end, last in first out, which keeps every probe sequence
// whole without tombstones. The hash is seeded, so that whoever chooses
// partition keys cannot choose collisions.
type keyTable struct {
	tag  byte   // of a field on the wire
	wire []byte // the fields, one per key
	ends []span // where each key stands in wire

	slots []slot // a power of two of them, at most half in use
	seed  maphash.Seed

	last int // the key found or added last, which truncate may have dropped
}

// A span is keys[from:to].
type span struct{ from, to uint32 }

// A slot is one place of the index. The zero slot is free.
type slot struct {
	hash uint32 // upper half, to spare most comparisons
	key  uint32 // index of the key + 1
}

const minSlots = 16

// An entry says where a key stands in its table, or would stand.
type entry struct {
	index int
	hash  uint64 // for add
}

// find returns the entry of key, which is behind the last if key is new.
func (t *keyTable) find(key string) entry {
	if t.last < len(t.ends) {
		if at := t.ends[t.last]; string(t.wire[at.from:at.to]) == key {
			return entry{index: t.last}
		}
	}
	return t.lookUp(key)
}

// has reports whether an entry that find returned is in the table.
func (t *keyTable) has(e entry) bool { return e.index < len(t.ends) }

func (t *keyTable) lookUp(key string) entry {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
		t.slots = make([]slot, minSlots)
	}
	hash := maphash.String(t.seed, key)
	mask := len(t.slots) - 1
	for i := int(hash) & mask; t.slots[i].key != 0; i = (i + 1) & mask {
		s := t.slots[i]
		if s.hash == uint32(hash>>32) && t.at(int(s.key-1)) == key {
			t.last = int(s.key - 1)
			return entry{index: t.last}
		}
	}
	return entry{index: len(t.ends), hash: hash}
}

// at returns key i. The string aliases the table's memory: it is good until the
// next reset, or truncate followed by add.
func (t *keyTable) at(i int) string {
	at := t.ends[i]
	return view(t.wire[at.from:at.to])
}

// add appends a key that find did not find.
func (t *keyTable) add(key string, hash uint64) {
	t.wire = appendString(t.wire, t.tag, key)
	t.last = len(t.ends)
	t.ends = append(t.ends, span{uint32(len(t.wire) - len(key)), uint32(len(t.wire))})
	if 2*len(t.ends) <= len(t.slots) {
		t.place(t.last, hash)
		return
	}
	t.slots = make([]slot, 2*len(t.slots))
	for i := range t.ends {
		t.place(i, maphash.String(t.seed, t.at(i)))
	}
}

// place puts key i into the first free slot for its hash. Keys are placed in
// their order.
func (t *keyTable) place(i int, hash uint64) {
	mask := len(t.slots) - 1
	at := int(hash) & mask
	for t.slots[at].key != 0 {
		at = (at + 1) & mask
	}
	t.slots[at] = slot{hash: uint32(hash >> 32), key: uint32(i + 1)}
}

// truncate keeps the first n keys.
func (t *keyTable) truncate(n int) {
	if n >= len(t.ends) {
		return
	}
	if n == 0 {
		clear(t.slots)
		t.wire = t.wire[:0]
	} else {
		for i, s := range t.slots {
			if int(s.key) > n {
				t.slots[i] = slot{}
			}
		}
		t.wire = t.wire[:t.ends[n-1].to]
	}
	t.ends = t.ends[:n]
}
