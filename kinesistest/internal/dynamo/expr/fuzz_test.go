package expr_test

import (
	"os"
	"strings"
	"testing"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

// FuzzParse reads any text as every kind of expression and evaluates what is
// one. Neither panics, and the item stays as it was.
func FuzzParse(f *testing.F) {
	golden, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		if verb, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok && verb != "" && verb != "#" && verb != "item" {
			f.Add(rest)
		}
	}
	one := attr.Int(1)
	it := attr.Item{
		"a": attr.S("x"), "n": one, "l": attr.L([]attr.Value{one, attr.M(attr.Item{"k": one})}),
		"m": attr.M(attr.Item{"k": attr.S("v")}), "ss": attr.Set(attr.StringSet, []attr.Value{attr.S("x")}),
	}
	before := string(it.Append(nil))
	f.Fuzz(func(t *testing.T, text string) {
		p := &expr.Params{
			Names:  map[string]string{"#a": "a", "#s": "ss"},
			Values: map[string]attr.Value{":a": attr.S("x"), ":n": one, ":one": one, ":s": attr.S("y"), ":ss": it["ss"], ":l": it["l"]},
		}
		if c, err := expr.ParseCondition("FilterExpression", text, p); err == nil {
			c.Holds(it)
			c.Holds(nil)
			if c.String() == "" {
				t.Errorf("condition %q prints as nothing", text)
			}
		}
		if _, err := expr.ParseKeyCondition(text, p, expr.KeyAttr{Name: "a", Kind: attr.String}, expr.KeyAttr{Name: "n", Kind: attr.Number}); err != nil && err.Error() == "" {
			t.Error("error without text")
		}
		if pr, err := expr.ParseProjection(text, p); err == nil {
			if again := pr.Of(pr.Of(it)); !hasIndex(text) && !again.Equal(pr.Of(it)) {
				t.Errorf("projection %q of its own result = %s", text, again.Append(nil))
			}
		}
		if u, err := expr.ParseUpdate(text, p); err == nil {
			if after, err := u.Apply(it); err == nil {
				complete(t, attr.M(after))
			}
		}
		if got := string(it.Append(nil)); got != before {
			t.Fatalf("%q changed its item: %s", text, got)
		}
	})
}

func hasIndex(text string) bool { return strings.Contains(text, "[") }

// complete fails if v holds an absent value.
func complete(t *testing.T, v attr.Value) {
	if v.Kind() == "" {
		t.Error("an update left an absent value")
	}
	for _, e := range v.List() {
		complete(t, e)
	}
	for _, e := range v.Item() {
		complete(t, e)
	}
}
