package stream

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// A startingPosition is where GetShardIterator and SubscribeToShard are told to
// begin.
type startingPosition struct {
	op       string    // the operation, for the texts of errors
	members  [2]string // what it calls the next two
	kind     *string
	sequence *string
	time     *float64 // seconds
}

var iteratorTypes = []string{"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"}

// violations adds what is wrong with single members.
func (p *startingPosition) violations(v *violations) {
	if p.kind == nil {
		v.add(nil, p.members[0], notNull)
	} else if !slices.Contains(iteratorTypes, *p.kind) {
		v.add(*p.kind, p.members[0],
			"Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]")
	}
	if q := p.sequence; q != nil && !sequencePattern(*q) {
		v.add(*q, p.members[1], `Member must satisfy regular expression pattern: 0|([1-9]\d{0,128})`)
	}
}

// check judges p, v being what is wrong with the members of its request.
func (p *startingPosition) check(v violations) *api.Error {
	if e := v.err(); e != nil {
		// What is not a number at all is an argument that is wrong, as the
		// service's documents have it.
		if q := p.sequence; len(v) == 1 && q != nil && !sequencePattern(*q) {
			return invalid("StartingSequenceNumber %.200s is not a sequence number.", *q)
		}
		return e
	}
	if t := *p.kind; t == "AT_SEQUENCE_NUMBER" || t == "AFTER_SEQUENCE_NUMBER" {
		if p.sequence == nil {
			return invalid("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "+
				"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and no StartingSequenceNumber.", t)
		}
	} else if p.sequence != nil {
		return invalid("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "+
			"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and also a StartingSequenceNumber.", t)
	}
	if *p.kind == "AT_TIMESTAMP" && p.time == nil {
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

// counter returns the counter of the record to read first. It may be one that
// is trimmed, or not stored yet.
func (p *startingPosition) counter(st *stream, sh *shard, now time.Time, account string) (uint64, *api.Error) {
	switch *p.kind {
	case "TRIM_HORIZON":
		return sh.log.first, nil
	case "LATEST":
		return sh.log.next, nil
	case "AT_TIMESTAMP":
		at := toMillis(*p.time)
		if at > now.UnixMilli() {
			return 0, invalid("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "+
				"timestampInMillis: %d, currentTimestampInMillis: %d", at, now.UnixMilli())
		}
		return sh.log.since(at), nil
	}
	q, ok := parseSequence(*p.sequence)
	if !ok {
		return 0, invalid("StartingSequenceNumber %s used in %s on shard %s in stream %s under account %s is invalid.",
			*p.sequence, p.op, sh.id, st.name, account)
	}
	if q.index != sh.index {
		return 0, invalid("Invalid StartingSequenceNumber. It encodes %s, while it was used in a call to a shard with %s", shardID(q.index), sh.id)
	}
	if q.created != sh.created {
		return 0, invalid("StartingSequenceNumber %s used in %s on shard %s in stream %s under account %s is invalid because it did not come from this stream.",
			*p.sequence, p.op, sh.id, st.name, account)
	}
	return sh.log.position(sh, q, *p.kind == "AFTER_SEQUENCE_NUMBER"), nil
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
