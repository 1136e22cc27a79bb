//go:build java

package sidebyside

import (
	"regexp"
	"sync"
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

// TestScenarios runs all of them, or without -full the core, a few at a time and in
// their order: t.Parallel would begin the longest whenever it likes.
func TestScenarios(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, *atOnce)
	for i, s := range scenarios {
		if !s.core && !*full {
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			t.Run(s.name, func(t *testing.T) {
				s.row = row{scenario: s.name, order: i, verdict: "FAILED"}
				defer func() { results.add(s.row) }()
				s.run(t, &s)
				if !t.Failed() {
					s.row.verdict = ""
				}
			})
		})
	}
}
