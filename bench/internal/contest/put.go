package contest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Putter is a producer under test.
type Putter interface {
	// Put takes a record and calls done with its fate; those that never tell the
	// fate of a record call it at once, with Untold.
	Put(key string, data []byte, done func(Fate)) error

	// Finish returns when everything that was put has been sent and answered.
	Finish() error
}

// A Fate is what became of a record.
type Fate int

// The fates.
const (
	Stored Fate = iota
	Failed
	Untold
)

// AggregateBytes is the size of aggregates for a library that has no other switch:
// at 1 whatever is larger goes alone.
func (a Args) AggregateBytes() int {
	if a.Aggregate {
		return 50 << 10
	}
	return 1
}

// Untelling is a Putter for a library that keeps the data it is given and never
// tells what became of a record.
type Untelling struct {
	Send func(data []byte, key string) error
	Stop func()
}

// Put copies the data.
func (u Untelling) Put(key string, data []byte, done func(Fate)) error {
	defer done(Untold)
	return u.Send(append([]byte(nil), data...), key)
}

// Finish is what Putter says.
func (u Untelling) Finish() error { u.Stop(); return nil }

// Put is the whole of a contestant that puts.
func Put(a Args, p Putter) {
	w := &work{args: a, putter: p, keys: Keys(a.Keys), room: make(chan struct{}, a.Outstanding)}
	w.run(0, a.Warm)
	w.drain()
	w.stored.Store(0)
	m := Start(a)
	w.run(a.Warm, a.Warm+a.Records)
	Must(p.Finish())
	e := End{Stored: int(w.stored.Load()), Failed: int(w.failed.Load())}
	if w.untold.Load() > 0 {
		e.Stored = -1
	}
	m.End(e)
}

type work struct {
	args                   Args
	putter                 Putter
	keys                   []string
	room                   chan struct{}
	stored, failed, untold atomic.Int64
}

// writers is how many goroutines put: services put from their request handlers.
const writers = 4

// run puts the records from one id to another. The records of a key are put by
// one goroutine, in the order of their ids.
func (w *work) run(from, to int) {
	began := time.Now()
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			done := w.done // one function for all records
			data := make([]byte, w.args.Size)
			for id := from; id < to; id++ {
				k := id % len(w.keys)
				if k%writers != i {
					continue
				}
				if w.args.Rate > 0 {
					if wait := time.Until(began.Add(time.Duration(id-from) * time.Second / time.Duration(w.args.Rate))); wait > 0 {
						Must(Pause(context.Background(), wait))
					}
				}
				w.room <- struct{}{}
				Fill(data, id, w.args.Rate > 0)
				Must(w.putter.Put(w.keys[k], data, done))
			}
		})
	}
	wg.Wait()
}

func (w *work) done(f Fate) {
	switch f {
	case Stored:
		w.stored.Add(1)
	case Failed:
		w.failed.Add(1)
	case Untold:
		w.untold.Add(1)
	}
	<-w.room
}

// drain waits for the results of all that was put.
func (w *work) drain() {
	for range cap(w.room) {
		w.room <- struct{}{}
	}
	for range cap(w.room) {
		<-w.room
	}
}
