// Package shardmap does the arithmetic that decides which shard a record
// belongs to: 128-bit hash keys, their ranges, and the map from a key to the
// open shard that owns it.
package shardmap

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"
)

// A HashKey is a position on the ring that Kinesis spreads records over: an
// unsigned 128-bit integer, written in decimal. The zero value is the first.
type HashKey struct{ Hi, Lo uint64 }

// MaxHashKey is 2^128-1, the last hash key.
var MaxHashKey = HashKey{1<<64 - 1, 1<<64 - 1}

// maxDigits is the length of 2^128-1 in decimal.
const maxDigits = 39

// HashOf returns the hash key Kinesis gives a partition key: the MD5 of its
// UTF-8 bytes, read as a big-endian integer. It panics where MD5 is forbidden;
// call [CheckMD5] once before.
func HashOf(partitionKey string) HashKey {
	var buf [256]byte // a copy on the stack: Sum would make the string escape
	var sum [md5.Size]byte
	if len(partitionKey) <= len(buf) {
		sum = md5.Sum(buf[:copy(buf[:], partitionKey)])
	} else {
		sum = md5.Sum([]byte(partitionKey))
	}
	return HashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// CheckMD5 reports whether this process may compute MD5, on which routing and
// the aggregated record format rest. GODEBUG=fips140=only forbids it.
var CheckMD5 = sync.OnceValue(func() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("MD5, which Kinesis routing and aggregation need, is not available in this process (GODEBUG=fips140=only?): %v", r)
		}
	}()
	_ = md5.Sum(nil)
	return nil
})

// ParseHashKey reads a decimal hash key in the form the service accepts: digits
// only, no leading zero but for "0" itself, below 2^128.
func ParseHashKey(s string) (HashKey, error) {
	if s == "" || len(s) > maxDigits || (len(s) > 1 && s[0] == '0') {
		return HashKey{}, hashKeyError(s)
	}
	var k HashKey
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return HashKey{}, hashKeyError(s)
		}
		// k = k*10 + d, refusing what leaves 128 bits.
		over, hi := bits.Mul64(k.Hi, 10)
		carry, lo := bits.Mul64(k.Lo, 10)
		hi, c1 := bits.Add64(hi, carry, 0)
		lo, c2 := bits.Add64(lo, uint64(d), 0)
		hi, c3 := bits.Add64(hi, 0, c2)
		if over+c1+c3 != 0 {
			return HashKey{}, hashKeyError(s)
		}
		k = HashKey{hi, lo}
	}
	return k, nil
}

var errHashKey = errors.New("not a decimal integer from 0 to 2^128-1 without leading zeros")

func hashKeyError(s string) error {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return fmt.Errorf("hash key %q: %w", s, errHashKey)
}

// Append appends the decimal form of k to dst.
func (k HashKey) Append(dst []byte) []byte {
	var buf [maxDigits]byte
	i := len(buf)
	for {
		// Divide the 128-bit value by ten, high word first.
		qHi, r := k.Hi/10, k.Hi%10
		qLo, d := bits.Div64(r, k.Lo, 10)
		i--
		buf[i] = byte('0' + d)
		if k = (HashKey{qHi, qLo}); k == (HashKey{}) {
			return append(dst, buf[i:]...)
		}
	}
}

// String returns k in decimal.
func (k HashKey) String() string { return string(k.Append(nil)) }

// Compare returns -1, 0 or +1 as k is below, equal to or above o.
func (k HashKey) Compare(o HashKey) int {
	if c := cmp.Compare(k.Hi, o.Hi); c != 0 {
		return c
	}
	return cmp.Compare(k.Lo, o.Lo)
}

// Less reports whether k is below o.
func (k HashKey) Less(o HashKey) bool {
	return k.Hi < o.Hi || k.Hi == o.Hi && k.Lo < o.Lo
}

// Next returns k+1; after [MaxHashKey] comes zero.
func (k HashKey) Next() HashKey {
	lo, c := bits.Add64(k.Lo, 1, 0)
	return HashKey{k.Hi + c, lo}
}

// Prev returns k-1; before zero comes [MaxHashKey].
func (k HashKey) Prev() HashKey {
	lo, b := bits.Sub64(k.Lo, 1, 0)
	return HashKey{k.Hi - b, lo}
}

// A Range is the hash keys from Start to End, both included.
type Range struct{ Start, End HashKey }

// FullRange holds every hash key.
var FullRange = Range{End: MaxHashKey}

// ParseRange reads a range from its two decimal ends.
func ParseRange(start, end string) (Range, error) {
	s, err := ParseHashKey(start)
	if err != nil {
		return Range{}, fmt.Errorf("starting %w", err)
	}
	e, err := ParseHashKey(end)
	if err != nil {
		return Range{}, fmt.Errorf("ending %w", err)
	}
	if e.Less(s) {
		return Range{}, fmt.Errorf("hash key range %s-%s: ends before it starts", start, end)
	}
	return Range{s, e}, nil
}

// Contains reports whether k lies in r.
func (r Range) Contains(k HashKey) bool { return !k.Less(r.Start) && !r.End.Less(k) }

// Middle returns the hash key that splits r into two halves: the first key of
// the upper half. A range of one key has no halves; its key is returned.
func (r Range) Middle() HashKey {
	if r.Start == r.End {
		return r.Start
	}
	lo, b := bits.Sub64(r.End.Lo, r.Start.Lo, 0)
	hi, _ := bits.Sub64(r.End.Hi, r.Start.Hi, b)
	half := HashKey{hi >> 1, lo>>1 | hi<<63}
	return r.Start.plus(half).Next()
}

// Split cuts the whole ring into n ranges of 2^128/n keys, rounded down, the
// last taking the remainder, as CreateStream does. n must be at least 1.
func Split(n int) []Range {
	out := make([]Range, n)
	start := HashKey{}
	for i := range n - 1 {
		end := start.plus(width(uint64(n))).Prev()
		out[i] = Range{start, end}
		start = end.Next()
	}
	out[n-1] = Range{start, MaxHashKey}
	return out
}

// width returns 2^128/n rounded down, for n of at least 2.
func width(n uint64) HashKey {
	hi, r := MaxHashKey.Hi/n, MaxHashKey.Hi%n
	lo, r := bits.Div64(r, MaxHashKey.Lo, n)
	w := HashKey{hi, lo} // (2^128-1)/n
	if r == n-1 {
		return w.Next()
	}
	return w
}

func (k HashKey) plus(o HashKey) HashKey {
	lo, c := bits.Add64(k.Lo, o.Lo, 0)
	hi, _ := bits.Add64(k.Hi, o.Hi, c)
	return HashKey{hi, lo}
}
