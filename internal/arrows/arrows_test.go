package arrows

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/kinesis-go/kinesis"
)

// nested are the directories that are modules of their own.
var nested = []string{"examples", "bench", "interop"}

// testOnly are the packages that only tests import. Like test files they may
// import testing, wait on real time and be random.
var testOnly = []string{"internal/arrows", "kinesistest/contract", "internal/sim"}

// A source is a parsed Go file. Its paths have slashes and begin at the root.
type source struct {
	path  string
	dir   string // of path, "." for the root
	test  bool   // a test file, or part of a package that only tests import
	text  string
	lines int
	fset  *token.FileSet
	file  *ast.File
}

// library reports whether the file is compiled into programs of our users.
func (s *source) library() bool { return !s.test && s.file.Name.Name != "main" && !s.nested() }

// public reports whether users can import the file's package.
func (s *source) public() bool {
	return s.library() && !slices.Contains(strings.Split(s.dir, "/"), "internal")
}

func (s *source) nested() bool {
	first, _, _ := strings.Cut(s.path, "/")
	return slices.Contains(nested, first)
}

func (s *source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

// A fault is one breach of one rule.
type fault struct {
	path string
	line int
	what string // what is there, and which rule that breaks
	fix  string
}

func (f fault) String() string { return fmt.Sprintf("%s:%d: %s; %s", f.path, f.line, f.what, f.fix) }

func (s *source) fault(n ast.Node, fix, format string, args ...any) fault {
	return fault{s.path, s.line(n), fmt.Sprintf(format, args...), fix}
}

// A rule looks at one file. Those that need a whole package are in packageRules.
type rule struct {
	name  string
	check func(*source) []fault
}

var rules = []rule{
	{"imports", checkImports},
	{"file length", checkFileLength},
	{"function length", checkFunctionLength},
	{"names", checkNames},
	{"documented", checkDocumented},
	{"comments", checkComments},
	{"goroutines", checkGoroutines},
	{"calls", checkCalls},
	{"skips", checkSkips},
	{"package variables", checkPackageVariables},
}

// parse reads a file of the tree, or a sample that pretends to be one.
func parse(fset *token.FileSet, name, text string) (*source, error) {
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	s := &source{path: name, dir: path.Dir(name), fset: fset, file: file, text: text, lines: strings.Count(text, "\n")}
	s.test = strings.HasSuffix(name, "_test.go") || slices.ContainsFunc(testOnly, func(p string) bool {
		return s.dir == p || strings.HasPrefix(s.dir, p+"/")
	})
	return s, nil
}

// tree returns every Go file of the repository, nested modules included. The tests
// share what was parsed once.
func tree(t *testing.T) []*source {
	t.Helper()
	sources, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 10 {
		t.Fatalf("found %d Go files: the root of the repository is not at %s", len(sources), root)
	}
	return sources
}

var parsed = sync.OnceValues(parseTree)

func parseTree() ([]*source, error) {
	var sources []*source
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			base := d.Name()
			if rel != "." && (base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parse(fset, rel, string(text))
		if err != nil {
			return err
		}
		sources = append(sources, s)
		return nil
	})
	return sources, err
}

func TestTreeKeepsTheRules(t *testing.T) {
	t.Parallel()
	sources := tree(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range sources {
				for _, f := range r.check(s) {
					t.Error(f)
				}
			}
		})
	}
	t.Run("package comments", func(t *testing.T) {
		t.Parallel()
		for _, f := range checkPackages(sources) {
			t.Error(f)
		}
	})
	t.Run("table", func(t *testing.T) {
		t.Parallel()
		for _, f := range checkTable(sources) {
			t.Error(f)
		}
	})
}

// TestRulesBite gives every rule a file that breaks it and one that does not.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, tt := range samples {
		covered[tt.rule] = true
		i := slices.IndexFunc(rules, func(r rule) bool { return r.name == tt.rule })
		if i < 0 {
			t.Fatalf("there is no rule %q", tt.rule)
		}
		s, err := parse(token.NewFileSet(), tt.path, tt.text)
		if err != nil {
			t.Fatalf("%s: %s: %v", tt.rule, tt.path, err)
		}
		faults := rules[i].check(s)
		switch {
		case tt.want == "" && len(faults) > 0:
			t.Errorf("%s: %s is refused: %v\n%s", tt.rule, tt.path, faults, tt.text)
		case tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0].String(), tt.want)):
			t.Errorf("%s: %s gives %q, want one fault with %q\n%s", tt.rule, tt.path, faults, tt.want, tt.text)
		}
	}
	for _, r := range rules {
		if !covered[r.name] {
			t.Errorf("no sample breaks the rule %q", r.name)
		}
	}
}

func TestPackageCommentRuleBites(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		tree map[string]string // path to text
		want string
	}{
		{"described in doc.go", map[string]string{"lease/doc.go": "// Package lease has.\npackage lease", "lease/a.go": "package lease"}, ""},
		{"not described", map[string]string{"lease/a.go": "package lease"}, "the package has no comment"},
		{"described elsewhere", map[string]string{"lease/a.go": "// Package lease has.\npackage lease"}, "move it to doc.go"},
		{"internal packages need no doc.go", map[string]string{"internal/pace/a.go": "// Package pace has.\npackage pace"}, ""},
		{"begins with something else", map[string]string{"lease/doc.go": "// This package has.\npackage lease"}, `begin it with "Package lease"`},
		{"described twice", map[string]string{"internal/pace/a.go": "// Package pace has.\npackage pace", "internal/pace/b.go": "// Package pace has.\npackage pace"}, "is described in"},
		{"a program", map[string]string{"cmd/kinesis-local/main.go": "// Kinesis-local serves.\npackage main"}, ""},
		{"a program not described", map[string]string{"examples/put/main.go": "package main"}, "the package has no comment"},
		{"tests alone", map[string]string{"interop/a_test.go": "package interop"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var sources []*source
			for path, text := range tt.tree {
				s, err := parse(token.NewFileSet(), path, text)
				if err != nil {
					t.Fatal(err)
				}
				sources = append(sources, s)
			}
			faults := checkPackages(sources)
			if tt.want == "" && len(faults) > 0 || tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0].String(), tt.want)) {
				t.Errorf("faults %q, want one with %q, or none", faults, tt.want)
			}
		})
	}
}
