package lease

import (
	"fmt"
	"testing"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A table is a snapshot that the test changes between looks of an observer.
type table struct {
	t    *testing.T
	snap Snapshot
	o    *observer
	now  time.Time
}

func newTable(t *testing.T, workers ...string) *table {
	o := defaults()
	o.WorkerID = "leader"
	tb := &table{t: t, o: newObserver(timingOf(&o), "leader"), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, w := range workers {
		tb.snap.Workers = append(tb.snap.Workers, Worker{ID: w, Updated: tb.now, Properties: map[string]string{"library": Library}})
	}
	return tb
}

// row adds a row with an owner, which may be empty.
func (tb *table) row(owner string) *Row {
	key := fmt.Sprintf("shard-%02d", len(tb.snap.Rows))
	tb.snap.Rows = append(tb.snap.Rows, Row{Key: key, Shard: key, Owner: owner, Counter: 1, Checkpoint: checkpoint.TrimHorizon})
	return &tb.snap.Rows[len(tb.snap.Rows)-1]
}

func (tb *table) rows(owner string, n int) {
	for range n {
		tb.row(owner)
	}
}

// look lets time pass in looks of the usual distance; the workers named renew
// their leases and their rows.
func (tb *table) look(d time.Duration, alive ...string) {
	if tb.o.last.IsZero() {
		tb.o.observe(tb.now, &tb.snap)
	}
	for end := tb.now.Add(d); tb.now.Before(end); {
		tb.now = earlier(tb.now.Add(tb.o.timing.scan), end)
		for _, id := range alive {
			for i := range tb.snap.Rows {
				if r := &tb.snap.Rows[i]; r.Reader() == id {
					r.Counter++
				}
			}
			for i := range tb.snap.Workers {
				if w := &tb.snap.Workers[i]; w.ID == id {
					w.Updated = tb.now
				}
			}
		}
		tb.o.observe(tb.now, &tb.snap)
	}
}

// plan returns the moves decided, and makes them.
func (tb *table) plan(maxLeases int) []move {
	moves := planMoves(tb.now, tb.o, &tb.snap, planBounds{leases: maxLeases, threshold: 0.1})
	for _, m := range moves {
		for i := range tb.snap.Rows {
			if r := &tb.snap.Rows[i]; r.Key == m.write.Key() {
				next, err := m.write.Apply(r)
				if err != nil {
					tb.t.Fatal(err)
				}
				*r = *next
			}
		}
	}
	return moves
}

func (tb *table) counts() map[string]int {
	out := make(map[string]int)
	for _, r := range tb.snap.Rows {
		if !r.Finished() {
			out[r.Owner]++
		}
	}
	return out
}

func TestPlanSpreadsFreeLeases(t *testing.T) {
	t.Parallel()
	tests := []struct {
		workers, leases, max int
		want                 string
	}{
		{3, 8, 100, "map[w0:3 w1:3 w2:2]"},
		{3, 2, 100, "map[w0:1 w1:1]"},
		{1, 5, 100, "map[w0:5]"},
		{2, 5, 2, "map[:1 w0:2 w1:2]"},
	}
	for _, tt := range tests {
		tb := newTable(t, []string{"w0", "w1", "w2"}[:tt.workers]...)
		tb.rows("", tt.leases)
		tb.look(time.Second)
		tb.plan(tt.max)
		if got := fmt.Sprint(tb.counts()); got != tt.want {
			t.Errorf("%d leases on %d workers: %s, want %s", tt.leases, tt.workers, got, tt.want)
		}
	}
}

// From any distribution a plan leads to counts that differ by at most one, by as
// few moves as that takes, and then to nothing.
func TestPlanBalancesWithTheFewestMoves(t *testing.T) {
	t.Parallel()
	for a := range 7 {
		for b := range 7 {
			for c := range 7 {
				tb := newTable(t, "a", "b", "c")
				tb.rows("a", a)
				tb.rows("b", b)
				tb.rows("c", c)
				tb.look(5*time.Second, "a", "b", "c")
				moves := tb.plan(100)
				n := a + b + c
				low, extra := n/3, n%3
				best := 0 // leases above a count of low+1 for as many as may have it, else low
				for _, have := range sortedDown(a, b, c) {
					want := low
					if extra > 0 {
						want, extra = low+1, extra-1
					}
					best += max(0, have-want)
				}
				if len(moves) != best {
					t.Errorf("%d/%d/%d: %d moves, want %d", a, b, c, len(moves), best)
				}
				for _, m := range moves {
					if m.write.Op != Handoff {
						t.Errorf("%d/%d/%d: %v of a live lease, want a handover", a, b, c, m.write.Op)
					}
				}
				tb.look(time.Second, "a", "b", "c")
				if again := tb.plan(100); len(again) > 0 {
					t.Errorf("%d/%d/%d: %d moves after the moves", a, b, c, len(again))
				}
			}
		}
	}
}

func sortedDown(n ...int) []int {
	for i := range n {
		for j := range i {
			if n[i] > n[j] {
				n[i], n[j] = n[j], n[i]
			}
		}
	}
	return n
}

func TestPlanTakesWhatIsNotRenewed(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "b")
	tb.rows("a", 2)
	tb.rows("b", 2)
	tb.look(20*time.Second, "a", "b")
	tb.look(10*time.Second, "a")
	if moves := tb.plan(100); len(moves) > 0 {
		t.Fatalf("%d moves when b has been silent for the failover time", len(moves))
	}
	tb.look(time.Millisecond, "a")
	moves := tb.plan(100)
	if len(moves) != 2 || moves[0].write.Op != Take || moves[0].write.Owner != "a" || moves[0].from != "b" {
		t.Fatalf("moves %+v, want two leases taken from b for a", moves)
	}
	// The dead worker's row stays fresh for a minute; it gets nothing.
	tb.look(50*time.Second, "a")
	if moves := tb.plan(100); len(moves) > 0 {
		t.Errorf("moves %+v to a dead worker", moves)
	}
	// It comes back.
	tb.look(time.Second, "a", "b")
	if moves := tb.plan(100); len(moves) != 2 || moves[0].write.Owner != "b" {
		t.Errorf("moves %+v, want two leases for b, which is back", moves)
	}
}

func TestBlindTimeDoesNotCount(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "b")
	tb.rows("a", 2)
	tb.rows("b", 2)
	tb.look(20*time.Second, "a", "b")
	tb.now = tb.now.Add(5 * time.Minute) // the table could not be read, nor written by anyone
	tb.o.observe(tb.now, &tb.snap)
	if moves := tb.plan(100); len(moves) > 0 {
		t.Errorf("%d moves right after an outage", len(moves))
	}
	tb.look(time.Second, "a", "b")
	tb.now = tb.now.Add(30 * time.Second)
	tb.o.observe(tb.now, &tb.snap)
	tb.look(time.Second, "a") // is back before b is
	if moves := tb.plan(100); len(moves) > 0 {
		t.Errorf("%d moves after an outage that everybody survived", len(moves))
	}
}

