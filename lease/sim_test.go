package lease_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run the simulation with this seed alone")
	simSeeds = flag.Uint64("sim.seeds", 16, "how many seeds to simulate")
)

// A simulation is a fleet with a schedule of what goes wrong, all of it made
// from a seed: workers crash, pause, leave and join, shards split and merge,
// calls fail, take long and lose their answers. After the chaos everything
// heals, and the fleet must come to rest.
type simulation struct {
	*fleet
	rnd    *rand.Rand // of the schedule alone
	seed   uint64
	faulty bool
	born   int
}

func simulate(t *testing.T, seed uint64) (trace []string) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		s := &simulation{
			fleet: newFleet(t, lease.NewMemoryStore(), newStream(1+rnd.IntN(10))),
			rnd:   rnd, seed: seed, faulty: true,
		}
		s.tick = time.Duration(1+rnd.IntN(15)) * time.Second
		for range 1 + rnd.IntN(4) {
			s.join()
		}
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
			time.Sleep(time.Duration(1+rnd.IntN(20000)) * time.Millisecond)
			s.disturb()
		}
		s.heal()
		time.Sleep(2 * time.Minute)
		s.checkRest()
		trace = s.trace()
		s.end()
	})
	return trace
}

// trace returns what happened, sorted: the order within a millisecond is that of
// goroutines that end together.
func (s *simulation) trace() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.lines))
}

// join starts a worker whose calls fail by chance.
func (s *simulation) join() {
	s.born++
	w := s.start(fmt.Sprintf("w%d", s.born))
	who := fmt.Sprint(w.id, s.seed)
	rates := [3]float64{s.rnd.Float64() * 0.05, s.rnd.Float64() * 0.05, s.rnd.Float64() * 0.05}
	w.store.faults(func(c storeCall) (error, bool) {
		if !s.faults() {
			return nil, false
		}
		if c.chance(who, "fail") < rates[0] {
			return errCut, false
		}
		return nil, c.chance(who, "lose") < rates[1]
	}, func(c storeCall) time.Duration {
		if !s.faults() || c.chance(who, "slow") > rates[2] {
			return 0
		}
		return time.Duration(c.chance(who, "delay") * float64(3*time.Second))
	})
}

func (s *simulation) faults() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faulty
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
	alive := s.alive()
	pick := func() *worker { return s.workers[alive[s.rnd.IntN(len(alive))]] }
	switch n := s.rnd.IntN(10); {
	case n < 2 && len(alive) > 1:
		w := pick()
		s.crash(w)
		s.join()
		delete(s.workers, w.id)
	case n < 3 && len(alive) > 1:
		s.note("a worker leaves")
		s.leave(pick())
	case n < 5 && len(alive) < 5:
		s.note("a worker joins")
		s.join()
	case n < 7:
		w := pick()
		s.note(w.id + " pauses")
		w.store.pause()
		time.Sleep(time.Duration(s.rnd.IntN(25000)) * time.Millisecond)
		s.note(w.id + " resumes")
		w.store.resume()
	default:
		s.reshard()
	}
}

func (s *simulation) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logf("%s", what)
}

// reshard splits a shard or merges two neighbours, also ones not yet read.
func (s *simulation) reshard() {
	var open []lease.Shard
	shards, _ := s.stream.Shards(s.t.Context(), lease.Stream{}, lease.ShardsAt{Kind: lease.ShardsAtLatest})
	open = append(open, shards...)
	slices.SortFunc(open, func(a, b lease.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	i := s.rnd.IntN(len(open))
	if i+1 < len(open) && (s.rnd.IntN(2) == 0 || len(open) > 12) {
		s.note("merge " + open[i].ID + " " + open[i+1].ID)
		s.stream.merge(open[i].ID, open[i+1].ID)
		return
	}
	s.note("split " + open[i].ID)
	s.stream.split(open[i].ID)
}

func (s *simulation) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faulty = false
	s.logf("heal")
}

// checkRest checks the fleet after it had time to come to rest.
func (s *simulation) checkRest() {
	open, _ := s.stream.Shards(s.t.Context(), lease.Stream{}, lease.ShardsAt{Kind: lease.ShardsAtLatest})
	counts := s.counts()
	if got := sum(counts); got != len(open) {
		s.t.Errorf("%d shards are held, %d are open", got, len(open))
	}
	low, high := len(open), 0
	for _, id := range s.alive() {
		low, high = min(low, counts[id]), max(high, counts[id])
	}
	if high-low > 1 {
		s.t.Errorf("the shards are shared unevenly: %v", counts)
	}
	moves := s.moved()
	time.Sleep(5 * time.Minute)
	if n := s.moved() - moves; n > 0 {
		s.t.Errorf("%d moves in a fleet at rest", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.backwards {
		s.t.Errorf("checkpoint moved back: %s", b)
	}
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	first, n := uint64(1), *simSeeds
	if *simSeed != 0 {
		first, n = *simSeed, 1
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			simulate(t, seed)
		})
	}
}

func TestSimulationRepeatsItself(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 3; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			a, b := simulate(t, seed), simulate(t, seed)
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Fatalf("line %d differs:\n%s\n%s", i, a[i], b[i])
				}
			}
			if len(a) != len(b) {
				t.Fatalf("%d lines, then %d", len(a), len(b))
			}
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
