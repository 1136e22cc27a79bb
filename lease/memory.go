package lease

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// A MemoryStore keeps the rows of one application in this process: for tests,
// and for a program that is alone. It is as consistent as a store can be. Make
// it with [NewMemoryStore]; several workers of one process share it.
type MemoryStore struct {
	mu      sync.Mutex // guards all fields below
	rows    map[string]Row
	workers map[string]Worker
	lock    Lock
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{rows: make(map[string]Row), workers: make(map[string]Worker)}
}

// Open implements [Store].
func (s *MemoryStore) Open(ctx context.Context) error { return context.Cause(ctx) }

// Row implements [Store].
func (s *MemoryStore) Row(ctx context.Context, key string) (Row, error) {
	if err := context.Cause(ctx); err != nil {
		return Row{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[key]
	if !ok {
		return Row{}, ErrNotFound
	}
	return row.Clone(), nil
}

// Snapshot implements [Store].
func (s *MemoryStore) Snapshot(ctx context.Context) (Snapshot, error) {
	if err := context.Cause(ctx); err != nil {
		return Snapshot{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Snapshot{Lock: s.lock}
	for _, key := range slices.Sorted(maps.Keys(s.rows)) {
		out.Rows = append(out.Rows, s.rows[key].Clone())
	}
	for _, id := range slices.Sorted(maps.Keys(s.workers)) {
		out.Workers = append(out.Workers, s.workers[id].Clone())
	}
	return out, nil
}

// Owned implements [Store].
func (s *MemoryStore) Owned(ctx context.Context, owner string) ([]string, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key, row := range s.rows {
		if row.Owner == owner {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Write implements [Store].
func (s *MemoryStore) Write(ctx context.Context, w Write) (Row, error) {
	if err := context.Cause(ctx); err != nil {
		return Row{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var cur *Row
	if row, ok := s.rows[w.Key()]; ok {
		cur = &row
	}
	next, err := w.Apply(cur)
	switch {
	case err != nil:
		return Row{}, err
	case next == nil:
		delete(s.rows, w.Key())
		return Row{}, nil
	}
	s.rows[w.Key()] = *next
	return next.Clone(), nil
}

// PutWorker implements [Store].
func (s *MemoryStore) PutWorker(ctx context.Context, w Worker) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rows[w.ID]; ok {
		return ErrWorkerID
	}
	s.workers[w.ID] = w.Clone()
	return nil
}

// DeleteWorker implements [Store].
func (s *MemoryStore) DeleteWorker(ctx context.Context, seen Worker) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cur, ok := s.workers[seen.ID]; ok && cur.Updated.Equal(seen.Updated) {
		delete(s.workers, seen.ID)
	}
	return nil
}

// Lock implements [Store].
func (s *MemoryStore) Lock(ctx context.Context) (Lock, error) {
	if err := context.Cause(ctx); err != nil {
		return Lock{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lock, nil
}

// SwapLock implements [Store].
func (s *MemoryStore) SwapLock(ctx context.Context, seen, next Lock) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock.Version != seen.Version {
		return ErrLockMoved
	}
	s.lock = next
	return nil
}

// Phase implements [Store]: the leader assigns, the lock elects, for ever.
func (s *MemoryStore) Phase(ctx context.Context, _ Facts) (Phase, error) {
	return Phase{}, context.Cause(ctx)
}
