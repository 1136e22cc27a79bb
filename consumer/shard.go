package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// A Shard is what a [Handler] works on: one shard of one stream, for as long as
// this worker holds its lease.
//
// [Shard.Batches] belongs to the handler's goroutine. [Shard.Checkpoint] and the
// rest are safe for concurrent use.
type Shard struct {
	stream, id string // stream is what names it in events
	name       string
	streamID   string
	parents    []string // ids
	epoch      lease.Epoch
	source     batchSource
	store      func(context.Context, checkpoint.Position) error
	prepare    func(ctx context.Context, p checkpoint.Position, state []byte) error
	pending    *lease.Pending // announced before this tenure, nil if nothing was
	failed     func(CheckpointFailedInfo)
	opts       *Options // the consumer's, for its events

	// stops are the ends of Run's context and of the lease, nil in a test: something
	// to wait for beside source.err.
	stops [2]<-chan struct{}

	// inHands are the records that workers of an adapter have, nil without; used by
	// the handler's goroutine only.
	inHands *Completions

	// before is called before a position is stored, which it can prevent; nil if
	// nothing is to be done. Set by an adapter before it begins.
	before func(context.Context) error

	// seen is the window of an adapter that has one, and heritage has those of other
	// shards; nil in a test.
	seen     *dedupe
	heritage *heritage

	// tick is that of Tick; used by the handler's goroutine only.
	tick time.Duration

	// ended is set when the last batch has been asked past; read by the handler's
	// goroutine only.
	ended bool

	// inHand is that of the batch delivered last; used by the handler's goroutine
	// only.
	inHand *memory

	mu        sync.Mutex
	delivered checkpoint.Position // the newest record given to the handler
	stored    checkpoint.Position // the newest position in the lease row
	over      bool                // the handler has returned
	finishing *Completions        // nil if the handler has asked for none
}

// A batchSource produces the batches of a shard in order.
type batchSource interface {
	// next waits for a batch. It returns io.EOF at the end of the shard,
	// ErrStopping if the shard is to be given up, the cause of ctx's end, or
	// (nil, nil) if until passes first; a zero until never passes.
	next(ctx context.Context, until time.Time) (*Batch, error)

	// err returns why no more of the shard may be worked on: an error that wraps
	// lease.ErrLost, or ErrStopping. It is nil while the work may go on.
	err() error
}

// NewShard returns a Shard for a handler's unit test, without a stream or a
// lease: it yields batches and then ends with end, nil meaning the end of the
// shard (see [Shard.Batches] for the others). A nil batch stands for a time in
// which nothing comes, long enough for what is waiting to be due. store is called
// with each position [Shard.Checkpoint] accepts; nil accepts them all. Records
// without an [Origin] are given that of the shard.
func NewShard(stream, shardID string, batches []*Batch, end error, store func(context.Context, checkpoint.Position) error) *Shard {
	if store == nil {
		store = func(context.Context, checkpoint.Position) error { return nil }
	}
	if end == nil {
		end = io.EOF
	}
	origin := &Origin{Stream: stream, ShardID: shardID}
	for _, b := range batches {
		if b == nil {
			continue
		}
		for i := range b.Records {
			if b.Records[i].Origin == nil {
				b.Records[i].Origin = origin
			}
		}
	}
	opts := defaults()
	return &Shard{
		stream: stream, name: stream, id: shardID, store: store, failed: func(CheckpointFailedInfo) {}, opts: &opts,
		prepare: func(context.Context, checkpoint.Position, []byte) error { return nil },
		source:  &sequence{batches, end}, stored: checkpoint.TrimHorizon,
	}
}

// ID returns the shard's id, such as "shardId-000000000003".
func (s *Shard) ID() string { return s.id }

// Stream returns the name of the stream.
func (s *Shard) Stream() string { return s.name }

// StreamID tells the stream from others of its name, of other accounts or of
// former times: "account:name:epoch". It is empty in an application of one stream.
// Events name the streams of many by it.
func (s *Shard) StreamID() string { return s.streamID }

