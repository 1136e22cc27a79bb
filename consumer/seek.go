package consumer

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
)

// A seeker looks for records of one shard. It belongs to one goroutine.
type seeker struct {
	client KinesisAPI
	stream streamRef
	shard  string
	called time.Time // the last GetRecords
}

// seekFirst and seekMost bound how far before a time its predecessor is looked
// for, doubling; a stream retains a year.
const (
	seekFirst = time.Second
	seekMost  = 2 * 366 * 24 * time.Hour
)

// before returns the position behind which the first record that arrived at t or
// later comes next: that of the record before it, whole, or TRIM_HORIZON if the
// shard has none any more. It returns false if nothing arrived since t.
//
// Kinesis finds the first record after a time and none before one, so what
// precedes it is looked for from earlier and earlier times on.
func (s *seeker) before(ctx context.Context, t time.Time) (checkpoint.Position, bool, error) {
	target, err := s.first(ctx, at(t))
	if err != nil || target == nil {
		return checkpoint.Position{}, false, err
	}
	oldest, err := s.first(ctx, &kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return checkpoint.Position{}, false, err
	}
	edge := position(target)
	if oldest == nil || position(oldest).Compare(edge) >= 0 {
		return checkpoint.TrimHorizon, true, nil
	}
	for back := seekFirst; back < seekMost; back *= 2 {
		last := checkpoint.Position{}
		err := s.scan(ctx, at(t.Add(-back)), nil, func(r *types.Record) bool {
			if position(r).Compare(edge) >= 0 {
				return false
			}
			last = wholePosition(new(aggregation.Decoder), r)
			return true
		})
		if err != nil {
			return checkpoint.Position{}, false, err
		}
		if !last.IsZero() {
			return last, true, nil
		}
	}
	return checkpoint.TrimHorizon, true, nil // what was before has been trimmed meanwhile
}

func at(t time.Time) *kinesis.GetShardIteratorInput {
	return &kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &t}
}

// wholePosition returns the position of the last user record in r.
func wholePosition(d *aggregation.Decoder, r *types.Record) checkpoint.Position {
	p := position(r)
	if agg, err := d.Decode(r.Data); err == nil {
		p.SubSequenceNumber = int64(max(agg.Len()-1, 0))
	}
	return p
}

// first returns the first record from a place on, nil if there is none.
func (s *seeker) first(ctx context.Context, from *kinesis.GetShardIteratorInput) (*types.Record, error) {
	var found *types.Record
	err := s.scan(ctx, from, aws.Int32(1), func(r *types.Record) bool {
		found = r
		return false
	})
	return found, err
}

// scan shows the records from a place on to visit, until that returns false or
// there are no more at present.
func (s *seeker) scan(ctx context.Context, from *kinesis.GetShardIteratorInput, limit *int32, visit func(*types.Record) bool) error {
	from.StreamName, from.StreamARN, from.ShardId = s.stream.nameOnly(), s.stream.arnOnly(), &s.shard
	it, err := retried(ctx, s, func(ctx context.Context) (*kinesis.GetShardIteratorOutput, error) {
		return s.client.GetShardIterator(ctx, from, noRetries)
	})
	if err != nil {
		return err
	}
	for next := it.ShardIterator; next != nil; {
		page, err := retried(ctx, s, func(ctx context.Context) (*kinesis.GetRecordsOutput, error) {
			return s.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next, StreamARN: s.stream.arnOnly(), Limit: limit}, noRetries)
		})
		if err != nil {
			return err
		}
		for i := range page.Records {
			if !visit(&page.Records[i]) {
				return nil
			}
		}
		if len(page.Records) == 0 && aws.ToInt64(page.MillisBehindLatest) == 0 {
			return nil
		}
		next = page.NextShardIterator
	}
	return nil
}

// seekAttempts bounds the tries of one call.
const seekAttempts = 10

// retried makes one call, again if what refuses it may pass: the shard answers 5
// reads a second, which the workers of the application make too.
func retried[T any](ctx context.Context, s *seeker, call func(context.Context) (T, error)) (T, error) {
	for n := 1; ; n++ {
		if err := sleep(ctx, minPollGap-time.Since(s.called)); err != nil {
			var none T
			return none, err
		}
		s.called = time.Now()
		bounded, cancel := context.WithTimeout(ctx, callTimeout)
		out, err := call(bounded)
		cancel()
		if err == nil || n == seekAttempts || ctx.Err() != nil ||
			isCode(err, "ResourceNotFoundException", "InvalidArgumentException", "AccessDeniedException") {
			return out, err
		}
		if err := sleep(ctx, readBackoff.Delay(s.shard, "seek", s.stream.name, n)); err != nil {
			return out, err
		}
	}
}
