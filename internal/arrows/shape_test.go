package arrows

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	maxFileLines     = 600
	maxTestFileLines = 1000
	maxFunctionLines = 60
)

// longDirective in a function's comment states why it is long.
const longDirective = "//arrows:long "

func checkFileLength(s *source) []fault {
	ceiling := maxFileLines
	if strings.HasSuffix(s.path, "_test.go") {
		ceiling = maxTestFileLines
	}
	if s.lines <= ceiling {
		return nil
	}
	return []fault{{s.path, ceiling + 1, "the file goes on past its ceiling", "divide it, each part named for the noun it defines"}}
}

// checkFunctionLength does not measure tests: most of a long one is its table.
func checkFunctionLength(s *source) []fault {
	if s.test {
		return nil
	}
	var faults []fault
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if lines := s.fset.Position(f.End()).Line - s.line(f) + 1; lines > maxFunctionLines && !statesWhy(f.Doc) {
			faults = append(faults, s.fault(f, "divide it, or state why not: "+longDirective+"<reason>",
				"%s has %d lines, more than %d", f.Name.Name, lines, maxFunctionLines))
		}
	}
	return faults
}

func statesWhy(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		reason, ok := strings.CutPrefix(c.Text, longDirective)
		return ok && strings.TrimSpace(reason) != ""
	})
}

// vague are words that say nothing of what a file or package holds.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "base", "misc", "pkg", "src"}

func checkNames(s *source) []fault {
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSuffix(s.path, ".go"), "_test"), "/") {
		for word := range strings.FieldsFuncSeq(part, func(c rune) bool { return c == '_' || c == '-' }) {
			if slices.Contains(vague, word) {
				return []fault{s.fault(s.file.Name, "name the thing that is in it", "%q names nothing", word)}
			}
		}
	}
	if strings.HasPrefix(s.file.Name.Name, "util") {
		return []fault{s.fault(s.file.Name, "name the thing that is in it", "package %s names nothing", s.file.Name.Name)}
	}
	return nil
}

// checkDocumented asks for a comment on everything that users see, fields of
// options included, beginning with its name where Go does so.
func checkDocumented(s *source) []fault {
	if !s.public() {
		return nil
	}
	var faults []fault
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			faults = append(faults, s.documentedFunc(d)...)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				faults = append(faults, s.documentedSpec(d, spec)...)
			}
		}
	}
	return faults
}

// wellKnown are methods that mean the same everywhere.
var wellKnown = []string{"Error", "Unwrap", "String", "MarshalText", "UnmarshalText", "LogValue"}

func (s *source) documentedFunc(f *ast.FuncDecl) []fault {
	if !f.Name.IsExported() || f.Recv != nil && (slices.Contains(wellKnown, f.Name.Name) || !ast.IsExported(receiver(f))) {
		return nil
	}
	return s.documented(f, f.Name.Name, f.Doc)
}

func receiver(f *ast.FuncDecl) string {
	e := f.Recv.List[0].Type
	for {
		switch t := e.(type) {
		case *ast.StarExpr:
			e = t.X
		case *ast.IndexExpr:
			e = t.X
		case *ast.IndexListExpr:
			e = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}

func (s *source) documentedSpec(d *ast.GenDecl, spec ast.Spec) []fault {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return nil
		}
		doc := spec.Doc
		if doc == nil {
			doc = d.Doc
		}
		faults := s.documented(spec, spec.Name.Name, doc)
		if fields, ok := spec.Type.(*ast.StructType); ok && strings.HasSuffix(spec.Name.Name, "Options") {
			faults = append(faults, s.documentedFields(spec.Name.Name, fields)...)
		}
		return faults
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
				return []fault{s.fault(name, "say in a comment what it is for", "%s is exported and not documented", name.Name)}
			}
		}
	}
	return nil
}

func (s *source) documentedFields(name string, fields *ast.StructType) []fault {
	var faults []fault
	for _, f := range fields.Fields.List {
		for _, n := range f.Names {
			if n.IsExported() && f.Doc == nil && f.Comment == nil {
				faults = append(faults, s.fault(n, "say its effect, default and range", "%s.%s is an option and not documented", name, n.Name))
			}
		}
	}
	return faults
}

func (s *source) documented(n ast.Node, name string, doc *ast.CommentGroup) []fault {
	if doc.Text() == "" {
		return []fault{s.fault(n, "say in a comment what it does", "%s is exported and not documented", name)}
	}
	text := doc.Text()
	for _, article := range []string{"A ", "An ", "The "} {
		text = strings.TrimPrefix(text, article)
	}
	if first := strings.FieldsFunc(text, func(c rune) bool { return c != '_' && !isLetterOrDigit(c) }); len(first) == 0 || first[0] != name {
		return []fault{s.fault(n, "begin it with "+name, "the comment of %s begins with something else", name)}
	}
	return nil
}

func isLetterOrDigit(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

var (
	todo   = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	banner = regexp.MustCompile(`(?i)^//\s*copyright\b|SPDX-License-Identifier`)
)

func checkComments(s *source) []fault {
	var faults []fault
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			switch {
			case todo.MatchString(c.Text):
				faults = append(faults, s.fault(c, "do it, or open an issue and leave it out", "the comment leaves work behind"))
			case banner.MatchString(c.Text):
				faults = append(faults, s.fault(c, "remove it: LICENSE at the root holds for every file", "the file has a licence banner"))
			}
		}
	}
	return faults
}

// checkPackages asks for one comment on each package, in doc.go where users read it.
func checkPackages(sources []*source) []fault {
	comments := map[string]string{}
	var faults []fault
	for _, s := range sources {
		if s.test && strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		text := s.file.Doc.Text()
		if text == "" {
			comments[s.dir] += ""
			continue
		}
		if other := comments[s.dir]; other != "" {
			faults = append(faults, s.fault(s.file.Name, "keep one", "the package is described in %s too", other))
		}
		comments[s.dir] = s.path
		if s.public() && path.Base(s.path) != "doc.go" {
			faults = append(faults, s.fault(s.file.Name, "move it to doc.go", "the package comment is not where readers look"))
		}
		if name := s.file.Name.Name; name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
			faults = append(faults, s.fault(s.file.Name, `begin it with "Package `+name+`"`, "the package comment begins with something else"))
		}
	}
	for dir, where := range comments {
		if where == "" {
			faults = append(faults, fault{dir, 1, "the package has no comment", "write one, in doc.go if users can import it"})
		}
	}
	return faults
}