func TestOldWorkerRowsGetNothing(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "gone", "skewed")
	tb.snap.Workers[1].Updated = tb.now.Add(-2 * time.Minute)
	tb.snap.Workers[2].Updated = tb.now.Add(-time.Hour) // its clock is wrong
	tb.rows("", 6)
	tb.look(time.Second)
	tb.plan(100)
	if got := fmt.Sprint(tb.counts()); got != "map[a:6]" {
		t.Errorf("%s, want all on a", got)
	}
	tb.look(time.Second, "a")
	tb.snap.Workers[2].Updated = tb.snap.Workers[2].Updated.Add(30 * time.Second)
	tb.look(time.Second, "a")
	tb.plan(100)
	if got := tb.counts()["skewed"]; got != 3 {
		t.Errorf("the worker whose clock is wrong has %d leases once its row has changed, want 3", got)
	}
}

// A worker of the KCL may need longer than the failover time to discover a lease.
func TestJavaWorkersGetTimeToDiscover(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "go", "java")
	tb.snap.Workers[1].Properties = nil
	tb.rows("go", 1)
	tb.look(10*time.Second, "go")
	tb.rows("", 1)
	tb.look(time.Second, "go")
	tb.plan(100)
	tb.look(19*time.Second, "go")
	if moves := tb.plan(100); len(moves) > 0 {
		t.Errorf("taken back after 19 s: %+v", moves)
	}
	tb.look(5*time.Second, "go")
	if moves := tb.plan(100); len(moves) != 1 {
		t.Errorf("%d moves after 24 s, want 1", len(moves))
	}
}

func TestStuckHandoverIsForced(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "b")
	r := tb.row("b")
	r.Leaving = "a"
	tb.look(39*time.Second, "a", "b")
	if moves := tb.plan(100); len(moves) > 0 {
		t.Fatalf("moves %+v while the handover may still end", moves)
	}
	tb.look(2*time.Second, "a", "b")
	if moves := tb.plan(100); len(moves) != 1 || moves[0].write.Op != Assign || moves[0].write.Owner != "b" {
		t.Errorf("moves %+v, want the lease assigned to b", moves)
	}
}

