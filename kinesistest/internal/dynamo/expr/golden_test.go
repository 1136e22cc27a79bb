package expr_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

var update = flag.Bool("update", false, "rewrite the verdicts in testdata/expressions.txt")

// A scene is what the lines of the golden file have set up so far.
type scene struct {
	item      attr.Item
	names     map[string]string
	values    map[string]attr.Value
	hash, rng expr.KeyAttr
}

// set obeys a line that prepares a scene and reports whether it was one.
func (s *scene) set(verb, rest string) (bool, error) {
	switch verb {
	case "item":
		s.item = nil
		if rest == "absent" {
			return true, nil
		}
		return true, json.Unmarshal([]byte(rest), &s.item)
	case "names":
		s.names = nil
		return true, json.Unmarshal([]byte(rest), &s.names)
	case "values":
		var it attr.Item
		err := json.Unmarshal([]byte(rest), &it)
		s.values = it
		return true, err
	case "schema":
		s.hash, s.rng = keyAttr(rest, 0), keyAttr(rest, 1)
		return true, nil
	}
	return false, nil
}

// messageOf returns an error's message; all faults of expressions have one code.
func messageOf(err error) string {
	message, ok := strings.CutPrefix(err.Error(), "ValidationException: ")
	if !ok {
		return "not a ValidationException: " + err.Error()
	}
	return message
}

func keyAttr(text string, i int) expr.KeyAttr {
	fields := strings.Fields(text)
	if i >= len(fields) {
		return expr.KeyAttr{}
	}
	name, kind, _ := strings.Cut(fields[i], ":")
	return expr.KeyAttr{Name: name, Kind: attr.Kind(kind)}
}

// verdict evaluates an expression of the given kind.
func (s *scene) verdict(verb, text string) string {
	params := &expr.Params{Names: s.names, Values: s.values}
	switch verb {
	case "condition":
		return s.holds(expr.ParseCondition("ConditionExpression", text, params))
	case "filter":
		c, err := expr.ParseCondition("FilterExpression", text, params)
		if err == nil {
			err = params.Unused()
		}
		return s.holds(c, err)
	case "legacy":
		return s.holds(comparison(text))
	case "update":
		return s.updated(expr.ParseUpdate(text, params))
	case "attributeupdates":
		return s.updated(legacyChanges(text))
	case "projection":
		pr, err := expr.ParseProjection(text, params)
		return itemOr(pr.Of(s.item), err)
	case "key":
		k, err := expr.ParseKeyCondition(text, params, s.hash, s.rng)
		if err != nil {
			return messageOf(err)
		}
		return "hash " + string(k.Hash.Append(nil)) + " range " + k.Range.String()
	}
	return "unknown verb " + verb
}

func (s *scene) holds(c *expr.Condition, err error) string {
	if err != nil {
		return messageOf(err)
	}
	return fmt.Sprint(c.Holds(s.item))
}

func (s *scene) updated(u *expr.Update, err error) string {
	if err != nil {
		return messageOf(err)
	}
	before := string(s.item.Append(nil))
	it, err := u.Apply(s.item)
	if after := string(s.item.Append(nil)); after != before {
		return "the update wrote to its input: " + after
	}
	if err != nil {
		return messageOf(err)
	}
	return changes(s.item, it)
}

// comparison reads a legacy condition: a name, an operator and a list of
// values, each written {"v":VALUE}.
func comparison(text string) (*expr.Condition, error) {
	name, rest, _ := strings.Cut(text, " ")
	op, list, _ := strings.Cut(rest, " ")
	var items []attr.Item
	if list != "" {
		if err := json.Unmarshal([]byte(list), &items); err != nil {
			return nil, err
		}
	}
	args := make([]attr.Value, len(items))
	for i, it := range items {
		args[i] = it["v"]
	}
	return expr.Comparison(name, op, args)
}

// legacyChanges reads AttributeUpdates: NAME ACTION {"v":VALUE}, with more of
// them behind semicolons.
func legacyChanges(text string) (*expr.Update, error) {
	var list []expr.Change
	for one := range strings.SplitSeq(text, "; ") {
		name, rest, _ := strings.Cut(one, " ")
		action, value, _ := strings.Cut(rest, " ")
		var it attr.Item
		if value != "" {
			if err := json.Unmarshal([]byte(value), &it); err != nil {
				return nil, err
			}
		}
		list = append(list, expr.Change{Name: name, Action: action, Value: it["v"]})
	}
	return expr.Changes(list)
}

// changes returns what differs between two items: b {"N":"2"}, -c.
func changes(before, after attr.Item) string {
	var list []string
	for _, name := range after.Names() {
		if old, ok := before[name]; !ok || !attr.Equal(old, after[name]) {
			list = append(list, name+" "+string(after[name].Append(nil)))
		}
	}
	for _, name := range before.Names() {
		if _, ok := after[name]; !ok {
			list = append(list, "-"+name)
		}
	}
	if list == nil {
		return "no change"
	}
	return strings.Join(list, ", ")
}

func itemOr(it attr.Item, err error) string {
	if err != nil {
		return messageOf(err)
	}
	return string(it.Append(nil))
}

// TestGolden holds every expression of testdata/expressions.txt to the verdict
// that stands indented below it.
func TestGolden(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "expressions.txt")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	var s scene
	cases := 0
	for line := range strings.Lines(string(old)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		prepared, err := s.set(verb, rest)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !prepared {
			cases++
			source := strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(rest)
			out.WriteString("    " + s.verdict(verb, source) + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(old), "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("verdicts (-file +now):\n%s", diff)
	}
	if cases < 150 {
		t.Errorf("%d cases, want at least 150", cases)
	}
}
