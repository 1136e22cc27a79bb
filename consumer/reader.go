package consumer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

// A reader is the batchSource of a held shard: a goroutine fetches pages, at
// most one ahead, and next takes them apart.
//
// The goroutine is owned by whoever called start, who ends it with stop.
type reader struct {
	leave <-chan struct{} // closed when the shard is to be given up
	left  func() error    // why it is, nil while it is not
	alive func() error    // nil while the lease cannot have expired
	pages chan page       // capacity 1: the page ahead
	stop  func()          // ends the goroutine and waits for it

	unpack   unpacker
	children []lease.Shard // known once next returned io.EOF
	end      bool          // the page being unpacked is the last
}

// startReader begins to fetch. fetch must end, or the returned reader's stop be
// called, for the goroutine to end.
func startReader(fetch context.Context, alive func() error, p *poller, u unpacker) *reader {
	ctx, cancel := context.WithCancel(fetch)
	r := &reader{
		leave: fetch.Done(), left: func() error { return stopCause(fetch) },
		alive: alive, pages: make(chan page, 1), unpack: u,
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			pg, err := p.next(ctx)
			if err != nil {
				return // ctx ended; next sees that by itself
			}
			select {
			case r.pages <- pg:
			case <-ctx.Done():
				return
			}
			if pg.end {
				return
			}
		}
	})
	r.stop = func() { cancel(); wg.Wait() }
	return r
}

func (r *reader) stopping() bool { return r.left() != nil }

// next implements batchSource. What the contexts say is judged after every wait,
// in this order, so that nothing hangs on which of two ready channels was read.
func (r *reader) next(ctx context.Context, until time.Time) (*Batch, error) {
	var due <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		due = t.C
	}
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := r.left(); err != nil {
			return nil, err
		}
		// After a freeze of the process the contexts may not have ended yet.
		if err := r.alive(); err != nil {
			return nil, err
		}
		if b := r.unpack.batch(); b != nil {
			return b, nil
		}
		if r.end {
			return nil, io.EOF
		}
		select {
		case pg := <-r.pages:
			r.unpack.load(pg)
			r.end, r.children = pg.end, pg.children
			continue
		case <-ctx.Done():
			continue
		case <-r.leave:
			continue
		case <-due:
		}
		// A page that came at the same instant waits for the next call.
		if ctx.Err() == nil && !r.stopping() {
			return nil, nil
		}
	}
}

// stopCause maps the end of fetching to what a handler is told, nil before it.
func stopCause(fetch context.Context) error {
	if fetch.Err() == nil {
		return nil
	}
	if cause := context.Cause(fetch); errors.Is(cause, lease.ErrLost) {
		return cause
	}
	return ErrStopping
}
