package shardmap

import (
	"fmt"
	"math/bits"
	"slices"
)

// A Shard is a shard's identity as routing sees it.
type Shard struct {
	ID    string
	Range Range
}

// A Map finds the open shard of a hash key. It is immutable; a reshard makes a
// new one.
type Map struct {
	shards []Shard  // sorted by Range.Start, tiling the ring
	starts []uint64 // their Range.Start.Hi, close together
}

// New builds a map from a stream's open shards, in any order. It fails unless
// their ranges cover every hash key exactly once, as open shards do.
func New(shards []Shard) (*Map, error) {
	s := slices.Clone(shards)
	slices.SortFunc(s, func(a, b Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	next := HashKey{}
	for i, sh := range s {
		switch {
		case next.Less(sh.Range.Start):
			return nil, fmt.Errorf("shard map: no shard holds hash keys %v to %v", next, sh.Range.Start.Prev())
		case sh.Range.Start != next:
			return nil, fmt.Errorf("shard map: shards %s and %s overlap", s[i-1].ID, sh.ID)
		}
		if next = sh.Range.End.Next(); next == (HashKey{}) && i < len(s)-1 {
			return nil, fmt.Errorf("shard map: shards %s and %s overlap", sh.ID, s[i+1].ID)
		}
	}
	if next != (HashKey{}) || len(s) == 0 {
		return nil, fmt.Errorf("shard map: no shard holds hash keys %v to %v", next, MaxHashKey)
	}
	m := &Map{s, make([]uint64, len(s))}
	for i := range s {
		m.starts[i] = s[i].Range.Start.Hi
	}
	return m, nil
}

// Len returns the number of shards.
func (m *Map) Len() int { return len(m.shards) }

// At returns the i-th shard in the order of hash keys.
func (m *Map) At(i int) Shard { return m.shards[i] }

// Index returns the index, for [Map.At], of the shard that holds k.
func (m *Map) Index(k HashKey) int {
	// Most streams have shards of one width, and then it is known where to look.
	// A search costs ten times as much among a thousand, since its branches cannot
	// be foretold.
	i, _ := bits.Mul64(k.Hi, uint64(len(m.starts)))
	if m.starts[i] < k.Hi && (i+1 == uint64(len(m.starts)) || k.Hi < m.starts[i+1]) {
		return int(i)
	}
	lo, hi := 0, len(m.shards)-1
	for lo < hi {
		mid := int(uint(lo+hi+1) >> 1)
		if k.Less(m.shards[mid].Range.Start) {
			hi = mid - 1
		} else {
			lo = mid
		}
	}
	return lo
}
