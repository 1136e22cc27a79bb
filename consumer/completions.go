package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// CompletionOptions are the settings of [Shard.Completions].
type CompletionOptions struct {
	// CheckpointInterval is how long records that are done may wait for their
	// position to be stored, from 0 to 1 hour; default 5 s. 0 stores whenever the
	// oldest record is done.
	CheckpointInterval time.Duration

	// CheckpointEvery stores the position also when this many records are done,
	// even before the interval has passed; 0, the default, counts none.
	CheckpointEvery int

	// MaxPending bounds the records between the oldest that is not done and the
	// newest that was begun; [Completions.Begin] waits beyond. Each costs about 48
	// bytes. 1 to 10,000,000; default 100,000.
	MaxPending int
}

// Completions keep the checkpoints of a handler that works on many records of a
// shard at a time: records are begun in order and done in any, and what is
// stored is the position before the oldest that is not done. Its methods may be
// called from any goroutine.
//
// A position is stored by the call of [Begun.Done] that makes it due, by
// [Shard.Batches] while it waits, by [Completions.Flush], and when the handler
// returns. A handler that returns nil at the end of the shard before all is done
// fails with [ErrUnfinished], and the shard is not marked as finished.
type Completions struct {
	shard *Shard
	opts  CompletionOptions

	// token is in the channel while nobody stores.
	token chan struct{}

	// room has an element when the oldest may have moved.
	room chan struct{}

	mu       sync.Mutex // guards what follows
	tracker  checkpoint.Tracker
	admitted []admitted          // the pending records, if begun by admit
	weight   int64               // the sum of their sizes
	stored   checkpoint.Position // the watermark stored last
	done     int                 // records done since
	since    time.Time           // when the first of them was, zero if none
	failures int                 // stores in a row that failed
	pause    time.Time           // no store before, if any did
}

