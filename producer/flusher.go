package producer

import (
	"container/heap"
	"context"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/internal/pace"
)

// A phase is how far a Producer has got in its life.
type phase int

const (
	running phase = iota
	closing       // no record is accepted; what is there is sent
	aborted       // what has not been sent is given up
)

// A flusher is the state of the goroutine that decides when what is sent. It
// never blocks: requests, loads and callbacks run elsewhere.
type flusher struct {
	state   phase
	aborted error                   // why, when state is aborted; read by Close after the end
	cancel  context.CancelCauseFunc // of all calls under way

	lanes   laneHeap   // by wake
	due     []*lane    // scratch of expire and fill
	flights []*request // under way
	splits  []*request // parts of refused requests, to be sent next
	limbo   []*parcel  // stored elsewhere than predicted; a new map will tell

	keys  keySet    // scratch of apart
	woken []*waiter // scratch of finish

	failures  int     // failed requests in a row
	unwell    bool    // the latest request failed as a whole
	notBefore instant // back-off after them
	backoff   pace.Backoff

	known      map[string]known // where shards lie, closed ones included
	asked      []chan struct{}  // closed after the next load
	loading    bool
	routine    bool    // the load under way is one that nothing has asked for
	loadAt     instant // when to load the map again
	loadStart  instant // of the last load
	reload     bool    // load again after the one under way
	loadCount  int     // successful ones
	loads      int     // failed or useless ones in a row
	describes  int     // failed ones, worth another try
	mapFailed  bool    // the last load failed
	distrust   bool    // records land elsewhere than the map says: do not aggregate
	complained bool    // of a refused DescribeStreamSummary
}

// run is the flusher goroutine.
func (p *Producer) run() {
	// A producer outlives the contexts of all who put: its calls end with Close.
	ctx, cancel := context.WithCancelCause(context.Background()) //nolint:forbidigo // the root of the producer's own work
	defer cancel(ErrClosed)
	p.cancel = cancel
	p.callbacks.running.Go(p.callbacks.run)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := p.now()
		p.absorb(now)
		p.startLoad(ctx, now)
		p.expire(now)
		p.callbacks.publish()
		p.dispatch(ctx, now)
		if p.state != running && p.idle(now) {
			break
		}
		wake := p.nextWake()
		if wake == never {
			timer.Stop()
		} else {
			timer.Reset(time.Duration(wake - p.now()))
		}
		select {
		case <-p.wake:
		case <-timer.C:
		}
	}
	cancel(ErrClosed) // ends a load
	p.senders.Wait()
	p.callbacks.end()
	close(p.done)
}

// absorb takes in what others have left: lanes to look at, answers, a new map,
// and the wish to flush or close.
func (p *Producer) absorb(now instant) {
	p.inbox.mu.Lock()
	answers, flushes, loads := p.inbox.answers, p.inbox.flushes, p.inbox.loads
	look, asks, abort := p.inbox.look, p.inbox.asks, p.inbox.abort
	p.inbox.answers, p.inbox.flushes, p.inbox.loads, p.inbox.look, p.inbox.asks = nil, nil, nil, false, nil
	p.inbox.mu.Unlock()

	for _, a := range answers {
		p.settle(a, now)
	}
	for _, l := range loads {
		p.loaded(l, now)
	}
	for l := p.ready.Swap(nil); l != nil; {
		next := l.next // attend lets the lane be linked again
		l.attend()
		p.review(l, now)
		l = next
	}
	if rt := p.routes.Load(); !rt.known && !p.loading && rt.lanes[0].due() != never {
		p.refresh(now)
	}
	if p.asked = append(p.asked, asks...); look && !p.loading {
		p.loadAt = now
	}
	select {
	case <-p.closing:
		p.close(now)
	default:
	}
	for _, t := range flushes {
		p.flush(t, now)
	}
	if abort != nil && p.state != aborted {
		p.abort(abort)
	}
}

// review puts the lane where it belongs in the order of waking.
func (p *Producer) review(l *lane, now instant) {
	wake := l.expires()
	if want := l.wants(now, p.opts.CollectionMaxRecords); want != never {
		wake = min(wake, max(want, l.may(p, now)))
	}
	p.lanes.set(l, wake)
}

// poke makes the flusher look at a lane it has changed.
func (p *Producer) poke(l *lane) {
	l.mu.Lock()
	signalled := l.signalled
	l.signalled = true
	l.mu.Unlock()
	if !signalled {
		p.signal(l)
	}
}

