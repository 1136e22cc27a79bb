package lease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// A reporter keeps what the worker row tells. It belongs to the loop goroutine.
type reporter struct {
	written  Worker    // the row written last
	cpu      []float64 // the last means, oldest first
	measured time.Time // when the last of them ended
}

// measureEvery is the shortest time a mean is taken over.
const measureEvery = 10 * time.Second

// measure takes the mean of the processor's use since the last one.
func (r *reporter) measure(ctx context.Context, now time.Time, load func(context.Context) (float64, error)) {
	if load == nil || now.Sub(r.measured) < measureEvery {
		return
	}
	first := r.measured.IsZero() // it only begins the first interval
	r.measured = now
	percent, err := load(ctx)
	if first || err != nil || !(percent >= 0) {
		return
	}
	percent = math.Round(min(percent, maxPercent)*1e6) / 1e6
	r.cpu = append(r.cpu, percent)
	r.cpu = r.cpu[max(0, len(r.cpu)-cpuSamples):]
}

// row returns the worker row to write.
func (r *reporter) row(now time.Time, id, run string, maxLoad float64) Worker {
	at := now.Truncate(time.Second).UTC()
	w := Worker{
		ID: id, Updated: at, Support: 1, SupportUpdated: at,
		Properties: map[string]string{propertyLibrary: Library, propertyRun: run},
	}
	if len(r.cpu) > 0 {
		w.Metrics = map[string][]float64{metricCPU: slices.Clone(r.cpu)}
		w.Limits = map[string]float64{metricCPU: maxLoad}
	}
	return w
}

// report writes the worker row.
func (m *member) report(ctx context.Context) error {
	now := time.Now()
	call, cancel := context.WithTimeout(ctx, m.timing.call)
	defer cancel()
	if m.phase.Quiet {
		m.hideAway(call)
		return nil
	}
	m.reporter.measure(call, now, m.options.Load)
	row := m.reporter.row(now, m.id, m.runID, m.options.MaxLoad)
	if !m.observer.comparable(now) {
		row.Metrics, row.Limits = nil, nil
	}
	err := m.store.PutWorker(call, row)
	switch {
	case errors.Is(err, ErrWorkerID) || errors.Is(err, ErrUnsupported):
		return fmt.Errorf("lease: write the row of worker %q: %w", m.id, err)
	case err != nil:
		m.log.Warn("worker row not written", "error", err)
		m.due.report = now.Add(m.timing.scan)
		return nil
	}
	m.reporter.written = row
	m.rival.reported()
	m.due.report = now.Add(reportEvery)
	return nil
}

// reportSoon makes the loop write the worker row: a leader that took a lease for
// want of life gives this worker nothing before it sees some.
func (m *member) reportSoon() {
	m.mu.Lock()
	m.showNow = true
	m.mu.Unlock()
	m.wakeLoop()
}

func (m *member) takeShowNow() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	show := m.showNow
	m.showNow = false
	return show
}
