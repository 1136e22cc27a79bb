package lease

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A Fleet is what an application's rows say at one moment. Times in it are those
// of the workers' own clocks, except for At.
type Fleet struct {
	// At is when the rows were read.
	At time.Time

	// Leader is the worker that holds the leader lock, empty if nobody does, as in
	// a fleet that lives by the rules of KCL 2.x (see [ElectByShuffle]).
	// LeaderSilent means that it has not renewed the lock for longer than that
	// lasts: it is dead or stuck, and another one will follow.
	Leader       string
	LeaderSilent bool

	Shards  []ShardView  // sorted by key
	Workers []WorkerView // sorted by id
	Bad     []*RowError  // rows that nobody understands
}

// ShardState is what happens to a shard.
type ShardState int

// The states.
const (
	ShardFree     ShardState = iota // nobody holds its lease
	ShardHeld                       // its owner reads it
	ShardWaiting                    // its owner waits for its parents to be finished
	ShardMoving                     // its owner finishes its work for Next
	ShardSilent                     // its owner was not seen to renew it for longer than the failover time
	ShardFinished                   // everything in it is done
)

var shardStates = [...]string{"free", "held", "waiting", "moving", "silent", "finished"}

// String returns the state in lower case.
func (s ShardState) String() string {
	if s < 0 || int(s) >= len(shardStates) {
		return fmt.Sprintf("state %d", int(s))
	}
	return shardStates[s]
}

// A ShardView is one lease.
type ShardView struct {
	Key, Stream, Shard string
	Parents, Children  []string

	State ShardState
	Why   string // why nobody reads it, or not for long; empty if it is read or finished

	// Owner is the worker that reads the shard, or may, and Next the one that is to
	// have it after a handover.
	Owner, Next string

	// Since is when the owner was given the lease, or when the last one gave it up,
	// and Reason why. Both are zero if nobody told, as a worker of the KCL does not;
	// Since then is when it was seen to happen, if it was.
	Since  time.Time
	Reason Reason

	Position checkpoint.Position
	Pending  *Pending

	// Behind is how far reading is behind the end of the shard, at most: what is
	// older has been handed to the application. BehindKnown is false where nobody
	// tells, as a worker of the KCL does not.
	Behind      time.Duration
	BehindKnown bool

	// Throughput is what the owner last measured, in KiB/s.
	Throughput float64

	// Quiet is how long the row was seen without a sign of life of its owner; 0 at
	// the first look.
	Quiet time.Duration

	// Switches counts changes of owner since the last checkpoint. Many of them mean
	// that nobody gets through the shard's next records.
	Switches int64
}

// A WorkerView is one worker: one with a row of its own, or the owner of a lease.
type WorkerView struct {
	ID string

	// Alive means that it has written its row in the last minute, by its own clock,
	// or was seen to renew a lease. A leader gives leases to such workers only.
	Alive bool

	Leading    bool
	Library    bool      // a worker of this library, none of the KCL
	Updated    time.Time // when it wrote its row, zero if it has none
	Leases     int       // unfinished ones that it reads or may read
	Throughput float64   // of those, in KiB/s

	// CPU is the load in percent as leaders compute it, and CPULimit what it should
	// not exceed. CPUKnown is false for a worker that measures none.
	CPU, CPULimit float64
	CPUKnown      bool
}

// A Viewer shows a fleet from outside: it reads rows and writes none. What it
// has seen before makes the next look tell more, namely who is silent. Its method
// may be called from several goroutines.
type Viewer struct {
	store    Store
	failover time.Duration

	mu   sync.Mutex // guards what follows
	rows map[string]sighting
	lock sighting
}

// A sighting is a state of a row, when it was first and when the owner was.
type sighting struct {
	state, owner string
	since, owned time.Time
	changed      bool // the owner changed before the viewer's eyes
	renewed      bool // so did the state, with that owner
}