// Epoch identifies this tenure of the lease. A later tenure has a higher
// counter, whoever its owner is, so a system downstream that remembers the
// highest counter it has seen for a shard can refuse a worker that lost its
// lease and does not know it yet.
func (s *Shard) Epoch() lease.Epoch { return s.epoch }

// Checkpointed returns the position stored last: a record, or the sentinel the
// application starts at if none was stored.
func (s *Shard) Checkpointed() checkpoint.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}

// Batches yields the shard's records from the stored position on, in order,
// waiting for more while the shard is open. It ends
//
//   - without an error at the end of the shard: everything was delivered. When
//     the handler then returns nil, the shard is marked as finished and its
//     children may be read;
//   - with [ErrStopping] when the shard is to be given up; ctx is still alive;
//   - with the cause of ctx's end when that comes first, for the handler's own
//     ctx lease.ErrLost or lease.ErrDrainTimeout.
//
// It is single-use in that a second call goes on where the first one stopped.
// Breaking out of it loses nothing: the batch that was yielded stays delivered.
func (s *Shard) Batches(ctx context.Context) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		yielded := time.Now()
		for {
			finishing := s.completions()
			until := finishing.wakeAt()
			if s.tick > 0 {
				until = earliest(until, yielded.Add(s.tick))
			}
			b, err := s.next(ctx, until)
			if b == nil && err == nil {
				err = finishing.storeDue(ctx)
				switch {
				case err == nil && s.tick > 0 && !time.Now().Before(yielded.Add(s.tick)):
					b = &Batch{}
				case err == nil:
					continue
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				return
			}
			yielded = time.Now()
		}
	}
}

// Tick has Batches yield an empty batch when none has come for so long, so that
// the handler can do what is due by time, such as flushing what it has gathered.
// 0, which is how it begins, yields none. It belongs to the handler's goroutine.
func (s *Shard) Tick(every time.Duration) { s.tick = every }

// next is Batches for the adapters of this package, which have something to do
// when no batch comes: (nil, nil) when until has passed.
func (s *Shard) next(ctx context.Context, until time.Time) (*Batch, error) {
	switch {
	case s.isOver():
		return nil, fmt.Errorf("consumer: shard %s: its handler has returned", s.id)
	case s.ended:
		return nil, io.EOF
	}
	s.letGo()
	b, err := s.source.next(ctx, until)
	if errors.Is(err, io.EOF) {
		s.ended = true
	}
	if b != nil {
		s.inHand = b.mem
	}
	if b != nil && len(b.Records) > 0 {
		s.mu.Lock()
		s.delivered = b.Last()
		s.mu.Unlock()
	}
	return b, err
}

// alive returns why no more of the shard may be worked on, nil if it may.
func (s *Shard) alive(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.source.err()
}

// handledTo returns how far the shard is done with when it was read up to t: no
// further than a record that workers still have.
func (s *Shard) handledTo(t time.Time) time.Time {
	return earliest(s.inHands.oldest(), t)
}

// rest waits until a moment, for ever if it is zero, or until wake yields. It
// returns early, with the reason, when no more of the shard may be worked on.
func (s *Shard) rest(ctx context.Context, until time.Time, wake <-chan struct{}) error {
	var due <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		due = t.C
	}
	if err := s.alive(ctx); err != nil {
		return err
	}
	select {
	case <-due:
	case <-wake:
	case <-ctx.Done():
	case <-s.stops[0]:
	case <-s.stops[1]:
	}
	return s.alive(ctx)
}

// letGo releases the batch delivered last: the handler asks for another, or has
// returned.
func (s *Shard) letGo() {
	s.inHand.release()
	s.inHand = nil
}

// storeDelivered stores that all that was delivered is done.
func (s *Shard) storeDelivered(ctx context.Context) error {
	s.mu.Lock()
	p := s.delivered
	s.mu.Unlock()
	if p.IsZero() {
		return nil
	}
	if err := s.beforeStore(ctx); err != nil {
		return err
	}
	return s.store(ctx, p)
}

// end makes the shard useless: its handler has returned.
func (s *Shard) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

