package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/lease"
)

// EachOptions are the settings of [EachRecord] and [EachBatch].
type EachOptions struct {
	// CheckpointInterval is how long finished records may wait for their position
	// to be stored, from 0 to 1 hour; default 5 s. 0 stores after every call of
	// the function. A crash repeats what was not stored; each store is one write
	// to the lease table. One that fails is tried again while the work goes on.
	CheckpointInterval time.Duration

	// CheckpointEvery stores the position also when this many records are done,
	// even before the interval has passed; 0, the default, counts none.
	CheckpointEvery int
}

func newEachOptions(caller string, noFn bool, optFns []func(*EachOptions)) (EachOptions, error) {
	o := EachOptions{CheckpointInterval: 5 * time.Second}
	for _, fn := range optFns {
		fn(&o)
	}
	err := o.validate()
	if noFn {
		err = errors.Join(fmt.Errorf("consumer: %s: fn is nil", caller), err)
	}
	if err != nil {
		return o, &optionsError{err}
	}
	return o, nil
}

func (o *EachOptions) validate() error {
	var errs []error
	if o.CheckpointInterval < 0 || o.CheckpointInterval > time.Hour {
		errs = append(errs, fmt.Errorf("consumer: CheckpointInterval is %v, want 0 to 1h", o.CheckpointInterval))
	}
	if o.CheckpointEvery < 0 {
		errs = append(errs, fmt.Errorf("consumer: CheckpointEvery is %d, want 0 or more", o.CheckpointEvery))
	}
	return errors.Join(errs...)
}

// EachRecord returns a [Handler] that calls fn with the records of a shard one
// after another and keeps the checkpoints. An error of fn, or a panic, ends the
// shard with the position of the record before stored; it is taken up again with
// the same record. fn may keep the record. Options out of range end
// [Consumer.Run] with an error that names them.
func EachRecord(fn func(ctx context.Context, r *Record) error, optFns ...func(*EachOptions)) Handler {
	o, err := newEachOptions("EachRecord", fn == nil, optFns)
	return func(ctx context.Context, s *Shard) error {
		if err != nil {
			return err
		}
		return each(ctx, s, o, func(k *keeper, b *Batch) error {
			for i := range b.Records {
				// A long batch may not hold up a stop, nor outlive its lease.
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := s.source.err(); err != nil {
					return err
				}
				if err := fn(ctx, &b.Records[i]); err != nil {
					return err
				}
				if err := k.done(ctx, b.Records[i].Position, 1); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// EachBatch returns a [Handler] that calls fn with the batches of a shard one
// after another and keeps the checkpoints. An error of fn, or a panic, ends the
// shard with the position of the batch before stored; the records of this one
// are delivered again, perhaps in other batches. fn may keep the batch. Options
// out of range end [Consumer.Run] with an error that names them.
func EachBatch(fn func(ctx context.Context, b *Batch) error, optFns ...func(*EachOptions)) Handler {
	o, err := newEachOptions("EachBatch", fn == nil, optFns)
	return func(ctx context.Context, s *Shard) error {
		if err != nil {
			return err
		}
		return each(ctx, s, o, func(k *keeper, b *Batch) error {
			if err := fn(ctx, b); err != nil {
				return err
			}
			return k.done(ctx, b.Last(), len(b.Records))
		})
	}
}

// each feeds the batches of s to do and stores the position before it returns,
// unless the shard has ended, which stores one of its own.
func each(ctx context.Context, s *Shard, o EachOptions, do func(*keeper, *Batch) error) (err error) {
	k := &keeper{shard: s, opts: o}
	defer func() {
		if errors.Is(err, io.EOF) {
			err = nil
			return
		}
		// Also on the way out of a panic. A store that fails costs a repetition,
		// not a record, so it does not hide why the handler ended.
		if err2 := k.flush(ctx); err2 != nil && err != nil {
			err = fmt.Errorf("%w (and its checkpoint failed: %v)", err, err2)
		}
	}()
	for {
		b, err := s.next(ctx, k.due())
		if err != nil {
			return err
		}
		if b == nil {
			err = k.store(ctx)
		} else if len(b.Records) > 0 {
			err = do(k, b)
		}
		if err != nil {
			return err
		}
	}
}

// A keeper stores the position of finished records at the pace of its options.
// Records finish in order, so the newest is the watermark.
type keeper struct {
	shard *Shard
	opts  EachOptions

	finished checkpoint.Position // newest finished, zero if it is stored
	records  int                 // finished since the last store
	since    time.Time           // when the oldest of them finished
	failures int                 // stores in a row that failed
	pause    time.Time           // no store before, if any did
}

// checkpointBackoff spaces the attempts to store a position.
var checkpointBackoff = pace.Backoff{Base: time.Second, Max: 10 * time.Second}

// done notes that everything up to p is finished and stores it if it is time.
func (k *keeper) done(ctx context.Context, p checkpoint.Position, records int) error {
	if k.records == 0 {
		k.since = time.Now()
	}
	k.finished = p
	k.records += records
	if !time.Now().Before(k.due()) {
		return k.store(ctx)
	}
	return nil
}

// due returns when what is finished must be stored, zero if nothing is.
func (k *keeper) due() time.Time {
	due := k.since.Add(k.opts.CheckpointInterval)
	switch {
	case k.records == 0:
		return time.Time{}
	case k.opts.CheckpointEvery > 0 && k.records >= k.opts.CheckpointEvery:
		due = k.since
	}
	if due.Before(k.pause) {
		return k.pause
	}
	return due
}

// store stores what is finished. That the table does not take it at the moment
// is no error: the lease is held, so the work may go on and the next store says
// more. If it stays so, the lease cannot be renewed either.
func (k *keeper) store(ctx context.Context) error {
	err := k.flush(ctx)
	var refused *CheckpointError
	if err == nil || errors.As(err, &refused) || errors.Is(err, lease.ErrLost) || errors.Is(err, lease.ErrFinished) {
		return err
	}
	s := k.shard
	k.pause = time.Now().Add(checkpointBackoff.Delay(s.epoch.Owner, "checkpoint", s.id, k.failures))
	k.failures++
	return nil
}

func (k *keeper) flush(ctx context.Context) error {
	if k.records == 0 {
		return nil
	}
	if err := k.shard.Checkpoint(ctx, k.finished); err != nil {
		return err
	}
	k.records, k.failures, k.pause = 0, 0, time.Time{}
	return nil
}
