// Package budget bounds bytes that many shards use at once.
//
// A [Budget] is the bound; each shard has a [Share] of it. A Share draws
// portions of up to 64 KiB from the Budget's one counter and serves its own
// requests out of them, so that shards do not meet on every record.
//
// # Fairness
//
// No shard can take everything: a Share is refused more when what it uses would
// exceed 8 times what is left for all others. One shard that fills up without
// bound stops at 8/9 of the Budget, k of them at 8/(8k+1) each, and a shard
// that comes later always finds room.
//
// Among those who wait in one Share the first come are the first served. A
// request larger than a portion does not fit into that: it would have to wait
// for a moment when everything is free at once, or to stop all others until
// then. It waits apart and puts by half of every release until it has enough;
// the other half goes to the small ones, for which at least a sixteenth of the
// Budget stays in circulation. So does a small request that is refused in its
// turn for want of bytes, as where many shards leave little to others and all of
// them ask for less; it keeps its place in its Share.
package budget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxPortion is how much a Share draws ahead at most, and the size above
	// which a request counts as large.
	maxPortion = 64 << 10

	// hunger is how many times what it leaves to others a Share may use.
	hunger = 8
)

// ErrClosed is what waiting on a closed Share ends with.
var ErrClosed = errors.New("budget: share is closed")

// A TooLargeError says that a request can never be met.
type TooLargeError struct{ Bytes, Total int64 }

// Error names the request and the bound.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("budget: %d bytes asked of a budget of %d in all", e.Bytes, e.Total)
}

// A Budget is a number of bytes that its Shares may use together. It is safe
// for concurrent use.
type Budget struct {
	total int64

	free    atomic.Int64 // what no Share has drawn; below 0 after Charge
	waiting atomic.Int64 // requests queued; while above 0 nobody draws ahead
	open    atomic.Int64 // Shares

	// mu guards the fields below and the queues in Shares. It is held for short
	// computations only.
	mu     sync.Mutex
	shares map[*Share]struct{}
	hungry []*Share  // those with a queue; the first is the next to be served
	large  []*waiter // in the order of arrival
	pot    int64     // put by for large[0]
}

// New returns a Budget of total bytes.
func New(total int64) *Budget {
	b := &Budget{total: total, shares: make(map[*Share]struct{})}
	b.free.Store(total)
	return b
}

// Total returns the size of the Budget.
func (b *Budget) Total() int64 { return b.total }

// Free returns roughly the bytes not in use, below 0 after Charge. It costs
// nothing, and does not count what Shares have drawn ahead or what is put by for
// a large request.
func (b *Budget) Free() int64 { return b.free.Load() }

// Used returns the bytes in use. It is exact when nothing moves.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	used := b.total - b.free.Load() - b.pot
	for s := range b.shares {
		used -= s.spare.Load()
	}
	return used
}

// Open makes s, a zero Share that may be a part of something larger, one of the
// Budget's. Close it when its shard is gone.
func (b *Budget) Open(s *Share) {
	s.b = b
	b.mu.Lock()
	b.shares[s] = struct{}{}
	b.mu.Unlock()
	b.open.Add(1)
}

// Share returns a new Share of the Budget.
func (b *Budget) Share() *Share {
	s := new(Share)
	b.Open(s)
	return s
}

// A Share is one shard's access to a Budget. It is safe for concurrent use, and
// may not be copied after [Budget.Open].
type Share struct {
	b        *Budget
	drawn    atomic.Int64
	released atomic.Int64 // while others waited, since the first of them
	closed   atomic.Bool  // written with b.mu held

	queue []*waiter // small requests, first come first; guarded by b.mu

	// What every TryAcquire needs stands at the end, beside what the owner of the
	// Share may have of that kind.
	queued atomic.Int64 // len(queue), for those who do not hold mu
	spare  atomic.Int64 // drawn and not in use
}

