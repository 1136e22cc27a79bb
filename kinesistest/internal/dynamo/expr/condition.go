package expr

import (
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// A Condition decides about an item. Condition and filter expressions, key
// conditions and the legacy forms all become one. A nil *Condition holds for
// every item.
type Condition struct {
	root  test
	paths []Path
}

// Holds reports whether the condition is true of it, which is empty or nil
// for an absent item.
func (c *Condition) Holds(it attr.Item) bool { return c == nil || c.root.holds(it) }

// Paths returns the paths that the condition looks at.
func (c *Condition) Paths() []Path {
	if c == nil {
		return nil
	}
	return c.paths
}

// String returns the condition in the expression language, with names and
// values put in: attribute_exists(a) AND b = {"N":"1"}.
func (c *Condition) String() string {
	if c == nil {
		return ""
	}
	return c.root.String()
}

// A test is a node of the condition tree.
type test interface {
	holds(attr.Item) bool
	String() string
}

type (
	and struct{ left, right test }
	or  struct{ left, right test }
	not struct{ of test }

	// compare is =, <>, <, <=, > or >=.
	compare struct {
		op          string
		left, right operand
	}
	between struct{ of, low, high operand }
	in      struct {
		of   operand
		list []operand
	}
	exists struct {
		path   Path
		absent bool
	}
	hasType struct {
		of   operand
		kind attr.Kind
	}
	beginsWith struct{ of, prefix operand }
	contains   struct{ of, part operand }
)

// An operand yields a value of the item, or none.
type operand interface {
	value(attr.Item) (attr.Value, bool)
	// kind is the type if it is known without an item, else "".
	kind() attr.Kind
	String() string
}

type (
	literal struct{ attr.Value }
	size    struct{ of operand }
)

func (n and) holds(it attr.Item) bool { return n.left.holds(it) && n.right.holds(it) }
func (n or) holds(it attr.Item) bool  { return n.left.holds(it) || n.right.holds(it) }
func (n not) holds(it attr.Item) bool { return !n.of.holds(it) }

// holds is true for <> also when a side is absent or the types differ, and
// false for every other operator then.
func (n compare) holds(it attr.Item) bool {
	left, ok1 := n.left.value(it)
	right, ok2 := n.right.value(it)
	both := ok1 && ok2
	switch n.op {
	case "=":
		return both && attr.Equal(left, right)
	case "<>":
		return !both || !attr.Equal(left, right)
	}
	order, comparable := attr.Compare(left, right)
	if !both || !comparable {
		return false
	}
	switch n.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (n between) holds(it attr.Item) bool {
	return compare{">=", n.of, n.low}.holds(it) && compare{"<=", n.of, n.high}.holds(it)
}

func (n in) holds(it attr.Item) bool {
	for _, o := range n.list {
		if (compare{"=", n.of, o}).holds(it) {
			return true
		}
	}
	return false
}

func (n exists) holds(it attr.Item) bool {
	_, ok := n.path.Lookup(it)
	return ok != n.absent
}

func (n hasType) holds(it attr.Item) bool {
	v, ok := n.of.value(it)
	return ok && v.Kind() == n.kind
}

func (n beginsWith) holds(it attr.Item) bool {
	v, ok1 := n.of.value(it)
	prefix, ok2 := n.prefix.value(it)
	text := v.Kind() == attr.String || v.Kind() == attr.Binary
	return ok1 && ok2 && text && v.Kind() == prefix.Kind() && strings.HasPrefix(v.Text(), prefix.Text())
}

// holds is true if the part is a piece of a string or binary, a member of a
// set, or an element of a list.
func (n contains) holds(it attr.Item) bool {
	v, ok1 := n.of.value(it)
	part, ok2 := n.part.value(it)
	if !ok1 || !ok2 {
		return false
	}
	switch v.Kind() {
	case attr.String, attr.Binary:
		return part.Kind() == v.Kind() && strings.Contains(v.Text(), part.Text())
	case attr.StringSet, attr.NumberSet, attr.BinarySet:
		return part.Kind() == v.Kind().Member() && v.Has(part)
	case attr.List:
		for _, e := range v.List() {
			if attr.Equal(e, part) {
				return true
			}
		}
	}
	return false
}

func (p Path) value(it attr.Item) (attr.Value, bool) { return p.Lookup(it) }
func (p Path) kind() attr.Kind                       { return "" }

func (l literal) value(attr.Item) (attr.Value, bool) { return l.Value, true }
func (l literal) kind() attr.Kind                    { return l.Kind() }

// value is the bytes of a string or binary, and the entries of a set, list
// or map; other types have no size.
func (s size) value(it attr.Item) (attr.Value, bool) {
	v, ok := s.of.value(it)
	if !ok || !hasSize(v.Kind()) {
		return attr.Value{}, false
	}
	switch v.Kind() {
	case attr.String, attr.Binary:
		return attr.Int(len(v.Text())), true
	case attr.Map:
		return attr.Int(len(v.Item())), true
	}
	return attr.Int(len(v.List())), true
}

func (s size) kind() attr.Kind { return attr.Number }

func hasSize(k attr.Kind) bool {
	return k != attr.Number && k != attr.Bool && k != attr.Null
}
