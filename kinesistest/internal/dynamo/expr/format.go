package expr

import "strings"

// The String methods print a condition in the expression language with names
// and values put in, as it appears in the record of applied writes.

func (n and) String() string { return group(n.left) + " AND " + group(n.right) }
func (n or) String() string  { return group(n.left) + " OR " + group(n.right) }
func (n not) String() string { return "NOT " + group(n.of) }

// group puts what binds less tightly than any neighbour in parentheses.
func group(t test) string {
	switch t.(type) {
	case or, not:
		return "(" + t.String() + ")"
	}
	return t.String()
}

func (n compare) String() string { return n.left.String() + " " + n.op + " " + n.right.String() }

func (n between) String() string {
	return n.of.String() + " BETWEEN " + n.low.String() + " AND " + n.high.String()
}

func (n in) String() string {
	list := make([]string, len(n.list))
	for i, o := range n.list {
		list[i] = o.String()
	}
	return n.of.String() + " IN (" + strings.Join(list, ", ") + ")"
}

func (n exists) String() string {
	if n.absent {
		return "attribute_not_exists(" + n.path.String() + ")"
	}
	return "attribute_exists(" + n.path.String() + ")"
}

func (n hasType) String() string {
	return "attribute_type(" + n.of.String() + ", " + string(n.kind) + ")"
}

func (n beginsWith) String() string {
	return "begins_with(" + n.of.String() + ", " + n.prefix.String() + ")"
}

func (n contains) String() string {
	return "contains(" + n.of.String() + ", " + n.part.String() + ")"
}

func (l literal) String() string { return string(l.Append(nil)) }
func (s size) String() string    { return "size(" + s.of.String() + ")" }
