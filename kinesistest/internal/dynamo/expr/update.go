package expr

import (
	"maps"
	"slices"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// The faults of an update that only an item can bring out, in AWS's words.
var (
	errOperand = attr.Invalidf("An operand in the update expression has an incorrect data type")
	errAbsent  = attr.Invalidf("The provided expression refers to an attribute that does not exist in the item")
	errPath    = attr.Invalidf("The document path provided in the update expression is invalid for update")
)

// An Update changes an item. Update expressions and the legacy
// AttributeUpdates both become one. A nil *Update changes nothing.
type Update struct {
	actions []action
	shy     bool // see Creates
}

// Creates reports whether the update makes a row where there is none. One of
// the legacy grammar that only deletes does not.
func (u *Update) Creates() bool { return u == nil || !u.shy }

// An action is one change: value computes what the path is to hold from the
// item as it was before the update, or says to remove it.
type action struct {
	path Path
	// value returns the new value. An absent one removes the path.
	value func(before attr.Item) (attr.Value, error)
}

// Paths returns the paths that the update writes, in order.
func (u *Update) Paths() []Path {
	if u == nil {
		return nil
	}
	paths := make([]Path, len(u.actions))
	for i, a := range u.actions {
		paths[i] = a.path
	}
	return paths
}

// Apply returns the item after the update. It reads every operand before it
// writes, and leaves it unchanged.
func (u *Update) Apply(it attr.Item) (attr.Item, error) {
	if u == nil {
		return it, nil
	}
	type change struct {
		path  Path
		value attr.Value
	}
	changes := make([]change, len(u.actions))
	for i, a := range u.actions {
		v, err := a.value(it)
		if err != nil {
			return nil, err
		}
		changes[i] = change{a.path, v}
	}
	// Elements set beyond a list's end are appended in order of their index.
	slices.SortStableFunc(changes, func(a, b change) int { return a.path.compare(b.path) })
	next := make(attr.Item, len(it)+len(changes))
	maps.Copy(next, it)
	touched := false
	for _, c := range changes {
		root := c.path[0].name
		old, ok := next[root]
		v := c.value
		if c.path.Nested() {
			if !ok {
				return nil, errPath
			}
			var err error
			if v, err = place(old, c.path[1:], c.value); err != nil {
				return nil, err
			}
			touched = true
		}
		if v.Kind() == "" {
			delete(next, root)
		} else {
			next[root] = v
		}
	}
	if touched {
		for _, c := range changes {
			if v, ok := next[c.path[0].name]; ok && c.path.Nested() {
				next[c.path[0].name] = compact(v)
			}
		}
	}
	return next, nil
}

// place returns v with what path leads to replaced by w. A removed list
// element leaves an absent value in its place, so that the indexes of other
// actions still hold; compact takes it out at the end.
func place(v attr.Value, path Path, w attr.Value) (attr.Value, error) {
	s := path[0]
	if s.list != (v.Kind() == attr.List) || !s.list && v.Kind() != attr.Map {
		return attr.Value{}, errPath
	}
	if len(path) > 1 {
		inner, ok := s.into(v)
		if !ok {
			return attr.Value{}, errPath
		}
		var err error
		if w, err = place(inner, path[1:], w); err != nil {
			return attr.Value{}, err
		}
	}
	if s.list {
		return placeElement(v, s.index, w), nil
	}
	if w.Kind() != "" {
		return attr.M(v.Item().With(s.name, w)), nil
	}
	next := v.Item().With(s.name, w)
	delete(next, s.name)
	return attr.M(next), nil
}

func placeElement(v attr.Value, index int, w attr.Value) attr.Value {
	list := slices.Clone(v.List())
	switch {
	case index < len(list):
		list[index] = w
	case w.Kind() != "":
		list = append(list, w)
	}
	return attr.L(list)
}

// compact takes the absent elements out of the lists in v.
func compact(v attr.Value) attr.Value {
	switch v.Kind() {
	case attr.List:
		list := make([]attr.Value, 0, len(v.List()))
		for _, e := range v.List() {
			if e.Kind() != "" {
				list = append(list, compact(e))
			}
		}
		return attr.L(list)
	case attr.Map:
		next := make(attr.Item, len(v.Item()))
		for name, e := range v.Item() {
			next[name] = compact(e)
		}
		return attr.M(next)
	}
	return v
}

// compare orders paths by their steps, so that appends to one list follow
// their indexes.
func (p Path) compare(q Path) int {
	return slices.CompareFunc(p, q, func(a, b step) int {
		switch {
		case a == b:
			return 0
		case a.list && b.list && a.index < b.index, a.name < b.name:
			return -1
		}
		return 1
	})
}

// add returns what ADD makes of an attribute: a sum, or a union of sets.
func add(path Path, operand attr.Value) func(attr.Item) (attr.Value, error) {
	return func(it attr.Item) (attr.Value, error) {
		old, ok := path.Lookup(it)
		switch {
		case !ok:
			return operand, nil
		case old.Kind() != operand.Kind():
			return attr.Value{}, errOperand
		case operand.Kind() == attr.Number:
			return sum(old, operand, false)
		}
		members := slices.Clone(old.List())
		for _, m := range operand.List() {
			if !old.Has(m) {
				members = append(members, m)
			}
		}
		return attr.Set(old.Kind(), members), nil
	}
}

// remove returns what DELETE makes of a set: the members that are left, or
// nothing.
func remove(path Path, operand attr.Value) func(attr.Item) (attr.Value, error) {
	return func(it attr.Item) (attr.Value, error) {
		old, ok := path.Lookup(it)
		if !ok {
			return attr.Value{}, nil
		}
		if old.Kind() != operand.Kind() {
			return attr.Value{}, errOperand
		}
		members := slices.DeleteFunc(slices.Clone(old.List()), operand.Has)
		if len(members) == 0 {
			return attr.Value{}, nil
		}
		return attr.Set(old.Kind(), members), nil
	}
}

func sum(a, b attr.Value, minus bool) (attr.Value, error) {
	if a.Kind() != attr.Number || b.Kind() != attr.Number {
		return attr.Value{}, errOperand
	}
	right := b.Decimal()
	if minus {
		right = right.Neg()
	}
	d, err := a.Decimal().Add(right)
	return attr.N(d), err
}
