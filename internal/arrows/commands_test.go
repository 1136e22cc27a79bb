package arrows

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	makeCommand = regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)([^`#\n]*)")
	goCommand   = regexp.MustCompile("(?:cd (\\S+) && )?(?:[A-Z]+=\\S+ )*\\bgo (run|test) ([^`#&|\n]*)")
	inlineFlag  = regexp.MustCompile("`-([a-z][\\w.-]*)")
	inlineCode  = regexp.MustCompile("`[^`\n]+`")
	fenced      = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	named       = regexp.MustCompile(`(\w+)\.([A-Za-z]\w*)(?:\.([A-Za-z]\w*))?`)
)

// toolFlags are those of the go command that documents use.
var toolFlags = []string{"run", "bench", "benchtime", "benchmem", "count", "v", "race", "tags", "timeout", "cpu"}

// checkCommands finds targets of make, programs and flags that are not there.
func checkCommands(text, dir string, has *inventory, add func(at int, what, fix string)) {
	makefile, _ := has.read("Makefile")
	for _, m := range makeCommand.FindAllStringSubmatchIndex(text, -1) {
		target, rest := text[m[2]:m[3]], text[m[4]:m[5]]
		if !strings.Contains("\n"+makefile, "\n"+target+":") {
			add(m[0], "says make "+target, "name a target of the Makefile")
		}
		for _, word := range strings.Fields(rest) {
			if name, _, ok := strings.Cut(word, "="); ok && !strings.Contains(makefile, "$("+name+")") {
				add(m[0], "says make "+target+" "+name+"=", "name a variable of the Makefile")
			}
		}
	}
	for _, m := range goCommand.FindAllStringSubmatchIndex(text, -1) {
		bases := []string{".", dir}
		if m[2] >= 0 {
			bases = []string{text[m[2]:m[3]]}
		}
		checkGoCommand(strings.Fields(text[m[6]:m[7]]), bases, has, func(what, fix string) { add(m[0], what, fix) })
	}
	for _, m := range inlineFlag.FindAllStringSubmatchIndex(text, -1) {
		if name := text[m[2]:m[3]]; !has.flag("", name) && !slices.Contains(toolFlags, name) {
			add(m[0], "names the flag -"+name, "name a flag that a program has")
		}
	}
}

// checkGoCommand looks at the words behind "go run" or "go test". Packages are
// meant from one of the bases on.
func checkGoCommand(words, bases []string, has *inventory, add func(what, fix string)) {
	program := ""
	for _, word := range words {
		word = strings.TrimRight(word, ".,;:)")
		pkg, _, _ := strings.Cut(word, "@")
		pkg = strings.TrimSuffix(pkg, "/..")
		if ours, ok := strings.CutPrefix(pkg, module+"/"); ok {
			pkg = "./" + ours
		}
		if !strings.HasPrefix(pkg, "./") {
			continue
		}
		i := slices.IndexFunc(bases, func(base string) bool { return has.exists(path.Join(base, pkg)) })
		if i < 0 {
			add("runs "+pkg+", which is not there", "name a directory")
			return
		}
		program = path.Join(bases[i], pkg)
	}
	for _, word := range words {
		name, ok := strings.CutPrefix(word, "-")
		if name, _, _ = strings.Cut(name, "="); !ok || name == "" || slices.Contains(toolFlags, name) {
			continue
		}
		if !has.flag(program, name) {
			add("uses the flag -"+name, "name a flag that "+path.Join(program)+" has")
		}
	}
}

// The package comment of a program shows how it is run.
func TestPackageCommentsShowCommandsThatAreThere(t *testing.T) {
	t.Parallel()
	has, commands := takeInventory(t), 0
	for _, s := range tree(t) {
		if s.file.Doc == nil {
			continue
		}
		text := s.file.Doc.Text()
		commands += len(goCommand.FindAllString(text, -1))
		checkCommands(text, s.dir, has, func(at int, what, fix string) {
			t.Error(s.fault(s.file.Doc, fix, "line %d of the package comment %s", 1+strings.Count(text[:at], "\n"), what))
		})
	}
	if commands < 10 {
		t.Errorf("found %d commands, want those of the examples", commands)
	}
}

// variables are what documents call a value of a type.
var variables = map[string]string{"srv": "Server", "o": "Options"}

// checkNamed finds names of Go, in code within a line, that one of our packages or
// types should have and has not. Names of others are let pass.
func checkNamed(text string, has *inventory, add func(at int, what, fix string)) {
	blocks := fenced.FindAllStringIndex(text, -1)
	for _, span := range inlineCode.FindAllStringIndex(text, -1) {
		if slices.ContainsFunc(blocks, func(b []int) bool { return b[0] <= span[0] && span[1] <= b[1] }) {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(text[span[0]:span[1]], -1) {
			first, second, third := m[1], m[2], m[3]
			if typ, ok := variables[first]; ok {
				first = typ
			}
			switch {
			case slices.Contains([]string{"go", "md", "txt", "json", "pem"}, second): // a file
			case has.packages[first] && has.names[first+"."+second]:
				if third != "" && !has.member(second, third) {
					add(span[0], "names "+second+"."+third+", which is not there", "name what there is")
				}
			case has.types[first] && has.member(first, second):
			case has.packages[first] || has.types[first]:
				add(span[0], "names "+first+"."+second+", which is not there", "name what there is")
			}
		}
	}
}
