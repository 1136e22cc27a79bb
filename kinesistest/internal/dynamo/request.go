package dynamo

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

// A request is an object of a request's body. Its methods take one member
// each; done refuses those that nothing took. The first fault is kept, see
// fail, and every later call returns zero values.
type request struct {
	op     string
	path   string // where the object stands, such as "expected.a.member."
	client string
	fields map[string]any
	err    error
}

func newRequest(op string, body []byte) (*request, error) {
	var j any
	if err := json.Unmarshal(body, &j); err != nil {
		return nil, attr.Misshapenf("The request is not valid JSON")
	}
	return asRequest(op, j)
}

func asRequest(op string, j any) (*request, error) {
	fields, ok := j.(map[string]any)
	if !ok {
		return nil, attr.Misshapenf("Start of structure or map expected")
	}
	return &request{op: op, fields: fields}, nil
}

// fail keeps the first error that is not nil. Violations of constraints come
// before other faults of validation, and add up.
func (r *request) fail(err error) {
	found, violated := err.(*violations)
	switch kept, ok := r.err.(*violations); {
	case r.err == nil:
		r.err = err
	case violated && ok && kept != found:
		r.err = &violations{slices.Concat(kept.list, found.list)}
	case violated && !ok && asAPI(r.err).Code == "ValidationException":
		r.err = err
	}
}

// violate notes that a member breaks its declared constraint.
func (r *request) violate(value any, member, want string) {
	r.fail(constraint(value, r.path+lowerFirst(member), want))
}

// required notes that a member is missing.
func (r *request) required(member string) { r.violate(nil, member, "Member must not be null") }

func (r *request) misshaped(name, want string) {
	r.fail(attr.Misshapenf("Unexpected value for %s: %s is required", name, want))
}

