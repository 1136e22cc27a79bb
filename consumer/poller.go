package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/lease"
)

const (
	// minPollGap keeps a reader under the 5 GetRecords calls a second that a
	// shard answers, all its readers together.
	minPollGap = 200 * time.Millisecond

	// callTimeout ends a call to Kinesis that does not answer. The SDK sets no
	// bound of its own.
	callTimeout = 30 * time.Second
)

// readBackoff spaces the attempts of a read that fails.
var readBackoff = pace.Backoff{Base: 250 * time.Millisecond, Max: 10 * time.Second}

// A page is what one GetRecords call returned.
type page struct {
	at       time.Time // when it was asked for
	records  []types.Record
	mem      *memory
	behind   time.Duration
	end      bool          // nothing follows: the shard is closed and read to its end
	children []lease.Shard // with end
}

// A poller reads one shard with GetRecords, page by page. It belongs to one
// goroutine.
type poller struct {
	client   KinesisAPI
	stream   streamRef
	shardID  string
	start    time.Time     // where checkpoint.AtTimestamp starts
	interval time.Duration // between calls at the tip
	identity string        // spreads the jitter of different workers
	opts     *Options

	// from is where the next iterator begins: the position stored last or, once
	// records were fetched, the last of those.
	from    checkpoint.Position
	fetched bool
	heard   time.Time // when the shard last answered, by its clock if it tells

	// pin stores what LATEST stands for in the lease; unpinned is that while it is
	// not stored.
	pin      func(ctx context.Context, at time.Time) error
	unpinned time.Time

	// sought is the record the next page must begin with, zero if there is none.
	sought checkpoint.Position

	iterator *string
	wait     time.Duration // between the start of the last call and the next
	called   time.Time
	failures int // in a row
}

// next returns the next page, an empty one too. It tries until it has one; the
// only error is the cause of ctx's end.
func (p *poller) next(ctx context.Context) (page, error) {
	for {
		if err := sleep(ctx, p.wait-time.Since(p.called)); err != nil {
			return page{}, err
		}
		p.called = time.Now()
		pg, err := p.attempt(ctx)
		if ctx.Err() != nil {
			return page{}, context.Cause(ctx)
		}
		if err == nil {
			p.failures = 0
			return pg, nil
		}
		p.failed(err)
	}
}

// failed reports a failed attempt and sets the pause before the next.
func (p *poller) failed(err error) {
	p.wait = max(minPollGap, readBackoff.Delay(p.identity, "read", p.shardID, p.failures))
	p.failures++
	p.opts.readFailed(ReadFailedInfo{
		Stream: p.stream.name, ShardID: p.shardID, Err: err, Failures: p.failures,
		Throttled: isCode(err, "ProvisionedThroughputExceededException", "LimitExceededException"),
	})
}

// attempt makes one try at a page.
func (p *poller) attempt(ctx context.Context) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if p.iterator == nil {
		it, err := p.open(ctx)
		if err != nil {
			return p.afterError(ctx, err)
		}
		p.iterator = it
	}
	p.pinStart(ctx)
	out, err := p.client.GetRecords(ctx, &kinesis.GetRecordsInput{
		ShardIterator: p.iterator,
		StreamARN:     p.stream.arnOnly(),
	}, noRetries)
	if err != nil {
		return p.afterError(ctx, err)
	}
	pg := page{at: p.called, records: out.Records, behind: time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond}
	if out.NextShardIterator == nil {
		if pg.children, err = p.childrenAtEnd(ctx, out.ChildShards); err != nil {
			return page{}, err // the iterator stays: the page is read again
		}
		pg.end = true
	}
	p.iterator = out.NextShardIterator
	p.heard = p.called
	if at, ok := middleware.GetServerTime(out.ResultMetadata); ok {
		p.heard = at
	}
	p.checkSought(pg)
	if n := len(out.Records); n > 0 {
		p.from, p.fetched = checkpoint.At(aws.ToString(out.Records[n-1].SequenceNumber)), true
	}
	if p.wait = p.interval; pg.behind > 0 {
		p.wait = minPollGap
	}
	return pg, nil
}

