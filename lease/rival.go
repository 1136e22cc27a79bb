package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/kinesis-go/kinesis/internal/pace"
)

// ErrSameID is wrapped by the error of [Coordinator.Run] if another worker runs
// under the same id. Their rows alone could not tell the two apart.
var ErrSameID = errors.New("lease: another worker runs under the same id")

// newRun returns the name of a run. Of two runs the later has the greater name, as
// far as their clocks agree; which of them gives way rests on it and nothing else.
func newRun(id string, now time.Time) string {
	return fmt.Sprintf("%016x-%s-%s", now.UnixNano(), runOwner(id), rand.Text()[:12])
}

// runOwner is the part of the name that runs of one worker id share.
func runOwner(id string) string { return fmt.Sprintf("%016x", pace.Hash(id, "run", "", 0)) }

// isRival reports whether run, which has written a row, is another one under this
// worker's id that was not over when this one began.
func (m *member) isRival(run string) bool {
	return run != m.runID && !m.oldRuns[run] && sameOwner(run, m.runID)
}

func sameOwner(a, b string) bool {
	const from, to = 16, 33 // "-" and the owner
	return len(a) > to && a[from:to] == b[from:to]
}

func (m *member) sameID() error {
	return fmt.Errorf("%w: WorkerID %q: give each worker an id of its own", ErrSameID, m.id)
}

// awaitOldRun makes sure that the leases in this worker's name are those of a run
// that is over: it watches whether somebody renews them, for as long as a live
// worker needs at most. Nothing is waited for if there are none.
//
// One change of a counter may be that of a leader, which gives the lease anew.
func (m *member) awaitOldRun(ctx context.Context, snap Snapshot) error {
	type state struct {
		counter int64
		changes int
	}
	seen := make(map[string]state)
	until := time.Now().Add(m.timing.failover / 2)
	for {
		for i := range snap.Rows {
			r := &snap.Rows[i]
			if sameOwner(r.Run, m.runID) {
				m.oldRuns[r.Run] = true
			}
			if r.Reader() != m.id {
				delete(seen, r.Key)
				continue
			}
			s, known := seen[r.Key]
			if known && r.Counter > s.counter { // a look that is older than the last is no sign
				if s.changes++; s.changes == 2 {
					return m.sameID()
				}
				until = time.Now().Add(m.timing.failover / 2)
			}
			s.counter = max(s.counter, r.Counter)
			seen[r.Key] = s
		}
		if len(seen) == 0 || !time.Now().Before(until) {
			return nil
		}
		if !pause(ctx, m.timing.step, nil) {
			return context.Cause(ctx)
		}
		var err error
		if snap, err = m.firstLook(ctx); err != nil {
			return err
		}
	}
}

// outlive waits until it is certain that the run which has written the row of a
// lease in this worker's name is over, and returns the row as it is then. It was
// not seen when this run began, but that look may have been older than the last
// write of a run that crashed a moment before. False means that the lease is not to
// be acquired now; if the run lives, this one ends.
func (m *member) outlive(ctx context.Context, seen Row) (Row, bool) {
	changes := 0
	until := time.Now().Add(m.timing.failover / 2)
	for time.Now().Before(until) {
		if !pause(ctx, m.timing.step, nil) || m.isStopping() {
			return Row{}, false
		}
		row, err := m.row(ctx, seen.Key)
		switch {
		case errors.Is(err, ErrNotFound) || err == nil && (row.Owner != m.id || row.Leaving != ""):
			return Row{}, false
		case err != nil:
			until = time.Now().Add(m.timing.failover / 2) // nothing was seen meanwhile
		case row.Counter != seen.Counter:
			seen, until = row, time.Now().Add(m.timing.failover/2)
			if changes++; changes == 2 {
				m.fail(m.sameID())
				return Row{}, false
			}
		}
	}
	return seen, true
}

// firstLook reads the table, trying until it can.
func (m *member) firstLook(ctx context.Context) (Snapshot, error) {
	for {
		snap, err := m.look(ctx)
		if err == nil {
			return snap, nil
		}
		m.log.Warn("table not read", "error", err)
		if !pause(ctx, m.timing.step, nil) {
			return Snapshot{}, context.Cause(ctx)
		}
	}
}

// A rival finds out whether another run writes the worker row, from looks at it.
// A look may show the row as it was before the last report, and one write may be
// the last of a run that is over, late: two are a sign of life.
type rival struct {
	mine    bool // our row was seen since the last report
	run     string
	updated time.Time
	writes  int // by that run, each seen after one of ours
}

func (r *rival) reported() { r.mine = false }

// look takes note of the worker row, and reports whether this worker is to give
// way: to a live run that began before it. The other one waits until this one
// does so by the same rule.
func (r *rival) look(row *Worker, run string) bool {
	other := row.Properties[propertyRun]
	switch {
	case other == run:
		r.mine = true
	case other == "" || !r.mine || other == r.run && row.Updated.Equal(r.updated):
	case other != r.run:
		r.run, r.updated, r.writes = other, row.Updated, 1
	default:
		r.updated = row.Updated
		r.writes++
	}
	return r.writes >= 2 && r.run < run
}

// lookForRival looks for another run in the worker row.
func (m *member) lookForRival(workers []Worker) error {
	for i := range workers {
		if workers[i].ID == m.id && m.rival.look(&workers[i], m.runID) {
			return m.sameID()
		}
	}
	return nil
}
