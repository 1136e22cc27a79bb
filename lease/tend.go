package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
)

// begin starts to tend the lease of row, whose owner is this worker, unless it
// is tended already or the worker stops. Base is never cancelled.
func (m *member) begin(base context.Context, row Row) {
	if !m.catalogue.ours(&row) || row.Owner != m.id || row.Leaving != "" {
		return
	}
	stream, _ := m.catalogue.lookup(row.Stream)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping || m.held[row.Key] != nil {
		return
	}
	h := newHeld(m, stream, row)
	work, cancelWork := context.WithCancelCause(base)
	fetch, cancelFetch := context.WithCancelCause(work)
	h.cancelWork, h.cancelFetch = cancelWork, cancelFetch
	m.held[row.Key] = h
	m.leases.Go(func() {
		defer cancelWork(nil)
		m.tend(base, fetch, work, h)
		m.mu.Lock()
		delete(m.held, row.Key)
		m.mu.Unlock()
		m.wakeLoop()
	})
}

// tend holds one lease from its acquisition until it is lost or given up.
func (m *member) tend(base, fetch, work context.Context, h *Held) {
	if !h.findStream(fetch) || !h.acquire(base) {
		return
	}
	stop := make(chan struct{})
	var renewer sync.WaitGroup
	renewer.Go(func() { h.renewLoop(base, stop) })

	var err error
	if h.Position() == checkpoint.ShardEnd {
		// A KCL leader hands out finished leases too, and wants them renewed.
		m.keepFinished(fetch, h)
	} else {
		call(m.events.Acquired, AcquiredInfo{Stream: h.stream.Label(), Shard: h.shard.ID, Epoch: h.Epoch(), Position: h.Position()})
		m.log.Info("lease acquired", "lease", h.key, "counter", h.Epoch().Counter, "position", h.Position().String())
		if m.awaitParents(fetch, h) {
			err = m.hold(fetch, work, h)
		}
	}
	h.release(base, err)
	close(stop)
	renewer.Wait()
}

// findStream looks for the stream of a row if it is not known. A lease that cannot
// be read is not acquired, so that it goes to somebody who can.
func (h *Held) findStream(ctx context.Context) bool {
	if !h.m.catalogue.many {
		return true
	}
	s, found, err := h.m.catalogue.find(ctx, h.stream.ID)
	if err != nil && ctx.Err() == nil {
		h.m.log.Warn("lease not acquired: its stream is not found", "lease", h.key, "error", err)
	}
	h.stream = s
	return found
}

// acquire makes the first renewal, from which the tenure counts.
func (h *Held) acquire(ctx context.Context) bool {
	seen := h.row
	var before time.Time // when the last attempt was issued, zero before the second
	for range 3 {
		if h.m.isRival(seen.Run) {
			over := false
			if seen, over = h.m.outlive(ctx, seen); !over {
				return false
			}
		}
		issued := time.Now()
		w := Write{Op: Renew, Seen: seen, Run: h.m.runID}
		row, err := h.m.write(ctx, w)
		if err == nil {
			h.acquired(issued, row)
			return true
		}
		var conflict *ConflictError
		if !errors.As(err, &conflict) {
			h.m.log.Warn("lease not acquired", "lease", h.key, "error", err)
			return false
		}
		cur := conflict.Current
		switch {
		case cur != nil && cur.Leaving == h.m.id:
			// Asked to hand over what it has not begun.
			if _, err := h.m.write(ctx, Write{Op: Release, Seen: *cur}.Explained(time.Now(), ReasonHandover)); err != nil {
				h.m.log.Warn("lease not handed over", "lease", h.key, "error", err)
			}
			return false
		case cur == nil || cur.Owner != h.m.id || cur.Leaving != "":
			return false // what was seen was old
		case !before.IsZero() && settle(w, h.m.id, h.m.runID, cur) == writeMade:
			// The row was as seen when the attempt before was refused, so it is
			// this one that was made. Of the first attempt that is not known: the
			// row seen then may be old, and the renewal one of a former tenure.
			h.acquired(before, *cur)
			return true
		}
		seen, before = *cur, issued
	}
	return false
}

