package attr

import "strings"

// Equal reports whether a and b are the same value: of one type, and for
// sets regardless of order.
func Equal(a, b Value) bool {
	if a.kind != b.kind || len(a.list) != len(b.list) || len(a.item) != len(b.item) {
		return false
	}
	switch a.kind {
	case String, Number, Binary:
		return a.text == b.text
	case Bool:
		return a.bool == b.bool
	case List:
		for i := range a.list {
			if !Equal(a.list[i], b.list[i]) {
				return false
			}
		}
	case StringSet, NumberSet, BinarySet:
		return equalSets(a, b)
	case Map:
		return a.item.Equal(b.item)
	}
	return true
}

// Equal reports whether two items have the same attributes.
func (it Item) Equal(other Item) bool {
	if len(it) != len(other) {
		return false
	}
	for name, v := range it {
		w, ok := other[name]
		if !ok || !Equal(v, w) {
			return false
		}
	}
	return true
}

func equalSets(a, b Value) bool {
	seen := make(map[string]bool, len(a.list))
	for _, m := range a.list {
		seen[m.text] = true
	}
	for _, m := range b.list {
		if !seen[m.text] {
			return false
		}
	}
	return true
}

// Ordered reports whether values of this type can be compared with < and >.
func (k Kind) Ordered() bool { return k == String || k == Number || k == Binary }

// Compare orders two values of one type: strings and binaries by bytes,
// numbers by size. ok is false if their types differ or have no order.
func Compare(a, b Value) (order int, ok bool) {
	if a.kind != b.kind || !a.kind.Ordered() {
		return 0, false
	}
	if a.kind == Number {
		return a.Decimal().Compare(b.Decimal()), true
	}
	return strings.Compare(a.text, b.text), true
}

// SortKey returns bytes that order as Compare does among values of v's type,
// and are equal only for equal values. v must be an S, an N or a B.
func (v Value) SortKey() string {
	if v.kind == Number {
		return v.Decimal().sortKey()
	}
	return v.text
}
