package expr

import "github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"

// A KeyCondition is what a query asks of a key: one value of the hash
// attribute and, if Range is not nil, a condition on the range attribute.
type KeyCondition struct {
	Hash  attr.Value
	Range *Condition
}

// A keyTest is one condition of a key condition expression, with the key
// attribute on its left side.
type keyTest struct {
	name string
	op   string
	test test
	args []operand
}

// KeyAttr names a key attribute and its type. The zero KeyAttr is no
// attribute.
type KeyAttr struct {
	Name string
	Kind attr.Kind
}

// ParseKeyCondition reads a key condition expression for the given key.
func ParseKeyCondition(text string, params *Params, hash, rng KeyAttr) (*KeyCondition, error) {
	c, err := ParseCondition("KeyConditionExpression", text, params)
	if err != nil {
		return nil, err
	}
	return c.Key(hash, rng)
}

// Key returns c as a condition on a key, or an error if it asks for more.
func (c *Condition) Key(hash, rng KeyAttr) (*KeyCondition, error) {
	tests, err := keyTests(c.root, nil)
	if err != nil {
		return nil, err
	}
	byName := map[string]keyTest{}
	for _, t := range tests {
		if _, twice := byName[t.name]; twice {
			return nil, attr.Invalidf("KeyConditionExpressions must only contain one condition per key")
		}
		byName[t.name] = t
	}
	if len(tests) > 2 {
		return nil, attr.Invalidf("Conditions can be of length 1 or 2 only")
	}
	onHash, ok := byName[hash.Name]
	if !ok {
		return nil, attr.Invalidf("Query condition missed key schema element: %s", hash.Name)
	}
	onRange, ok := byName[rng.Name]
	if len(tests) == 2 && !ok {
		if rng.Name == "" {
			return nil, attr.Invalidf("Query key condition not supported")
		}
		return nil, attr.Invalidf("Query condition missed key schema element: %s", rng.Name)
	}
	if onHash.op != "=" {
		return nil, attr.Invalidf("Query key condition not supported")
	}
	if err := onHash.check(hash); err != nil {
		return nil, err
	}
	v, _ := onHash.args[0].value(nil)
	kc := &KeyCondition{Hash: v}
	if len(tests) == 2 {
		kc.Range = &Condition{root: onRange.test}
		return kc, onRange.check(rng)
	}
	return kc, nil
}

// check compares the types of the operands with the key's.
func (t keyTest) check(key KeyAttr) error {
	for _, a := range t.args {
		v, _ := a.value(nil)
		if v.Kind() != key.Kind {
			return attr.Invalidf("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		if v.Text() == "" {
			return attr.Invalidf("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", key.Name)
		}
	}
	return nil
}

// keyTests takes the conditions apart that AND joins.
func keyTests(t test, tests []keyTest) ([]keyTest, error) {
	switch n := t.(type) {
	case and:
		tests, err := keyTests(n.left, tests)
		if err != nil {
			return nil, err
		}
		return keyTests(n.right, tests)
	case compare:
		if n.op == "<>" {
			return nil, unsupported("<>")
		}
		if _, ok := n.left.(Path); !ok {
			n = compare{mirrored(n.op), n.right, n.left}
		}
		kt, err := newKeyTest(n.op, n, n.left, n.right)
		return append(tests, kt), err
	case between:
		kt, err := newKeyTest("BETWEEN", n, n.of, n.low, n.high)
		return append(tests, kt), err
	case beginsWith:
		kt, err := newKeyTest("begins_with", n, n.of, n.prefix)
		return append(tests, kt), err
	}
	return nil, unsupported(operatorOf(t))
}

func unsupported(op string) error {
	return attr.Invalidf("Invalid operator used in KeyConditionExpression: %s", op)
}

func operatorOf(t test) string {
	switch n := t.(type) {
	case or:
		return "OR"
	case not:
		return "NOT"
	case in:
		return "IN"
	case hasType:
		return "attribute_type"
	case contains:
		return "contains"
	case exists:
		if n.absent {
			return "attribute_not_exists"
		}
	}
	return "attribute_exists"
}

// mirrored returns the operator for exchanged sides.
func mirrored(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

func newKeyTest(op string, t test, of operand, args ...operand) (keyTest, error) {
	all := append([]operand{of}, args...)
	paths := 0
	for _, o := range all {
		switch o := o.(type) {
		case size:
			return keyTest{}, attr.Invalidf("KeyConditionExpressions cannot contain nested operations")
		case Path:
			paths++
			if o.Nested() {
				return keyTest{}, attr.Invalidf("KeyConditionExpressions cannot have conditions on nested attributes")
			}
		}
	}
	path, first := of.(Path)
	switch {
	case paths == 0:
		return keyTest{}, attr.Invalidf("Invalid condition in KeyConditionExpression: No key attribute specified")
	case paths > 1:
		return keyTest{}, attr.Invalidf("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
	case !first:
		return keyTest{}, attr.Invalidf("Invalid condition in KeyConditionExpression: %s operator must have the key attribute as its first operand", op)
	}
	return keyTest{name: path.Root(), op: op, test: t, args: args}, nil
}
