package producer

import (
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/kinesis-go/kinesis/aggregation"
)

// Callbacks run the functions given to PutAsync and Events.Failed, one after
// another, on a goroutine of their own.
type callbacks struct {
	running sync.WaitGroup // the callback goroutine
	wake    chan struct{}  // holds one signal
	logger  *slog.Logger

	news []finished // added and not yet in queue; owned by the flusher

	// mu guards queue, over and panicked. The queue is as long as
	// MaxBufferedBytes allows, since what is in it still counts.
	mu       sync.Mutex
	queue    []finished
	over     bool
	panicked any // the first value a callback or an event panicked with

	batch []finished // being worked on; owned by the callback goroutine
	next  int        // the first of batch that is not done
}

// keptFinished is how large a slice for parcels is kept for the next ones.
const keptFinished = 4096

// A finished parcel has its verdict; its callbacks are to be called and its
// memory to be released. Or it is a ticket, which ends when everything before
// it has.
type finished struct {
	producer *Producer
	parcel   *parcel
	verdict  verdict
	ticket   *ticket
}

// add notes what is finished, for publish.
func (c *callbacks) add(f finished) { c.news = append(c.news, f) }

// publish queues what was added.
func (c *callbacks) publish() {
	if len(c.news) == 0 {
		return
	}
	c.mu.Lock()
	c.queue = append(c.queue, c.news...)
	c.mu.Unlock()
	c.signal()
	c.news = emptied(c.news)
}

// emptied returns a slice for what comes next, in the memory of one that has
// been dealt with, unless that is much.
func emptied(fs []finished) []finished {
	if cap(fs) > keptFinished {
		return nil
	}
	clear(fs)
	return fs[:0]
}

func (c *callbacks) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // it has a signal waiting
	}
}

// end waits until everything queued is done and the goroutine has ended.
func (c *callbacks) end() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.signal()
	c.running.Wait()
}

// run is the callback goroutine.
func (c *callbacks) run() {
	over := false
	defer func() {
		if !over {
			// A callback has called runtime.Goexit, as t.FailNow does. The other
			// records still get their results.
			c.running.Go(c.run)
		}
	}()
	for {
		for ; c.next < len(c.batch); c.next++ {
			c.batch[c.next].deliver(c)
			c.batch[c.next] = finished{}
		}
		done := emptied(c.batch)
		c.mu.Lock()
		c.batch, c.queue, c.next = c.queue, done, 0
		over = c.over && len(c.batch) == 0
		c.mu.Unlock()
		if over {
			return
		}
		if len(c.batch) == 0 {
			<-c.wake
		}
	}
}

// deliver calls a parcel's callbacks and gives up the parcel.
func (f *finished) deliver(c *callbacks) {
	if f.ticket != nil {
		f.ticket.end()
		return
	}
	f.parcel.each(func(i int, e *entry, in aggregation.Record) {
		if e.ended() {
			return
		}
		e.end() // first, since the callback may not return
		failed := f.producer.opts.Events.Failed
		if f.verdict.reason == nil {
			failed = nil
		}
		if e.done == nil && failed == nil {
			return
		}
		r := f.parcel.result(i, &f.verdict)
		r.Record = Record{PartitionKey: e.key, ExplicitHashKey: strings.Clone(in.ExplicitHashKey), Data: in.Data[:len(in.Data):len(in.Data)]}
		if in.Tags != (aggregation.Tags{}) {
			r.Record.Tags = cloneTags(in.Tags)
			r.Record.ID = idOf(slices.Collect(r.Record.Tags.All()))
		}
		if e.done != nil {
			call(c, e.done, r)
		}
		if failed != nil {
			call(c, failed, r)
		}
	})
	f.producer.drop(f.parcel)
}

// call calls a function of the user's, keeping what it panics with for Close.
func call[T any](c *callbacks, fn func(T), arg T) {
	defer func() {
		if v := recover(); v != nil {
			c.mu.Lock()
			if c.panicked == nil {
				c.panicked = v
			}
			c.mu.Unlock()
			c.logger.Error("producer: callback panicked", "value", v, "stack", string(debug.Stack()))
		}
	}()
	fn(arg)
}
