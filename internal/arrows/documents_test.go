package arrows

import (
	"fmt"
	"go/token"
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
	goBlock  = regexp.MustCompile("(?ms)^ *```go\n(.*?)^ *```")
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// checkDocument finds what a document names and the tree has not: linked files
// and headings, tests, source files, code, commands, flags and names of Go.
func checkDocument(name, text string, has *inventory) []fault {
	var faults []fault
	add := func(at int, what, fix string) {
		faults = append(faults, fault{name, 1 + strings.Count(text[:at], "\n"), what, fix})
	}
	for _, m := range link.FindAllStringSubmatchIndex(text, -1) {
		target, anchor, _ := strings.Cut(text[m[2]:m[3]], "#")
		if strings.Contains(target, ":") {
			continue // another site
		}
		linked, there := text, true
		if target != "" {
			linked, there = has.read(path.Join(path.Dir(name), target))
		}
		switch {
		case !there:
			add(m[0], "links to "+target+", which is not there", "mend the link")
		case anchor != "" && !anchors(linked)[anchor]:
			add(m[0], "links to "+target+"#"+anchor+", which is no heading", "mend the link")
		}
	}
	for _, m := range testName.FindAllStringSubmatchIndex(text, -1) {
		if test := text[m[2]:m[3]]; !has.functions[test] {
			add(m[0], "names "+test+", which is no test", "name the test that holds it")
		}
	}
	for _, m := range goFile.FindAllStringSubmatchIndex(text, -1) {
		if file := text[m[2]:m[3]]; !has.exists(file) && !has.exists(path.Join(path.Dir(name), file)) {
			add(m[0], "names "+file+", which is not there", "name the file that there is")
		}
	}
	for _, m := range goBlock.FindAllStringSubmatchIndex(text, -1) {
		if !strings.Contains(has.code.String(), flush(text[m[2]:m[3]])) {
			add(m[0], "shows Go that stands in no test", "put the block into a test or an example, line by line")
		}
	}
	checkCommands(text, path.Dir(name), has, add)
	checkNamed(text, has, add)
	return faults
}

// flush returns code without the blanks that its lines begin with.
func flush(code string) string {
	lines := strings.SplitAfter(code, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimLeft(line, " \t")
	}
	return strings.Join(lines, "")
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
	has := takeInventory(t)
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
		for _, f := range checkDocument(filepath.ToSlash(rel), string(text), has) {
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
	has := newInventory()
	has.files = map[string]string{"docs/b.md": "## Part two", "lease": "", "lease/a.go": "", "cmd/local": "", "Makefile": "check: # all\n\tgo test $(WHAT)\n"}
	for path, text := range map[string]string{
		"lease/a_test.go":   "package lease\n\nfunc TestA(t *testing.T) {\n\tx := 1\n\ty := x\n}\n",
		"lease/b.go":        "package lease\n\ntype Row struct{ *Base }\n\ntype Base struct{ Key string }\n\nfunc New() {}\n",
		"cmd/local/main.go": "package main\n\nfunc main() { fs.StringVar(&s, \"listen\", \"\", \"\") }\n",
	} {
		s, err := parse(token.NewFileSet(), path, text)
		if err != nil {
			t.Fatal(err)
		}
		has.add(s)
	}
	tests := []struct{ text, want string }{
		{"# One thing\n[here](#one-thing) [there](b.md#part-two) [web](https://x.test/y) `TestA` `lease/a.go`", ""},
		{"\n[a](missing.md)", "docs/a.md:2: links to missing.md"},
		{"[a](#nowhere)", "links to #nowhere"},
		{"[a](b.md#nowhere)", "links to b.md#nowhere"},
		{"`TestGone` holds it", "names TestGone"},
		{"see `lease/gone.go`", "names lease/gone.go"},
		{"```go\nx := 1\ny := x\n```", ""},
		{"\n```go\nx := 2\n```", "docs/a.md:2: shows Go that stands in no test"},
		{"run `make check WHAT=x`\nmake check  # all", ""},
		{"run `make gone`", "make gone"},
		{"run `make check HOW=x`", "make check HOW"},
		{"`go run ./cmd/local -listen x` and `go test -run X ./lease`, `-listen`", ""},
		{"`go run example.test/gone/cmd@latest`", ""},
		{"go run ./cmd/gone", "./cmd/gone"},
		{"go run ./cmd/local -gone x", "flag -gone"},
		{"with `-gone x`", "flag -gone"},
		{"`lease.New`, `lease.Row`, `Row.Key`, `lease.Row.Key`, `sql.DB`, `lease.go`, `foo(lease.New)`", ""},
		{"`lease.Gone`", "names lease.Gone"},
		{"`Row.Gone`", "names Row.Gone"},
		{"`lease.Row.Gone`", "names Row.Gone"},
		{"```sh\nlease.Gone\n```", ""},
	}
	for _, tt := range tests {
		got := fmt.Sprint(checkDocument("docs/a.md", tt.text, has))
		if tt.want == "" && got != "[]" || !strings.Contains(got, tt.want) {
			t.Errorf("%q gives %s, want %q", tt.text, got, tt.want)
		}
	}
}
