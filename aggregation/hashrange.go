package aggregation

import (
	"errors"
	"fmt"

	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// errHashKey does not quote the key, which whoever wrote the stream chose.
var errHashKey = errors.New("not a decimal integer from 0 to 2^128-1")

// InRange reports whether every record's hash key lies in r, the range of the
// shard that the aggregate was read from. If one does not, the KCL takes the
// aggregate for one that a reshard sent to the wrong shard, which its producer
// notices and sends again record by record, and drops it whole: delivering it
// would duplicate every record in it. An aggregate without records is in range.
//
// A record whose explicit hash key is not a hash key ([NormalizeHashKey]) was
// not made by the KPL and belongs to no shard. InRange then returns true and an
// error that says which record it is, whatever the other records say, so that
// who only looks at the result loses nothing.
func (a Aggregate) InRange(r HashRange) (bool, error) {
	if r == shardmap.FullRange && len(a.ehks) == 0 {
		return true, nil
	}
	in := true
	var pks, ehks marks
	n := 0
	for i := a.first; ; n++ {
		pk, ehk, end := a.indexes(i)
		switch {
		case end == 0:
			return in, nil
		case ehk >= 0:
			if ehks.mark(ehk, len(a.ehks)) {
				k, err := parseHashKey(key(a.msg, a.ehks[ehk]))
				if err != nil {
					return true, fmt.Errorf("aggregation: shard range: explicit hash key of record %d: %w", n, errHashKey)
				}
				in = in && r.Contains(k)
			}
		case in && pks.mark(pk, len(a.pks)):
			in = r.Contains(shardmap.HashOf(key(a.msg, a.pks[pk])))
		}
		i = end
	}
}

// indexes returns the keys of the first record at or behind offset i of the
// message (ehk is -1 if it has none) and where it ends, or an end of 0 if there
// is none.
func (a *Aggregate) indexes(i int) (pk, ehk, end int) {
	for i < len(a.msg) {
		pk, ehk, _, next := shortRecord(a.msg, i)
		if next == 0 {
			tag, v, after, f := nextField(a.msg, i)
			if f != noFault {
				break
			}
			if i = after; tag != tagRecord {
				continue
			}
			var raw rawRecord
			if _, f := raw.parse(a.msg[:after], after-int(v)); f != noFault || !a.holds(&raw) {
				break
			}
			pk, ehk, next = int(raw.pk), -1, after
			if raw.hasEHK {
				ehk = int(raw.ehk)
			}
		}
		if pk >= len(a.pks) || ehk >= len(a.ehks) {
			break
		}
		return pk, ehk, next
	}
	return 0, 0, 0
}

// Marks remember which entries of a key table have been looked at, so that a
// key used by many records is hashed once. Writers number keys by first use, so
// a high-water mark is enough; for an order nobody writes there is a bit map.
type marks struct {
	next int // entries below it are marked
	more []uint64
}

// mark marks entry i of n and reports whether it was not marked before.
func (m *marks) mark(i, n int) bool {
	if i < m.next {
		return false
	}
	if i == m.next && m.more == nil {
		m.next++
		return true
	}
	if m.more == nil {
		m.more = make([]uint64, (n+63)/64)
	}
	bit := uint64(1) << (i % 64)
	if m.more[i/64]&bit != 0 {
		return false
	}
	m.more[i/64] |= bit
	return true
}
