package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/internal/sim"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// A simulation is a fleet with a schedule of what goes wrong, all of it made
// from a seed: workers crash, pause, leave and join, the leader is killed, shards
// split and merge, calls fail, are throttled, take long and lose their answers,
// workers are cut off and their clocks run wrong. After the chaos everything
// heals, and the fleet must come to rest; then shards split and a worker leaves
// once more, and bounds are held to the second. A truth judges every step.
type simulation struct {
	*fleet
	truth  *truth
	rnd    *rand.Rand // of the schedule alone
	seed   uint64
	faulty bool // guarded by fleet.mu, as is what follows
	bad    map[string]trouble
	born   int
	phases *phased // nil: KCL 3 for ever
}

// A trouble is what one worker's calls suffer until a moment.
type trouble struct {
	until time.Time
	part  float64 // of the calls
	err   error
}

var errThrottled = errors.New("test: throttled")

// simulate runs the simulation of a seed in the bubble of its caller.
func simulate(t *testing.T, seed uint64) (trace []string) {
	store, closed := simStore(t, seed)
	defer closed()
	return simulateOn(t, seed, store)
}

func simulateOn(t *testing.T, seed uint64, store lease.Store) (trace []string) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	truth := newTruth(store, func(invariant, format string, args ...any) {
		t.Errorf("%s violated at %s: %s", invariant, time.Now().Format("04:05.000"), fmt.Sprintf(format, args...))
	})
	stream := newStream(1 + rnd.IntN(24))
	if seed%4 == 2 {
		stream = newStreams(2+int(seed%3), 1+len(stream.shards)/3)
	}
	s := &simulation{
		fleet: newFleet(t, truth, stream), truth: truth,
		rnd: rnd, seed: seed, faulty: seed%10 != 0, bad: make(map[string]trouble),
	}
	s.held = s.deliver
	if s.phases, _ = store.(*phased); s.phases != nil {
		s.steals, s.truth.steals = true, true
		s.phases.draw(s.rnd)
	}
	s.truth.open(s.pace(), s.stream.shards...)
	s.tick = time.Duration(1+rnd.IntN(15)) * time.Second
	foreign := s.addForeign()
	for range 1 + rnd.IntN(6) {
		s.join()
	}
	for end := time.Now().Add(6 * time.Minute); time.Now().Before(end); {
		time.Sleep(time.Duration(1+rnd.IntN(20000)) * time.Millisecond)
		s.disturb()
	}
	s.heal()
	time.Sleep(2*time.Minute + s.tick)
	s.checkRest()
	s.checkReshard()
	s.checkLeave()
	s.truth.atRest(s.tick + 5*time.Second)
	trace = s.trace()
	s.end()
	s.checkEnd(foreign)
	return trace
}

