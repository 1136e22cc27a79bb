package expr

import (
	"slices"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// ParseCondition reads a condition or filter expression. member names the
// request's member that held it, for error texts.
func ParseCondition(member, text string, params *Params) (*Condition, error) {
	c := &Condition{}
	p, err := parse(member, text, params, func(p *parser) { c.root = p.test(p.or()) })
	if err != nil {
		return nil, err
	}
	c.paths = p.paths
	return c, nil
}

// A term is what the grammar yields before it is known whether a test or an
// operand is wanted. One of test and operand is set.
type term struct {
	test    test
	operand operand
	call    string // the function's name, if the term is a call
	grouped bool   // the term stands in parentheses
}

// or reads terms joined by OR; and, not and comparison are its levels below,
// in the order of binding.
func (p *parser) or() term {
	left := p.and()
	for p.takeWord("OR") {
		p.operator()
		l := p.test(left)
		left = term{test: or{l, p.test(p.and())}}
	}
	return left
}

func (p *parser) and() term {
	left := p.not()
	for p.takeWord("AND") {
		p.operator()
		l := p.test(left)
		left = term{test: and{l, p.test(p.not())}}
	}
	return left
}

func (p *parser) not() term {
	if !p.takeWord("NOT") {
		return p.comparison()
	}
	p.operator()
	p.enter()
	defer p.leave()
	return term{test: not{p.test(p.not())}}
}

func (p *parser) comparison() term {
	left := p.primary()
	t := p.peek()
	switch {
	case t.kind == sign && strings.Contains(" = <> < <= > >= ", " "+t.text+" "):
		l := p.operand(left)
		p.at++
		p.operator()
		n := compare{t.text, l, p.operand(p.primary())}
		p.checkCompare(n)
		return term{test: n}
	case t.is("BETWEEN"):
		l := p.operand(left)
		p.at++
		p.operator()
		low := p.operand(p.primary())
		if !p.takeWord("AND") {
			p.fail()
		}
		n := between{l, low, p.operand(p.primary())}
		p.checkBetween(n)
		return term{test: n}
	case t.is("IN"):
		l := p.operand(left)
		p.at++
		p.operator()
		return term{test: in{l, p.list()}}
	}
	return left
}

// list reads the operands of IN.
func (p *parser) list() []operand {
	p.expect("(")
	var list []operand
	for {
		list = append(list, p.operand(p.primary()))
		if !p.take(",") {
			break
		}
	}
	p.expect(")")
	if len(list) > maxIn {
		p.wrongCount("IN", len(list))
	}
	return list
}

// primary reads a group in parentheses, a call, a path or a value.
func (p *parser) primary() term {
	t := p.peek()
	switch {
	case p.take("("):
		p.enter()
		defer p.leave()
		inner := p.or()
		p.expect(")")
		if inner.grouped {
			p.fault(shapePhase, "The expression has redundant parentheses;")
		}
		inner.grouped = true
		return inner
	case t.kind == valueRef:
		return term{operand: literal{p.value()}}
	case t.is("AND"), t.is("OR"), t.is("NOT"), t.is("BETWEEN"), t.is("IN"):
		p.fail()
	case p.atCall():
		return p.function()
	}
	return term{operand: p.path()}
}

// test returns t's test, or faults t for being a value.
func (p *parser) test(t term) test {
	switch {
	case t.test != nil:
		return t.test
	case t.call != "":
		p.misused(t.call)
		return exists{}
	}
	p.fail()
	return nil
}

// operand returns t's operand, or faults t for being a test.
func (p *parser) operand(t term) operand {
	switch {
	case t.operand != nil:
		return t.operand
	case t.call != "":
		p.misused(t.call)
		return literal{}
	}
	p.fail()
	return nil
}

func (p *parser) misused(call string) {
	p.fault(usePhase, "The function is not allowed to be used this way in an expression; function: %s", call)
}

func (p *parser) function() term {
	p.enter()
	defer p.leave()
	name, args := call(p, func() operand { return p.operand(p.or()) })
	p.checkCall(name, len(args))
	// A faulted call goes on with as many operands as it needs.
	for len(args) < 2 {
		args = append(args, literal{})
	}
	t := term{call: name}
	switch name {
	case "size":
		if k := args[0].kind(); k != "" && !hasSize(k) {
			p.wrongType(name, k)
		}
		t.operand = size{args[0]}
	case "attribute_exists", "attribute_not_exists":
		path, ok := args[0].(Path)
		if !ok {
			p.needsPath(name)
		}
		t.test = exists{path, name == "attribute_not_exists"}
	case "attribute_type":
		t.test = hasType{args[0], p.typeName(args[0], args[1])}
	case "begins_with":
		for _, a := range args[:2] {
			if k := a.kind(); k != "" && k != attr.String && k != attr.Binary {
				p.wrongType(name, k)
			}
		}
		p.distinct(name, args[0], args[1])
		t.test = beginsWith{args[0], args[1]}
	default:
		p.distinct(name, args[0], args[1])
		t.test = contains{args[0], args[1]}
	}
	return t
}

// checkCall faults unknown functions and wrong numbers of arguments.
func (p *parser) checkCall(name string, n int) {
	want := 2
	switch name {
	case "attribute_exists", "attribute_not_exists", "size":
		want = 1
	case "attribute_type", "begins_with", "contains":
	case "if_not_exists", "list_append":
		p.fault(callPhase, "The function is not allowed in a condition expression; function: %s", name)
		return
	default:
		p.fault(callPhase, "Invalid function name; function: %s", name)
		return
	}
	if n != want {
		p.wrongCount(name, n)
	}
}

// typeName returns the type that the second operand of attribute_type names.
func (p *parser) typeName(of, o operand) attr.Kind {
	const valid = "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
	p.distinct("attribute_type", of, o)
	if _, ok := o.(Path); ok {
		p.fault(typePhase, "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: %s", valid)
		return ""
	}
	l, ok := o.(literal)
	if !ok || l.Kind() != attr.String {
		p.wrongType("attribute_type", o.kind())
		return ""
	}
	if !slices.Contains(strings.Split(strings.Trim(valid, "{}"), ","), l.Text()) {
		p.fault(typePhase, "Invalid attribute type name found; type: %s, valid types: %s", l.Text(), valid)
	}
	return attr.Kind(l.Text())
}

func (p *parser) checkCompare(n compare) {
	p.distinct(n.op, n.left, n.right)
	if n.op == "=" || n.op == "<>" {
		return
	}
	for _, o := range []operand{n.left, n.right} {
		if k := o.kind(); k != "" && !k.Ordered() {
			p.wrongType(n.op, k)
		}
	}
}

func (p *parser) checkBetween(n between) {
	for _, o := range []operand{n.of, n.low, n.high} {
		if k := o.kind(); k != "" && !k.Ordered() {
			p.wrongType("BETWEEN", k)
		}
	}
	low, ok1 := n.low.(literal)
	high, ok2 := n.high.(literal)
	if !ok1 || !ok2 || low.Kind() == "" || high.Kind() == "" {
		return
	}
	const bounds = "lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s"
	order, comparable := attr.Compare(low.Value, high.Value)
	switch {
	case low.Kind() != high.Kind():
		p.fault(typePhase, "The BETWEEN operator requires same data type for lower and upper bounds; "+bounds, braced(low), braced(high))
	case comparable && order > 0:
		p.fault(typePhase, "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "+bounds, braced(low), braced(high))
	}
}

// braced returns a scalar as AWS's error texts print it: {S:x}.
func braced(l literal) string { return "{" + string(l.Kind()) + ":" + l.Text() + "}" }

// distinct faults an operator whose first operand is the same path as
// another one.
func (p *parser) distinct(op string, first, other operand) {
	a, ok1 := first.(Path)
	b, ok2 := other.(Path)
	if ok1 && ok2 && a.equal(b) {
		p.fault(typePhase, "The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s", op, a.steps())
	}
}
