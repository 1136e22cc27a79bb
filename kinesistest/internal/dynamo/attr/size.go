package attr

// Size returns the bytes DynamoDB counts for an item: every name and value.
func (it Item) Size() int {
	n := 0
	for name, v := range it {
		n += len(name) + v.Size()
	}
	return n
}

// Size returns the bytes DynamoDB counts for a value: text and binaries by
// length, a number by two digits a byte, three bytes for a list or map and
// one for each of its entries.
func (v Value) Size() int {
	switch v.kind {
	case String, Binary:
		return len(v.text)
	case Number:
		return v.Decimal().size()
	case List:
		n := 3
		for _, e := range v.list {
			n += 1 + e.Size()
		}
		return n
	case Map:
		return 3 + len(v.item) + v.item.Size()
	case StringSet, NumberSet, BinarySet:
		n := 0
		for _, e := range v.list {
			n += e.Size()
		}
		return n
	}
	return 1
}

// size is one byte for sign and exponent and one for each pair of digits,
// where pairs are counted from the decimal point.
func (d Decimal) size() int {
	n := len(d.digits)
	if d.exp%2 != 0 {
		n++
	}
	n = 1 + (n+1)/2
	if d.neg {
		n++
	}
	return n
}
