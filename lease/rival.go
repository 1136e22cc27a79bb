package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// ErrSameID is wrapped by the error of [Coordinator.Run] if another worker runs
// under the same id. Their rows alone could not tell the two apart.
var ErrSameID = errors.New("lease: another worker runs under the same id")

// newRun returns the name of a run. Of two runs the later has the greater name, as
// far as their clocks agree; nothing but who gives way rests on it.
func newRun(now time.Time) string {
	return fmt.Sprintf("%016x-%s", now.UnixNano(), rand.Text()[:12])
}

func (m *member) sameID() error {
	return fmt.Errorf("lease: WorkerID %q: %w: give each worker an id of its own", m.id, ErrSameID)
}

// awaitOldRun makes sure that the leases in this worker's name are those of a run
// that is over: it watches whether somebody renews them, for as long as a live
// worker needs at most. Nothing is waited for if there are none.
//
// One change of a counter may be that of a leader, which gives the lease anew.
func (m *member) awaitOldRun(ctx context.Context) error {
	type state struct {
		counter int64
		changes int
	}
	seen := make(map[string]state)
	until := time.Now().Add(m.timing.failover / 2)
	for {
		call, cancel := context.WithTimeout(ctx, m.timing.failover/2)
		snap, err := m.store.Snapshot(call)
		cancel()
		if err != nil {
			m.log.Warn("table not read", "error", err)
			until = time.Now().Add(m.timing.failover / 2)
		}
		for i := range snap.Rows {
			r := &snap.Rows[i]
			if r.Reader() != m.id {
				delete(seen, r.Key)
				continue
			}
			s, known := seen[r.Key]
			if known && s.counter != r.Counter {
				if s.changes++; s.changes == 2 {
					return m.sameID()
				}
				until = time.Now().Add(m.timing.failover / 2)
			}
			s.counter = r.Counter
			seen[r.Key] = s
		}
		if err == nil && len(seen) == 0 || !time.Now().Before(until) {
			return nil
		}
		if !pause(ctx, m.timing.step, nil) {
			return context.Cause(ctx)
		}
	}
}

// A rival finds out whether another run writes the worker row, from looks at it.
// A look may show the row as it was before the last report.
type rival struct {
	mine    bool // our row was seen since the last report
	strange int  // looks in a row that showed a row of another run after that
}

func (r *rival) reported() { r.mine, r.strange = false, 0 }

// look takes note of the worker row, and reports whether this worker is to give
// way: to a run that wrote the row after it and began before it. The other one
// waits until this one does so by the same rule.
func (r *rival) look(row *Worker, run string) bool {
	if row == nil {
		return false
	}
	other := row.Properties[propertyRun]
	switch {
	case other == run:
		r.mine, r.strange = true, 0
	case r.mine && other != "":
		r.strange++
	}
	return r.strange >= 2 && other < run
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

// supplant notes that another run has written a lease row of this worker: this
// one was taken for dead, and has to stop.
func (m *member) supplant() {
	m.mu.Lock()
	m.supplanted = true
	m.mu.Unlock()
	m.wakeLoop()
}

func (m *member) isSupplanted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.supplanted
}
