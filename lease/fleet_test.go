package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/lease"
)

// A stream is a lease.Source with shards that split and merge. It may be several
// streams, with a shard numbering in common.
type stream struct {
	mu     sync.Mutex
	ids    []string          // of several streams, nil of one
	asked  int               // calls of Streams
	of     map[string]string // shard to stream
	start  checkpoint.Position
	shards []lease.Shard // in the order of their creation
	lists  int           // calls of Shards
	fails  int           // so many of which fail from now on
}

func shardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

func newStream(n int) *stream {
	s := &stream{start: checkpoint.TrimHorizon}
	for i, r := range shardmap.Split(n) {
		s.shards = append(s.shards, lease.Shard{ID: shardID(i), Range: &r})
	}
	return s
}

// newStreams returns so many streams, each with n shards.
func newStreams(streams, n int) *stream {
	s := &stream{start: checkpoint.TrimHorizon}
	for i := range streams {
		s.add(fmt.Sprintf("123456789012:s%d:%d", i, 1_700_000_000+i), n)
	}
	return s
}

// add adds a stream.
func (s *stream) add(id string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[string]string)
	}
	s.ids = append(s.ids, id)
	for _, r := range shardmap.Split(n) {
		sh := lease.Shard{ID: shardID(len(s.shards)), Range: &r}
		s.shards, s.of[sh.ID] = append(s.shards, sh), id
	}
}

// remove makes the source name a stream no more.
func (s *stream) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = slices.DeleteFunc(slices.Clone(s.ids), func(other string) bool { return other == id })
}

func (s *stream) Streams(context.Context) ([]lease.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.of == nil {
		return []lease.Stream{{Name: "clicks", Start: s.start}}, nil
	}
	var out []lease.Stream
	for _, id := range s.ids {
		out = append(out, s.named(id))
	}
	return out, nil
}

func (s *stream) named(id string) lease.Stream {
	parsed, _ := lease.ParseStreamID(id)
	return lease.Stream{Name: parsed.Name, ID: id, Start: s.start}
}

// Stream implements lease.Finder: it knows every stream there ever was.
func (s *stream) Stream(_ context.Context, id string) (lease.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named(id), nil
}

// Shards lists the shards of one stream, or all of them if there is no id.
func (s *stream) Shards(_ context.Context, of lease.Stream, at lease.ShardsAt) ([]lease.Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	if s.fails > 0 {
		s.fails--
		return nil, errors.New("test: not listed")
	}
	var out []lease.Shard
	for _, sh := range s.shards {
		if of.ID != "" && s.of[sh.ID] != of.ID {
			continue
		}
		switch at.Kind {
		case lease.ShardsAtLatest:
			if sh.Closed {
				continue
			}
		case lease.ShardsAtTrimHorizon, lease.ShardsAtTimestamp:
			if len(sh.Parents) > 0 {
				continue
			}
		}
		out = append(out, sh)
	}
	return out, nil
}

func (s *stream) Children(_ context.Context, _ lease.Stream, shard string) ([]lease.Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.children(shard), nil
}

func (s *stream) children(shard string) []lease.Shard {
	var out []lease.Shard
	for _, sh := range s.shards {
		if slices.Contains(sh.Parents, shard) {
			out = append(out, sh)
		}
	}
	return out
}

// split closes a shard and opens its two halves.
func (s *stream) split(id string) (children []lease.Shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.closing(id)
	mid := p.Range.Middle()
	for _, r := range []lease.HashRange{{Start: p.Range.Start, End: mid.Prev()}, {Start: mid, End: p.Range.End}} {
		s.continues(lease.Shard{ID: shardID(len(s.shards)), Parents: []string{id}, Range: &r})
	}
	return s.children(id)
}

// merge closes two neighbours and opens the shard that continues both.
func (s *stream) merge(a, b string) lease.Shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, q := s.closing(a), s.closing(b)
	sh := lease.Shard{ID: shardID(len(s.shards)), Parents: []string{a, b}, Range: &lease.HashRange{Start: p.Range.Start, End: q.Range.End}}
	s.continues(sh)
	return sh
}

