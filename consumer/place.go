package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/wire"
	"github.com/kinesis-go/kinesis/lease"
)

// A page is consecutive records of a shard: what one GetRecords call returned, or
// one event of a subscription.
type page struct {
	at       time.Time // when it was asked for, or came
	records  []types.Record
	buffer   int // bytes of memory that the data of all of them lie in, 0 if it is not known
	mem      *memory
	behind   time.Duration
	beat     bool          // says only that the shard is quiet; may be left out
	end      bool          // nothing follows: the shard is closed and read to its end
	children []lease.Shard // with end
	err      error         // nothing follows: reading has been given up
}

// A place is where the reading of a shard goes on. It is the same for both ways
// of reading, so that one goes on where the other stopped. It belongs to the
// goroutine that fetches.
type place struct {
	client   KinesisAPI
	wire     *wire.Codec // of GetRecords; nil leaves it to the SDK
	stream   streamRef
	shardID  string
	start    time.Time // where checkpoint.AtTimestamp starts
	identity string    // spreads the jitter of different workers
	opts     *Options

	// from is where the next request begins: the position stored last or, once
	// records were fetched, the last of those.
	from    checkpoint.Position
	fetched bool
	heard   time.Time // when the shard last answered, by its clock if it tells

	// continuation is the number by which the subscription goes on, "" if the
	// records were not read by one.
	continuation string

	// pin stores what LATEST stands for in the lease; unpinned is that while it is
	// not stored.
	pin      func(ctx context.Context, at time.Time) error
	unpinned time.Time

	// verify makes sure that the stream is the one that the position belongs to,
	// before it is believed that records are gone. Nil if there is no lease.
	verify func(ctx context.Context) error

	// sought is the record the next page must begin with, zero if there is none.
	sought checkpoint.Position
}

// A request is where Kinesis is asked to begin.
type request struct {
	kind     types.ShardIteratorType
	sequence *string
	at       *time.Time
}

// request says where to begin.
func (p *place) request() request {
	p.sought = checkpoint.Position{}
	switch {
	case p.from == checkpoint.Latest && !p.heard.IsZero():
		// LATEST is judged anew by each call. Once the shard has answered, what
		// arrived since then may not be passed over.
		return request{kind: types.ShardIteratorTypeAtTimestamp, at: aws.Time(p.heard)}
	case p.from == checkpoint.Latest:
		return request{kind: types.ShardIteratorTypeLatest}
	case p.from == checkpoint.AtTimestamp:
		return request{kind: types.ShardIteratorTypeAtTimestamp, at: &p.start}
	case !p.from.IsRecord():
		return request{kind: types.ShardIteratorTypeTrimHorizon}
	case p.fetched:
		return request{kind: types.ShardIteratorTypeAfterSequenceNumber, sequence: &p.from.SequenceNumber}
	}
	// The stored position may lie inside an aggregate, so its record is read
	// again and what was done of it is left out.
	p.sought = p.from
	return request{kind: types.ShardIteratorTypeAtSequenceNumber, sequence: &p.from.SequenceNumber}
}

// resume is request for a subscription, which knows a place also where there are
// no records.
func (p *place) resume() request {
	if p.continuation != "" && p.sought.IsZero() {
		return request{kind: types.ShardIteratorTypeAfterSequenceNumber, sequence: aws.String(p.continuation)}
	}
	return p.request()
}

// begun notes that the shard has accepted a request made at called.
func (p *place) begun(r request, called time.Time, meta middleware.Metadata) {
	if r.kind == types.ShardIteratorTypeLatest {
		p.answered(called, meta)
		p.unpinned = p.heard
	}
}

// answered notes when the shard answered a call made at called: as early as that can
// have been, since the answer does not have what arrived while it was on its way.
func (p *place) answered(called time.Time, meta middleware.Metadata) {
	p.heard = called
	if sent, ok := awsmiddleware.GetServerTime(meta); ok {
		p.heard = sent.Add(-time.Since(called))
	}
}

