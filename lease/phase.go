package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// askPhase asks the store by which rules the workers live now.
func (m *member) askPhase(ctx context.Context) error {
	var led time.Duration
	if m.lead.leading {
		led = time.Since(m.lead.since)
	}
	call, cancel := context.WithTimeout(ctx, max(m.timing.failover/2, phaseCall))
	defer cancel()
	phase, err := m.store.Phase(call, Facts{Worker: m.id, Led: led})
	switch {
	case errors.Is(err, ErrUnsupported):
		return fmt.Errorf("lease: phase of the store: %w", err)
	case err != nil:
		m.log.Warn("phase of the store not known", "error", err)
		m.due.phase = time.Now().Add(m.timing.failover)
		return nil
	}
	m.enter(ctx, phase)
	return nil
}

// phaseCall is what a question for the phase may take at least: a leader's may move
// rows from table to table.
const phaseCall = 2 * time.Second

// enter goes by the rules of a phase from now on. What is held stays held: leases
// are the same under any rules.
func (m *member) enter(ctx context.Context, next Phase) {
	was := m.phase
	m.due.phase = nextPhase(next)
	if was.Name != next.Name {
		m.log.Info("phase", "name", next.Name)
		m.due.beat = time.Now() // the lock may be elsewhere by now
	}
	if was.Elect != next.Elect {
		m.stepDown(ctx)
	}
	m.phase = next
	if was.Assign == next.Assign && was.Elect == next.Elect && was.Quiet == next.Quiet {
		return
	}
	now := time.Now()
	m.due.report, m.due.watch, m.due.discover = now, now, now
}

// stepDown ends the leadership, by whatever it came.
func (m *member) stepDown(ctx context.Context) {
	if m.phase.Elect == ElectByLock {
		m.resign(ctx)
		return
	}
	m.leadByShuffle(false)
}

// electByShuffle finds out whether this worker leads where no lock says who does.
// While nobody owns a lease everybody leads, so that somebody makes them: what a
// leader does in this phase any number of workers may do.
func (m *member) electByShuffle(rows []Row) {
	leader := shuffleLeader(rows)
	m.leadByShuffle(leader == "" || leader == m.id)
}

func (m *member) leadByShuffle(leads bool) {
	if leads == m.lead.leading {
		return
	}
	m.lead = leadership{leading: leads, since: time.Now()}
	m.log.Info("leading by shuffle", "leading", leads)
	call(m.events.Elected, ElectedInfo{Leading: leads})
}

// byLock reports whether there is a leader lock to watch and to keep.
func (m *member) byLock() bool { return m.phase.Elect == ElectByLock }

// taking reports whether each worker takes leases for itself.
func (m *member) taking() bool { return m.phase.Assign == AssignByTaking }

// hideAway removes the own worker row where there may be none.
func (m *member) hideAway(ctx context.Context) {
	m.due.report = time.Now().Add(m.timing.scan)
	if m.reporter.written.Updated.IsZero() {
		return
	}
	if err := m.store.DeleteWorker(ctx, m.reporter.written); err != nil {
		m.log.Warn("own worker row not removed", "error", err)
		return
	}
	m.reporter.written = Worker{}
}
