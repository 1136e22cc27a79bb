package expr

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// A phase is one of AWS's passes over an expression. A fault found in an
// earlier phase hides those of later ones; a syntax error hides all.
type phase int

const (
	shapePhase phase = iota // redundant parentheses, a section twice
	callPhase               // unknown functions
	usePhase                // functions where they may not stand
	wordPhase               // reserved words
	namePhase               // undefined names
	valuePhase              // undefined values
	typePhase               // number, type and distinctness of operands
	phases
)

// maxNesting bounds the parser's recursion where no bound on text does.
const maxNesting = 1000

// A parser reads one expression. Its methods go on after a fault, so that all
// phases see the whole text, and stop only at a syntax error, which fail
// raises as a panic that parse recovers.
type parser struct {
	member string
	text   string
	tokens []token
	at     int
	params *Params

	faults    [phases]error
	paths     []Path
	operators int
	nesting   int
}

// syntaxError is what unwinds the parser; parse alone recovers it.
type syntaxError struct{ err error }

// parse runs read over the whole of text and returns the fault to report.
func parse(member, text string, params *Params, read func(*parser)) (p *parser, err error) {
	p = &parser{member: member, text: text, params: params}
	limit := params.MaxBytes
	if limit == 0 {
		limit = MaxBytes
	}
	switch {
	case strings.TrimSpace(text) == "":
		return nil, p.invalid("The expression can not be empty;")
	case limit > 0 && len(text) > limit:
		return nil, p.invalid("Expression size has exceeded the maximum allowed size; expression size: %d", len(text))
	}
	p.tokens = scan(text)
	if err := p.run(read); err != nil {
		return nil, err
	}
	for _, fault := range p.faults {
		if fault != nil {
			return nil, fault
		}
	}
	return p, nil
}

func (p *parser) run(read func(*parser)) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case syntaxError:
			err = r.err
		default:
			panic(r)
		}
	}()
	read(p)
	if p.peek().kind != end {
		p.fail()
	}
	return nil
}

// invalid returns a fault of the expression.
func (p *parser) invalid(format string, args ...any) error {
	return attr.Invalidf("Invalid %s: %s", p.member, fmt.Sprintf(format, args...))
}

// fault notes the first fault of a phase.
func (p *parser) fault(ph phase, format string, args ...any) {
	if p.faults[ph] == nil {
		p.faults[ph] = p.invalid(format, args...)
	}
}

// fail raises a syntax error at the current token.
func (p *parser) fail() {
	from := p.tokens[max(p.at-1, 0)].start
	to := p.tokens[min(p.at+1, len(p.tokens)-1)].end
	panic(syntaxError{p.invalid(`Syntax error; token: "%s", near: "%s"`, p.peek().text, p.text[from:to])})
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

// take consumes the given punctuation if it is next.
func (p *parser) take(text string) bool {
	if t := p.peek(); t.kind == sign && t.text == text {
		p.at++
		return true
	}
	return false
}

// takeWord consumes the given keyword if it is next.
func (p *parser) takeWord(kw string) bool {
	if p.peek().is(kw) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(text string) {
	if !p.take(text) {
		p.fail()
	}
}

// enter counts one level of nesting; the caller must call leave.
func (p *parser) enter() {
	if p.nesting++; p.nesting > maxNesting {
		panic(syntaxError{p.invalid("The expression contains too many nested levels; level count: %d", p.nesting)})
	}
}

func (p *parser) leave() { p.nesting-- }

// operator counts one operator or function against AWS's bound.
func (p *parser) operator() {
	if p.operators++; p.operators > maxOperators {
		p.fault(shapePhase, "The expression contains too many operators; operator count: %d", p.operators)
	}
}

// path reads a document path: a.b[1].#c.
func (p *parser) path() Path {
	path := Path{{name: p.name()}}
	for {
		switch {
		case p.take("."):
			path = append(path, step{name: p.name()})
		case p.take("["):
			path = append(path, step{index: p.index(), list: true})
			p.expect("]")
		default:
			p.paths = append(p.paths, path)
			return path
		}
	}
}

// name reads one element of a path.
func (p *parser) name() string {
	t := p.peek()
	switch t.kind {
	case word:
		p.at++
		if isReserved(t.text) {
			p.fault(wordPhase, "Attribute name is a reserved keyword; reserved keyword: %s", t.text)
		}
		return t.text
	case nameRef:
		p.at++
		name, ok := p.params.Names[t.text]
		if !ok {
			p.fault(namePhase, "An expression attribute name used in the document path is not defined; attribute name: %s", t.text)
		}
		p.params.use(t.text)
		return name
	}
	p.fail()
	return ""
}

func (p *parser) index() int {
	t := p.peek()
	if t.kind != number {
		p.fail()
	}
	p.at++
	n, err := strconv.ParseInt(t.text, 10, 31)
	if err != nil {
		p.fault(shapePhase, "List index is not within the allowable range; index: [%s]", t.text)
	}
	return int(n)
}

// value reads a :value. An undefined one is an absent value.
func (p *parser) value() attr.Value {
	t := p.peek()
	if t.kind != valueRef {
		p.fail()
	}
	p.at++
	v, ok := p.params.Values[t.text]
	if !ok {
		p.fault(valuePhase, "An expression attribute value used in expression is not defined; attribute value: %s", t.text)
	}
	p.params.use(t.text)
	return v
}

// call reads the arguments of a function whose name is next: reader reads one
// argument.
func call[T any](p *parser, reader func() T) (name string, args []T) {
	p.operator()
	name = p.next().text
	p.expect("(")
	for {
		args = append(args, reader())
		if !p.take(",") {
			break
		}
	}
	p.expect(")")
	return name, args
}

// atCall reports whether a function call is next.
func (p *parser) atCall() bool {
	if p.peek().kind != word {
		return false
	}
	after := p.tokens[p.at+1]
	return after.kind == sign && after.text == "("
}

func (p *parser) wrongCount(name string, n int) {
	p.fault(typePhase, "Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", name, n)
}

func (p *parser) wrongType(name string, k attr.Kind) {
	p.fault(typePhase, "Incorrect operand type for operator or function; operator or function: %s, operand type: %s", name, k)
}

func (p *parser) needsPath(name string) {
	p.fault(typePhase, "Operator or function requires a document path; operator or function: %s", name)
}
