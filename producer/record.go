package producer

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// A Record is what a program puts.
type Record struct {
	// PartitionKey decides the record's shard, by its MD5: 1 to 256 characters.
	// It may be empty only on a stream whose RecordDistributionStrategy is AUTO.
	PartitionKey string

	// ExplicitHashKey decides the shard instead, if it is not empty: a decimal
	// integer from 0 to 2^128-1 without leading zeros.
	ExplicitHashKey string

	// Data is the payload. Together with the partition key it may have as many
	// bytes as the stream's MaxRecordSizeInKiB says, 1 MiB if it says nothing.
	Data []byte

	// ID, if not empty, travels with the record as its tag [IDTag], for consumers
	// that drop repeats: at most 256 bytes of UTF-8. A consumer takes two records
	// of one stream with the same ID for one.
	ID string

	// Tags travel with the record in its aggregate. Readers made with the KCL do
	// not see them. A record with tags or an ID goes in an aggregate even if it is
	// alone in it. A bare record cannot carry them: they are lost where nothing is
	// aggregated (see [Options.Aggregate]), and for a record that no aggregate can
	// hold because it is as large as the stream takes.
	Tags aggregation.Tags
}

// An Outcome is what became of a record.
type Outcome int

const (
	// Stored: the record is in the stream. If an earlier attempt ended without
	// an answer it may be there more than once.
	Stored Outcome = iota
	// NotStored: the record is not in the stream and will not be.
	NotStored
	// Unknown: the record may be in the stream. No attempt was confirmed, and at
	// least one ended without an answer.
	Unknown
)

// String returns "stored", "not stored" or "unknown".
func (o Outcome) String() string {
	switch o {
	case Stored:
		return "stored"
	case NotStored:
		return "not stored"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// An Attempt is one PutRecords call that carried a record.
type Attempt struct {
	Start    time.Time
	Duration time.Duration

	// Code and Message are the error that came back for the record or for the
	// whole call, in the service's words. Both are empty after success. For a call
	// that the service did not answer Code alone is, and so it is for one that was
	// under way when the record's time was over, whose Duration is until then.
	Code, Message string
}

// A Result is what became of a record that was put.
type Result struct {
	// Record is the record. In a callback its Data is the producer's memory and
	// valid until the callback returns; copy it to keep it.
	Record Record

	Outcome Outcome

	// ShardID and SequenceNumber are where the record was stored. Records of one
	// aggregate share both.
	ShardID, SequenceNumber string

	// Sub is the record's subsequence number: its place in its aggregate, counted
	// from 0, and 0 if it was sent alone. Sequence number and subsequence number
	// together are the position a consumer reports.
	Sub int

	// Attempts are the calls that carried the record, in their order; of more than
	// 32 the first 8 and the latest 24, so that an outage costs no memory. A
	// [PutError] counts all of them, and Events.Request and Events.Entry are told
	// of each when it happens. Several results share the slice: do not change it.
	Attempts []Attempt

	// Err is nil if the record was stored, and else a [*PutError].
	Err error
}

// What MaxBufferedBytes is charged for a record beyond its data and keys: its
// entry, its place in an aggregate and the room that buffers keep to grow, or a
// parcel of its own.
const (
	aggregatedOverhead = 128
	singleOverhead     = 384
	tagOverhead        = 8

	// aggregateOverhead is what an aggregate takes that has hardly begun. It counts
	// where aggregates hold few records.
	aggregateOverhead = 1792
	fewRecords        = 16
)

// overhead returns what a record is charged that goes into an aggregate.
func (o *Options) overhead() int64 {
	n := int64(aggregatedOverhead)
	if fit := min(o.AggregationMaxRecords, o.AggregationMaxBytes/64); fit < fewRecords {
		n += aggregateOverhead / int64(fit)
	}
	return n
}

// cost is what a record is charged in a lane.
func (p *Producer) cost(r *aggregation.Record, l *lane) int64 {
	n := int64(len(r.PartitionKey)+len(r.ExplicitHashKey)+len(r.Data)) + tagBytes(r.Tags)
	if l.aggregate {
		return n + p.overhead
	}
	return n + singleOverhead
}

// carry moves the charge of a record along from its parcel to another lane, and
// returns what it is there: more if the record takes more there, but not less, so
// that a full buffer stays full until something has ended.
func (p *Producer) carry(from *parcel, to *lane, r *aggregation.Record) int64 {
	had := p.cost(r, from.lane)
	from.lane.share.Transfer(&to.share, had)
	from.cost -= had
	more := p.cost(r, to) - had
	if more <= 0 {
		return had
	}
	to.share.Charge(more)
	p.counts.released.Add(-more)
	return had + more
}

// hashKey returns the hash key that decides the shard of a checked record.
func hashKey(r *aggregation.Record) shardmap.HashKey {
	if r.ExplicitHashKey != "" {
		if k, err := shardmap.ParseHashKey(r.ExplicitHashKey); err == nil {
			return k
		}
	}
	return shardmap.HashOf(r.PartitionKey)
}

const maxKeyCharacters = 256

// checkKeys returns the record's hash key, or an error if a key is one that
// Kinesis would refuse. An empty partition key is left to the caller.
func (r *Record) checkKeys() (shardmap.HashKey, error) {
	if !utf8.ValidString(r.PartitionKey) {
		return shardmap.HashKey{}, &RecordError{"PartitionKey", quote(r.PartitionKey), "must be valid UTF-8"}
	}
	if len(r.PartitionKey) > maxKeyCharacters {
		if n := utf8.RuneCountInString(r.PartitionKey); n > maxKeyCharacters {
			return shardmap.HashKey{}, &RecordError{"PartitionKey", fmt.Sprintf("%d characters", n), "must have 1 to 256"}
		}
	}
	if r.ExplicitHashKey == "" {
		return shardmap.HashOf(r.PartitionKey), nil
	}
	k, err := shardmap.ParseHashKey(r.ExplicitHashKey)
	if err != nil {
		return k, &RecordError{"ExplicitHashKey", quote(r.ExplicitHashKey), "must be a decimal integer from 0 to 2^128-1 without leading zeros"}
	}
	return k, nil
}

// size is what Kinesis counts against the stream's largest record.
func (r *Record) size() int { return len(r.Data) + len(r.PartitionKey) }

func tooLarge(size, limit int) error {
	return &RecordError{"Data", fmt.Sprintf("%d bytes with the partition key", size), fmt.Sprintf("must be at most %d, the stream's largest record", limit)}
}

// quote quotes at most 64 bytes of s.
func quote(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%q…", s[:64])
	}
	return fmt.Sprintf("%q", s)
}