// simStore returns the store of a simulation: one seed in twenty runs on a table of
// an embedded DynamoDB, through the real client.
func simStore(t *testing.T, seed uint64) (store lease.Store, closed func()) {
	if seed%20 != 13 {
		return lease.NewMemoryStore(), func() {}
	}
	srv := kinesistest.NewServer()
	store, err := dynamo.New(dynamodb.NewFromConfig(srv.Config()), "app", func(o *dynamo.Options) {
		o.Version = dynamo.Version3X // the row of another application has an owner like one of KCL 2.x
	})
	if err == nil {
		err = store.Open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return store, srv.Close
}

// pace returns how far apart the records of a new shard are. One seed in five has
// so few that the fleet is often at rest.
func (s *simulation) pace() time.Duration {
	pace := time.Duration(500+s.rnd.IntN(3000)) * time.Millisecond
	if s.quiet() {
		pace *= 60
	}
	return pace
}

func (s *simulation) quiet() bool { return s.seed%5 == 4 }

// addForeign adds a row of another kind of application: of many streams beside one
// of one, and the other way round.
func (s *simulation) addForeign() lease.Row {
	foreign := lease.Row{
		Key: "1:other:2:shardId-000000000000", Stream: "1:other:2", Shard: shardID(0), Owner: "somebody", Checkpoint: checkpoint.At("9"),
	}
	if s.stream.ids != nil {
		foreign.Key, foreign.Stream = foreign.Shard, ""
	}
	row, err := s.truth.inner.Write(s.t.Context(), lease.Write{Op: lease.Create, Row: foreign})
	if err != nil {
		s.t.Fatal(err)
	}
	return row
}

// deliver hands the records of a shard to its handler, which takes its time, and
// stores how far it got after every page.
func (s *simulation) deliver(w *worker, fetch, work context.Context, h *lease.Held) error {
	shard := h.Shard().ID
	drop, ok := s.take(w, work, h)
	if !ok {
		return nil
	}
	defer drop()
	next := simIndex(h.Position())
	for {
		s.truth.mu.Lock()
		data := s.truth.data[shard]
		n, closed := data.records(time.Now()), !data.closed.IsZero()
		s.truth.mu.Unlock()
		from := next
		for next < min(n, from+50) && fetch.Err() == nil {
			if h.Err() != nil || s.isCrashed(w) {
				return context.Cause(work)
			}
			next++
			s.truth.begin(w.id, shard, next, w.failover)
			time.Sleep(time.Duration(pace.Hash(w.id, "handle", shard, uint64(next)) % uint64(30*time.Millisecond)))
			if s.isCrashed(w) {
				return nil
			}
			s.truth.end(shard, next)
			h.Observe(1024)
		}
		if next > from {
			if err := h.Checkpoint(work, simPosition(next)); errors.Is(err, lease.ErrLost) {
				return err
			}
		}
		if closed && next == n && fetch.Err() == nil {
			children, _ := s.stream.Children(work, h.Stream(), shard)
			if err := h.Finish(work, children); err == nil || errors.Is(err, lease.ErrLost) {
				return err
			}
		}
		pause := time.NewTimer(s.pollOf(n - next))
		select {
		case <-fetch.Done():
		case <-pause.C:
		}
		pause.Stop()
		if fetch.Err() != nil {
			return nil
		}
	}
}

// pollOf returns the pause before the next page, given how many records wait.
func (s *simulation) pollOf(waiting int) time.Duration {
	if waiting > 0 {
		return 200 * time.Millisecond
	}
	return min(s.tick, time.Second)
}

func (s *simulation) isCrashed(w *worker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.crashed
}

// trace returns what happened, sorted: the order within a millisecond is that of
// goroutines that end together.
func (s *simulation) trace() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := append(slices.Clone(s.lines), s.truth.String())
	return slices.Sorted(slices.Values(lines))
}

// join starts a worker whose calls fail by chance and whose clock runs up to 2 %
// wrong, which is as if it used another failover time.
func (s *simulation) join() *worker {
	s.born++
	drift := failover * time.Duration(980+s.rnd.IntN(41)) / 1000
	if s.seed%10 == 0 {
		drift = failover
	}
	w := s.start(fmt.Sprintf("w%d", s.born), func(o *lease.Options) { o.FailoverTime = drift })
	who := fmt.Sprint(w.id, s.seed)
	rates := [3]float64{s.rnd.Float64() * 0.05, s.rnd.Float64() * 0.05, s.rnd.Float64() * 0.05}
	w.store.faults(func(c storeCall) (error, bool) {
		bad, faulty := s.trouble(w.id)
		switch {
		case !faulty:
			return nil, false
		case bad.err != nil && c.chance(who, "trouble") < bad.part:
			return bad.err, false
		case c.chance(who, "fail") < rates[0]:
			return errCut, false
		}
		return nil, c.chance(who, "lose") < rates[1]
	}, func(c storeCall) time.Duration {
		if _, faulty := s.trouble(w.id); !faulty || c.chance(who, "slow") > rates[2] {
			return 0
		}
		return time.Duration(c.chance(who, "delay") * float64(3*time.Second))
	})
	return w
}

// trouble returns what a worker's calls suffer at the moment.
func (s *simulation) trouble(id string) (bad trouble, faulty bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad = s.bad[id]; !time.Now().Before(bad.until) {
		bad = trouble{}
	}
	return bad, s.faulty
}

