package arrows

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// An inventory is what documents may name.
type inventory struct {
	files     map[string]string          // beside those of the disk, by path
	functions map[string]bool            // of any file, tests among them
	code      strings.Builder            // of tests and examples, flush left
	flags     map[string]map[string]bool // by the directory of the program or the test
	packages  map[string]bool            // by name
	names     map[string]bool            // "package.Name", "Type.Member"
	embedded  map[string][]string        // by the name of a type, the names of those that it embeds
	types     map[string]bool
}

func newInventory() *inventory {
	return &inventory{
		functions: map[string]bool{}, flags: map[string]map[string]bool{}, packages: map[string]bool{},
		names: map[string]bool{}, embedded: map[string][]string{}, types: map[string]bool{},
	}
}

func takeInventory(t *testing.T) *inventory {
	t.Helper()
	has := newInventory()
	for _, s := range tree(t) {
		has.add(s)
	}
	return has
}

// read returns a file, and whether it or a directory of that name is there.
func (has *inventory) read(name string) (string, bool) {
	if text, ok := has.files[name]; ok || has.files != nil {
		return text, ok
	}
	file := filepath.Join(root, filepath.FromSlash(name))
	if text, err := os.ReadFile(file); err == nil {
		return string(text), true
	}
	_, err := os.Stat(file)
	return "", err == nil
}

func (has *inventory) exists(name string) bool {
	_, ok := has.read(name)
	return ok
}

// add takes what a file declares.
func (has *inventory) add(s *source) {
	if s.test || strings.HasPrefix(s.path, "examples/") {
		has.code.WriteString(flush(s.text))
	}
	name := strings.TrimSuffix(s.file.Name.Name, "_test")
	if name != "main" && name != path.Base(module) { // that is also the SDK's package
		has.packages[name] = true
	}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				has.functions[d.Name.Name] = true
				has.names[name+"."+d.Name.Name] = true
			} else {
				has.names[receiver(d)+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				has.addSpec(name, spec)
			}
		}
	}
	has.addFlags(s)
}

func (has *inventory) addSpec(pkg string, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			has.names[pkg+"."+n.Name] = true
		}
	case *ast.TypeSpec:
		has.names[pkg+"."+spec.Name.Name] = true
		has.types[spec.Name.Name] = true
		var members *ast.FieldList
		switch typ := spec.Type.(type) {
		case *ast.StructType:
			members = typ.Fields
		case *ast.InterfaceType:
			members = typ.Methods
		default:
			return
		}
		for _, f := range members.List {
			if len(f.Names) == 0 {
				has.embed(spec.Name.Name, f.Type)
			}
			for _, n := range f.Names {
				has.names[spec.Name.Name+"."+n.Name] = true
			}
		}
	}
}

func (has *inventory) embed(outer string, inner ast.Expr) {
	switch e := inner.(type) {
	case *ast.StarExpr:
		has.embed(outer, e.X)
	case *ast.SelectorExpr:
		has.embed(outer, e.Sel)
	case *ast.Ident:
		has.names[outer+"."+e.Name] = true
		has.embedded[outer] = append(has.embedded[outer], e.Name)
	}
}

// member reports whether a type of that name has the member, itself or by a type
// that it embeds.
func (has *inventory) member(typ, name string) bool {
	if has.names[typ+"."+name] {
		return true
	}
	for _, inner := range has.embedded[typ] {
		if inner != typ && has.member(inner, name) {
			return true
		}
	}
	return false
}

var flagName = regexp.MustCompile(`^"[a-z][a-z0-9.-]*"$`)

// addFlags takes the flags that a file defines for its own program, which are
// also those of the programs that import it.
func (has *inventory) addFlags(s *source) {
	flags := has.flags[s.dir]
	if flags == nil {
		flags = map[string]bool{}
		has.flags[s.dir] = flags
	}
	for _, imp := range s.file.Imports {
		if of, err := strconv.Unquote(imp.Path.Value); err == nil && strings.HasPrefix(of, module+"/") {
			flags["in "+strings.TrimPrefix(of, module+"/")] = true
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasSuffix(fun.Sel.Name, "Var") && !strings.Contains(" Bool Duration Float64 Func Int Int64 String Uint64 BoolFunc ", " "+fun.Sel.Name+" ") {
			return true
		}
		for _, arg := range call.Args[:min(2, len(call.Args))] {
			if lit, ok := arg.(*ast.BasicLit); ok && flagName.MatchString(lit.Value) {
				flags[strings.Trim(lit.Value, `"`)] = true
				break
			}
		}
		return true
	})
}

// flag reports whether the program or the tests of a directory have a flag; with
// no directory, whether any have.
func (has *inventory) flag(dir, name string) bool {
	if dir == "" {
		for d := range has.flags {
			if has.flags[d][name] {
				return true
			}
		}
		return false
	}
	if has.flags[dir][name] {
		return true
	}
	for imp := range has.flags[dir] {
		if from, ok := strings.CutPrefix(imp, "in "); ok && has.flags[from][name] {
			return true
		}
	}
	return false
}
