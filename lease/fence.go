package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kinesis-go/kinesis/internal/pace"
)

// errNoWrite is returned by a build function when nothing needs to be written.
var errNoWrite = errors.New("lease: nothing to write")

// When the answer of a write is lost, the row tells whether it was made. A
// checkpoint asks at once, a renewal leaves it to the next one.
const (
	resolveNow   = true
	resolveLater = false
)

// writeAttempts bounds how often one call adapts to what it finds in the row.
const writeAttempts = 4

// write changes the row of h by what build makes of the row as seen last. It is
// the only way a held row is written: one write at a time, each fenced, each
// refused once the lease could have expired. A row that has changed without
// being lost (a handover has begun, an earlier write of ours was made although
// its answer was lost) is adopted, and build is asked again.
func (h *Held) write(ctx context.Context, resolve bool, build func(seen Row) (Write, error)) error {
	select {
	case <-h.token:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { h.token <- struct{}{} }()
	var failed error
	for range writeAttempts {
		seen, err := h.usable()
		if err != nil {
			return err
		}
		w, err := build(seen)
		if errors.Is(err, errNoWrite) {
			return nil
		}
		if err != nil {
			return err
		}
		if w.Op == Renew || w.Op == Checkpoint || w.Op == Prepare {
			w.Run = h.m.runID
		}
		if w.Op == Renew || w.Op == Checkpoint {
			w.ReadTo = h.readUpTo()
		}
		again, err := h.try(ctx, w, resolve)
		if !again {
			return err
		}
		if failed = err; failed != nil && h.renewalDue() {
			break // a failing checkpoint may not keep the lease from being renewed
		}
	}
	if failed == nil {
		failed = errors.New("the row keeps changing")
	}
	return fmt.Errorf("lease: write %s: %w", h.key, failed)
}

// try issues w once. Again says that the row, as h knows it then, is still ours
// and does not hold what w was to write; err is then why the attempt failed, if
// not for the row.
func (h *Held) try(ctx context.Context, w Write, resolve bool) (again bool, err error) {
	issued := time.Now()
	h.mu.Lock()
	if h.tried.IsZero() {
		h.tried = issued
	}
	first := h.tried
	h.mu.Unlock()

	call, cancel := context.WithTimeout(ctx, h.m.timing.try(h.left()))
	row, err := h.m.write(call, w)
	cancel()
	if err == nil {
		h.renewed(issued, row)
		return false, nil
	}
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		return h.settled(w, conflict.Current, first)
	}
	if !resolve {
		return false, err
	}
	call, cancel = context.WithTimeout(ctx, h.m.timing.try(h.left()))
	cur, rerr := h.m.row(call, h.key)
	cancel()
	switch {
	case errors.Is(rerr, ErrNotFound):
		return h.settled(w, nil, first)
	case rerr != nil:
		return false, fmt.Errorf("lease: %v %s, may have been made: %w", w.Op, h.key, err)
	}
	again, lostErr := h.settled(w, &cur, first)
	if again {
		return true, err
	}
	return false, lostErr
}

// settled acts on what the row holds instead of what w expected.
func (h *Held) settled(w Write, cur *Row, first time.Time) (again bool, err error) {
	reason := "the row was deleted"
	switch settle(w, h.m.id, h.m.runID, cur) {
	case writeMade:
		h.renewed(first, *cur)
		return false, nil
	case rowOurs:
		h.adopt(w.Seen, *cur)
		return true, nil
	case rowRival:
		h.m.fail(h.m.sameID())
		reason = "another worker runs under the same id"
	case rowLost:
		if cur == nil {
			break
		}
		reason = fmt.Sprintf("the row belongs to %q, counter %d", clip(cur.Reader()), cur.Counter)
	}
	h.lose(reason)
	return false, fmt.Errorf("%w: %s: %s", ErrLost, h.key, reason)
}

// A settlement is what a row says about a write that was refused or whose
// answer was lost.
type settlement int

