package consumer

import (
	"errors"
	"fmt"

	"github.com/kinesis-go/kinesis/lease"
)

var (
	// ErrStopping ends [Shard.Batches] when this worker gives the shard up while
	// it still holds it: at the end of [Consumer.Run]'s context, or to hand it to
	// another worker. A last checkpoint is still possible. A handler returns it,
	// or nil. It is the error of package lease by the same name.
	ErrStopping = lease.ErrStopping

	// ErrReturnedEarly is what it counts as when a handler returns nil although
	// the shard goes on and nobody asked it to stop.
	ErrReturnedEarly = errors.New("consumer: handler returned before the end of the shard")

	// ErrUnfinished is what it counts as when a handler returns nil at the end of
	// the shard while records are begun in [Completions] and not done.
	ErrUnfinished = errors.New("consumer: handler returned before every record begun was done")

	// ErrExited is what it counts as when a handler ends its goroutine by
	// runtime.Goexit, as the Fatal methods of package testing do.
	ErrExited = errors.New("consumer: handler called runtime.Goexit")

	// ErrNoShard is returned by [ReadShard] and [Tail] for a shard that the stream
	// does not list, nor any shard that continues it.
	ErrNoShard = errors.New("consumer: no such shard")

	// ErrKeyGivenUp is the reason why a record follows another of its key to the
	// dead letters; see [FailurePolicy.KeyFollows].
	ErrKeyGivenUp = errors.New("consumer: an earlier record of the key was given up")

	// ErrRunning is returned by [Consumer.Run] while another call of it runs.
	ErrRunning = errors.New("consumer: already running")
)

// A PanicError is a panic of a handler, or of the function of [EachRecord] or
// [EachBatch]. It counts as an error.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // of the goroutine that panicked
}

// Error returns the value. The stack, which may be long, is in the field.
func (e *PanicError) Error() string { return fmt.Sprintf("consumer: handler panicked: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A CheckpointError is a position that [Shard.Checkpoint] refuses before it
// asks the store.
type CheckpointError struct {
	ShardID  string
	Position string // the position asked for
	Bound    string // the position it is measured by
	Reason   string // "moves back", "not delivered yet", "not a record", "handler has returned"
}

// Error names the shard, both positions and the reason.
func (e *CheckpointError) Error() string {
	return fmt.Sprintf("consumer: checkpoint %s of shard %s: %s (%s)", e.Position, e.ShardID, e.Reason, e.Bound)
}

// A fatalError ends Run: nothing a retry could mend, or the caller's policy.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }
