package stream

import (
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

type getShardIteratorInput struct {
	ref
	ShardId                *string
	ShardIteratorType      *string
	StartingSequenceNumber *string
	Timestamp              *float64
	DryRun                 bool
}

// from returns the position that in asks for.
func (in *getShardIteratorInput) from() startingPosition {
	return startingPosition{
		op:       "GetShardIterator",
		members:  [2]string{"shardIteratorType", "startingSequenceNumber"},
		kind:     in.ShardIteratorType,
		sequence: in.StartingSequenceNumber,
		time:     in.Timestamp,
	}
}

func (s *Service) getShardIterator(in *getShardIteratorInput) (any, *api.Error) {
	from := in.from()
	var v violations
	v.required("shardId", in.ShardId)
	from.violations(&v)
	if e := from.check(v); e != nil {
		return nil, e
	}
	var out struct{ ShardIterator string }
	e := s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		account := s.opts.Identity.AccountID
		if e := st.readable(account); e != nil {
			return e
		}
		sh := st.shard(*in.ShardId)
		if sh == nil || st.expired(sh, now) {
			return noShard(*in.ShardId, st.name, account)
		}
		nanos, rate := now.UnixNano(), s.opts.Limits.IteratorCallsPerShard
		if !sh.iteratorCalls.has(nanos, 1, rate) {
			return rateExceeded(sh, st.name, account)
		}
		sh.iteratorCalls.take(nanos, 1, rate)
		st.expire(sh, now, s.opts.KeepTrimmed)
		counter, e := from.counter(st, sh, now, account)
		if e != nil {
			return e
		}
		if in.DryRun {
			return dryRun()
		}
		out.ShardIterator = s.iterator(st, sh, counter, now)
		return nil
	})
	return out, e
}

func noShard(id, stream, account string) *api.Error {
	return api.Errorf("ResourceNotFoundException", "Shard %.128s in stream %s under account %s does not exist", id, stream, account)
}

// iterator returns a shard iterator that reads from a counter on.
func (s *Service) iterator(st *stream, sh *shard, counter uint64, now time.Time) string {
	return s.token(token{kind: tokenIterator, stream: st.number, at: now.UnixMilli(), shard: sh.index, counter: counter})
}