type waiter struct {
	share *Share
	bytes int64
	ready chan struct{} // closed when done
	done  bool          // guarded by Budget.mu
	err   error         // set before done

	overdue bool // small, but among the large ones too; guarded by Budget.mu
}

// Used returns the bytes in use by the Share. It is exact when nothing moves.
func (s *Share) Used() int64 { return s.drawn.Load() - s.spare.Load() }

// TryAcquire takes n bytes and reports whether it did. It fails if others of
// this Share are waiting.
func (s *Share) TryAcquire(n int64) bool {
	if s.queued.Load() > 0 {
		return false
	}
	if s.take(n) || s.draw(n) {
		return true
	}
	// While somebody waits nothing is drawn ahead that could be collected.
	return s.b.waiting.Load() == 0 && s.b.reclaim() && s.draw(n)
}

// portion returns how much to draw ahead: little enough that what lies unused
// in Shares is never more than a quarter of the Budget.
func (s *Share) portion() int64 {
	if s.b.waiting.Load() > 0 || s.closed.Load() {
		return 0
	}
	return min(maxPortion, s.b.total/(4*max(1, s.b.open.Load())))
}

// take uses what was drawn before.
func (s *Share) take(n int64) bool {
	for {
		spare := s.spare.Load()
		if spare < n {
			return false
		}
		if s.spare.CompareAndSwap(spare, spare-n) {
			return true
		}
	}
}

// draw takes n bytes from the Budget, and a portion ahead if that is fair.
func (s *Share) draw(n int64) bool { return s.drawAhead(n, max(n, s.portion())) }

// drawAhead takes want bytes if that is fair, else n, for a use of n.
func (s *Share) drawAhead(n, want int64) bool {
	for {
		free := s.b.free.Load()
		if !s.fair(free, want) {
			if want = n; !s.fair(free, n) {
				return false
			}
		}
		if s.b.free.CompareAndSwap(free, free-want) {
			break
		}
	}
	s.drawn.Add(want)
	if want == n {
		return true
	}
	// Who began to wait since the portion was chosen has not seen it. A portion
	// is chosen only where mu is not held.
	if s.spare.Add(want - n); s.b.waiting.Load() > 0 {
		s.giveBack(0)
		s.b.serve()
	}
	return true
}

// fair reports whether the Share may have n of the free bytes.
func (s *Share) fair(free, n int64) bool {
	left := free - n
	if left < 0 {
		return false
	}
	drawn := s.drawn.Load()
	return left >= (drawn+n)/hunger || drawn <= s.spare.Load() || s.b.open.Load() <= 1
}

// Acquire takes n bytes, waiting until there is room. It returns a
// [*TooLargeError] at once if there never will be, [ErrClosed] if the Share is
// closed while it waits, and the cause of ctx if that ends first. If an error
// is returned nothing was taken.
func (s *Share) Acquire(ctx context.Context, n int64) error {
	if s.TryAcquire(n) {
		return nil
	}
	if n > s.b.total {
		return &TooLargeError{n, s.b.total}
	}
	w, err := s.enqueue(n)
	if w == nil {
		return err
	}
	select {
	case <-w.ready:
		return w.err
	case <-ctx.Done():
	}
	if s.b.abandon(w) {
		s.b.serve() // what it stood in the way of
		return context.Cause(ctx)
	}
	return w.err
}

// enqueue returns nil if the bytes could be taken after all, or with an error.
func (s *Share) enqueue(n int64) (*waiter, error) {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.closed.Load() {
		return nil, ErrClosed
	}
	// Counted before looking again, so that a Release from here on either is
	// seen by the look or sees the count and serves the queue.
	if b.waiting.Add(1) == 1 {
		for s := range b.shares {
			s.released.Store(0)
		}
		b.reclaimLocked()
	}
	if len(s.queue) == 0 && s.draw(n) {
		b.waiting.Add(-1)
		return nil, nil
	}
	w := &waiter{share: s, bytes: n, ready: make(chan struct{})}
	if n > maxPortion {
		b.large = append(b.large, w)
		return w, nil
	}
	if len(s.queue) == 0 {
		b.hungry = append(b.hungry, s)
	}
	s.queue = append(s.queue, w)
	s.queued.Add(1)
	return w, nil
}

