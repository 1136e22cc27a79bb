package sim

import (
	"cmp"
	"fmt"
	"slices"
	"testing/synctest"
	"time"
)

// A Kind is a way to go wrong.
type Kind struct {
	Name string

	// Longest is how long it lasts at most; 0 is an act of one instant.
	Longest time.Duration

	// Begin makes it go wrong. N tells faults of one kind apart and is to be used
	// in the place of their chance; end, which may be nil, heals.
	Begin func(w *World, n uint64) (end func())
}

// A Fault is one thing that goes wrong, from one moment of the world to another.
type Fault struct {
	Kind
	N        uint64
	From, To time.Duration
}

// Draw makes a schedule from the world's seed, from this moment on for a length
// of time, in which all faults heal: some half of the kinds, each several times
// or once. One seed in ten has none.
func (w *World) Draw(kinds []Kind, length time.Duration) []Fault {
	if w.Seed%10 == 0 {
		return nil
	}
	var schedule []Fault
	now := w.Since()
	for _, k := range kinds {
		if w.Seed.Chance("enabled", k.Name, 0) < 0.5 {
			continue
		}
		for n := range uint64(1 + w.Seed.IntN(3, "how often", k.Name, 0)) {
			f := Fault{Kind: k, N: n}
			f.From = w.Seed.Duration(now, now+length, "from", k.Name, n)
			if f.To = f.From; k.Longest > 0 {
				f.To = min(w.Seed.Duration(f.From, f.From+k.Longest, "to", k.Name, n), now+length)
			}
			schedule = append(schedule, f)
		}
	}
	return schedule
}

// Play plays a schedule, on the goroutine of the test and up to its end. It acts
// when everybody else is blocked, and calls watch then and ten times a second.
func (w *World) Play(schedule []Fault, length time.Duration, watch func()) {
	type event struct {
		at  time.Duration
		act func()
	}
	var events []event
	for _, f := range schedule {
		var end func()
		name := fmt.Sprint(f.Name, " ", f.N)
		events = append(events, event{f.From, func() {
			w.Note("%s begins", name)
			end = f.Begin(w, f.N)
		}})
		if f.To > f.From {
			events = append(events, event{f.To, func() {
				w.Note("%s ends", name)
				if end != nil {
					end()
				}
			}})
		}
	}
	for at, until := w.Since(), w.Since()+length; at <= until; at += 100 * time.Millisecond {
		events = append(events, event{at, func() {}})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	for _, e := range events {
		time.Sleep(e.at - w.Since()) //nolint:forbidigo // in a bubble, of tests
		synctest.Wait()
		e.act()
		if watch != nil {
			watch()
		}
	}
}
