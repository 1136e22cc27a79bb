package expr

import (
	"slices"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// ParseUpdate reads an update expression: sections SET, REMOVE, ADD and
// DELETE, each at most once.
func ParseUpdate(text string, params *Params) (*Update, error) {
	u := &Update{}
	_, err := parse("UpdateExpression", text, params, func(p *parser) {
		seen := map[string]bool{}
		for p.peek().kind != end {
			p.section(u, seen)
		}
		if clash := distinct(u.Paths()); clash != "" {
			p.fault(typePhase, "%s", clash)
		}
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (p *parser) section(u *Update, seen map[string]bool) {
	sections := []string{"SET", "REMOVE", "ADD", "DELETE"}
	i := slices.IndexFunc(sections, p.takeWord)
	if i < 0 {
		p.fail()
	}
	if seen[sections[i]] {
		p.fault(shapePhase, "The %q section can only be used once in an update expression;", sections[i])
	}
	seen[sections[i]] = true
	for {
		a := action{path: p.path()}
		switch sections[i] {
		case "SET":
			p.expect("=")
			a.value = p.sum().value
		case "REMOVE":
			a.value = func(attr.Item) (attr.Value, error) { return attr.Value{}, nil }
		case "ADD":
			a.value = add(a.path, p.setOperand("ADD"))
		case "DELETE":
			a.value = remove(a.path, p.setOperand("DELETE"))
		}
		p.operator()
		u.actions = append(u.actions, a)
		if !p.take(",") {
			return
		}
	}
}

// setOperand reads the :value of ADD or DELETE and checks its type.
func (p *parser) setOperand(section string) attr.Value {
	v := p.value()
	if k := v.Kind(); k != "" && !k.IsSet() && (section != "ADD" || k != attr.Number) {
		p.fault(typePhase, "Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: ALLOWED_FOR_%s_OPERAND", section, k.Word(), section)
	}
	return v
}

// A source is the right side of a SET, or a part of it.
type source struct {
	value   func(attr.Item) (attr.Value, error)
	kind    attr.Kind // the type if it is known without an item
	path    Path      // set if the source is a path alone
	grouped bool
}

// sum reads an operand, or two joined by + or -.
func (p *parser) sum() source {
	left := p.source()
	op := p.peek().text
	if !p.take("+") && !p.take("-") {
		return left
	}
	p.operator()
	right := p.source()
	for _, s := range []source{left, right} {
		if s.kind != "" && s.kind != attr.Number {
			p.wrongType(op, s.kind)
		}
	}
	return source{kind: attr.Number, value: both(left, right, func(a, b attr.Value) (attr.Value, error) {
		return sum(a, b, op == "-")
	})}
}

// source reads a group, a call, a path or a value.
func (p *parser) source() source {
	switch {
	case p.take("("):
		p.enter()
		defer p.leave()
		s := p.sum()
		p.expect(")")
		if s.grouped {
			p.fault(shapePhase, "The expression has redundant parentheses;")
		}
		s.grouped = true
		return s
	case p.peek().kind == valueRef:
		v := p.value()
		return source{kind: v.Kind(), value: func(attr.Item) (attr.Value, error) { return v, nil }}
	case p.atCall():
		return p.updateFunction()
	}
	path := p.path()
	return source{path: path, value: func(it attr.Item) (attr.Value, error) {
		v, ok := path.Lookup(it)
		if !ok {
			return attr.Value{}, errAbsent
		}
		return v, nil
	}}
}

func (p *parser) updateFunction() source {
	p.enter()
	defer p.leave()
	name, args := call(p, p.sum)
	n := len(args)
	for len(args) < 2 {
		args = append(args, source{})
	}
	switch name {
	case "if_not_exists":
		p.checkArity(name, n)
		if args[0].path == nil {
			p.needsPath(name)
		}
		return source{value: func(it attr.Item) (attr.Value, error) {
			if v, ok := args[0].path.Lookup(it); ok {
				return v, nil
			}
			return args[1].value(it)
		}}
	case "list_append":
		p.checkArity(name, n)
		for _, a := range args[:2] {
			if a.kind != "" && a.kind != attr.List {
				p.wrongType(name, a.kind)
			}
		}
		return source{kind: attr.List, value: both(args[0], args[1], appendLists)}
	case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size":
		p.fault(callPhase, "The function is not allowed in an update expression; function: %s", name)
	default:
		p.fault(callPhase, "Invalid function name; function: %s", name)
	}
	return source{}
}

func (p *parser) checkArity(name string, n int) {
	if n != 2 {
		p.wrongCount(name, n)
	}
}

// both joins two sources by a function of their values.
func both(left, right source, join func(a, b attr.Value) (attr.Value, error)) func(attr.Item) (attr.Value, error) {
	return func(it attr.Item) (attr.Value, error) {
		a, err := left.value(it)
		if err != nil {
			return attr.Value{}, err
		}
		b, err := right.value(it)
		if err != nil {
			return attr.Value{}, err
		}
		return join(a, b)
	}
}

func appendLists(a, b attr.Value) (attr.Value, error) {
	if a.Kind() != attr.List || b.Kind() != attr.List {
		return attr.Value{}, errOperand
	}
	return attr.L(slices.Concat(a.List(), b.List())), nil
}
