package wire

import "strings"

// arenaBytes is the size of the blocks that the strings of an answer are copied
// into: so much is kept by whoever keeps one of them.
const arenaBytes = 4 << 10

// An arena makes many small strings with few allocations.
type arena struct {
	block strings.Builder
	first int // the size of the first block, 0 for a whole one
}

// make returns b as a string.
func (a *arena) make(b []byte) string {
	if len(b) > arenaBytes/4 {
		return string(b)
	}
	if a.block.Cap()-a.block.Len() < len(b) {
		size := arenaBytes
		if a.first > 0 {
			size = min(max(a.first, len(b)), size)
			a.first = 0
		}
		a.block.Reset()
		a.block.Grow(size)
	}
	n := a.block.Len()
	a.block.Write(b)
	return a.block.String()[n:]
}

// blockBytes is the size of the blocks that data are decoded into: so much is
// kept by whoever keeps the data of one record. A block stays in the processor's
// cache from the moment that it is allocated, and cleared, until it is full; one
// for a whole answer would leave it two or three times.
const blockBytes = 64 << 10

// Blocks are the memory of the data of one answer.
type blocks struct {
	free []byte
	size int // of the last block
	kept int // bytes of all of them
}

// take returns memory for n bytes that no other data lie in. left is how many
// bytes of data may follow at most.
func (d *blocks) take(n int, left int64) []byte {
	if n == 0 {
		return []byte{}
	}
	if n > len(d.free) {
		if n > blockBytes/4 {
			d.kept += n
			return make([]byte, n)
		}
		d.size = int(min(max(left, int64(n)), max(int64(d.size)*2, 4<<10), blockBytes))
		d.free = make([]byte, max(d.size, n))
		d.kept += len(d.free)
	}
	b := d.free[:n:n]
	d.free = d.free[n:]
	return b
}
