package aggregation

import "hash/maphash"

// A keyTable is a key table of an open aggregate: the distinct keys in the
// order of their first use, in the form they will have on the wire, and an
// index to find them.
//
// The index is an open-addressing hash table that holds no strings, so that it
// costs the garbage collector nothing and a look-up allocates nothing. The hash
// is seeded, so that whoever chooses partition keys cannot choose collisions.
//
// Whoever fills a thousand aggregates at a time finds none of their memory in
// the processor's caches, and that is what a look-up costs. So it touches little:
// one slot of a small index, and a key only where its hash is right.
type keyTable struct {
	seed  maphash.Seed
	slots []slot // a power of two of them, at most half in use
	n     int    // keys
	last  entry  // the key found or added last, which truncate may have dropped
	wire  []byte // the fields, one per key
	tag   byte   // of a field on the wire

	spans []span // where each key stands in wire; of the first ones, as far as asked for
}

// A span is wire[from:to].
type span struct{ from, to uint32 }

// A slot is one place of the index, 0 if it is free. Of 2^n slots each has the
// index of its key + 1 in its lower n bits; in the others it has those bits of
// the key's hash, of which the lower ones have chosen the slot.
type slot uint32

const minSlots = 16

// An entry says where a key stands in its table, or would stand.
type entry struct {
	index int
	hash  uint32
}

// find returns the entry of key, which is behind the last if key is new.
func (t *keyTable) find(key string) entry {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
		t.slots = make([]slot, minSlots)
	}
	hash := t.hash(key)
	if t.last.hash == hash && t.has(t.last) && t.at(t.last.index) == key {
		return t.last
	}
	mask := slot(len(t.slots) - 1)
	for i := slot(hash); ; i++ {
		s := t.slots[i&mask]
		if s == 0 {
			return entry{t.n, hash}
		}
		if (s^slot(hash))&^mask == 0 {
			if index := int(s&mask) - 1; t.at(index) == key {
				t.last = entry{index, hash}
				return t.last
			}
		}
	}
}

func (t *keyTable) hash(key string) uint32 { return uint32(maphash.String(t.seed, key)) }

// has reports whether an entry that find returned is in the table.
func (t *keyTable) has(e entry) bool { return e.index < t.n }

// at returns key i. The string aliases the table's memory: it is good until the
// next reset, or truncate followed by add.
func (t *keyTable) at(i int) string {
	t.locate(i + 1)
	return view(t.wire[t.spans[i].from:t.spans[i].to])
}

// locate brings spans up to n keys.
func (t *keyTable) locate(n int) {
	for len(t.spans) < n {
		size, from := uvarint(t.wire, t.end()+1) // behind a tag of one byte
		t.spans = append(t.spans, span{uint32(from), uint32(from) + uint32(size)})
	}
}

// end returns where the last key of spans ends in wire.
func (t *keyTable) end() int {
	if len(t.spans) == 0 {
		return 0
	}
	return int(t.spans[len(t.spans)-1].to)
}

// add appends a key that find did not find.
func (t *keyTable) add(key string, hash uint32) {
	t.wire = appendString(t.wire, t.tag, key)
	t.last = entry{t.n, hash}
	if t.n++; 2*t.n <= len(t.slots) {
		t.place(t.last)
		return
	}
	t.slots = make([]slot, 2*len(t.slots))
	t.index()
}

// place puts a key into the first free slot for its hash.
func (t *keyTable) place(e entry) {
	mask := slot(len(t.slots) - 1)
	i := slot(e.hash)
	for t.slots[i&mask] != 0 {
		i++
	}
	t.slots[i&mask] = slot(e.hash)&^mask | slot(e.index+1)
}

// index puts all keys into slots that are free.
func (t *keyTable) index() {
	for i := range t.n {
		t.place(entry{i, t.hash(t.at(i))})
	}
}

// truncate keeps the first n keys.
func (t *keyTable) truncate(n int) {
	if n >= t.n {
		return
	}
	t.locate(n)
	t.n, t.spans = n, t.spans[:n]
	t.wire = t.wire[:t.end()]
	clear(t.slots)
	t.index()
}
