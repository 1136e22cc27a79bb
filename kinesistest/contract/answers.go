package contract

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
)

// An Answer is what became of a check at a target.
type Answer struct {
	Check   Check
	Verdict Verdict
	Text    string // what the target did instead, or why it was not asked; "" if it holds
}

// A Verdict is the short form of an [Answer].
type Verdict string

// The verdicts.
const (
	Holds    Verdict = "holds"     // the target has the property
	Fails    Verdict = "FAILS"     // it has not, or it has and is said to deviate
	Deviates Verdict = "deviates"  // it has not, as its table says
	NotAsked Verdict = "not asked" // the check was not sent
)

// WriteAnswers writes a table with a line for each answer, and a count. Errors
// of w are dropped.
func WriteAnswers(w io.Writer, answers []Answer) {
	count := map[Verdict]int{}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, a := range answers {
		count[a.Verdict]++
		line := a.Check.Says
		if a.Text != "" {
			line += ": " + strings.Join(strings.Fields(a.Text), " ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", a.Verdict, a.Check.ID, line)
	}
	_ = table.Flush()
	var parts []string
	for _, v := range []Verdict{Holds, Fails, Deviates, NotAsked} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprint(count[v], " ", v))
		}
	}
	fmt.Fprintf(w, "\n%d checks: %s\n", len(answers), strings.Join(parts, ", "))
}

// A record gathers answers from checks that run at once.
type record struct {
	mu      sync.Mutex
	answers []Answer
}

func (r *record) add(a Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, a)
}

func (r *record) sorted() []Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.answers, func(a, b Answer) int { return strings.Compare(a.Check.ID, b.Check.ID) })
	return r.answers
}