// checkSought looks whether the record that reading goes on from is still there.
// The service says nothing if it is not: it goes on with the oldest it has.
func (p *poller) checkSought(pg page) {
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

// afterError decides what a refused call means for the iterator.
func (p *poller) afterError(ctx context.Context, err error) (page, error) {
	switch {
	case isCode(err, "ResourceNotFoundException"):
		return p.gone(ctx, err)
	case isCode(err, "ExpiredIteratorException", "InvalidArgumentException") && p.iterator != nil:
		// An iterator the service does not accept is made again.
		p.iterator = nil
	case isCode(err, "InvalidArgumentException") && p.from.IsRecord():
		// The position itself is refused: what it names was trimmed. Reading goes
		// on with the oldest record there is, and says so.
		p.opts.skipped(SkippedInfo{
			Stream: p.stream.name, ShardID: p.shardID, Reason: SkippedTrimmed,
			From: p.from, To: checkpoint.TrimHorizon, Err: err,
		})
		p.from, p.fetched = checkpoint.TrimHorizon, false
	}
	return page{}, err
}

// open asks for an iterator at the position reached.
func (p *poller) open(ctx context.Context) (*string, error) {
	p.sought = checkpoint.Position{}
	in := &kinesis.GetShardIteratorInput{
		StreamName: p.stream.nameOnly(),
		StreamARN:  p.stream.arnOnly(),
		ShardId:    &p.shardID,
	}
	switch {
	case p.from == checkpoint.Latest && !p.heard.IsZero():
		// LATEST is judged anew by each call. Once the shard has answered, what
		// arrived since then may not be passed over.
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, aws.Time(p.heard)
	case p.from == checkpoint.Latest:
		in.ShardIteratorType = types.ShardIteratorTypeLatest
	case p.from == checkpoint.AtTimestamp:
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, &p.start
	case !p.from.IsRecord():
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	case p.fetched:
		in.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
		in.StartingSequenceNumber = &p.from.SequenceNumber
	default:
		// The stored position may lie inside an aggregate, so its record is read
		// again and what was done of it is left out.
		p.sought = p.from
		in.ShardIteratorType = types.ShardIteratorTypeAtSequenceNumber
		in.StartingSequenceNumber = &p.from.SequenceNumber
	}
	out, err := p.client.GetShardIterator(ctx, in, noRetries)
	if err != nil {
		return nil, err
	}
	if out.ShardIterator == nil {
		return nil, fmt.Errorf("consumer: GetShardIterator of %s returned no iterator", p.shardID)
	}
	if in.ShardIteratorType == types.ShardIteratorTypeLatest {
		p.heard = p.called
		if at, ok := middleware.GetServerTime(out.ResultMetadata); ok {
			p.heard = at
		}
		p.unpinned = p.heard
	}
	return out.ShardIterator, nil
}

// pinStart stores where the shard begins for a worker that takes it over before
// the first checkpoint. What fails is tried again with the next page.
func (p *poller) pinStart(ctx context.Context) {
	if p.pin != nil && !p.unpinned.IsZero() && p.pin(ctx, p.unpinned) == nil {
		p.unpinned = time.Time{}
	}
}

// childrenAtEnd returns the shards that continue this one. Not every server
// names them with the last page, or their parents; then the list of shards does.
// A shard that the list shows open has not ended, whatever the page said.
func (p *poller) childrenAtEnd(ctx context.Context, named []types.ChildShard) ([]lease.Shard, error) {
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
			return nil, fmt.Errorf("consumer: shard %s returned no next iterator, yet it is open", p.shardID)
		}
	}
	return childrenOf(p.shardID, all), nil
}

// gone decides what ResourceNotFound means: a shard that has passed out of
// retention ends here; a stream that is not there, or not visible from here, is
// no reason to call its records read.
func (p *poller) gone(ctx context.Context, cause error) (page, error) {
	all, err := listShards(ctx, p.client, p.stream, nil)
	if err != nil || len(all) == 0 { // no stream is without shards
		return page{}, errors.Join(cause, err)
	}
	for _, s := range all {
		if s.ID == p.shardID {
			p.iterator = nil
			return page{}, cause
		}
	}
	p.opts.skipped(SkippedInfo{
		Stream: p.stream.name, ShardID: p.shardID, Reason: SkippedTrimmed,
		From: p.from, To: checkpoint.ShardEnd, Err: cause,
	})
	return page{end: true, children: childrenOf(p.shardID, all)}, nil
}

// sleep waits for d, or returns the cause of ctx's end.
func sleep(ctx context.Context, d time.Duration) error {
	if d > 0 && ctx.Err() == nil {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// noRetries switches the SDK's own retries off for one call: they share one
// budget over all shards of a client and hide throttling from the pace.
func noRetries(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// isCode reports whether err is an API error with one of the codes.
func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, c := range codes {
		if api.ErrorCode() == c {
			return true
		}
	}
	return false
}
