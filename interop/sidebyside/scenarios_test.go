//go:build java

package sidebyside

import (
	"regexp"
	"testing"
)

// A scenario is one run with its own server and application.
type scenario struct {
	name string
	core bool // runs without -full too
	run  func(t *testing.T, s *scenario)

	errors   *regexp.Regexp // lines of Java's log that are no fault here
	failures *regexp.Regexp // failures of a worker that are none here
	steals   bool           // leases are taken from live workers, whose batches may come again

	row row
}

// TestScenarios runs all of them, or without -full the core, a few at a time.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for i, s := range scenarios {
		if !s.core && !*full {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.row = row{scenario: s.name, order: i, verdict: "FAILED"}
			defer func() { results.add(s.row) }()
			s.run(t, &s)
			if !t.Failed() {
				s.row.verdict = ""
			}
		})
	}
}
