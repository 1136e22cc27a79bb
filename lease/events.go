package lease

import "github.com/kinesis-go/kinesis/checkpoint"

// Events are functions that are called as things happen; each may be nil. They
// are called without locks held, on goroutines of [Coordinator.Run] or on that
// of the caller of a method of [Held], several at a time. They should return
// soon: what they do delays the lease they tell of.
type Events struct {
	// Acquired: this worker holds a lease.
	Acquired func(AcquiredInfo)

	// Lost: a lease was lost before it was given up.
	Lost func(LostInfo)

	// Released: a lease was given up.
	Released func(ReleasedInfo)

	// Finished: the end of a shard was stored.
	Finished func(FinishedInfo)

	// CheckpointStored: a position was stored.
	CheckpointStored func(CheckpointInfo)

	// Elected: this worker became or ceased to be the leader.
	Elected func(ElectedInfo)

	// Assigned: this worker, as leader, moved a lease.
	Assigned func(AssignedInfo)

	// RowSkipped: a row cannot be understood and is left alone. Called once per
	// row while it stays so.
	RowSkipped func(RowSkippedInfo)
}

// AcquiredInfo tells of a lease acquired.
type AcquiredInfo struct {
	Stream, Shard string
	Epoch         Epoch
	Position      checkpoint.Position
}

// LostInfo tells of a lease lost.
type LostInfo struct {
	Stream, Shard string
	Epoch         Epoch
	Err           error // wraps [ErrLost] and says why
}

// ReleasedInfo tells of a lease given up.
type ReleasedInfo struct {
	Stream, Shard string
	Epoch         Epoch
	To            string // the next owner, empty for nobody
	Reason        Reason
	Err           error // what hold returned
}

// FinishedInfo tells of a shard that is done.
type FinishedInfo struct {
	Stream, Shard string
	Epoch         Epoch
	Children      []string
}

// CheckpointInfo tells of a position stored.
type CheckpointInfo struct {
	Stream, Shard string
	Epoch         Epoch
	Position      checkpoint.Position
}

// ElectedInfo tells of leadership.
type ElectedInfo struct {
	Leading bool
}

// AssignedInfo tells of a lease that the leader moved.
type AssignedInfo struct {
	Stream, Shard string
	From, To      string // workers; From is empty if the lease was free
	Graceful      bool   // From finishes its work first
	Reason        Reason
}

// RowSkippedInfo tells of a row that is no valid lease.
type RowSkippedInfo struct {
	Err *RowError
}

func call[T any](f func(T), info T) {
	if f != nil {
		f(info)
	}
}
