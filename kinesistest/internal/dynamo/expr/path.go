package expr

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// A Path leads to a value inside an item: an attribute name, then names of
// map entries and indexes of list elements.
type Path []step

// A step is a map entry's name, or the index of a list element if list is set.
type step struct {
	name  string
	index int
	list  bool
}

// Name returns the path of a top-level attribute.
func Name(name string) Path { return Path{{name: name}} }

// Root returns the name of the attribute that the path begins with.
func (p Path) Root() string { return p[0].name }

// Nested reports whether the path leads into an attribute.
func (p Path) Nested() bool { return len(p) > 1 }

// String returns the path as an expression writes it: a.b[1].
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.list:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// steps returns the path as AWS's error texts print it: [a, b, [1]].
func (p Path) steps() string {
	parts := make([]string, len(p))
	for i, s := range p {
		if parts[i] = s.name; s.list {
			parts[i] = "[" + strconv.Itoa(s.index) + "]"
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// Lookup returns the value the path leads to in it.
func (p Path) Lookup(it attr.Item) (attr.Value, bool) {
	v, ok := it[p[0].name]
	for _, s := range p[1:] {
		if !ok {
			break
		}
		v, ok = s.into(v)
	}
	return v, ok
}

func (s step) into(v attr.Value) (attr.Value, bool) {
	if s.list {
		if v.Kind() != attr.List || s.index >= len(v.List()) {
			return attr.Value{}, false
		}
		return v.List()[s.index], true
	}
	if v.Kind() != attr.Map {
		return attr.Value{}, false
	}
	w, ok := v.Item()[s.name]
	return w, ok
}

func (p Path) equal(q Path) bool {
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		if p[i] != q[i] {
			return false
		}
	}
	return true
}

// clash says how two paths of one expression disagree: "overlap" if one leads
// to or into the other's value, "conflict" if one takes a value for a map and
// the other for a list, "" if they can stand together.
func (p Path) clash(q Path) string {
	for i := range min(len(p), len(q)) {
		if p[i].list != q[i].list {
			return "conflict"
		}
		if p[i] != q[i] {
			return ""
		}
	}
	return "overlap"
}

// distinct returns the fault AWS finds in the first two paths that clash, ""
// if none do.
func distinct(paths []Path) string {
	for i, q := range paths {
		for _, p := range paths[:i] {
			if how := p.clash(q); how != "" {
				return fmt.Sprintf("Two document paths %s with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", how, p.steps(), q.steps())
			}
		}
	}
	return ""
}
