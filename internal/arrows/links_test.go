package arrows

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What a program outside this module links when it imports a package of ours, as
// the go command sees it and not as our table says.
func TestProgramsLinkOnlyWhatTheyUse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		imports string
		never   []string // beginnings of import paths
	}{
		{"producer", []string{module + "/lease", module + "/consumer", module + "/checkpoint", module + "/kinesistest", "github.com/aws/aws-sdk-go-v2/service/dynamodb"}},
		{"consumer", []string{module + "/producer", module + "/lease/dynamo", module + "/kinesistest", "github.com/aws/aws-sdk-go-v2/service/dynamodb"}},
		{"aggregation", []string{module + "/producer", module + "/consumer", module + "/lease", "github.com/aws/"}},
		{"lease", []string{module + "/producer", module + "/consumer", "github.com/aws/"}},
	}
	for _, tt := range tests {
		t.Run(tt.imports, func(t *testing.T) {
			t.Parallel()
			deps := linked(t, tt.imports)
			for _, dep := range deps {
				for _, never := range append(tt.never, "testing", module+"/internal/sim", "github.com/aws/aws-sdk-go-v2/config") {
					if dep == never || strings.HasPrefix(dep, never+"/") || strings.HasSuffix(never, "/") && strings.HasPrefix(dep, never) {
						t.Errorf("a program that imports %s links %s", tt.imports, dep)
					}
				}
			}
			if !strings.Contains(strings.Join(deps, "\n"), module+"/"+tt.imports) || len(deps) < 10 {
				t.Errorf("%d packages are linked, not even %s", len(deps), tt.imports)
			}
		})
	}
}

// linked returns the packages that a program in a module of its own links. What
// the module requires is what ours does, so that nothing is downloaded.
func linked(t *testing.T, imports string) []string {
	t.Helper()
	ours, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	mod := strings.Replace(string(text), "module "+module+"\n", "module example.test/outside\n", 1)
	mod += "\nrequire " + module + " v0.0.0\nreplace " + module + " => " + ours + "\n"
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": mod, "go.sum": string(sums),
		"main.go": "package main\n\nimport _ \"" + module + "/" + imports + "\"\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-mod=mod", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return strings.Fields(string(out))
}
