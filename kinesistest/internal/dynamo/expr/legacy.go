package expr

import (
	"slices"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// Presence returns the condition that an attribute exists, or does not.
func Presence(name string, wanted bool) *Condition {
	p := Name(name)
	return &Condition{root: exists{p, !wanted}, paths: []Path{p}}
}

// Comparison returns a condition of the legacy grammar: an attribute, a
// ComparisonOperator such as EQ, and its operands.
func Comparison(name, op string, args []attr.Value) (*Condition, error) {
	if err := checkLegacy(op, args); err != nil {
		return nil, err
	}
	p := Name(name)
	return &Condition{root: legacyTest(p, op, args), paths: []Path{p}}, nil
}

func legacyTest(p Path, op string, args []attr.Value) test {
	literals := make([]operand, len(args))
	for i, a := range args {
		literals[i] = literal{a}
	}
	switch op {
	case "NULL", "NOT_NULL":
		return exists{p, op == "NULL"}
	case "CONTAINS":
		return contains{p, literals[0]}
	case "NOT_CONTAINS":
		return not{contains{p, literals[0]}}
	case "BEGINS_WITH":
		return beginsWith{p, literals[0]}
	case "IN":
		return in{p, literals}
	case "BETWEEN":
		return between{p, literals[0], literals[1]}
	}
	return compare{legacySigns[op], p, literals[0]}
}

var legacySigns = map[string]string{"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}

// LegacyOperators are the words that ComparisonOperator may hold.
var LegacyOperators = []string{"IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"}

// checkLegacy checks the number and types of a legacy operator's operands.
func checkLegacy(op string, args []attr.Value) error {
	n, most := 1, 1
	switch op {
	case "NULL", "NOT_NULL":
		n, most = 0, 0
	case "BETWEEN":
		n, most = 2, 2
	case "IN":
		most = maxIn
	}
	if len(args) < n || len(args) > most {
		return attr.Invalidf("One or more parameter values were invalid: Invalid number of argument(s) for the %s ComparisonOperator", op)
	}
	for _, a := range args {
		k := a.Kind()
		ok := true
		switch op {
		case "LT", "LE", "GT", "GE", "BETWEEN", "IN":
			ok = k.Ordered()
		case "BEGINS_WITH":
			ok = k == attr.String || k == attr.Binary
		case "CONTAINS", "NOT_CONTAINS":
			ok = !k.IsSet() && k != attr.List && k != attr.Map
		}
		if !ok {
			return attr.Invalidf("One or more parameter values were invalid: ComparisonOperator %s is not valid for %s AttributeValue type", op, k)
		}
		if k != args[0].Kind() {
			return attr.Invalidf("One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type")
		}
	}
	if op == "BETWEEN" {
		if order, _ := attr.Compare(args[0], args[1]); order > 0 {
			return attr.Invalidf("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return nil
}

// Join returns the condition that all of list hold, or that any does; nil,
// which always holds, for an empty list.
func Join(any bool, list []*Condition) *Condition {
	var joined *Condition
	for _, c := range list {
		switch {
		case joined == nil:
			joined = &Condition{root: c.root, paths: c.paths}
		case any:
			joined.root, joined.paths = or{joined.root, c.root}, slices.Concat(joined.paths, c.paths)
		default:
			joined.root, joined.paths = and{joined.root, c.root}, slices.Concat(joined.paths, c.paths)
		}
	}
	return joined
}

// Names returns the projection of top-level attributes.
func Names(names []string) Projection {
	pr := make(Projection, len(names))
	for i, n := range names {
		pr[i] = Name(n)
	}
	return pr
}

// A Change is one element of the legacy AttributeUpdates. A Value of no kind
// was not given.
type Change struct {
	Name, Action string // Action is PUT, ADD or DELETE
	Value        attr.Value
}

// errMismatch is what the legacy grammar calls errOperand.
var errMismatch = attr.Invalidf("Type mismatch for attribute to update")

// Changes returns the update that the legacy AttributeUpdates describe.
func Changes(list []Change) (*Update, error) {
	u := &Update{shy: true}
	for _, c := range list {
		a := action{path: Name(c.Name)}
		k := c.Value.Kind()
		switch {
		case k == "" && c.Action != "DELETE":
			return nil, attr.Invalidf("One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified")
		case k == "":
			a.value = func(attr.Item) (attr.Value, error) { return attr.Value{}, nil }
		case c.Action == "DELETE" && !k.IsSet():
			return nil, attr.Invalidf("One or more parameter values were invalid: DELETE action with value is not supported for the type %s", k)
		case c.Action == "ADD" && !k.IsSet() && k != attr.Number && k != attr.List:
			return nil, attr.Invalidf("One or more parameter values were invalid: ADD action is not supported for the type %s", k)
		case c.Action == "DELETE":
			a.value = legacy(remove(a.path, c.Value))
		case c.Action == "ADD" && k == attr.List:
			a.value = legacy(appendTo(a.path, c.Value))
		case c.Action == "ADD":
			a.value = legacy(add(a.path, c.Value))
		default:
			a.value = func(attr.Item) (attr.Value, error) { return c.Value, nil }
		}
		u.shy = u.shy && c.Action == "DELETE"
		u.actions = append(u.actions, a)
	}
	return u, nil
}

// legacy renames a fault of value.
func legacy(value func(attr.Item) (attr.Value, error)) func(attr.Item) (attr.Value, error) {
	return func(it attr.Item) (attr.Value, error) {
		v, err := value(it)
		if err == errOperand {
			err = errMismatch
		}
		return v, err
	}
}

// appendTo returns what the legacy ADD makes of a list.
func appendTo(path Path, tail attr.Value) func(attr.Item) (attr.Value, error) {
	return func(it attr.Item) (attr.Value, error) {
		old, ok := path.Lookup(it)
		if !ok {
			return tail, nil
		}
		return appendLists(old, tail)
	}
}
