package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Store keeps the rows of one application. [NewMemoryStore] and package
// dynamo have one; package leasetest holds the tests that a new one must pass.
//
// A store never invents a condition: what a [Write] needs is what [Write.Apply]
// says, so that a store is a read, an Apply and a compare-and-swap. All methods
// may be called from several goroutines at once, end when ctx does, and return
// rows that share nothing with the store.
type Store interface {
	// Open creates what the store needs and waits until it can be used. It is
	// called before anything else, at every start. An error that wraps
	// [ErrUnsupported] is final.
	Open(ctx context.Context) error

	// Row returns the row with that key as the last completed write left it, or
	// [ErrNotFound], or a [*RowError] if it cannot be understood.
	Row(ctx context.Context, key string) (Row, error)

	// Snapshot reads everything once. Rows written meanwhile may be seen in
	// their old or new state, also a little after the write.
	Snapshot(ctx context.Context) (Snapshot, error)

	// Owned returns the keys of the rows whose owner is that worker, sorted. It
	// may lag behind writes.
	Owned(ctx context.Context, owner string) ([]string, error)

	// Write makes one change and returns the row as it is after it, zero after a
	// Delete. A [*ConflictError] means that the conditions do not hold. Nothing was
	// changed then, except by a store whose client repeats a request of which the
	// answer was lost: the row in the error shows the change. After any other error
	// it may have been made.
	Write(ctx context.Context, w Write) (Row, error)

	// PutWorker writes a worker's row, replacing its former one. It returns
	// [ErrWorkerID] if the id is the key of a row of another kind.
	PutWorker(ctx context.Context, w Worker) error

	// DeleteWorker removes a worker's row if it was not written since it was seen.
	// It is no error if it was, or is gone.
	DeleteWorker(ctx context.Context, seen Worker) error

	// Lock returns the leader lock as the last completed write left it, the zero
	// Lock if there is none.
	Lock(ctx context.Context) (Lock, error)

	// SwapLock replaces the lock seen by next; the zero Lock stands for none on
	// both sides. It returns [ErrLockMoved] if the lock's version is not that of
	// seen. After any other error the lock may have been replaced.
	SwapLock(ctx context.Context, seen, next Lock) error

	// Phase says how the workers of this table assign leases and elect their
	// leader. Facts are what the caller knows. An error that wraps
	// [ErrUnsupported] is final.
	Phase(ctx context.Context, f Facts) (Phase, error)
}

// A Snapshot is the content of a store.
type Snapshot struct {
	Rows    []Row    // sorted by key
	Workers []Worker // sorted by id
	Lock    Lock     // zero if there is none

	// Bad names rows that could not be understood. They are left alone.
	Bad []*RowError
}

// Facts are what a worker tells its store about itself.
type Facts struct {
	Worker string
	Led    time.Duration // how long it has led without a break, 0 if it does not lead
}

// A Phase says by which rules the workers of a table live together. Tables of
// older versions of the KCL go through phases; most stores have one for ever, the
// zero Phase.
type Phase struct {
	Assign AssignBy
	Elect  ElectBy

	// Quiet means that this worker may write no row but leases: others would
	// stumble over it. It removes its own.
	Quiet bool

	// Again is when to ask next, 0 for never.
	Again time.Duration

	// Name says for people which phase it is. A change is logged.
	Name string
}

// AssignBy says who assigns leases.
type AssignBy int

const (
	// AssignByLeader: the leader assigns all leases.
	AssignByLeader AssignBy = iota

	// AssignByTaking: each worker takes leases for itself until it has its part, as
	// in KCL 2.x. A lease may be taken from a live worker then, which finds out at
	// its next renewal.
	AssignByTaking
)

// ElectBy says how the leader is elected.
type ElectBy int

const (
	// ElectByLock: the holder of the lock row leads.
	ElectByLock ElectBy = iota

	// ElectByShuffle: of the workers that own leases the one leads that a shuffle
	// with a fixed seed puts first, as in KCL 2.x. There is no lock.
	ElectByShuffle
)

var (
	// ErrNotFound means that there is no row with that key.
	ErrNotFound = errors.New("lease: no such row")

	// ErrLockMoved means that the leader lock is not the one seen.
	ErrLockMoved = errors.New("lease: the leader lock has changed")

	// ErrUnsupported is wrapped by the error of a store whose table cannot be
	// used by this version of the library. Trying again does not help.
	ErrUnsupported = errors.New("lease: table not supported")

	// ErrWorkerID means that a worker id cannot be used, because a row of another
	// kind has it as its key.
	ErrWorkerID = errors.New("lease: worker id taken by a row of another kind")
)

// A ConflictError means that the row is not as the writer saw it. Nothing was
// written by the call that returns it.
type ConflictError struct {
	Key     string
	Op      Op
	Current *Row // the row as it is, nil if there is none
}

func (e *ConflictError) Error() string {
	if e.Current == nil {
		return fmt.Sprintf("lease: %v %q: no such row", e.Op, e.Key)
	}
	return fmt.Sprintf("lease: %v %q: the row has changed (owner %q, counter %d)", e.Op, e.Key, e.Current.Owner, e.Current.Counter)
}

// A RowError means that a row cannot be understood. It concerns that row alone.
type RowError struct {
	Key string
	Err error
}

func (e *RowError) Error() string {
	return fmt.Sprintf("lease: row %q: %v", clip(e.Key), e.Err)
}

// Unwrap returns the cause.
func (e *RowError) Unwrap() error { return e.Err }

// clip bounds what a hostile table can put into a text.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
