package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/budget"
	"github.com/kinesis-go/kinesis/internal/wire"
)

// Options are the settings of a Producer. [New] fills in the defaults, then
// runs the caller's functions, then checks the result as a whole; a zero that a
// function sets is a zero and not the default.
//
// Where the Kinesis Producer Library (KPL) has a setting of the same meaning,
// the field has its name or says which it is.
type Options struct {
	// RecordMaxBufferedTime is how long a record may wait for others to be sent
	// with, from Put to the moment it is on its way. A record waits longer only
	// for a shard that throttles, a service that fails or [Options.MaxInFlight].
	// With 0 records are sent at once. Default 100 ms; at most RecordTTL.
	RecordMaxBufferedTime time.Duration

	// RecordTTL is how long a record may live, from Put to its result, retries
	// included. A record that is not stored by then ends with [ErrExpired].
	// Default 30 s; above 0.
	RecordTTL time.Duration

	// Aggregate packs many small records of one shard into one Kinesis record,
	// in the KPL's format, which the Kinesis Client Library and package consumer
	// take apart again. Turn it off for readers that cannot. It has no effect on
	// a stream whose RecordDistributionStrategy is AUTO. Default true. (KPL:
	// AggregationEnabled)
	Aggregate bool

	// AggregationMaxBytes bounds an aggregate. A record that does not fit goes
	// alone. Kinesis bills writes by 25 KiB. Default 51,200; 64 to 10,485,760;
	// never more is used than the stream takes. (KPL: AggregationMaxSize)
	AggregationMaxBytes int

	// AggregationMaxRecords bounds the records in an aggregate. Default
	// 2,147,483,647, which is no bound; at least 1. (KPL: AggregationMaxCount)
	AggregationMaxRecords int

	// CollectionMaxRecords bounds the Kinesis records, aggregates or others, in
	// one PutRecords call. Default and AWS limit 500; at least 1. (KPL:
	// CollectionMaxCount)
	CollectionMaxRecords int

	// CollectionMaxBytes bounds the data and partition keys in one PutRecords
	// call. A larger record goes alone. Default 5 MiB, as the KPL's: Kinesis takes
	// twice that since October 2025, but not every server that stands in for it,
	// and a larger call saves little and has more to send again if it gets no
	// answer. 51,200 to 10 MiB, the AWS limit. (KPL: CollectionMaxSize)
	CollectionMaxBytes int

	// Ordered keeps the records of each partition key in the order of their
	// Puts, through throttling, retries, lost answers and reshards; see the
	// package documentation for what exactly and at what price. It has no effect
	// on a stream whose RecordDistributionStrategy is AUTO. Default false.
	Ordered bool

	// FailIfThrottled ends a record with the service's error when its shard, or
	// the call that carries it, is throttled, instead of trying again. Default
	// false.
	FailIfThrottled bool

	// MaxBufferedBytes bounds the memory for records without a result: data,
	// keys, tags, and 128 bytes for each record, 384 where nothing is aggregated
	// (without Aggregate, on an AUTO stream, while no shards are known), and up to
	// 1,920 where aggregates are to hold fewer than 16 records. Beyond it up to
	// 5 KiB are used for each shard whose aggregate is being filled. When it is used up
	// Put and PutAsync wait and TryPut refuses. One shard alone can use
	// 8/9 of it, so that a hot one leaves room for the others. Default 64 MiB; at
	// least 64 KiB.
	MaxBufferedBytes int64

	// Budget, if not nil, takes the place of MaxBufferedBytes: the Producers that
	// are given the same Budget share its bytes, and a shard of one of them counts
	// like a shard of another. Default nil.
	Budget *Budget

	// MaxInFlight bounds the PutRecords calls under way. Default 32; at least 1.
	// (KPL: MaxConnections)
	MaxInFlight int

	// Wire is the format of PutRecords. Default [JSON], as the SDK writes it. With
	// [CBOR], as the SDK for Java writes it, requests are a quarter shorter and
	// nearly free to encode; it is not verified against the real service yet. A
	// producer that notices that its server does not understand CBOR goes on in
	// JSON. A client whose Options.Protocol is not the SDK's default keeps its own.
	Wire Wire

	// RequestTimeout bounds each call. What it cuts off may have been stored and
	// is sent again. Default 6 s; at least 1 ms.
	RequestTimeout time.Duration

	// RateLimit is how much of a shard's write limits (1 MiB and 1,000 records
	// a second, partition keys included) this producer uses, in percent, a
	// hundredth of it less to let others in. Where records are not meant for one
	// shard, while none is known and on AUTO streams, it is a part of the limits of
	// all shards together. 0 turns pacing off, for a server
	// without limits. Default 100; 0 to 1,000,000.
	RateLimit int

	// RefreshInterval is how old the producer's knowledge of the stream (its
	// shards, its MaxRecordSizeInKiB, its RecordDistributionStrategy) may become
	// while records are sent; with the next call after that it looks again. It
	// also looks when an answer shows that something has changed, and never while
	// nothing is put. 0 means not to look because of age. Default 5 min; 0 or at
	// least 1 s. (KPL: DescribeStreamSummaryIntervalMs)
	RefreshInterval time.Duration

	// RecordIDs gives each record without an ID one of its own, for consumers
	// that drop repeats: about 50 bytes in its aggregate. Default false.
	RecordIDs bool

	// Tags, if not nil, is called for each record that is put, with the context
	// of the Put (that of TryPut is empty), on the goroutine of the caller, and
	// returns tags to add to the record's own. This is where trace context
	// travels. Default nil, which costs nothing.
	Tags func(ctx context.Context, r Record) aggregation.Tags

	// ProducerID names this producer in its log and seeds the jitter of its
	// retries. Default a random one; 1 to 256 bytes.
	ProducerID string

	// Logger receives what an operator should see: the state of the shard map,
	// refused permissions, failing requests. It gets no record data and no keys.
	// Default slog.DiscardHandler.
	Logger *slog.Logger

	// Events are told what happens. Default none.
	Events Events
}

