package wire

import (
	"errors"
	"fmt"
	"io"
)

const (
	// windowBytes is how much of a body is in memory at a time, unless a single
	// value is larger: it stays in the processor's cache between the moment that it
	// arrives and that in which it is decoded. A window that had to grow beyond
	// mostWindowBytes is not used again.
	windowBytes     = 64 << 10
	mostWindowBytes = 4 << 20

	// leastRead is what a read has room for: TLS hands out as much at a time.
	leastRead = 16 << 10
)

var (
	errShort = errors.New("wire: the answer ends in the middle")
	errLong  = errors.New("wire: the answer has more")
)

// A source is a body that is taken apart while it arrives, and what both formats
// keep while they do so. What is found wrong first ends it: from then on nothing
// is found any more.
type source struct {
	b      []byte    // what has arrived, from the value on that is being read
	i      int       // the next byte of it
	body   io.Reader // where more comes from, nil if there is no more
	passed int64     // bytes of the body before b
	length int64     // of the body, -1 if it is not known
	limit  int64     // what the body may have at most
	broken error     // why no more could be read
	held   []byte    // a name, if it may be overwritten where it stood

	err       error
	strings   arena
	data      blocks
	elements  int // records, or results of records, all of them together, so that naming a list twice is of no avail
	followers int // shards that follow a shard, and their parents
}

// newSource returns a source of a body that is said to have length bytes, -1 if
// it is not said. b is room for what is in memory of it, which may be larger in
// the end.
func newSource(b []byte, body io.Reader, length, limit int64) source {
	return source{b: b[:0], body: body, length: length, limit: limit}
}

// whole returns a source of what is all in memory.
func whole(b []byte) source {
	return source{b: b, length: int64(len(b)), limit: int64(len(b))}
}

// at returns how much of the body has been read.
func (s *source) at() int64 { return s.passed + int64(s.i) }

// left returns how much of the body is to come at most.
func (s *source) left() int64 {
	if s.length >= 0 {
		return max(s.length, s.passed+int64(len(s.b))) - s.at()
	}
	return s.limit - s.at()
}

// more waits for more of the body and reports whether anything came. What stands
// from i on stays, at another place perhaps.
func (s *source) more() bool {
	if s.body == nil {
		return false
	}
	room := leastRead
	if s.length >= 0 { // and one byte for the end to be seen
		room = int(min(int64(room), max(s.length-s.passed-int64(len(s.b)), 0)+1))
	}
	if s.i == len(s.b) || cap(s.b)-len(s.b) < room {
		s.passed += int64(s.i)
		s.b, s.i = s.b[:copy(s.b, s.b[s.i:])], 0
	}
	if cap(s.b)-len(s.b) < room {
		s.b = append(make([]byte, 0, max(2*cap(s.b), len(s.b)+room)), s.b...)
	}
	for s.body != nil {
		n, err := s.body.Read(s.b[len(s.b):cap(s.b)])
		s.b = s.b[:len(s.b)+n]
		switch {
		case s.passed+int64(len(s.b)) > s.limit:
			s.body, s.broken = nil, errLong
		case errors.Is(err, io.EOF):
			s.body = nil
		case err != nil:
			s.body, s.broken = nil, fmt.Errorf("wire: read answer: %w", err)
		}
		if n > 0 {
			return s.broken == nil
		}
	}
	return false
}

// need waits until n bytes stand from i on, and reports whether they do.
func (s *source) need(n int) bool {
	for len(s.b)-s.i < n {
		if !s.more() {
			return false
		}
	}
	return true
}

// hold returns b, which stands before i, as it stays when more arrives.
func (s *source) hold(b []byte) []byte {
	s.held = append(s.held[:0], b...)
	return s.held
}

// fail ends the source with its first error.
func (s *source) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// finish reads the body to its end, which the connection needs to be used again,
// and returns what was wrong with it. That it could not be read comes first.
func (s *source) finish() error {
	for s.i = len(s.b); s.more(); {
		s.i = len(s.b)
	}
	if s.broken != nil {
		return s.broken
	}
	return s.err
}

// window returns room for what is in memory of a body.
func (c *Codec) window(length int64) *[]byte {
	if length >= 0 && length < windowBytes/4 {
		b := make([]byte, length+1)
		return &b
	}
	if w, ok := c.windows.Get().(*[]byte); ok {
		return w
	}
	b := make([]byte, windowBytes)
	return &b
}

// putWindow takes a window back that nothing stands in any more.
func (c *Codec) putWindow(w *[]byte) {
	if cap(*w) >= windowBytes && cap(*w) <= mostWindowBytes {
		c.windows.Put(w)
	}
}
