package kinesistest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options configure a [Server]. [NewServer] fills in the defaults before the
// caller's functions see them, so a zero set by a function means zero.
type Options struct {
	// Region is what ARNs and [Server.Config] say; default us-east-1.
	Region string

	// AccountID is the account in ARNs and error texts, 12 digits; default
	// 123456789012.
	AccountID string

	// StreamCreating, StreamUpdating and StreamDeleting are how long a stream
	// stays in the states CREATING, UPDATING and DELETING; default 0, at once.
	// On AWS it is seconds to minutes. While a stream is UPDATING its shards are
	// those of before, and it takes and gives records.
	StreamCreating, StreamUpdating, StreamDeleting time.Duration

	// TableCreating, TableDeleting and IndexCreating are the same for DynamoDB
	// tables and their indexes; default 0.
	TableCreating, TableDeleting, IndexCreating time.Duration

	// Tables are the lags and the capacity of DynamoDB's tables.
	Tables TableOptions

	// Limits are the quotas the services enforce; default AWS's own. See
	// [Unthrottled].
	Limits Limits

	// KeepTrimmed keeps records in memory, for [Server.Records], after retention
	// has made them unreadable; default false.
	KeepTrimmed bool

	// JournalEntries is how many changes [Server.Journal] remembers, the latest;
	// default 16384, 0 none.
	JournalEntries int
}

// Limits are the quotas of Kinesis. A field of 0 is no limit. Those a second
// are token buckets that hold one second's worth, filled by time.Now. The
// limits of a single record (data and partition key within the stream's
// MaxRecordSizeInKiB, 1 to 256 characters of key) always hold.
//
// AWS lists its quotas at
// https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html.
type Limits struct {
	// WriteBytesPerShard is the bytes of data and partition keys a shard takes
	// in a second; default 1 MiB. What is above fails with
	// ProvisionedThroughputExceededException, in PutRecords record by record. A
	// record larger than a second's worth is taken when nothing else was, and
	// leaves a debt.
	WriteBytesPerShard int

	// WriteRecordsPerShard is the records a shard takes in a second; default
	// 1000.
	WriteRecordsPerShard int

	// ReadBytesPerShard is the bytes GetRecords gives of a shard in a second;
	// default 2 MiB. A page may exceed it, and then no other is given before
	// the debt is paid, after a full page of 10 MiB not for 5 seconds.
	ReadBytesPerShard int

	// ReadCallsPerShard is the calls of GetRecords a second and shard; default 5.
	ReadCallsPerShard int

	// IteratorCallsPerShard is the calls of GetShardIterator a second and shard;
	// default 5.
	IteratorCallsPerShard int

	// ListShardsPerStream is the calls of ListShards a second and stream;
	// default 1000.
	ListShardsPerStream int

	// ControlCalls applies AWS's call rates to the operations that create,
	// describe, list, delete and reshard streams, 5 to 20 a second; default
	// true. What is above fails with LimitExceededException.
	ControlCalls bool

	// RecordsPerRequest is the records in a PutRecords; default 500.
	RecordsPerRequest int

	// BytesPerRequest is the bytes of data and partition keys in a PutRecords;
	// default 10 MiB. It also bounds how much of a request's body is read.
	BytesPerRequest int

	// BytesPerPage is the bytes of data and partition keys in a page of
	// GetRecords; default 10 MiB. A single record may exceed it.
	BytesPerPage int

	// ShardsPerAccount is the open shards of all streams; default 20,000.
	ShardsPerAccount int

	// CreatingStreams is the streams that may be CREATING at once; default 5.
	CreatingStreams int

	// OnDemandStreams is the streams in on-demand mode; default 50.
	OnDemandStreams int

	// IteratorLife is how long a shard iterator is good; default 5 minutes.
	IteratorLife time.Duration

	// TokenLife is how long a NextToken is good; default 300 seconds.
	TokenLife time.Duration
}

func defaults() Options {
	return Options{
		Region:         "us-east-1",
		AccountID:      "123456789012",
		JournalEntries: 1 << 14,
		Tables:         tableDefaults(),
		Limits: Limits{
			WriteBytesPerShard:    1 << 20,
			WriteRecordsPerShard:  1000,
			ReadBytesPerShard:     2 << 20,
			ReadCallsPerShard:     5,
			IteratorCallsPerShard: 5,
			ListShardsPerStream:   1000,
			ControlCalls:          true,
			RecordsPerRequest:     500,
			BytesPerRequest:       10 << 20,
			BytesPerPage:          10 << 20,
			ShardsPerAccount:      20_000,
			CreatingStreams:       5,
			OnDemandStreams:       50,
			IteratorLife:          5 * time.Minute,
			TokenLife:             300 * time.Second,
		},
	}
}

// Unthrottled is an option function for [NewServer] that lifts the limits per
// second and leaves those of a request, so that a program runs as fast as the
// machine does.
func Unthrottled(o *Options) {
	l := &o.Limits
	l.WriteBytesPerShard, l.WriteRecordsPerShard = 0, 0
	l.ReadBytesPerShard, l.ReadCallsPerShard = 0, 0
	l.IteratorCallsPerShard, l.ListShardsPerStream = 0, 0
	l.ControlCalls = false
	o.Tables.unthrottle()
}

func (o *Options) validate() error {
	var errs []error
	if o.Region == "" || strings.Contains(o.Region, ":") {
		errs = append(errs, fmt.Errorf("kinesistest: Region %q: want a region name", o.Region))
	}
	if len(o.AccountID) != 12 || strings.Trim(o.AccountID, "0123456789") != "" {
		errs = append(errs, fmt.Errorf("kinesistest: AccountID %q: want 12 digits", o.AccountID))
	}
	l := &o.Limits
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"StreamCreating", int64(o.StreamCreating)},
		{"StreamUpdating", int64(o.StreamUpdating)},
		{"StreamDeleting", int64(o.StreamDeleting)},
		{"TableCreating", int64(o.TableCreating)},
		{"TableDeleting", int64(o.TableDeleting)},
		{"IndexCreating", int64(o.IndexCreating)},
		{"JournalEntries", int64(o.JournalEntries)},
		{"Limits.WriteBytesPerShard", int64(l.WriteBytesPerShard)},
		{"Limits.WriteRecordsPerShard", int64(l.WriteRecordsPerShard)},
		{"Limits.ReadBytesPerShard", int64(l.ReadBytesPerShard)},
		{"Limits.ReadCallsPerShard", int64(l.ReadCallsPerShard)},
		{"Limits.IteratorCallsPerShard", int64(l.IteratorCallsPerShard)},
		{"Limits.ListShardsPerStream", int64(l.ListShardsPerStream)},
		{"Limits.RecordsPerRequest", int64(l.RecordsPerRequest)},
		{"Limits.BytesPerRequest", int64(l.BytesPerRequest)},
		{"Limits.BytesPerPage", int64(l.BytesPerPage)},
		{"Limits.ShardsPerAccount", int64(l.ShardsPerAccount)},
		{"Limits.CreatingStreams", int64(l.CreatingStreams)},
		{"Limits.OnDemandStreams", int64(l.OnDemandStreams)},
		{"Limits.IteratorLife", int64(l.IteratorLife)},
		{"Limits.TokenLife", int64(l.TokenLife)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("kinesistest: %s %d: want 0 or more", f.name, f.value))
		}
	}
	errs = append(errs, o.Tables.validate())
	return errors.Join(errs...)
}
