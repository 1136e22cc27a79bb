package lease_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/lease"
)

// A faulty store is one worker's way to the fleet's store. Each call takes a few
// milliseconds, a different time for each, so that no two things happen at one
// instant and a run repeats itself.
type faulty struct {
	lease.Store
	id      string
	onWrite func(lease.Write) // told of every write made; not changed

	mu     sync.Mutex // guards what follows
	isCut  bool
	paused chan struct{} // closed at the end of a pause; nil outside one
	calls  map[storeCall]uint64
	onCall func(storeCall) (fail error, lose bool) // nil: no faults
	slow   func(storeCall) time.Duration           // nil: not slower
	table  lease.Store                             // shows the table instead, unless nil
}

// A storeCall is the n-th call of an operation with a key.
type storeCall struct {
	op, key string
	n       uint64
}

// chance returns a number below 1 that belongs to the call alone.
func (c storeCall) chance(who, what string) float64 {
	return float64(pace.Hash(who, what, c.op+" "+c.key, c.n)>>11) / (1 << 53)
}

var (
	errCut  = errors.New("test: cut off")
	errLost = errors.New("test: answer lost")
)

// cut ends all calls with an error, for good.
func (s *faulty) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isCut = true
}

func (s *faulty) isCutNow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isCut
}

// faults sets what happens to calls; the functions are called one at a time.
func (s *faulty) faults(onCall func(storeCall) (fail error, lose bool), slow func(storeCall) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onCall, s.slow = onCall, slow
}

// show makes another store show the table.
func (s *faulty) show(table lease.Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = table
}

// pause makes calls hang until resume, before they are made. A call given up
// meanwhile is made nevertheless, when nobody waits for it any more.
func (s *faulty) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = make(chan struct{})
}

func (s *faulty) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.paused)
	s.paused = nil
}

// fate says what is to happen to a call.
func (s *faulty) fate(op, key string) (latency time.Duration, hung <-chan struct{}, fail error, lose bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := storeCall{op: op, key: key}
	if s.calls == nil {
		s.calls = make(map[storeCall]uint64)
	}
	s.calls[c]++
	c.n = s.calls[storeCall{op: op, key: key}]
	latency = time.Millisecond + time.Duration(c.chance(s.id, "latency")*float64(9*time.Millisecond))
	if s.slow != nil {
		latency += s.slow(c)
	}
	if s.isCut {
		fail = errCut
	} else if s.onCall != nil {
		fail, lose = s.onCall(c)
	}
	return latency, s.paused, fail, lose
}

func with[T any](ctx context.Context, s *faulty, op, key string, do func(context.Context) (T, error)) (T, error) {
	var zero T
	latency, hung, fail, lose := s.fate(op, key)
	if hung != nil {
		select {
		case <-hung:
		case <-ctx.Done():
			late := context.WithoutCancel(ctx)
			context.AfterFunc(closing{late, hung}, func() {
				time.Sleep(latency)
				_, _ = do(late)
			})
			return zero, context.Cause(ctx)
		}
	}
	if !sleep(ctx, latency/2) {
		return zero, context.Cause(ctx) // never sent
	}
	if fail != nil {
		return zero, fail
	}
	out, err := do(ctx)
	if !sleep(ctx, latency/2) {
		return zero, context.Cause(ctx) // made, and nobody waits for the answer
	}
	if s.isCutNow() {
		return zero, errCut
	}
	if lose {
		return zero, errLost
	}
	return out, err
}

func without(ctx context.Context, s *faulty, op, key string, do func(context.Context) error) error {
	_, err := with(ctx, s, op, key, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
	return err
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// closing is a context that ends when a channel is closed.
type closing struct {
	context.Context
	done <-chan struct{}
}

func (c closing) Done() <-chan struct{} { return c.done }

func (c closing) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

func (s *faulty) Row(ctx context.Context, key string) (lease.Row, error) {
	return with(ctx, s, "row", key, func(ctx context.Context) (lease.Row, error) { return s.Store.Row(ctx, key) })
}

func (s *faulty) Snapshot(ctx context.Context) (lease.Snapshot, error) {
	return with(ctx, s, "snapshot", "", func(ctx context.Context) (lease.Snapshot, error) {
		s.mu.Lock()
		table := s.table
		s.mu.Unlock()
		if table == nil {
			table = s.Store
		}
		return table.Snapshot(ctx)
	})
}

func (s *faulty) Owned(ctx context.Context, owner string) ([]string, error) {
	return with(ctx, s, "owned", "", func(ctx context.Context) ([]string, error) { return s.Store.Owned(ctx, owner) })
}

func (s *faulty) Write(ctx context.Context, w lease.Write) (lease.Row, error) {
	ctx = context.WithValue(context.WithValue(ctx, issuedKey{}, time.Now()), callerKey{}, s.id)
	return with(ctx, s, w.Op.String(), w.Key(), func(ctx context.Context) (lease.Row, error) {
		row, err := s.Store.Write(ctx, w)
		if err == nil {
			s.onWrite(w)
		}
		return row, err
	})
}

func (s *faulty) PutWorker(ctx context.Context, w lease.Worker) error {
	return without(ctx, s, "put worker", "", func(ctx context.Context) error { return s.Store.PutWorker(ctx, w) })
}

func (s *faulty) DeleteWorker(ctx context.Context, w lease.Worker) error {
	return without(ctx, s, "delete worker", w.ID, func(ctx context.Context) error { return s.Store.DeleteWorker(ctx, w) })
}

func (s *faulty) Lock(ctx context.Context) (lease.Lock, error) {
	return with(ctx, s, "lock", "", s.Store.Lock)
}

func (s *faulty) SwapLock(ctx context.Context, seen, next lease.Lock) error {
	return without(ctx, s, "swap lock", "", func(ctx context.Context) error { return s.Store.SwapLock(ctx, seen, next) })
}
