package leasetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

// TestStore tests that a store does what [lease.Store] says. NewStore returns an
// empty store that nothing else uses; it is called once per subtest, and Open is
// called on what it returns.
func TestStore(t *testing.T, newStore func(t *testing.T) lease.Store) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, s lease.Store)
	}{
		{"every operation does what Apply says", testOperations},
		{"random writes do what Apply says", testRandomWrites},
		{"a row that is not there", testMissing},
		{"rows share nothing with the store", testSharing},
		{"a snapshot holds everything", testSnapshot},
		{"owned follows the owner", testOwned},
		{"one of many racing writers wins", testRace},
		{"a write repeated after a lost answer shows itself", testLostAnswer},
		{"the lock changes hands by its version", testLock},
		{"worker rows", testWorkers},
		{"a context that has ended changes nothing", testContext},
		{"a phase is given", testPhase},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t)
			if err := s.Open(t.Context()); err != nil {
				t.Fatalf("Open() = %v", err)
			}
			if err := s.Open(t.Context()); err != nil {
				t.Fatalf("Open() of an open store = %v", err)
			}
			tt.run(t, s)
		})
	}
}

// at returns a position, as the At of a Pending.
func at(sequence string, sub int64) lease.Pending {
	var p lease.Pending
	p.At.SequenceNumber, p.At.SubSequenceNumber = sequence, sub
	return p
}

func key(n int) string { return fmt.Sprintf("shardId-%012d", n) }

