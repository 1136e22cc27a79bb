//go:build java

package sidebyside

import (
	"context"
	"sync"
	"time"
)

// A stall is a time for which the machine did not let a worker go on, or this
// process, on whose wires all of them depend. What follows of it is nobody's fault: a
// checkpoint that is not stored in time, a lease that others take for expired.
type stall struct {
	who      string // a worker, or "" for all
	from, to time.Time
}

// much is how long a stall has to be to count. Leases are renewed twice in the
// failover time at least.
const much = time.Second

// noteStall is given what took from since until now.
func (w *world) noteStall(who string, since time.Time, usually time.Duration) {
	now := time.Now()
	if now.Sub(since) < usually+much {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalls = append(w.stalls, stall{who, since, now})
}

// stalled reports whether something stood still for a worker between two times, or
// shortly before. The caller holds mu.
func (w *world) stalled(who string, from, to time.Time) bool {
	from = from.Add(-2 * failover)
	for _, s := range w.stalls {
		if (s.who == "" || s.who == who) && s.from.Before(to) && s.to.After(from) {
			return true
		}
	}
	return false
}

// watchClock notes when this process stands still.
func (w *world) watchClock() {
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		const beat = 200 * time.Millisecond
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				w.noteStall("", last, beat)
			}
		}
	})
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}
