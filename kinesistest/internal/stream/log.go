package stream

import "slices"

// A log holds the records of one shard in order. Records live in segments of
// up to a megabyte, 12 bytes of index beside their keys and data, so that ten
// million small ones fit in memory. What is written is never changed or moved:
// a slice of it stays good after the lock is gone, and after a trim.
type log struct {
	segments []*segment
	first    uint64 // counter of the oldest record that may be read
	next     uint64 // counter of the next record, from 1
}

// A segment is a run of records with consecutive counters.
type segment struct {
	first uint64
	base  int64 // arrival times count from here, in milliseconds
	data  []byte
	index []entry
}

// An entry locates one record: its partition key, explicit hash key and data
// follow each other in data up to end, from where the entry before ends.
type entry struct {
	end   uint32
	after uint32 // arrival, milliseconds since base
	key   uint16 // bytes of the partition key, noKey if there was none
	hash  uint8  // digits of the explicit hash key, and whether it was stored encrypted
}

const (
	noKey        = 1<<16 - 1
	minSegment   = 4 << 10
	maxSegment   = 1 << 20
	maxAfter     = 1<<32 - 1
	maxKeyLength = noKey - 1
	encrypted    = 1 << 7 // in hash: a hash key has at most 39 digits
)

// A Stored is one record as the log holds it. Its slices alias the log and are
// not to be written to.
type Stored struct {
	PartitionKey    []byte // nil if the record has none
	ExplicitHashKey []byte
	Data            []byte
	Arrival         int64 // Unix milliseconds
	Encrypted       bool

	counter uint64
}

func newLog() log { return log{first: 1, next: 1} }

// add appends a record and returns its counter. arrival must not be before
// that of the record before it.
func (l *log) add(r *Record, arrival int64) uint64 {
	n := len(r.PartitionKey) + len(r.ExplicitHashKey) + len(r.Data)
	s := l.tail(n, arrival)
	s.data = append(s.data, r.PartitionKey...)
	s.data = append(s.data, r.ExplicitHashKey...)
	s.data = append(s.data, r.Data...)
	e := entry{
		end:   uint32(len(s.data)),
		after: uint32(arrival - s.base),
		key:   uint16(len(r.PartitionKey)),
		hash:  uint8(len(r.ExplicitHashKey)),
	}
	if r.NoKey {
		e.key = noKey
	}
	if r.Encrypted {
		e.hash |= encrypted
	}
	s.index = append(s.index, e)
	l.next++
	return l.next - 1
}

// tail returns the segment that n more bytes go to, a new one if the last has
// no room. Segments double from 4 KiB, so a shard with few records is small.
func (l *log) tail(n int, arrival int64) *segment {
	size := minSegment
	if len(l.segments) > 0 {
		s := l.segments[len(l.segments)-1]
		if cap(s.data)-len(s.data) >= n && arrival-s.base <= maxAfter {
			return s
		}
		s.index = slices.Clip(s.index)
		size = min(max(2*cap(s.data), minSegment), maxSegment)
	}
	s := &segment{first: l.next, base: arrival, data: make([]byte, 0, max(size, n))}
	l.segments = append(l.segments, s)
	return s
}

// at returns the i-th record of s.
func (s *segment) at(i int) Stored {
	e := s.index[i]
	start := uint32(0)
	if i > 0 {
		start = s.index[i-1].end
	}
	r := Stored{Arrival: s.base + int64(e.after), counter: s.first + uint64(i)}
	b := s.data[start:e.end:e.end]
	if e.key != noKey {
		r.PartitionKey, b = b[:e.key:e.key], b[e.key:]
	}
	r.Encrypted = e.hash&encrypted != 0
	digits := e.hash &^ encrypted
	r.ExplicitHashKey, b = b[:digits:digits], b[digits:]
	r.Data = b
	return r
}

// after returns the counter that follows the last of s.
func (s *segment) after() uint64 { return s.first + uint64(len(s.index)) }

// get returns the record with a counter from the oldest stored one to next-1.
func (l *log) get(counter uint64) Stored {
	s := l.segments[l.find(counter)]
	return s.at(int(counter - s.first))
}

// find returns the index of the segment that holds a counter, or of the first
// segment if the counter is older than all.
func (l *log) find(counter uint64) int {
	i, found := slices.BinarySearchFunc(l.segments, counter, func(s *segment, c uint64) int {
		switch {
		case s.first > c:
			return 1
		case s.first < c:
			return -1
		}
		return 0
	})
	if !found && i > 0 {
		i--
	}
	return i
}

// since returns the counter of the first readable record that arrived at or
// after ms, next if there is none.
func (l *log) since(ms int64) uint64 {
	lo, hi := l.first, l.next
	for lo < hi {
		mid := lo + (hi-lo)/2
		if l.get(mid).Arrival < ms {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// trim makes the records before counter unreadable and, unless keep is set,
// gives up the segments that hold no others.
func (l *log) trim(counter uint64, keep bool) {
	l.first = max(l.first, min(counter, l.next))
	if keep {
		return
	}
	n := 0
	for n < len(l.segments) && l.segments[n].after() <= l.first {
		l.segments[n] = nil
		n++
	}
	l.segments = l.segments[n:]
}

// oldest returns the counter of the oldest record still in memory.
func (l *log) oldest() uint64 {
	if len(l.segments) == 0 {
		return l.next
	}
	return l.segments[0].first
}

// A view is a run of records of a log, readable without its lock.
type view struct {
	segment segment // a copy: its slices do not grow
	from    int
}

// views returns the records from counter on as at most limit views that hold
// no more than count records and bytes bytes of key and data, but at least one
// record if there is one, and the counter that follows the last.
func (l *log) views(counter uint64, count, bytes int) ([]view, uint64) {
	var out []view
	size := 0
	for i := l.find(counter); i < len(l.segments) && counter < l.next; i++ {
		s := *l.segments[i]
		from := int(counter - s.first)
		to := from
		for to < len(s.index) && count > 0 {
			r := s.at(to)
			size += len(r.PartitionKey) + len(r.Data)
			if size > bytes && (len(out) > 0 || to > from) {
				count = 0
				break
			}
			to++
			count--
		}
		if to > from {
			s.index = s.index[:to]
			out = append(out, view{s, from})
			counter = s.first + uint64(to)
		}
		if count == 0 {
			break
		}
	}
	return out, counter
}
