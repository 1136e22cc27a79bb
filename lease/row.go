package lease

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// A HashRange is the hash keys of a shard, both ends included.
type HashRange = shardmap.Range

// ParseHashRange reads a range from its two decimal ends, for stores.
func ParseHashRange(start, end string) (HashRange, error) { return shardmap.ParseRange(start, end) }

// A Row is one lease: which shard, who reads it, how far it has been read.
//
// Of an application with one stream Key is the shard's id and Stream is empty.
type Row struct {
	// Key identifies the row in its table.
	Key string

	// Stream and Shard name the shard. Stream is empty in the table of an
	// application with one stream.
	Stream, Shard string

	// Parents and Children are shard ids, sorted. Children is empty until they
	// are known, at the end of the shard.
	Parents, Children []string

	// Range is the shard's hash keys, nil if they are not known.
	Range *HashRange

	// Owner is the worker that holds the lease, empty if none does. While the
	// lease is handed over it is the next owner.
	Owner string

	// Leaving is the worker that still reads the shard while the lease is handed
	// over to Owner, and empty otherwise (the KCL's checkpointOwner).
	Leaving string

	// Counter rises with every renewal, checkpoint and change of owner. A worker
	// that sees it unchanged for the failover time takes the owner for dead.
	Counter int64

	// Switches counts changes of owner since the last checkpoint.
	Switches int64

	// Checkpoint is the position stored: everything up to it is done.
	Checkpoint checkpoint.Position

	// Pending is a position announced but not yet stored, nil if there is none.
	Pending *Pending

	// Throughput is what the owner last measured in KiB/s, nil if it never has.
	Throughput *float64

	// ReadTo says how far the shard is behind: what arrived before this moment, by
	// the clock of the stream, has been handed to the application. It is zero if
	// nobody told, in whole milliseconds, and only for people to read. The KCL
	// leaves it as it is, so it says something only while Run is the reader's.
	ReadTo time.Time

	// Moved explains the last change of owner, nil if nobody did. It is for people
	// to read, and a hint to leaders: nothing that must hold depends on it.
	Moved *Move

	// Run tells runs of workers with one id apart: it is the [Coordinator.Run] that
	// renewed the lease last, empty if none of this library did. The KCL leaves it
	// as it is, so it says something only while Reader is the worker it was.
	Run string

	// Since is what [checkpoint.Latest] stands for in this row: the moment at which
	// the shard was first read, by the clock of the stream, in whole milliseconds.
	// It is zero until then, and has no meaning for other positions.
	Since time.Time
}

// A Move is a change of owner in the words of the worker that made it. The KCL
// leaves it as it is when it moves the lease, so it says something only while To
// is the owner.
type Move struct {
	At       time.Time // by that worker's clock, in whole milliseconds
	From, To string    // the reader before and the owner after, empty for nobody
	Reason   Reason
}

// Pending is the first phase of a checkpoint in two phases.
type Pending struct {
	At    checkpoint.Position
	State []byte // the application's own, opaque
}

// Reader returns the worker that may read the shard and store positions: the
// one that is leaving while the lease is handed over, else the owner. It is
// empty if the lease is free.
func (r *Row) Reader() string {
	if r.Leaving != "" {
		return r.Leaving
	}
	return r.Owner
}

// Finished reports whether everything in the shard is done.
func (r *Row) Finished() bool { return r.Checkpoint.Compare(checkpoint.ShardEnd) == 0 }

// Clone returns a copy that shares nothing with r.
func (r Row) Clone() Row {
	r.Parents, r.Children = slices.Clone(r.Parents), slices.Clone(r.Children)
	r.Range, r.Throughput, r.Moved = clonePtr(r.Range), clonePtr(r.Throughput), clonePtr(r.Moved)
	if r.Pending != nil {
		r.Pending = &Pending{At: r.Pending.At, State: slices.Clone(r.Pending.State)}
	}
	return r
}

// Equal reports whether r and o are the same in every attribute.
func (r Row) Equal(o Row) bool {
	return r.Key == o.Key && r.Stream == o.Stream && r.Shard == o.Shard &&
		slices.Equal(r.Parents, o.Parents) && slices.Equal(r.Children, o.Children) &&
		equalPtr(r.Range, o.Range) && equalPtr(r.Throughput, o.Throughput) && equalPtr(r.Moved, o.Moved) && r.ReadTo.Equal(o.ReadTo) &&
		r.Owner == o.Owner && r.Leaving == o.Leaving && r.Counter == o.Counter && r.Switches == o.Switches &&
		r.Checkpoint == o.Checkpoint && r.Pending.equal(o.Pending) && r.Run == o.Run && r.Since.Equal(o.Since)
}

func (p *Pending) equal(o *Pending) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.At == o.At && bytes.Equal(p.State, o.State)
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func equalPtr[T comparable](p, q *T) bool {
	if p == nil || q == nil {
		return p == q
	}
	return *p == *q
}

// A Worker is the row by which a worker shows that it is there and how loaded
// it is. A leader assigns leases only to workers whose row is fresh.
type Worker struct {
	ID string

	// Updated is when the row was written, by the writer's clock, in whole
	// seconds.
	Updated time.Time

	// Metrics holds, per metric, the last measurements, oldest first, and Limits
	// the highest value in percent that the metric should reach. Both are empty
	// for a worker that measures nothing.
	Metrics map[string][]float64
	Limits  map[string]float64

	// Support is the level of the table layout the worker understands, and
	// SupportUpdated when it said so.
	Support        int
	SupportUpdated time.Time

	// Properties are free texts. A worker of this library has "library" set to
	// [Library]: it discovers a lease that was assigned to it within seconds,
	// where the KCL may take longer than the failover time. Its "run" is that of
	// [Row.Run]; of two runs under one id the later is the greater.
	Properties map[string]string
}

// Library is the value of the property "library" of this library's workers.
const Library = "kinesis-go"

// The properties of a worker that are used.
const (
	propertyLibrary = "library"
	propertyRun     = "run"
)

// Clone returns a copy that shares nothing with w.
func (w Worker) Clone() Worker {
	w.Limits, w.Properties = maps.Clone(w.Limits), maps.Clone(w.Properties)
	if w.Metrics != nil {
		metrics := make(map[string][]float64, len(w.Metrics))
		for name, values := range w.Metrics {
			metrics[name] = slices.Clone(values)
		}
		w.Metrics = metrics
	}
	return w
}

// A Lock is the row by which workers elect their leader. The zero Lock stands
// for no row. A holder gives it a new Version again and again; a version that
// stays for longer than Duration belongs to a dead holder.
type Lock struct {
	Owner    string
	Version  string // random, never the same twice
	Duration time.Duration
	Released bool // given up without being deleted
}
