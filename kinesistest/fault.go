package kinesistest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/stream"
)

// A Fault says which calls go wrong and how. The fields of the first group
// choose calls, and a zero one chooses all; those of the second choose among
// the calls chosen, which are counted from the moment of [Server.Inject]; those
// of the third say what happens, in their order.
//
// A call that several faults choose meets them in the order in which they were
// injected, each as if it stood before the service with the later ones behind
// it.
type Fault struct {
	Service   string // [Kinesis] or [DynamoDB]
	Operation string // such as "PutRecords", or a pattern of [path.Match] such as "Put*"
	Client    string // as given to [Server.ConfigFor]
	Stream    string // a stream's name
	Table     string // a table's name; a batch or a transaction may have several

	// Shard and Key choose calls by [Call.Shard] and [Call.Keys]. PutRecord and
	// PutRecords are chosen if one of their records goes to the shard or has the
	// partition key, and Error then fails just those records.
	Shard, Key string

	// Entries chooses records of a PutRecord or a PutRecords, beside Shard and
	// Key: i is the record's index in the request.
	Entries func(i int, shardID, partitionKey string) bool

	// Match, if not nil, has the last word. It may be called by several
	// goroutines at once.
	Match func(*Call) bool

	// Start is how long after Inject the fault begins, and For how long it then
	// lasts, 0 until it is removed. Calls outside that time are not counted.
	Start, For time.Duration

	Skip  int // so many calls pass before the first that goes wrong
	Every int // of the rest each Every-th goes wrong, beginning with the first
	Times int // after so many have gone wrong the others pass

	// Probability lets a call go wrong by chance, from 0 (as if not set) to 1.
	// Chance is a hash of Seed and the number of the call, so it repeats.
	Probability float64
	Seed        uint64

	// Hang never answers: the call ends when its context does, when the fault
	// is over or removed or when the server is closed, and is not applied.
	Hang bool

	// Delay is how long the call waits before it is applied, and DelayFrom, if
	// not nil, adds a time by chance, drawn as for Probability. If the call's
	// context ends meanwhile, it is not applied.
	Delay     time.Duration
	DelayFrom Distribution

	// Lose loses the request or the response.
	Lose Loss

	// Error is the answer instead of the service's; the call is not applied
	// unless Applied is set.
	Error *Error

	// Applied has the call applied before it is answered with Error.
	Applied bool

	// Intercept, if not nil, is the rest of what can happen. next hands the call
	// on, to the service in the end, and returns the answer; Intercept returns
	// what the caller gets. It runs on the goroutine of the request, without
	// locks, and may sleep.
	Intercept func(ctx context.Context, c *Call, next func() Answer) Answer

	// DelayAfter is how long an answer waits after the call was applied.
	DelayAfter time.Duration

	// Damage is what becomes of the answer's bytes on their way.
	Damage Damage

	// Subscription is what becomes of the subscription that a SubscribeToShard
	// opens.
	Subscription Breakage
}

// A Loss is what the network loses of a call.
type Loss int

// What can be lost.
const (
	LoseNothing  Loss = iota // the zero value
	LoseRequest              // the call is not applied, the caller sees its connection reset
	LoseResponse             // the call is applied, the caller sees its connection reset
)

// A rule is an injected fault.
type rule struct {
	Fault
	injected time.Time
	removed  chan struct{}

	mu    sync.Mutex
	seen  int // calls chosen by the first group
	fired int // calls that went wrong
}

