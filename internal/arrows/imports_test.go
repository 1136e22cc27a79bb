package arrows

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Packages of others, as patterns of path.Match or as prefixes ending in "/...".
const (
	sdkCore     = "github.com/aws/aws-sdk-go-v2/aws/..."
	sdkKinesis  = "github.com/aws/aws-sdk-go-v2/service/kinesis/..."
	sdkDynamoDB = "github.com/aws/aws-sdk-go-v2/service/dynamodb/..."
	smithy      = "github.com/aws/smithy-go/..."
	errgroup    = "golang.org/x/sync/errgroup"
	semaphore   = "golang.org/x/sync/semaphore"
)

// arrows says what the non-test files of a package may import besides the
// standard library; paths without a dot in their first element are ours.
var arrows = map[string][]string{
	".":               nil, // documentation
	"aggregation":     {"internal/shardmap"},
	"checkpoint":      nil,
	"lease":           {"checkpoint", "internal/shardmap", "internal/pace", errgroup},
	"lease/dynamo":    {"lease", "checkpoint", "internal/shardmap", sdkCore, sdkDynamoDB, smithy},
	"lease/leasetest": {"lease", "checkpoint"},
	"producer": {
		"aggregation", "internal/shardmap", "internal/pace", "internal/wire", "internal/budget",
		sdkCore, sdkKinesis, smithy, errgroup, semaphore,
	},
	"consumer": {
		"aggregation", "checkpoint", "lease",
		"internal/shardmap", "internal/pace", "internal/wire", "internal/budget", "internal/hostload",
		sdkCore, sdkKinesis, smithy, errgroup,
	},
	"kinesistest":              {"internal/shardmap", "kinesistest/internal/...", sdkCore},
	"kinesistest/internal/...": {"internal/shardmap", "kinesistest/internal/..."},
	"cmd/kinesis-local":        {"kinesistest"},

	"internal/budget":   nil,
	"internal/hostload": nil,
	"internal/pace":     nil,
	"internal/shardmap": nil,
	"internal/wire":     {sdkCore, sdkKinesis, smithy},

	// Imported by tests alone.
	"internal/arrows":      nil,
	"internal/sim":         {"...", sdkCore, sdkKinesis, sdkDynamoDB, smithy},
	"kinesistest/contract": {sdkCore, sdkKinesis, sdkDynamoDB, smithy},
}

// forTests are imported by test files only, and by packages that only tests import.
var forTests = []string{
	"testing/...",
	"github.com/google/go-cmp/...",
	"pgregory.net/rapid",
	"github.com/anishathalye/porcupine",
	module + "/kinesistest/contract",
	module + "/internal/sim",
	module + "/lease/leasetest",
}

// conformance are packages that users import in their tests.
var conformance = []string{"lease/leasetest", "kinesistest"}

func match(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(name+"/", prefix)
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

// entry returns the line of the table for a package.
func entry(dir string) (allowed []string, ok bool) {
	if allowed, ok := arrows[dir]; ok {
		return allowed, true
	}
	for pattern, allowed := range arrows {
		if strings.HasSuffix(pattern, "...") && match(pattern, dir) {
			return allowed, true
		}
	}
	return nil, false
}

func checkImports(s *source) []fault {
	allowed, known := entry(s.dir)
	if !known && !s.nested() {
		return []fault{s.fault(s.file.Name, "give it a line in the table of internal/arrows/imports_test.go and one in the map of ARCHITECTURE.md",
			"package %s is in no table of arrows", s.dir)}
	}
	var faults []fault
	for _, spec := range s.file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the compiler's business
		}
		if why, fix := s.refuse(name, allowed); why != "" {
			faults = append(faults, s.fault(spec, fix, "%s %s", why, name))
		}
	}
	return faults
}

