package consumer

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/internal/budget"
)

// A memory is the bytes of one page, which stay accounted for until everything
// that was made of the page has let go of it: the unpacker while it works through
// it, and each batch until the next one is asked for or, if an adapter of this
// package works on records of several batches at a time, until the last of them
// is done. A nil memory is of nothing.
type memory struct {
	users atomic.Int64
	free  func() // called once, by the last user
}

// newMemory returns a memory with one user, the caller.
func newMemory(free func()) *memory {
	m := &memory{free: free}
	m.users.Store(1)
	return m
}

// retain adds a user. The caller is one already.
func (m *memory) retain() *memory {
	if m != nil {
		m.users.Add(1)
	}
	return m
}

// release takes a user away.
func (m *memory) release() {
	if m != nil && m.users.Add(-1) == 0 {
		m.free()
	}
}

const (
	// recordWeight is what a record costs beside the memory that its data lie in
	// and its keys.
	recordWeight = 256

	// firstGuess is what the first page of a shard is thought to weigh, and
	// leastGuess what any is.
	firstGuess = 1 << 20
	leastGuess = 4 << 10

	// firstPart is the room a fetch needs to begin.
	firstPart = 64 << 10
)

// An account is what the reader of one shard uses of the budget. What a fetch
// will bring is not known before, so it reserves what pages have weighed
// recently and pays the rest afterwards, as debt if need be: at most one page
// for each fetch under way. A nil account counts nothing.
//
// To begin, a fetch needs room for a part of its page only; the rest may be debt
// from the start. A page in one piece would have to wait for a moment when so
// much is free at once, and everybody behind it would wait too.
//
// A shard that has pages fetches one ahead of the handler only while half of the
// budget is free: otherwise shards whose handlers stand still would hold pages for
// nothing, and those whose handlers wait would get none.
//
// It belongs to the goroutine that fetches; what says otherwise may be called on
// any.
type account struct {
	budget *budget.Budget
	share  *budget.Share
	guess  int64
	stood  time.Duration // waiting for room, in all

	held    atomic.Int64  // pages that are not released
	starved atomic.Bool   // the handler waits for a page
	kick    chan struct{} // holds a value if one of the two has changed
}

func newAccount(b *budget.Budget) *account {
	return &account{budget: b, share: b.Share(), guess: firstGuess, kick: make(chan struct{}, 1)}
}

// starving notes whether the handler waits for a page. It may be called on any
// goroutine.
func (a *account) starving(yes bool) {
	if a != nil && a.starved.Swap(yes) != yes && yes {
		a.wake()
	}
}

func (a *account) wake() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// mayFetch reports whether the next page is wanted now.
func (a *account) mayFetch() bool {
	return a.held.Load() == 0 || a.starved.Load() || a.budget.Free() >= a.budget.Total()/2
}

// close ends the account. What is in use stays counted until it is released.
func (a *account) close() {
	if a != nil {
		a.share.Close()
	}
}

// expected returns what the next page may weigh.
func (a *account) expected() int64 {
	if a == nil {
		return 0
	}
	return a.guess
}

// waited returns how long room was waited for in all.
func (a *account) waited() time.Duration {
	if a == nil {
		return 0
	}
	return a.stood
}

// reserve waits for room for n bytes. The only error is the cause of ctx's end,
// or that the account is closed.
func (a *account) reserve(ctx context.Context, n int64) (reservation, error) {
	if a == nil {
		return reservation{}, ctx.Err()
	}
	first := min(n, firstPart)
	if !a.mayFetch() || !a.share.TryAcquire(first) {
		begun := time.Now()
		err := a.wait(ctx, first)
		a.stood += time.Since(begun)
		if err != nil {
			return reservation{}, err
		}
	}
	a.share.Charge(n - first)
	return reservation{a, n}, nil
}

// wait waits until a page is wanted and there is room for n bytes of it.
func (a *account) wait(ctx context.Context, n int64) error {
	for !a.mayFetch() {
		select {
		case <-a.kick:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return a.share.Acquire(ctx, n)
}

// A reservation is room for a page that is not there yet.
type reservation struct {
	account *account
	bytes   int64
}

// cancel gives the room back: no page has come.
func (r reservation) cancel() {
	if r.account != nil {
		r.account.share.Release(r.bytes)
	}
}

// settle replaces the reservation by what the records really weigh. Their data
// lie in so many bytes of memory, 0 if that is not known. It returns nil if there
// are none.
func (r reservation) settle(records []types.Record, buffer int) *memory {
	a := r.account
	if a == nil {
		return nil
	}
	n := int64(weigh(records, buffer))
	if a.guess -= (a.guess - n) / 4; n > a.guess {
		a.guess = n
	}
	a.guess = max(a.guess, leastGuess)
	if n > r.bytes {
		a.share.Charge(n - r.bytes)
	} else if n < r.bytes {
		a.share.Release(r.bytes - n)
	}
	if n == 0 {
		return nil
	}
	a.held.Add(1)
	return newMemory(func() {
		a.share.Release(n)
		a.held.Add(-1)
		a.wake()
	})
}

// weigh returns what a page keeps.
func weigh(records []types.Record, buffer int) int {
	if len(records) == 0 {
		return 0 // nothing refers to the buffer
	}
	n := recordWeight * len(records)
	if buffer == 0 {
		return n + payload(records)
	}
	for i := range records {
		if k := records[i].PartitionKey; k != nil {
			n += len(*k)
		}
	}
	return n + buffer
}

// payload returns the bytes of data and partition keys, as Kinesis counts them.
func payload(records []types.Record) int {
	n := 0
	for i := range records {
		n += len(records[i].Data)
		if k := records[i].PartitionKey; k != nil {
			n += len(*k)
		}
	}
	return n
}
