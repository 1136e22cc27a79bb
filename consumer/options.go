package consumer

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

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
		Start:           FromTrimHorizon(),
		PollInterval:    time.Second,
		MaxBatchRecords: 10_000,
		Deaggregate:     true,
		Logger:          slog.New(slog.DiscardHandler),
	}
}

// validate returns every fault at once.
func (o *Options) validate() error {
	var errs []error
	bad := func(ok bool, field string, value any, bound string) {
		if !ok {
			errs = append(errs, fmt.Errorf("consumer: %s is %v, want %s", field, value, bound))
		}
	}
	bad(o.PollInterval >= minPollGap && o.PollInterval <= time.Minute, "PollInterval", o.PollInterval, "200ms to 1m")
	bad(o.MaxBatchRecords >= 1 && o.MaxBatchRecords <= 100_000, "MaxBatchRecords", o.MaxBatchRecords, "1 to 100000")
	bad(o.Logger != nil, "Logger", "nil", "a logger")
	return errors.Join(append(errs, o.Start.validate())...)
}
