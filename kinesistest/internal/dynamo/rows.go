package dynamo

import (
	"cmp"
	"hash/fnv"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// An entry is an item in a table or index, at the place its key gives it.
type entry struct {
	spot uint64 // a hash of the hash key, which orders partitions
	hash string // sort keys of the hash and range attributes
	rng  string
	tie  string // in an index: the table's key, since index keys may repeat
	item Item
}

// compare orders entries as a scan meets them: partitions by hash, so that
// nobody comes to rely on their order, and by key inside one.
func (e *entry) compare(f *entry) int {
	if e.spot != f.spot {
		return cmp.Compare(e.spot, f.spot)
	}
	return e.compareKeys(f)
}

func (e *entry) compareKeys(f *entry) int {
	if c := strings.Compare(e.hash, f.hash); c != 0 {
		return c
	}
	if c := strings.Compare(e.rng, f.rng); c != 0 {
		return c
	}
	return strings.Compare(e.tie, f.tie)
}

// id names the row of a table's entry: distinct keys have distinct ids.
func (e *entry) id() string { return strconv.Itoa(len(e.hash)) + ":" + e.hash + e.rng }

// spotOf spreads hash keys over the 64-bit circle, the same way in every
// process so that simulations repeat.
func spotOf(hash string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(hash)) // never fails
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// segment returns which of n equal arcs of the circle e lies on.
func (e *entry) segment(n int) int {
	hi, _ := bits.Mul64(e.spot, uint64(n))
	return int(hi)
}

// rows are entries in the order of compare.
type rows []*entry

func (rs rows) find(e *entry) (int, bool) {
	return slices.BinarySearchFunc(rs, e, (*entry).compare)
}

// get returns the item at e's place, nil if there is none.
func (rs rows) get(e *entry) Item {
	if i, ok := rs.find(e); ok {
		return rs[i].item
	}
	return nil
}

// put stores e in its place.
func (rs *rows) put(e *entry) {
	i, ok := rs.find(e)
	if ok {
		(*rs)[i] = e
		return
	}
	*rs = slices.Insert(*rs, i, e)
}

// remove takes out what is at e's place.
func (rs *rows) remove(e *entry) {
	if i, ok := rs.find(e); ok {
		*rs = slices.Delete(*rs, i, i+1)
	}
}

// partition returns the entries with the given hash key.
func (rs rows) partition(hash string) rows {
	from, _ := rs.find(&entry{spot: spotOf(hash), hash: hash})
	n := sort.Search(len(rs)-from, func(i int) bool { return rs[from+i].hash != hash })
	return rs[from : from+n]
}

// part returns the entries of one of n segments.
func (rs rows) part(segment, n int) rows {
	bound := func(s int) int {
		i, _ := slices.BinarySearchFunc(rs, s, func(e *entry, s int) int { return cmp.Compare(e.segment(n), s) })
		return i
	}
	return rs[bound(segment):bound(segment+1)]
}

// after returns the entries behind e, which need not be among them.
func (rs rows) after(e *entry) rows {
	i, ok := rs.find(e)
	if ok {
		i++
	}
	return rs[i:]
}

// before returns the entries in front of e.
func (rs rows) before(e *entry) rows {
	i, _ := rs.find(e)
	return rs[:i]
}
