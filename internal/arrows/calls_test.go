package arrows

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

func checkGoroutines(s *source) []fault {
	if s.test {
		return nil
	}
	var faults []fault
	ast.Inspect(s.file, func(n ast.Node) bool {
		if stmt, ok := n.(*ast.GoStmt); ok {
			faults = append(faults, s.fault(stmt, "start it with sync.WaitGroup.Go or errgroup.Group.Go and wait for it where it was started",
				"a go statement: every goroutine has an owner that waits for it"))
		}
		return true
	})
	return faults
}

// A ban is on functions that library code does not call.
type ban struct {
	pkg      string
	names    []string
	programs bool // banned in main packages and nested modules too
	why, fix string
}

var bans = []ban{
	{"time", []string{"Sleep"}, true, "ends for no context", "wait for a timer and for ctx.Done in one select"},
	{"context", []string{"Background", "TODO"}, false, "cuts the caller's context off", "take ctx from the caller; context.WithoutCancel outlives a cancel"},
	{"fmt", []string{"Print", "Printf", "Println"}, false, "writes to the user's standard output", "use Options.Logger or Options.Events"},
	{"os", []string{"Exit"}, false, "ends the user's program", "return an error"},
}

// packageBans are on whole packages, in library code.
var packageBans = []struct{ pkg, why, fix string }{
	{"log", "writes where nobody asked for it", "use Options.Logger, a *slog.Logger"},
	{"math/rand", "makes runs of one seed differ", "derive jitter from a hash of identity, site, key and count"},
	{"math/rand/v2", "makes runs of one seed differ", "derive jitter from a hash of identity, site, key and count"},
}

func checkCalls(s *source) []fault {
	if s.test {
		return nil
	}
	var faults []fault
	if s.library() {
		for _, spec := range s.file.Imports {
			for _, b := range packageBans {
				if spec.Path.Value == strconv.Quote(b.pkg) && s.dir != "lease/leasetest" { // it runs in tests, from a fixed seed
					faults = append(faults, s.fault(spec, b.fix, "imports %s, which %s", b.pkg, b.why))
				}
			}
		}
	}
	excused := s.excused()
	ast.Inspect(s.file, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		for _, b := range bans {
			if (b.programs || s.library()) && !excused[s.line(n)] && s.selects(e, b.pkg, b.names...) {
				faults = append(faults, s.fault(n, b.fix, "%s.%s %s", b.pkg, e.(*ast.SelectorExpr).Sel.Name, b.why))
			}
		}
		if call, ok := e.(*ast.CallExpr); ok {
			if f, ok := call.Fun.(*ast.Ident); ok && f.Obj == nil && (f.Name == "print" || f.Name == "println") {
				faults = append(faults, s.fault(n, "remove it", "%s is for debugging", f.Name))
			}
		}
		return true
	})
	return faults
}

// checkSkips keeps a green run meaning something.
func checkSkips(s *source) []fault {
	if !s.test {
		return nil
	}
	var faults []fault
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		skip := s.isTest(sel.X) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name)
		if skip || s.selects(sel, "testing", "Short") {
			fix := "make what it needs part of the test, or move it to a nested module"
			faults = append(faults, s.fault(n, fix, "%s: a test that does not run proves nothing", sel.Sel.Name))
		}
		return true
	})
	return faults
}

// excused returns the lines on which the linter's ban on these calls is lifted
// with a reason.
func (s *source) excused() map[int]bool {
	lines := map[int]bool{}
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if reason, ok := strings.CutPrefix(c.Text, "//nolint:forbidigo // "); ok && reason != "" {
				lines[s.line(c)] = true
			}
		}
	}
	return lines
}

// isTest reports whether e is a parameter of a type of package testing; the T of
// rapid is not, where Skip draws other values.
func (s *source) isTest(e ast.Expr) bool {
	x, ok := e.(*ast.Ident)
	if !ok || x.Obj == nil {
		return false
	}
	field, ok := x.Obj.Decl.(*ast.Field)
	if !ok {
		return false
	}
	typ := field.Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	return s.selects(typ, "testing", "T", "B", "F", "TB")
}

// checkPackageVariables refuses what ties one synctest bubble to another: an item
// made in one and met in the next panics.
func checkPackageVariables(s *source) []fault {
	if s.test {
		return nil
	}
	var faults []fault
	for _, decl := range s.file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.VAR {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit, *ast.FuncType:
				return false
			case *ast.ChanType:
				faults = append(faults, s.packageVariable(n, "a channel"))
				return false
			case ast.Expr:
				switch {
				case s.selects(n, "time", "Timer", "Ticker", "NewTimer", "NewTicker", "After", "AfterFunc", "Tick"):
					faults = append(faults, s.packageVariable(n, "a timer"))
				case s.selects(n, "sync", "WaitGroup", "Pool", "Cond"):
					faults = append(faults, s.packageVariable(n, "a sync."+n.(*ast.SelectorExpr).Sel.Name))
				}
			}
			return true
		})
	}
	return faults
}

func (s *source) packageVariable(n ast.Node, what string) fault {
	return s.fault(n, "make it a field of the type that uses it", "a package variable holds %s", what)
}
