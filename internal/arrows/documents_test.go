package arrows

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z]\\w*)`")
	goFile   = regexp.MustCompile("`([\\w./-]+/[\\w-]+\\.go)`")
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// checkDocument finds what a document names and the tree has not: linked files
// and headings, tests, source files.
func checkDocument(name, text string, tests map[string]bool, exists func(string) bool) []fault {
	var faults []fault
	add := func(at int, what, fix string) {
		faults = append(faults, fault{name, 1 + strings.Count(text[:at], "\n"), what, fix})
	}
	for _, m := range link.FindAllStringSubmatchIndex(text, -1) {
		target, anchor, _ := strings.Cut(text[m[2]:m[3]], "#")
		switch {
		case strings.Contains(target, ":"): // another site
		case target != "" && !exists(path.Join(path.Dir(name), target)):
			add(m[0], "links to "+target+", which is not there", "mend the link")
		case target == "" && !anchors(text)[anchor]:
			add(m[0], "links to #"+anchor+", which is no heading", "mend the link")
		}
	}
	for _, m := range testName.FindAllStringSubmatchIndex(text, -1) {
		if test := text[m[2]:m[3]]; !tests[test] {
			add(m[0], "names "+test+", which is no test", "name the test that holds it")
		}
	}
	for _, m := range goFile.FindAllStringSubmatchIndex(text, -1) {
		if file := text[m[2]:m[3]]; !exists(file) && !exists(path.Join(path.Dir(name), file)) {
			add(m[0], "names "+file+", which is not there", "name the file that there is")
		}
	}
	return faults
}

// anchors returns the headings of a document as links name them.
func anchors(text string) map[string]bool {
	names := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		var b strings.Builder
		for _, c := range strings.ToLower(m[1]) {
			switch {
			case c == ' ':
				b.WriteByte('-')
			case c == '-' || c == '_' || isLetterOrDigit(c):
				b.WriteRune(c)
			}
		}
		names[b.String()] = true
	}
	return names
}

func TestDocumentsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	for _, s := range tree(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[f.Name.Name] = true
			}
		}
	}
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		return err == nil
	}
	documents := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() != filepath.Base(root) && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if filepath.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		documents++
		for _, f := range checkDocument(filepath.ToSlash(rel), string(text), tests, exists) {
			t.Error(f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if documents < 4 {
		t.Errorf("found %d documents, want README.md, ARCHITECTURE.md and others", documents)
	}
}

func TestDocumentRuleBites(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"# One thing\n[here](#one-thing) [there](b.md) [web](https://x.test/y) `TestA` `lease/a.go`", ""},
		{"\n[a](missing.md)", "docs/a.md:2: links to missing.md"},
		{"[a](#nowhere)", "links to #nowhere"},
		{"`TestGone` holds it", "names TestGone"},
		{"see `lease/gone.go`", "names lease/gone.go"},
	}
	exists := func(name string) bool { return name == "docs/b.md" || name == "lease/a.go" }
	for _, tt := range tests {
		got := fmt.Sprint(checkDocument("docs/a.md", tt.text, map[string]bool{"TestA": true}, exists))
		if tt.want == "" && got != "[]" || !strings.Contains(got, tt.want) {
			t.Errorf("%q gives %s, want %q", tt.text, got, tt.want)
		}
	}
}
