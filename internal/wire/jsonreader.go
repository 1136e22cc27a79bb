package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	smithytime "github.com/aws/smithy-go/time"
)

// maxDepth is how deep values may be nested, as in encoding/json and the SDK.
const maxDepth = 10_000

// A jsonReader takes a JSON text apart. It accepts what the SDK's own accepts:
// strict grammar, whatever bytes in strings, and anything after the value.
type jsonReader struct {
	source
	ends  []byte // of what is open around the value
	first bool   // it was entered last, so no comma is due
}

func (r *jsonReader) state() *source { return &r.source }

// peek skips white space and returns the next byte, 0 at the end.
func (r *jsonReader) peek() byte {
	for {
		for r.i < len(r.b) {
			switch c := r.b[r.i]; c {
			case ' ', '\t', '\n', '\r':
				r.i++
			default:
				return c
			}
		}
		if !r.more() {
			return 0
		}
	}
}

// unexpected says what stands at the reader's position.
func (r *jsonReader) unexpected(want string) {
	if !r.need(1) {
		r.fail(errShort)
		return
	}
	r.fail(fmt.Errorf("wire: %q at byte %d, want %s", r.b[r.i], r.at(), want))
}

func (r *jsonReader) object() { r.enter('{', "an object") }
func (r *jsonReader) list()   { r.enter('[', "a list") }

func (r *jsonReader) enter(open byte, what string) {
	if r.peek() != open {
		r.unexpected(what)
		return
	}
	if len(r.ends) == maxDepth {
		r.fail(fmt.Errorf("wire: values are nested deeper than %d", maxDepth))
		return
	}
	r.i++
	r.ends, r.first = append(r.ends, open+2), true // in ASCII
}

func (r *jsonReader) next() bool {
	if r.err != nil {
		return false
	}
	first, end := r.first, r.ends[len(r.ends)-1]
	r.first = false
	switch c := r.peek(); {
	case c == end:
		r.i++
		r.ends = r.ends[:len(r.ends)-1]
		return false
	case first:
		return true
	case c != ',':
		r.unexpected("a comma or the end")
		return false
	}
	r.i++
	if r.peek() == end {
		r.unexpected("an element")
		return false
	}
	return true
}

func (r *jsonReader) member() ([]byte, bool) {
	for r.next() {
		name := r.name()
		if r.err == nil && !r.null() {
			return name, r.err == nil
		}
	}
	return nil, false
}

// name reads the name of a member and the colon after it.
func (r *jsonReader) name() []byte {
	if r.peek() == '"' {
		start := r.i + 1
		if n := r.ordinary(1); r.i+n+2 < len(r.b) && r.b[r.i+n] == '"' && r.b[r.i+n+1] == ':' && r.b[r.i+n+2] > ' ' { // as it mostly is
			r.i += n + 2
			return r.b[start : r.i-2]
		}
	}
	name := r.hold(r.chars())
	if r.err == nil {
		if r.peek() == ':' {
			r.i++
			return name
		}
		r.unexpected("a colon")
	}
	return nil
}

func (r *jsonReader) null() bool {
	if r.err != nil || r.peek() != 'n' {
		return false
	}
	r.literal("null")
	return true
}