// refuse says why a file must not import a package, or nothing.
func (s *source) refuse(name string, allowed []string) (why, fix string) {
	ours, isOurs := strings.CutPrefix(name, module+"/")
	if name == module {
		return "imports the root package, which is documentation,", "import the package that has what is needed"
	}
	standard := !strings.Contains(strings.SplitN(name, "/", 2)[0], ".")
	switch {
	case s.nested():
		if isOurs && strings.HasPrefix(ours, "internal/") {
			return "imports what users cannot:", "use the public packages, as a user has to"
		}
	case isOurs && slices.Contains(nested, strings.SplitN(ours, "/", 2)[0]):
		return "imports a nested module:", "nothing imports examples, bench or interop"
	case s.test && strings.HasSuffix(s.path, "_test.go"):
		// Tests may look anywhere; which modules there are is go.mod's business.
	case s.test && matchAny(forTests, name):
	case matchAny(forTests, name) && !(slices.Contains(conformance, s.dir) && match("testing/...", name)):
		return "imports, outside a test,", "move it to a _test.go file"
	case isOurs && !matchAny(allowed, ours):
		return "has no arrow to", "pass what is needed in from above, or change the table of internal/arrows/imports_test.go and say why in docs/decisions"
	case !isOurs && !standard && !matchAny(allowed, name):
		return "depends on", "a dependency of this package needs a page in docs/decisions and an entry in the table of internal/arrows/imports_test.go"
	}
	return "", ""
}

// planned are lines of the table whose package is still to come: its place is fixed.
var planned = []string{"internal/wire"}

// checkTable finds lines of the table without a package.
func checkTable(sources []*source) []fault {
	var faults []fault
	for pattern := range arrows {
		if slices.Contains(planned, pattern) || slices.ContainsFunc(sources, func(s *source) bool { return match(pattern, s.dir) }) {
			continue
		}
		faults = append(faults, fault{"internal/arrows/imports_test.go", 1, "the table names " + pattern + ", which is no package", "remove the line"})
	}
	return faults
}

func TestTableRuleBites(t *testing.T) {
	t.Parallel()
	faults := checkTable([]*source{{dir: "lease"}, {dir: "kinesistest/internal/api"}})
	has := func(name string) bool {
		return slices.ContainsFunc(faults, func(f fault) bool { return strings.Contains(f.what, "names "+name+",") })
	}
	if !has("producer") || has("lease") || has("kinesistest/internal/...") || has("internal/wire") {
		t.Errorf("faults %v, want one for producer and none for what is there or planned", faults)
	}
}

func TestTableOfArrowsHasNoCircle(t *testing.T) {
	t.Parallel()
	var visit func(dir string, trail []string)
	visit = func(dir string, trail []string) {
		if slices.Contains(trail, dir) {
			t.Errorf("the table allows a circle: %v", append(trail, dir))
			return
		}
		for _, to := range arrows[dir] {
			if _, ok := arrows[to]; ok && !strings.HasSuffix(to, "...") {
				visit(to, append(slices.Clone(trail), dir))
			}
		}
	}
	for dir := range arrows {
		visit(dir, nil)
	}
}

func TestProducerAndConsumerNeverMeet(t *testing.T) {
	t.Parallel()
	reach := func(from string) map[string]bool {
		seen := map[string]bool{}
		var visit func(string)
		visit = func(dir string) {
			for _, to := range arrows[dir] {
				if !seen[to] {
					seen[to] = true
					visit(to)
				}
			}
		}
		visit(from)
		return seen
	}
	for _, p := range []string{"consumer", "lease", "lease/dynamo", "checkpoint", sdkDynamoDB} {
		if reach("producer")[p] {
			t.Errorf("producer reaches %s", p)
		}
	}
	for _, p := range []string{"producer", "lease/dynamo", sdkDynamoDB} {
		if reach("consumer")[p] {
			t.Errorf("consumer reaches %s", p)
		}
	}
}

// imported returns the name under which a file knows a package, "" if it does not.
func (s *source) imported(name string) string {
	for _, spec := range s.file.Imports {
		if spec.Path.Value != strconv.Quote(name) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		if base := path.Base(name); base != "v2" {
			return base
		}
		return path.Base(path.Dir(name))
	}
	return ""
}

// selects reports whether e is pkg.Name of an imported package.
func (s *source) selects(e ast.Expr, pkg string, names ...string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || !slices.Contains(names, sel.Sel.Name) {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	// An identifier that the parser resolved is a local one that shadows the package.
	return ok && x.Obj == nil && token.IsIdentifier(x.Name) && x.Name == s.imported(pkg)
}
