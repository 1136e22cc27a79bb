package consumer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// ReadShard reads one shard without a lease, for a program that decides itself
// who reads what and keeps the positions where it likes:
//
//	for batch, err := range consumer.ReadShard(ctx, client, "clicks", id, consumer.From(stored)) {
//		if err != nil {
//			return err
//		}
//		… work, and store batch.Last() …
//	}
//	next, err := consumer.Children(ctx, client, "clicks", id)
//
// It begins at from, [From] with the position of a record stored before or any
// other [Start], and waits for more while the shard is open. It ends without an
// error at the end of the shard, when everything was yielded; [checkpoint.ShardEnd]
// is what a program stores then, and From of it yields nothing. [Children] are to
// be read after it, from their first record on, and [Shards] are those to begin
// with.
//
// The error, which is the last thing yielded, is
//
//   - the cause of ctx's end;
//   - [ErrNoShard] if the stream has no such shard. One that has passed out of
//     retention ends without an error if shards that continue it are left, and
//     [Events.Skipped] tells it;
//   - what Kinesis says if it goes on refusing for a reason that no retry mends,
//     that the stream is gone or access denied: at once at the start, later when it
//     has said so for some seconds. Everything else is repeated with back-off for
//     as long as ctx lives and reported by [Events.ReadFailed];
//   - a fault of the arguments or options.
//
// Of the [Options] those count that are about pages and records, and Events and
// Logger: not Start, for which there is from, nor what concerns fan-out, stalls and
// leases. A page is asked for when the one before has been worked on,
// on the caller's goroutine: ReadShard starts none, and breaking out of the loop
// leaves nothing behind. Each loop over the sequence begins at from.
func ReadShard(ctx context.Context, client KinesisAPI, stream, shardID string, from Start, optFns ...func(*Options)) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		s, err := newSolo(client, stream, optFns)
		if err = errors.Join(err, from.validateShard()); err == nil && from.at != checkpoint.ShardEnd {
			err = s.readShard(ctx, shardID, from, func(b *Batch) bool { return yield(b, nil) })
		}
		if err != nil && !errors.Is(err, errBroken) {
			yield(nil, err)
		}
	}
}

// Shards lists the shards of a stream to begin with: those that were open at a
// place, each hash key in one of them. Their children follow when they have been
// read.
func Shards(ctx context.Context, client KinesisAPI, stream string, at Start) ([]lease.Shard, error) {
	s, err := newSolo(client, stream, nil)
	if err = errors.Join(err, at.validate()); err != nil {
		return nil, err
	}
	return s.shards(ctx, at)
}

// Children lists the shards that continue a closed one, also if it has passed out
// of retention itself: two after a split, one after a merge, none if the shard is
// still open. A merged shard is to be read when both its Parents have been.
func Children(ctx context.Context, client KinesisAPI, stream, shardID string) ([]lease.Shard, error) {
	s, err := newSolo(client, stream, nil)
	if err != nil {
		return nil, err
	}
	all, err := s.list(ctx, lease.ShardsAt{}, 1)
	return childrenOf(shardID, all), err
}

// validateShard judges s as a place in one shard.
func (s Start) validateShard() error {
	if s.at.IsZero() || s.at == checkpoint.AtTimestamp {
		return s.validate()
	}
	return s.at.Validate()
}

// errBroken ends the reading of who has broken out of a loop.
var errBroken = errors.New("consumer: loop was left")

// refusals are the answers of Kinesis that no retry mends.
var refusals = []string{
	"ResourceNotFoundException", "InvalidArgumentException", "ValidationException",
	"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException",
	"ExpiredTokenException", "IncompleteSignatureException", "MissingAuthenticationTokenException",
}

// refusalsInARow is how often Kinesis refuses before a reader that has begun
// gives up, which with readBackoff takes about 20 s: rights and credentials may
// be on their way.
const refusalsInARow = 8

// A solo is a reader that has no leases.
type solo struct {
	client   KinesisAPI
	stream   streamRef
	opts     Options
	budget   *Budget
	identity string // spreads the jitter of different readers
}

func newSolo(client KinesisAPI, stream string, optFns []func(*Options)) (*solo, error) {
	o := defaults()
	for _, fn := range optFns {
		fn(&o)
	}
	o.Start = Start{}
	ref, err := parseStream(stream)
	if err = errors.Join(err, o.validate()); client == nil {
		err = errors.Join(err, errors.New("consumer: client is nil, want a Kinesis client"))
	}
	if err != nil {
		return nil, err
	}
	if o.Budget == nil {
		o.Budget = NewBudget(o.MaxBufferedBytes)
	}
	return &solo{client: client, stream: ref, opts: o, budget: o.Budget, identity: rand.Text()}, nil
}

