package lease

import (
	"context"
	"errors"
	"sync/atomic"
)

var (
	// ErrStopping is the cause of a fetch context that ended because the lease is
	// to be given up: Run's context has ended, or another worker is to have it.
	ErrStopping = errors.New("lease: stopping")

	// ErrLost is wrapped by the cause of a context that ended because the lease
	// is lost, and returned by the methods of a [Held] from then on.
	ErrLost = errors.New("lease: lost")

	// ErrDrainTimeout is the cause of a work context that ended because the work
	// in hand took longer than Options.DrainTimeout after the stop.
	ErrDrainTimeout = errors.New("lease: drain timeout")

	// ErrFinished is returned by [Held.Checkpoint] after [Held.Finish].
	ErrFinished = errors.New("lease: shard is finished")

	// ErrRunning is returned by [Coordinator.Run] while another call of it runs.
	ErrRunning = errors.New("lease: already running")
)

// A Coordinator is one worker of the fleet that shares the leases of a [Store].
type Coordinator struct {
	store   Store
	source  Source
	options Options
	viewer  *Viewer
	running atomic.Bool
}

// New returns a worker of the application whose rows are in store and whose
// shards source knows. It does no I/O; [Coordinator.Run] does. The error names
// every option that is out of range.
func New(store Store, source Source, optFns ...func(*Options)) (*Coordinator, error) {
	o := defaults()
	for _, fn := range optFns {
		fn(&o)
	}
	err := o.validate()
	if store == nil {
		err = errors.Join(err, errors.New("lease: store is nil, want a Store"))
	}
	if source == nil {
		err = errors.Join(err, errors.New("lease: source is nil, want a Source"))
	}
	if err != nil {
		return nil, err
	}
	return &Coordinator{store: store, source: source, options: o, viewer: newViewer(store, o.FailoverTime)}, nil
}

// WorkerID returns the id under which this worker holds leases.
func (c *Coordinator) WorkerID() string { return c.options.WorkerID }

// Run takes part in the fleet until ctx ends. For each lease it acquires whose
// shard's parents are finished it calls hold, on a goroutine of its own.
//
// Of the two contexts hold is given, both carrying the values of ctx, fetch ends
// when the lease is to be given up (cause [ErrStopping]): no more should be
// read, while what is in hand may be completed and stored. Work ends when the
// lease is lost (cause wraps [ErrLost]), which is before it can expire for
// others, and when Options.DrainTimeout has passed since fetch ended (cause
// [ErrDrainTimeout]). Fetch ends with work. The deadlines are kept on the local
// monotonic clock; a program that may be frozen also asks [Held.Err] before it
// does what cannot be undone.
//
// When hold returns, the lease is given up: to the worker it is meant for, to
// the least loaded other one when ctx has ended, else to nobody, and the leader
// assigns it again. An error of hold goes to Events.Released and no further.
//
// Run returns when every hold and everything it started has ended, and then
// nothing of it is left in the fleet: its leases are given up, its worker row is
// removed, the leader lock is released. It returns nil if that is because ctx
// ended, and an error if the store cannot be used.
func (c *Coordinator) Run(ctx context.Context, hold func(fetch, work context.Context, h *Held) error) error {
	if hold == nil {
		return errors.New("lease: hold is nil")
	}
	if !c.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer c.running.Store(false)
	return newMember(c, hold).run(ctx)
}
