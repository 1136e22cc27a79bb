package consumer

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"time"

	"github.com/kinesis-go/kinesis/internal/budget"
	"github.com/kinesis-go/kinesis/internal/wire"
	"github.com/kinesis-go/kinesis/lease"
)

// Options are the settings of a [Consumer]. [New] fills in the defaults, applies
// the caller's functions, and then judges the whole.
type Options struct {
	// Start says where to begin in a stream for which nothing is stored. Default
	// [FromTrimHorizon].
	Start Start

	// PollInterval is the time between two GetRecords calls of a shard that has
	// no more records to give, from 200 ms to 1 minute; default 1 s. A shard
	// answers 5 calls a second, for all applications together. A reader that is
	// behind calls every 200 ms whatever this says.
	PollInterval time.Duration

	// Retrieval is how records are got. Default [Polling].
	Retrieval Retrieval

	// FanOutConsumer is the name or the ARN of the consumer that fan-out reads as,
	// one per application and stream. A name, 1 to 128 letters, digits, '_', '.'
	// and '-', is registered with the stream if it is not; an ARN has to be.
	// Default none; [FanOut] and [Auto] need it.
	FanOutConsumer string

	// Deregister removes the fan-out consumer, which costs money as long as it is
	// registered, when [Consumer.Run] ends and no other worker of the application
	// is left, as the lease table tells. Default false. See [Consumer.Deregister].
	Deregister bool

	// StallTimeout is how long a shard may answer no call before it is given up, so
	// that another worker may try; see [Consumer.Health]. After half of it the
	// shard's reader is made anew. Calls that Kinesis throttles count as not
	// answered; time in which the handler or the budget makes the reader wait does
	// not count. From 1 minute to 1 hour, 0 to try for ever. Default 2 minutes.
	StallTimeout time.Duration

	// MaxBufferedBytes bounds the memory for records that were fetched and are not
	// done with: data in the form in which it came (base64 is a third longer), keys,
	// and 256 bytes for each record that Kinesis stored. A fetch waits while it is
	// used up. What a fetch brings is known afterwards only,
	// so it can be exceeded by one page, of at most 10 MiB, for each fetch under way;
	// nobody fetches then before it is repaid. No shard alone takes more than 8/9 of
	// it. Default 256 MiB; at least 16 MiB.
	MaxBufferedBytes int64

	// Budget, if not nil, takes the place of MaxBufferedBytes: the Consumers that
	// are given the same Budget share its bytes, and a shard of one of them counts
	// like a shard of another. Default nil.
	Budget *Budget

	// Wire is the format of GetRecords. Default [JSON], as the SDK writes it. With
	// [CBOR], as the SDK for Java writes it, answers are a quarter shorter and
	// nearly free to decode; it is not verified against the real service yet. A
	// consumer that notices that its server does not understand CBOR goes on in
	// JSON. A client whose Options.Protocol is not the SDK's default keeps its own.
	Wire Wire

	// MaxBatchRecords bounds the user records of one [Batch], from 1 to 100,000;
	// default 10,000. One response of Kinesis may hold millions when they are
	// aggregated; it is then delivered in several batches.
	MaxBatchRecords int

	// Deaggregate delivers the user records inside aggregates. Default true;
	// without it an aggregate is delivered as the one record Kinesis stored, at the
	// position of the last record in it, also if some of them were done before.
	Deaggregate bool

	// DeliverOutOfRange delivers aggregates that hold a record of another shard,
	// marked [Record.OutOfRange]. By default they are skipped and reported, as
	// Java readers do, since the producer put them again. Default false.
	DeliverOutOfRange bool

	// Lease changes the options of the lease engine: worker id, failover time,
	// drain timeout, events. It is called once by [New]. Default nil.
	Lease func(*lease.Options)

	// Events are called when something noteworthy happens. Default none.
	Events Events

	// Logger receives what an operator may want to read. Default: discarded.
	// Record data and keys are never logged.
	Logger *slog.Logger
}

func defaults() Options {
	return Options{
		Start:        FromTrimHorizon(),
		PollInterval: time.Second,
		StallTimeout: 2 * time.Minute,

		MaxBufferedBytes: 256 << 20,
		MaxBatchRecords:  10_000,
		Deaggregate:      true,
		Logger:           slog.New(slog.DiscardHandler),
	}
}

// minBufferedBytes has room for the largest page and a little more.
const minBufferedBytes = 16 << 20

// consumerName is what Kinesis takes for the name of a fan-out consumer, or its
// ARN.
var consumerName = regexp.MustCompile(`^([a-zA-Z0-9_.-]{1,128}|arn:[^:]+:kinesis:[^:]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}/consumer/[a-zA-Z0-9_.-]{1,128}:[0-9]+)$`)

// Wire is a format of calls to Kinesis: [JSON] or [CBOR].
type Wire = wire.Format

const (
	// JSON is application/x-amz-json-1.1.
	JSON = wire.JSON

	// CBOR is application/x-amz-cbor-1.1.
	CBOR = wire.CBOR
)

// A Budget is a number of bytes that several Consumers of a process share; see
// [Options.Budget]. Use [NewBudget] to make one. Total returns its size, Used
// what is in use now.
type Budget = budget.Budget

// NewBudget returns a Budget of so many bytes. A Consumer takes one of at least
// 16 MiB.
func NewBudget(bytes int64) *Budget { return budget.New(bytes) }

// validate returns every fault at once.
func (o *Options) validate() error {
	var errs []error
	bad := func(ok bool, field string, value any, bound string) {
		if !ok {
			errs = append(errs, fmt.Errorf("consumer: %s is %v, want %s", field, value, bound))
		}
	}
	bad(o.PollInterval >= minPollGap && o.PollInterval <= time.Minute, "PollInterval", o.PollInterval, "200ms to 1m")
	bad(o.Retrieval >= Polling && o.Retrieval <= Auto, "Retrieval", int(o.Retrieval), "Polling, FanOut or Auto")
	bad(o.FanOutConsumer != "" || o.Retrieval == Polling && !o.Deregister, "FanOutConsumer", `""`, "the name or ARN of a consumer")
	bad(o.FanOutConsumer == "" || consumerName.MatchString(o.FanOutConsumer), "FanOutConsumer", strconv.Quote(clip(o.FanOutConsumer)),
		"1 to 128 letters, digits, '_', '.', '-', or the ARN of a consumer")
	bad(o.StallTimeout == 0 || o.StallTimeout >= time.Minute && o.StallTimeout <= time.Hour, "StallTimeout", o.StallTimeout, "1m to 1h, or 0")
	if o.Budget != nil {
		bad(o.Budget.Total() >= minBufferedBytes, "Budget", o.Budget.Total(), "16 MiB or more")
	} else {
		bad(o.MaxBufferedBytes >= minBufferedBytes, "MaxBufferedBytes", o.MaxBufferedBytes, "16 MiB or more")
	}
	bad(o.Wire <= CBOR, "Wire", int(o.Wire), "JSON or CBOR")
	bad(o.MaxBatchRecords >= 1 && o.MaxBatchRecords <= 100_000, "MaxBatchRecords", o.MaxBatchRecords, "1 to 100000")
	bad(o.Logger != nil, "Logger", "nil", "a logger")
	return errors.Join(append(errs, o.Start.validate())...)
}