// validate names each field that no fault can have as it is. Without it such a
// fault would never strike, and a test with it would prove nothing.
func (f *Fault) validate() error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("kinesistest: Fault."+format, args...))
		}
	}
	_, err := path.Match(f.Operation, "")
	want(f.Service == "" || f.Service == Kinesis || f.Service == DynamoDB, "Service %q: want %q or %q", f.Service, Kinesis, DynamoDB)
	want(err == nil, "Operation %q: want a name or a pattern of path.Match", f.Operation)
	for _, q := range []quantity{
		{"Start", int64(f.Start)},
		{"For", int64(f.For)},
		{"Skip", int64(f.Skip)},
		{"Every", int64(f.Every)},
		{"Times", int64(f.Times)},
		{"Delay", int64(f.Delay)},
		{"DelayAfter", int64(f.DelayAfter)},
		{"Subscription.AfterEvents", int64(f.Subscription.AfterEvents)},
		{"Subscription.After", int64(f.Subscription.After)},
	} {
		want(q.value >= 0, "%s %d: want 0 or more", q.name, q.value)
	}
	want(f.Probability >= 0 && f.Probability <= 1, "Probability %v: want 0 to 1", f.Probability)
	want(f.Lose >= LoseNothing && f.Lose <= LoseResponse, "Lose %d: want LoseNothing to LoseResponse", f.Lose)
	want(f.Damage >= DamageNothing && f.Damage <= WrongChecksum, "Damage %d: want DamageNothing to WrongChecksum", f.Damage)
	kind := f.Subscription.Kind
	want(kind >= BreakNothing && kind <= BreakError, "Subscription.Kind %d: want BreakNothing to BreakError", kind)
	for i, e := range []*Error{f.Error, f.Subscription.Error} {
		want(e == nil || e.Status == 0 || e.Status >= 400 && e.Status < 600,
			"%s.Status: want 400 to 599, or 0 for 400", []string{"Error", "Subscription.Error"}[i])
	}
	return errors.Join(errs...)
}

// Inject makes calls go wrong from now on, until remove is called; remove may
// be called more than once.
//
// A fault that makes no sense is a programming error, on which Inject panics
// with a text that names each field.
func (s *Server) Inject(f Fault) (remove func()) {
	if err := f.validate(); err != nil {
		panic(err)
	}
	r := &rule{Fault: f, injected: time.Now(), removed: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setFaults(append(slices.Clone(*s.faults.Load()), r))
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.setFaults(slices.DeleteFunc(slices.Clone(*s.faults.Load()), func(o *rule) bool { return o == r }))
		s.mu.Unlock()
		close(r.removed)
	})
}

// setFaults replaces the rules, which are never changed in place. s.mu is held.
func (s *Server) setFaults(rules []*rule) { s.faults.Store(&rules) }

// faulted answers a call, with what the injected faults make of it. An error
// means that there is no answer.
func (s *Server) faulted(ctx context.Context, c *Call) (Answer, error) {
	rules := *s.faults.Load()
	if len(rules) == 0 {
		return s.apply(ctx, c, nil), nil
	}
	s.look(c)
	a := s.pass(ctx, c, rules, nil)
	if !a.Cut {
		return a, nil
	}
	if err := ctx.Err(); err != nil {
		return a, err
	}
	return a, errCut
}

// pass takes a call through rules and then to the service, which refuses the
// records of a put that rejects choose.
func (s *Server) pass(ctx context.Context, c *Call, rules, rejects []*rule) Answer {
	for i, r := range rules {
		if !r.chooses(c) {
			continue
		}
		n, fires := r.fires(time.Now())
		if !fires {
			continue
		}
		rest := rules[i+1:]
		return s.act(ctx, c, r, r.delay(n), func(reject bool) Answer {
			if reject {
				rejects = append(slices.Clip(rejects), r)
			}
			return s.pass(ctx, c, rest, rejects)
		})
	}
	return s.apply(ctx, c, rejectBy(rejects))
}

// act does to a call what r says, after a delay.
func (s *Server) act(ctx context.Context, c *Call, r *rule, delay time.Duration, next func(reject bool) Answer) Answer {
	if r.Hang {
		s.hang(ctx, r)
		return Answer{Cut: true}
	}
	if !s.sleep(ctx, delay) || r.Lose == LoseRequest {
		return Answer{Cut: true}
	}
	partial := r.choosesRecords(c)
	if r.Error != nil && !r.Applied && !partial {
		return Answer{Err: r.Error}
	}
	var sub *opened
	hand := func() Answer {
		a := next(partial && !r.Applied && r.Error != nil)
		if sub = a.opened; sub != nil && r.Subscription.Kind != BreakNothing {
			sub.breaks = append(sub.breaks, r)
		}
		return a
	}
	a := s.answer(ctx, c, r, hand)
	if sub != nil && a.opened != sub {
		sub.sub.Close() // nobody will read it
	}
	return a
}