const (
	rowLost   settlement = iota // the row belongs to someone else
	rowOurs                     // it is ours and does not hold the write
	writeMade                   // it holds the write
	rowRival                    // another run under our id has written it
)

// settle compares the row as it is with what w, a write by worker me in that run,
// was to make of it. The counter tells: nobody else raises it while the row is
// ours, and two writes that expect the same counter cannot both be made. Another
// worker under our id would raise it too; the row says which run did.
func settle(w Write, me, run string, cur *Row) settlement {
	if cur == nil {
		if w.Op == Delete {
			return writeMade
		}
		return rowLost
	}
	if want, err := w.Apply(&w.Seen); err == nil && want != nil &&
		cur.Counter == want.Counter && cur.Owner == want.Owner && cur.Leaving == want.Leaving &&
		cur.Checkpoint == want.Checkpoint && cur.Run == want.Run && cur.Since.Equal(want.Since) && cur.Pending.equal(want.Pending) {
		return writeMade
	}
	if cur.Reader() != me || w.Seen.Leaving == me && cur.Leaving != me {
		return rowLost
	}
	if cur.Run != run && cur.Run != w.Seen.Run {
		if sameOwner(cur.Run, run) {
			return rowRival
		}
		return rowLost // it went through other hands, or was deleted, and came back
	}
	if cur.Counter == w.Seen.Counter || cur.Counter == w.Seen.Counter+1 {
		return rowOurs
	}
	return rowLost
}

// adopt takes over a row that changed while it stayed ours.
func (h *Held) adopt(seen, cur Row) {
	h.mu.Lock()
	h.row = cur
	if cur.Counter != seen.Counter {
		h.tried = time.Time{}
	}
	h.mu.Unlock()
	if cur.Leaving == h.m.id {
		h.leave(min(h.m.options.DrainTimeout, handoffBound))
	}
}

// left returns the time until the work context ends, unless a renewal succeeds.
func (h *Held) left() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.until)
}

// usable returns the row as seen last if the lease is still held.
func (h *Held) usable() (Row, error) {
	h.mu.Lock()
	state, until, row := h.state, h.until, h.row
	h.mu.Unlock()
	if state != lost && !time.Now().Before(until) {
		h.lose("not renewed in time")
		state = lost
	}
	if state == lost || row.Reader() != h.m.id { // the latter after a release
		return Row{}, fmt.Errorf("%w: %s", ErrLost, h.key)
	}
	return row, nil
}

// renewLoop renews the lease until it is lost or stop is closed.
func (h *Held) renewLoop(ctx context.Context, stop <-chan struct{}) {
	for {
		h.mu.Lock()
		due, state := h.renewAt, h.state
		h.mu.Unlock()
		if state == lost {
			return
		}
		if wait := time.Until(due); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-stop:
				timer.Stop()
				return
			case <-h.wake:
				timer.Stop()
			case <-timer.C:
			}
			continue // a checkpoint may have renewed it meanwhile
		}
		select {
		case <-stop:
			return
		default:
		}
		h.renew(ctx)
	}
}

func (h *Held) renewalDue() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !time.Now().Before(h.renewAt)
}

// renew makes one attempt to renew the lease.
func (h *Held) renew(ctx context.Context) {
	began := time.Now()
	var m measurement
	err := h.write(ctx, resolveLater, func(seen Row) (Write, error) {
		if !h.renewalDue() {
			return Write{}, errNoWrite
		}
		m.sample(h)
		return Write{Op: Renew, Seen: seen, Throughput: m.rate}, nil
	})
	if err == nil || errors.Is(err, ErrLost) {
		return
	}
	h.m.log.Warn("lease not renewed", "lease", h.key, "error", err)
	wait := h.m.timing.again(h.left())
	wait -= time.Duration(pace.Hash(h.m.id, "again", h.key, uint64(began.UnixNano())) % uint64(wait/8))
	h.mu.Lock()
	h.renewAt = began.Add(wait)
	h.mu.Unlock()
}
