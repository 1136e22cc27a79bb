// Package contract says what Kinesis and DynamoDB do, as checks that can be run
// against any server: kinesistest, other people's emulators, AWS itself.
//
//	go test ./kinesistest/contract -v -endpoint http://127.0.0.1:4567
//
// Each check states one property and names where AWS documents it, and none is
// made weaker so that a server passes; what a server does differently stands in
// a table beside it. Without flags the test runs every check against kinesistest
// in memory, over HTTP and over TLS, in bubbles of [testing/synctest], where
// minutes and days take no time. At an endpoint checks wait on real time, and
// those that would wait for long run with -slow alone. The server needs windows:
// a stream of AWS is CREATING for a while, and of kinesis-local with -window 2s.
//
// The package is for tests alone.
package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// A Target is a server under test.
type Target struct {
	// Name tells the server and its version, on which every entry of the tables
	// depends.
	Name string

	// Clients returns clients that do not retry, nil for a service that the
	// target does not have. It is called for each check, inside its bubble.
	Clients func(t *testing.T) (*kinesis.Client, *dynamodb.Client)

	// Bubble runs each check in a synctest bubble of its own. Checks that wait
	// for long run nowhere else, unless Slow is set.
	Bubble bool
	Slow   bool

	// Deviates has what the target does instead of what a check, by ID, asks
	// for. Such a check runs and must fail.
	Deviates map[string]string

	// Never has why a check must not be sent to the target at all: because it
	// hurts the server or races.
	Never map[string]string

	// AtOnce is how many checks run at a time outside of bubbles, most of which
	// wait. Default 12; 1 for a target that loses changes made at the same time.
	AtOnce int

	// Answers, if not nil, gets what became of every check, sorted by ID, after
	// the last. It is called while the test that called [Run] cleans up.
	Answers func([]Answer)
}

// A Check is one property of a service.
type Check struct {
	// ID is the service (K or D), the subject and the property.
	ID  string
	Run func(ctx context.Context, e *Env) error

	Says   string // the property, in one sentence
	Source string // who says so: a page of AWS's documentation, mostly

	// Slow marks a check that waits for more than ten seconds, up to days.
	Slow bool

	// Rates marks a check of how often a call may be made, in which calls are
	// never tried again.
	Rates bool
}

// Checks returns all checks, sorted by ID.
func Checks() []Check {
	all := slices.Concat(streamChecks, shardChecks, iteratorChecks, readChecks, putChecks, limitChecks, reshardChecks,
		retentionChecks, settingChecks, scalingChecks, rateChecks, wireChecks, consumerChecks, subscriptionChecks, tableChecks, tableSettingChecks, rowChecks, documentChecks,
		queryChecks, pageChecks, transactionChecks, raceChecks)
	slices.SortFunc(all, func(a, b Check) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// limit ends a check that a server leaves hanging.
const limit = 2 * time.Minute

// Run runs every check that applies to a target as a subtest. A check fails if
// the target does not have the property, or if it is said to deviate and does
// not.
func Run(t *testing.T, target Target) {
	t.Helper()
	for _, id := range target.unknown() {
		t.Errorf("%s: the tables have %q, which is no check", target.Name, id)
	}
	var answers record
	if target.Answers != nil {
		t.Cleanup(func() { target.Answers(answers.sorted()) })
	}
	// In real time checks mostly wait, so more of them run than t.Parallel lets.
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, cmp.Or(target.AtOnce, atOnceInRealTime))
	for _, c := range Checks() {
		if why := target.withholds(c); why != "" {
			answers.add(Answer{c, NotAsked, why})
			continue
		}
		if target.Bubble {
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { answers.add(target.run(t, c)) })
			})
			continue
		}
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(c.ID, func(t *testing.T) { answers.add(target.run(t, c)) })
		})
	}
}

const atOnceInRealTime = 12

// withholds says why a check is not sent to the target, "" if it is.
func (target Target) withholds(c Check) string {
	if why, never := target.Never[c.ID]; never {
		return why
	}
	if c.Slow && !target.Bubble && !target.Slow {
		return "it waits for long"
	}
	return ""
}

func (target Target) run(t *testing.T, c Check) Answer {
	e := &Env{id: c.ID}
	e.Kinesis, e.DynamoDB = target.Clients(t)
	if strings.HasPrefix(c.ID, "K.") && e.Kinesis == nil || strings.HasPrefix(c.ID, "D.") && e.DynamoDB == nil {
		return Answer{c, NotAsked, "the target has no such service"}
	}
	ctx := t.Context()
	if !target.Bubble {
		ctx = context.WithValue(ctx, pollKey{}, time.Second)
		if e.Kinesis != nil && !c.Rates {
			e.Kinesis = patient(e.Kinesis)
		}
	}
	if !c.Slow {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	outcome := c.Run(ctx, e)
	if errors.Is(outcome, errTooSlow) {
		return Answer{c, NotAsked, outcome.Error()}
	}
	if err := target.judge(c, outcome); err != nil {
		t.Errorf("%v\nIt says: %s.\nSource: %s", err, c.Says, c.Source)
		return Answer{c, Fails, err.Error()}
	}
	if outcome != nil {
		return Answer{c, Deviates, outcome.Error()}
	}
	return Answer{c, Holds, ""}
}

// judge holds the outcome of a check against the table of deviations.
func (target Target) judge(c Check, outcome error) error {
	instead, deviates := target.Deviates[c.ID]
	switch {
	case outcome != nil && !deviates:
		return fmt.Errorf("%s: %w", target.Name, outcome)
	case outcome == nil && deviates:
		return fmt.Errorf("%s no longer deviates (%s): remove the entry", target.Name, instead)
	}
	return nil
}

// unknown returns the IDs in the tables that no check has.
func (target Target) unknown() []string {
	var out []string
	for _, table := range []map[string]string{target.Deviates, target.Never} {
		for id := range table {
			if !slices.ContainsFunc(Checks(), func(c Check) bool { return c.ID == id }) {
				out = append(out, id)
			}
		}
	}
	slices.Sort(out)
	return out
}
