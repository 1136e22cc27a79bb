package lease

import (
	"fmt"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// An Op is one of the closed set of changes of a row.
type Op int

// The changes. Each says what must be true of the row, and what becomes of it.
// *Fenced* means: counter, owner and leaving worker are those of Write.Seen.
const (
	// Create adds the row Write.Row. There must be none with its key.
	Create Op = iota

	// Renew raises the counter and stores Write.Throughput unless nil, Write.Run
	// unless empty, Write.Since and Write.ReadTo unless zero. Fenced.
	Renew

	// Take gives the lease to Write.Owner, ends a handover, raises the counter.
	// Fenced: it fails if the owner seen has shown life. Like Assign, Handoff and
	// Release it stores Write.Moved unless nil.
	Take

	// Assign gives the lease to Write.Owner, ends a handover and raises the
	// counter, whatever the counter is. Owner and leaving worker must be as seen.
	Assign

	// Handoff asks the owner seen to leave the lease to Write.Owner: it becomes
	// the leaving worker. The counter stays. There must be no handover yet.
	Handoff

	// Checkpoint stores Write.Checkpoint, Write.Children unless empty,
	// Write.Throughput unless nil, Write.Run unless empty and Write.ReadTo unless
	// zero, raises the counter, clears what was pending, sets the switches to 0.
	// Fenced.
	Checkpoint

	// Prepare announces Write.Pending, stores Write.Run unless empty and raises the
	// counter. Fenced.
	Prepare

	// SetChildren stores Write.Children. There must be a row. The counter stays.
	SetChildren

	// SetRange stores Write.Range. There must be a row. The counter stays.
	SetRange

	// Release gives the lease up: to the next owner if it is being handed over,
	// else to Write.Owner, which may be empty for nobody. Raises the counter.
	// Fenced.
	Release

	// Rewind stores Write.Checkpoint where a checkpoint may not go: backwards.
	// Clears what was pending and what LATEST stood for, sets the switches to 0 and
	// raises the counter by 2: by 1 the owner, of the KCL too, would take it for a
	// write of its own whose answer was lost, and go on from where it was. Fenced.
	Rewind

	// Delete removes the row. Fenced, and the checkpoint must be as seen; a row
	// that is not there is as good as deleted.
	Delete

	numOps
)

var opNames = [numOps]string{"create", "renew", "take", "assign", "hand off", "checkpoint", "prepare", "set children",
	"set range", "release", "rewind", "delete"}

// String returns the operation's name in lower case.
func (o Op) String() string {
	if o < 0 || o >= numOps {
		return fmt.Sprintf("op %d", int(o))
	}
	return opNames[o]
}

// A Write is one change of one row. The operation says which fields it uses;
// the others are left zero.
type Write struct {
	Op   Op
	Seen Row // what the writer last saw: the conditions come from it
	Row  Row // Create: the row to add

	Owner      string              // Take, Assign, Handoff, Release
	Checkpoint checkpoint.Position // Checkpoint, Rewind
	Pending    *Pending            // Prepare
	Children   []string            // Checkpoint, SetChildren; sorted
	Range      *HashRange          // SetRange
	Throughput *float64            // Renew, Checkpoint
	Run        string              // Renew, Checkpoint, Prepare
	Since      time.Time           // Renew; in whole milliseconds
	ReadTo     time.Time           // Renew, Checkpoint; in whole milliseconds
	Moved      *Move               // Take, Assign, Handoff, Release
}

// Key returns the key of the row that w changes.
func (w *Write) Key() string {
	if w.Op == Create {
		return w.Row.Key
	}
	return w.Seen.Key
}

// Fenced reports whether w goes through only if the row's counter, owner and
// leaving worker are those of w.Seen.
func (w *Write) Fenced() bool {
	switch w.Op {
	case Renew, Take, Checkpoint, Prepare, Release, Rewind, Delete:
		return true
	}
	return false
}

// Validate returns an error if w lacks what its operation needs.
func (w *Write) Validate() error {
	bad := func(field, want string) error {
		return fmt.Errorf("lease: %v %q: %s: want %s", w.Op, w.Key(), field, want)
	}
	switch {
	case w.Op < 0 || w.Op >= numOps:
		return fmt.Errorf("lease: op %d: not one of the operations", int(w.Op))
	case w.Key() == "":
		return bad("key", "the row's key")
	case w.Op == Create:
		if err := w.Row.Checkpoint.Validate(); err != nil {
			return fmt.Errorf("lease: create %q: %w", w.Row.Key, err)
		}
	case (w.Op == Take || w.Op == Assign || w.Op == Handoff) && w.Owner == "":
		return bad("owner", "a worker id")
	case w.Op == Handoff && (w.Seen.Owner == "" || w.Seen.Owner == w.Owner):
		return bad("owner", "another worker than the one seen, which must not be empty")
	case w.Op == Checkpoint || w.Op == Rewind:
		if err := w.Checkpoint.Validate(); err != nil {
			return fmt.Errorf("lease: %v %q: %w", w.Op, w.Key(), err)
		}
	case w.Op == Prepare:
		if w.Pending == nil {
			return bad("pending", "a position")
		}
		return w.Pending.At.Validate()
	case w.Op == SetChildren && len(w.Children) == 0:
		return bad("children", "at least one shard id")
	case w.Op == SetRange && w.Range == nil:
		return bad("range", "a hash range")
	}
	return nil
}

// Apply is the reference for what a store does: it returns the row as w leaves
// it, given the current one; nil stands for no row, on both sides. The error is
// a [*ConflictError] if the conditions of w do not hold. Neither w nor cur is
// changed, and the result shares nothing with them.
func (w Write) Apply(cur *Row) (*Row, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	if !w.allowed(cur) {
		return nil, &ConflictError{Key: w.Key(), Op: w.Op, Current: cloneRow(cur)}
	}
	switch w.Op {
	case Delete:
		return nil, nil
	case Create:
		row := w.Row.Clone()
		row.Counter, row.Switches = 0, 0
		return &row, nil
	}
	row := cur.Clone()
	w.change(&row)
	return &row, nil
}

// allowed judges the conditions of w.
func (w *Write) allowed(cur *Row) bool {
	if cur == nil {
		return w.Op == Create || w.Op == Delete
	}
	sameOwners := cur.Owner == w.Seen.Owner && cur.Leaving == w.Seen.Leaving
	switch w.Op {
	case Create:
		return false
	case SetChildren, SetRange:
		return true
	case Assign:
		return sameOwners
	case Handoff:
		return cur.Owner == w.Seen.Owner && cur.Leaving == ""
	case Delete:
		return sameOwners && cur.Counter == w.Seen.Counter && cur.Checkpoint == w.Seen.Checkpoint
	}
	return sameOwners && cur.Counter == w.Seen.Counter
}

// Explained returns w with an explanation for the change of owner that it makes,
// by a writer whose clock shows now.
func (w Write) Explained(now time.Time, reason Reason) Write {
	to := w.Owner
	if w.Op == Release && w.Seen.Leaving != "" {
		to = w.Seen.Owner
	}
	w.Moved = &Move{At: now.UTC().Truncate(time.Millisecond), From: w.Seen.Reader(), To: to, Reason: reason}
	return w
}

// Moves reports whether w changes who holds the lease.
func (w *Write) Moves() bool {
	return w.Op == Take || w.Op == Assign || w.Op == Handoff || w.Op == Release
}

// change makes the change of w, whose conditions hold.
func (w *Write) change(row *Row) {
	if w.Run != "" && (w.Op == Renew || w.Op == Checkpoint || w.Op == Prepare) {
		row.Run = w.Run
	}
	if !w.ReadTo.IsZero() && (w.Op == Renew || w.Op == Checkpoint) {
		row.ReadTo = w.ReadTo
	}
	if w.Moved != nil && w.Moves() {
		row.Moved = clonePtr(w.Moved)
	}
	switch w.Op {
	case Renew:
		if w.Throughput != nil {
			row.Throughput = clonePtr(w.Throughput)
		}
		if !w.Since.IsZero() {
			row.Since = w.Since
		}
	case Take, Assign:
		row.Switches += w.Switched()
		row.Owner, row.Leaving = w.Owner, ""
	case Handoff:
		row.Owner, row.Leaving = w.Owner, row.Owner
		return
	case Checkpoint, Rewind:
		row.Checkpoint, row.Pending, row.Switches = w.Checkpoint, nil, 0
		if w.Op == Rewind {
			row.Since = time.Time{}
			row.Counter++
		}
		if w.Op == Checkpoint && len(w.Children) > 0 {
			row.Children = slices.Clone(w.Children)
		}
		if w.Op == Checkpoint && w.Throughput != nil {
			row.Throughput = clonePtr(w.Throughput)
		}
	case Prepare:
		row.Pending = &Pending{At: w.Pending.At, State: slices.Clone(w.Pending.State)}
	case SetChildren:
		row.Children = slices.Clone(w.Children)
		return
	case SetRange:
		row.Range = clonePtr(w.Range)
		return
	case Release:
		row.Switches += w.Switched()
		if row.Leaving == "" {
			row.Owner = w.Owner
		}
		row.Leaving = ""
	}
	row.Counter++
}

// Switched returns how much w adds to the row's switches: 1 if an owner is
// followed by another. At the end of a handover the row already names the next
// owner, so nothing is added, except when it ends where it began.
func (w *Write) Switched() int64 {
	switch {
	case w.Op == Release && w.Seen.Leaving != "":
		return 0
	case w.Op != Take && w.Op != Assign && w.Op != Release:
		return 0
	case w.Owner == "":
		return 0
	case w.Seen.Owner != "" && w.Seen.Owner != w.Owner, w.Seen.Leaving == w.Owner:
		return 1
	}
	return 0
}

func cloneRow(r *Row) *Row {
	if r == nil {
		return nil
	}
	c := r.Clone()
	return &c
}
