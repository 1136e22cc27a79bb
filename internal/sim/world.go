package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// A World is a server, its clients, what happened to them and what should not
// have. It belongs in a bubble.
type World struct {
	*testing.T
	Seed   Seed
	Server *kinesistest.Server

	// Latency bounds how long each call takes to the service, and again how long
	// its answer takes back. Set it before the first call; the zero value makes
	// everything happen at once.
	Latency time.Duration

	start time.Time

	mu         sync.Mutex
	lines      []string
	violations []Violation
	calls      map[string]*Calls
	links      map[string]*link
	streams    map[string][]incarnation // deleted ones
	created    map[string]time.Duration // the latest of that name
}

// A Violation is an invariant that did not hold.
type Violation struct {
	Invariant string // such as "S9"
	What      string
}

// Calls counts the calls of one client.
type Calls struct {
	Now, Most int // under way, and the most there were at once
	Total     int
	Last      time.Duration // when the latest began
}

// New returns a world with an empty server. When the test ends the violations
// fail it, with the last of the trace, or all of it if the seed runs alone.
func New(t *testing.T, seed Seed, optFns ...func(*kinesistest.Options)) *World {
	w := &World{
		T: t, Seed: seed, Server: kinesistest.NewServer(optFns...),
		Latency: 20 * time.Millisecond,
		start:   time.Now(),
		calls:   make(map[string]*Calls), links: make(map[string]*link), streams: make(map[string][]incarnation), created: make(map[string]time.Duration),
	}
	w.Server.Inject(kinesistest.Fault{Intercept: w.travel})
	t.Cleanup(w.end)
	return w
}

// Since returns the time since the world began.
func (w *World) Since() time.Duration { return time.Since(w.start) }

// Config returns the configuration of a client of that name. It retries without
// jitter, so that the SDK has no chance of its own.
func (w *World) Config(client string) aws.Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	cfg := w.Server.ConfigFor(client)
	l := w.links[client]
	if l == nil {
		l = &link{world: w, client: client, inner: cfg.HTTPClient, credentials: cfg.Credentials}
		w.links[client] = l
	}
	cfg.HTTPClient, cfg.Credentials = l, l
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
				return time.Duration(attempt) * 100 * time.Millisecond, nil
			})
			o.RateLimiter = ratelimit.None
		})
	}
	return cfg
}

// Calls returns what the clients have called, by name and operation as in
// "p1 PutRecords".
func (w *World) Calls(client, operation string) Calls {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.calls[client+" "+operation]; c != nil {
		return *c
	}
	return Calls{}
}

// travel takes a call to the service and its answer back, in a time that is the
// call's alone.
func (w *World) travel(ctx context.Context, c *kinesistest.Call, next func() kinesistest.Answer) kinesistest.Answer {
	if c.Client == "" { // the nemesis acts at once
		return next()
	}
	counter := w.enter(c)
	defer w.leave(counter)
	luck := w.luck(c)
	if !sleep(ctx, w.Seed.Duration(0, w.Latency, "there", luck, 0)) {
		return kinesistest.Answer{Cut: true}
	}
	a := next()
	sleep(ctx, w.Seed.Duration(0, w.Latency, "back", luck, 0))
	return a
}

func (w *World) enter(c *kinesistest.Call) *Calls {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := c.Client + " " + c.Operation
	counter := w.calls[name]
	if counter == nil {
		counter = &Calls{}
		w.calls[name] = counter
	}
	counter.Now++
	counter.Total++
	counter.Most = max(counter.Most, counter.Now)
	counter.Last = w.Since()
	return counter
}

func (w *World) leave(counter *Calls) {
	w.mu.Lock()
	counter.Now--
	w.mu.Unlock()
}

// luck is what a call's chance hangs on: who calls what, with which body, when.
func (w *World) luck(c *kinesistest.Call) string {
	h := fnv.New64a()
	_, _ = h.Write(c.Body) // it never fails
	return fmt.Sprintf("%s %s %x %d", c.Client, c.Operation, h.Sum64(), w.Since())
}

// sleep waits for d and reports false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Note adds a line to the trace.
func (w *World) Note(format string, args ...any) {
	w.NoteAt(w.Since(), format, args...)
}

// NoteAt adds a line about an earlier moment.
func (w *World) NoteAt(at time.Duration, format string, args ...any) {
	line := fmt.Sprintf("%14.9f  %s", at.Seconds(), fmt.Sprintf(format, args...))
	w.mu.Lock()
	w.lines = append(w.lines, line)
	w.mu.Unlock()
}

// Trace returns the lines noted, by time and those of one instant by what they
// say: a bubble does not order what happens at one instant.
func (w *World) Trace() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.lines))
}

// Violate reports a violation at this moment.
func (w *World) Violate(invariant, format string, args ...any) {
	w.Check([]Violation{{invariant, fmt.Sprintf(format, args...)}})
}

// Check takes over what a checker found.
func (w *World) Check(found []Violation) {
	for _, v := range found {
		w.Note("%s violated: %s", v.Invariant, v.What)
	}
	w.mu.Lock()
	w.violations = append(w.violations, found...)
	w.mu.Unlock()
}

// Violations returns what was found so far.
func (w *World) Violations() []Violation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations)
}

// end fails the test if something was found.
func (w *World) end() {
	w.Server.Close()
	violations := w.Violations()
	if len(violations) == 0 {
		return
	}
	const most = 10
	for i, v := range violations {
		if i == most {
			w.Errorf("seed %d: and %d more", w.Seed, len(violations)-most)
			break
		}
		w.Errorf("seed %d: %s: %s", w.Seed, v.Invariant, v.What)
	}
	trace := w.Trace()
	if *oneSeed == 0 {
		trace = trace[max(0, len(trace)-200):]
	}
	for _, line := range trace {
		w.Log(line)
	}
}