// took notes that reading goes on behind pg.
func (p *place) took(pg page, continuation string) {
	p.checkSought(pg)
	p.continuation = continuation
	if n := len(pg.records); n > 0 {
		p.from, p.fetched = position(&pg.records[n-1]), true
	}
}

// checkSought looks whether the record that reading goes on from is still there.
// The service says nothing if it is not: it goes on with the oldest it has.
func (p *place) checkSought(pg page) {
	if p.sought.IsZero() || len(pg.records) == 0 && !pg.end {
		return
	}
	found := checkpoint.ShardEnd
	if len(pg.records) > 0 {
		found = position(&pg.records[0])
	}
	if found.SequenceNumber != p.sought.SequenceNumber {
		p.opts.skipped(SkippedInfo{
			Stream: p.stream.name, ShardID: p.shardID, Reason: SkippedTrimmed, From: p.sought, To: found,
		})
	}
	p.sought = checkpoint.Position{}
}

// pinStart stores where the shard begins for a worker that takes it over before
// the first checkpoint. While that fails nothing may be read: whoever takes it over
// then begins somewhere else, and what was in hand here would be passed over.
func (p *place) pinStart(ctx context.Context) error {
	if p.pin == nil || p.unpinned.IsZero() {
		return nil
	}
	if err := p.pin(ctx, p.unpinned); err != nil {
		// Not wrapped: that the table is throttled, say, tells nothing of the shard.
		return fmt.Errorf("consumer: store where shard %s begins: %v", p.shardID, err)
	}
	p.unpinned = time.Time{}
	return nil
}

// childrenAtEnd returns the shards that continue this one. Not every server
// names them with the last page, or their parents; then the list of shards does.
// A shard that the list shows open has not ended, whatever the page said.
func (p *place) childrenAtEnd(ctx context.Context, named []types.ChildShard) ([]lease.Shard, error) {
	orphan := func(c types.ChildShard) bool { return !slices.Contains(c.ParentShards, p.shardID) }
	if len(named) > 0 && !slices.ContainsFunc(named, orphan) {
		return childShards(named)
	}
	all, err := listShards(ctx, p.client, p.stream, nil)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.ID == p.shardID && !s.Closed {
			return nil, fmt.Errorf("consumer: shard %s says that it has ended, yet it is open", p.shardID)
		}
	}
	return childrenOf(p.shardID, all), nil
}

// doubt returns why it is not certain that the stream is still the same.
func (p *place) doubt(ctx context.Context) error {
	if p.verify == nil {
		return nil
	}
	return p.verify(ctx)
}

// gone decides what ResourceNotFound means: a shard that has passed out of
// retention ends here; a stream that is not there, or not visible from here, is
// no reason to call its records read.
func (p *place) gone(ctx context.Context, cause error) (page, error) {
	all, err := listShards(ctx, p.client, p.stream, nil)
	if err != nil || len(all) == 0 { // no stream is without shards
		return page{}, errors.Join(cause, err)
	}
	for _, s := range all {
		if s.ID == p.shardID {
			return page{}, cause
		}
	}
	if doubt := p.doubt(ctx); doubt != nil {
		return page{}, errors.Join(cause, doubt)
	}
	if !slices.ContainsFunc(all, func(s lease.Shard) bool { return laterShard(s.ID, p.shardID) }) {
		// What continues a shard, and is there when that is gone, was made after it. So
		// this one is new, and neither the list nor whoever reads knows it yet.
		return page{}, cause
	}
	p.opts.skipped(SkippedInfo{
		Stream: p.stream.name, ShardID: p.shardID, Reason: SkippedTrimmed,
		From: p.from, To: checkpoint.ShardEnd, Err: cause,
	})
	return page{end: true, children: childrenOf(p.shardID, all)}, nil
}

// laterShard reports whether shard a was created after b: Kinesis numbers them.
func laterShard(a, b string) bool {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) > 0
}

// readFailed reports a failed call.
func (p *place) readFailed(err error, failures int) {
	p.opts.readFailed(ReadFailedInfo{
		Stream: p.stream.name, ShardID: p.shardID, Err: err, Failures: failures, Throttled: isThrottle(err),
	})
}
