package dynamo

import (
	"maps"
	"slices"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

// The members of the API that expressions replaced. The Java KCL still sends
// Expected and AttributeUpdates. They become the same conditions and updates
// as expressions do.

// mixed refuses a request that uses both generations of the API.
func (r *request) mixed(legacy, expressions []string) {
	given := func(names []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !r.has(n) }), ", ")
	}
	if l, e := given(legacy), given(expressions); l != "" && e != "" {
		r.fail(attr.Invalidf("Can not use both expression and non-expression parameters in the same request: "+
			"Non-expression parameters: {%s} Expression parameters: {%s}", l, e))
	}
}

// value takes an attribute value; it has no kind if it is absent.
func (r *request) value(name string) Value {
	j, ok := r.take(name)
	if !ok {
		return Value{}
	}
	v, err := attr.Decode(j)
	r.fail(err)
	return v
}

// comparisons takes a map of legacy conditions, such as QueryFilter, in order
// of the attributes' names. read makes one of them.
func (r *request) comparisons(member string, read func(name string, sub *request) (*expr.Condition, error)) []*expr.Condition {
	all := r.object(member)
	if all == nil {
		return nil
	}
	var list []*expr.Condition
	for _, name := range slices.Sorted(maps.Keys(all.fields)) {
		sub := all.entry(name)
		if sub == nil {
			r.misshaped(member, "a map of structures")
			return nil
		}
		c, err := read(name, sub)
		r.fail(err)
		r.fail(sub.done())
		if r.err != nil {
			return nil
		}
		list = append(list, c)
	}
	r.fail(all.done())
	return list
}

// joined takes ConditionalOperator and joins list by it.
func (r *request) joined(list []*expr.Condition) *expr.Condition {
	given := r.has("ConditionalOperator")
	op := r.enum("ConditionalOperator", "AND", "OR", "AND")
	switch {
	case given && len(list) == 0:
		r.fail(attr.Invalidf("ConditionalOperator cannot be used without Filter or Expected"))
	case given && len(list) == 1:
		r.fail(attr.Invalidf("ConditionalOperator can only be used when Filter or Expected has two or more elements"))
	}
	return expr.Join(op == "OR", list)
}

// expected takes Expected; nil if it is absent.
func (r *request) expected() *expr.Condition {
	return r.joined(r.comparisons("Expected", expectation))
}

// expectation reads one element of Expected: a value, the absence of one, or
// a comparison.
func expectation(name string, r *request) (*expr.Condition, error) {
	want, given := r.bool("Exists")
	v := r.value("Value")
	compares, lists := r.has("ComparisonOperator"), r.has("AttributeValueList")
	op, args := r.comparison()
	fault := func(format string, a ...any) (*expr.Condition, error) {
		return nil, invalidf(format+" for Attribute: "+name, a...)
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case compares && given:
		return nil, invalidf("Exists and ComparisonOperator cannot be used together for Attribute: %s", name)
	case v.Kind() != "" && lists:
		return nil, invalidf("Value and AttributeValueList cannot be used together for Attribute: %s", name)
	case lists && !compares:
		return fault("AttributeValueList can only be used with a ComparisonOperator")
	case compares && v.Kind() != "":
		return expr.Comparison(name, op, []Value{v})
	case compares && !lists && op != "NULL" && op != "NOT_NULL":
		return fault("Value or AttributeValueList must be used with ComparisonOperator: %s", op)
	case compares:
		return expr.Comparison(name, op, args)
	case given && !want && v.Kind() != "":
		return fault("Value cannot be used when Exists is false")
	case given && !want:
		return expr.Presence(name, false), nil
	case v.Kind() == "" && given:
		return fault("Value must be provided when Exists is true")
	case v.Kind() == "":
		return fault("Value must be provided when Exists is null")
	}
	return expr.Comparison(name, "EQ", []Value{v})
}

// comparison takes ComparisonOperator and AttributeValueList.
func (r *request) comparison() (op string, args []Value) {
	op = r.enum("ComparisonOperator", "", expr.LegacyOperators...)
	list, _ := r.list("AttributeValueList")
	for _, j := range list {
		v, err := attr.Decode(j)
		r.fail(err)
		args = append(args, v)
	}
	return op, args
}

// legacyFilter takes QueryFilter or ScanFilter.
func (r *request) legacyFilter(member string) []*expr.Condition {
	return r.comparisons(member, legacyComparison)
}

// legacyComparison reads one element of a legacy condition.
func legacyComparison(name string, r *request) (*expr.Condition, error) {
	if !r.has("ComparisonOperator") {
		r.required("ComparisonOperator")
	}
	op, args := r.comparison()
	if r.err != nil {
		return nil, r.err
	}
	return expr.Comparison(name, op, args)
}

// keyConditions takes KeyConditions; nil if it is absent.
func (r *request) keyConditions() *expr.Condition {
	given := r.has("KeyConditions")
	indexable := []string{"EQ", "LE", "LT", "GE", "GT", "BEGINS_WITH", "BETWEEN"}
	list := r.comparisons("KeyConditions", func(name string, sub *request) (*expr.Condition, error) {
		if op, ok := sub.fields["ComparisonOperator"].(string); ok && slices.Contains(expr.LegacyOperators, op) && !slices.Contains(indexable, op) {
			return nil, attr.Invalidf("Attempted conditional constraint is not an indexable operation")
		}
		return legacyComparison(name, sub)
	})
	if given && r.err == nil && (len(list) == 0 || len(list) > 2) {
		r.fail(attr.Invalidf("Conditions can be of length 1 or 2 only"))
	}
	return expr.Join(false, list)
}

// attributeUpdates takes AttributeUpdates; nil if it is absent.
func (r *request) attributeUpdates() *expr.Update {
	all := r.object("AttributeUpdates")
	if all == nil {
		return nil
	}
	var list []expr.Change
	for _, name := range slices.Sorted(maps.Keys(all.fields)) {
		sub := all.entry(name)
		if sub == nil {
			r.misshaped("AttributeUpdates", "a map of structures")
			return nil
		}
		list = append(list, expr.Change{Name: name, Value: sub.value("Value"), Action: sub.enum("Action", "PUT", "ADD", "DELETE", "PUT")})
		r.fail(sub.done())
	}
	r.fail(all.done())
	if r.err != nil {
		return nil
	}
	u, err := expr.Changes(list)
	r.fail(err)
	return u
}

// attributesToGet takes the legacy projection; nil if it is absent.
func (r *request) attributesToGet() expr.Projection {
	if !r.has("AttributesToGet") {
		return nil
	}
	names := r.strings("AttributesToGet")
	if len(names) == 0 {
		r.violate("[]", "AttributesToGet", "Member must have length greater than or equal to 1")
	}
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			r.fail(invalidf("Duplicate value in attribute name: %s", n))
		}
	}
	return expr.Names(names)
}
