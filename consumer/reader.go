package consumer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

// A pager reads a shard page by page.
type pager interface {
	// next waits for a page. The error is the cause of ctx's end, or says why
	// reading has been given up.
	next(ctx context.Context) (page, error)
}

// A reader is the batchSource of a held shard: a goroutine fetches pages, at
// most one ahead, and next takes them apart.
//
// The goroutine is owned by whoever called startReader, who ends it with stop.
type reader struct {
	ended, left <-chan struct{} // Run's context has ended, the lease is to be given up
	judge       func() error    // see judge
	pages       chan page       // unbuffered: the page ahead waits in the goroutine's hand
	stop        func()          // ends the goroutine and waits for it

	unpack   unpacker
	account  *account      // told when a page is waited for
	children []lease.Shard // known once next returned io.EOF
	end      bool          // the page being unpacked is the last
	failed   error         // reading was given up; returned by next from then on
}

// startReader begins to fetch. The reader stops at the end of run, which is that
// of Consumer.Run, of fetch, and of the lease; alive tells the latter also when
// the contexts have not ended yet because the process was frozen.
func startReader(run, fetch context.Context, alive func() error, p pager, a *account, u unpacker) *reader {
	ctx, cancel := context.WithCancel(fetch)
	r := &reader{
		ended: run.Done(), left: fetch.Done(), judge: judge(run, fetch, alive),
		pages: make(chan page), unpack: u, account: a,
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			pg, err := p.next(ctx)
			if ctx.Err() != nil {
				pg.mem.release()
				return // next sees that by itself
			}
			if err != nil {
				pg = page{end: true, err: err}
			}
			if pg.beat {
				r.offer(pg) // or leave it out: a page with records would have to wait behind it
				continue
			}
			select {
			case r.pages <- pg:
			case <-ctx.Done():
				pg.mem.release()
				return
			}
			if pg.end {
				return
			}
		}
	})
	r.stop = func() {
		cancel()
		wg.Wait()
		r.unpack.drop()
	}
	return r
}

// offer hands pg over if it is waited for.
func (r *reader) offer(pg page) {
	select {
	case r.pages <- pg:
	default:
	}
}

// judge returns a function that says why a shard may not be worked on any more.
// That it is lost outranks that it is to be given up.
func judge(run, fetch context.Context, alive func() error) func() error {
	return func() error {
		if fetch.Err() != nil {
			if cause := context.Cause(fetch); errors.Is(cause, lease.ErrLost) {
				return cause
			}
		}
		if err := alive(); err != nil {
			return err
		}
		if run.Err() != nil || fetch.Err() != nil {
			return ErrStopping
		}
		return nil
	}
}

func (r *reader) err() error { return r.judge() }

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
		if err := r.err(); err != nil {
			return nil, err
		}
		if b := r.unpack.batch(); b != nil {
			return b, nil
		}
		if r.failed != nil {
			return nil, r.failed
		}
		if r.end {
			return nil, io.EOF
		}
		r.account.starving(true)
		select {
		case pg := <-r.pages:
			r.account.starving(false)
			r.unpack.load(pg)
			r.end, r.children, r.failed = pg.end, pg.children, pg.err
			continue
		case <-ctx.Done():
			continue
		case <-r.ended:
			continue
		case <-r.left:
			continue
		case <-due:
		}
		// A page that came at the same instant waits for the next call.
		if ctx.Err() == nil && r.err() == nil {
			return nil, nil
		}
	}
}