// continues adds a shard to the stream of its parents.
func (s *stream) continues(sh lease.Shard) {
	s.shards = append(s.shards, sh)
	if s.of != nil {
		s.of[sh.ID] = s.of[sh.Parents[0]]
	}
}

func (s *stream) closing(id string) lease.Shard {
	i := slices.IndexFunc(s.shards, func(sh lease.Shard) bool { return sh.ID == id })
	s.shards[i].Closed = true
	return s.shards[i]
}

func (s *stream) isClosed(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.shards, func(sh lease.Shard) bool { return sh.ID == id })
	return s.shards[i].Closed
}

// A fleet runs workers on one store and one stream and writes down who believes
// to hold what.
type fleet struct {
	t      *testing.T
	store  lease.Store
	stream *stream
	tick   time.Duration // between the checkpoints of a hold
	steals bool          // a lease may be taken from a live worker

	// held works on a lease. Nil: f.hold.
	held func(w *worker, fetch, work context.Context, h *lease.Held) error

	mu      sync.Mutex
	holders map[string]string   // shard → worker, while hold runs and its work context lives
	beside  map[string][]string // of a shard taken from a live worker: others that hold it as well
	begun   map[string]int      // holds per shard
	moves   int                 // leases moved by leaders
	onLost  func(lease.LostInfo)

	stored    map[string]checkpoint.Position
	backwards []string // positions stored that lie before one stored earlier
	lines     []string // of log
	workers   map[string]*worker
}

type worker struct {
	id    string // among the workers of the test
	store *faulty
	stop  context.CancelFunc
	done  chan error

	failover time.Duration // by its own clock

	crashed bool // guarded by fleet.mu
}

func newFleet(t *testing.T, store lease.Store, s *stream) *fleet {
	return &fleet{
		t: t, store: store, stream: s, tick: time.Second, holders: make(map[string]string), beside: make(map[string][]string), begun: make(map[string]int),
		workers: make(map[string]*worker),
	}
}

const failover = 10 * time.Second

// start runs a worker. Its hold stores a position every tick until the shard
// is closed, then finishes it.
func (f *fleet) start(id string, optFns ...func(*lease.Options)) *worker {
	f.t.Helper()
	return f.startAs(id, id, optFns...)
}

// startAs starts a worker that uses a worker id which is not its own.
func (f *fleet) startAs(id, workerID string, optFns ...func(*lease.Options)) *worker {
	f.t.Helper()
	w := &worker{id: id, store: &faulty{Store: f.store, id: id, onWrite: f.written}, done: make(chan error, 1)}
	c, err := lease.New(w.store, f.stream, append([]func(*lease.Options){func(o *lease.Options) {
		o.WorkerID = workerID
		o.FailoverTime = failover
		o.Events.Assigned = func(i lease.AssignedInfo) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.moves++
			f.logf("%s moves %s from %q to %q: %s", id, i.Shard, i.From, i.To, i.Reason)
		}
		o.Events.Lost = func(i lease.LostInfo) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.logf("%s loses %s: %v", id, i.Shard, i.Err)
			if f.onLost != nil {
				f.onLost(i)
			}
		}
		o.Events.Elected = func(i lease.ElectedInfo) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.logf("%s leading=%v", id, i.Leading)
		}
	}}, append(optFns, func(o *lease.Options) { w.failover = o.FailoverTime })...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(f.t.Context())
	w.stop = stop
	f.workers[id] = w
	go func() {
		held := f.held
		if held == nil {
			held = f.hold
		}
		w.done <- c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error { return held(w, fetch, work, h) })
	}()
	return w
}

// written checks what the worker's rows become.
func (f *fleet) written(w lease.Write) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.Op != lease.Checkpoint {
		return
	}
	if f.stored == nil {
		f.stored = make(map[string]checkpoint.Position)
	}
	if was := f.stored[w.Key()]; w.Checkpoint.Compare(was) < 0 {
		f.backwards = append(f.backwards, fmt.Sprintf("%s: %v after %v", w.Key(), w.Checkpoint, was))
	}
	f.stored[w.Key()] = w.Checkpoint
}

