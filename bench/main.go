// Command bench compares this library with others, each as a process of its own,
// in turn, for several rounds, against one server that checks what arrives.
//
//	make compare                                    # everything, into results/
//	go run . -rounds 1 -cases put-100B -only ours,kpl
//
// It runs on Linux. The Java libraries need a JDK 17 and Maven.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := fs.Int("rounds", 5, "how often every contestant runs")
	casesFlag := fs.String("cases", ".", "regular `expression` of the names of cases")
	only := fs.String("only", "", "names of contestants, with `commas` between; all if empty")
	scale := fs.Float64("scale", 1, "multiplies the number of records")
	out := fs.String("out", "", "`path` of the results, without .json and .md; results/compare if everything runs, else none, if empty")
	profile := fs.String("profile", "", "`path` for a CPU profile, of the last contestant in Go that ran")
	readme := fs.Bool("readme", false, "put the results that are there into ../README.md, and do no more")
	note := fs.String("note", "", "stands on top of the results")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *out == "" && *casesFlag == "." && *only == "" && *profile == "" {
		*out = "results/compare" // not what a part of it would overwrite
	}
	if *readme {
		return writeReadme(*out, "../README.md")
	}
	wanted, err := regexp.Compile(*casesFlag)
	if err != nil {
		return fmt.Errorf("-cases: %w", err)
	}
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	bin, err := os.MkdirTemp("", "kinesis-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin) //nolint:errcheck // a temporary directory
	var more []string
	if *profile != "" {
		more = append(more, "profile="+*profile)
	}
	plan := schedule(wanted, names, more...)
	if err := build(ctx, bin, plan); err != nil {
		return err
	}
	r := Results{
		Commit: output(ctx, "git", "describe", "--always", "--dirty"), Date: time.Now().UTC().Format(time.DateOnly),
		Machine: machine(), Go: runtime.Version(), Java: javaVersion(ctx), Note: *note,
		Command: strings.Join(append([]string{"go run ."}, args...), " "), Rounds: *rounds,
	}
	if err := r.play(ctx, bin, plan, *scale); err != nil {
		return err
	}
	if *out == "" {
		return nil
	}
	return r.write(*out)
}

// play runs the plan for as many rounds as the results are to have.
func (r *Results) play(ctx context.Context, bin string, plan []entry, scale float64) error {
	for round := range r.Rounds {
		for _, p := range plan {
			if p.Case.Once && round > 0 || p.Contestant.Rounds > 0 && round >= p.Contestant.Rounds {
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			one, err := measure(ctx, bin, p, scale)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.Case.Name, p.Contestant.Name, err)
			}
			r.Runs = append(r.Runs, one)
			fmt.Printf("%d/%d  %s\n", round+1, r.Rounds, one)
		}
	}
	return nil
}

// write writes the results as JSON and as tables.
func (r *Results) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(path+".json", append(text, '\n'), 0o644),
		os.WriteFile(path+".md", []byte(r.markdown()), 0o644),
	)
}

// build makes the programs of the contestants that the plan needs.
func build(ctx context.Context, bin string, plan []entry) error {
	built := make(map[string]bool)
	for _, e := range plan {
		dir := e.Contestant.Dir
		if built[dir] {
			continue
		}
		built[dir] = true
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(bin, strings.ReplaceAll(dir, "/", "-")), "./"+dir)
		if e.Contestant.Class != "" {
			cmd = exec.CommandContext(ctx, "mvn", "-q", "-B", "compile", "dependency:copy-dependencies")
			cmd.Dir = dir
		}
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", dir, err, text)
		}
	}
	return nil
}

func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); m != nil {
			model = string(m[1])
		}
	}
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), model)
}

func javaVersion(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return "none"
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return first
}

func output(ctx context.Context, name string, args ...string) string {
	text, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
