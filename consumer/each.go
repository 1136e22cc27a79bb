package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// EachOptions are the settings of [EachRecord] and [EachBatch].
type EachOptions struct {
	// Concurrency is how many calls of EachRecord's function may run at a time for
	// one shard, 1 to 1000; default 1, in the order of the shard. With more, records
	// of one partition key are handled in order, each after the one before is done,
	// and records of different keys, or without a key, in any. So a fleet works on
	// more records at a time than the stream has shards.
	//
	// What is stored is the position before the oldest record that is not done, so
	// a crash may repeat records up to a window behind it.
	Concurrency int

	// WindowBytes bounds the records of a shard from the oldest that is not done to
	// the newest that was begun or waits for its turn, if Concurrency is more than 1
	// or OnFailure.ParkKey is set: their payload and keys, and 256 bytes each. One
	// that is larger passes alone. Reading the shard waits beyond. 1 KiB to 1 GiB;
	// default 8 MiB.
	WindowBytes int64

	// OnFailure says what becomes of records the function fails on. By default it
	// is called with them again until it succeeds.
	OnFailure FailurePolicy

	// BatchRecords bounds the records of one batch of EachBatch, up to 1,000,000;
	// 0, the default, leaves the batches as large as they come.
	BatchRecords int

	// BatchBytes bounds the payload and keys of one batch of EachBatch, in bytes, up
	// to 1 GiB; a record that is larger makes a batch alone. 0, the default, leaves
	// the batches as large as they come.
	BatchBytes int64

	// BatchAge is how long a record may wait for its batch to fill, up to 1 hour:
	// the batches of a shard are joined until one of the bounds is met or its first
	// record has waited for so long. 0, the default, joins none. More than 0 needs
	// one of the bounds, as what waits is in memory.
	BatchAge time.Duration

	// Tick has EachBatch call its function with an empty batch when it has not been
	// called for so long, 10 ms to 1 hour; 0, the default, never does.
	Tick time.Duration

	// DedupeBytes remembers the ids ([Record].ID) of the records that were dealt
	// with last, and does not call the function with a record whose id it knows:
	// [Events.Skipped] is told. It is the memory for one shard, 64 bytes per id, so
	// 1 MiB reaches 16,384 records with an id back; records without one are always
	// handled. A repetition further behind is not noticed. A child shard begins with
	// what its parents left, the newest of each, as a reshard is when producers put
	// records again: with the windows of those that this worker has finished in the
	// last 5 minutes, or those in DedupeStore. Without a store a repetition is not
	// noticed where another worker read the parent. 64 bytes to 1 GiB; 0, the default,
	// remembers none.
	DedupeBytes int64

	// DedupeStore keeps what is remembered for the next worker of the shard, saved
	// before each checkpoint. Default nil: each worker begins with nothing but the
	// windows of parents that it has finished itself.
	DedupeStore DedupeStore

	// CheckpointInterval is how long finished records may wait for their position
	// to be stored, from 0 to 1 hour; default 5 s. 0 stores after every call of
	// the function. A crash repeats what was not stored; each store is one write
	// to the lease table. One that fails is tried again while the work goes on.
	CheckpointInterval time.Duration

	// CheckpointEvery stores the position also when this many records are done,
	// even before the interval has passed; 0, the default, counts none.
	CheckpointEvery int
}

// An adapter is the part of an EachRecord or EachBatch that all shards share.
type adapter struct {
	name string
	fn   func(ctx context.Context, records []Record, behind time.Duration) error
	opts EachOptions
}

func (a *adapter) handler(optFns []func(*EachOptions)) Handler {
	a.opts = EachOptions{
		Concurrency: 1, WindowBytes: 8 << 20, CheckpointInterval: 5 * time.Second,
		OnFailure: FailurePolicy{Backoff: 200 * time.Millisecond, MaxBackoff: 30 * time.Second},
	}
	for _, fn := range optFns {
		fn(&a.opts)
	}
	err := a.validate()
	return func(ctx context.Context, s *Shard) error {
		if err != nil {
			return &fatalError{err}
		}
		return a.run(ctx, s)
	}
}