func (f *fleet) logf(format string, args ...any) {
	f.lines = append(f.lines, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (f *fleet) hold(w *worker, fetch, work context.Context, h *lease.Held) error {
	shard := h.Shard().ID
	drop, ok := f.take(w, work, h)
	if !ok {
		return nil
	}
	defer drop()
	for n := int64(1); ; n++ {
		select {
		case <-fetch.Done():
		case <-time.After(f.tick):
		}
		if work.Err() != nil {
			return context.Cause(work)
		}
		if fetch.Err() != nil {
			return nil
		}
		if f.stream.isClosed(shard) {
			children, _ := f.stream.Children(work, h.Stream(), shard)
			return h.Finish(work, children)
		}
		next := checkpoint.At("1")
		if p := h.Position(); p.IsRecord() {
			next = checkpoint.Position{SequenceNumber: "1", SubSequenceNumber: p.SubSequenceNumber + 1}
		}
		if err := h.Checkpoint(work, next); err != nil && errors.Is(err, lease.ErrLost) {
			return err
		}
	}
}

// take notes that the worker holds a lease until drop is called or work ends. It
// is not ok if the worker has crashed.
func (f *fleet) take(w *worker, work context.Context, h *lease.Held) (drop func(), ok bool) {
	shard := h.Shard().ID
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.crashed {
		return nil, false
	}
	if other := f.holders[shard]; other != "" && !f.steals {
		f.t.Errorf("%s holds %s while %s does", w.id, shard, other)
	}
	f.checkParents(w, h)
	if other := f.holders[shard]; other != "" {
		f.beside[shard] = append(f.beside[shard], other)
	}
	f.holders[shard] = w.id
	f.begun[shard]++
	f.logf("%s holds %s at %v", w.id, shard, h.Position())
	over := context.AfterFunc(work, func() { f.drop(w, shard) })
	return func() {
		over()
		f.drop(w, shard)
	}, true
}

// checkParents reports a shard that is held before its parents are finished.
func (f *fleet) checkParents(w *worker, h *lease.Held) {
	stream := h.Stream()
	for _, p := range h.Shard().Parents {
		row, err := f.store.Row(f.t.Context(), stream.Key(p))
		if err == nil && !row.Finished() {
			f.t.Errorf("%s holds %s, whose parent %s is at %v", w.id, h.Shard().ID, p, row.Checkpoint)
		}
	}
}

func (f *fleet) drop(w *worker, shard string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.crashed {
		return
	}
	if f.holders[shard] == w.id {
		f.logf("%s leaves %s", w.id, shard)
		f.leaveTo(shard)
	}
	f.beside[shard] = slices.DeleteFunc(f.beside[shard], func(id string) bool { return id == w.id })
}

// leaveTo gives a shard that its holder leaves to one who held it beside.
func (f *fleet) leaveTo(shard string) {
	delete(f.holders, shard)
	if n := len(f.beside[shard]); n > 0 {
		f.holders[shard] = f.beside[shard][n-1]
		f.beside[shard] = f.beside[shard][:n-1]
	}
}

// counts returns the number of leases held per worker, sorted by worker.
func (f *fleet) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]int)
	for _, w := range f.holders {
		out[w]++
	}
	return out
}

func (f *fleet) moved() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moves
}

// crash cuts a worker off its store for good and forgets what it believes.
func (f *fleet) crash(w *worker) {
	w.store.cut()
	f.mu.Lock()
	w.crashed = true
	f.logf("%s crashes", w.id)
	f.mu.Unlock()
	w.stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for shard, id := range f.holders {
		f.beside[shard] = slices.DeleteFunc(f.beside[shard], func(id string) bool { return id == w.id })
		if id == w.id {
			f.leaveTo(shard)
		}
	}
}

// leave stops a worker cleanly and waits for it.
func (f *fleet) leave(w *worker) {
	f.t.Helper()
	w.stop()
	if err := <-w.done; err != nil {
		f.t.Errorf("Run of %s = %v, want nil", w.id, err)
	}
	delete(f.workers, w.id)
}

// end stops all workers.
func (f *fleet) end() {
	for _, w := range f.workers {
		w.stop()
	}
	for _, w := range f.workers {
		<-w.done
	}
	if f.t.Failed() {
		for _, l := range f.lines {
			f.t.Log(l)
		}
	}
}
