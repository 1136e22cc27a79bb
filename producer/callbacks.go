package producer

import (
	"log/slog"
	"runtime/debug"
	"sync"
)

// Callbacks run the functions given to PutAsync, one after another, on a
// goroutine of their own.
type callbacks struct {
	running sync.WaitGroup // the callback goroutine
	wake    chan struct{}  // holds one signal
	logger  *slog.Logger

	// mu guards queue and over. The queue is as long as MaxBufferedBytes allows,
	// since what is in it still counts.
	mu    sync.Mutex
	queue []finished
	over  bool

	// Owned by the callback goroutine.
	batch    []finished // being worked on
	panicked any        // the first value a callback panicked with; read after the end
}

// A finished parcel has its verdict; its callbacks are to be called and its
// memory to be released. Or it is a ticket, which ends when everything before
// it has.
type finished struct {
	producer *Producer
	parcel   *parcel
	verdict  verdict
	ticket   *ticket
}

// add queues what is finished.
func (c *callbacks) add(f finished) {
	c.mu.Lock()
	c.queue = append(c.queue, f)
	c.mu.Unlock()
	c.signal()
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
		for len(c.batch) > 0 {
			c.batch[0].deliver(c)
			c.batch[0] = finished{}
			c.batch = c.batch[1:]
		}
		c.mu.Lock()
		c.batch, c.queue = c.queue, nil
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
	f.parcel.each(func(i int, e *entry, data []byte) {
		if e.ended {
			return
		}
		e.ended = true // first, since the callback may not return
		if e.done == nil {
			return
		}
		r := f.parcel.result(i, &f.verdict)
		r.Record = Record{PartitionKey: e.key, ExplicitHashKey: e.ehk, Data: data[:len(data):len(data)]}
		c.call(e.done, r)
	})
	f.producer.drop(f.parcel)
}

func (c *callbacks) call(done func(Result), r Result) {
	defer func() {
		if v := recover(); v != nil {
			if c.panicked == nil {
				c.panicked = v
			}
			c.logger.Error("producer: callback panicked", "value", v, "stack", string(debug.Stack()))
		}
	}()
	done(r)
}