// nextWake returns when the flusher has to act again by itself.
func (p *Producer) nextWake() instant {
	wake := never
	if len(p.lanes) > 0 {
		wake = p.lanes[0].wake
		// When no request may start, only an expiry is a reason to wake.
		if len(p.flights) >= p.opts.MaxInFlight || p.notBefore > wake {
			wake = p.firstExpiry()
			if len(p.flights) < p.opts.MaxInFlight {
				wake = min(wake, p.notBefore)
			}
		}
	}
	for _, f := range p.flights {
		wake = min(wake, f.expires)
	}
	for _, q := range p.limbo {
		wake = min(wake, q.expires, q.patience)
	}
	for _, s := range p.splits {
		wake = min(wake, s.expires)
		if len(p.flights) < p.opts.MaxInFlight {
			wake = min(wake, p.notBefore)
		}
	}
	if !p.loading {
		wake = min(wake, p.loadAt)
	}
	return wake
}

// firstExpiry returns when the first record that waits in a lane expires.
func (p *Producer) firstExpiry() instant {
	first := never
	for _, l := range p.lanes {
		first = min(first, l.expires())
	}
	return first
}

// idle reports whether no record is left without a result.
func (p *Producer) idle(now instant) bool {
	if len(p.flights)+len(p.splits)+len(p.limbo) > 0 || p.ready.Load() != nil {
		return false
	}
	for _, l := range p.routes.Load().lanes {
		l.look()
		p.review(l, now)
		if len(l.queue) > 0 || l.openDue != never {
			return false
		}
	}
	return true
}

// flush makes everything that waits due, and t wait for all of it.
func (p *Producer) flush(t *ticket, now instant) {
	wait := func(ps []*parcel) {
		for _, q := range ps {
			q.adopt([]*ticket{t})
		}
	}
	for _, l := range p.routes.Load().lanes {
		l.look()
		l.takeOpen(p)
		for _, q := range l.queue {
			q.due = min(q.due, now)
		}
		wait(l.queue)
		p.review(l, now)
	}
	for _, f := range p.flights {
		wait(f.parcels)
	}
	for _, f := range p.splits {
		wait(f.parcels)
	}
	wait(p.limbo)
	// Behind the callbacks that are in the queue already.
	p.callbacks.add(finished{ticket: t})
}

// close begins the end: nothing is accepted from here on.
func (p *Producer) close(now instant) {
	if p.state != running {
		return
	}
	p.state = closing
	for _, l := range p.routes.Load().lanes {
		l.mu.Lock()
		l.state = laneClosed
		l.mu.Unlock()
		l.share.Close()
		l.look()
		l.takeOpen(p)
		for _, q := range l.queue {
			q.due = min(q.due, now)
		}
		p.review(l, now)
	}
}

// abort gives up everything that has no result.
func (p *Producer) abort(cause error) {
	p.state, p.aborted = aborted, cause
	p.cancel(ErrClosed)
	for _, l := range p.routes.Load().lanes {
		l.look()
		l.takeOpen(p)
		for len(l.queue) > 0 {
			p.finish(l.pop(), &verdict{reason: ErrClosed})
		}
		p.lanes.remove(l)
	}
	for _, f := range p.splits {
		for _, q := range f.parcels {
			p.finish(q, &verdict{reason: ErrClosed})
		}
	}
	p.splits = nil
	for _, q := range p.limbo {
		p.outOfLimbo(q)
		p.finish(q, &verdict{reason: ErrClosed, unknown: true})
	}
	p.limbo = nil
}

// expire ends the records whose time is over.
func (p *Producer) expire(now instant) {
	for len(p.lanes) > 0 && p.lanes[0].wake <= now {
		// Lanes that wake to send come up here too. Send is what they do next,
		// but not before their expired records are out of the way.
		l := p.lanes[0]
		p.expireLane(l, now)
		p.lanes.remove(l)
		p.due = append(p.due, l)
	}
	for _, l := range p.due {
		p.review(l, now)
	}
	p.due = p.due[:0]
	for _, f := range p.flights {
		p.expireFlight(f, now)
	}
	p.splits = slices.DeleteFunc(p.splits, func(s *request) bool { return p.expireSplit(s, now) })
	p.limbo = slices.DeleteFunc(p.limbo, func(q *parcel) bool {
		if min(q.expires, q.patience) > now {
			return false
		}
		p.outOfLimbo(q)
		// No map has come. Bare records need none; those whose time is over end
		// with the others of their lane.
		q.misplaced = alonePacked - 1
		p.misplace(q, now)
		return true
	})
}

// A laneHeap orders lanes by wake. Lanes with nothing to wake for are not in it.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].wake < h[j].wake }
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *laneHeap) Push(x any) {
	l := x.(*lane)
	l.index = len(*h)
	*h = append(*h, l)
}
func (h *laneHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.index = -1
	return l
}

// set moves a lane to where wake puts it.
func (h *laneHeap) set(l *lane, wake instant) {
	l.wake = wake
	switch {
	case wake == never:
		h.remove(l)
	case l.index < 0:
		heap.Push(h, l)
	default:
		heap.Fix(h, l.index)
	}
}

func (h *laneHeap) remove(l *lane) {
	if l.index >= 0 {
		heap.Remove(h, l.index)
	}
}