// acquired begins the tenure with a renewal issued at issued.
func (h *Held) acquired(issued time.Time, row Row) {
	h.renewed(issued, row)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch = Epoch{Owner: h.m.id, Counter: row.Counter}
	h.meter.since = issued
	h.shard.Parents, h.shard.Range = row.Parents, row.Range
	// Leases acquired together are renewed at different times from then on.
	part := pace.Hash(h.m.id, "acquire", h.key, uint64(row.Counter)) % 1024
	h.renewAt = issued.Add(h.m.timing.renew * time.Duration(256+part*3/4) / 1024)
	if h.state == acquiring {
		h.state = holding
	}
}

// release gives the lease up after hold has returned.
func (h *Held) release(ctx context.Context, cause error) {
	to, reason := "", ReasonReturned
	err := h.write(ctx, resolveNow, func(seen Row) (Write, error) {
		if seen.Leaving == "" && !seen.Finished() {
			to = h.m.successor(h.key)
		}
		if seen.Leaving != "" {
			to, reason = seen.Owner, ReasonHandover
		} else if h.m.stops() {
			reason = ReasonStopping
		}
		return Write{Op: Release, Seen: seen, Owner: to}.Explained(time.Now(), reason), nil
	})
	h.mu.Lock()
	was := h.state
	h.state = lost
	epoch := h.epoch
	h.mu.Unlock()
	if was == lost {
		return
	}
	if err != nil {
		h.m.log.Warn("lease not released; others take it when it expires", "lease", h.key, "error", err)
		return
	}
	h.m.log.Info("lease released", "lease", h.key, "to", to, "reason", reason)
	if was != finished {
		call(h.m.events.Released, ReleasedInfo{Stream: h.stream.Label(), Shard: h.shard.ID, Epoch: epoch, To: to, Reason: reason, Err: cause})
	}
}

// awaitParents waits until no parent of the shard has work left, and reports
// whether that came before fetch ended. A parent without a row has none: its row
// was removed after it was finished, or it was trimmed before anyone read it.
func (m *member) awaitParents(fetch context.Context, h *Held) bool {
	for _, parent := range h.shard.Parents {
		for {
			row, err := m.row(fetch, h.stream.Key(parent))
			if errors.Is(err, ErrNotFound) || err == nil && row.Finished() {
				break
			}
			if err != nil && fetch.Err() == nil {
				m.log.Warn("parent not read", "lease", h.key, "parent", parent, "error", err)
			}
			if !pause(fetch, m.timing.step, m.parentDone(h.stream.Key(parent))) {
				return false
			}
		}
	}
	return fetch.Err() == nil
}

// pause waits for d or until early is closed, and reports whether ctx lives.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// Finish stores that everything in the shard is done. It creates the rows of the
// children, which start at their oldest record, then stores SHARD_END together
// with their names; so a child is never missed, and none can start before. Of
// the children that may start, this worker takes those that nobody has.
//
// Children are the shards that continue this one, with their parents; none if
// the stream has no such shard any more. Of a merge the row of the other parent
// must exist, or the stream list it no longer: until then Finish waits.
//
// The errors are those of [Held.Checkpoint]; after any but [ErrLost] the call may
// be repeated. Calling it again after success does nothing.
func (h *Held) Finish(ctx context.Context, children []Shard) error {
	ids, err := h.checkChildren(children)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := h.createChild(ctx, child); err != nil {
			return err
		}
	}
	done := false
	err = h.write(ctx, resolveNow, func(seen Row) (Write, error) {
		if seen.Finished() {
			return Write{}, errNoWrite
		}
		done = true
		return Write{Op: Checkpoint, Seen: seen, Checkpoint: checkpoint.ShardEnd, Children: ids}, nil
	})
	if err != nil || !done {
		return err
	}
	h.mu.Lock()
	stays := h.state == holding
	if h.state != lost {
		h.state = finished
	}
	h.mu.Unlock()
	h.m.log.Info("shard finished", "lease", h.key, "children", ids)
	call(h.m.events.Finished, FinishedInfo{Stream: h.stream.Label(), Shard: h.shard.ID, Epoch: h.Epoch(), Children: ids})
	h.m.announceDone(h.key)
	if stays {
		for _, child := range children {
			h.m.takeChild(ctx, h.stream, child)
		}
	}
	return nil
}

