package main

import (
	"fmt"
	"slices"
	"strings"
)

// Results are what one call of this program found.
type Results struct {
	Commit, Date, Machine, Go, Java, Command string
	Note                                     string `json:",omitempty"`
	Rounds                                   int
	Runs                                     []Run
}

// A Run is one contestant's try at a case.
type Run struct {
	Case, Contestant string
	Broken           string `json:",omitempty"` // how it ended, if not well; then nothing was measured
	Records          int
	Seconds, CPU     float64 // CPU user and kernel, of all its processes
	Memory           int64   // peak, bytes
	Mallocs          uint64  `json:",omitempty"` // Go's allocations
	Wire             int64   // bytes it sent

	// What it said, and what the server found.
	Stored, Failed, Lost, Repeats, WrongKey, Misplaced, Reordered int
	Entries                                                       int     `json:",omitempty"` // Kinesis records
	P50, P99, P999                                                float64 `json:",omitempty"` // seconds from Put to arrival
}

func (r Run) String() string {
	if r.Broken != "" {
		return fmt.Sprintf("%-14s %-12s ended with an error: %.300s", r.Case, r.Contestant, r.Broken)
	}
	return fmt.Sprintf("%-14s %-12s %8d records  %7.2f µs CPU/record  %9.0f/s  %5d MiB  lost %d repeated %d wrong key %d misplaced %d reordered %d",
		r.Case, r.Contestant, r.Records, r.micros(), r.perSecond(), r.Memory>>20, r.Lost, r.Repeats, r.WrongKey, r.Misplaced, r.Reordered)
}

func (r Run) micros() float64    { return r.CPU * 1e6 / float64(r.Records) }
func (r Run) perSecond() float64 { return float64(r.Records) / r.Seconds }

// markdown returns a table for each case.
func (r *Results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Made by `%s`; not to be edited. -->\n\n", r.Command)
	fmt.Fprintf(&b, "Commit %s, %s. %s, %s, %s. Medians of %d rounds in turn, of one where the spread is 0; the spread is (largest − smallest) / median.\n", r.Commit, r.Date, r.Machine, r.Go, r.Java, r.Rounds)
	if r.Note != "" {
		fmt.Fprintf(&b, "%s\n", r.Note)
	}
	for _, c := range cases {
		r.table(&b, c)
	}
	return b.String()
}

func (r *Results) table(b *strings.Builder, c Case) {
	names := []string{"CPU µs/record", "spread", "CPU to ours", "records/s", "MB/s", "peak MiB", "allocs/record", "sent/payload", "lost", "repeated", "wrong key", "misplaced", "reordered", "crashed"}
	if c.Get {
		names = []string{"CPU µs/record", "spread", "CPU to ours", "records/s", "MB/s", "MB/CPU s", "peak MiB", "allocs/record", "lost", "repeated", "crashed"}
	}
	if c.Rate > 0 {
		names = append(names, "p50 ms", "p99 ms", "p99.9 ms")
	}
	ours, _ := r.of(c, "ours", Run.micros)
	head := false
	for _, who := range contestants {
		if who.Get != c.Get || r.tries(c, who) == 0 {
			continue
		}
		if !head {
			head = true
			fmt.Fprintf(b, "\n### %s\n\n| | %s |\n|---|%s\n", c.Title, strings.Join(names, " | "), strings.Repeat("---:|", len(names)))
		}
		fmt.Fprintf(b, "| %s |", who.Title)
		for _, name := range names {
			fmt.Fprintf(b, " %s |", r.cell(c, who, name, ours))
		}
		b.WriteString("\n")
	}
}

// A column makes a cell out of the runs that ended well. Its format is empty for
// counts, of which the worst is shown.
type column struct {
	format string
	of     func(c Case, run Run) float64
}

var columns = map[string]column{
	"CPU µs/record": {"%.2f", func(_ Case, run Run) float64 { return run.micros() }},
	"records/s":     {"%.0f", func(_ Case, run Run) float64 { return run.perSecond() }},
	"MB/s":          {"%.0f", func(c Case, run Run) float64 { return run.perSecond() * float64(c.Size) / 1e6 }},
	"MB/CPU s":      {"%.0f", func(c Case, run Run) float64 { return float64(run.Records*c.Size) / 1e6 / run.CPU }},
	"peak MiB":      {"%.0f", func(_ Case, run Run) float64 { return float64(run.Memory) / (1 << 20) }},
	"allocs/record": {"%.2f", func(_ Case, run Run) float64 { return float64(run.Mallocs) / float64(run.Records) }},
	"sent/payload":  {"%.2f", func(c Case, run Run) float64 { return float64(run.Wire) / float64(run.Records*c.Size) }},
	"p50 ms":        {"%.0f", func(_ Case, run Run) float64 { return 1e3 * run.P50 }},
	"p99 ms":        {"%.0f", func(_ Case, run Run) float64 { return 1e3 * run.P99 }},
	"p99.9 ms":      {"%.0f", func(_ Case, run Run) float64 { return 1e3 * run.P999 }},
	"lost":          {"", func(_ Case, run Run) float64 { return float64(run.Lost) }},
	"repeated":      {"", func(_ Case, run Run) float64 { return float64(run.Repeats) }},
	"wrong key":     {"", func(_ Case, run Run) float64 { return float64(run.WrongKey) }},
	"misplaced":     {"", func(_ Case, run Run) float64 { return float64(run.Misplaced) }},
	"reordered":     {"", func(_ Case, run Run) float64 { return float64(run.Reordered) }},
}

// cell is the text of one cell; a dash where there is nothing to tell.
func (r *Results) cell(c Case, who Contestant, name string, ours float64) string {
	runs := r.runs(c, who.Name)
	switch {
	case name == "crashed":
		return fmt.Sprint(r.tries(c, who) - len(runs))
	case len(runs) == 0,
		name == "CPU to ours" && ours == 0,
		name == "allocs/record" && who.Class != "",
		columns[name].of != nil && columns[name].format == "" && who.Raw:
		return "–"
	case name == "spread":
		_, spread := r.of(c, who.Name, Run.micros)
		return fmt.Sprintf("%.0f %%", 100*spread)
	case name == "CPU to ours":
		cpu, _ := r.of(c, who.Name, Run.micros)
		return fmt.Sprintf("%.1f", cpu/ours)
	}
	col := columns[name]
	if col.format == "" {
		worst := 0.0
		for _, run := range runs {
			worst = max(worst, col.of(c, run))
		}
		return fmt.Sprintf("%.0f", worst)
	}
	v, _ := r.of(c, who.Name, func(run Run) float64 { return col.of(c, run) })
	return fmt.Sprintf(col.format, v)
}

// tries is how often a contestant took part.
func (r *Results) tries(c Case, who Contestant) (n int) {
	for _, run := range r.Runs {
		if run.Case == c.Name && run.Contestant == who.Name {
			n++
		}
	}
	return n
}

// runs are those that ended well.
func (r *Results) runs(c Case, who string) (runs []Run) {
	for _, run := range r.Runs {
		if run.Case == c.Name && run.Contestant == who && run.Broken == "" {
			runs = append(runs, run)
		}
	}
	return runs
}

// of returns the median and the spread of a contestant's runs.
func (r *Results) of(c Case, who string, value func(Run) float64) (median, spread float64) {
	var all []float64
	for _, run := range r.runs(c, who) {
		all = append(all, value(run))
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	median = all[len(all)/2]
	if median > 0 {
		spread = (all[len(all)-1] - all[0]) / median
	}
	return median, spread
}
