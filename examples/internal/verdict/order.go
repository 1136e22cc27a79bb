package verdict

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Lineage tells the parents of shards; it may be called again with those that
// appear later. Records of one key in two shards are in the order of their
// shards' depth, the longest way from a shard without parents, and in the order
// of their sequence numbers as long as the lineage of either is not known.
func (v *Verdict) Lineage(parents map[string][]string) {
	v.shards.learn(parents)
}

// A spot is a record's position in 8 bytes.
type spot struct {
	place uint32 // index in Verdict.places
	sub   uint32
}

// A place is where a record of the stream stands, however many it holds.
type place struct {
	shard *shard
	seq   number
}

// chunk is how many places are allocated at once.
const chunk = 4096

// places is a table that only grows. A reader needs no lock: whoever hands it an
// index does so under a lock that was taken after the place was written.
type places struct {
	chunks atomic.Pointer[[]*[chunk]place]

	mu sync.Mutex // for writers
	n  uint32
}

func (p *places) add(at place) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var chunks []*[chunk]place
	if old := p.chunks.Load(); old != nil {
		chunks = *old
	}
	i := p.n
	p.n++
	if i%chunk == 0 {
		grown := append(slices.Clone(chunks), new([chunk]place))
		p.chunks.Store(&grown)
		chunks = grown
	}
	chunks[i/chunk][i%chunk] = at
	return i
}

func (p *places) at(i uint32) place { return (*p.chunks.Load())[i/chunk][i%chunk] }

// after reports whether the stream stored a later than b.
func (p *places) after(a, b spot) bool {
	if a.place == b.place {
		return a.sub > b.sub
	}
	pa, pb := p.at(a.place), p.at(b.place)
	if pa.shard != pb.shard {
		da, db := pa.shard.depth.Load(), pb.shard.depth.Load()
		if da != db && da != unknownDepth && db != unknownDepth {
			return da > db
		}
	}
	if c := pa.seq.compare(pb.seq); c != 0 {
		return c > 0
	}
	return a.sub > b.sub
}

// unknownDepth is the depth of a shard whose lineage nobody told.
const unknownDepth = 0

type shard struct {
	depth atomic.Int32 // 1 for a shard without parents
}

// shards are all that a record or a lineage has named.
type shards struct {
	mu      sync.RWMutex
	byID    map[string]*shard
	parents map[string][]string
}

func (s *shards) get(id string) *shard {
	s.mu.RLock()
	sh := s.byID[id]
	s.mu.RUnlock()
	if sh != nil {
		return sh
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.getLocked(id)
}

func (s *shards) getLocked(id string) *shard {
	sh := s.byID[id]
	if sh == nil {
		sh = new(shard)
		s.byID[strings.Clone(id)] = sh
	}
	return sh
}

func (s *shards) learn(parents map[string][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parents == nil {
		s.parents = make(map[string][]string)
	}
	for id, p := range parents {
		s.parents[id] = slices.Clone(p)
	}
	// Anew for all: a parent that is told of later makes its children deeper.
	depths := make(map[string]int32)
	for _, id := range slices.Sorted(maps.Keys(s.parents)) { // so that a circle has one answer
		s.getLocked(id).depth.Store(s.depth(id, depths))
	}
}

// depth returns the depth of a shard. A parent of which nothing is known, since
// it was trimmed long ago, has no parents.
func (s *shards) depth(id string, depths map[string]int32) int32 {
	if d, ok := depths[id]; ok {
		return d
	}
	depths[id] = 1 // what a lineage that runs in a circle finds
	d := int32(1)
	for _, p := range s.parents[id] {
		d = max(d, 1+s.depth(p, depths))
	}
	depths[id] = d
	return d
}

// A number is a sequence number. Those of Kinesis have 56 digits and 186 bits;
// any above 192 bits are all equal here.
type number [3]uint64

// parse reads the decimal digits of seq; what is no digit ends the number.
func parse(seq string) number {
	var n number
	for i := range len(seq) {
		digit := uint64(seq[i] - '0')
		if digit > 9 {
			break
		}
		carry := digit
		for j := 2; j >= 0; j-- {
			hi, lo := bits.Mul64(n[j], 10)
			sum, c := bits.Add64(lo, carry, 0)
			n[j], carry = sum, hi+c
		}
		if carry != 0 {
			return number{math.MaxUint64, math.MaxUint64, math.MaxUint64}
		}
	}
	return n
}

func (n number) compare(m number) int {
	return cmp.Or(cmp.Compare(n[0], m[0]), cmp.Compare(n[1], m[1]), cmp.Compare(n[2], m[2]))
}