// checkChildren returns the sorted ids of children that fit the shard.
func (h *Held) checkChildren(children []Shard) ([]string, error) {
	var ids []string
	for _, child := range children {
		switch {
		case child.ID == "" || child.ID == h.shard.ID:
			return nil, fmt.Errorf("lease: finish %s: child %q: want the id of another shard", h.key, child.ID)
		case !contains(child.Parents, h.shard.ID):
			return nil, fmt.Errorf("lease: finish %s: child %s: its parents are %q, want this shard among them", h.key, child.ID, child.Parents)
		}
		ids = append(ids, child.ID)
	}
	return sortedSet(ids), nil
}

// createChild makes sure that the child has a row. Of a merge, the other
// parent's row must be there first: without it the child would start although
// the other parent has never been read (KCL#1080).
func (h *Held) createChild(ctx context.Context, child Shard) error {
	for _, parent := range child.Parents {
		if parent == h.shard.ID {
			continue
		}
		if err := h.awaitRow(ctx, parent, child); err != nil {
			return err
		}
	}
	_, err := h.m.createRow(ctx, newRow(h.stream, child, checkpoint.TrimHorizon))
	return err
}

// awaitRow waits until the parent, or the child itself, has a row, or the stream
// lists the parent no longer.
func (h *Held) awaitRow(ctx context.Context, parent string, child Shard) error {
	for n := 0; ; n++ {
		for _, id := range [...]string{parent, child.ID} {
			_, err := h.m.row(ctx, h.stream.Key(id))
			if err == nil {
				return nil
			}
			if !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("lease: finish %s: row of %s: %w", h.key, id, err)
			}
		}
		if n%10 == 0 {
			shards, err := h.m.source.Shards(ctx, h.stream, ShardsAt{})
			if err != nil {
				return fmt.Errorf("lease: finish %s: list the shards: %w", h.key, err)
			}
			if !lists(shards, parent) {
				return nil
			}
			h.m.log.Warn("merge waits for the row of its other parent", "lease", h.key, "child", child.ID, "parent", parent)
		}
		if !pause(ctx, h.m.timing.step, nil) {
			return context.Cause(ctx)
		}
		if err := h.Err(); err != nil {
			return err
		}
	}
}

// createRow adds a row and returns it as it is, also if it was there already.
func (m *member) createRow(ctx context.Context, row Row) (Row, error) {
	w := Write{Op: Create, Row: row}
	var err error
	for range writeAttempts {
		var cur Row
		if cur, err = m.write(ctx, w); err == nil {
			return cur, nil
		}
		// Made by someone else, or by us with the answer lost: it is there.
		var conflict *ConflictError
		if errors.As(err, &conflict) && conflict.Current != nil {
			return *conflict.Current, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Row{}, fmt.Errorf("lease: create %s: %w", row.Key, err)
}

// takeChild gives a child that may start to this worker if nobody has it, so
// that it need not wait for the leader to see it. Failing is harmless.
func (m *member) takeChild(ctx context.Context, stream Stream, child Shard) {
	if m.full() {
		return
	}
	for _, parent := range child.Parents {
		row, err := m.row(ctx, stream.Key(parent))
		if !errors.Is(err, ErrNotFound) && (err != nil || !row.Finished()) {
			return // whoever finishes that one takes the child
		}
	}
	row, err := m.row(ctx, stream.Key(child.ID))
	if err != nil || row.Owner != "" || row.Leaving != "" || row.Finished() {
		return
	}
	row, err = m.write(ctx, Write{Op: Assign, Seen: row, Owner: m.id}.Explained(time.Now(), ReasonChild))
	if err == nil {
		m.begin(context.WithoutCancel(ctx), row)
	}
}

// keepEvery is how often the holder of a finished lease looks whether its row
// can go.
const keepEvery = 30 * time.Second

// keepFinished holds a finished lease until its row is removed, which the holder
// does itself when every child has been read from.
func (m *member) keepFinished(fetch context.Context, h *Held) {
	h.mu.Lock()
	h.state = finished
	row := h.row
	h.mu.Unlock()
	for pause(fetch, keepEvery, nil) {
		related := []Row{row}
		for _, id := range append(row.Children, row.Parents...) {
			if r, err := m.row(fetch, h.stream.Key(id)); err == nil {
				related = append(related, r)
			}
		}
		if !removable(row, indexRows(related)) {
			continue
		}
		if err := h.write(fetch, resolveLater, func(seen Row) (Write, error) {
			return Write{Op: Delete, Seen: seen}, nil
		}); err == nil {
			h.lose("the row was removed")
			return
		}
	}
}
