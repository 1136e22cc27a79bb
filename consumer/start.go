package consumer

import (
	"fmt"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A Start says where an application begins to read a stream it has stored no
// position for. It has no effect on a shard whose row has a position, nor on the
// children of a shard that was read: those begin at their first record.
//
// The zero value is [FromTrimHorizon], and in a [Stream] of many [Options.Start].
type Start struct {
	at   checkpoint.Position
	time time.Time
}

// FromTrimHorizon starts with the oldest record the stream still has.
func FromTrimHorizon() Start { return Start{at: checkpoint.TrimHorizon} }

// FromLatest starts with the records put after the shard is first read. That
// moment is kept in the shard's lease, to the second before: a worker that takes
// the shard over before its first checkpoint begins there. A worker of the KCL
// does not know it and starts behind what was put before. Records put while the
// application starts may be missed; use FromTime to miss none.
func FromLatest() Start { return Start{at: checkpoint.Latest} }

// FromTime starts with the records that arrived at t or later, by the service's
// clock. A time before the oldest record means the oldest record; the service
// refuses one in the future.
func FromTime(t time.Time) Start { return Start{at: checkpoint.AtTimestamp, time: t} }

// From starts behind the record at p: everything up to and including p counts as
// done. A position is one of a single shard, so it serves [Rewind] and not a
// whole stream.
func From(p checkpoint.Position) Start { return Start{at: p} }

// position returns the sentinel stored in the rows of shards not read yet.
func (s Start) position() checkpoint.Position {
	if s.at.IsZero() {
		return checkpoint.TrimHorizon
	}
	return s.at
}

func (s Start) validate() error {
	if !s.at.IsZero() && s.at != checkpoint.TrimHorizon && s.at != checkpoint.Latest && s.at != checkpoint.AtTimestamp {
		return fmt.Errorf("consumer: Start: From(%s): want a place in the whole stream", clip(s.at.String()))
	}
	if s.at == checkpoint.AtTimestamp && s.time.IsZero() {
		return fmt.Errorf("consumer: Start: FromTime needs a time, got the zero time")
	}
	return nil
}