func (s *simulation) alive() []string {
	var ids []string
	for id := range s.workers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (s *simulation) disturb() {
	if s.phases != nil && s.rnd.IntN(4) == 0 {
		s.note("the phase becomes " + s.phases.draw(s.rnd))
	}
	alive := s.alive()
	pick := func() *worker { return s.workers[alive[s.rnd.IntN(len(alive))]] }
	n := s.rnd.IntN(14)
	if s.seed%10 == 0 {
		n = 12 // a calm seed has nothing but reshards
	}
	switch {
	case n < 2 && len(alive) > 1:
		s.kill(pick())
	case n < 3 && len(alive) > 1:
		s.note("a worker leaves")
		w := pick()
		s.leave(w)
		s.checkGone(w)
	case n < 5 && len(alive) < 6:
		s.note("a worker joins")
		s.join()
	case n < 7:
		w := pick()
		s.note(w.id + " pauses")
		w.store.pause()
		time.Sleep(time.Duration(s.rnd.IntN(25000)) * time.Millisecond)
		s.note(w.id + " resumes")
		w.store.resume()
	case n < 8 && len(alive) > 1:
		if w := s.workers[s.leader()]; w != nil {
			s.note("the leader is killed")
			s.kill(w)
		}
	case n < 9:
		s.suffer(trouble{part: 1, err: errCut}, pick().id)
	case n < 11:
		s.suffer(trouble{part: s.rnd.Float64(), err: errThrottled}, alive...)
	default:
		s.reshard()
	}
}

// kill crashes a worker and starts another.
func (s *simulation) kill(w *worker) {
	s.crash(w)
	s.join()
	delete(s.workers, w.id)
}

func (s *simulation) leader() string {
	lock, _ := s.truth.inner.Lock(s.t.Context())
	return lock.Owner
}

// suffer gives trouble to workers for up to 30 seconds.
func (s *simulation) suffer(bad trouble, ids ...string) {
	bad.until = time.Now().Add(time.Duration(s.rnd.IntN(30000)) * time.Millisecond)
	s.note(fmt.Sprintf("%v for %.0f %% of the calls of %v until %s", bad.err, bad.part*100, ids, bad.until.Format("04:05.000")))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.bad[id] = bad
	}
}

func (s *simulation) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logf("%s", what)
}

// reshard splits a shard or merges two neighbours, also ones not yet read, and
// returns the shards that end.
func (s *simulation) reshard() (parents []string) {
	var of lease.Stream
	if s.stream.ids != nil {
		of.ID = s.stream.ids[s.rnd.IntN(len(s.stream.ids))]
	}
	open, _ := s.stream.Shards(s.t.Context(), of, lease.ShardsAt{Kind: lease.ShardsAtLatest})
	open = slices.Clone(open)
	slices.SortFunc(open, func(a, b lease.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	i := s.rnd.IntN(len(open))
	if i+1 < len(open) && (s.rnd.IntN(2) == 0 || len(open) > 24) {
		s.note("merge " + open[i].ID + " " + open[i+1].ID)
		s.truth.open(s.pace(), s.stream.merge(open[i].ID, open[i+1].ID))
		return []string{open[i].ID, open[i+1].ID}
	}
	s.note("split " + open[i].ID)
	s.truth.open(s.pace(), s.stream.split(open[i].ID)...)
	return []string{open[i].ID}
}

func (s *simulation) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faulty = false
	s.logf("heal")
	if s.phases != nil {
		s.phases.set(lease.Phase{Name: "3"})
	}
}

// checkRest checks the fleet after it had time to come to rest: L1, L3 and L5.
func (s *simulation) checkRest() {
	s.checkShared()
	if s.workers[s.leader()] == nil {
		s.t.Errorf("L3 violated: the leader is %q, alive are %v", s.leader(), s.alive())
	}
	moves := s.moved()
	time.Sleep(2 * time.Minute)
	if n := s.moved() - moves; n > 0 {
		s.t.Errorf("L5 violated: %d moves in a fleet at rest", n)
	}
}

// checkShared checks that every open shard is held and that all have their part.
func (s *simulation) checkShared() {
	open, _ := s.stream.Shards(s.t.Context(), lease.Stream{}, lease.ShardsAt{Kind: lease.ShardsAtLatest})
	counts := s.counts()
	if got := sum(counts); got != len(open) {
		s.t.Errorf("L1 violated: %d shards are held, %d are open", got, len(open))
	}
	low, high := len(open), 0
	for _, id := range s.alive() {
		low, high = min(low, counts[id]), max(high, counts[id])
	}
	if high-low > 1 {
		s.t.Errorf("L5 violated: the shards are shared unevenly: %v", counts)
	}
}

// checkReshard checks that children are held within two seconds of the end of
// their parents: L4.
func (s *simulation) checkReshard() {
	parents := s.reshard()
	var ended time.Time
	for deadline := time.Now().Add(s.tick + 10*time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		ended = time.Time{}
		stored := 0
		for _, p := range parents {
			if at := s.truth.endOf(p); !at.IsZero() {
				stored++
				if at.After(ended) {
					ended = at
				}
			}
		}
		if stored == len(parents) {
			break
		}
	}
	if ended.IsZero() {
		s.t.Errorf("L4 violated: %v have not ended", parents)
		return
	}
	time.Sleep(time.Until(ended.Add(2 * time.Second)))
	s.mu.Lock()
	for _, child := range s.stream.children(parents[0]) {
		if s.begun[child.ID] == 0 {
			s.t.Errorf("L4 violated: %s is not held 2 s after %v ended", child.ID, parents)
		}
	}
	s.mu.Unlock()
	time.Sleep(30 * time.Second)
}

// checkLeave checks that the shards of a worker that leaves are held by others
// within a second of its end, a few if nothing flows, and that nothing is delivered
// again: L11.
func (s *simulation) checkLeave() {
	alive := s.alive()
	if len(alive) < 2 {
		return
	}
	_, repeated := s.truth.counts()
	w := s.workers[alive[s.rnd.IntN(len(alive))]]
	begun := make(map[string]int) // its shards, and how often they have been held
	s.mu.Lock()
	for shard, id := range s.holders {
		if id == w.id {
			begun[shard] = s.begun[shard]
		}
	}
	s.mu.Unlock()
	s.note(w.id + " leaves at rest")
	s.leave(w)
	s.checkGone(w)
	bound := time.Second
	if s.quiet() {
		bound *= 4
	}
	time.Sleep(bound)
	s.mu.Lock()
	for shard, n := range begun {
		if s.begun[shard] == n {
			s.t.Errorf("L11 violated: %s is not held %v after %s left", shard, bound, w.id)
		}
	}
	s.mu.Unlock()
	time.Sleep(20 * time.Second)
	if _, again := s.truth.counts(); again != repeated {
		s.t.Errorf("L11 violated: %d records were delivered again after %s left", again-repeated, w.id)
	}
}

// checkGone checks what is left of a worker that has stopped: S13.
func (s *simulation) checkGone(w *worker) {
	if n := s.counts()[w.id]; n > 0 {
		s.t.Errorf("S13 violated: %s has stopped and works on %d shards", w.id, n)
	}
	_, faulty := s.trouble(w.id)
	snap, _ := s.truth.inner.Snapshot(s.t.Context())
	for _, r := range snap.Rows {
		if r.Reader() == w.id && !faulty && !r.Finished() {
			s.t.Errorf("S13 violated: %s has stopped and %s is in its name", w.id, r.Key)
		}
	}
}

// checkEnd checks what is left after all workers have stopped.
func (s *simulation) checkEnd(foreign lease.Row) {
	row, err := s.truth.inner.Row(s.t.Context(), foreign.Key)
	if err != nil || !row.Equal(foreign) {
		s.t.Errorf("S14 violated: the row of another stream is %+v, %v", row, err)
	}
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	sim.Run(t, 8, func(t *testing.T, seed sim.Seed) { simulate(t, uint64(seed)) })
}

func TestSimulationRepeatsItself(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 2; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			var a, b []string
			synctest.Test(t, func(t *testing.T) { a = simulate(t, seed) })
			synctest.Test(t, func(t *testing.T) { b = simulate(t, seed) })
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Fatalf("line %d differs:\n%s\n%s", i, a[i], b[i])
				}
			}
			if len(a) != len(b) {
				t.Fatalf("%d lines, then %d", len(a), len(b))
			}
			t.Logf("the trace has %d lines and the hash %016x", len(a), pace.Hash(strings.Join(a, "\n"), "", "", 0))
		})
	}
}

// Whoever dies, and whenever: its shards are held by others within one and a half
// failover times.
func TestTakeOverIsQuickWhoeverDiesAndWhenever(t *testing.T) {
	t.Parallel()
	var worst time.Duration
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			shards, workers := 1+rnd.IntN(16), 2+rnd.IntN(4)
			f := newFleet(t, lease.NewMemoryStore(), newStream(shards))
			defer f.end()
			for i := range workers {
				f.start(fmt.Sprintf("w%d", i))
			}
			time.Sleep(30*time.Second + time.Duration(rnd.IntN(30000))*time.Millisecond)
			victim := f.workers[fmt.Sprintf("w%d", rnd.IntN(workers))]
			f.crash(victim)
			crashed := time.Now()
			delete(f.workers, victim.id)
			for sum(f.counts()) < shards && time.Since(crashed) < time.Minute {
				time.Sleep(10 * time.Millisecond)
			}
			took := time.Since(crashed)
			worst = max(worst, took)
			if took > failover*3/2 {
				t.Errorf("seed %d: %s of %d workers died, taken over after %v", seed, victim.id, workers, took)
			}
		})
	}
	t.Logf("the longest took %v", worst)
}
