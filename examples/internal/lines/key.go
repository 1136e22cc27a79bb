package lines

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf16"
)

// maxKeyChars is the longest partition key, in UTF-16 units: Kinesis counts
// Unicode characters and the Java libraries count these, of which there are
// never fewer.
const maxKeyChars = 256

// Key returns the partition key of a line: its n-th field, counted from 1, where
// a comma or a run of blanks ends a field. It is a hash of the whole line if n is
// 0 or if that field is missing or empty, so every line has a key.
//
// The key is what Kinesis asks for, whatever the bytes of the line: bytes that
// are no UTF-8 become U+FFFD, and of a field of more than 256 characters the
// first ones are kept and a hash of all is put behind them, so that long keys
// that begin alike stay different keys.
func Key(line []byte, n int) string {
	var f []byte
	if n > 0 {
		f = field(line, n)
	}
	if len(f) == 0 {
		return digest(line)
	}
	key := strings.ToValidUTF8(string(f), "\uFFFD")
	if len(key) <= maxKeyChars { // never fewer bytes than units
		return key
	}
	tail := "~" + digest(f)
	units, cut := 0, 0
	for i, c := range key {
		if units <= maxKeyChars-len(tail) {
			cut = i
		}
		units += utf16.RuneLen(c)
	}
	if units <= maxKeyChars {
		return key
	}
	return key[:cut] + tail
}

// field returns the n-th field of a line, counted from 1, or nil if there are
// fewer. A comma ends a field, and so does a run of blanks (spaces and tabs);
// blanks beside a comma or at either end of the line separate nothing.
func field(line []byte, n int) []byte {
	rest := bytes.Trim(line, " \t\r")
	for ; n > 1; n-- {
		i := bytes.IndexAny(rest, ", \t")
		if i < 0 {
			return nil
		}
		rest = bytes.TrimLeft(rest[i:], " \t")
		if len(rest) > 0 && rest[0] == ',' {
			rest = bytes.TrimLeft(rest[1:], " \t")
		}
	}
	if i := bytes.IndexAny(rest, ", \t"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// digest is a short text that stands for b, the same in every run.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
