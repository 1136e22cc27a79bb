package kinesistest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

// TableOptions are how DynamoDB's tables behave where AWS leaves it to chance
// or to load. Capacity is counted in the time of the test.
type TableOptions struct {
	// IndexLag is how far global indexes are behind their tables; default 0. On
	// AWS it is mostly milliseconds.
	IndexLag time.Duration

	// ReadLag lets eventually consistent reads of tables and local indexes show
	// the past: with ReadLagProbability a read shows the table as it was ReadLag
	// ago, else as it is. Consistent reads and those of transactions are always
	// fresh. Default 0, every read is fresh.
	ReadLag time.Duration

	// ReadLagProbability is from 0 to 1, the default.
	ReadLagProbability float64

	// ReadLagSeed makes chance repeat, which is a hash of it and the number of
	// the read; default 0.
	ReadLagSeed uint64

	// ExpiryLag is how long a row stays after its time to live is over, and is
	// read like any other; default 0. On AWS it is minutes to days.
	ExpiryLag time.Duration

	// ProvisionedThroughput lets a table or an index that was made with
	// ProvisionedThroughput serve no more than that, after a burst of 300
	// seconds' worth; default true. What is above fails with
	// ProvisionedThroughputExceededException.
	ProvisionedThroughput bool

	// KeyReadUnits and KeyWriteUnits are the capacity units a second of the rows
	// with one hash key, of which 5 seconds' worth may come at once; default 3000
	// and 1000, AWS's for a partition. Scans and indexes do not count. 0 is no
	// limit.
	KeyReadUnits, KeyWriteUnits int

	// OnDemandReadUnits and OnDemandWriteUnits are the same for a whole table or
	// index that is billed on demand; default 0, no limit, because a test may
	// well write more in an instant than AWS's new table takes in a second,
	// which is 12,000 and 4,000 units. What is above fails with
	// ThrottlingException. OnDemandThroughput of a table holds in any case.
	OnDemandReadUnits, OnDemandWriteUnits int
}

func tableDefaults() TableOptions {
	return TableOptions{ReadLagProbability: 1, ProvisionedThroughput: true, KeyReadUnits: 3000, KeyWriteUnits: 1000}
}

// unthrottle lifts the limits that count by the second.
func (o *TableOptions) unthrottle() {
	o.ProvisionedThroughput = false
	o.KeyReadUnits, o.KeyWriteUnits, o.OnDemandReadUnits, o.OnDemandWriteUnits = 0, 0, 0, 0
}

func (o *TableOptions) validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"IndexLag", int64(o.IndexLag)},
		{"ReadLag", int64(o.ReadLag)},
		{"ExpiryLag", int64(o.ExpiryLag)},
		{"KeyReadUnits", int64(o.KeyReadUnits)},
		{"KeyWriteUnits", int64(o.KeyWriteUnits)},
		{"OnDemandReadUnits", int64(o.OnDemandReadUnits)},
		{"OnDemandWriteUnits", int64(o.OnDemandWriteUnits)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("kinesistest: Tables.%s %d: want 0 or more", f.name, f.value))
		}
	}
	if p := o.ReadLagProbability; !(p >= 0 && p <= 1) {
		errs = append(errs, fmt.Errorf("kinesistest: Tables.ReadLagProbability %v: want 0 to 1", p))
	}
	return errors.Join(errs...)
}

// service returns the options of the service, in its own terms.
func (o *TableOptions) service() dynamo.Options {
	return dynamo.Options{
		IndexLag:           o.IndexLag,
		ReadLag:            o.ReadLag,
		ReadLagProbability: o.ReadLagProbability,
		ReadLagSeed:        o.ReadLagSeed,
		ExpiryLag:          o.ExpiryLag,
		Limits: dynamo.Limits{
			Provisioned:        o.ProvisionedThroughput,
			KeyReadUnits:       o.KeyReadUnits,
			KeyWriteUnits:      o.KeyWriteUnits,
			OnDemandReadUnits:  o.OnDemandReadUnits,
			OnDemandWriteUnits: o.OnDemandWriteUnits,
		},
	}
}

// Errors of DynamoDB that faults often answer with, beside [Throttled].
var (
	// RequestLimitExceeded is what an account answers that asks too much of all
	// its tables.
	RequestLimitExceeded = &Error{400, "RequestLimitExceeded", "Throughput exceeds the current throughput limit for your account. Please contact AWS Support at https://aws.amazon.com/support request a limit increase.", nil}

	// TransactionConflict is what a write of one row answers while a transaction
	// is changing it.
	TransactionConflict = &Error{400, "TransactionConflictException", "Transaction is ongoing for the item", nil}

	// TransactionInProgress is what a transaction answers whose token belongs to
	// one that is not done.
	TransactionInProgress = &Error{400, "TransactionInProgressException", "Transaction with the given client token is in progress", nil}
)

// TransactionCanceled returns the error of a transaction with a reason for each
// of its actions, in their order: None, TransactionConflict,
// ConditionalCheckFailed, ProvisionedThroughputExceeded, ThrottlingError,
// ItemCollectionSizeLimitExceeded or ValidationError. Tables end a transaction
// so by themselves for conditions, capacity and bad values, never for conflicts:
// here writes of one row wait for each other.
func TransactionCanceled(reasons ...string) *Error {
	list := make([]map[string]string, len(reasons))
	for i, code := range reasons {
		list[i] = map[string]string{"Code": code}
		if code != "None" {
			list[i]["Message"] = code + ", by a fault"
		}
	}
	text := "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(reasons, ", ") + "]"
	return &Error{400, "TransactionCanceledException", text, map[string]any{"CancellationReasons": list}}
}
