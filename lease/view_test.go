package lease

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// viewAt shows a viewer rows at times, and returns the last view.
func viewAt(t *testing.T, v *Viewer, at time.Time, snap Snapshot) Fleet {
	t.Helper()
	v.look(at, &snap)
	return v.fleet(at, &snap)
}

func TestViewSaysWhatHappensToAShard(t *testing.T) {
	t.Parallel()
	const f = 10 * time.Second
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	alive := func(id, run string) Worker {
		return Worker{ID: id, Updated: start, Properties: map[string]string{propertyLibrary: Library, propertyRun: run}}
	}
	both := []Worker{alive("a", "1"), alive("b", "2")}
	lock := Lock{Owner: "a", Version: "v", Duration: f}
	open, done := checkpoint.At("5"), checkpoint.ShardEnd
	moved := func(from, to string, why Reason) *Move {
		return &Move{At: start.Add(-time.Minute), From: from, To: to, Reason: why}
	}
	tests := []struct {
		name    string
		rows    []Row // the first is judged
		workers []Worker
		lock    Lock
		later   time.Duration // a second look with the same rows
		state   ShardState
		why     string
		check   func(s ShardView) bool
	}{
		{"held", []Row{{Key: "s", Shard: "s", Owner: "a", Checkpoint: open, Moved: moved("b", "a", ReasonCount)}}, both, lock, 0, ShardHeld, "",
			func(s ShardView) bool { return s.Since.Equal(start.Add(-time.Minute)) && s.Reason == ReasonCount }},
		{"held, moved since by a worker that does not tell", []Row{{Key: "s", Shard: "s", Owner: "b", Checkpoint: open, Moved: moved("b", "a", ReasonCount)}}, both, lock, 0, ShardHeld, "",
			func(s ShardView) bool { return s.Since.IsZero() && s.Reason == "" }},
		{"held, by a run that tells how far it is", []Row{{Key: "s", Shard: "s", Owner: "a", Run: "1", ReadTo: start.Add(-3 * time.Second), Checkpoint: open}}, both, lock, 0, ShardHeld, "",
			func(s ShardView) bool { return s.BehindKnown && s.Behind == 3*time.Second }},
		{"held, by a run that does not tell", []Row{{Key: "s", Shard: "s", Owner: "b", Run: "1", ReadTo: start, Checkpoint: open}}, both, lock, 0, ShardHeld, "",
			func(s ShardView) bool { return !s.BehindKnown }},
		{"waiting for a parent", []Row{{Key: "s", Shard: "s", Owner: "a", Parents: []string{"p", "q"}, Checkpoint: open}, {Key: "p", Shard: "p", Checkpoint: open}, {Key: "q", Shard: "q", Checkpoint: done}}, both, lock, 0,
			ShardWaiting, "waits for p to be finished", nil},
		{"parents done or gone", []Row{{Key: "s", Shard: "s", Owner: "a", Parents: []string{"p", "q"}, Checkpoint: open}, {Key: "p", Shard: "p", Checkpoint: done}}, both, lock, 0, ShardHeld, "", nil},
		{"moving", []Row{{Key: "s", Shard: "s", Owner: "b", Leaving: "a", Checkpoint: open}}, both, lock, 0, ShardMoving, "a finishes its work for b",
			func(s ShardView) bool { return s.Owner == "a" && s.Next == "b" }},
		{"silent", []Row{{Key: "s", Shard: "s", Owner: "a", Checkpoint: open}}, both, lock, 12 * time.Second, ShardSilent, "a was not seen to renew it for 12s", nil},
		{"quiet for less than the failover time", []Row{{Key: "s", Shard: "s", Owner: "a", Checkpoint: open}}, both, lock, 10 * time.Second, ShardHeld, "",
			func(s ShardView) bool { return s.Quiet == 10*time.Second }},
		{"finished", []Row{{Key: "s", Shard: "s", Owner: "a", Checkpoint: done}}, both, lock, time.Hour, ShardFinished, "", nil},
		{"free, no worker", []Row{{Key: "s", Shard: "s", Checkpoint: open}}, nil, Lock{}, 0, ShardFree, "no worker shows life", nil},
		{"free, workers of yesterday", []Row{{Key: "s", Shard: "s", Checkpoint: open}}, both, lock, 24 * time.Hour, ShardFree, "no worker shows life", nil},
		{"free, no leader", []Row{{Key: "s", Shard: "s", Checkpoint: open}}, both, Lock{}, 0, ShardFree, "nobody holds the leader lock", nil},
		{"free, lock released", []Row{{Key: "s", Shard: "s", Checkpoint: open}}, both, Lock{Owner: "a", Version: "v", Released: true}, 0, ShardFree, "or, by the rules of KCL 2.x, a worker to take it", nil},
		{"free, leader silent", []Row{{Key: "s", Shard: "s", Checkpoint: open}}, both, lock, 30 * time.Second, ShardFree, "a is silent", nil},
		{"free, given up", []Row{{Key: "s", Shard: "s", Checkpoint: open, Moved: moved("b", "", ReasonStopping)}}, both, lock, 0, ShardFree, "b gave it up (its owner stops)", nil},
		{"free, full", []Row{{Key: "s", Shard: "s", Checkpoint: open}}, both, lock, 0, ShardFree, "a has not assigned it yet", nil},
		{"free, waits", []Row{{Key: "c:s", Shard: "s", Stream: "c", Parents: []string{"p"}, Checkpoint: open}, {Key: "c:p", Shard: "p", Stream: "c", Checkpoint: open}}, both, lock, 0, ShardFree, "waits for p", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := newViewer(nil, f)
			snap := Snapshot{Rows: tt.rows, Workers: tt.workers, Lock: tt.lock}
			view := viewAt(t, v, start, snap)
			if tt.later > 0 {
				view = viewAt(t, v, start.Add(tt.later), snap)
			}
			s := view.Shards[0]
			if s.State != tt.state || !strings.Contains(s.Why, tt.why) || tt.why == "" && s.Why != "" {
				t.Errorf("%v (%s), want %v (%s)", s.State, s.Why, tt.state, tt.why)
			}
			if tt.check != nil && !tt.check(s) {
				t.Errorf("view %+v", s)
			}
		})
	}
}

