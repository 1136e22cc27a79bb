package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// Events are functions a consumer calls when something happens that a metric or
// an alert may want. Each may be nil. They are called with no lock held on the
// goroutines of the shard they are about, which fetch, handle and checkpoint: so
// several may run at once, and a slow one slows that shard.
//
// All of it goes to [Options.Logger] too. What becomes of leases is told by
// lease.Events (see [Options.Lease]).
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

	// RetrievalChanged reports that a shard is read in another way from now on:
	// polled because fan-out does not work, or pushed again because it does.
	RetrievalChanged func(RetrievalInfo)

	// Stalled reports a shard that has not answered for half of
	// [Options.StallTimeout], and again when it is given up.
	Stalled func(StalledInfo)

	// CheckpointFailed reports a position that the lease table did not take, and
	// that is not known to be stored. The shard is still held.
	CheckpointFailed func(CheckpointFailedInfo)

	// HandlerFailed reports a handler that returned an error or panicked, which is
	// called again from the position stored last, or a call of the function of
	// [EachRecord] or [EachBatch], or of its dead-letter function, that did.
	HandlerFailed func(HandlerFailedInfo)

	// HandlerStart is told of each call of the function of [EachRecord] or
	// [EachBatch] before it is made. The context it returns, one derived from ctx
	// such as a trace's, is what the function and HandlerEnd are called with.
	HandlerStart func(ctx context.Context, i HandlerCallInfo) context.Context

	// HandlerEnd is told of the end of the same call, how long it took and the
	// error it returned, a *[PanicError] for a panic.
	HandlerEnd func(ctx context.Context, i HandlerCallInfo, took time.Duration, err error)
}

// A SkipReason says why records are not delivered.
type SkipReason int

const (
	// SkippedTrimmed: retention removed records before they were read, or may
	// have: the record at the position stored last is gone itself, and nobody can
	// tell whether there were others behind it.
	SkippedTrimmed SkipReason = iota + 1

	// SkippedOutOfRange: the records came in an aggregate that holds a record of
	// another shard. Its producer noticed and put it again where it belongs, so
	// delivering this copy would repeat it. See [Options.DeliverOutOfRange].
	SkippedOutOfRange

	// SkippedDuplicate: a record with the same id was dealt with before. See
	// [EachOptions].DedupeBytes.
	SkippedDuplicate
)

// String returns the reason in two or three words.
func (r SkipReason) String() string {
	switch r {
	case SkippedTrimmed:
		return "trimmed"
	case SkippedOutOfRange:
		return "out of range"
	case SkippedDuplicate:
		return "duplicate"
	}
	return "unknown reason"
}

// SkippedInfo describes records that were not delivered.
type SkippedInfo struct {
	Stream, ShardID string
	Reason          SkipReason

	// From and To bound what was skipped. For SkippedOutOfRange they are the first
	// and the last record of the aggregate, for SkippedDuplicate the record. For SkippedTrimmed the last position
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
	Failures        int  // in a row, this one included; throttles count apart
}

// CheckpointFailedInfo describes a checkpoint that failed.
type CheckpointFailedInfo struct {
	Stream, ShardID string
	Position        checkpoint.Position // checkpoint.ShardEnd for the end of the shard
	Err             error
}

// HandlerFailedInfo describes a failed handler, or a failed call of a function on
// certain records.
type HandlerFailedInfo struct {
	Stream, ShardID string
	Err             error         // a *[PanicError] for a panic
	Failures        int           // in a row without progress, this one included
	Retry           time.Duration // pause before the next attempt

	// Of a call of the function of EachRecord or EachBatch: how many records it was
	// called with, the position of the first, and when its first attempt failed,
	// since when they block what comes after them. All zero for a handler.
	Records  int
	Position checkpoint.Position
	Since    time.Time

	// GivenUp says that the function is not called with the records again: they
	// are for [FailurePolicy.DeadLetter], or end Run.
	GivenUp bool
}

// HandlerCallInfo describes a call of the function of [EachRecord] or
// [EachBatch].
type HandlerCallInfo struct {
	Stream, ShardID string
	Records         []Record // one for EachRecord, none for a tick; not to be changed
	Attempt         int      // 1 for the first
}

func (o *Options) skipped(i SkippedInfo) {
	o.Logger.Warn("records skipped", "stream", i.Stream, "shard", i.ShardID, "reason", i.Reason.String(),
		"from", i.From.String(), "to", i.To.String(), "records", i.Records, "error", i.Err)
	call(o.Events.Skipped, i)
}

// repeated is skipped for what happens often and is nothing to worry about.
func (o *Options) repeated(i SkippedInfo) {
	o.Logger.Debug("record skipped", "stream", i.Stream, "shard", i.ShardID, "reason", i.Reason.String(), "from", i.From.String())
	call(o.Events.Skipped, i)
}

func (o *Options) malformed(i MalformedInfo) {
	o.Logger.Warn("malformed aggregate", "stream", i.Stream, "shard", i.ShardID, "position", i.Position.String(), "error", i.Err)
	call(o.Events.Malformed, i)
}

func (o *Options) readFailed(i ReadFailedInfo) {
	o.Logger.Warn("read failed", "stream", i.Stream, "shard", i.ShardID, "failures", i.Failures, "error", i.Err)
	call(o.Events.ReadFailed, i)
}

func (o *Options) retrievalChanged(i RetrievalInfo) {
	log := o.Logger.Warn
	if i.Err == nil || errors.Is(i.Err, errNotActive) {
		log = o.Logger.Info
	}
	log("retrieval changed", "stream", i.Stream, "shard", i.ShardID, "from", i.From.String(), "to", i.To.String(), "error", i.Err)
	call(o.Events.RetrievalChanged, i)
}

func (o *Options) stalled(i StalledInfo) {
	o.Logger.Error("shard stalled", "stream", i.Stream, "shard", i.ShardID, "since", i.Since, "givenUp", i.GivenUp, "error", i.Err)
	call(o.Events.Stalled, i)
}

func (o *Options) checkpointFailed(i CheckpointFailedInfo) {
	o.Logger.Warn("checkpoint failed", "stream", i.Stream, "shard", i.ShardID, "position", i.Position.String(), "error", i.Err)
	call(o.Events.CheckpointFailed, i)
}

func (o *Options) handlerFailed(i HandlerFailedInfo) {
	o.Logger.Error("handler failed", "stream", i.Stream, "shard", i.ShardID, "failures", i.Failures, "retry", i.Retry,
		"position", i.Position.String(), "records", i.Records, "given up", i.GivenUp, "error", i.Err)
	call(o.Events.HandlerFailed, i)
}

// call calls fn unless it is nil.
func call[T any](fn func(T), info T) {
	if fn != nil {
		fn(info)
	}
}
