package lease

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
)

// An Epoch identifies one tenure of a lease. Owner and Counter are those of the
// row when it was acquired; of two epochs of a shard the later has the higher
// Counter. A system downstream that remembers the highest counter it has seen
// per shard can refuse a writer whose lease is gone.
type Epoch struct {
	Owner   string
	Counter int64
}

// A Held is a lease that this worker holds, from its acquisition until hold
// returns. Its methods may be called from several goroutines.
type Held struct {
	m      *member
	stream Stream
	shard  Shard
	key    string

	// token is in the channel while nobody writes the row: one writer at a time,
	// so that a renewal and a checkpoint never refute each other.
	token chan struct{}

	cancelFetch, cancelWork context.CancelCauseFunc

	// wake ends the renewer's wait early.
	wake chan struct{}

	mu    sync.Mutex // guards what follows
	state heldState
	row   Row
	epoch Epoch

	// until is when the work context ends unless a renewal succeeds before.
	until time.Time

	// renewAt is when the next renewal is due.
	renewAt time.Time

	// tried is when the first write was issued that expects the row's present
	// counter; zero if none was. If such a write turns out to have been made
	// although its answer was lost, this is the earliest it can have been.
	tried time.Time

	// drainBy is when the work context ends although the lease is held, zero
	// while it is not being given up.
	drainBy time.Time

	meter meter

	readTo time.Time // see ReadTo
}

// heldState is where a lease is in its life. It only goes forward.
type heldState int

const (
	acquiring heldState = iota // not yet held
	holding                    // held, renewed
	leaving                    // held, renewed, fetching has ended
	finished                   // the end of the shard is stored; held and renewed
	lost                       // no longer ours, or not known to be
)

func newHeld(m *member, stream Stream, row Row) *Held {
	h := &Held{
		m: m, stream: stream, key: row.Key,
		shard: Shard{ID: row.Shard, Parents: row.Parents, Range: row.Range},
		row:   row, token: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	h.token <- struct{}{}
	if row.Throughput != nil {
		h.meter.seed(*row.Throughput)
	}
	return h
}

// Stream returns the stream of the shard.
func (h *Held) Stream() Stream { return h.stream }

// Shard returns the shard as its row describes it. Closed is not known.
func (h *Held) Shard() Shard { return h.shard }

// Epoch returns the tenure, for fencing systems downstream.
func (h *Held) Epoch() Epoch {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.epoch
}

// Position returns the position stored in the row.
func (h *Held) Position() checkpoint.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.row.Checkpoint
}

// Since returns what [checkpoint.Latest] stands for in the position: the time
// given to [Held.Pin], by this tenure or one before it; zero if there is none.
func (h *Held) Since() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.row.Checkpoint != checkpoint.Latest {
		return time.Time{}
	}
	return h.row.Since
}

// Pin stores when the shard was first read, in whole milliseconds, if the
// position is [checkpoint.Latest] and it is not stored yet: whoever takes the
// shard over before the first checkpoint begins there, and no record is passed
// over. It counts as a renewal. The errors are those of Checkpoint.
func (h *Held) Pin(ctx context.Context, at time.Time) error {
	return h.write(ctx, resolveNow, func(seen Row) (Write, error) {
		if seen.Checkpoint != checkpoint.Latest || !seen.Since.IsZero() {
			return Write{}, errNoWrite
		}
		return Write{Op: Renew, Seen: seen, Since: at.UTC().Truncate(time.Millisecond)}, nil
	})
}

// Err returns nil while the shard may be worked on and an error that wraps
// [ErrLost] from the moment the lease could expire. Unlike the work context it
// asks the clock itself, so it is right at once also after the process was
// frozen.
func (h *Held) Err() error {
	h.mu.Lock()
	state, until := h.state, h.until
	h.mu.Unlock()
	if state == lost || !time.Now().Before(until) {
		return fmt.Errorf("%w: %s", ErrLost, h.key)
	}
	return nil
}

// Observe adds to the bytes read from the shard, from which the throughput in
// the row is measured. Leaders balance by it.
func (h *Held) Observe(bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.meter.add(bytes)
}

// ReadTo tells how far reading has got: what arrived in the shard before t has
// been handed to the application. The next write of the row stores it, for people
// to see how far the shard is behind. It never goes backwards.
func (h *Held) ReadTo(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t = t.UTC().Truncate(time.Millisecond); t.After(h.readTo) {
		h.readTo = t
	}
}

func (h *Held) readUpTo() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readTo
}

// Checkpoint stores p: everything up to and including it is done. It counts as a
// renewal. Storing the position that is stored already costs nothing.
//
// It returns an error that wraps [ErrLost] if the lease is gone, and then
// nothing was stored; a [*BackwardsError] if p lies before what is stored;
// [ErrFinished] after Finish. An answer that was lost on the way is resolved by
// reading the row; after any other error p may or may not have been stored, and
// the call may be repeated. SHARD_END is stored by [Held.Finish] alone.
func (h *Held) Checkpoint(ctx context.Context, p checkpoint.Position) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("lease: checkpoint %s: %w", h.key, err)
	}
	if p.Compare(checkpoint.ShardEnd) == 0 {
		return fmt.Errorf("lease: checkpoint %s: SHARD_END is stored by Finish", h.key)
	}
	stored := false
	var m measurement
	err := h.write(ctx, resolveNow, func(seen Row) (Write, error) {
		switch c := p.Compare(seen.Checkpoint); {
		case seen.Finished():
			return Write{}, ErrFinished
		case c < 0:
			return Write{}, &BackwardsError{Key: h.key, Stored: seen.Checkpoint, Given: p}
		case p == seen.Checkpoint:
			return Write{}, errNoWrite
		}
		stored = true
		m.sample(h)
		return Write{Op: Checkpoint, Seen: seen, Checkpoint: p, Throughput: m.rate}, nil
	})
	if err == nil && stored {
		call(h.m.events.CheckpointStored, CheckpointInfo{Stream: h.stream.Label(), Shard: h.shard.ID, Epoch: h.Epoch(), Position: p})
	}
	return err
}

