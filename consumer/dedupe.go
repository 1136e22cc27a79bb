package consumer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// A DedupeStore keeps the windows of [EachOptions].DedupeBytes where the next
// worker of a shard finds them: a file, a table, an object store. Its methods may
// be called for several shards at a time. Empty it when the application is set
// back ([Rewind]): what it remembers would be left out.
type DedupeStore interface {
	// Load returns what was saved last for a shard of the stream of s, nil if
	// nothing was: for s itself, and if there is nothing for that, for each of the
	// shards that it was split or merged from. An error fails the handler, which is
	// called again after a pause.
	Load(ctx context.Context, s *Shard, shardID string) ([]byte, error)

	// Save keeps a window in place of the shard's earlier one. It is called before
	// each checkpoint, the last one at the end of the shard too, which is not stored
	// if Save fails. A worker that has lost the shard and does not know it yet may
	// save too: a store that compares [Shard.Epoch] can refuse it; one that does not
	// may let repetitions through and leaves out nothing.
	Save(ctx context.Context, s *Shard, window []byte) error
}

// idBytes is what an id costs in a window: 16 bytes of its digest in the order of
// arrival, the same in a map, and the room the map leaves free.
const idBytes = 64

type digest [16]byte

// A dedupe is a window of the ids of the records of one shard that were dealt with
// last. Its methods may be called from any goroutine. A nil one knows nothing.
type dedupe struct {
	limit int

	mu    sync.Mutex // guards what follows
	order []digest   // oldest at next once there are limit
	next  int
	known map[digest]struct{}
}

func newDedupe(maxBytes int64) *dedupe {
	return &dedupe{limit: int(maxBytes / idBytes), known: map[digest]struct{}{}}
}

// digestOf is short enough to remember and too long for two ids to share by
// accident: that would leave out a record.
func digestOf(id string) digest {
	sum := sha256.Sum256([]byte(id))
	return digest(sum[:16])
}

// knows reports whether a record of this id was dealt with.
func (d *dedupe) knows(r *Record) bool {
	if d == nil || r.ID == "" {
		return false
	}
	key := digestOf(r.ID)
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.known[key]
	return ok
}

// add remembers records that were dealt with.
func (d *dedupe) add(records []Record) {
	if d == nil {
		return
	}
	for i := range records {
		if records[i].ID != "" {
			d.remember(digestOf(records[i].ID))
		}
	}
}

func (d *dedupe) remember(key digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.known[key]; ok {
		return
	}
	d.known[key] = struct{}{}
	if len(d.order) < d.limit {
		d.order = append(d.order, key)
		return
	}
	delete(d.known, d.order[d.next])
	d.order[d.next] = key
	d.next = (d.next + 1) % d.limit
}

// windowFormat is the first byte of a saved window; 16 bytes per id follow, the
// oldest first.
const windowFormat = 1

func (d *dedupe) save() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]byte, 0, 1+len(d.order)*len(digest{}))
	out = append(out, windowFormat)
	for i := range d.order {
		key := &d.order[(d.next+i)%len(d.order)]
		out = append(out, key[:]...)
	}
	return out
}

// load remembers what is in saved windows, the newest of each longest.
func (d *dedupe) load(saved ...[]byte) error {
	longest := 0
	for i, w := range saved {
		if len(w) == 0 {
			continue
		}
		if w[0] != windowFormat || (len(w)-1)%len(digest{}) != 0 {
			return fmt.Errorf("consumer: saved window of ids: %d bytes in format %d, want format %d and 16 bytes per id",
				len(w), w[0], windowFormat)
		}
		saved[i] = w[1:]
		longest = max(longest, len(w)-1)
	}
	for left := longest; left > 0; left -= len(digest{}) {
		for _, w := range saved {
			if at := len(w) - left; at >= 0 && left <= len(w) {
				d.remember(digest(w[at:]))
			}
		}
	}
	return nil
}

