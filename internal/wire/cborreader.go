package wire

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// maxCBORDepth is how deep items may be nested. Those that are known are nested
// four deep.
const maxCBORDepth = 64

// A cborReader takes a CBOR text apart.
type cborReader struct {
	source
	levels []level
	joined []byte // a string that came in pieces
}

// A level is a list or a map that was entered.
type level struct {
	open bool   // up to a break
	left uint64 // items to come, if not
}

// A head is how an item begins.
type head struct {
	major byte
	info  byte   // 31 if there is no count
	n     uint64 // a count or a value
}

func (h head) open() bool { return h.info == 31 }

func (h head) unexpected(want string) error {
	return fmt.Errorf("wire: CBOR of type %d.%d, want %s", h.major, h.info, want)
}

func (r *cborReader) state() *source { return &r.source }

// head reads how an item begins. If it is of no kind, something was wrong.
func (r *cborReader) head() (h head, ok bool) {
	if r.err != nil {
		return h, false
	}
	if !r.need(1) {
		r.fail(errShort)
		return h, false
	}
	h = head{major: r.b[r.i] >> 5, info: r.b[r.i] & 31}
	r.i++
	switch {
	case h.info < 24:
		h.n = uint64(h.info)
		return h, true
	case h.info == 31 && h.major >= cborBytes && h.major != cborTag:
		return h, true
	case h.info > 27:
		r.fail(h.unexpected("a length"))
		return h, false
	}
	size := 1 << (h.info - 24)
	if !r.need(size) {
		r.fail(errShort)
		return h, false
	}
	for _, c := range r.b[r.i : r.i+size] {
		h.n = h.n<<8 | uint64(c)
	}
	r.i += size
	return h, true
}

func (r *cborReader) object() {
	if h, ok := r.head(); ok {
		r.enter(h, cborMap, "a map")
	}
}

func (r *cborReader) list() {
	if h, ok := r.head(); ok {
		r.enter(h, cborArray, "a list")
	}
}

func (r *cborReader) enter(h head, major byte, want string) {
	if h.major != major {
		r.fail(h.unexpected(want))
		return
	}
	r.push(level{open: h.open(), left: h.n})
}

func (r *cborReader) push(l level) {
	if r.levels = append(r.levels, l); len(r.levels) > maxCBORDepth {
		r.fail(fmt.Errorf("wire: CBOR is nested deeper than %d", maxCBORDepth))
	}
}

func (r *cborReader) next() bool {
	if r.err != nil {
		return false
	}
	l := &r.levels[len(r.levels)-1]
	switch {
	case !l.open && l.left == 0:
		r.levels = r.levels[:len(r.levels)-1]
		return false
	case !r.need(1):
		r.fail(errShort)
		return false
	case l.open && r.b[r.i] == cborBreak:
		r.i++
		r.levels = r.levels[:len(r.levels)-1]
		return false
	}
	l.left--
	return true
}

func (r *cborReader) member() ([]byte, bool) {
	for r.next() {
		name := r.chars()
		if r.i == len(r.b) {
			name = r.hold(name)
		}
		if !r.null() {
			return name, r.err == nil
		}
	}
	return nil, false
}

func (r *cborReader) null() bool {
	if r.err == nil && r.need(1) && (r.b[r.i] == cborSimple<<5|22 || r.b[r.i] == cborSimple<<5|23) {
		r.i++
		return true
	}
	return false
}

func (r *cborReader) chars() []byte { return r.bytes(cborText) }

func (r *cborReader) text() string { return r.strings.make(r.bytes(cborText)) }

// bytes reads a string of bytes or of text.
func (r *cborReader) bytes(major byte) []byte {
	h, ok := r.head()
	if !ok {
		return nil
	}
	return r.bytesAfter(h, major)
}

func (r *cborReader) bytesAfter(h head, major byte) []byte {
	switch {
	case h.major != major:
		r.fail(h.unexpected("a string"))
		return nil
	case !h.open():
		if int64(min(h.n, math.MaxInt64)) > r.left() || !r.need(int(h.n)) {
			r.fail(errShort)
			return nil
		}
		b := r.b[r.i : r.i+int(h.n)]
		r.i += int(h.n)
		return b
	}
	r.joined = r.joined[:0]
	for {
		h, ok := r.head()
		switch {
		case !ok:
			return nil
		case h.major == cborSimple && h.open():
			return r.joined
		case h.open():
			r.fail(h.unexpected("a piece of a string"))
			return nil
		}
		r.joined = append(r.joined, r.bytesAfter(h, major)...)
	}
}

// blob reads a string of bytes. What is larger than a window is read to where it
// stays, if so much can come.
func (r *cborReader) blob() []byte {
	h, ok := r.head()
	if !ok {
		return nil
	}
	n := int64(min(h.n, math.MaxInt64))
	if h.major == cborBytes && !h.open() && n > windowBytes && n <= r.left() && r.length >= 0 {
		data := r.data.take(int(n), r.left())
		here := copy(data, r.b[r.i:])
		if r.i += here; here < len(data) {
			r.read(data[here:])
		}
		return data
	}
	b := r.bytesAfter(h, cborBytes)
	if r.err != nil {
		return nil
	}
	data := r.data.take(len(b), r.left())
	copy(data, b)
	return data
}

// read fills b from the body past what stands in memory of it, which has been
// read to its end.
func (r *cborReader) read(b []byte) {
	if r.body == nil {
		r.fail(errShort)
		return
	}
	n, err := io.ReadFull(r.body, b)
	r.passed += int64(n)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.body = nil
		r.fail(errShort)
	case err != nil:
		r.body, r.broken = nil, fmt.Errorf("wire: read answer: %w", err)
		r.fail(r.broken)
	}
}

func (r *cborReader) int(lowest, highest int64) int64 {
	h, ok := r.head()
	if !ok {
		return 0
	}
	if h.major > cborNegative {
		r.fail(h.unexpected("a whole number"))
		return 0
	}
	n := int64(h.n)
	if h.major == cborNegative {
		n = -1 - n
	}
	if h.n > math.MaxInt64 || n < lowest || n > highest {
		r.fail(fmt.Errorf("wire: CBOR number of type %d and value %d, want one from %d to %d", h.major, h.n, lowest, highest))
		return 0
	}
	return n
}

// time reads milliseconds since 1970, which Kinesis tags as if they were
// seconds.
func (r *cborReader) time() time.Time {
	if r.err == nil && r.need(1) && r.b[r.i] == cborTag<<5|1 {
		r.i++
	}
	return time.UnixMilli(r.int(math.MinInt64/1_000_000, math.MaxInt64/1_000_000)).UTC()
}

func (r *cborReader) skip() {
	h, ok := r.head()
	if !ok {
		return
	}
	switch h.major {
	case cborBytes, cborText:
		r.bytesAfter(h, h.major)
	case cborArray:
		for r.enter(h, cborArray, ""); r.next(); {
			r.skip()
		}
	case cborMap:
		for r.enter(h, cborMap, ""); r.next(); {
			r.chars()
			r.skip()
		}
	case cborTag:
		r.push(level{})
		if r.skip(); r.err == nil {
			r.levels = r.levels[:len(r.levels)-1]
		}
	case cborSimple:
		if h.open() {
			r.fail(errors.New("wire: CBOR ends something that was not begun"))
		}
	}
}
