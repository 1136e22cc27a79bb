package consumer

import (
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// Events are functions a consumer calls when something happens that a metric or
// an alert may want. Each may be nil. They are called on the goroutine of the
// shard they are about, with no lock held; a slow one slows that shard.
//
// What becomes of leases is told by lease.Events (see [Options.Lease]).
type Events struct {
	// Skipped reports records that will not be delivered. Nothing is left out
	// without it.
	Skipped func(SkippedInfo)

	// Malformed reports a record that claims to be an aggregate and is none, which
	// is delivered as it is, or an aggregate with a hash key that is none, whose
	// records are all delivered.
	Malformed func(MalformedInfo)

	// ReadFailed reports a failed call to Kinesis. The reader tries again.
	ReadFailed func(ReadFailedInfo)

	// HandlerFailed reports a handler that returned an error or panicked. It is
	// called again, from the position stored last, after Retry.
	HandlerFailed func(HandlerFailedInfo)
}

// A SkipReason says why records are not delivered.
type SkipReason int

const (
	// SkippedTrimmed: the records are no longer in the stream; retention removed
	// them before they were read.
	SkippedTrimmed SkipReason = iota + 1

	// SkippedOutOfRange: the records came in an aggregate that holds a record of
	// another shard. Its producer noticed and put it again where it belongs, so
	// delivering this copy would repeat it. See [Options.DeliverOutOfRange].
	SkippedOutOfRange
)

// String returns the reason in two or three words.
func (r SkipReason) String() string {
	switch r {
	case SkippedTrimmed:
		return "trimmed"
	case SkippedOutOfRange:
		return "out of range"
	}
	return "unknown reason"
}

// SkippedInfo describes records that were not delivered.
type SkippedInfo struct {
	Stream, ShardID string
	Reason          SkipReason

	// From and To bound what was skipped. For SkippedOutOfRange they are the first
	// and the last record of the aggregate. For SkippedTrimmed the last position
	// known to be done and the place where reading goes on.
	From, To checkpoint.Position

	// Records is the number of user records, 0 if it is not known.
	Records int

	// Err is what the service said, nil if it was not involved.
	Err error
}

// MalformedInfo describes an aggregate that no proper producer made.
type MalformedInfo struct {
	Stream, ShardID string
	Position        checkpoint.Position
	Err             error // of package aggregation
}

// ReadFailedInfo describes a failed call to Kinesis.
type ReadFailedInfo struct {
	Stream, ShardID string
	Err             error
	Throttled       bool // the shard asks for a slower pace; other readers use it too
	Failures        int  // in a row, this one included
}

// HandlerFailedInfo describes a failed handler.
type HandlerFailedInfo struct {
	Stream, ShardID string
	Err             error // a *[PanicError] for a panic
	Failures        int   // in a row without progress, this one included
	Retry           time.Duration
}

func (e *Events) skipped(i SkippedInfo) {
	if e.Skipped != nil {
		e.Skipped(i)
	}
}

func (e *Events) malformed(i MalformedInfo) {
	if e.Malformed != nil {
		e.Malformed(i)
	}
}

func (e *Events) readFailed(i ReadFailedInfo) {
	if e.ReadFailed != nil {
		e.ReadFailed(i)
	}
}

func (e *Events) handlerFailed(i HandlerFailedInfo) {
	if e.HandlerFailed != nil {
		e.HandlerFailed(i)
	}
}
