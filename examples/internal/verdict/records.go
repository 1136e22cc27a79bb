package verdict

import (
	"math/bits"
	"sync"
)

// records holds one stripe of the records.
type records struct {
	mu     sync.Mutex
	blocks map[uint64]*block

	// contents is the content of every record put, in chunks so that growing
	// copies nothing. It is read only to judge deliveries that fit no put.
	contents [][]uint64
	unknown  []uint64
	strays   map[stray]struct{}

	nPut     int64 // records put
	nMatched int64 // of those, delivered
	nSeen    int64 // positions delivered
	nAgain   int64 // deliveries after the first of their position and content
}

// A block is up to 64 neighbours in one record of the stream: all of it if it
// holds one user record, an eighth of a common aggregate.
type block struct {
	put, delivered uint64
	place          uint32

	// contents holds the content of every record whose two bits differ. It is nil
	// when there is none.
	contents []uint64
}

// A stray is a delivery that disagrees with what was put at its position.
type stray struct {
	block   *block
	bit     uint
	content uint64
}

// news says what a delivery adds to what is known.
type news int

const (
	again     news = iota // the position and content were delivered before
	first                 // the first delivery of this position
	different             // another content than the position's own
)

func (r *records) put(b *block, bit uint, content uint64) {
	r.nPut++
	if n := len(r.contents); n == 0 || len(r.contents[n-1]) == cap(r.contents[n-1]) {
		// Chunks grow with the stripe, so that a short run stays small.
		r.contents = append(r.contents, make([]uint64, 0, min(8<<min(n, 10), 8192)))
	}
	last := &r.contents[len(r.contents)-1]
	*last = append(*last, content)

	mask := uint64(1) << bit
	switch {
	case b.put&mask != 0: // a second record at this position is lost
	case b.delivered&mask == 0:
		b.put |= mask
		b.set(bit, content)
	case b.contents[bit] == content:
		b.put |= mask
		r.matched(b)
	default:
		r.stray(stray{b, bit, b.contents[bit]})
		r.nSeen--
		b.delivered &^= mask
		b.put |= mask
		b.set(bit, content)
	}
}

func (r *records) deliver(b *block, bit uint, content uint64) news {
	mask := uint64(1) << bit
	switch put, delivered := b.put&mask != 0, b.delivered&mask != 0; {
	case put && delivered, delivered && b.contents[bit] == content:
		r.nAgain++
		return again
	case !put && !delivered:
		b.delivered |= mask
		b.set(bit, content)
		r.nSeen++
		return first
	case !delivered && b.contents[bit] == content:
		b.delivered |= mask
		r.nSeen++
		r.matched(b)
		return first
	default:
		return r.stray(stray{b, bit, content})
	}
}

// matched counts a record as put and delivered, and forgets the contents of its
// block when none is waiting.
func (r *records) matched(b *block) {
	r.nMatched++
	if b.put == b.delivered {
		b.contents = nil
	}
}

func (r *records) stray(s stray) news {
	if _, ok := r.strays[s]; ok {
		r.nAgain++
		return again
	}
	if r.strays == nil {
		r.strays = make(map[stray]struct{})
	}
	r.strays[s] = struct{}{}
	return different
}

// strange adds the contents of the deliveries that fit no put.
func (r *records) strange(contents map[uint64]int64) {
	for s := range r.strays {
		contents[s.content]++
	}
	for _, b := range r.blocks {
		for rest := b.delivered &^ b.put; rest != 0; rest &= rest - 1 {
			contents[b.contents[bits.TrailingZeros64(rest)]]++
		}
	}
}

// set stores the content of a record that waits for its other half.
func (b *block) set(bit uint, content uint64) {
	if bit >= uint(len(b.contents)) {
		n := 64
		if bit == 0 {
			n = 1 // often a record that was not aggregated
		}
		b.contents = append(make([]uint64, 0, n), b.contents...)[:n]
	}
	b.contents[bit] = content
}