func (r *jsonReader) literal(s string) {
	if r.need(len(s)); !bytes.HasPrefix(r.b[r.i:], []byte(s)) {
		r.unexpected(s)
		return
	}
	r.i += len(s)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// ordinary returns where, counted from i and from n on, the first byte stands
// that a string may not simply contain: a quote, a backslash or a control
// character.
func (r *jsonReader) ordinary(n int) int {
	b := r.b[r.i:]
	for ; n+8 <= len(b); n += 8 {
		v := binary.LittleEndian.Uint64(b[n:])
		quote, slash := v^ones*'"', v^ones*'\\'
		// The lowest bit of each of the three is right, those above it may not be.
		if found := ((v-ones*' ')&^v | (quote-ones)&^quote | (slash-ones)&^slash) & highs; found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	for ; n < len(b); n++ {
		if c := b[n]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return n
}

// endOfString returns where, counted from i, the string ends that n is inside of,
// which is where its closing quote is, and whether there are escapes before that.
func (r *jsonReader) endOfString(n int) (end int, escapes bool) {
	for {
		if n < len(r.b)-r.i {
			n = r.ordinary(n)
		}
		switch {
		case n >= len(r.b)-r.i:
			if !r.more() {
				r.fail(errShort)
				return 0, false
			}
		case r.b[r.i+n] == '"':
			return n, escapes
		case r.b[r.i+n] != '\\':
			r.fail(fmt.Errorf("wire: control character %q in a string", r.b[r.i+n]))
			return 0, false
		default:
			escapes = true
			n += 2 // what is escaped is looked at when it is read
		}
	}
}

// chars reads a string and returns its bytes, where they stand, or if it has
// escapes what it means.
func (r *jsonReader) chars() []byte {
	if r.err != nil {
		return nil
	}
	if r.peek() != '"' {
		r.unexpected("a string")
		return nil
	}
	end, escapes := r.endOfString(1)
	if r.err != nil {
		return nil
	}
	b := r.b[r.i : r.i+end+1]
	r.i += len(b)
	if escapes {
		return []byte(r.unquote(b))
	}
	return b[1:end]
}

// unquote returns what a string with escapes means.
func (r *jsonReader) unquote(b []byte) (s string) {
	if err := json.Unmarshal(b, &s); err != nil {
		r.fail(fmt.Errorf("wire: string %.40q: %w", b, err))
		return ""
	}
	return s
}

func (r *jsonReader) text() string { return r.strings.make(r.chars()) }

// blob reads base64 and decodes it into memory of its own.
func (r *jsonReader) blob() []byte {
	if r.err != nil {
		return nil
	}
	if r.peek() != '"' {
		r.unexpected("a string")
		return nil
	}
	n := 1
	for {
		if m := bytes.IndexByte(r.b[r.i+n:], '"'); m >= 0 {
			n += m
			break
		}
		if n = len(r.b) - r.i; !r.more() {
			r.fail(errShort)
			return nil
		}
	}
	text := r.b[r.i+1 : r.i+n]
	data := r.data.take(plainLen(text), r.left()/4*3)
	wrote, read := decodePlain(data, text)
	if n, ok := decodeEnd(data[wrote:], text[read:]); ok {
		r.i += len(text) + 2
		return data[: wrote+n : wrote+n]
	}
	return r.blobRest(data[:wrote], 1+read)
}

// blobRest reads the rest of base64 from n on, counted from i, that has escapes or
// is none, and appends it to data.
func (r *jsonReader) blobRest(data []byte, n int) []byte {
	end, _ := r.endOfString(n)
	if r.err != nil {
		return nil
	}
	rest, err := unescape(r.b[r.i+n : r.i+end])
	if err == nil {
		data, err = base64.StdEncoding.AppendDecode(data, rest)
	}
	if err != nil {
		r.fail(fmt.Errorf("wire: data at byte %d: %w", r.at(), err))
		return nil
	}
	r.i += end + 1
	return data[:len(data):len(data)]
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
func (r *jsonReader) number() []byte {
	if r.err != nil {
		return nil
	}
	r.peek()
	n := 0
	for {
		for n < len(r.b)-r.i && isNumeric(r.b[r.i+n]) {
			n++
		}
		if n < len(r.b)-r.i || !r.more() {
			break
		}
	}
	b := r.b[r.i : r.i+n]
	if !isNumber(b) {
		r.fail(fmt.Errorf("wire: no number at byte %d", r.at()))
		return nil
	}
	r.i += n
	return b
}

func isNumeric(c byte) bool {
	return c-'0' < 10 || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// isNumber reports whether all of b is a number.
func isNumber(b []byte) bool {
	digits := func() (n int) {
		for n < len(b) && b[n]-'0' < 10 {
			n++
		}
		b = b[n:]
		return n
	}
	is := func(c, or byte) bool {
		if len(b) > 0 && (b[0] == c || b[0] == or) {
			b = b[1:]
			return true
		}
		return false
	}
	is('-', '-')
	zero := len(b) > 0 && b[0] == '0'
	if n := digits(); n == 0 || n > 1 && zero {
		return false
	}
	if is('.', '.') && digits() == 0 {
		return false
	}
	if is('e', 'E') {
		is('+', '-')
		if digits() == 0 {
			return false
		}
	}
	return len(b) == 0
}

func (r *jsonReader) int(lowest, highest int64) int64 {
	b := r.number()
	if r.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err == nil && (n < lowest || n > highest) {
		err = fmt.Errorf("want one from %d to %d", lowest, highest)
	}
	if err != nil {
		r.fail(fmt.Errorf("wire: number %.40s: %w", b, err))
	}
	return n
}

// time reads a time in seconds since 1970, with a fraction, as the SDK does: to
// the millisecond below its nearest floating-point number.
func (r *jsonReader) time() time.Time {
	if r.err == nil && r.peek() == '"' {
		switch s := string(r.chars()); {
		case strings.EqualFold(s, "Infinity"):
			return smithytime.ParseEpochSeconds(math.Inf(1))
		case strings.EqualFold(s, "-Infinity"):
			return smithytime.ParseEpochSeconds(math.Inf(-1))
		default:
			r.fail(fmt.Errorf("wire: time %.40q", s))
			return time.Time{}
		}
	}
	b := r.number()
	if r.err != nil {
		return time.Time{}
	}
	seconds, ok := exactFloat(b)
	if !ok {
		var err error
		if seconds, err = strconv.ParseFloat(string(b), 64); err != nil {
			r.fail(fmt.Errorf("wire: time %.40s: %w", b, err))
			return time.Time{}
		}
	}
	if millis := seconds * 1e3; math.Abs(millis) < math.MaxInt64/1e6 {
		return time.UnixMilli(int64(millis)).UTC()
	}
	return smithytime.ParseEpochSeconds(seconds)
}

// powers are those of ten that can be, with fifteen digits, a divisor.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// exactFloat returns the floating-point number nearest to b, if that takes no
// more than a division: for up to fifteen digits with a point among them.
func exactFloat(b []byte) (float64, bool) {
	if len(b) > 16 {
		return 0, false
	}
	digits, places := uint64(0), 0
	for i, c := range b {
		switch {
		case c-'0' < 10:
			digits = digits*10 + uint64(c-'0')
		case c == '.':
			places = len(b) - 1 - i
		default:
			return 0, false
		}
	}
	return float64(digits) / powers[places], digits < 1e15
}

func (r *jsonReader) skip() {
	for depth := len(r.ends); r.err == nil; {
		switch c := r.peek(); c {
		case '{', '[':
			r.enter(c, "a value")
		default:
			r.scalar(c)
		}
		for len(r.ends) > depth && !r.next() && r.err == nil {
		}
		if len(r.ends) == depth {
			return
		}
		if r.err == nil && r.ends[len(r.ends)-1] == '}' {
			r.name()
		}
	}
}

// scalar reads a value that begins with c and contains no others.
func (r *jsonReader) scalar(c byte) {
	switch c {
	case '"':
		r.chars()
	case 't':
		r.literal("true")
	case 'f':
		r.literal("false")
	case 'n':
		r.literal("null")
	default:
		r.number()
	}
}
