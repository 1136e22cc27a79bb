package stream

import (
	"slices"
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

var iteratorTypes = []string{"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"}

func (in *getShardIteratorInput) check() *api.Error {
	var v violations
	v.required("shardId", in.ShardId)
	if in.ShardIteratorType == nil {
		v.add(nil, "shardIteratorType", notNull)
	} else if !slices.Contains(iteratorTypes, *in.ShardIteratorType) {
		v.add(*in.ShardIteratorType, "shardIteratorType",
			"Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]")
	}
	if q := in.StartingSequenceNumber; q != nil && !sequencePattern(*q) {
		v.add(*q, "startingSequenceNumber", `Member must satisfy regular expression pattern: 0|([1-9]\d{0,128})`)
	}
	if e := v.err(); e != nil {
		// What is not a number at all is an argument that is wrong, as the
		// service's documents have it.
		if q := in.StartingSequenceNumber; len(v) == 1 && q != nil && !sequencePattern(*q) {
			return invalid("StartingSequenceNumber %.200s is not a sequence number.", *q)
		}
		return e
	}
	if t := *in.ShardIteratorType; t == "AT_SEQUENCE_NUMBER" || t == "AFTER_SEQUENCE_NUMBER" {
		if in.StartingSequenceNumber == nil {
			return invalid("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "+
				"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and no StartingSequenceNumber.", t)
		}
	} else if in.StartingSequenceNumber != nil {
		return invalid("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "+
			"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and also a StartingSequenceNumber.", t)
	}
	if *in.ShardIteratorType == "AT_TIMESTAMP" && in.Timestamp == nil {
		return invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current value is null")
	}
	return nil
}

func sequencePattern(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s == "0" || len(s) >= 1 && len(s) <= 129 && s[0] != '0'
}

func (s *Service) getShardIterator(in *getShardIteratorInput) (any, *api.Error) {
	if e := in.check(); e != nil {
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
		counter, e := in.position(st, sh, now, account)
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

// position returns the counter of the record that the iterator is to read
// first. It may be one that is trimmed, or not stored yet.
func (in *getShardIteratorInput) position(st *stream, sh *shard, now time.Time, account string) (uint64, *api.Error) {
	switch *in.ShardIteratorType {
	case "TRIM_HORIZON":
		return sh.log.first, nil
	case "LATEST":
		return sh.log.next, nil
	case "AT_TIMESTAMP":
		at := toMillis(*in.Timestamp)
		if at > now.UnixMilli() {
			return 0, invalid("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "+
				"timestampInMillis: %d, currentTimestampInMillis: %d", at, now.UnixMilli())
		}
		return sh.log.since(at), nil
	}
	q, ok := parseSequence(*in.StartingSequenceNumber)
	if !ok {
		return 0, invalid("StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s under account %s is invalid.",
			*in.StartingSequenceNumber, sh.id, st.name, account)
	}
	if q.created != sh.created || q.index != sh.index {
		return 0, invalid("StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s under account %s is invalid because it did not come from this stream.",
			*in.StartingSequenceNumber, sh.id, st.name, account)
	}
	return sh.log.position(sh, q, *in.ShardIteratorType == "AFTER_SEQUENCE_NUMBER"), nil
}

// position returns the counter of the first record at a sequence number or
// above it, or only above it.
func (l *log) position(sh *shard, q sequence, after bool) uint64 {
	if q.counter < l.first || q.counter >= l.next {
		if q.counter == lastCounter {
			return l.next // the end of a closed shard
		}
		return max(q.counter, 1)
	}
	// A number that no record has may lie between two.
	stored := sh.sequence(q.counter, l.get(q.counter).Arrival)
	if stored.before(q) || after && stored == q {
		return q.counter + 1
	}
	return q.counter
}