func (s *Shard) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// Checkpoint stores that everything up to and including the record at p is
// done, so that whoever reads the shard next starts behind it. p is the position
// of a record that was delivered, at or behind the one stored last; storing that
// one again does nothing.
//
// It waits for the store. A [*CheckpointError] means that p was refused and is
// not stored, which is also what happens to a call after the handler has
// returned; lease.ErrLost that another worker has the shard, so the records since
// the last checkpoint will be delivered there; any other error that p may or may
// not be stored: then the shard is still held, the call may be repeated, and
// [Events.CheckpointFailed] has been told.
func (s *Shard) Checkpoint(ctx context.Context, p checkpoint.Position) error {
	if again, err := s.admit(p); again || err != nil {
		return err
	}
	err := s.beforeStore(ctx)
	if err == nil {
		err = s.store(ctx, p)
	}
	if err := s.told(p, err); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Compare(s.stored) > 0 {
		s.stored = p
	}
	return nil
}

// beforeStore does what has to be done before a position is stored, the end of
// the shard too.
func (s *Shard) beforeStore(ctx context.Context) error {
	if s.before == nil {
		return nil
	}
	return s.before(ctx)
}

// Prepare announces that p is about to be stored, the first phase of a checkpoint
// in two; [Shard.Checkpoint] of p is the second. If this worker dies between the
// two, whoever has the shard next finds p and state in [Shard.Pending], and can
// tell whether what belongs to p, say a transaction in another system, was
// completed. Reading starts behind the position stored all the same.
//
// State is the application's own, at most lease.MaxPendingState bytes. The errors
// are those of Checkpoint.
func (s *Shard) Prepare(ctx context.Context, p checkpoint.Position, state []byte) error {
	if again, err := s.admit(p); again || err != nil {
		return err
	}
	return s.told(p, s.prepare(ctx, p, state))
}

// Pending returns what an earlier tenure announced by [Shard.Prepare] and did not
// store, by a Java worker too, and false if nothing.
func (s *Shard) Pending() (p checkpoint.Position, state []byte, ok bool) {
	if s.pending == nil {
		return checkpoint.Position{}, nil, false
	}
	return s.pending.At, s.pending.State, true
}

// admit judges whether p may be stored. Again means that it is.
func (s *Shard) admit(p checkpoint.Position) (again bool, err error) {
	s.mu.Lock()
	delivered, stored, over := s.delivered, s.stored, s.over
	s.mu.Unlock()
	switch {
	case over:
		return false, s.refused(p, "handler has returned", stored)
	case !p.IsRecord():
		return false, s.refused(p, "not a record", delivered)
	case p == stored:
		return true, nil
	case p.Compare(delivered) > 0:
		return false, s.refused(p, "not delivered yet", delivered)
	case p.Compare(stored) < 0:
		return false, s.refused(p, "moves back", stored)
	}
	return false, nil
}

// told turns the answer of the lease to p into what a handler is told.
func (s *Shard) told(p checkpoint.Position, err error) error {
	var back *lease.BackwardsError
	switch {
	case errors.As(err, &back): // by a call beside this one
		return s.refused(p, "moves back", back.Stored)
	case err != nil && !errors.Is(err, lease.ErrLost) && !errors.Is(err, lease.ErrFinished):
		s.failed(CheckpointFailedInfo{Stream: s.stream, ShardID: s.id, Position: p, Err: err})
	}
	return err
}

func (s *Shard) refused(p checkpoint.Position, reason string, bound checkpoint.Position) error {
	return &CheckpointError{ShardID: s.id, Position: p.String(), Bound: bound.String(), Reason: reason}
}

// A sequence is a batchSource of ready batches.
type sequence struct {
	batches []*Batch
	end     error
}

// err is nil: the batches of a test are all meant to be handled.
func (q *sequence) err() error { return nil }

func (q *sequence) next(ctx context.Context, until time.Time) (*Batch, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if len(q.batches) == 0 {
			return nil, q.end
		}
		b := q.batches[0]
		q.batches = q.batches[1:]
		switch {
		case b != nil:
			return b, nil
		case !until.IsZero():
			return nil, sleep(ctx, time.Until(until))
		}
	}
}
