package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep values may be nested, as in encoding/json and the SDK.
const maxDepth = 10_000

var errShort = errors.New("wire: the answer ends in the middle")

// A jsonReader takes a JSON text apart. It accepts what the SDK's own accepts:
// strict grammar, whatever bytes in strings, and anything after the value.
type jsonReader struct {
	b       []byte // data are decoded in it
	i       int
	depth   int
	strings arena
	counts
}

// peek skips white space and returns the next byte, 0 at the end.
func (r *jsonReader) peek() byte {
	for r.i < len(r.b) {
		switch c := r.b[r.i]; c {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return c
		}
	}
	return 0
}

// unexpected is the error of what stands at the reader's position.
func (r *jsonReader) unexpected(want string) error {
	if r.i >= len(r.b) {
		return errShort
	}
	return fmt.Errorf("wire: %q at byte %d, want %s", r.b[r.i], r.i, want)
}

// nest enters an object or a list, or says that it is too deep.
func (r *jsonReader) nest(open byte, what string) error {
	if r.peek() != open {
		return r.unexpected(what)
	}
	if r.depth++; r.depth > maxDepth {
		return fmt.Errorf("wire: values are nested deeper than %d", maxDepth)
	}
	r.i++
	return nil
}

// next goes to the next element of an object or a list, and reports whether
// there is one; if not, it has left it.
func (r *jsonReader) next(end byte, first bool) (bool, error) {
	switch c := r.peek(); {
	case c == end:
		r.i++
		r.depth--
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, r.unexpected("a comma or the end")
	}
	r.i++
	if r.peek() == end {
		return false, r.unexpected("an element")
	}
	return true, nil
}

