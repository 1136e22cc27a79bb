package main

import (
	"os"
	"strings"
	"testing"
)

// A number in a document is one that was measured: the tables are made from the
// results, and nobody edits them.
func TestDocumentsShowTheResults(t *testing.T) {
	t.Parallel()
	r, err := read("results/compare")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) == 0 || r.Rounds < 3 {
		t.Errorf("results/compare.json has %d runs in %d rounds, want those of 3 rounds at least", len(r.Runs), r.Rounds)
	}
	tables, err := os.ReadFile("results/compare.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(tables) != r.markdown() {
		t.Error("results/compare.md is not what results/compare.json gives")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.embed(string(readme))
	if err != nil {
		t.Fatal(err)
	}
	if string(readme) != want {
		t.Error("README.md does not show results/compare.json: run `go run . -readme` in bench")
	}
}

// Nothing is lost by a contestant that we call ours, in any case that was measured.
func TestOursLosesNothing(t *testing.T) {
	t.Parallel()
	r, err := read("results/compare")
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range r.Runs {
		if !strings.HasPrefix(run.Contestant, "ours") {
			continue
		}
		if run.Broken != "" || run.Lost+run.WrongKey+run.Misplaced != 0 {
			t.Errorf("%s: %s", run, run.Broken)
		}
	}
}