// Wire is a format of calls to Kinesis: [JSON] or [CBOR].
type Wire = wire.Format

const (
	// JSON is application/x-amz-json-1.1.
	JSON = wire.JSON

	// CBOR is application/x-amz-cbor-1.1.
	CBOR = wire.CBOR
)

// A Budget is a number of bytes that several Producers of a process share; see
// [Options.Budget]. Use [NewBudget] to make one. Total returns its size, Used
// how much of it is in use. It is safe for concurrent use and needs no closing.
type Budget = budget.Budget

// NewBudget returns a Budget of so many bytes. A Producer takes one of at least
// 64 KiB.
func NewBudget(bytes int64) *Budget { return budget.New(bytes) }

const (
	maxRequestRecords = 500      // AWS limit of PutRecords
	maxRequestBytes   = 10 << 20 // AWS limit of PutRecords

	maxRecordBytes     = 10 << 20 // AWS limit of a record in a stream set up for it
	defaultRecordBytes = 1 << 20  // in a stream that is not

	minBufferedBytes = 64 << 10

	shardBytesPerSecond   = 1 << 20
	shardRecordsPerSecond = 1000
)

func defaults() Options {
	return Options{
		RecordMaxBufferedTime: 100 * time.Millisecond,
		RecordTTL:             30 * time.Second,
		Aggregate:             true,
		AggregationMaxBytes:   51_200,
		AggregationMaxRecords: math.MaxInt32,
		CollectionMaxRecords:  maxRequestRecords,
		CollectionMaxBytes:    5 << 20,
		MaxBufferedBytes:      64 << 20,
		MaxInFlight:           32,
		RequestTimeout:        6 * time.Second,
		RateLimit:             100,
		RefreshInterval:       5 * time.Minute,
		Logger:                slog.New(slog.DiscardHandler),
	}
}

// validate returns one error that names every field out of bounds.
func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, field string, value any, bound string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("producer: %s is %v: must be %s", field, value, fmt.Sprintf(bound, args...)))
		}
	}
	between := func(field string, v, from, to int64) {
		check(from <= v && v <= to, field, v, "%d to %d", from, to)
	}
	check(o.RecordMaxBufferedTime >= 0, "RecordMaxBufferedTime", o.RecordMaxBufferedTime, "0 or more")
	check(o.RecordTTL > 0, "RecordTTL", o.RecordTTL, "above 0")
	check(o.RecordMaxBufferedTime <= o.RecordTTL, "RecordMaxBufferedTime", o.RecordMaxBufferedTime, "at most RecordTTL, %v", o.RecordTTL)
	between("AggregationMaxBytes", int64(o.AggregationMaxBytes), 64, maxRecordBytes)
	check(o.AggregationMaxRecords >= 1, "AggregationMaxRecords", o.AggregationMaxRecords, "1 or more")
	between("CollectionMaxRecords", int64(o.CollectionMaxRecords), 1, maxRequestRecords)
	between("CollectionMaxBytes", int64(o.CollectionMaxBytes), 51_200, maxRequestBytes)
	check(o.MaxBufferedBytes >= minBufferedBytes, "MaxBufferedBytes", o.MaxBufferedBytes, "%d or more", minBufferedBytes)
	check(o.MaxInFlight >= 1, "MaxInFlight", o.MaxInFlight, "1 or more")
	check(o.Wire <= CBOR, "Wire", int(o.Wire), "JSON or CBOR")
	check(o.RequestTimeout >= time.Millisecond, "RequestTimeout", o.RequestTimeout, "1ms or more")
	between("RateLimit", int64(o.RateLimit), 0, 1_000_000)
	check(o.RefreshInterval == 0 || o.RefreshInterval >= time.Second, "RefreshInterval", o.RefreshInterval, "0 or at least 1s")
	if o.Budget != nil {
		check(o.Budget.Total() >= minBufferedBytes, "Budget", o.Budget.Total(), "%d bytes or more", minBufferedBytes)
	}
	check(1 <= len(o.ProducerID) && len(o.ProducerID) <= 256, "ProducerID", fmt.Sprintf("%.20q", o.ProducerID), "1 to 256 bytes")
	check(o.Logger != nil, "Logger", "nil", "set (slog.DiscardHandler drops everything)")
	return errors.Join(errs...)
}