// abandon takes a waiter out of its queue and reports whether it was in one.
func (b *Budget) abandon(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.done {
		return false
	}
	b.unlarge(w)
	if w.bytes <= maxPortion {
		b.unqueue(w)
	}
	b.waiting.Add(-1)
	return true
}

// Charge takes n bytes that are in use already, whether or not there is room:
// what a guess turned out to have missed. It may leave the Budget in debt, and
// then nobody gets anything until it is repaid.
func (s *Share) Charge(n int64) {
	s.drawn.Add(n)
	s.b.free.Add(-n)
}

// Release gives n bytes back and serves those who wait for them.
func (s *Share) Release(n int64) {
	spare := s.spare.Add(n)
	keep := s.portion()
	if spare <= 2*keep {
		return
	}
	s.giveBack(keep)
	if s.b.waiting.Load() > 0 {
		s.released.Add(n)
		s.b.serve()
	}
}

// Transfer makes n bytes in use by s bytes in use by to, a Share of the same
// Budget. It never waits, since the sum does not change. That s may have more
// now is seen with the next Release.
func (s *Share) Transfer(to *Share, n int64) {
	s.drawn.Add(-n)
	to.drawn.Add(n)
}

// giveBack returns to the Budget what is drawn ahead beyond keep.
func (s *Share) giveBack(keep int64) {
	for {
		spare := s.spare.Load()
		if spare <= keep {
			return
		}
		if s.spare.CompareAndSwap(spare, keep) {
			s.drawn.Add(keep - spare)
			s.b.free.Add(spare - keep)
			return
		}
	}
}

// reclaim collects what all Shares have drawn ahead. It always returns true.
func (b *Budget) reclaim() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reclaimLocked()
	return true
}

func (b *Budget) reclaimLocked() {
	for s := range b.shares {
		s.giveBack(0)
	}
}

// serve hands out what is free to those who wait.
func (b *Budget) serve() {
	b.mu.Lock()
	served := b.serveSmall(b.serveLarge(nil, false))
	if more := b.serveLarge(served, true); len(more) > len(served) {
		served = b.serveSmall(more)
	}
	b.mu.Unlock()
	for _, w := range served {
		close(w.ready)
	}
}

// serveLarge lets the oldest large requests put by what is free, or half of it
// if others wait too. With rest set those have had their part, and who still
// waits gets the rest only if it is enough. It appends those that have enough to
// served.
func (b *Budget) serveLarge(served []*waiter, rest bool) []*waiter {
	for len(b.large) > 0 {
		w := b.large[0]
		for {
			free := b.free.Load()
			part := b.putBy(w, free, rest)
			if b.free.CompareAndSwap(free, free-part) {
				b.pot += part
				break
			}
		}
		if b.pot < w.bytes {
			break
		}
		b.pot = 0
		w.share.drawn.Add(w.bytes)
		b.large = slices.Delete(b.large, 0, 1)
		if w.overdue {
			b.unqueue(w)
		}
		served = append(served, b.finish(w, nil))
	}
	return served
}

// putBy returns how much of what is free is put by for w.
func (b *Budget) putBy(w *waiter, free int64, rest bool) int64 {
	part := max(0, free)
	if len(b.hungry) > 0 && !rest {
		part = (part + 1) / 2
	}
	missing := w.bytes - b.pot
	if part >= missing {
		return missing // who has enough puts nothing by
	}
	if len(b.hungry) > 0 && rest {
		return 0
	}
	if floor := min(b.total/16, b.total-w.bytes); b.moving(free)-part < floor {
		part = max(0, min(part, free-floor))
	}
	return part
}

