package consumer

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
)

// A runner calls the function of EachRecord or EachBatch and obeys the failure
// policy. Several goroutines may use it.
type runner struct {
	shard  *Shard
	policy *FailurePolicy
	fn     func(ctx context.Context, records []Record, behind time.Duration) error
	seen   *dedupe      // nil if nothing is remembered
	gone   *keysGivenUp // nil if no record follows another
}

// A work is the records of one call and what became of them so far.
type work struct {
	records []Record // none for a tick
	behind  time.Duration

	attempts int
	since    time.Time // end of the first attempt
	err      error     // of the last
	givenUp  bool
	letters  int // records that are in the dead-letter function's hands for good
	refusals int // failures of the dead-letter function in a row
}

// A verdict is what is to be done with a work after an attempt.
type verdict int

const (
	workDone  verdict = iota // dealt with for good
	workAgain                // try again after a pause
	workSplit                // try its halves
	workEnds                 // the error ends the handler
)

// do tries until w is dealt with, resting in place. True means that it is to be
// split.
func (r *runner) do(ctx context.Context, w *work) (split bool, err error) {
	if err := r.shard.alive(ctx); err != nil {
		return false, err
	}
	for {
		v, pause, err := r.try(ctx, w)
		switch v {
		case workDone, workEnds:
			return false, err
		case workSplit:
			return true, nil
		case workAgain:
		}
		if err := r.shard.rest(ctx, time.Now().Add(pause), nil); err != nil {
			return false, err
		}
	}
}

// try makes one attempt, at the function or, once w is given up, at the
// dead-letter function. The caller has seen that the shard may be worked on.
func (r *runner) try(ctx context.Context, w *work) (verdict, time.Duration, error) {
	if w.attempts == 0 && !w.givenUp && r.gone != nil && r.gone.has(w.records[0].PartitionKey) {
		w.givenUp, w.since, w.err = true, time.Now(), ErrKeyGivenUp
	}
	if !w.givenUp {
		err := r.call(ctx, w)
		if err == nil {
			r.seen.add(w.records)
			return workDone, 0, nil
		}
		if v, pause, err := r.failed(ctx, w, err); v != workDone {
			return v, pause, err
		}
	}
	return r.bury(ctx, w)
}

// failed judges an attempt at the function that ended with err. The verdict
// workDone means that w is given up to the dead-letter function.
func (r *runner) failed(ctx context.Context, w *work, err error) (verdict, time.Duration, error) {
	if ends := r.shard.alive(ctx); ends != nil {
		return workEnds, 0, ends // what was interrupted has not failed
	}
	if w.attempts == 0 {
		w.since = time.Now()
	}
	w.attempts++
	w.err = err
	if r.policy.Bisect && len(w.records) > 1 {
		r.report(w, err, 0)
		return workSplit, 0, nil
	}
	if !r.policy.givesUp(w.attempts, err) {
		pause := r.pause(w.attempts - 1)
		r.report(w, err, pause)
		return workAgain, pause, nil
	}
	w.givenUp = true
	r.report(w, err, 0)
	if r.policy.DeadLetter == nil {
		s := r.shard
		return workEnds, 0, &fatalError{&RecordError{
			Stream: s.stream, ShardID: s.id, Position: w.first(), Records: len(w.records), Attempts: w.attempts, Err: err,
		}}
	}
	return workDone, 0, nil
}

// bury hands the records of w to the dead-letter function, from the one on that
// it has not taken.
func (r *runner) bury(ctx context.Context, w *work) (verdict, time.Duration, error) {
	for w.letters < len(w.records) {
		key := w.records[w.letters].PartitionKey
		err := r.gone.add(key)
		if err == nil {
			err = r.letter(ctx, w)
		}
		if err != nil {
			if ends := r.shard.alive(ctx); ends != nil {
				return workEnds, 0, ends
			}
			pause := r.pause(w.refusals)
			w.refusals++
			r.report(w, err, pause)
			return workAgain, pause, nil
		}
		r.seen.add(w.records[w.letters : w.letters+1])
		w.letters++
		w.refusals = 0
		if err := r.shard.alive(ctx); err != nil && w.letters < len(w.records) {
			return workEnds, 0, err
		}
	}
	return workDone, 0, nil
}

// call calls the function once and turns a panic into an error.
func (r *runner) call(ctx context.Context, w *work) (err error) {
	events := &r.shard.opts.Events
	if events.HandlerStart != nil || events.HandlerEnd != nil {
		return r.observed(ctx, w)
	}
	defer recovered(&err)
	return r.fn(ctx, w.records, w.behind)
}

// observed is call between the events that tell of it.
func (r *runner) observed(ctx context.Context, w *work) (err error) {
	events, s := &r.shard.opts.Events, r.shard
	info := HandlerCallInfo{Stream: s.stream, ShardID: s.id, Records: w.records, Attempt: w.attempts + 1}
	if events.HandlerStart != nil {
		if c := events.HandlerStart(ctx, info); c != nil {
			ctx = c
		}
	}
	begun := time.Now()
	err = ErrExited // unless the call returns or panics
	defer func() {
		if events.HandlerEnd != nil {
			events.HandlerEnd(ctx, info, time.Since(begun), err)
		}
	}()
	err = func() (err error) {
		defer recovered(&err)
		return r.fn(ctx, w.records, w.behind)
	}()
	return err
}

func (r *runner) letter(ctx context.Context, w *work) (err error) {
	defer recovered(&err)
	return r.policy.DeadLetter(ctx, &Failure{
		Record: w.records[w.letters], Attempts: w.attempts, Since: w.since, Err: w.err,
	})
}

// recovered is deferred around a function of the caller's.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}

func (r *runner) pause(failures int) time.Duration {
	b := pace.Backoff{Base: r.policy.Backoff, Max: r.policy.MaxBackoff}
	return b.Delay(r.shard.epoch.Owner, "record", r.shard.id, failures)
}

func (r *runner) report(w *work, err error, retry time.Duration) {
	s := r.shard
	s.opts.handlerFailed(HandlerFailedInfo{
		Stream: s.stream, ShardID: s.id, Err: err, Retry: retry,
		Failures: w.attempts + w.refusals, Records: len(w.records), Position: w.first(), Since: w.since, GivenUp: w.givenUp,
	})
}

func (w *work) first() checkpoint.Position {
	if len(w.records) == 0 {
		return checkpoint.Position{}
	}
	return w.records[0].Position
}
