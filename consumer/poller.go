package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/internal/wire"
)

const (
	// minPollGap keeps a reader under the 5 GetRecords calls a second that a
	// shard answers, all its readers together.
	minPollGap = 200 * time.Millisecond

	// pollBytesPerSecond is what GetRecords gives of a shard, all its readers
	// together.
	pollBytesPerSecond = 2 << 20

	// fullPage is the size of a page after which a shard answers no call for 5
	// seconds.
	fullPage      = 10 << 20
	fullPagePause = 5 * time.Second

	// pollMargin is what is added to a pause because of bytes at least, since the
	// shard's clock is not ours, and a fifth of the pause at most: who always came
	// back when the shard is ready again would leave nothing to other readers.
	pollMargin = 20 * time.Millisecond

	// maxPollGap bounds how slow a reader becomes for others' sake, and
	// maxThrottleGap how long it waits after a throttle, before jitter.
	maxPollGap     = 10 * time.Second
	maxThrottleGap = time.Second

	// callTimeout ends a call to Kinesis that does not answer. The SDK sets no
	// bound of its own.
	callTimeout = 30 * time.Second
)

// readBackoff spaces the attempts of a read that fails.
var readBackoff = pace.Backoff{Base: 250 * time.Millisecond, Max: 10 * time.Second}

// throttleJitter spreads those of a read that is throttled. It does not grow: of
// several readers the one that comes away empty has to try as often as the one that
// was lucky, who pauses for what it got.
var throttleJitter = pace.Backoff{Base: time.Second / 2, Max: time.Second / 2}

// A poller reads one shard with GetRecords, page by page. It belongs to one
// goroutine.
//
// What a shard gives is for all applications together, and none knows of the
// others. A poller asks for all of it until it is throttled, then for a share;
// see pace.Share.
type poller struct {
	*place
	interval time.Duration // between calls at the tip
	account  *account

	iterator  *string
	share     pace.Share
	wait      time.Duration // between the start of the last call and the next
	called    time.Time
	failures  int // in a row
	throttles int // in a row
}

// next returns the next page, an empty one too. It tries until it has one; the
// only error is the cause of ctx's end.
func (p *poller) next(ctx context.Context) (page, error) {
	for {
		pg, err := p.try(ctx)
		if err == nil || ctx.Err() != nil {
			return pg, err
		}
	}
}

// try makes one attempt at the next page when it is time for it. An error was
// reported, unless it is the cause of ctx's end.
func (p *poller) try(ctx context.Context) (page, error) {
	if err := sleep(ctx, p.wait-time.Since(p.called)); err != nil {
		return page{}, err
	}
	room, err := p.account.reserve(ctx, p.account.expected())
	if err != nil {
		return page{}, err
	}
	p.called = time.Now()
	pg, err := p.attempt(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if err != nil {
		p.failed(err)
	}
	if err != nil {
		room.cancel()
		return page{}, err
	}
	pg.mem = room.settle(pg.records, pg.buffer)
	p.failures, p.throttles = 0, 0
	p.share.Passed(p.called)
	p.wait = p.gap(pg)
	if p.wait > p.interval && pg.behind > 0 { // because of bytes, which count from the answer on
		yield := pace.Backoff{Base: p.wait / 5, Max: p.wait / 5}
		p.wait += time.Since(p.called) + pollMargin + yield.Delay(p.identity, "yield", p.from.SequenceNumber, 0)
	}
	return pg, nil
}

// gap returns the time between the call that returned pg and the next.
func (p *poller) gap(pg page) time.Duration {
	gap := p.interval
	if pg.behind > 0 {
		gap = minPollGap
	}
	bytes := payload(pg.records)
	spent := time.Duration(bytes) * time.Second / pollBytesPerSecond
	gap = min(time.Duration(float64(max(gap, spent))/p.share.At(p.called)), max(maxPollGap, spent))
	if bytes >= fullPage {
		gap = max(gap, fullPagePause)
	}
	return gap
}

// failed reports a failed attempt and sets the pause before the next. That the
// shard gives no more at present is no failure: the pace changes.
func (p *poller) failed(err error) {
	if isThrottle(err) {
		now := time.Now()
		p.share.Throttled(p.called, now)
		p.throttles++
		least := min(maxThrottleGap, time.Duration(float64(minPollGap)/p.share.At(now)))
		p.wait = least + throttleJitter.Delay(p.identity, "throttle", p.shardID, p.throttles)
		p.readFailed(err, p.throttles)
		return
	}
	p.wait = max(minPollGap, readBackoff.Delay(p.identity, "read", p.shardID, p.failures))
	p.failures++
	p.readFailed(err, p.failures)
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
	if err := p.pinStart(ctx); err != nil {
		return page{}, err
	}
	out, err := wire.Call(ctx, p.wire, p.client.GetRecords, &kinesis.GetRecordsInput{
		ShardIterator: p.iterator,
		StreamARN:     p.stream.arnOnly(),
	}, noRetries)
	if err != nil {
		return p.afterError(ctx, err)
	}
	pg := page{at: p.called, records: out.Records, behind: time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond}
	pg.buffer = wire.Kept(out.ResultMetadata)
	if out.NextShardIterator == nil {
		if pg.children, err = p.childrenAtEnd(ctx, out.ChildShards); err != nil {
			return page{}, err // the iterator stays: the page is read again
		}
		pg.end = true
	}
	p.iterator = out.NextShardIterator
	p.answered(p.called, out.ResultMetadata)
	p.took(pg, "")
	return pg, nil
}

// afterError decides what a refused call means for the iterator.
func (p *poller) afterError(ctx context.Context, err error) (page, error) {
	switch {
	case isCode(err, "ResourceNotFoundException"):
		p.iterator = nil
		return p.gone(ctx, err)
	case isCode(err, "ExpiredIteratorException", "InvalidArgumentException") && p.iterator != nil:
		// An iterator the service does not accept is made again.
		p.iterator = nil
	case isCode(err, "InvalidArgumentException") && p.from.IsRecord():
		// The position itself is refused: what it names was trimmed, unless the
		// stream is another. Reading goes on with the oldest record there is, and
		// says so.
		if doubt := p.doubt(ctx); doubt != nil {
			return page{}, errors.Join(err, doubt)
		}
		p.opts.skipped(SkippedInfo{
			Stream: p.stream.name, ShardID: p.shardID, Reason: SkippedTrimmed,
			From: p.from, To: checkpoint.TrimHorizon, Err: err,
		})
		p.from, p.fetched, p.continuation = checkpoint.TrimHorizon, false, ""
	}
	return page{}, err
}

// open asks for an iterator at the position reached.
func (p *poller) open(ctx context.Context) (*string, error) {
	at := p.request()
	out, err := p.client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: p.stream.nameOnly(), StreamARN: p.stream.arnOnly(), ShardId: &p.shardID,
		ShardIteratorType: at.kind, StartingSequenceNumber: at.sequence, Timestamp: at.at,
	}, noRetries)
	if err != nil {
		return nil, err
	}
	if out.ShardIterator == nil {
		return nil, fmt.Errorf("consumer: GetShardIterator of %s returned no iterator", p.shardID)
	}
	p.begun(at, p.called, out.ResultMetadata)
	return out.ShardIterator, nil
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

// isThrottle reports whether err says that the shard, or the account, gives no
// more at present.
func isThrottle(err error) bool {
	return isCode(err, "ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException", "KMSThrottlingException")
}

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