func hashRange(t *testing.T, start, end string) *lease.HashRange {
	t.Helper()
	r, err := lease.ParseHashRange(start, end)
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

// newRow returns a row to create.
func newRow(t *testing.T, n int) lease.Row {
	return lease.Row{
		Key: key(n), Shard: key(n), Checkpoint: at("TRIM_HORIZON", 0).At,
		Range: hashRange(t, "0", "170141183460469231731687303715884105727"),
	}
}

// mustWrite makes a write that must succeed.
func mustWrite(t *testing.T, s lease.Store, w lease.Write) lease.Row {
	t.Helper()
	row, err := s.Write(t.Context(), w)
	if err != nil {
		t.Fatalf("%v of %q: %v", w.Op, w.Key(), err)
	}
	return row
}

// owned creates a row and gives it to a worker.
func owned(t *testing.T, s lease.Store, n int, worker string) lease.Row {
	t.Helper()
	row := mustWrite(t, s, lease.Write{Op: lease.Create, Row: newRow(t, n)})
	return mustWrite(t, s, lease.Write{Op: lease.Assign, Seen: row, Owner: worker})
}

// check makes w and compares what the store does with what Apply says, given the
// row as it is. It returns the row as it is then.
func check(t *testing.T, s lease.Store, cur *lease.Row, w lease.Write) *lease.Row {
	t.Helper()
	want, wantErr := w.Apply(cur)
	got, err := s.Write(t.Context(), w)
	var refused, conflict *lease.ConflictError
	switch {
	case errors.As(wantErr, &refused):
		if !errors.As(err, &conflict) {
			t.Fatalf("%v seen %+v of %+v = %v, want a *ConflictError", w.Op, w.Seen, cur, err)
		}
		if !same(conflict.Current, cur) {
			t.Fatalf("%v: ConflictError.Current = %+v, want %+v", w.Op, conflict.Current, cur)
		}
		want = cur
	case wantErr != nil:
		if err == nil {
			t.Fatalf("%v = nil, want an error: %v", w.Op, wantErr)
		}
		want = cur
	case err != nil:
		t.Fatalf("%v seen %+v of %+v = %v, want none", w.Op, w.Seen, cur, err)
	case want == nil:
		if !got.Equal(lease.Row{}) {
			t.Fatalf("%v returned %+v, want the zero row", w.Op, got)
		}
	case !got.Equal(*want):
		t.Fatalf("%v of %+v\n returned %+v\n     want %+v", w.Op, cur, got, *want)
	}
	stored, err := s.Row(t.Context(), w.Key())
	switch {
	case want == nil:
		if !errors.Is(err, lease.ErrNotFound) {
			t.Fatalf("after %v Row() = %v, want ErrNotFound", w.Op, err)
		}
	case err != nil:
		t.Fatalf("after %v Row() = %v", w.Op, err)
	case !stored.Equal(*want):
		t.Fatalf("after %v Row() = %+v\n want %+v", w.Op, stored, *want)
	}
	return want
}

func same(a, b *lease.Row) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// life returns the writes of a row from its first owner to its end, each made of
// the row as its writer saw it.
func life(t *testing.T) []func(r lease.Row) lease.Write {
	rate := 1.623668
	pending := at("49590338271490256608559692538361571095921575989136588898", 7)
	pending.State = []byte{0, 1, 255}
	return []func(r lease.Row) lease.Write{
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Assign, Seen: r, Owner: "a"}.Explained(time.UnixMilli(1752500000000), lease.ReasonFree)
		},
		func(r lease.Row) lease.Write { return lease.Write{Op: lease.Renew, Seen: r} },
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Renew, Seen: r, Throughput: &rate, Run: "18c-1", Since: time.UnixMilli(1752500000123).UTC(), ReadTo: time.UnixMilli(1752500000456).UTC()}
		},
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Prepare, Seen: r, Pending: &pending, Run: "18c-3"}
		},
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Handoff, Seen: r, Owner: "b"}.Explained(time.UnixMilli(1752500000001), lease.ReasonCount)
		},
		func(r lease.Row) lease.Write { return lease.Write{Op: lease.Renew, Seen: r} },
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Checkpoint, Seen: r, Checkpoint: pending.At, Throughput: &rate, Run: "18c-2", ReadTo: time.UnixMilli(1752500000789).UTC()}
		},
		func(r lease.Row) lease.Write { return lease.Write{Op: lease.Release, Seen: r} },
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Take, Seen: r, Owner: "c"}.Explained(time.UnixMilli(1752500000002), lease.ReasonExpired)
		},
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.SetRange, Seen: r, Range: hashRange(t, "5", "340282366920938463463374607431768211455")}
		},
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Rewind, Seen: r, Checkpoint: at("LATEST", 0).At}
		},
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Release, Seen: r, Owner: "d"}.Explained(time.UnixMilli(1752500000003), lease.ReasonStopping)
		},
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.SetChildren, Seen: r, Children: []string{key(2)}}
		},
		func(r lease.Row) lease.Write {
			return lease.Write{Op: lease.Checkpoint, Seen: r, Checkpoint: at("SHARD_END", 0).At, Children: []string{key(2), key(3)}}
		},
		func(r lease.Row) lease.Write { return lease.Write{Op: lease.Release, Seen: r} },
		func(r lease.Row) lease.Write { return lease.Write{Op: lease.Delete, Seen: r} },
	}
}

func testOperations(t *testing.T, s lease.Store) {
	first := newRow(t, 1)
	first.Parents = []string{key(0), key(9)}
	cur := check(t, s, nil, lease.Write{Op: lease.Create, Row: first})
	check(t, s, cur, lease.Write{Op: lease.Create, Row: first})
	for _, step := range life(t) {
		// Three views that are wrong, then the right one.
		for _, spoil := range []func(r *lease.Row){
			func(r *lease.Row) { r.Counter-- },
			func(r *lease.Row) { r.Owner += "x" },
			func(r *lease.Row) { r.Leaving += "x" },
			func(*lease.Row) {},
		} {
			seen := cur.Clone()
			spoil(&seen)
			w := step(seen)
			if next, err := w.Apply(cur); err == nil && seen.Equal(*cur) {
				check(t, s, cur, w)
				cur = next
				break
			} else if err != nil {
				check(t, s, cur, w)
			}
		}
	}
	if cur != nil {
		t.Fatalf("the row is still there: %+v", cur)
	}
	check(t, s, nil, lease.Write{Op: lease.Delete, Seen: first})
	check(t, s, nil, lease.Write{Op: lease.Renew, Seen: first})
	check(t, s, nil, lease.Write{Op: lease.SetRange, Seen: first, Range: first.Range})
}

