//go:build java

// Package sidebyside runs this library, the KCL and the KPL on one stream and one
// lease table, each a process of its own, and judges what they print, store and
// send. It needs a JDK and Maven; what else it needs it builds into ../.cache.
package sidebyside

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	full   = flag.Bool("full", false, "every scenario, not only the short ones")
	atOnce = flag.Int("at-once", 3, "`number` of scenarios that run at a time")
	report = flag.String("report", "", "Markdown `file` to end with the table and the figures, behind its marker")
)

const cache = "../.cache"

// The versions of the Java libraries.
const (
	kcl35 = "3.5.1"
	kcl34 = "3.4.2"
	kcl27 = "2.7.2"
	kpl11 = "1.1.1"
	kpl10 = "1.0.7"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		os.Exit(1)
	}
	status := m.Run()
	if err := results.print(); err != nil {
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		status = 1
	}
	os.Exit(status)
}

// build compiles the server, our worker and the Java programs.
func build() error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	for _, b := range []struct{ dir, pkg, out string }{
		{"../..", "./cmd/kinesis-local", "kinesis-local"},
		{"..", "./worker", "worker"},
	} {
		out, err := filepath.Abs(filepath.Join(cache, b.out))
		if err != nil {
			return err
		}
		cmd := exec.Command("go", "build", "-o", out, b.pkg)
		cmd.Dir, cmd.Env = b.dir, append(os.Environ(), "GOWORK=off")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", b.pkg, err, text)
		}
	}
	kcls, kpls := []string{kcl35}, []string{kpl11}
	if *full {
		kcls, kpls = append(kcls, kcl34, kcl27), append(kpls, kpl10)
	}
	for _, v := range kcls {
		if err := buildJava("kcl", v); err != nil {
			return err
		}
	}
	for _, v := range kpls {
		if err := buildJava("kpl", v); err != nil {
			return err
		}
	}
	return nil
}

// buildJava compiles a program against a version of its library, unless that was
// done from the same sources before.
func buildJava(name, version string) error {
	project := filepath.Join("../java", name)
	digest := sha256.New()
	files, err := filepath.Glob(project + "/src/main/java/interop/*.java")
	if err != nil {
		return err
	}
	for _, f := range append(files, project+"/pom.xml") {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		digest.Write(text)
	}
	stamp := filepath.Join(cache, name+"-"+version, "stamp")
	if old, err := os.ReadFile(stamp); err == nil && string(old) == fmt.Sprintf("%x", digest.Sum(nil)) {
		return nil
	}
	cmd := exec.Command("mvn", "-q", "-B", "-f", project, "-D"+name+".version="+version, "clean", "package")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn package of %s %s: %w: %s", name, version, err, text)
	}
	return os.WriteFile(stamp, fmt.Appendf(nil, "%x", digest.Sum(nil)), 0o644)
}

// classpath returns that of a Java program.
func classpath(name, version string) string {
	dir := filepath.Join(cache, name+"-"+version)
	return filepath.Join(dir, "driver.jar") + ":" + filepath.Join(dir, "lib", "*")
}

// A row of the table that the run ends with.
type row struct {
	scenario, parts string
	in              int // records acknowledged
	stored          int // that stand in the streams for their readers
	delivered       int
	strays          int // delivered though they stand in aggregates that are to be dropped
	repeated, lost  int
	seconds         float64
	verdict         string
	order           int // of the scenario
}

// A figure is a time or an amount measured on the way.
type figure struct{ what, who, value string }

// A collection is what the scenarios found.
type collection struct {
	mu      sync.Mutex
	rows    []row
	figures []figure
}

// results is written by every test of the package.
var results collection

func (r *collection) add(row row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row)
}

// measured notes a figure.
func (r *collection) measured(what, who, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figures = append(r.figures, figure{what, who, fmt.Sprintf(format, args...)})
}

// print writes the table to standard output, and to the file of -table.
func (r *collection) print() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.rows, func(a, b row) int { return a.order - b.order })
	slices.SortStableFunc(r.figures, func(a, b figure) int { return strings.Compare(a.what+a.who, b.what+b.who) })
	for i := len(r.figures) - 1; i > 0; i-- { // several of one kind are one line
		if a, b := &r.figures[i-1], r.figures[i]; a.what == b.what && a.who == b.who {
			a.value += ", " + b.value
			r.figures = slices.Delete(r.figures, i, i+1)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nscenario\tparts\tin\tstored\tdelivered\tstrays\trepeated\tlost\tseconds\t")
	for _, l := range r.rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\t%s\n", l.scenario, l.parts, l.in, l.stored, l.delivered, l.strays, l.repeated, l.lost, l.seconds, l.verdict)
	}
	if len(r.figures) > 0 {
		fmt.Fprintln(w, "\nfigure\tof\tmeasured\t\t\t\t\t\t\t")
	}
	for _, f := range r.figures {
		fmt.Fprintf(w, "%s\t%s\t%s\t\t\t\t\t\t\t\n", f.what, f.who, f.value)
	}
	if err := w.Flush(); err != nil || *report == "" {
		return err
	}
	const marker = "<!-- results -->\n"
	text, err := os.ReadFile(*report)
	if err != nil {
		return err
	}
	before, _, ok := strings.Cut(string(text), marker)
	if !ok {
		return fmt.Errorf("%s has no line %q", *report, marker)
	}
	out := bytes.NewBufferString(before + marker)
	r.markdown(out)
	return os.WriteFile(*report, out.Bytes(), 0o644)
}

func (r *collection) markdown(w io.Writer) {
	fmt.Fprintf(w, "\nRun on %s, %d cores, %s.\n\n", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version())
	fmt.Fprintln(w, "| scenario | parts | in | stored | delivered | strays | repeated | lost | seconds |\n|---|---|---|---|---|---|---|---|---|")
	for _, l := range r.rows {
		fmt.Fprintf(w, "| %s | %s | %d | %d | %d | %d | %d | %d | %.0f |\n", l.scenario, l.parts, l.in, l.stored, l.delivered, l.strays, l.repeated, l.lost, l.seconds)
	}
	fmt.Fprintln(w, "\n| figure | of | measured |\n|---|---|---|")
	for _, f := range r.figures {
		fmt.Fprintf(w, "| %s | %s | %s |\n", f.what, f.who, f.value)
	}
}