func TestViewOfWorkers(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	rate := 2.5
	snap := Snapshot{
		Lock: Lock{Owner: "leader", Version: "v", Duration: time.Minute},
		Rows: []Row{
			{Key: "1", Shard: "1", Owner: "go", Counter: 1, Throughput: &rate, Checkpoint: checkpoint.Latest},
			{Key: "2", Shard: "2", Owner: "java", Leaving: "go", Throughput: &rate, Checkpoint: checkpoint.Latest},
			{Key: "3", Shard: "3", Owner: "old", Checkpoint: checkpoint.Latest}, // a worker without a row of its own
			{Key: "4", Shard: "4", Owner: "go", Checkpoint: checkpoint.ShardEnd},
		},
		Workers: []Worker{
			{ID: "go", Updated: start, Properties: map[string]string{propertyLibrary: Library}, Metrics: map[string][]float64{"C": {40}}, Limits: map[string]float64{"C": 80}},
			{ID: "java", Updated: start.Add(-time.Hour)},
		},
		Bad: []*RowError{{Key: "x", Err: errors.New("bad")}},
	}
	v := newViewer(nil, 10*time.Second)
	viewAt(t, v, start, snap)
	snap.Rows[2].Counter++
	f := viewAt(t, v, start.Add(5*time.Second), snap)
	want := []WorkerView{
		{ID: "go", Alive: true, Library: true, Updated: start, Leases: 2, Throughput: 5, CPU: 40, CPULimit: 80, CPUKnown: true},
		{ID: "java", Updated: start.Add(-time.Hour), CPULimit: 100},
		{ID: "leader", Leading: true},
		{ID: "old", Alive: true, Leases: 1},
	}
	if len(f.Workers) != len(want) {
		t.Fatalf("workers %+v", f.Workers)
	}
	for i, w := range want {
		if f.Workers[i] != w {
			t.Errorf("worker %+v\nwant   %+v", f.Workers[i], w)
		}
	}
	if f.Leader != "leader" || f.LeaderSilent || len(f.Bad) != 1 {
		t.Errorf("leader %q, silent %v, bad %v", f.Leader, f.LeaderSilent, f.Bad)
	}
	snap.Rows[0].Owner, snap.Rows[0].Counter = "java", 2 // a move that nobody explains
	f = viewAt(t, v, start.Add(9*time.Second), snap)
	if s := f.Shards[0]; !s.Since.Equal(start.Add(9*time.Second)) || s.Reason != "" {
		t.Errorf("a move seen: since %v, %q", s.Since, s.Reason)
	}
}

