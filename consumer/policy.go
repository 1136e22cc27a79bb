package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A FailurePolicy says what becomes of records that the function of [EachRecord]
// or [EachBatch] fails on, by an error or by a panic. Whatever it says, no record
// is left out in silence, and none counts as done before the function or the
// dead-letter function has succeeded with it.
//
// The zero policy, but for the pauses, tries for ever: the function is called
// with the same records again, in place, and what comes after them in the shard
// waits. A shard that is to be given up ends this, and its next reader begins
// with the record that failed.
type FailurePolicy struct {
	// Attempts is how often the function is called with a record before it is given
	// up: handed to DeadLetter or, without one, the end of [Consumer.Run] with a
	// [*RecordError]. 0, the default, never gives up; 1 does not repeat. The calls
	// are counted anew by each worker.
	Attempts int

	// Backoff bounds the pause before the second attempt and doubles with each
	// further one up to MaxBackoff; the pause itself is spread evenly below, so
	// that not all shards come back at once. 1 ms to 1 hour; default 200 ms and 30 s.
	Backoff, MaxBackoff time.Duration

	// Permanent judges an error of the function: if it is true, the records are
	// given up at once. A panic is a [*PanicError]. Default nil: no error is.
	Permanent func(error) bool

	// ParkKey lets the records of other keys overtake one that waits for its next
	// attempt, while those of its own key wait behind it. Only EachRecord has it,
	// and has it always if Concurrency is more than 1. What may overtake is bounded
	// by EachOptions.WindowBytes. Default false: the shard waits.
	ParkKey bool

	// Bisect divides a batch that has failed in two, and so on, until the record
	// that fails is alone; the others succeed in larger parts around it, in order.
	// Only then does the policy count attempts. The parts are tried without a pause.
	// Only EachBatch has it. Default false: the batch is repeated and given up as a
	// whole.
	Bisect bool

	// DeadLetter takes a record that is given up: a queue or table of the caller's.
	// Once it returns nil the record counts as done. An error, or a panic, is
	// repeated with the same pauses for ever, so that no record is lost on the way;
	// a worker that takes the shard over begins with the function again. It is called
	// like the function: on the same goroutines, with the same context. Default nil.
	DeadLetter func(ctx context.Context, f *Failure) error

	// KeyFollows keeps the order of a key among the dead letters: for so long after
	// a record of a key was given up, later ones of the key follow it to DeadLetter
	// in order, without a call of the function, with Failure.Err [ErrKeyGivenUp].
	// Each that does renews the time. A worker remembers at most 10,000 keys, and
	// only as long as it has the shard; a record that would be one more waits as if
	// DeadLetter had refused it. Only EachRecord has it. Up to 24 hours; default 0:
	// the function is called with them.
	KeyFollows time.Duration
}

// A Failure is a record that was given up.
type Failure struct {
	Record   Record    // may be kept; says which shard and stream it is from
	Attempts int       // calls of the function that failed on it, 0 if it follows its key
	Since    time.Time // end of the first of them
	Err      error     // of the last; a *[PanicError] for a panic
}

// A RecordError is the end of [Consumer.Run] because a record was given up and
// [FailurePolicy.DeadLetter] is nil. The record is not done: whoever reads the
// shard next begins with it.
type RecordError struct {
	Stream, ShardID string
	Position        checkpoint.Position // of the first record given up
	Records         int                 // more than 1 for a batch
	Attempts        int
	Err             error // of the last attempt
}

// Error names the record by its position, and the cause.
func (e *RecordError) Error() string {
	return fmt.Sprintf("consumer: record %s of shard %s of %s was given up after %d attempts: %v",
		e.Position, e.ShardID, e.Stream, e.Attempts, e.Err)
}

// Unwrap returns the error of the last attempt.
func (e *RecordError) Unwrap() error { return e.Err }

func (p *FailurePolicy) validate() error {
	var errs []error
	if p.Attempts < 0 {
		errs = append(errs, fmt.Errorf("consumer: OnFailure.Attempts is %d, want 0 or more", p.Attempts))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Backoff", p.Backoff}, {"MaxBackoff", p.MaxBackoff}} {
		if d.value < time.Millisecond || d.value > time.Hour {
			errs = append(errs, fmt.Errorf("consumer: OnFailure.%s is %v, want 1ms to 1h", d.name, d.value))
		}
	}
	if p.KeyFollows < 0 || p.KeyFollows > 24*time.Hour {
		errs = append(errs, fmt.Errorf("consumer: OnFailure.KeyFollows is %v, want 0 to 24h", p.KeyFollows))
	}
	if p.KeyFollows > 0 && p.DeadLetter == nil {
		errs = append(errs, errors.New("consumer: OnFailure.DeadLetter is nil, want a function for KeyFollows"))
	}
	return errors.Join(errs...)
}

// givesUp reports whether the policy is at its end with records that failed.
func (p *FailurePolicy) givesUp(attempts int, err error) bool {
	return p.Attempts > 0 && attempts >= p.Attempts || p.Permanent != nil && p.Permanent(err)
}

// maxGivenUpKeys bounds what a worker remembers of one shard.
const maxGivenUpKeys = 10_000

// errGivenUpKeys refuses a dead letter for the time being.
var errGivenUpKeys = fmt.Errorf("consumer: %d keys are given up at a time", maxGivenUpKeys)

// Keys given up are those whose records follow to the dead letters. Any goroutine
// may call the methods; a nil one has none.
type keysGivenUp struct {
	last time.Duration

	mu    sync.Mutex // guards until
	until map[string]time.Time
}

// has reports whether a record follows others of its key.
func (g *keysGivenUp) has(key string) bool {
	if g == nil || key == "" {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.until[key]
	return ok && time.Now().Before(until)
}

// add notes that a record of key is about to be given up.
func (g *keysGivenUp) add(key string) error {
	if g == nil || key == "" {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if _, ok := g.until[key]; !ok && len(g.until) >= maxGivenUpKeys {
		maps.DeleteFunc(g.until, func(_ string, until time.Time) bool { return !now.Before(until) })
		if len(g.until) >= maxGivenUpKeys {
			return errGivenUpKeys
		}
	}
	g.until[key] = now.Add(g.last)
	return nil
}
