package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// The README has a short form of the results between these lines.
const (
	readmeBegin = "<!-- comparison: made by `go run . -readme` in bench -->\n"
	readmeEnd   = "<!-- end of comparison -->\n"
)

// read reads results that were written before.
func read(path string) (*Results, error) {
	text, err := os.ReadFile(path + ".json")
	if err != nil {
		return nil, err
	}
	var r Results
	return &r, json.Unmarshal(text, &r)
}

// summary is the short form: the CPU time of a record, ours as it is and the
// others' by ours.
func (r *Results) summary() string {
	var b strings.Builder
	for _, get := range []bool{false, true} {
		var who []Contestant
		for _, c := range contestants {
			if c.Get == get {
				who = append(who, c)
			}
		}
		verb := "Putting"
		if get {
			verb = "Reading"
		}
		fmt.Fprintf(&b, "| %s: CPU time a record |", verb)
		for _, c := range who {
			fmt.Fprintf(&b, " %s |", c.Title)
		}
		fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---:|", len(who)))
		for _, c := range cases {
			if c.Get == get && c.Rate == 0 && c.Fault == nil {
				r.summaryRow(&b, c, who)
			}
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (r *Results) summaryRow(b *strings.Builder, c Case, who []Contestant) {
	ours, _ := r.of(c, who[0].Name, Run.micros)
	fmt.Fprintf(b, "| %s | %.2f µs |", c.Title, ours)
	for _, other := range who[1:] {
		v, _ := r.of(c, other.Name, Run.micros)
		if v == 0 || ours == 0 {
			b.WriteString(" – |")
			continue
		}
		fmt.Fprintf(b, " %.1f × |", v/ours)
	}
	b.WriteString("\n")
}

// embed returns a README with the summary in its place.
func (r *Results) embed(readme string) (string, error) {
	before, rest, ok := strings.Cut(readme, readmeBegin)
	_, after, ok2 := strings.Cut(rest, readmeEnd)
	if !ok || !ok2 {
		return "", errors.New("README.md has no place for the comparison")
	}
	return before + readmeBegin + "\n" + r.summary() + "\n" + readmeEnd + after, nil
}

// writeReadme brings the README up to date.
func writeReadme(results, path string) error {
	r, err := read(results)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := r.embed(string(old))
	if err != nil {
		return err
	}
	return errors.Join(r.write(results), os.WriteFile(path, []byte(text), 0o644))
}
