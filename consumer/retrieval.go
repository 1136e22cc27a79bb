package consumer

import (
	"fmt"
	"time"
)

// A Retrieval is a way of getting records from Kinesis. It can be a flag:
// flag.TextVar takes one.
type Retrieval int

const (
	// Polling asks each shard for records with GetRecords, about once every
	// [Options.PollInterval]. A shard gives 5 answers and 2 MiB a second to all
	// applications that poll it together. It costs nothing extra.
	Polling Retrieval = iota

	// FanOut has each shard push its records as they arrive, by SubscribeToShard
	// (enhanced fan-out): 2 MiB a second and shard for this application alone, for
	// an hourly price per shard and a price per GB. [Options.FanOutConsumer] is
	// registered with the stream if it is not, and stays registered; see
	// [Options.Deregister]. If that is refused for good, [Consumer.Run] says so and
	// ends. Until the consumer is ACTIVE, and for a shard whose subscription is
	// refused or breaks off, records are polled for.
	FanOut

	// Auto is FanOut if it is possible and Polling otherwise: Run does not end when
	// the consumer cannot be registered, but polls, and tries again now and then.
	Auto
)

var retrievals = [...]string{Polling: "polling", FanOut: "fanout", Auto: "auto"}

// String returns "polling", "fanout" or "auto".
func (r Retrieval) String() string {
	if r < 0 || int(r) >= len(retrievals) {
		return fmt.Sprintf("Retrieval(%d)", int(r))
	}
	return retrievals[r]
}

// MarshalText implements encoding.TextMarshaler.
func (r Retrieval) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what String
// returns.
func (r *Retrieval) UnmarshalText(text []byte) error {
	for i, name := range retrievals {
		if name == string(text) {
			*r = Retrieval(i)
			return nil
		}
	}
	return fmt.Errorf("consumer: retrieval %q is none of polling, fanout, auto", clip(string(text)))
}

// RetrievalInfo describes a change of the way a shard is read. No record is lost
// or repeated by it.
type RetrievalInfo struct {
	Stream, ShardID string
	From, To        Retrieval // Polling or FanOut

	// Err is why fan-out was left, nil when it is taken up again.
	Err error
}

// StalledInfo describes a shard of which nothing can be read.
type StalledInfo struct {
	Stream, ShardID string
	Since           time.Time // when it answered last, or reading began
	Err             error     // what the last attempt met

	// GivenUp says that the lease is given back, so that another worker may try.
	// Before that the shard's reader is made anew, once.
	GivenUp bool
}

// A StalledError ends the reading of a shard that has not answered for
// [Options.StallTimeout]. [Shard.Batches] ends with it, and the lease is given
// back.
type StalledError struct {
	Stream, ShardID string
	Since           time.Time
	Err             error // what the last attempt met
}

// Error names the shard, the time and the cause.
func (e *StalledError) Error() string {
	return fmt.Sprintf("consumer: shard %s of %s has not answered since %s: %v", e.ShardID, e.Stream, e.Since.UTC().Format(time.RFC3339), e.Err)
}

// Unwrap returns what the last attempt met.
func (e *StalledError) Unwrap() error { return e.Err }