// answer hands a call on, and does to its answer what r says.
func (s *Server) answer(ctx context.Context, c *Call, r *rule, hand func() Answer) Answer {
	var a Answer
	if r.Intercept != nil {
		a = r.Intercept(ctx, c, hand)
	} else {
		a = hand()
	}
	if !s.sleep(ctx, r.DelayAfter) || r.Lose == LoseResponse {
		return Answer{Cut: true}
	}
	if r.Error != nil && r.Applied {
		a = Answer{Err: r.Error}
	}
	if r.Damage != DamageNothing {
		a.Damage = r.Damage
	}
	return a
}

// hang blocks until the fault is over, or nobody waits any more.
func (s *Server) hang(ctx context.Context, r *rule) {
	if r.For <= 0 {
		s.wait(ctx, r, nil)
		return
	}
	t := time.NewTimer(time.Until(r.injected.Add(r.Start + r.For)))
	defer t.Stop()
	s.wait(ctx, r, t.C)
}

// sleep waits for d and reports whether the call still has a caller.
func (s *Server) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	return s.wait(ctx, nil, t.C)
}

// wait blocks until done delivers, or nobody waits for the answer any more.
// With a rule it also ends when that is removed.
func (s *Server) wait(ctx context.Context, r *rule, done <-chan time.Time) bool {
	var removed chan struct{}
	if r != nil {
		removed = r.removed
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
	case <-removed:
	case <-s.closed:
	}
	return false
}

// chooses reports whether the first group of fields fits a call.
func (r *rule) chooses(c *Call) bool {
	for _, f := range []struct{ want, have string }{
		{r.Service, c.Service},
		{r.Client, c.Client},
		{r.Stream, c.Stream},
	} {
		if f.want != "" && f.want != f.have {
			return false
		}
	}
	if r.Operation != "" && r.Operation != c.Operation {
		if ok, _ := path.Match(r.Operation, c.Operation); !ok {
			return false
		}
	}
	if r.Table != "" && !slices.Contains(c.Tables, r.Table) {
		return false
	}
	if r.choosesRecords(c) {
		if !slices.ContainsFunc(c.Records(), func(p PutRecord) bool { return r.choosesRecord(p.Index, p.ShardID, p.PartitionKey) }) {
			return false
		}
	} else if r.Entries != nil || r.Shard != "" && r.Shard != c.Shard || r.Key != "" && !slices.Contains(c.Keys, r.Key) {
		return false
	}
	return r.Match == nil || r.Match(c)
}

// choosesRecords reports whether r is about single records of the call.
func (r *rule) choosesRecords(c *Call) bool {
	return (c.Operation == "PutRecords" || c.Operation == "PutRecord") && (r.Shard != "" || r.Key != "" || r.Entries != nil)
}

func (r *rule) choosesRecord(i int, shardID, key string) bool {
	return (r.Shard == "" || r.Shard == shardID) && (r.Key == "" || r.Key == key) && (r.Entries == nil || r.Entries(i, shardID, key))
}

// fires counts a call that r chooses and reports whether it goes wrong, and
// its number.
func (r *rule) fires(now time.Time) (n int, ok bool) {
	if since := now.Sub(r.injected); since < r.Start || r.For > 0 && since >= r.Start+r.For {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n = r.seen - r.Skip
	r.seen++
	switch {
	case n < 0,
		r.Every > 1 && n%r.Every != 0,
		r.Times > 0 && r.fired >= r.Times,
		r.Probability > 0 && chance(r.Seed, uint64(n)) >= r.Probability:
		return n, false
	}
	r.fired++
	return n, true
}

// delay is how long the n-th call waits. Its chance has a series of its own:
// with that of Probability the rarer fault would be the shorter one.
func (r *rule) delay(n int) time.Duration {
	if r.DelayFrom == nil {
		return r.Delay
	}
	return r.Delay + r.DelayFrom(chance(^r.Seed, uint64(n)))
}

// chance returns a number from 0 up to 1, the n-th of a seed's series.
func chance(seed, n uint64) float64 {
	x := seed + (n+1)*0x9e3779b97f4a7c15 // splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / math.Exp2(53)
}

// rejectBy makes the service refuse the records that rules choose.
func rejectBy(rules []*rule) stream.Reject {
	if len(rules) == 0 {
		return nil
	}
	return func(i int, shardID, key string) *api.Error {
		for _, r := range rules {
			if r.choosesRecord(i, shardID, key) {
				return &api.Error{Status: r.Error.Status, Code: r.Error.Code, Message: r.Error.Message}
			}
		}
		return nil
	}
}
