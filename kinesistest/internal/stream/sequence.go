package stream

import "math/bits"

// A sequence is a sequence number taken apart. AWS writes 186 bits in decimal,
// from the highest bit:
//
//	2   the constant 10
//	36  when the shard was created, in seconds
//	4   the low bits of the shard's index
//	64  a counter
//	8   zero
//	36  when the record was stored, in seconds
//	32  the shard's index
//	4   the version, 2
//
// So numbers rise within a shard by counter, and those of a child, which is
// created after its parent, are above all of the parent's. The zero counter is
// a shard's start; records count from 1.
type sequence struct {
	created int64
	index   uint32
	counter uint64
	stored  int64
}

const (
	sequenceDigits  = 56
	sequenceVersion = 2

	// lastCounter is the counter of the sequence number that ends a closed
	// shard.
	lastCounter = 1<<63 - 1

	seconds36 = 1<<36 - 1
	ten19     = 10_000_000_000_000_000_000
)

// words returns the number as three 64-bit words, high word first.
func (q sequence) words() (a, b, c uint64) {
	a = 1<<57 | uint64(q.created&seconds36)<<20 | uint64(q.index&15)<<16 | q.counter>>48
	b = q.counter<<16 | uint64(q.stored&seconds36)>>28
	c = uint64(q.stored)<<36 | uint64(q.index)<<4 | sequenceVersion
	return a, b, c
}

// append appends the 56 decimal digits of q to dst.
func (q sequence) append(dst []byte) []byte {
	a, b, c := q.words()
	var buf [sequenceDigits]byte
	i := len(buf)
	for range 2 {
		var r uint64
		a, r = a/ten19, a%ten19
		b, r = bits.Div64(r, b, ten19)
		c, r = bits.Div64(r, c, ten19)
		for range 9 {
			i -= 2
			p := pairs[r%100]
			buf[i], buf[i+1] = p[0], p[1]
			r /= 100
		}
		i--
		buf[i] = byte('0' + r)
	}
	for i > 0 { // what is left is below 10^18
		i -= 2
		p := pairs[c%100]
		buf[i], buf[i+1] = p[0], p[1]
		c /= 100
	}
	return append(dst, buf[:]...)
}

// pairs has 00 to 99: two digits at a time halve the divisions.
var pairs = func() (p [100][2]byte) {
	for i := range p {
		p[i] = [2]byte{byte('0' + i/10), byte('0' + i%10)}
	}
	return p
}()

func (q sequence) String() string { return string(q.append(nil)) }

// before reports whether q is below o, both being of one shard.
func (q sequence) before(o sequence) bool {
	return q.counter < o.counter || q.counter == o.counter && q.stored < o.stored
}

// parseSequence takes a sequence number apart. It refuses what is not in the
// layout.
func parseSequence(s string) (sequence, bool) {
	if len(s) != sequenceDigits {
		return sequence{}, false
	}
	var a, b, c uint64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return sequence{}, false
		}
		// (a, b, c) = (a, b, c)*10 + d; 56 digits fit in 192 bits.
		var carry, over uint64
		over, c = bits.Mul64(c, 10)
		c, carry = bits.Add64(c, uint64(d), 0)
		over += carry
		hi, lo := bits.Mul64(b, 10)
		b, carry = bits.Add64(lo, over, 0)
		a = a*10 + hi + carry
	}
	if a>>56 != 2 || c&15 != sequenceVersion || b>>8&0xff != 0 {
		return sequence{}, false
	}
	q := sequence{
		created: int64(a >> 20 & seconds36),
		index:   uint32(c >> 4),
		counter: a<<48 | b>>16,
		stored:  int64(b&0xff)<<28 | int64(c>>36),
	}
	return q, uint32(a>>16&15) == q.index&15
}
