package lease_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// A truth is the store below all workers of a simulation. It sees the changes of
// rows in the order in which they are made, knows what is in the shards and what
// was delivered of it, and judges both as they happen. The invariants have the
// names of the comments below.
//
//	S1  a position is stored only after everything up to it was done, and in the
//	    end everything was
//	S2  a position never moves back
//	S3  every change is conditional; a position is stored by the worker that may
//	    read the shard; a new reader comes with a higher counter
//	S4  nothing is delivered by a worker whose lease could have expired
//	S5  records are delivered in order, again at most from a stored position
//	S7  a child is read after its parents were, its own parents' ends are stored
//	S8  a row goes only when its children were read from; children begin at their
//	    oldest record
//	S13 a worker that has stopped holds nothing
//	S14 what is not ours stays as it is
//	S15 nothing is left out
type truth struct {
	lease.Store
	inner  lease.Store
	report func(invariant, format string, args ...any)

	steals bool // a lease may be taken from a live worker, which finds out at its next renewal

	mu        sync.Mutex // guards what follows
	data      map[string]*simShard
	renewed   map[string]renewal   // by shard: the last renewal that was made
	lastBy    map[string]time.Time // by shard and worker: when the last one of that worker was issued
	forgotten map[string]bool      // rows removed by hand
	ends      map[string]time.Time
	delivered int
	repeated  int
}

// A renewal is who renewed a lease and when that was issued.
type renewal struct {
	worker string
	issued time.Time
}

// A simShard holds as many records as time has passed since it was opened.
type simShard struct {
	opened time.Time
	closed time.Time // zero while it is open
	every  time.Duration
	begins checkpoint.Position // of its row when that was made
	done   int                 // records handled, from the first on
	stored int                 // up to here by the row
}

func (s *simShard) records(now time.Time) int {
	if !s.closed.IsZero() {
		now = s.closed
	}
	return int(now.Sub(s.opened) / s.every)
}

// shardOf returns the shard of a row's key.
func shardOf(key string) string { return key[strings.LastIndex(key, ":")+1:] }

// The n-th record of a shard has n for its sequence number, counted from 1.
func simPosition(n int) checkpoint.Position { return checkpoint.At(strconv.Itoa(n)) }

func simIndex(p checkpoint.Position) int {
	n, err := strconv.Atoi(p.SequenceNumber)
	if err != nil {
		return 0
	}
	return n
}

func newTruth(inner lease.Store, report func(invariant, format string, args ...any)) *truth {
	return &truth{
		Store: inner, inner: inner, report: report, data: make(map[string]*simShard),
		renewed: make(map[string]renewal), lastBy: make(map[string]time.Time), forgotten: make(map[string]bool), ends: make(map[string]time.Time),
	}
}

// issuedKey is the context key of when a call was issued, and callerKey of whose
// it is.
type issuedKey struct{}
type callerKey struct{}

// Write makes one change and judges it.
func (s *truth) Write(ctx context.Context, w lease.Write) (lease.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, rerr := s.inner.Row(ctx, w.Key())
	row, err := s.inner.Write(ctx, w)
	if err != nil {
		return row, err
	}
	caller, _ := ctx.Value(callerKey{}).(string)
	issued, _ := ctx.Value(issuedKey{}).(time.Time)
	s.judgeOwner(w, before, row)
	switch w.Op {
	case lease.Create:
		s.judgeCreation(w.Row)
	case lease.Delete:
		s.judgeRemoval(ctx, before, rerr == nil)
	case lease.Checkpoint:
		s.judgeCheckpoint(caller, w, before)
	}
	if w.Op == lease.Renew || w.Op == lease.Checkpoint {
		if before.Reader() != caller {
			s.report("S3", "%s renews %s, which %s reads", caller, w.Key(), before.Reader())
		}
		shard := shardOf(w.Key())
		s.renewed[shard] = renewal{caller, issued}
		s.lastBy[shard+" "+caller] = issued
	}
	return row, nil
}

func (s *truth) judgeOwner(w lease.Write, before, after lease.Row) {
	if w.Op == lease.Create || w.Op == lease.Delete {
		return
	}
	if before.Reader() != after.Reader() && after.Counter <= before.Counter {
		s.report("S3", "%s goes from %q to %q, its counter from %d to %d", w.Key(), before.Reader(), after.Reader(), before.Counter, after.Counter)
	}
	if before.Checkpoint != after.Checkpoint && !w.Fenced() {
		s.report("S3", "%v changes the position of %s", w.Op, w.Key())
	}
}

