package cbor

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// The major types of an item.
const (
	typeUint = iota
	typeNegative
	typeBytes
	typeText
	typeArray
	typeMap
	typeTag
	typeSimple
)

const (
	indefinite = 31   // the additional information of an item that ends with a break
	breakByte  = 0xff // that break
	tagTime    = 1
	maxDepth   = 32
)

var errShort = errors.New("cbor: the body ends in the middle of a value")

// ToJSON returns the JSON of a CBOR body.
func ToJSON(body []byte) ([]byte, error) {
	d := decoder{in: body, out: make([]byte, 0, len(body)+len(body)/2)}
	if err := d.value(0); err != nil {
		return nil, err
	}
	if len(d.in) > 0 {
		return nil, fmt.Errorf("cbor: %d bytes after the value", len(d.in))
	}
	return d.out, nil
}

type decoder struct{ in, out []byte }

// head reads the beginning of an item: its type, its additional information and
// the number that goes with it, which is a count of bytes or items or a value.
func (d *decoder) head() (major, info byte, n uint64, err error) {
	if len(d.in) == 0 {
		return 0, 0, 0, errShort
	}
	major, info = d.in[0]>>5, d.in[0]&31
	d.in = d.in[1:]
	switch {
	case info < 24:
		return major, info, uint64(info), nil
	case info == indefinite:
		return major, info, 0, nil
	case info > 27:
		return 0, 0, 0, fmt.Errorf("cbor: reserved length code %d", info)
	}
	b, err := d.take(1 << (info - 24))
	if err != nil {
		return 0, 0, 0, err
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return major, info, n, nil
}

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.in)) {
		return nil, errShort
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b, nil
}

// end reports whether a list of n items, of which i were read, is over, and
// reads the break of one without a count.
func (d *decoder) end(info byte, i, n uint64) (bool, error) {
	if info != indefinite {
		return i == n, nil
	}
	if len(d.in) == 0 {
		return false, errShort
	}
	if d.in[0] != breakByte {
		return false, nil
	}
	d.in = d.in[1:]
	return true, nil
}

func (d *decoder) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("cbor: values are nested deeper than %d", maxDepth)
	}
	major, info, n, err := d.head()
	if err != nil {
		return err
	}
	switch major {
	case typeArray:
		return d.array(depth, info, n)
	case typeMap:
		return d.object(depth, info, n)
	case typeBytes:
		b, err := d.bytes(major, info, n)
		d.out = append(d.out, '"')
		d.out = base64.StdEncoding.AppendEncode(d.out, b)
		d.out = append(d.out, '"')
		return err
	case typeText:
		return d.text(info, n)
	case typeSimple:
		return d.simple(info, n)
	case typeTag:
		return d.time(info, n)
	}
	return d.integer(major, info, n)
}

func (d *decoder) array(depth int, info byte, n uint64) error {
	d.out = append(d.out, '[')
	for i := uint64(0); ; i++ {
		if done, err := d.end(info, i, n); done || err != nil {
			d.out = append(d.out, ']')
			return err
		}
		if i > 0 {
			d.out = append(d.out, ',')
		}
		if err := d.value(depth + 1); err != nil {
			return err
		}
	}
}

func (d *decoder) object(depth int, info byte, n uint64) error {
	d.out = append(d.out, '{')
	for i := uint64(0); ; i++ {
		if done, err := d.end(info, i, n); done || err != nil {
			d.out = append(d.out, '}')
			return err
		}
		if i > 0 {
			d.out = append(d.out, ',')
		}
		major, info, n, err := d.head()
		if err != nil {
			return err
		}
		if major != typeText {
			return fmt.Errorf("cbor: a member's name is of type %d, want text", major)
		}
		if err := d.text(info, n); err != nil {
			return err
		}
		d.out = append(d.out, ':')
		if err := d.value(depth + 1); err != nil {
			return err
		}
	}
}

// bytes reads a string of either kind, in one piece or in several.
func (d *decoder) bytes(major, info byte, n uint64) ([]byte, error) {
	if info != indefinite {
		return d.take(n)
	}
	var all []byte
	for {
		if done, err := d.end(info, 0, 0); done || err != nil {
			return all, err
		}
		m, i, n, err := d.head()
		if err != nil {
			return nil, err
		}
		if m != major || i == indefinite {
			return nil, errors.New("cbor: a string is not made of pieces of its kind")
		}
		piece, err := d.take(n)
		if err != nil {
			return nil, err
		}
		all = append(all, piece...)
	}
}

func (d *decoder) text(info byte, n uint64) error {
	b, err := d.bytes(typeText, info, n)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("cbor: text %.40q is not UTF-8", b)
	}
	quoted, err := json.Marshal(string(b))
	d.out = append(d.out, quoted...)
	return err
}

func (d *decoder) integer(major, info byte, n uint64) error {
	if info == indefinite || n > math.MaxInt64 {
		return errors.New("cbor: a number is no 64-bit integer")
	}
	v := int64(n)
	if major == typeNegative {
		v = -1 - v
	}
	d.out = strconv.AppendInt(d.out, v, 10)
	return nil
}

func (d *decoder) simple(info byte, n uint64) error {
	var f float64
	switch info {
	case 20:
		d.out = append(d.out, "false"...)
		return nil
	case 21:
		d.out = append(d.out, "true"...)
		return nil
	case 22, 23: // null, undefined
		d.out = append(d.out, "null"...)
		return nil
	case 26:
		f = float64(math.Float32frombits(uint32(n)))
	case 27:
		f = math.Float64frombits(n)
	default:
		return fmt.Errorf("cbor: simple value %d", info)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Errorf("cbor: number %v", f)
	}
	d.out = strconv.AppendFloat(d.out, f, 'g', -1, 64)
	return nil
}

// time reads what follows a tag, which must be that of a time.
func (d *decoder) time(info byte, tag uint64) error {
	if info == indefinite || tag != tagTime {
		return fmt.Errorf("cbor: tag %d, want %d for a time", tag, tagTime)
	}
	major, info, n, err := d.head()
	if err != nil {
		return err
	}
	if major != typeUint || info == indefinite || n > math.MaxInt64 {
		return errors.New("cbor: a time is not a whole number of milliseconds since 1970")
	}
	d.out = strconv.AppendUint(d.out, n/1000, 10)
	if ms := n % 1000; ms > 0 {
		d.out = append(d.out, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return nil
}

// appendHead writes the beginning of an item.
func appendHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}