func TestFinishedLeasesCountForNothing(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "b")
	for range 4 {
		tb.row("a").Checkpoint = checkpoint.ShardEnd
	}
	tb.rows("a", 1)
	tb.rows("b", 1)
	tb.row("").Checkpoint = checkpoint.ShardEnd
	tb.look(5*time.Second, "b")
	tb.look(time.Minute, "a", "b")
	if moves := tb.plan(2); len(moves) > 0 {
		t.Errorf("moves %+v", moves)
	}
}

func TestLockExpiresHoweverOftenItIsRead(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "leader")
	tb.snap.Lock = Lock{Owner: "dead", Version: "v1", Duration: 9 * time.Second}
	tb.look(5 * time.Second)
	for range 100 {
		tb.now = tb.now.Add(50 * time.Millisecond)
		tb.o.observe(tb.now, &tb.snap)
	}
	if !tb.o.lockFree(tb.now) {
		t.Error("a lock of 9 s is not free after 10 s of reading it")
	}
	tb.snap.Lock.Version = "v2"
	tb.o.observe(tb.now, &tb.snap)
	if tb.o.lockFree(tb.now) {
		t.Error("a lock renewed just now is free")
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	run, rival, others := newRun("me", time.Now()), newRun("me", time.Now()), newRun("other", time.Now())
	seen := Row{Key: "s", Owner: "me", Counter: 5, Checkpoint: checkpoint.At("10"), Run: run}
	with := func(change func(*Row)) *Row {
		r := seen.Clone()
		change(&r)
		return &r
	}
	renew := Write{Op: Renew, Seen: seen}
	store := Write{Op: Checkpoint, Seen: seen, Checkpoint: checkpoint.At("20")}
	leavingSeen := seen
	leavingSeen.Owner, leavingSeen.Leaving = "other", "me"
	tests := []struct {
		name string
		w    Write
		cur  *Row
		want settlement
	}{
		{"deleted", renew, nil, rowLost},
		{"unchanged", renew, with(func(*Row) {}), rowOurs},
		{"our renewal was made", renew, with(func(r *Row) { r.Counter = 6 }), writeMade},
		{"our checkpoint was made", store, with(func(r *Row) { r.Counter, r.Checkpoint = 6, checkpoint.At("20") }), writeMade},
		{"an earlier renewal of ours was made", store, with(func(r *Row) { r.Counter = 6 }), rowOurs},
		{"a handover has begun", renew, with(func(r *Row) { r.Owner, r.Leaving = "other", "me" }), rowOurs},
		{"our renewal was made and a handover has begun", renew, with(func(r *Row) { r.Owner, r.Leaving, r.Counter = "other", "me", 6 }), rowOurs},
		{"somebody renews under our name", renew, with(func(r *Row) { r.Counter = 7 }), rowLost},
		{"another run renews under our name", renew, with(func(r *Row) { r.Counter, r.Run = 6, rival }), rowRival},
		{"another run has been handing over under our name", renew, with(func(r *Row) { r.Owner, r.Leaving, r.Run = "other", "me", rival }), rowRival},
		{"taken and given back", renew, with(func(r *Row) { r.Counter, r.Run = 9, others }), rowLost},
		{"deleted, made again and given to us", renew, with(func(r *Row) { r.Counter, r.Run = 1, "" }), rowLost},
		{"taken", renew, with(func(r *Row) { r.Owner, r.Counter = "other", 6 }), rowLost},
		{"released", renew, with(func(r *Row) { r.Owner, r.Counter = "", 6 }), rowLost},
		{"the handover ended", Write{Op: Renew, Seen: leavingSeen}, with(func(r *Row) { r.Owner, r.Counter = "other", 6 }), rowLost},
		{"the handover was turned round", Write{Op: Renew, Seen: leavingSeen}, with(func(r *Row) { r.Counter = 7 }), rowLost},
		{"our release was made", Write{Op: Release, Seen: seen}, with(func(r *Row) { r.Owner, r.Counter = "", 6 }), writeMade},
		{"our deletion was made", Write{Op: Delete, Seen: seen}, nil, writeMade},
	}
	for _, tt := range tests {
		if got := settle(tt.w, "me", run, tt.cur); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
