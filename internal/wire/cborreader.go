package wire

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// maxCBORDepth is how deep items may be nested. Those that are known are nested
// four deep.
const maxCBORDepth = 64

// A cborReader takes a CBOR text apart. Bytes are returned as they stand in it.
type cborReader struct {
	b       []byte
	i       int
	depth   int
	strings arena
	counts
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

func (r *cborReader) head() (head, error) {
	if r.i >= len(r.b) {
		return head{}, errShort
	}
	h := head{major: r.b[r.i] >> 5, info: r.b[r.i] & 31}
	r.i++
	switch {
	case h.info < 24:
		h.n = uint64(h.info)
		return h, nil
	case h.info == 31 && h.major >= cborBytes && h.major != cborTag:
		return h, nil
	case h.info > 27:
		return h, h.unexpected("a length")
	}
	size := 1 << (h.info - 24)
	if len(r.b)-r.i < size {
		return h, errShort
	}
	for _, c := range r.b[r.i : r.i+size] {
		h.n = h.n<<8 | uint64(c)
	}
	r.i += size
	return h, nil
}

// items calls item for each item of a list or map of n, or up to the break of an
// open one.
func (r *cborReader) items(h head, item func() error) error {
	if r.depth++; r.depth > maxCBORDepth {
		return fmt.Errorf("wire: CBOR is nested deeper than %d", maxCBORDepth)
	}
	for i := uint64(0); h.open() || i < h.n; i++ {
		if r.i >= len(r.b) {
			return errShort
		}
		if h.open() && r.b[r.i] == cborBreak {
			r.i++
			break
		}
		if err := item(); err != nil {
			return err
		}
	}
	r.depth--
	return nil
}

// object reads a map and calls member before the value of each name.
func (r *cborReader) object(member func(name []byte) error) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	return r.members(h, member)
}

func (r *cborReader) members(h head, member func(name []byte) error) error {
	if h.major != cborMap {
		return h.unexpected("a map")
	}
	return r.items(h, func() error {
		name, err := r.bytes(cborText)
		if err != nil {
			return err
		}
		return member(name)
	})
}

// list reads a list and calls element before each of its elements.
func (r *cborReader) list(element func() error) error {
	h, err := r.head()
	if err == nil && h.major != cborArray {
		err = h.unexpected("a list")
	}
	if err != nil {
		return err
	}
	return r.items(h, element)
}

// null reads a null and reports whether there was one.
func (r *cborReader) null() bool {
	if r.i < len(r.b) && (r.b[r.i] == cborSimple<<5|22 || r.b[r.i] == cborSimple<<5|23) {
		r.i++
		return true
	}
	return false
}

// bytes reads a string of bytes or of text.
func (r *cborReader) bytes(major byte) ([]byte, error) {
	h, err := r.head()
	if err != nil {
		return nil, err
	}
	return r.bytesAfter(h, major)
}

func (r *cborReader) bytesAfter(h head, major byte) ([]byte, error) {
	if h.major != major {
		return nil, h.unexpected("a string")
	}
	if !h.open() {
		if h.n > uint64(len(r.b)-r.i) {
			return nil, errShort
		}
		start := r.i
		r.i += int(h.n)
		return r.b[start:r.i:r.i], nil
	}
	// The pieces move together where they stand: each has a head, so there is room.
	start, end := r.i, r.i
	for {
		h, err := r.head()
		switch {
		case err != nil:
			return nil, err
		case h.major == cborSimple && h.open():
			return r.b[start:end:end], nil
		case h.open():
			return nil, h.unexpected("a piece of a string")
		}
		piece, err := r.bytesAfter(h, major)
		if err != nil {
			return nil, err
		}
		end += copy(r.b[end:], piece)
	}
}

// text reads a string of text.
func (r *cborReader) text() (string, error) {
	b, err := r.bytes(cborText)
	if err != nil {
		return "", err
	}
	return r.strings.make(b), nil
}

func (r *cborReader) int(lowest, highest int64) (int64, error) {
	h, err := r.head()
	if err != nil {
		return 0, err
	}
	if h.major > cborNegative {
		return 0, h.unexpected("a whole number")
	}
	n := int64(h.n)
	if h.major == cborNegative {
		n = -1 - n
	}
	if h.n > math.MaxInt64 || n < lowest || n > highest {
		return 0, fmt.Errorf("wire: CBOR number of type %d and value %d, want one from %d to %d", h.major, h.n, lowest, highest)
	}
	return n, nil
}

// time reads milliseconds since 1970, which Kinesis tags as if they were
// seconds.
func (r *cborReader) time() (time.Time, error) {
	if r.i < len(r.b) && r.b[r.i] == cborTag<<5|1 {
		r.i++
	}
	n, err := r.int(math.MinInt64/1_000_000, math.MaxInt64/1_000_000)
	return time.UnixMilli(n).UTC(), err
}

// skip reads an item of any kind.
func (r *cborReader) skip() error {
	h, err := r.head()
	if err != nil {
		return err
	}
	switch h.major {
	case cborBytes, cborText:
		_, err = r.bytesAfter(h, h.major)
		return err
	case cborArray:
		return r.items(h, r.skip)
	case cborMap:
		return r.members(h, func([]byte) error { return r.skip() })
	case cborTag:
		if r.depth++; r.depth > maxCBORDepth {
			return fmt.Errorf("wire: CBOR is nested deeper than %d", maxCBORDepth)
		}
		err = r.skip()
		r.depth--
		return err
	case cborSimple:
		if h.open() {
			return errors.New("wire: CBOR ends something that was not begun")
		}
	}
	return nil
}
