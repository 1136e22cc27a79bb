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