func testRandomWrites(t *testing.T, s lease.Store) {
	rnd := rand.New(rand.NewPCG(1, 2))
	rows := make(map[string]*lease.Row)
	old := make(map[string]lease.Row) // a former state, for writers that lag
	for range 600 {
		k := key(rnd.IntN(3))
		cur := rows[k]
		w := randomWrite(t, rnd, k, cur, old[k])
		if w.Validate() != nil {
			continue
		}
		next := check(t, s, cur, w)
		if cur != nil && rnd.IntN(3) == 0 {
			old[k] = cur.Clone()
		}
		rows[k] = next
	}
}

// randomWrite returns a write of any kind by a writer who saw the row as it is,
// or as it was, or something else.
func randomWrite(t *testing.T, rnd *rand.Rand, k string, cur *lease.Row, old lease.Row) lease.Write {
	workers := []string{"", "a", "b", "c"}
	positions := []string{"TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END", "0", "49590338271490256608559692538361571095"}
	seen := old
	if cur != nil && rnd.IntN(4) > 0 {
		seen = cur.Clone()
	}
	switch rnd.IntN(12) {
	case 0:
		seen.Counter += int64(rnd.IntN(3)) - 1
	case 1:
		seen.Owner = workers[rnd.IntN(4)]
	case 2:
		seen.Leaving = workers[rnd.IntN(4)]
	}
	seen.Key = k
	row := newRow(t, 0)
	row.Key, row.Shard = k, k
	pending := at(positions[rnd.IntN(6)], int64(rnd.IntN(3)))
	if rnd.IntN(2) == 0 {
		pending.State = []byte("state")
	}
	rate := float64(rnd.IntN(1000000)) / 1000
	return lease.Write{
		Op: lease.Op(rnd.IntN(int(lease.Delete) + 1)), Seen: seen, Row: row, Owner: workers[rnd.IntN(4)],
		Checkpoint: at(positions[rnd.IntN(6)], int64(rnd.IntN(3))).At, Pending: &pending,
		Children: []string{key(7), key(8)}[:rnd.IntN(3)], Range: row.Range, Throughput: &rate,
	}
}

func testMissing(t *testing.T, s lease.Store) {
	if _, err := s.Row(t.Context(), key(1)); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Row() of nothing = %v, want ErrNotFound", err)
	}
	if snap, err := s.Snapshot(t.Context()); err != nil || len(snap.Rows)+len(snap.Workers)+len(snap.Bad) != 0 || snap.Lock != (lease.Lock{}) {
		t.Errorf("Snapshot() of an empty store = %+v, %v", snap, err)
	}
	if keys, err := s.Owned(t.Context(), "a"); err != nil || len(keys) != 0 {
		t.Errorf("Owned() of an empty store = %v, %v", keys, err)
	}
	if lock, err := s.Lock(t.Context()); err != nil || lock != (lease.Lock{}) {
		t.Errorf("Lock() of an empty store = %+v, %v", lock, err)
	}
}

func testSharing(t *testing.T, s lease.Store) {
	row := newRow(t, 1)
	row.Parents = []string{key(0)}
	want := row.Clone()
	got := mustWrite(t, s, lease.Write{Op: lease.Create, Row: row})
	for _, r := range []lease.Row{row, got} {
		r.Parents[0] = "changed"
		r.Range.Start = r.Range.End
	}
	read, err := s.Row(t.Context(), want.Key)
	if err != nil || !read.Equal(want) {
		t.Fatalf("Row() = %+v, %v, want %+v", read, err, want)
	}
	read.Parents[0] = "changed"
	if again, err := s.Row(t.Context(), want.Key); err != nil || !again.Equal(want) {
		t.Errorf("Row() = %+v, %v, want %+v", again, err, want)
	}
}