// done returns the first fault, or the refusal of a member that was not
// taken: it may mean something that this server does not do.
func (r *request) done() error {
	if r.err != nil || len(r.fields) == 0 {
		return r.err
	}
	left := make([]string, 0, len(r.fields))
	for name, j := range r.fields {
		if j != nil {
			left = append(left, name)
		}
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	return attr.Invalidf("%s: not implemented by this server: %s", r.op, strings.Join(left, ", "))
}

// take removes and returns a member; null is absent.
func (r *request) take(name string) (any, bool) {
	j, ok := r.fields[name]
	if ok {
		delete(r.fields, name)
	}
	return j, ok && j != nil
}

// ignore takes members that change nothing this server models.
func (r *request) ignore(names ...string) {
	for _, n := range names {
		delete(r.fields, n)
	}
}

func (r *request) has(name string) bool { return r.fields[name] != nil }

func (r *request) str(name string) (string, bool) {
	j, ok := r.take(name)
	if !ok {
		return "", false
	}
	s, ok := j.(string)
	if !ok {
		r.misshaped(name, "a string")
	}
	return s, ok
}

func (r *request) bool(name string) (value, given bool) {
	j, ok := r.take(name)
	if !ok {
		return false, false
	}
	b, ok := j.(bool)
	if !ok {
		r.misshaped(name, "a boolean")
	}
	return b, ok
}

// number takes an integer of at least 1, or of least where it is given.
func (r *request) number(name string, least int) (int, bool) {
	j, ok := r.take(name)
	if !ok {
		return 0, false
	}
	f, ok := j.(float64)
	if !ok || f != math.Trunc(f) {
		r.misshaped(name, "an integer")
		return 0, false
	}
	n := int(max(-1<<31, min(f, 1<<31-1)))
	if n < least {
		r.violate(n, name, fmt.Sprintf("Member must have value greater than or equal to %d", least))
		return 0, false
	}
	return n, true
}

// enum takes one of the allowed words, which error texts list in their order.
func (r *request) enum(name, absent string, allowed ...string) string {
	s, ok := r.str(name)
	if !ok {
		return absent
	}
	if !slices.Contains(allowed, s) {
		r.violate(s, name, "Member must satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
	}
	return s
}

func (r *request) list(name string) ([]any, bool) {
	j, ok := r.take(name)
	if !ok {
		return nil, false
	}
	l, ok := j.([]any)
	if !ok {
		r.misshaped(name, "an array")
	}
	return l, ok
}

func (r *request) strings(name string) []string {
	list, _ := r.list(name)
	out := make([]string, 0, len(list))
	for _, j := range list {
		s, ok := j.(string)
		if !ok {
			r.misshaped(name, "an array of strings")
			return nil
		}
		out = append(out, s)
	}
	return out
}

// objects takes a list of structures.
func (r *request) objects(name string) []*request {
	list, _ := r.list(name)
	out := make([]*request, 0, len(list))
	for i, j := range list {
		sub, err := asRequest(r.op, j)
		if err != nil {
			r.fail(err)
			return nil
		}
		sub.client, sub.path = r.client, r.path+lowerFirst(name)+"."+strconv.Itoa(i+1)+".member."
		out = append(out, sub)
	}
	return out
}

// object takes a structure; nil if it is absent.
func (r *request) object(name string) *request {
	j, ok := r.take(name)
	if !ok {
		return nil
	}
	sub, err := asRequest(r.op, j)
	if err != nil {
		r.fail(err)
		return nil
	}
	sub.client, sub.path = r.client, r.path+lowerFirst(name)+"."
	return sub
}

// entry takes an element of a map of structures; nil if it is null.
func (r *request) entry(key string) *request {
	sub := r.object(key)
	if sub != nil {
		sub.path = r.path + key + ".member."
	}
	return sub
}

// item takes a map of attribute values; nil if it is absent.
func (r *request) item(name string) Item {
	j, ok := r.take(name)
	if !ok {
		return nil
	}
	it, err := attr.DecodeItem(j)
	if err != nil {
		r.fail(err)
		return nil
	}
	return it
}

// needItem takes a map of attribute values that must be there.
func (r *request) needItem(name string) Item {
	if !r.has(name) {
		r.required(name)
		return nil
	}
	return r.item(name)
}

// table takes TableName, which may be an ARN of this service's own.
func (r *request) table(id api.Identity) string {
	given, ok := r.str("TableName")
	name := strings.TrimPrefix(given, id.ARN("dynamodb", "table/"))
	short, long := len(name) < 3, len(name) > 255
	control := slices.Contains([]string{"CreateTable", "DeleteTable", "DescribeTable", "UpdateTable"}, r.op)
	switch {
	case r.err != nil:
	case control && !ok:
		r.fail(attr.Invalidf("The parameter 'TableName' is required but was not present in the request"))
	case control && (short || long):
		r.fail(attr.Invalidf("TableName must be at least 3 characters long and at most 255 characters long"))
	case !ok:
		r.required("TableName")
		return ""
	default:
		r.length(name, len(name), "TableName", 3, 255)
	}
	r.fail(checkName(name, r.path+"tableName"))
	return name
}

// tableName reads a name that is the key of a batch.
func tableName(id api.Identity, given string) (string, error) {
	name := strings.TrimPrefix(given, id.ARN("dynamodb", "table/"))
	if len(name) < 3 || len(name) > 255 || checkName(name, "") != nil {
		return "", constraint(given, "requestItems", "Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]")
	}
	return name, nil
}

// length checks the length of a member against its bounds.
func (r *request) length(value any, n int, member string, low, high int) {
	switch {
	case n < low:
		r.violate(value, member, fmt.Sprintf("Member must have length greater than or equal to %d", low))
	case n > high:
		r.violate(value, member, fmt.Sprintf("Member must have length less than or equal to %d", high))
	}
}

// named takes the name of a table or an index that is not the request's
// subject; "" if it is absent.
func (r *request) named(member string) string {
	name, ok := r.str(member)
	if ok {
		r.fail(checkName(name, r.path+lowerFirst(member)))
		r.length(name, len(name), member, 3, 255)
	}
	return name
}

// checkName checks the characters of a table's or index's name.
func checkName(name, member string) error {
	for _, c := range name {
		if c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("_.-", c) {
			return constraint(name, member, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
		}
	}
	return nil
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// params takes the placeholders of a request's expressions. expressions are
// the members that may hold any; those that may hold values come first and
// are counted by valued.
func (r *request) params(s *Service, valued int, expressions ...string) *expr.Params {
	p := &expr.Params{MaxBytes: s.opts.Limits.ExpressionBytes}
	given := func(names []string) bool { return slices.ContainsFunc(names, r.has) }
	if r.has("ExpressionAttributeNames") && !given(expressions) {
		r.fail(attr.Invalidf("ExpressionAttributeNames can only be specified when using expressions"))
	}
	if r.has("ExpressionAttributeValues") && !given(expressions[:valued]) {
		verb := "is"
		if valued > 1 {
			verb = "are"
		}
		r.fail(attr.Invalidf("ExpressionAttributeValues can only be specified when using expressions: %s %s null", strings.Join(expressions[:valued], " and "), verb))
	}
	p.Names, p.Values = r.names(), r.values()
	return p
}

func (r *request) names() map[string]string {
	sub := r.object("ExpressionAttributeNames")
	if sub == nil {
		return nil
	}
	if len(sub.fields) == 0 {
		r.fail(attr.Invalidf("ExpressionAttributeNames must not be empty"))
	}
	names := make(map[string]string, len(sub.fields))
	for key, j := range sub.fields {
		name, ok := j.(string)
		switch {
		case !ok:
			r.misshaped("ExpressionAttributeNames", "a map of strings")
		case !expr.ValidRef(key, '#'):
			r.fail(attr.Invalidf("ExpressionAttributeNames contains invalid key: Syntax error; key: \"%s\"", key))
		case name == "" || len(name) > 65535:
			r.fail(attr.Invalidf("ExpressionAttributeNames contains invalid value: Attribute name length must be between 1 and 65535; key: \"%s\"", key))
		}
		names[key] = name
	}
	return names
}

func (r *request) values() map[string]Value {
	sub := r.object("ExpressionAttributeValues")
	if sub == nil {
		return nil
	}
	if len(sub.fields) == 0 {
		r.fail(attr.Invalidf("ExpressionAttributeValues must not be empty"))
	}
	values := make(map[string]Value, len(sub.fields))
	for key, j := range sub.fields {
		v, err := attr.Decode(j)
		var fault *api.Error
		switch {
		case errors.As(err, &fault) && fault.Code == "ValidationException":
			r.fail(attr.Invalidf("ExpressionAttributeValues contains invalid value: %s for key %s", fault.Message, key))
		case err != nil:
			r.fail(err)
		case !expr.ValidRef(key, ':'):
			r.fail(attr.Invalidf("ExpressionAttributeValues contains invalid key: Syntax error; key: \"%s\"", key))
		}
		values[key] = v
	}
	return values
}

// condition takes a condition or filter expression; nil if it is absent.
func (r *request) condition(name string, p *expr.Params) *expr.Condition {
	text, ok := r.str(name)
	if !ok || r.err != nil {
		return nil
	}
	c, err := expr.ParseCondition(name, text, p)
	if err != nil {
		r.fail(err)
		return nil
	}
	return c
}

// projection takes the projection expression; nil if it is absent.
func (r *request) projection(p *expr.Params) expr.Projection {
	text, ok := r.str("ProjectionExpression")
	if !ok || r.err != nil {
		return nil
	}
	pr, err := expr.ParseProjection(text, p)
	if err != nil {
		r.fail(err)
	}
	return pr
}

// used notes the fault of placeholders that no expression used.
func (r *request) used(p *expr.Params) {
	if r.err == nil {
		r.fail(p.Unused())
	}
}
