package arrows

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

var docLink = regexp.MustCompile(`\[\*?([A-Za-z]\w*)(?:\.([A-Z]\w*))?(?:\.([A-Z]\w*))?\]`)

// checkDocLinks finds links in the comments of a file that its users see, such as
// [Options.Start], that lead nowhere: pkg.go.dev shows them with their brackets.
// has is an inventory of the whole tree.
func checkDocLinks(s *source, has *inventory) []fault {
	if !s.public() {
		return nil
	}
	pkg := s.file.Name.Name
	var faults []fault
	for _, group := range s.file.Comments {
		for _, m := range docLink.FindAllStringSubmatch(prose(group), -1) {
			first, second, third := m[1], m[2], m[3]
			ok := true
			switch {
			case ast.IsExported(first) && second == "":
				ok = has.names[pkg+"."+first]
			case ast.IsExported(first):
				ok = has.types[first] && has.member(first, second)
			case second == "": // no link: an index, or a word in brackets
			case has.packages[first]:
				ok = has.names[first+"."+second] && (third == "" || has.member(second, third))
			}
			if !ok {
				faults = append(faults, s.fault(group, "name what there is", "links to %s, which is not there", m[0]))
			}
		}
	}
	return faults
}

// prose returns a comment without its blocks of code.
func prose(group *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range group.List {
		if text, ok := strings.CutPrefix(c.Text, "//"); ok && !strings.HasPrefix(text, "\t") {
			b.WriteString(text + "\n")
		}
	}
	return b.String()
}

func TestDocLinkRuleBites(t *testing.T) {
	t.Parallel()
	const code = "package lease\n\ntype Row struct{ *Base }\n\ntype Base struct{ Key string }\n\n// New says: %s\nfunc New() {}\n"
	tests := []struct{ comment, want string }{
		{"[New], [Row.Key], [*Base], [lease.New], [lease.Row.Key], [sql.DB] and a[i]", "[]"},
		{"[Gone]", "[Gone]"},
		{"[*Gone]", "[*Gone]"},
		{"[Row.Gone]", "[Row.Gone]"},
		{"[lease.Gone]", "[lease.Gone]"},
		{"[lease.Row.Gone]", "[lease.Row.Gone]"},
		{"the code\n//\n//\tx[Gone]", "[]"},
	}
	for _, tt := range tests {
		s, err := parse(token.NewFileSet(), "lease/a.go", fmt.Sprintf(code, tt.comment))
		if err != nil {
			t.Fatal(err)
		}
		has := newInventory()
		has.add(s)
		if got := fmt.Sprint(checkDocLinks(s, has)); tt.want == "[]" && got != "[]" || !strings.Contains(got, tt.want) {
			t.Errorf("%q gives %s, want %s", tt.comment, got, tt.want)
		}
	}
}

func TestDocLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	has := takeInventory(t)
	for _, s := range tree(t) {
		for _, f := range checkDocLinks(s, has) {
			t.Error(f)
		}
	}
}
