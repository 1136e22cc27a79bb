package aggregation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"unicode/utf8"
	"unsafe"
)

// IDTag is the key of the tag that names its record, so that readers can tell a
// record that was put twice from two records. Package producer writes it, package
// consumer reads it; the KPL and the KCL know nothing of it.
const IDTag = "record-id"

// A Tag is a name and an optional value attached to a user record.
type Tag struct {
	Key   string
	Value string

	// HasValue tells an empty value from none. A Value that is not empty
	// implies it.
	HasValue bool
}

// Tags is a list of tags in the form the wire has them. The zero value is the
// empty list. Decoded tags alias the bytes of their record.
type Tags struct {
	// fields is a well-formed run of fields of a message Record. Those with
	// number 4 are the tags; a decoded list has the whole message here.
	fields string
}

var errUTF8 = errors.New("not valid UTF-8")

// NewTags makes a list of tags for [Encoder.Append]. It copies keys and values,
// and refuses what is not valid UTF-8, because a reader in Java would replace it.
func NewTags(tags ...Tag) (Tags, error) {
	var out []byte
	for i, t := range tags {
		if !utf8.ValidString(t.Key) {
			return Tags{}, fmt.Errorf("aggregation: key of tag %d: %w", i, errUTF8)
		}
		if !utf8.ValidString(t.Value) {
			return Tags{}, fmt.Errorf("aggregation: value of tag %d: %w", i, errUTF8)
		}
		size := fieldSize(len(t.Key))
		if t.HasValue || t.Value != "" {
			size += fieldSize(len(t.Value))
		}
		out = binary.AppendUvarint(append(out, tagTag), uint64(size))
		out = appendString(out, tagTagKey, t.Key)
		if t.HasValue || t.Value != "" {
			out = appendString(out, tagTagValue, t.Value)
		}
	}
	return Tags{view(out)}, nil
}

// All yields the tags in order. It may be used more than once.
func (t Tags) All() iter.Seq[Tag] {
	return func(yield func(Tag) bool) {
		for msg := range t.messages() {
			tag, f := parseTag(msg, 0)
			if f != noFault || !yield(tag) {
				return
			}
		}
	}
}

// Get returns the first tag with a key, and false if there is none.
func (t Tags) Get(key string) (Tag, bool) {
	b := t.bytes()
	for i := 0; i < len(b); {
		tag, v, next, f := nextField(b, i)
		if f != noFault {
			break
		}
		if tag == tagTag {
			found, f := parseTag(b[:next], next-int(v))
			if f != noFault {
				break
			}
			if found.Key == key {
				return found, true
			}
		}
		i = next
	}
	return Tag{}, false
}

// Equal reports whether t and u hold the same tags in the same order.
func (t Tags) Equal(u Tags) bool {
	return slices.Equal(slices.Collect(t.All()), slices.Collect(u.All()))
}

func (t Tags) bytes() []byte { return unsafe.Slice(unsafe.StringData(t.fields), len(t.fields)) }

// messages yields the bytes of each message Tag.
func (t Tags) messages() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b := t.bytes()
		for i := 0; i < len(b); {
			tag, v, next, f := nextField(b, i)
			if f != noFault || tag == tagTag && !yield(b[next-int(v):next]) {
				return
			}
			i = next
		}
	}
}

// size returns how many bytes the tags take in a message Record.
func (t Tags) size() int {
	n := 0
	for msg := range t.messages() {
		n += fieldSize(len(msg))
	}
	return n
}

// appendTo appends the tags to a message Record.
func (t Tags) appendTo(dst []byte) []byte {
	for msg := range t.messages() {
		dst = binary.AppendUvarint(append(dst, tagTag), uint64(len(msg)))
		dst = append(dst, msg...)
	}
	return dst
}

func appendString(dst []byte, tag byte, s string) []byte {
	dst = binary.AppendUvarint(append(dst, tag), uint64(len(s)))
	return append(dst, s...)
}