// object reads an object and calls member for each name, with the reader before
// the value. member reads the value, whether it is one it wants or not.
func (r *jsonReader) object(member func(name []byte) error) error {
	if err := r.nest('{', "an object"); err != nil {
		return err
	}
	for first := true; ; first = false {
		if more, err := r.next('}', first); !more {
			return err
		}
		name, err := r.name()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
}

// name reads the name of a member and the colon after it.
func (r *jsonReader) name() ([]byte, error) {
	if start := r.i + 1; r.peek() == '"' && start == r.i+1 { // as it mostly is
		if end := r.ordinary(start); end+1 < len(r.b) && r.b[end] == '"' && r.b[end+1] == ':' {
			r.i = end + 2
			return r.b[start:end], nil
		}
	}
	b, s, err := r.chars()
	if err != nil {
		return nil, err
	}
	if b == nil {
		b = []byte(s)
	}
	if r.peek() != ':' {
		return nil, r.unexpected("a colon")
	}
	r.i++
	return b, nil
}

// list reads a list and calls element before each of its elements.
func (r *jsonReader) list(element func() error) error {
	if err := r.nest('[', "a list"); err != nil {
		return err
	}
	for first := true; ; first = false {
		if more, err := r.next(']', first); !more {
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
}

// null reads a null and reports whether there was one.
func (r *jsonReader) null() (bool, error) {
	if r.peek() != 'n' {
		return false, nil
	}
	return true, r.literal("null")
}

func (r *jsonReader) literal(s string) error {
	if !bytes.HasPrefix(r.b[r.i:], []byte(s)) {
		return r.unexpected(s)
	}
	r.i += len(s)
	return nil
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// ordinary returns where, from i on, the first byte stands that a string may not
// simply contain: a quote, a backslash or a control character.
func (r *jsonReader) ordinary(i int) int {
	for ; i+8 <= len(r.b); i += 8 {
		v := binary.LittleEndian.Uint64(r.b[i:])
		quote, slash := v^ones*'"', v^ones*'\\'
		// The lowest bit of each of the three is right, those above it may not be.
		if found := ((v-ones*' ')&^v | (quote-ones)&^quote | (slash-ones)&^slash) & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(r.b); i++ {
		if c := r.b[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// endOfString returns where the string ends that i is inside of, which is where
// its closing quote is, and whether there are escapes before that.
func (r *jsonReader) endOfString(i int) (end int, escapes bool, err error) {
	for {
		i = r.ordinary(i)
		switch {
		case i >= len(r.b):
			return i, escapes, errShort
		case r.b[i] == '"':
			return i, escapes, nil
		case r.b[i] != '\\':
			return i, escapes, fmt.Errorf("wire: control character %q in a string", r.b[i])
		}
		escapes = true
		i += 2 // what is escaped is looked at when it is read
	}
}

// chars reads a string and returns its bytes, where they stand, or if it has
// escapes what it means.
func (r *jsonReader) chars() (plain []byte, meaning string, err error) {
	if r.peek() != '"' {
		return nil, "", r.unexpected("a string")
	}
	start := r.i
	end, escapes, err := r.endOfString(start + 1)
	if err != nil {
		return nil, "", err
	}
	r.i = end + 1
	if !escapes {
		return r.b[start+1 : end], "", nil
	}
	meaning, err = unquote(r.b[start:r.i])
	return nil, meaning, err
}

// unquote returns what a string with escapes means.
func unquote(b []byte) (s string, err error) {
	if err := json.Unmarshal(b, &s); err != nil {
		return "", fmt.Errorf("wire: string %.40q: %w", b, err)
	}
	return s, nil
}

// text reads a string.
func (r *jsonReader) text() (string, error) {
	b, s, err := r.chars()
	if b != nil {
		s = r.strings.make(b)
	}
	return s, err
}

// blob reads base64 and returns what it means, which lies where the text was.
func (r *jsonReader) blob() ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.unexpected("a string")
	}
	start := r.i + 1
	n := bytes.IndexByte(r.b[start:], '"')
	if n < 0 {
		return nil, errShort
	}
	wrote, read := decodePlain(r.b[start : start+n])
	// What is left is the end, or the part from an escape on.
	end, escapes, err := r.endOfString(start + read)
	if err != nil {
		return nil, err
	}
	r.i = end + 1
	var m int
	if rest := r.b[start+read : end]; !escapes && len(rest) <= 8 {
		var tail [8]byte // what is read must not be written to
		m, err = base64.StdEncoding.Decode(r.b[start+wrote:end], tail[:copy(tail[:], rest)])
	} else {
		m, err = decodeRest(r.b[start+wrote:end], rest)
	}
	if err != nil {
		return nil, fmt.Errorf("wire: data at byte %d: %w", start, err)
	}
	wrote += m
	return r.b[start : start+wrote : start+wrote], nil
}

// decodeRest decodes what may have escapes. It writes over it.
func decodeRest(dst, rest []byte) (int, error) {
	rest, err := unescape(rest)
	if err != nil {
		return 0, err
	}
	return base64.StdEncoding.Decode(dst, bytes.Clone(rest))
}

// unescape replaces the escapes in b, which is base64 and so is ASCII. It
// writes over b.
func unescape(b []byte) ([]byte, error) {
	out := b[:0]
	for len(b) > 0 {
		c, n := b[0], 1
		if c == '\\' {
			if c, n = escaped(b); n == 0 {
				return nil, fmt.Errorf("wire: %.6q in data", b)
			}
		}
		out = append(out, c)
		b = b[n:]
	}
	return out, nil
}

// escaped returns the character that an escape at the beginning of b stands for
// and how long the escape is, 0 if it is none or not of ASCII.
func escaped(b []byte) (c byte, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '/':
		return '/', 2
	case 'n': // encoding/base64 takes a broken line
		return '\n', 2
	case 'r':
		return '\r', 2
	case 'u':
		if len(b) < 6 {
			return 0, 0
		}
		v, err := strconv.ParseUint(string(b[2:6]), 16, 16)
		if err == nil && v < utf8.RuneSelf {
			return byte(v), 6
		}
	}
	return 0, 0
}

// number returns the text of a number.
func (r *jsonReader) number() ([]byte, error) {
	r.peek()
	start := r.i
	digits := func() int {
		from := r.i
		for r.i < len(r.b) && r.b[r.i]-'0' < 10 {
			r.i++
		}
		return r.i - from
	}
	is := func(c, or byte) bool {
		if r.i < len(r.b) && (r.b[r.i] == c || r.b[r.i] == or) {
			r.i++
			return true
		}
		return false
	}
	bad := func() ([]byte, error) { return nil, fmt.Errorf("wire: no number at byte %d", start) }
	is('-', '-')
	first := r.i
	if n := digits(); n == 0 || n > 1 && r.b[first] == '0' {
		return bad()
	}
	if is('.', '.') && digits() == 0 {
		return bad()
	}
	if is('e', 'E') {
		is('+', '-')
		if digits() == 0 {
			return bad()
		}
	}
	return r.b[start:r.i], nil
}

// skip reads a value of any kind.
func (r *jsonReader) skip() error {
	var ends []byte // of what is open around the value
	for {
		more := false
		var err error
		switch c := r.peek(); c {
		case '{', '[':
			if err = r.nest(c, "a value"); err == nil {
				ends = append(ends, c+2) // in ASCII
				more, err = r.next(c+2, true)
			}
			if !more {
				ends = ends[:max(len(ends), 1)-1]
			}
		default:
			err = r.scalar(c)
		}
		for !more && err == nil && len(ends) > 0 {
			if more, err = r.next(ends[len(ends)-1], false); !more {
				ends = ends[:len(ends)-1]
			}
		}
		if err == nil && more && ends[len(ends)-1] == '}' {
			_, err = r.name()
		}
		if err != nil || !more {
			return err
		}
	}
}

// scalar reads a value that begins with c and contains no others.
func (r *jsonReader) scalar(c byte) error {
	switch c {
	case '"':
		_, _, err := r.chars()
		return err
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	}
	_, err := r.number()
	return err
}
