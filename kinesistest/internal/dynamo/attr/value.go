// Package attr holds DynamoDB attribute values: their ten types, their JSON
// form, their order and their size, and numbers with 38 digits.
//
// A [Value] is immutable. An [Item] handed out by this package's callers is
// never written again: a change makes a new map, so that items can be shared
// between a table, its indexes and whoever inspects them.
package attr

import (
	"maps"
	"slices"
)

// A Kind is one of the ten types of an attribute value, spelt as in
// DynamoDB's JSON.
type Kind string

// The types of attribute values.
const (
	String    Kind = "S"
	Number    Kind = "N"
	Binary    Kind = "B"
	StringSet Kind = "SS"
	NumberSet Kind = "NS"
	BinarySet Kind = "BS"
	Map       Kind = "M"
	List      Kind = "L"
	Bool      Kind = "BOOL"
	Null      Kind = "NULL"
)

// Word returns the long name that some of AWS's error texts use.
func (k Kind) Word() string {
	switch k {
	case String:
		return "STRING"
	case Number:
		return "NUMBER"
	case Binary:
		return "BINARY"
	case StringSet:
		return "STRING_SET"
	case NumberSet:
		return "NUMBER_SET"
	case BinarySet:
		return "BINARY_SET"
	case Map:
		return "MAP"
	case List:
		return "LIST"
	case Bool:
		return "BOOLEAN"
	}
	return "NULL"
}

// IsSet reports whether k is one of the three set types.
func (k Kind) IsSet() bool { return k == StringSet || k == NumberSet || k == BinarySet }

// Member returns the type of a set's members, "" if k is no set.
func (k Kind) Member() Kind {
	switch k {
	case StringSet:
		return String
	case NumberSet:
		return Number
	case BinarySet:
		return Binary
	}
	return ""
}

// A Value is one attribute value. The zero Value has no type and stands for
// an absent attribute.
type Value struct {
	kind Kind
	text string  // S; B as raw bytes; N in canonical form
	list []Value // L in order; the members of a set in the order given
	item Item    // M
	bool bool
}

// An Item is a row, or the content of a map: attribute values by name.
type Item map[string]Value

// S returns a string value.
func S(s string) Value { return Value{kind: String, text: s} }

// B returns a binary value of the bytes of s.
func B(s string) Value { return Value{kind: Binary, text: s} }

// N returns a number value.
func N(d Decimal) Value { return Value{kind: Number, text: d.String()} }

// Int returns a number value.
func Int(i int) Value { return N(decimalOf(int64(i))) }

// L returns a list of vs, which it keeps.
func L(vs []Value) Value { return Value{kind: List, list: vs} }

// M returns a map value of it, which it keeps.
func M(it Item) Value { return Value{kind: Map, item: it} }

// Set returns a set with the given members, which it keeps. They must be of
// the set's member type and distinct.
func Set(kind Kind, members []Value) Value { return Value{kind: kind, list: members} }

// Kind returns the type, "" for an absent value.
func (v Value) Kind() Kind { return v.kind }

// Text returns the string of an S, the bytes of a B, the digits of an N.
func (v Value) Text() string { return v.text }

// Bool returns the value of a BOOL.
func (v Value) Bool() bool { return v.bool }

// List returns the elements of an L or the members of a set. The caller must
// not change them.
func (v Value) List() []Value { return v.list }

// Item returns the content of an M. The caller must not change it.
func (v Value) Item() Item { return v.item }

// Decimal returns the number of an N.
func (v Value) Decimal() Decimal {
	d, _ := ParseDecimal(v.text)
	return d
}

// Has reports whether a set has the member m.
func (v Value) Has(m Value) bool {
	return slices.ContainsFunc(v.list, func(x Value) bool { return x.text == m.text })
}

// With returns it with the attribute set to v.
func (it Item) With(name string, v Value) Item {
	next := make(Item, len(it)+1)
	maps.Copy(next, it)
	next[name] = v
	return next
}

// Only returns the named attributes of it.
func (it Item) Only(names ...string) Item {
	next := make(Item, len(names))
	for _, n := range names {
		if v, ok := it[n]; ok {
			next[n] = v
		}
	}
	return next
}

// Names returns the attribute names in byte order.
func (it Item) Names() []string {
	names := make([]string, 0, len(it))
	for name := range it {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
