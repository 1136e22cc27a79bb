package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/lease"
)

// A keeper stores the position of finished records at the pace of its options.
// Records finish in order, so the newest is the watermark.
type keeper struct {
	shard *Shard
	opts  *EachOptions

	finished checkpoint.Position // newest finished, zero if it is stored
	records  int                 // finished since the last store
	since    time.Time           // when the oldest of them finished
	failures int                 // stores in a row that failed
	pause    time.Time           // no store before, if any did

	// Reading the clock is the dearest part of a record that takes no time itself.
	// So after one that took none it is read for one record in four.
	read   time.Time // when it was
	unread int       // records to come that do not read it
}

// checkpointBackoff spaces the attempts to store a position.
var checkpointBackoff = pace.Backoff{Base: time.Second, Max: 10 * time.Second}

// done notes that everything up to p is finished and stores it if it is time.
func (k *keeper) done(ctx context.Context, p checkpoint.Position, records int) error {
	every := k.opts.CheckpointEvery
	k.finished = p
	k.records += records
	full := every > 0 && k.records >= every && k.records-records < every
	if k.unread > 0 && !full && k.records > records {
		k.unread--
		return nil
	}
	now := time.Now()
	if k.unread = 0; now.Sub(k.read) < time.Millisecond {
		k.unread = 3
	}
	if k.read = now; k.records == records { // the first
		k.since = now
	}
	if now.Before(k.due()) {
		return nil
	}
	return k.store(ctx)
}

// storeDue stores what is finished if it is time.
func (k *keeper) storeDue(ctx context.Context) error {
	if k.records == 0 || time.Now().Before(k.due()) {
		return nil
	}
	return k.store(ctx)
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
