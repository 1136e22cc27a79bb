package consumer

import (
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
	stream, shardID string
	hashes          *lease.HashRange    // of the shard; nil if it is not known
	after           checkpoint.Position // records up to here were done before
	opts            *Options
	observe         func(bytes int) // told of every batch's payload
	reached         func(time.Time) // told how far reading has got; may be nil

	page  page
	next  int // record of the page to open next
	codec aggregation.Decoder

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
				bytes += u.add(b, plain(raw))
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
	u.open, u.cursor = true, agg.Cursor()
	u.left, u.density = agg.Len(), agg.Len()
	u.outer = Record{Position: position(raw), Arrived: aws.ToTime(raw.ApproximateArrivalTimestamp), Aggregated: true, OutOfRange: outside}
	return true
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
	r := u.outer
	r.Data, r.PartitionKey, r.ExplicitHashKey = a.Data, a.PartitionKey, a.ExplicitHashKey
	r.Position.SubSequenceNumber = int64(sub)
	return u.add(b, r)
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

// plain makes a user record of a Kinesis record.
func plain(raw *types.Record) Record {
	r := Record{
		Data: raw.Data, PartitionKey: aws.ToString(raw.PartitionKey),
		Position: position(raw), Arrived: aws.ToTime(raw.ApproximateArrivalTimestamp),
	}
	if r.Data == nil {
		r.Data = []byte{}
	}
	return r
}

func position(raw *types.Record) checkpoint.Position {
	return checkpoint.At(aws.ToString(raw.SequenceNumber))
}

// add appends a record unless it was done before. Only the first records of a
// tenure can be: positions rise, so one that is new ends the question.
func (u *unpacker) add(b *Batch, r Record) (bytes int) {
	if u.after.IsRecord() {
		if r.Position.Compare(u.after) <= 0 {
			return 0
		}
		u.after = checkpoint.Position{}
	}
	b.Records = append(b.Records, r)
	return len(r.Data)
}