// givingUp makes the reader end ctx, which is returned, when Kinesis goes on
// refusing. It is called once, before the reader begins.
func (s *solo) givingUp(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	told := s.opts.Events.ReadFailed
	s.opts.Events.ReadFailed = func(i ReadFailedInfo) {
		call(told, i)
		if i.Failures >= refusalsInARow && isCode(i.Err, refusals...) {
			cancel(fmt.Errorf("consumer: read shard %s of %s: %w", i.ShardID, i.Stream, i.Err))
		}
	}
	return ctx, cancel
}

// list lists shards. It tries until it has them, Kinesis has refused that often,
// or ctx ends.
func (s *solo) list(ctx context.Context, at lease.ShardsAt, refused int) ([]lease.Shard, error) {
	src := &source{client: s.client, stream: s.stream}
	for n := 0; ; n++ {
		shards, err := src.Shards(ctx, lease.Stream{}, at)
		switch {
		case err == nil:
			return shards, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case n+1 >= refused && isCode(err, refusals...):
			return nil, err
		}
		s.opts.readFailed(ReadFailedInfo{Stream: s.stream.name, Err: err, Failures: n + 1, Throttled: isCode(err, "LimitExceededException")})
		if err := sleep(ctx, max(minPollGap, readBackoff.Delay(s.identity, "list", s.stream.name, n))); err != nil {
			return nil, err
		}
	}
}

// shards lists the shards that were open at a place.
func (s *solo) shards(ctx context.Context, at Start) ([]lease.Shard, error) {
	switch at.position() {
	case checkpoint.Latest:
		return s.list(ctx, lease.ShardsAt{Kind: lease.ShardsAtLatest}, 1)
	case checkpoint.AtTimestamp:
		return s.list(ctx, lease.ShardsAt{Kind: lease.ShardsAtTimestamp, Time: at.time}, 1)
	}
	return s.list(ctx, lease.ShardsAt{Kind: lease.ShardsAtTrimHorizon}, 1)
}

// find returns the shard of an id, and false if it has passed out of retention.
func (s *solo) find(ctx context.Context, id string) (lease.Shard, bool, error) {
	all, err := s.list(ctx, lease.ShardsAt{}, 1)
	if err != nil {
		return lease.Shard{}, false, err
	}
	if i := slices.IndexFunc(all, func(s lease.Shard) bool { return s.ID == id }); i >= 0 {
		return all[i], true, nil
	}
	if len(childrenOf(id, all)) == 0 {
		return lease.Shard{}, false, fmt.Errorf("%w: %q in %s", ErrNoShard, clip(id), s.stream.name)
	}
	return lease.Shard{}, false, nil
}

// readShard yields the batches of one shard to its end.
func (s *solo) readShard(ctx context.Context, id string, from Start, yield func(*Batch) bool) error {
	ctx, cancel := s.givingUp(ctx)
	defer cancel(nil)
	shard, retained, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if !retained {
		s.opts.skipped(SkippedInfo{
			Stream: s.stream.name, ShardID: id, Reason: SkippedTrimmed, From: from.position(), To: checkpoint.ShardEnd,
		})
		return nil
	}
	p, u := s.poller(shard, from), s.unpacker(shard, from)
	defer p.account.close()
	for {
		pg, err := p.next(ctx)
		if err != nil {
			return err
		}
		u.load(pg)
		if err := hand(ctx, &u, yield); err != nil || pg.end {
			return err
		}
	}
}

// hand yields the batches of the page that u has loaded.
func hand(ctx context.Context, u *unpacker, yield func(*Batch) bool) error {
	defer u.drop()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b := u.batch()
		if b == nil {
			return nil
		}
		if more := handBatch(b, yield); !more {
			return errBroken
		}
	}
}

// handBatch yields one batch and lets go of what it lies in.
func handBatch(b *Batch, yield func(*Batch) bool) bool {
	defer b.mem.release() // also when the loop panics
	return yield(b)
}

// poller returns a poller whose account is to be closed.
func (s *solo) poller(shard lease.Shard, from Start) *poller {
	return &poller{
		place: &place{
			client: s.client, stream: s.stream, shardID: shard.ID,
			start: from.time, identity: s.identity, opts: &s.opts, from: from.position(),
		},
		interval: s.opts.PollInterval, account: newAccount(s.budget),
	}
}

func (s *solo) unpacker(shard lease.Shard, from Start) unpacker {
	return unpacker{
		stream: s.stream.name, shardID: shard.ID, hashes: shard.Range,
		after: from.position(), opts: &s.opts, observe: func(int) {},
	}
}