func (s *truth) judgeCreation(row lease.Row) {
	sh := s.data[row.Shard]
	if sh == nil {
		s.report("S8", "a row for %s, which is not in the stream", row.Shard)
		return
	}
	if len(row.Parents) > 0 && row.Checkpoint != checkpoint.TrimHorizon {
		s.report("S8", "the child %s begins at %v", row.Shard, row.Checkpoint)
	}
	sh.begins, sh.stored = row.Checkpoint, 0
	if s.forgotten[row.Key] { // whoever removes a row forgets its position
		sh.done = 0
		delete(s.forgotten, row.Key)
	}
}

func (s *truth) judgeRemoval(ctx context.Context, row lease.Row, was bool) {
	if !was {
		return
	}
	if !row.Finished() {
		s.report("S8", "the row of %s is removed at %v", row.Key, row.Checkpoint)
	}
	for _, id := range row.Children {
		child, err := s.inner.Row(ctx, strings.TrimSuffix(row.Key, row.Shard)+id)
		if err == nil && !child.Finished() && !child.Checkpoint.IsRecord() {
			s.report("S8", "the row of %s is removed before its child %s was read from", row.Key, id)
		}
	}
}

func (s *truth) judgeCheckpoint(caller string, w lease.Write, before lease.Row) {
	sh := s.data[shardOf(w.Key())]
	if before.Reader() != caller {
		s.report("S3", "%s stores a position of %s, which %s reads", caller, w.Key(), before.Reader())
	}
	if w.Checkpoint.Compare(before.Checkpoint) < 0 {
		s.report("S2", "%s goes back from %v to %v", w.Key(), before.Checkpoint, w.Checkpoint)
	}
	if w.Checkpoint.Compare(checkpoint.ShardEnd) == 0 {
		if n := sh.records(time.Now()); sh.closed.IsZero() || sh.done < n {
			s.report("S7", "%s ends with %d of %d records done", w.Key(), sh.done, n)
		}
		s.ends[shardOf(w.Key())] = time.Now()
		return
	}
	if n := simIndex(w.Checkpoint); n > sh.done {
		s.report("S1", "%s is stored at %d with %d done", w.Key(), n, sh.done)
	} else {
		sh.stored = n
	}
}

// begin judges the n-th record of a shard as it is handed to a worker's handler.
func (s *truth) begin(caller, shard string, n int, failover time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.data[shard]
	if n > sh.done+1 {
		s.report("S5", "%s is handed record %d of %s with %d done", caller, n, shard, sh.done)
	}
	if n <= sh.done {
		s.repeated++
	}
	s.delivered++
	r := s.renewed[shard]
	if r.worker != caller {
		if s.steals && time.Since(s.lastBy[shard+" "+caller]) < failover*95/100 {
			return
		}
		s.report("S4", "%s is handed record %d of %s, which %s renewed", caller, n, shard, r.worker)
	} else if age := time.Since(r.issued); age > failover*95/100 {
		s.report("S4", "%s is handed record %d of %s %v after its last renewal", caller, n, shard, age)
	}
}

// end notes that the n-th record was done.
func (s *truth) end(shard string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.data[shard]
	sh.done = max(sh.done, n)
}

// open adds shards to the data, and closes those that they continue.
func (s *truth) open(every time.Duration, shards ...lease.Shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range shards {
		s.data[sh.ID] = &simShard{opened: time.Now(), every: every}
		for _, p := range sh.Parents {
			s.data[p].closed = time.Now()
		}
	}
}

// atRest judges what was read in the end: everything but what came a moment ago.
func (s *truth) atRest(slack time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(keysOf(s.data)) {
		sh := s.data[id]
		if n := sh.records(time.Now().Add(-slack)); sh.done < n {
			s.report("S15", "%s: %d of %d records were done", id, sh.done, n)
		}
	}
}

func (s *truth) counts() (delivered, repeated int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delivered, s.repeated
}

func keysOf[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// endOf returns when the end of a shard was stored, zero if it was not.
func (s *truth) endOf(shard string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[shard]
}

func (s *truth) String() string {
	delivered, repeated := s.counts()
	return fmt.Sprintf("%d delivered, %d of them again", delivered, repeated)
}
