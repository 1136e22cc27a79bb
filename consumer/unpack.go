package consumer

import (
	"cmp"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// An unpacker takes pages apart into batches of user records. It belongs to the
// handler's goroutine.
//
// It works through a page lazily: a page of 10 MiB can hold 1.7 million records,
// whose Record values alone would weigh 25 times as much.
type unpacker struct {
	stream, shardID string              // stream is what names it in events
	name, streamID  string              // name is empty if it is that
	hashes          *lease.HashRange    // of the shard; nil if it is not known
	after           checkpoint.Position // records up to here were done before
	opts            *Options
	observe         func(bytes int) // told of every batch's payload
	reached         func(time.Time) // told how far reading has got; may be nil

	page   page
	next   int // record of the page to open next
	codec  aggregation.Decoder
	origin *Origin // of the record before

	// The aggregate being taken apart, if open is set.
	open   bool
	cursor aggregation.Cursor
	outer  Record // what its records share
	left   int    // records of it to come

	density int // user records in the Kinesis record before
}

// load begins a page. The one before must have been taken apart.
func (u *unpacker) load(pg page) { u.page, u.next = pg, 0 }

// batch returns the next records of the page, nil if none are left.
func (u *unpacker) batch() *Batch {
	b := &Batch{Behind: u.page.behind, Records: u.room(), mem: u.page.mem.retain()}
	bytes := 0
	for len(b.Records) < u.opts.MaxBatchRecords {
		switch {
		case u.open:
			bytes += u.inner(b)
		case u.next < len(u.page.records):
			raw := &u.page.records[u.next]
			u.next++
			if !u.enter(raw) {
				u.density = 1
				bytes += u.plain(b, raw)
			}
		case len(b.Records) > 0:
			u.observe(bytes)
			return b
		default:
			b.mem.release()
			u.drop()
			u.exhausted()
			return nil
		}
	}
	u.observe(bytes)
	return b
}

// drop lets the response go.
func (u *unpacker) drop() {
	u.page.mem.release()
	u.page.records, u.page.mem, u.next = nil, nil, 0
}

// exhausted notes that all of the page was delivered.
func (u *unpacker) exhausted() {
	if u.reached != nil && !u.page.at.IsZero() {
		u.reached(u.page.at.Add(-u.page.behind))
		u.page.at = time.Time{}
	}
}

// room makes space for the records to come, as many as a batch takes, so that
// the slice need not grow: growing costs twice its memory. What the aggregates
// ahead hold is not known yet; the one before stands for them.
func (u *unpacker) room() []Record {
	n := (len(u.page.records) - u.next) * max(u.density, 1)
	if u.open {
		n += u.left
	}
	if n == 0 {
		return nil
	}
	return make([]Record, 0, min(n, u.opts.MaxBatchRecords))
}

// enter opens raw if it is an aggregate, and reports whether it is.
func (u *unpacker) enter(raw *types.Record) bool {
	if !u.opts.Deaggregate {
		return false
	}
	agg, err := u.codec.Decode(raw.Data)
	if err != nil {
		if !errors.Is(err, aggregation.ErrNotAggregated) {
			u.malformed(raw, err)
		}
		return false
	}
	outside := false
	if u.hashes != nil {
		in, err := agg.InRange(*u.hashes)
		if outside = !in; err != nil {
			u.malformed(raw, err)
		}
	}
	if outside && !u.opts.DeliverOutOfRange {
		u.skip(raw, agg.Len())
		return true
	}
	u.openAggregate(raw, agg, outside)
	return true
}

// openAggregate makes agg, which came in raw, the one being taken apart.
func (u *unpacker) openAggregate(raw *types.Record, agg aggregation.Aggregate, outside bool) {
	u.open, u.cursor = true, agg.Cursor()
	u.left, u.density = agg.Len(), agg.Len()
	u.outer = u.shared(raw)
	u.outer.Aggregated, u.outer.OutOfRange = true, outside
}

// shared returns what all that came in raw has in common.
func (u *unpacker) shared(raw *types.Record) Record {
	if u.origin == nil || u.origin.EncryptionType != raw.EncryptionType {
		u.origin = &Origin{Stream: cmp.Or(u.name, u.stream), StreamID: u.streamID, ShardID: u.shardID, EncryptionType: raw.EncryptionType}
	}
	return Record{Origin: u.origin, Position: position(raw), Arrived: aws.ToTime(raw.ApproximateArrivalTimestamp)}
}

func (u *unpacker) malformed(raw *types.Record, err error) {
	u.opts.malformed(MalformedInfo{Stream: u.stream, ShardID: u.shardID, Position: position(raw), Err: err})
}

// inner adds the next record of the open aggregate.
func (u *unpacker) inner(b *Batch) (bytes int) {
	sub, a, ok := u.cursor.Next()
	if !ok {
		u.open = false
		return 0
	}
	u.left--
	u.outer.Position.SubSequenceNumber = int64(sub)
	if u.doneBefore(u.outer.Position) {
		return 0
	}
	r := b.add(&u.outer)
	r.Data, r.PartitionKey, r.ExplicitHashKey = a.Data, a.PartitionKey, a.ExplicitHashKey
	if a.Tags != (aggregation.Tags{}) { // few have any
		id, _ := a.Tags.Get(aggregation.IDTag)
		r.Tags, r.ID = a.Tags, id.Value
	}
	return len(r.Data)
}

// skip reports an aggregate that is not delivered, unless that was done before.
func (u *unpacker) skip(raw *types.Record, records int) {
	from := position(raw)
	to := from
	to.SubSequenceNumber = int64(max(records, 1) - 1)
	if u.after.IsRecord() && to.Compare(u.after) <= 0 {
		return
	}
	u.opts.skipped(SkippedInfo{
		Stream: u.stream, ShardID: u.shardID, Reason: SkippedOutOfRange, From: from, To: to, Records: records,
	})
}

// plain adds a Kinesis record as one user record.
func (u *unpacker) plain(b *Batch, raw *types.Record) (bytes int) {
	shared := u.shared(raw)
	if !u.opts.Deaggregate {
		// Behind all that is in it, so that a reader that takes aggregates apart
		// and one that does not can go on from each other's positions.
		shared.Position = wholePosition(&u.codec, raw)
	}
	if u.doneBefore(shared.Position) {
		return 0
	}
	r := b.add(&shared)
	r.PartitionKey = aws.ToString(raw.PartitionKey)
	if r.Data = raw.Data; r.Data == nil {
		r.Data = []byte{}
	}
	return len(r.Data)
}

func position(raw *types.Record) checkpoint.Position {
	return checkpoint.At(aws.ToString(raw.SequenceNumber))
}

// doneBefore reports whether the record at p was done before. Only the first
// records of a tenure can be: positions rise, so one that is new ends the
// question.
func (u *unpacker) doneBefore(p checkpoint.Position) bool {
	if !u.after.IsRecord() {
		return false
	}
	if p.Compare(u.after) <= 0 {
		return true
	}
	u.after = checkpoint.Position{}
	return false
}

// add appends a copy of shared and returns it, for what is the record's own.
func (b *Batch) add(shared *Record) *Record {
	b.Records = append(b.Records, *shared)
	return &b.Records[len(b.Records)-1]
}