// remembering gives the runner its window, if there is to be one, and has it
// saved no later than each checkpoint.
func (r *runner) remembering(ctx context.Context, o *EachOptions) error {
	if o.DedupeBytes == 0 {
		return nil
	}
	s := r.shard
	r.seen = newDedupe(o.DedupeBytes)
	saved, err := s.windows(ctx, o.DedupeStore)
	if err == nil {
		err = r.seen.load(saved...)
	}
	if err != nil {
		return fmt.Errorf("consumer: load the ids of shard %s: %w", s.id, err)
	}
	s.seen = r.seen
	if o.DedupeStore != nil {
		s.before = func(ctx context.Context) error { return o.DedupeStore.Save(ctx, s, r.seen.save()) }
	}
	return nil
}

// windows returns what is remembered of a shard that begins, or of those that it
// was split or merged from.
func (s *Shard) windows(ctx context.Context, store DedupeStore) ([][]byte, error) {
	if store == nil {
		return s.heritage.of(s), nil
	}
	saved, err := store.Load(ctx, s, s.id)
	if err != nil || len(saved) > 0 {
		return [][]byte{saved}, err
	}
	var all [][]byte
	for _, parent := range s.parents {
		if saved, err = store.Load(ctx, s, parent); err != nil {
			return nil, err
		}
		all = append(all, saved)
	}
	return all, nil
}

// heirTime is how long the window of a finished shard is kept for its children.
// They begin within seconds, if this worker reads them.
const heirTime = 5 * time.Minute

// A heritage is the windows of shards that a consumer has finished, for their
// children: a reshard is when producers put records again. A nil one has none.
type heritage struct {
	mu   sync.Mutex
	left map[heir]*legacy
}

type heir struct{ stream, shard string }

// A legacy is what a shard left.
type legacy struct {
	window []byte
	end    *time.Timer
}

// leave keeps the window of a shard that is finished, if it has one.
func (h *heritage) leave(s *Shard) {
	if s.seen == nil {
		return
	}
	key := heir{s.streamID, s.id}
	l := &legacy{window: s.seen.save()}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left == nil {
		h.left = make(map[heir]*legacy)
	}
	h.left[key] = l
	l.end = time.AfterFunc(heirTime, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.left[key] == l {
			delete(h.left, key)
		}
	})
}

// of returns the windows of a shard's parents.
func (h *heritage) of(s *Shard) (windows [][]byte) {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, parent := range s.parents {
		if l := h.left[heir{s.streamID, parent}]; l != nil {
			windows = append(windows, l.window)
		}
	}
	return windows
}

// end forgets all of it.
func (h *heritage) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.left {
		l.end.Stop()
	}
	clear(h.left)
}

// repeats reports whether a record is a repetition, and tells if it is.
func (r *runner) repeats(record *Record) bool {
	if !r.seen.knows(record) {
		return false
	}
	r.tellRepeated(record)
	return true
}

func (r *runner) tellRepeated(record *Record) {
	s := r.shard
	s.opts.repeated(SkippedInfo{
		Stream: s.stream, ShardID: s.id, Reason: SkippedDuplicate, From: record.Position, To: record.Position, Records: 1,
	})
}

// fresh returns the records that are no repetitions, neither of what was dealt
// with nor of each other.
func (r *runner) fresh(records []Record) []Record {
	if r.seen == nil {
		return records
	}
	var here map[string]struct{}
	var out []Record // nil while nothing was left out
	for i := range records {
		record := &records[i]
		_, again := here[record.ID]
		if again {
			r.tellRepeated(record)
		}
		if again || r.repeats(record) {
			if out == nil {
				out = append(make([]Record, 0, len(records)-1), records[:i]...)
			}
			continue
		}
		if record.ID != "" {
			if here == nil {
				here = make(map[string]struct{}, len(records))
			}
			here[record.ID] = struct{}{}
		}
		if out != nil {
			out = append(out, *record)
		}
	}
	if out != nil {
		return out
	}
	return records
}