func testSnapshot(t *testing.T, s lease.Store) {
	const n = 150
	var want []lease.Row
	for i := range n {
		want = append(want, owned(t, s, i, fmt.Sprintf("worker-%d", i%7)))
	}
	lock := lease.Lock{Owner: "worker-0", Version: "v1", Duration: 9 * time.Second}
	if err := s.SwapLock(t.Context(), lease.Lock{}, lock); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := s.PutWorker(t.Context(), worker(i, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(snap.Rows, want, func(a, b lease.Row) bool { return a.Equal(b) }) {
		t.Errorf("Snapshot() has %d rows, want the %d written, sorted", len(snap.Rows), n)
	}
	if snap.Lock != lock {
		t.Errorf("Snapshot().Lock = %+v, want %+v", snap.Lock, lock)
	}
	if len(snap.Workers) != 3 || snap.Workers[0].ID != "worker-0" || snap.Workers[2].ID != "worker-2" {
		t.Errorf("Snapshot().Workers = %+v, want worker-0 to worker-2", snap.Workers)
	}
	if len(snap.Bad) != 0 {
		t.Errorf("Snapshot().Bad = %v", snap.Bad)
	}
}

func testOwned(t *testing.T, s lease.Store) {
	owned(t, s, 3, "a")
	row := owned(t, s, 1, "a")
	owned(t, s, 2, "b")
	expect := func(worker string, want ...string) {
		t.Helper()
		if got, err := s.Owned(t.Context(), worker); err != nil || !slices.Equal(got, want) {
			t.Errorf("Owned(%s) = %v, %v, want %v", worker, got, err, want)
		}
	}
	expect("a", key(1), key(3))
	expect("b", key(2))
	expect("c")
	row = mustWrite(t, s, lease.Write{Op: lease.Handoff, Seen: row, Owner: "b"})
	expect("a", key(3))
	expect("b", key(1), key(2))
	row = mustWrite(t, s, lease.Write{Op: lease.Release, Seen: row})
	expect("b", key(1), key(2))
	mustWrite(t, s, lease.Write{Op: lease.Release, Seen: row})
	expect("b", key(2))
}

func testRace(t *testing.T, s lease.Store) {
	const writers, rounds = 8, 10
	start := owned(t, s, 1, "a")
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range writers {
		wg.Go(func() {
			seen := start
			for range rounds {
				row, err := s.Write(t.Context(), lease.Write{Op: lease.Renew, Seen: seen})
				var conflict *lease.ConflictError
				switch {
				case err == nil:
					mu.Lock()
					made++
					mu.Unlock()
					seen = row
				case errors.As(err, &conflict) && conflict.Current != nil:
					seen = *conflict.Current
				default:
					t.Errorf("Write() = %v, want nil or a *ConflictError with the row", err)
				}
			}
		})
	}
	wg.Wait()
	row, err := s.Row(t.Context(), start.Key)
	if err != nil {
		t.Fatal(err)
	}
	if got := row.Counter - start.Counter; got != int64(made) || made == 0 {
		t.Errorf("%d writes succeeded, and the counter rose by %d", made, got)
	}
}

func testLostAnswer(t *testing.T, s lease.Store) {
	row := owned(t, s, 1, "a")
	w := lease.Write{Op: lease.Checkpoint, Seen: row, Checkpoint: at("17", 2).At}
	made := mustWrite(t, s, w)
	_, err := s.Write(t.Context(), w)
	var conflict *lease.ConflictError
	if !errors.As(err, &conflict) || conflict.Current == nil || !conflict.Current.Equal(made) {
		t.Errorf("the same write again = %v, want a *ConflictError with the row as the first left it", err)
	}
}

func testLock(t *testing.T, s lease.Store) {
	ctx := t.Context()
	mine := lease.Lock{Owner: "a", Version: "v1", Duration: 9 * time.Second}
	next := lease.Lock{Owner: "a", Version: "v2", Duration: 8 * time.Second}
	theirs := lease.Lock{Owner: "b", Version: "v3", Duration: time.Minute}
	steps := []struct {
		seen, next lease.Lock
		want       error
	}{
		{mine, next, lease.ErrLockMoved}, // there is none
		{lease.Lock{}, mine, nil},
		{lease.Lock{}, theirs, lease.ErrLockMoved},
		{mine, next, nil},
		{mine, theirs, lease.ErrLockMoved},
		{next, theirs, nil},
		{next, lease.Lock{}, lease.ErrLockMoved},
		{theirs, lease.Lock{}, nil},
		{lease.Lock{}, mine, nil},
	}
	cur := lease.Lock{}
	for i, st := range steps {
		err := s.SwapLock(ctx, st.seen, st.next)
		if !errors.Is(err, st.want) {
			t.Fatalf("step %d: SwapLock() = %v, want %v", i, err, st.want)
		}
		if st.want == nil {
			cur = st.next
		}
		if got, err := s.Lock(ctx); err != nil || got != cur {
			t.Fatalf("step %d: Lock() = %+v, %v, want %+v", i, got, err, cur)
		}
	}
}

func worker(n int, seconds int64) lease.Worker {
	return lease.Worker{
		ID: fmt.Sprintf("worker-%d", n), Updated: time.Unix(seconds, 0).UTC(),
		Metrics: map[string][]float64{"C": {12.5, 13.01, -1}}, Limits: map[string]float64{"C": 100},
		Support: 1, SupportUpdated: time.Unix(seconds, 0).UTC(), Properties: map[string]string{"library": "test"},
	}
}

func testWorkers(t *testing.T, s lease.Store) {
	ctx := t.Context()
	find := func() *lease.Worker {
		t.Helper()
		snap, err := s.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(snap.Workers) == 0 {
			return nil
		}
		return &snap.Workers[0]
	}
	first, second := worker(1, 1000), worker(1, 1030)
	for _, w := range []lease.Worker{first, second} {
		if err := s.PutWorker(ctx, w); err != nil {
			t.Fatal(err)
		}
	}
	got := find()
	if got == nil || fmt.Sprint(*got) != fmt.Sprint(second) {
		t.Fatalf("the worker's row is %+v, want %+v", got, second)
	}
	if err := s.DeleteWorker(ctx, first); err != nil || find() == nil {
		t.Errorf("DeleteWorker() of a row written since = %v, want nil and the row", err)
	}
	if err := s.DeleteWorker(ctx, second); err != nil || find() != nil {
		t.Errorf("DeleteWorker() = %v, want nil and no row", err)
	}
	if err := s.DeleteWorker(ctx, second); err != nil {
		t.Errorf("DeleteWorker() of no row = %v, want nil", err)
	}
	row := owned(t, s, 1, "a")
	clash := worker(1, 1000)
	clash.ID = row.Key
	if err := s.PutWorker(ctx, clash); !errors.Is(err, lease.ErrWorkerID) {
		t.Errorf("PutWorker() with the id of a lease = %v, want ErrWorkerID", err)
	}
	if now, err := s.Row(ctx, row.Key); err != nil || !now.Equal(row) {
		t.Errorf("the lease is %+v, %v after it, want %+v", now, err, row)
	}
}

func testContext(t *testing.T, s lease.Store) {
	row := owned(t, s, 1, "a")
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := s.Write(ctx, lease.Write{Op: lease.Renew, Seen: row}); err == nil {
		t.Error("Write() = nil, want an error")
	}
	if _, err := s.Snapshot(ctx); err == nil {
		t.Error("Snapshot() = nil, want an error")
	}
	if now, err := s.Row(t.Context(), row.Key); err != nil || !now.Equal(row) {
		t.Errorf("the row is %+v, %v, want %+v", now, err, row)
	}
}

func testPhase(t *testing.T, s lease.Store) {
	p, err := s.Phase(t.Context(), lease.Facts{Worker: "a"})
	if err != nil || p.Assign != lease.AssignByLeader || p.Elect != lease.ElectByLock || p.Again < 0 {
		t.Errorf("Phase() = %+v, %v", p, err)
	}
}
