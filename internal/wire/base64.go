package wire

import (
	"encoding/base64"
	"encoding/binary"
)

// Both directions go through tables of pairs, twelve bits at a time: about twice
// as fast as encoding/base64, which works on single characters.
var (
	encodePairs = makeEncodePairs() // of two sextets
	decodePairs = makeDecodePairs() // of two characters, in little-endian order
)

// badPair stands for two characters that are not both of the alphabet.
const badPair = 1 << 15

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func makeEncodePairs() *[1 << 12]uint16 {
	var t [1 << 12]uint16
	for i := range t {
		t[i] = uint16(alphabet[i>>6])<<8 | uint16(alphabet[i&63])
	}
	return &t
}

func makeDecodePairs() *[1 << 16]uint16 {
	var t [1 << 16]uint16
	for i := range t {
		t[i] = badPair
	}
	for i := range 64 {
		for j := range 64 {
			t[int(alphabet[i])|int(alphabet[j])<<8] = uint16(i<<6 | j)
		}
	}
	return &t
}

// appendBase64 appends the standard encoding of src.
func appendBase64(dst, src []byte) []byte {
	n := len(dst)
	size := base64.StdEncoding.EncodedLen(len(src))
	if cap(dst)-n < size {
		dst = append(dst, make([]byte, size)...)
	}
	dst = dst[:n+size]
	out := dst[n:]
	for len(src) >= 8 && len(out) >= 8 { // six of the eight bytes at a time
		v := binary.BigEndian.Uint64(src)
		binary.BigEndian.PutUint64(out, uint64(encodePairs[v>>52])<<48|
			uint64(encodePairs[v>>40&0xfff])<<32|uint64(encodePairs[v>>28&0xfff])<<16|uint64(encodePairs[v>>16&0xfff]))
		src, out = src[6:], out[8:]
	}
	base64.StdEncoding.Encode(out, src)
	return dst
}

// plainLen returns how many bytes b means if it is base64 in one line, and no less
// if it is something else.
func plainLen(b []byte) int {
	n := (len(b) + 3) / 4 * 3
	for i := len(b); i > 0 && n > 0 && len(b)-i < 2 && b[i-1] == '='; i-- {
		n--
	}
	return n
}

// decodeEnd decodes what decodePlain has left, if it is characters of the alphabet
// and padding. There is room in dst for what it means.
func decodeEnd(dst, src []byte) (n int, ok bool) {
	if len(src)%4 != 0 {
		return 0, false
	}
	for len(src) > 0 {
		end := 4
		for end > 2 && len(src) == 4 && src[end-1] == '=' {
			end--
		}
		quantum := [4]byte{'A', 'A', 'A', 'A'}
		copy(quantum[:], src[:end])
		v := binary.LittleEndian.Uint32(quantum[:])
		w, x := decodePairs[uint16(v)], decodePairs[v>>16]
		if (w|x)&badPair != 0 {
			return 0, false
		}
		var out [4]byte
		binary.BigEndian.PutUint32(out[:], uint32(w)<<20|uint32(x)<<8)
		n += copy(dst[n:], out[:end-1])
		src = src[4:]
	}
	return n, true
}

// decodePlain decodes the beginning of src, eight characters at a time, as far as
// there are characters of the alphabet alone. It stops short of the last eight,
// which may be padded. It returns how many bytes it wrote to dst and how many
// characters those were.
func decodePlain(dst, src []byte) (wrote, read int) {
	in, out := src, dst
	for len(in) > 8 && len(out) >= 8 {
		v := binary.LittleEndian.Uint64(in)
		w, x, y, z := decodePairs[uint16(v)], decodePairs[uint16(v>>16)], decodePairs[uint16(v>>32)], decodePairs[v>>48]
		if (w|x|y|z)&badPair != 0 {
			break
		}
		// Eight bytes are written, of which six count.
		binary.BigEndian.PutUint64(out, uint64(w)<<52|uint64(x)<<40|uint64(y)<<28|uint64(z)<<16)
		in, out = in[8:], out[6:]
	}
	return len(dst) - len(out), len(src) - len(in)
}