// openShards is a source of two shards.
type openShards struct{}

func (openShards) Streams(context.Context) ([]Stream, error) {
	return []Stream{{Name: "clicks", Start: checkpoint.TrimHorizon}}, nil
}

func (openShards) Shards(context.Context, Stream, ShardsAt) ([]Shard, error) {
	return []Shard{{ID: "shardId-000000000000"}, {ID: "shardId-000000000001"}}, nil
}

func (openShards) Children(context.Context, Stream, string) ([]Shard, error) { return nil, nil }

// A viewer beside a living fleet: it sees who reads what and why, how far behind,
// the one that goes and the one that dies.
func TestViewOfALivingFleet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := NewMemoryStore()
		viewer, err := NewViewer(store)
		if err != nil {
			t.Fatal(err)
		}
		run := func(id string) (stop func()) {
			c, err := New(store, openShards{}, func(o *Options) { o.WorkerID = id })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Fleet(t.Context()); err != nil {
				t.Errorf("Fleet() before Run = %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				done <- c.Run(ctx, func(fetch, _ context.Context, h *Held) error {
					for pause(fetch, time.Second, nil) {
						h.ReadTo(time.Now().Add(-7 * time.Second))
					}
					return nil
				})
			}()
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		look := func() Fleet {
			f, err := viewer.Fleet(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		stopA := run("a")
		time.Sleep(10 * time.Second)
		stopB := run("b")
		time.Sleep(30 * time.Second)
		owners := map[string]int{}
		for _, s := range look().Shards {
			owners[s.Owner]++
			if s.State != ShardHeld || s.Since.IsZero() || s.Reason == "" || !s.BehindKnown || s.Behind < 7*time.Second || s.Behind > 13*time.Second {
				t.Errorf("view %+v", s)
			}
		}
		if f := look(); owners["a"] != 1 || owners["b"] != 1 || f.Leader != "a" || len(f.Workers) != 2 || !f.Workers[0].Alive || !f.Workers[0].Leading {
			t.Errorf("owners %v, view %+v", owners, f)
		}
		stopA()
		time.Sleep(20 * time.Second)
		f := look()
		if f.Leader != "b" || len(f.Workers) != 1 {
			t.Errorf("after a left: %+v", f)
		}
		for _, s := range f.Shards {
			if s.Owner != "b" || s.State != ShardHeld {
				t.Errorf("after a left: %+v", s)
			}
		}
		stopB()
		for _, s := range look().Shards {
			if s.State != ShardFree || s.Why != "no worker shows life" || s.Reason != ReasonStopping {
				t.Errorf("after all left: %+v", s)
			}
		}
	})
}

func TestViewerSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	if _, err := NewViewer(nil); err == nil {
		t.Error("NewViewer(nil) = nil")
	}
	if _, err := NewViewer(NewMemoryStore(), func(o *Options) { o.FailoverTime = 0 }); err == nil || !strings.Contains(err.Error(), "FailoverTime") {
		t.Errorf("NewViewer without a failover time = %v", err)
	}
	v, err := NewViewer(NewMemoryStore())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Fleet(ctx); err == nil {
		t.Error("Fleet() of an ended context = nil")
	}
	if got := ShardState(99).String(); got != "state 99" || ShardMoving.String() != "moving" {
		t.Errorf("names %s, %s", got, ShardMoving)
	}
}
