package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

// A schema is the key of a table or index: a hash attribute and perhaps a
// range attribute.
type schema struct {
	hash expr.KeyAttr
	rng  expr.KeyAttr // zero if there is none
}

// attrs returns the key attributes, one or two.
func (k schema) attrs() []expr.KeyAttr {
	if k.rng.Name == "" {
		return []expr.KeyAttr{k.hash}
	}
	return []expr.KeyAttr{k.hash, k.rng}
}

// names returns the names of the key attributes.
func (k schema) names() []string {
	var names []string
	for _, a := range k.attrs() {
		names = append(names, a.Name)
	}
	return names
}

// place returns the entry of an item, which must have the key's attributes.
func (k schema) place(it Item) *entry {
	e := &entry{hash: it[k.hash.Name].SortKey(), item: it}
	if k.rng.Name != "" {
		e.rng = it[k.rng.Name].SortKey()
	}
	e.spot = spotOf(e.hash)
	return e
}

// complete reports whether it has all key attributes in the right types.
func (k schema) complete(it Item) bool {
	for _, a := range k.attrs() {
		if it[a.Name].Kind() != a.Kind {
			return false
		}
	}
	return true
}

// checkKey checks that key is exactly a key of this schema.
func (k schema) checkKey(key Item, l Limits) error {
	if len(key) != len(k.attrs()) || !k.complete(key) {
		return errKeyShape
	}
	return k.checkValues(key, l)
}

// checkItem checks the key attributes of a whole item.
func (k schema) checkItem(it Item, l Limits) error {
	for _, a := range k.attrs() {
		v, ok := it[a.Name]
		if !ok {
			return invalidf("Missing the key %s in the item", a.Name)
		}
		if v.Kind() != a.Kind {
			return invalidf("Type mismatch for key %s expected: %s actual: %s", a.Name, a.Kind, v.Kind())
		}
	}
	return k.checkValues(it, l)
}

func (k schema) checkValues(it Item, l Limits) error {
	for _, a := range k.attrs() {
		if v := it[a.Name]; v.Text() == "" {
			return attr.Invalidf("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", wordOf(v), a.Name)
		}
	}
	return k.checkSizes(it, l)
}

func (k schema) checkSizes(it Item, l Limits) error {
	if over(it[k.hash.Name].Size(), l.HashKeyBytes) {
		return invalidf("Size of hashkey has exceeded the maximum size limit of%d bytes", l.HashKeyBytes)
	}
	if k.rng.Name != "" && over(it[k.rng.Name].Size(), l.RangeKeyBytes) {
		return invalidf("Aggregated size of all range keys has exceeded the size limit of %d bytes", l.RangeKeyBytes)
	}
	return nil
}

func wordOf(v Value) string {
	if v.Kind() == attr.Binary {
		return "binary"
	}
	return "string"
}

// definitions are a table's AttributeDefinitions.
type definitions map[string]attr.Kind

// definitions takes AttributeDefinitions.
func (r *request) definitions() definitions {
	defs := definitions{}
	for _, d := range r.objects("AttributeDefinitions") {
		name := d.keyName()
		if !d.has("AttributeType") {
			d.required("AttributeType")
		}
		kind := d.enum("AttributeType", "", "B", "N", "S")
		if old, twice := defs[name]; twice {
			d.fail(redefined(name, old, attr.Kind(kind)))
		}
		defs[name] = attr.Kind(kind)
		r.fail(d.done())
	}
	return defs
}

// keyName takes AttributeName.
func (r *request) keyName() string {
	name, ok := r.str("AttributeName")
	if !ok {
		r.required("AttributeName")
	} else {
		r.length(name, len(name), "AttributeName", 1, 255)
	}
	return name
}

// schema takes KeySchema, whose attributes defs must define.
func (r *request) schema(defs definitions) (k schema) {
	given := r.has("KeySchema")
	elements := r.objects("KeySchema")
	switch n := len(elements); {
	case !given:
		r.required("KeySchema")
		return k
	case n == 0 || n > 2:
		r.length(fmt.Sprintf("%d elements", n), n, "KeySchema", 1, 2)
		return k
	case len(defs) < n:
		r.fail(attr.Invalidf("Invalid KeySchema: Some index key attribute have no definition"))
	}
	for i, e := range elements {
		name := e.keyName()
		role := e.enum("KeyType", "", "HASH", "RANGE")
		r.fail(e.done())
		kind, ok := defs[name]
		switch {
		case i == 0 && role != "HASH":
			r.fail(attr.Invalidf("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"))
		case i == 1 && role != "RANGE":
			r.fail(attr.Invalidf("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"))
		case i == 1 && name == k.hash.Name:
			r.fail(attr.Invalidf("Both the Hash Key and the Range Key element in the KeySchema have the same name"))
		case !ok:
			r.fail(invalidf("Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: %s", name, defs))
		case i == 0:
			k.hash = expr.KeyAttr{Name: name, Kind: kind}
		default:
			k.rng = expr.KeyAttr{Name: name, Kind: kind}
		}
	}
	return k
}

// redefined is the fault of an attribute that is defined twice.
func redefined(name string, old, next attr.Kind) error {
	if old == next {
		return invalidf("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return invalidf("Cannot redefine attribute: %s", name)
}

// String returns the defined names as AWS's error texts print them.
func (d definitions) String() string {
	return "[" + strings.Join(slices.Sorted(maps.Keys(d)), ", ") + "]"
}

// covered checks that every definition is used by some key.
func (d definitions) covered(keys []schema) error {
	used := map[string]bool{}
	for _, k := range keys {
		for _, name := range k.names() {
			used[name] = true
		}
	}
	if len(used) == len(d) {
		return nil
	}
	return invalidf("Some AttributeDefinitions are not used. AttributeDefinitions: %s, keys used: [%s]", d, strings.Join(slices.Sorted(maps.Keys(used)), ", "))
}
