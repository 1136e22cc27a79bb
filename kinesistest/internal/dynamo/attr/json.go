package attr

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// maxDepth is how deep lists and maps may nest, as DynamoDB counts it.
const maxDepth = 32

// DecodeItem reads an item from decoded JSON: an object of attribute values.
func DecodeItem(j any) (Item, error) { return decodeItem(j, 0) }

// Decode reads an attribute value from decoded JSON such as {"S": "x"}.
func Decode(j any) (Value, error) { return decode(j, 0) }

func decodeItem(j any, depth int) (Item, error) {
	obj, ok := j.(map[string]any)
	if !ok {
		return nil, Misshapenf("Unexpected value for a map of attribute values")
	}
	it := make(Item, len(obj))
	for name, j := range obj {
		v, err := decode(j, depth)
		if err != nil {
			return nil, err
		}
		if name == "" || len(name) > 65535 {
			return nil, Invalidf("One or more parameter values were invalid: Attribute name length must be between 1 and 65535")
		}
		it[name] = v
	}
	return it, nil
}

func decode(j any, depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, Invalidf("Nesting Levels have exceeded supported limits: Attributes exceeds nested level limit")
	}
	obj, ok := j.(map[string]any)
	if !ok {
		return Value{}, Misshapenf("Unexpected value for an attribute value")
	}
	switch {
	case len(obj) == 0:
		return Value{}, Invalidf("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	case len(obj) > 1:
		return Value{}, Invalidf("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	for kind, j := range obj {
		return decodeKind(Kind(kind), j, depth)
	}
	return Value{}, nil // not reached: obj has one member
}

func decodeKind(kind Kind, j any, depth int) (Value, error) {
	switch kind {
	case String, Number, Binary:
		return decodeScalar(kind, j)
	case StringSet, NumberSet, BinarySet:
		return decodeSet(kind, j)
	case Bool:
		b, ok := j.(bool)
		if !ok {
			return Value{}, Misshapenf("Unexpected value for a BOOL")
		}
		return Value{kind: Bool, bool: b}, nil
	case Null:
		b, ok := j.(bool)
		if !ok {
			return Value{}, Misshapenf("Unexpected value for a NULL")
		}
		if !b {
			return Value{}, Invalidf("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return Value{kind: Null}, nil
	case List:
		elements, ok := j.([]any)
		if !ok {
			return Value{}, Misshapenf("Unexpected value for an L")
		}
		list := make([]Value, len(elements))
		for i, e := range elements {
			v, err := decode(e, depth+1)
			if err != nil {
				return Value{}, err
			}
			list[i] = v
		}
		return L(list), nil
	case Map:
		it, err := decodeItem(j, depth+1)
		return M(it), err
	}
	return Value{}, Invalidf("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func decodeScalar(kind Kind, j any) (Value, error) {
	s, ok := j.(string)
	if !ok {
		return Value{}, Misshapenf("Unexpected value for %s: a string is required", kind)
	}
	switch kind {
	case Number:
		d, err := ParseDecimal(s)
		return N(d), err
	case Binary:
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return Value{}, Misshapenf("Invalid base64 in a B")
		}
		return B(string(raw)), nil
	}
	return S(s), nil
}

func decodeSet(kind Kind, j any) (Value, error) {
	given, ok := j.([]any)
	if !ok {
		return Value{}, Misshapenf("Unexpected value for %s: an array is required", kind)
	}
	if len(given) == 0 {
		text := map[Kind]string{StringSet: "An string set  may not be empty", NumberSet: "An number set  may not be empty", BinarySet: "Binary sets should not be empty"}
		return Value{}, Invalidf("One or more parameter values were invalid: %s", text[kind])
	}
	members, seen := make([]Value, len(given)), make(map[string]bool, len(given))
	double := false
	for i, g := range given {
		v, err := decodeScalar(kind.Member(), g)
		if err != nil {
			return Value{}, err
		}
		double = double || seen[v.text]
		members[i], seen[v.text] = v, true
	}
	if double {
		return Value{}, duplicates(kind, given)
	}
	return Set(kind, members), nil
}

func duplicates(kind Kind, given []any) error {
	const prefix = "One or more parameter values were invalid: Input collection "
	texts := make([]string, len(given))
	for i, g := range given {
		texts[i] = fmt.Sprint(g)
	}
	list := "[" + strings.Join(texts, ", ") + "]"
	switch kind {
	case NumberSet:
		return Invalidf("Input collection contains duplicates")
	case BinarySet:
		return Invalidf(prefix+"%sof type BS contains duplicates.", list)
	}
	return Invalidf(prefix+"%s contains duplicates.", list)
}

// Append appends v's JSON form to b. Object members are in byte order, so
// that equal values give equal text up to the order of sets.
func (v Value) Append(b []byte) []byte {
	if v.kind == "" {
		return append(b, "null"...)
	}
	b = append(b, '{', '"')
	b = append(b, v.kind...)
	b = append(b, '"', ':')
	switch v.kind {
	case String, Number, Binary:
		b = v.appendScalar(b)
	case Bool:
		b = strconv.AppendBool(b, v.bool)
	case Null:
		b = append(b, "true"...)
	case Map:
		b = v.item.Append(b)
	default:
		b = append(b, '[')
		for i, e := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			if v.kind == List {
				b = e.Append(b)
			} else {
				b = e.appendScalar(b)
			}
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (v Value) appendScalar(b []byte) []byte {
	if v.kind == Binary {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, []byte(v.text))
		return append(b, '"')
	}
	return AppendString(b, v.text)
}

// Append appends the item's JSON form to b.
func (it Item) Append(b []byte) []byte {
	b = append(b, '{')
	for i, name := range it.Names() {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, name)
		b = append(b, ':')
		b = it[name].Append(b)
	}
	return append(b, '}')
}

// AppendString appends s as a JSON string.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// MarshalJSON returns the DynamoDB JSON form, such as {"S":"x"}.
func (v Value) MarshalJSON() ([]byte, error) { return v.Append(nil), nil }

// MarshalJSON returns the DynamoDB JSON form of every attribute.
func (it Item) MarshalJSON() ([]byte, error) {
	if it == nil {
		return []byte("null"), nil
	}
	return it.Append(nil), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (it *Item) UnmarshalJSON(b []byte) error {
	var j any
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	next, err := DecodeItem(j)
	*it = next
	return err
}

// JSON returns v as encoding/json decodes its DynamoDB JSON form: the caller
// owns the result.
func (v Value) JSON() map[string]any {
	switch v.kind {
	case "":
		return nil
	case Bool:
		return map[string]any{"BOOL": v.bool}
	case Null:
		return map[string]any{"NULL": true}
	case Map:
		return map[string]any{"M": v.item.JSON()}
	case String, Number, Binary:
		return map[string]any{string(v.kind): v.scalarJSON()}
	}
	list := make([]any, len(v.list))
	for i, e := range v.list {
		if v.kind == List {
			list[i] = e.JSON()
		} else {
			list[i] = e.scalarJSON()
		}
	}
	return map[string]any{string(v.kind): list}
}

func (v Value) scalarJSON() string {
	if v.kind == Binary {
		return base64.StdEncoding.EncodeToString([]byte(v.text))
	}
	return v.text
}

// JSON returns the item as encoding/json decodes its DynamoDB JSON form.
func (it Item) JSON() map[string]any {
	obj := make(map[string]any, len(it))
	for name, v := range it {
		obj[name] = v.JSON()
	}
	return obj
}
