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

// decodePlain decodes the beginning of b in place, eight characters at a time,
// as far as there are characters of the alphabet alone. It stops short of the
// last eight, which may be padded. It returns how many bytes it wrote and how
// many characters those were.
func decodePlain(b []byte) (wrote, read int) {
	src, dst := b, b
	for len(src) > 8 && len(dst) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		w, x, y, z := decodePairs[uint16(v)], decodePairs[uint16(v>>16)], decodePairs[uint16(v>>32)], decodePairs[v>>48]
		if (w|x|y|z)&badPair != 0 {
			break
		}
		// Eight bytes are written, of which six count. What they overwrite has been
		// read, the more so the further it gets.
		binary.BigEndian.PutUint64(dst, uint64(w)<<52|uint64(x)<<40|uint64(y)<<28|uint64(z)<<16)
		src, dst = src[8:], dst[6:]
	}
	return len(b) - len(dst), len(b) - len(src)
}
