package consumer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
)

// A DedupeStore keeps the windows of [EachOptions].DedupeBytes where the next
// worker of a shard finds them: a file, a table, an object store. Its methods may
// be called for several shards at a time.
type DedupeStore interface {
	// Load returns what was saved last for the shard, nil if nothing was. An error
	// fails the handler, which is called again after a pause.
	Load(ctx context.Context, s *Shard) ([]byte, error)

	// Save keeps a window in place of the shard's earlier one. It is called before
	// each checkpoint, which is not stored if Save fails. A worker that has lost the
	// shard and does not know it yet may save too: a store that compares
	// [Shard.Epoch] can refuse it; one that does not may let repetitions through
	// and leaves out nothing.
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

func (d *dedupe) load(saved []byte) error {
	if len(saved) == 0 {
		return nil
	}
	if saved[0] != windowFormat || (len(saved)-1)%len(digest{}) != 0 {
		return fmt.Errorf("consumer: saved window of ids: %d bytes in format %d, want format %d and 16 bytes per id",
			len(saved), saved[0], windowFormat)
	}
	for rest := saved[1:]; len(rest) > 0; rest = rest[len(digest{}):] {
		d.remember(digest(rest))
	}
	return nil
}

// remembering gives the runner its window, if there is to be one, and has it
// saved no later than each checkpoint.
func (r *runner) remembering(ctx context.Context, o *EachOptions) error {
	if o.DedupeBytes == 0 {
		return nil
	}
	r.seen = newDedupe(o.DedupeBytes)
	if o.DedupeStore == nil {
		return nil
	}
	saved, err := o.DedupeStore.Load(ctx, r.shard)
	if err == nil {
		err = r.seen.load(saved)
	}
	if err != nil {
		return fmt.Errorf("consumer: load the ids of shard %s: %w", r.shard.id, err)
	}
	r.shard.before = func(ctx context.Context) error { return o.DedupeStore.Save(ctx, r.shard, r.seen.save()) }
	return nil
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
