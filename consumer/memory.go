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
	// recordWeight is what a record costs beside its data and its keys.
	recordWeight = 256

	// firstGuess is what the first page of a shard is thought to weigh, and
	// leastGuess what any is.
	firstGuess = 1 << 20
	leastGuess = 4 << 10
)

// An account is what the reader of one shard uses of the budget. What a fetch
// will bring is not known before, so it reserves what pages have weighed
// recently and pays the rest afterwards, as debt if need be: at most one page
// for each fetch under way. A nil account counts nothing. It belongs to the
// goroutine that fetches; what it handed out may be released on any.
type account struct {
	share *budget.Share
	most  int64 // to reserve: what is larger goes into debt
	guess int64
	stood time.Duration // waiting for room, in all
}

func newAccount(b *budget.Budget) *account {
	return &account{share: b.Share(), most: b.Total() / 2, guess: firstGuess}
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
	n = min(n, a.most)
	if a.share.TryAcquire(n) {
		return reservation{a, n}, nil
	}
	begun := time.Now()
	err := a.share.Acquire(ctx, n)
	a.stood += time.Since(begun)
	if err != nil {
		return reservation{}, err
	}
	return reservation{a, n}, nil
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

// settle replaces the reservation by what the records really weigh. It returns
// nil if there are none.
func (r reservation) settle(records []types.Record) *memory {
	a := r.account
	if a == nil {
		return nil
	}
	n := int64(payload(records) + recordWeight*len(records))
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
	return newMemory(func() { a.share.Release(n) })
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