// NewViewer returns a viewer of the application whose rows are in store. Of the
// options it uses FailoverTime, which must be the fleet's. It does no I/O, and
// does not open the store, which might create its table.
func NewViewer(store Store, optFns ...func(*Options)) (*Viewer, error) {
	o := defaults()
	for _, fn := range optFns {
		fn(&o)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	if store == nil {
		return nil, fmt.Errorf("lease: store is nil, want a Store")
	}
	return newViewer(store, o.FailoverTime), nil
}

func newViewer(store Store, failover time.Duration) *Viewer {
	return &Viewer{store: store, failover: failover, rows: make(map[string]sighting)}
}

// Fleet reads the rows and says what they mean. It costs one read of the whole
// table.
func (v *Viewer) Fleet(ctx context.Context) (Fleet, error) {
	snap, err := v.store.Snapshot(ctx)
	if err != nil {
		return Fleet{}, fmt.Errorf("lease: view the fleet: %w", err)
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.look(now, &snap)
	return v.fleet(now, &snap), nil
}

// Fleet returns what the application's rows say now: this worker and all others.
// It works whether or not [Coordinator.Run] does, and costs one read of the
// whole table.
func (c *Coordinator) Fleet(ctx context.Context) (Fleet, error) { return c.viewer.Fleet(ctx) }

// look takes note of the rows.
func (v *Viewer) look(now time.Time, snap *Snapshot) {
	rows := make(map[string]sighting, len(snap.Rows))
	for i := range snap.Rows {
		r := &snap.Rows[i]
		last, known := v.rows[r.Key]
		rows[r.Key] = last.next(now, known, r.Owner+"\x00"+r.Leaving, fmt.Sprint(r.Counter))
	}
	v.rows = rows
	v.lock = v.lock.next(now, !v.lock.since.IsZero(), snap.Lock.Owner, snap.Lock.Version)
}

// next returns what is known after a look that found owner and state.
func (s sighting) next(now time.Time, known bool, owner, state string) sighting {
	switch {
	case !known:
		return sighting{state: state, owner: owner, since: now, owned: now}
	case s.owner != owner:
		return sighting{state: state, owner: owner, since: now, owned: now, changed: true}
	case s.state != state:
		s.state, s.since, s.renewed = state, now, true
	}
	return s
}

func (v *Viewer) fleet(now time.Time, snap *Snapshot) Fleet {
	f := Fleet{At: now, Bad: snap.Bad}
	if l := snap.Lock; l.Version != "" && !l.Released {
		f.Leader, f.LeaderSilent = l.Owner, now.Sub(v.lock.since) > l.Duration
	}
	f.Workers = v.workers(now, snap)
	index := indexRows(snap.Rows)
	for i := range snap.Rows {
		f.Shards = append(f.Shards, v.shard(&f, &snap.Rows[i], index, snap.Workers))
	}
	return f
}

// workers returns the workers that there are, or that leases say there are.
func (v *Viewer) workers(now time.Time, snap *Snapshot) []WorkerView {
	byID := make(map[string]*WorkerView)
	worker := func(id string) *WorkerView {
		w := byID[id]
		if w == nil {
			w = &WorkerView{ID: id}
			byID[id] = w
		}
		return w
	}
	for i := range snap.Workers {
		row := &snap.Workers[i]
		w := worker(row.ID)
		w.Updated, w.Library = row.Updated, row.Properties[propertyLibrary] == Library
		age := now.Sub(row.Updated)
		w.Alive = age <= workerFresh && age >= -workerFresh
		w.CPU, w.CPULimit, w.CPUKnown, _ = cpuOf(row)
	}
	for i := range snap.Rows {
		r := &snap.Rows[i]
		if r.Reader() == "" || r.Finished() {
			continue
		}
		w := worker(r.Reader())
		w.Leases++
		w.Library = w.Library || w.Updated.IsZero() && renewedBy(r, w.ID, nil)
		if r.Throughput != nil {
			w.Throughput += *r.Throughput
		}
		if s := v.rows[r.Key]; s.renewed && now.Sub(s.since) <= v.failover {
			w.Alive = true
		}
	}
	if l := snap.Lock; l.Version != "" && !l.Released {
		worker(l.Owner).Leading = true
	}
	out := make([]WorkerView, 0, len(byID))
	for _, w := range byID {
		out = append(out, *w)
	}
	slices.SortFunc(out, func(a, b WorkerView) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// shard returns the view of one row.
func (v *Viewer) shard(f *Fleet, r *Row, index map[string]Row, workers []Worker) ShardView {
	seen := v.rows[r.Key]
	s := ShardView{
		Key: r.Key, Stream: r.Stream, Shard: r.Shard, Parents: slices.Clone(r.Parents), Children: slices.Clone(r.Children),
		Owner: r.Reader(), Position: r.Checkpoint, Pending: r.Pending.clone(), Switches: r.Switches,
	}
	if r.Leaving != "" {
		s.Next = r.Owner
	}
	if r.Throughput != nil {
		s.Throughput = *r.Throughput
	}
	if m := r.Moved; m != nil && m.To == r.Owner {
		s.Since, s.Reason = m.At, m.Reason
	} else if seen.changed {
		s.Since = seen.owned
	}
	if s.Owner != "" {
		s.Quiet = f.At.Sub(seen.since)
	}
	if !r.ReadTo.IsZero() && r.Run != "" && !r.Finished() && renewedBy(r, s.Owner, workers) {
		s.Behind, s.BehindKnown = max(0, f.At.Sub(r.ReadTo)), true
	}
	s.State, s.Why = v.state(f, r, &s, unfinishedParents(r, index))
	return s
}

// state says what happens to a shard, and why if nobody reads it.
func (v *Viewer) state(f *Fleet, r *Row, s *ShardView, parents []string) (ShardState, string) {
	waits := "it waits for " + strings.Join(parents, " and ") + " to be finished"
	switch {
	case r.Finished():
		return ShardFinished, ""
	case s.Owner == "" && len(parents) > 0:
		return ShardFree, waits
	case s.Owner == "":
		return ShardFree, v.whyFree(f, r)
	case s.Quiet > v.failover:
		return ShardSilent, fmt.Sprintf("%s was not seen to renew it for %v", clip(s.Owner), s.Quiet.Round(time.Second))
	case r.Leaving != "":
		return ShardMoving, fmt.Sprintf("%s finishes its work for %s", clip(s.Owner), clip(s.Next))
	case len(parents) > 0:
		return ShardWaiting, waits
	}
	return ShardHeld, ""
}

// whyFree says why nobody has a shard that could be read.
func (v *Viewer) whyFree(f *Fleet, r *Row) string {
	alive := slices.ContainsFunc(f.Workers, func(w WorkerView) bool { return w.Alive })
	switch {
	case !alive:
		return "no worker shows life"
	case f.Leader == "":
		return "nobody holds the leader lock: a leader has yet to assign it or, by the rules of KCL 2.x, a worker to take it"
	case f.LeaderSilent:
		return fmt.Sprintf("the leader %s is silent, and nobody has followed it yet", clip(f.Leader))
	case r.Moved != nil && r.Moved.To == "":
		return fmt.Sprintf("%s gave it up (%s), and %s has not assigned it yet", clip(r.Moved.From), r.Moved.Reason, clip(f.Leader))
	}
	return fmt.Sprintf("%s has not assigned it yet: every worker may hold as many leases as it is allowed", clip(f.Leader))
}

// unfinishedParents returns the parents of a row that have work left.
func unfinishedParents(r *Row, index map[string]Row) []string {
	var out []string
	prefix := strings.TrimSuffix(r.Key, r.Shard)
	for _, id := range r.Parents {
		if p, ok := index[prefix+id]; ok && !p.Finished() {
			out = append(out, id)
		}
	}
	return out
}

// renewedBy reports whether it was this worker, of this library, that renewed the row
// last: its present run if it tells that in a row of its own, which it has not by the
// rules of KCL 2.x.
func renewedBy(r *Row, id string, workers []Worker) bool {
	if run := runOf(workers, id); run != "" {
		return run == r.Run
	}
	return r.Run != "" && sameOwner(r.Run, newRun(id, time.Unix(0, 0)))
}

// runOf returns the run that a worker's row tells, empty if none.
func runOf(workers []Worker, id string) string {
	for i := range workers {
		if workers[i].ID == id {
			return workers[i].Properties[propertyRun]
		}
	}
	return ""
}
