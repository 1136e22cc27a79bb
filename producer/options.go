package producer

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
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
	// call. A larger record goes alone. Default 5 MiB, which every server takes;
	// 51,200 to 10 MiB, the AWS limit. (KPL: CollectionMaxSize)
	CollectionMaxBytes int

	// MaxBufferedBytes bounds the memory for records without a result: data,
	// keys, and 128 bytes for each record, 384 without Aggregate. When it is used up Put and PutAsync
	// wait and TryPut refuses. One shard alone can use 8/9 of it, so that a hot
	// one leaves room for the others. Default 64 MiB; at least 64 KiB.
	MaxBufferedBytes int64

	// MaxInFlight bounds the PutRecords calls under way. Default 32; at least 1.
	// (KPL: MaxConnections)
	MaxInFlight int

	// RequestTimeout bounds each call. What it cuts off may have been stored and
	// is sent again. Default 6 s; at least 1 ms.
	RequestTimeout time.Duration

	// RateLimit is how much of a shard's write limits (1 MiB and 1,000 records
	// a second, partition keys included) this producer uses, in percent. 0 turns
	// pacing off, for a server without limits. Default 100; 0 to 1,000,000.
	RateLimit int

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

// Events are functions told what a Producer does. Each may be nil. They run on
// the goroutines that make requests, several at a time; one that is slow delays
// the results of its own request.
type Events struct {
	// Request is called after each PutRecords call, before the results of its
	// records are settled.
	Request func(RequestInfo)
}

// A RequestInfo describes one PutRecords call.
type RequestInfo struct {
	Start    time.Time
	Duration time.Duration

	Records     int // Kinesis records in it
	UserRecords int // records that were put, packed in them
	Bytes       int // data and partition keys

	// Failed is how many Kinesis records were not stored, Throttled how many of
	// them because their shard was out of throughput.
	Failed, Throttled int

	// Err is why the call as a whole failed, nil if it was answered.
	Err error
}

const (
	maxRequestRecords = 500      // AWS limit of PutRecords
	maxRequestBytes   = 10 << 20 // AWS limit of PutRecords

	maxRecordBytes     = 10 << 20 // AWS limit of a record in a stream set up for it
	defaultRecordBytes = 1 << 20  // in a stream that is not

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
	check(o.MaxBufferedBytes >= 64<<10, "MaxBufferedBytes", o.MaxBufferedBytes, "%d or more", 64<<10)
	check(o.MaxInFlight >= 1, "MaxInFlight", o.MaxInFlight, "1 or more")
	check(o.RequestTimeout >= time.Millisecond, "RequestTimeout", o.RequestTimeout, "1ms or more")
	between("RateLimit", int64(o.RateLimit), 0, 1_000_000)
	check(1 <= len(o.ProducerID) && len(o.ProducerID) <= 256, "ProducerID", fmt.Sprintf("%.20q", o.ProducerID), "1 to 256 bytes")
	check(o.Logger != nil, "Logger", "nil", "set (slog.DiscardHandler drops everything)")
	return errors.Join(errs...)
}