// moving returns how many bytes small requests live on: those that are free,
// and those in Shares that give back and get more when they ask. What a Share
// holds that gives nothing back, or has had its part, may not move for a long
// time.
func (b *Budget) moving(free int64) int64 {
	moving := free
	for s := range b.shares {
		if s.fair(free, min(1, free)) {
			moving += min(s.drawn.Load(), s.released.Load())
		}
	}
	return moving
}

// serveSmall gives each Share in turn what the first in its queue asks for,
// until nobody can be served. Beside others that want less, and take what there
// is before it is enough, one might wait for ever: it waits among the large ones
// too then.
func (b *Budget) serveSmall(served []*waiter) []*waiter {
	turn, refused := 0, 0
	for refused < len(b.hungry) {
		turn %= len(b.hungry)
		s := b.hungry[turn]
		w := s.queue[0]
		if !s.draw(w.bytes) {
			if !w.overdue && b.passedOver(w) {
				w.overdue = true
				b.large = append(b.large, w)
			}
			turn++
			refused++
			continue
		}
		b.unqueue(w)
		b.unlarge(w)
		served = append(served, b.finish(w, nil))
		refused = 0
		if len(s.queue) > 0 { // else another stands in its place
			turn++
		}
	}
	if turn > 0 && turn < len(b.hungry) {
		slices.Reverse(b.hungry[:turn])
		slices.Reverse(b.hungry[turn:])
		slices.Reverse(b.hungry)
	}
	return served
}

// passedOver reports whether w, which was refused, is to wait among the large
// ones: there is not as much, its Share would use no more than an equal part of
// the Budget, and there is no other of its kind yet.
func (b *Budget) passedOver(w *waiter) bool {
	used := w.share.Used()
	return w.bytes > b.free.Load() && (used <= 0 || used+w.bytes <= b.total/max(1, b.open.Load())) &&
		!slices.ContainsFunc(b.large, func(o *waiter) bool { return o.overdue })
}

// unqueue takes a small waiter out of the queue of its Share.
func (b *Budget) unqueue(w *waiter) {
	s := w.share
	if s.queue[0] == w { // as it mostly is
		s.queue[0] = nil
		s.queue = s.queue[1:]
	} else {
		s.queue = slices.DeleteFunc(s.queue, func(o *waiter) bool { return o == w })
	}
	s.queued.Add(-1)
	if len(s.queue) == 0 {
		b.hungry = slices.DeleteFunc(b.hungry, func(o *Share) bool { return o == s })
	}
}

// unlarge takes a waiter from among the large ones, if it is there.
func (b *Budget) unlarge(w *waiter) {
	i := slices.Index(b.large, w)
	if i == 0 {
		b.free.Add(b.pot)
		b.pot = 0
	}
	if i >= 0 {
		b.large = slices.Delete(b.large, i, i+1)
	}
}

// finish ends a waiter that is in no queue any more.
func (b *Budget) finish(w *waiter, err error) *waiter {
	b.waiting.Add(-1)
	w.done, w.err = true, err
	return w
}

// Close ends the Share: those who wait in it get [ErrClosed], and so does who
// would have to wait later. What is in use stays so until it is released.
func (s *Share) Close() {
	b := s.b
	b.mu.Lock()
	if s.closed.Load() {
		b.mu.Unlock()
		return
	}
	s.closed.Store(true)
	delete(b.shares, s)
	b.open.Add(-1)
	var served []*waiter
	for _, w := range s.queue {
		served = append(served, b.finish(w, ErrClosed))
	}
	s.queue = nil
	s.queued.Store(0)
	b.hungry = slices.DeleteFunc(b.hungry, func(o *Share) bool { return o == s })
	if len(b.large) > 0 && b.large[0].share == s {
		b.free.Add(b.pot)
		b.pot = 0
	}
	b.large = slices.DeleteFunc(b.large, func(w *waiter) bool {
		if w.share == s && !w.overdue { // those were in the queue
			served = append(served, b.finish(w, ErrClosed))
		}
		return w.share == s
	})
	s.giveBack(0)
	b.mu.Unlock()
	for _, w := range served {
		close(w.ready)
	}
	b.serve()
}