// Completions returns the shard's completions, for handlers that do not go by
// [EachRecord] or [EachBatch]. The options of the first call count.
func (s *Shard) Completions(optFns ...func(*CompletionOptions)) (*Completions, error) {
	o := CompletionOptions{CheckpointInterval: 5 * time.Second, MaxPending: 100_000}
	for _, fn := range optFns {
		fn(&o)
	}
	err := validatePace(o.CheckpointInterval, o.CheckpointEvery)
	if o.MaxPending < 1 || o.MaxPending > 10_000_000 {
		err = errors.Join(err, fmt.Errorf("consumer: MaxPending is %d, want 1 to 10000000", o.MaxPending))
	}
	if err != nil {
		return nil, &fatalError{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finishing == nil {
		s.finishing = newCompletions(s, o)
	}
	return s.finishing, nil
}

func newCompletions(s *Shard, o CompletionOptions) *Completions {
	c := &Completions{shard: s, opts: o, token: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	c.token <- struct{}{}
	return c
}

// completions returns those the handler has asked for, nil if it has not.
func (s *Shard) completions() *Completions {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finishing
}

// settle stores what is done when the handler has ended with err, and returns
// what counts as its end.
func (s *Shard) settle(ctx context.Context, err error) error {
	c := s.completions()
	if c == nil {
		return err
	}
	if err == nil && s.ended {
		if c.Pending() == 0 {
			return nil // the shard's end stores a position of its own
		}
		err = fmt.Errorf("%w: %d of shard %s", ErrUnfinished, c.Pending(), s.id)
	}
	if failed := c.Flush(ctx); failed != nil && err != nil {
		err = fmt.Errorf("%w (and its checkpoint failed: %v)", err, failed)
	}
	return err
}

// A Begun is a record on which work was begun.
type Begun struct {
	of     *Completions
	ticket checkpoint.Ticket
}

// Begin announces work on the record at p. Records are begun in the order in
// which they were delivered, each once. It waits while there is no room for
// more, and returns the cause of ctx's end if that comes first.
func (c *Completions) Begin(ctx context.Context, p checkpoint.Position) (Begun, error) {
	for {
		c.mu.Lock()
		if c.tracker.Pending() < c.opts.MaxPending {
			ticket, err := c.tracker.Begin(p)
			c.mu.Unlock()
			return Begun{c, ticket}, err
		}
		c.mu.Unlock()
		select {
		case <-c.room:
		case <-ctx.Done():
			return Begun{}, context.Cause(ctx)
		}
	}
}

// An admitted is what is known of a pending record.
type admitted struct {
	size    int64
	arrived int64 // in milliseconds since 1970, 0 if it is not known
}

// oldest returns when the oldest record that is not done arrived in the shard,
// zero if all are, or if it is not known.
func (c *Completions) oldest() time.Time {
	if c == nil {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.admitted) == 0 || c.admitted[0].arrived == 0 {
		return time.Time{}
	}
	return time.UnixMilli(c.admitted[0].arrived)
}

// recordOverhead is what a record in hand weighs beside its payload and key.
const recordOverhead = 256

// admit begins the first of records, as many as are pending together within
// limit bytes, and at least one if none is pending. It returns how many, and the
// ticket of the first.
func (c *Completions) admit(records []Record, limit int64) (first checkpoint.Ticket, n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admitted == nil {
		c.admitted = make([]admitted, 0, min(int64(len(records)), limit/recordOverhead+1))
	}
	for i := range records {
		size := int64(len(records[i].Data)) + int64(len(records[i].PartitionKey)) + recordOverhead
		if c.weight+size > limit && c.tracker.Pending() > 0 {
			break
		}
		ticket, err := c.tracker.Begin(records[i].Position)
		if err != nil {
			return first, n, err
		}
		if n == 0 {
			first = ticket
		}
		n++
		a := admitted{size: size}
		if !records[i].Arrived.IsZero() {
			a.arrived = records[i].Arrived.UnixMilli()
		}
		c.admitted = append(c.admitted, a)
		c.weight += size
	}
	return first, n, nil
}

// unsettled reports whether anything is pending, or done and not stored.
func (c *Completions) unsettled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.tracker.Watermark()
	return c.tracker.Pending() > 0 || ok && w != c.stored
}

// Done says that the record is dealt with for good. It may store a position, and
// returns an error only if none can be stored any more: lease.ErrLost, or a
// [*CheckpointError] when the handler has returned. A store that fails for a
// while is made up for later; [Events.CheckpointFailed] has been told.
func (b Begun) Done(ctx context.Context) error {
	if b.of == nil || !b.of.finish(b.ticket) {
		return nil // the zero Begun is of nothing
	}
	return b.of.storeDue(ctx)
}

// finish notes that a record is done and reports whether a position is due to be
// stored.
func (c *Completions) finish(ticket checkpoint.Ticket) (due bool) {
	return c.settle(ticket, ticket+1, 1)
}

// settle notes that the records of the tickets from first to the one before last
// are done, and that many were finished since it was told before. It reports
// whether a position is due to be stored.
func (c *Completions) settle(first, last checkpoint.Ticket, finished int) (due bool) {
	if first >= last && finished == 0 {
		return false
	}
	now := time.Now()
	c.mu.Lock()
	before := c.tracker.Pending()
	for ; first < last; first++ {
		c.tracker.Done(first)
	}
	gone := before - c.tracker.Pending()
	if len(c.admitted) > 0 {
		for i := range c.admitted[:gone] {
			c.weight -= c.admitted[i].size
		}
		if c.admitted = c.admitted[gone:]; len(c.admitted) == 0 {
			c.admitted = nil // what it lay in may be large
		}
	}
	c.done += finished
	if c.since.IsZero() {
		c.since = now
	}
	due = c.dueAt(now)
	c.mu.Unlock()
	if gone > 0 {
		select {
		case c.room <- struct{}{}:
		default:
		}
	}
	return due
}

// Pending returns the number of records from the oldest that is not done to the
// newest that was begun.
func (c *Completions) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tracker.Pending()
}

// Flush stores how far all is done, now. Its errors are those of
// [Shard.Checkpoint].
func (c *Completions) Flush(ctx context.Context) error {
	select {
	case <-c.token:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { c.token <- struct{}{} }()
	return c.store(ctx)
}

// wakeAt is when Batches is to look again, zero for never: when what is done is due
// to be stored, or could be that is done from now on.
func (c *Completions) wakeAt() time.Time {
	if c == nil {
		return time.Time{}
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	at := now.Add(c.opts.CheckpointInterval)
	if w, ok := c.tracker.Watermark(); ok && w != c.stored && !c.since.IsZero() {
		at = c.since.Add(c.opts.CheckpointInterval)
		if at.Before(c.pause) {
			at = c.pause
		}
	}
	if least := now.Add(minPollGap); at.Before(least) {
		return least
	}
	return at
}

// storeDue stores the watermark if it is time and nobody else does. That the
// table does not take it at the moment is no error.
func (c *Completions) storeDue(ctx context.Context) error {
	if c == nil || !c.due(time.Now()) {
		return nil
	}
	select {
	case <-c.token:
	default:
		return nil
	}
	defer func() { c.token <- struct{}{} }()
	err := c.store(ctx)
	var refused *CheckpointError
	if err == nil || errors.As(err, &refused) || errors.Is(err, lease.ErrLost) || errors.Is(err, lease.ErrFinished) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shard
	c.pause = time.Now().Add(checkpointBackoff.Delay(s.epoch.Owner, "complete", s.id, c.failures))
	c.failures++
	return nil
}

func (c *Completions) due(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dueAt(now)
}

// dueAt is due for who holds mu.
func (c *Completions) dueAt(now time.Time) bool {
	if w, ok := c.tracker.Watermark(); !ok || w == c.stored || c.since.IsZero() || now.Before(c.pause) {
		return false
	}
	return c.opts.CheckpointEvery > 0 && c.done >= c.opts.CheckpointEvery || !now.Before(c.since.Add(c.opts.CheckpointInterval))
}

// store stores the watermark. The caller has the token.
func (c *Completions) store(ctx context.Context) error {
	c.mu.Lock()
	w, ok := c.tracker.Watermark()
	ok = ok && w != c.stored
	done := c.done
	c.mu.Unlock()
	if !ok {
		return nil
	}
	if err := c.shard.Checkpoint(ctx, w); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored, c.done, c.failures, c.pause = w, c.done-done, 0, time.Time{}
	if c.since = (time.Time{}); c.done > 0 {
		c.since = time.Now()
	}
	return nil
}