// A BackwardsError means that a checkpoint would undo one.
type BackwardsError struct {
	Key           string
	Stored, Given checkpoint.Position
}

func (e *BackwardsError) Error() string {
	return fmt.Sprintf("lease: checkpoint %s: %v lies before %v, which is stored", e.Key, e.Given, e.Stored)
}

// lose ends the tenure: no write is issued any more and the work context ends.
func (h *Held) lose(reason string) {
	h.mu.Lock()
	was, epoch := h.state, h.epoch
	h.state = lost
	h.mu.Unlock()
	if was == lost {
		return
	}
	err := fmt.Errorf("%w: %s: %s", ErrLost, h.key, reason)
	h.cancelWork(err)
	if was == finished {
		return // nobody works on it
	}
	h.m.log.Warn("lease lost", "lease", h.key, "reason", reason)
	call(h.m.events.Lost, LostInfo{Stream: h.stream.Label(), Shard: h.shard.ID, Epoch: epoch, Err: err})
	h.m.reportSoon()
}

// leave ends fetching; the work in hand may go on for that long.
func (h *Held) leave(drain time.Duration) {
	h.mu.Lock()
	if h.state == holding || h.state == acquiring {
		h.state = leaving
	}
	if by := time.Now().Add(drain); h.drainBy.IsZero() || by.Before(h.drainBy) {
		h.drainBy = by
	}
	h.mu.Unlock()
	h.cancelFetch(ErrStopping)
	if drain < h.m.timing.failover/4 {
		h.m.wakeGuard() // it looks that often by itself
	}
}

// deadline returns when something about the lease ends, zero if nothing will.
func (h *Held) deadline() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == lost || h.state == acquiring {
		return time.Time{}
	}
	if h.drainBy.IsZero() {
		return h.until
	}
	return earlier(h.until, h.drainBy)
}

// overdue ends what has outlived its deadline.
func (h *Held) overdue(now time.Time) {
	h.mu.Lock()
	expired := !now.Before(h.until)
	drained := !h.drainBy.IsZero() && !now.Before(h.drainBy)
	if drained {
		h.drainBy = h.until.Add(time.Hour) // once
	}
	h.mu.Unlock()
	if expired {
		h.lose("not renewed in time")
	} else if drained {
		h.cancelWork(ErrDrainTimeout)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// nudge makes the renewer look at the row now.
func (h *Held) nudge() {
	h.mu.Lock()
	h.renewAt = time.Now()
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// renewed notes that the row is row, by a write of ours issued at issued.
func (h *Held) renewed(issued time.Time, row Row) {
	t := &h.m.timing
	h.mu.Lock()
	defer h.mu.Unlock()
	h.row, h.tried = row, time.Time{}
	if u := issued.Add(t.fence); u.After(h.until) {
		h.until = u
	}
	// Leases renewed together drift apart.
	spread := time.Duration(pace.Hash(h.m.id, "renew", h.key, uint64(row.Counter)) % uint64(t.renew/32))
	h.renewAt = issued.Add(t.renew - spread)
}

// A measurement is taken at most once for a write, however often that is built.
type measurement struct {
	rate *float64 // nil if there is nothing to report
	made bool
}

func (m *measurement) sample(h *Held) {
	if m.made {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m.rate, m.made = h.meter.take(time.Now(), h.m.timing.renew/2), true
}

// meter measures the throughput of a lease as the KCL does: bytes per interval
// between reports, smoothed. The zero meter has measured nothing.
//
// Renewals report it, and checkpoints, since there are no renewals beside
// frequent checkpoints.
type meter struct {
	bytes int64
	since time.Time
	rate  float64 // KiB/s
	known bool    // something was ever measured
}

func (m *meter) seed(rate float64) { m.rate, m.known = rate, true }

func (m *meter) add(bytes int) { m.bytes += int64(bytes) }

// take closes the interval and returns the rate. It returns nil if there never
// was any, and if the interval is shorter than least, which goes on then.
func (m *meter) take(now time.Time, least time.Duration) *float64 {
	if m.since.IsZero() {
		m.since = now
	}
	elapsed := now.Sub(m.since)
	if elapsed < least {
		return nil
	}
	sample := float64(m.bytes) / 1024 / elapsed.Seconds()
	switch {
	case m.known:
		m.rate = (m.rate + sample) / 2
	case m.bytes > 0:
		m.rate, m.known = sample, true
	}
	m.bytes, m.since = 0, now
	if !m.known {
		return nil
	}
	rate := math.Round(m.rate*1e6) / 1e6
	return &rate
}