func (a *adapter) validate() error {
	var errs []error
	bad := func(ok bool, field string, value any, bound string) {
		if !ok {
			errs = append(errs, fmt.Errorf("consumer: %s is %v, want %s", field, value, bound))
		}
	}
	if a.fn == nil {
		errs = append(errs, fmt.Errorf("consumer: %s: fn is nil", a.name))
	}
	o := &a.opts
	bad(o.Concurrency >= 1 && o.Concurrency <= 1000, "Concurrency", o.Concurrency, "1 to 1000")
	bad(o.WindowBytes >= 1<<10 && o.WindowBytes <= 1<<30, "WindowBytes", o.WindowBytes, "1024 to 1073741824")
	bad(o.DedupeBytes == 0 || o.DedupeBytes >= idBytes && o.DedupeBytes <= 1<<30, "DedupeBytes", o.DedupeBytes, "0, or 64 to 1073741824")
	bad(o.DedupeStore == nil || o.DedupeBytes > 0, "DedupeBytes", o.DedupeBytes, "more than 0 with a DedupeStore")
	bad(o.BatchRecords >= 0 && o.BatchRecords <= 1_000_000, "BatchRecords", o.BatchRecords, "0 to 1000000")
	bad(o.BatchBytes >= 0 && o.BatchBytes <= 1<<30, "BatchBytes", o.BatchBytes, "0 to 1073741824")
	bad(o.BatchAge >= 0 && o.BatchAge <= time.Hour, "BatchAge", o.BatchAge, "0 to 1h")
	bad(o.BatchAge <= 0 || o.BatchRecords > 0 || o.BatchBytes > 0, "BatchAge", o.BatchAge, "0, or BatchRecords or BatchBytes more than 0")
	bad(o.Tick == 0 || o.Tick >= 10*time.Millisecond && o.Tick <= time.Hour, "Tick", o.Tick, "0, or 10ms to 1h")
	if a.name == "EachRecord" {
		bad(o.BatchRecords == 0 && o.BatchBytes == 0 && o.BatchAge == 0 && o.Tick == 0, "BatchRecords, BatchBytes, BatchAge or Tick", "set", "0, or EachBatch")
		bad(!o.OnFailure.Bisect, "OnFailure.Bisect", true, "false, or EachBatch")
	} else {
		bad(o.Concurrency <= 1, "Concurrency", o.Concurrency, "1, or EachRecord")
		bad(!o.OnFailure.ParkKey, "OnFailure.ParkKey", true, "false, or EachRecord")
		bad(o.OnFailure.KeyFollows == 0, "OnFailure.KeyFollows", o.OnFailure.KeyFollows, "0, or EachRecord")
	}
	return errors.Join(append(errs, o.OnFailure.validate(), validatePace(o.CheckpointInterval, o.CheckpointEvery))...)
}

// validatePace judges how often positions are to be stored.
func validatePace(interval time.Duration, every int) error {
	var errs []error
	if interval < 0 || interval > time.Hour {
		errs = append(errs, fmt.Errorf("consumer: CheckpointInterval is %v, want 0 to 1h", interval))
	}
	if every < 0 {
		errs = append(errs, fmt.Errorf("consumer: CheckpointEvery is %d, want 0 or more", every))
	}
	return errors.Join(errs...)
}

// EachRecord returns a [Handler] that calls fn with each record of a shard and
// keeps the checkpoints. By default the records are handled one after another and
// one that fails is repeated until it succeeds; [EachOptions] has the choices.
//
// An error of fn, or a panic, is for the [FailurePolicy]. When the shard is to be
// given up no call begins any more, but with Concurrency those for records that lie
// before one that was begun, so that none of it is repeated; they may go on until the
// drain timeout, and what is done is stored. fn may keep the record; it is called on
// the handler's goroutine, or with Concurrency on as many others. Options out of
// range end [Consumer.Run] with an error that names them.
func EachRecord(fn func(ctx context.Context, r *Record) error, optFns ...func(*EachOptions)) Handler {
	a := &adapter{name: "EachRecord"}
	if fn != nil {
		a.fn = func(ctx context.Context, records []Record, _ time.Duration) error { return fn(ctx, &records[0]) }
	}
	return a.handler(optFns)
}

// EachBatch returns a [Handler] that calls fn with the batches of a shard one
// after another and keeps the checkpoints. It is like [EachRecord] otherwise: a
// batch that fails is repeated as a whole, until it succeeds or as the
// [FailurePolicy] says. fn may keep the batch.
func EachBatch(fn func(ctx context.Context, b *Batch) error, optFns ...func(*EachOptions)) Handler {
	a := &adapter{name: "EachBatch"}
	if fn != nil {
		a.fn = func(ctx context.Context, records []Record, behind time.Duration) error {
			return fn(ctx, &Batch{Records: records, Behind: behind})
		}
	}
	return a.handler(optFns)
}

func (a *adapter) run(ctx context.Context, s *Shard) error {
	r := runner{shard: s, policy: &a.opts.OnFailure, fn: a.fn}
	if last := a.opts.OnFailure.KeyFollows; last > 0 {
		r.gone = &keysGivenUp{last: last, until: map[string]time.Time{}}
	}
	if err := r.remembering(ctx, &a.opts); err != nil {
		return err
	}
	switch {
	case a.name == "EachBatch":
		g := &gatherer{runner: r, opts: &a.opts, called: time.Now()}
		defer g.letGo()
		return each(ctx, s, &a.opts, g)
	case a.opts.Concurrency > 1 || a.opts.OnFailure.ParkKey:
		return newKeyed(r, &a.opts).run(ctx)
	}
	return each(ctx, s, &a.opts, &inOrder{r})
}

// A taker works on the batches of a shard.
type taker interface {
	// due is when it has something to do even if no batch comes, zero for never.
	due() time.Time

	// take works on b, nil if a time has passed or the last has come.
	take(ctx context.Context, k *keeper, b *Batch, last bool) error
}

// An inOrder works on one record after another.
type inOrder struct{ runner }

func (r *inOrder) due() time.Time { return time.Time{} }

func (r *inOrder) take(ctx context.Context, k *keeper, b *Batch, _ bool) error {
	if b == nil {
		return nil
	}
	for i := range b.Records {
		// A long batch may not hold up a stop, nor outlive its lease: do looks
		// before each record.
		if r.seen == nil || !r.repeats(&b.Records[i]) {
			if _, err := r.do(ctx, &work{records: b.Records[i : i+1 : i+1]}); err != nil {
				return err
			}
		}
		if err := k.done(ctx, b.Records[i].Position, 1); err != nil {
			return err
		}
	}
	return nil
}

// each feeds the batches of s to t and stores the position before it returns,
// unless the shard has ended, which stores one of its own.
func each(ctx context.Context, s *Shard, o *EachOptions, t taker) (err error) {
	k := &keeper{shard: s, opts: o}
	defer func() {
		if errors.Is(err, io.EOF) {
			err = nil
			return
		}
		err = withFlush(err, k.flush(ctx)) // also when the function calls runtime.Goexit
	}()
	for {
		b, err := s.next(ctx, earliest(k.due(), t.due()))
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		if err := t.take(ctx, k, b, last); err != nil {
			return err
		}
		if last {
			return io.EOF
		}
		if b == nil {
			if err := k.storeDue(ctx); err != nil {
				return err
			}
		}
	}
}

// withFlush returns why a handler ended whose last store ended with failed. A
// store that fails costs a repetition, not a record, so it does not hide err.
func withFlush(err, failed error) error {
	if err == nil || failed == nil {
		return err
	}
	return fmt.Errorf("%w (and its checkpoint failed: %v)", err, failed)
}

// batch works on the records of one batch, in the order of the shard and, as the
// policy may have it, in parts.
func (r *runner) batch(ctx context.Context, k *keeper, records []Record, behind time.Duration) error {
	fresh := r.fresh(records)
	parts := [][]Record{fresh} // the next is the last
	if len(fresh) == 0 && len(records) > 0 {
		parts = nil
	}
	for len(parts) > 0 {
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		split, err := r.do(ctx, &work{records: part, behind: behind})
		switch {
		case err != nil:
			return err
		case split:
			half := len(part) / 2
			parts = append(parts, part[half:], part[:half:half])
		case len(part) > 0:
			if err := k.done(ctx, part[len(part)-1].Position, len(part)); err != nil {
				return err
			}
		}
	}
	if n := len(records) - len(fresh); n > 0 {
		return k.done(ctx, records[len(records)-1].Position, n)
	}
	return nil
}
