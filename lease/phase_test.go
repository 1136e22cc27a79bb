package lease_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/sim"
	"github.com/kinesis-go/kinesis/lease"
)

// The phases of an application on its way from KCL 2.x to 3.x.
var (
	phase2X      = lease.Phase{Name: "2", Assign: lease.AssignByTaking, Elect: lease.ElectByShuffle, Quiet: true}
	phaseUpgrade = lease.Phase{Name: "2 to 3", Assign: lease.AssignByTaking, Elect: lease.ElectByShuffle}
	phase3X      = lease.Phase{Name: "3"}
)

// A phased store has a phase that changes. Its workers learn of it when they ask,
// one after the other.
type phased struct {
	lease.Store

	mu     sync.Mutex // guards what follows
	phase  lease.Phase
	led    map[string]time.Duration // what workers told of their leadership last
	onlyBy map[string]lease.Phase   // what a worker is told instead
}

func newPhased(inner lease.Store, p lease.Phase) *phased {
	return &phased{Store: inner, phase: p, led: make(map[string]time.Duration), onlyBy: make(map[string]lease.Phase)}
}

func (s *phased) Phase(_ context.Context, f lease.Facts) (lease.Phase, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.led[f.Worker] = f.Led
	p, ok := s.onlyBy[f.Worker]
	if !ok {
		p = s.phase
	}
	p.Again = 10*time.Second + time.Duration(len(s.led))*time.Second
	return p, nil
}

func (s *phased) set(p lease.Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = p
}

func (s *phased) tell(id string, p lease.Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onlyBy[id] = p
}

// draw changes the phase to one that chance chooses.
func (s *phased) draw(rnd *rand.Rand) string {
	p := []lease.Phase{phase2X, phaseUpgrade, phase3X}[rnd.IntN(3)]
	s.set(p)
	return p.Name
}

// The simulation of fleets whose workers change from one strategy to the other, at
// different moments, to and fro, while everything else goes wrong.
func TestSimulationOfPhases(t *testing.T) {
	t.Parallel()
	sim.Run(t, 6, func(t *testing.T, seed sim.Seed) {
		store, closed := simStore(t, uint64(seed))
		defer closed()
		simulateOn(t, uint64(seed), newPhased(store, phase2X))
	})
}

// inPhase runs a test of a fleet that begins in a phase.
func inPhase(t *testing.T, p lease.Phase, shards int, f func(*fleet, *phased)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newPhased(lease.NewMemoryStore(), p)
		fl := newFleet(t, store, newStream(shards))
		fl.steals = true
		defer fl.end()
		f(fl, store)
	})
}

func (f *fleet) want(after time.Duration, counts map[string]int) {
	f.t.Helper()
	time.Sleep(after)
	if got := f.counts(); fmt.Sprint(got) != fmt.Sprint(counts) {
		f.t.Errorf("after %v the workers hold %v, want %v", after, got, counts)
	}
}

func TestTakersShareTheLeasesAndWriteNothingElse(t *testing.T) {
	inPhase(t, phase2X, 9, func(f *fleet, s *phased) {
		f.start("a")
		f.want(5*time.Second, map[string]int{"a": 9})
		f.start("b")
		f.start("c")
		f.want(3*time.Minute, map[string]int{"a": 3, "b": 3, "c": 3})
		moves := f.moved()
		f.want(5*time.Minute, map[string]int{"a": 3, "b": 3, "c": 3})
		if n := f.moved() - moves; n > 0 {
			f.t.Errorf("%d leases moved in a fleet at rest", n)
		}
		snap, err := s.Snapshot(f.t.Context())
		if err != nil || len(snap.Workers) != 0 || snap.Lock.Version != "" {
			f.t.Errorf("there are rows that KCL 2.x cannot read: %+v, lock %+v, %v", snap.Workers, snap.Lock, err)
		}
		leaders := 0
		s.mu.Lock()
		for _, led := range s.led {
			if led > 0 {
				leaders++
			}
		}
		s.mu.Unlock()
		if leaders != 1 {
			f.t.Errorf("%d workers lead", leaders)
		}
	})
}

// Reliability 30: a claim that is never cleared lets a worker steal many leases.
func TestLeasesOfLiveWorkersAreTakenOneByOne(t *testing.T) {
	inPhase(t, phase2X, 16, func(f *fleet, _ *phased) {
		f.start("a")
		time.Sleep(5 * time.Second)
		f.start("b")
		for range 8 {
			before := f.counts()["b"]
			time.Sleep(19 * time.Second)
			if n := f.counts()["b"] - before; n > 1 {
				f.t.Fatalf("%d leases were taken from a live worker within 19 s", n)
			}
		}
		f.want(2*time.Minute, map[string]int{"a": 8, "b": 8})
	})
}

func TestLeasesOfADeadWorkerAreTakenInTime(t *testing.T) {
	inPhase(t, phase2X, 6, func(f *fleet, _ *phased) {
		f.start("a")
		f.start("b")
		time.Sleep(3 * time.Minute)
		dead := f.workers["a"]
		f.crash(dead)
		delete(f.workers, "a")
		f.want(failover*3/2, map[string]int{"b": 6})
	})
}

func TestAStopHandsItsLeasesToTakers(t *testing.T) {
	inPhase(t, phase2X, 6, func(f *fleet, _ *phased) {
		f.start("a")
		f.start("b")
		time.Sleep(3 * time.Minute)
		f.leave(f.workers["a"])
		f.want(failover/2, map[string]int{"b": 6})
	})
}

// Reliability 31: closed shards monopolise the start, and one that nobody takes
// keeps others from moving.
func TestFinishedShardsDoNotKeepTakersFromOpenOnes(t *testing.T) {
	inPhase(t, phase2X, 4, func(f *fleet, _ *phased) {
		f.start("a")
		time.Sleep(10 * time.Second)
		for i := range 4 {
			f.stream.split(shardID(i))
		}
		time.Sleep(20 * time.Second)
		f.start("b")
		time.Sleep(6 * time.Minute)
		if n := sum(f.counts()); n != 8 {
			f.t.Errorf("%d of 8 open shards are held: %v", n, f.counts())
		}
		if n := f.counts()["b"]; n == 0 {
			f.t.Errorf("the second worker starves: %v", f.counts())
		}
	})
}

// Reliability 5 and 28: a renewal that fails leaves a lease that everybody takes
// for held and nobody holds.
func TestATakersLeaseThatCannotBeRenewedIsHeldAgain(t *testing.T) {
	inPhase(t, phase2X, 4, func(f *fleet, _ *phased) {
		f.start("a")
		f.start("b")
		time.Sleep(3 * time.Minute)
		w := f.workers["a"]
		w.store.pause()
		time.Sleep(40 * time.Second)
		f.want(0, map[string]int{"b": 4})
		w.store.resume()
		f.want(3*time.Minute, map[string]int{"a": 2, "b": 2})
	})
}

// Reliability 29: a zombie writes over the owner and its progress.
func TestATakenLeaseRefusesWhatItsFormerOwnerStores(t *testing.T) {
	inPhase(t, phase2X, 2, func(f *fleet, _ *phased) {
		f.start("a")
		time.Sleep(time.Minute)
		f.workers["a"].store.pause() // its writes are made when it comes back
		f.start("b")
		time.Sleep(2 * time.Minute)
		f.workers["a"].store.resume()
		time.Sleep(time.Minute)
		if len(f.backwards) > 0 {
			f.t.Errorf("positions went back: %v", f.backwards)
		}
		if n := sum(f.counts()); n != 2 {
			f.t.Errorf("%d of 2 shards are held", n)
		}
	})
}

// The fleet changes from one strategy to the other, worker by worker, and back.
// Nobody loses a lease by it, nobody resets one, and there is one leader.
func TestChangesOfTheStrategyMoveNothing(t *testing.T) {
	inPhase(t, phase2X, 8, func(f *fleet, s *phased) {
		var lost []string
		f.onLost = func(i lease.LostInfo) { lost = append(lost, i.Shard) }
		f.start("a")
		f.start("b")
		f.want(4*time.Minute, map[string]int{"a": 4, "b": 4})
		moves := f.moved()
		f.mu.Lock()
		lost = nil
		f.mu.Unlock()
		for _, p := range []lease.Phase{phaseUpgrade, phase3X, phase2X, phaseUpgrade, phase3X} {
			s.set(p)
			f.want(2*time.Minute, map[string]int{"a": 4, "b": 4})
			snap, _ := s.Snapshot(f.t.Context())
			if (len(snap.Workers) == 0) != p.Quiet || (snap.Lock.Version == "") != (p.Elect == lease.ElectByShuffle) {
				f.t.Errorf("phase %s: %d workers show themselves, the lock is %+v", p.Name, len(snap.Workers), snap.Lock)
			}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.moves != moves || len(lost) > 0 || len(f.backwards) > 0 {
			f.t.Errorf("%d leases moved, %v were lost, positions back %v", f.moves-moves, lost, f.backwards)
		}
	})
}

// For as long as workers disagree, each of both strategies leaves the other's
// leases alone, and those of the dead are taken by somebody.
func TestStrategiesLiveTogether(t *testing.T) {
	inPhase(t, phase3X, 8, func(f *fleet, s *phased) {
		s.tell("b", phaseUpgrade)
		f.start("a")
		f.start("b")
		time.Sleep(4 * time.Minute)
		if c := f.counts(); c["a"] < 3 || c["b"] < 3 || sum(c) != 8 {
			f.t.Errorf("the workers hold %v", c)
		}
		moves := f.moved()
		time.Sleep(5 * time.Minute)
		if n := f.moved() - moves; n > 0 {
			f.t.Errorf("%d leases moved at rest", n)
		}
		f.crash(f.workers["a"])
		delete(f.workers, "a")
		f.want(2*failover, map[string]int{"b": 8})
	})
}

// Reliability 23 and 24: a child begins at its oldest record, and no row is removed
// or made anew, whatever the strategy is.
func TestReshardsUnderTakersLoseNoLineage(t *testing.T) {
	inPhase(t, phase2X, 2, func(f *fleet, s *phased) {
		f.start("a")
		f.start("b")
		time.Sleep(time.Minute)
		for range 3 {
			open, _ := f.stream.Shards(f.t.Context(), lease.Stream{}, lease.ShardsAt{Kind: lease.ShardsAtLatest})
			f.stream.split(open[0].ID)
			time.Sleep(time.Minute)
		}
		snap, _ := s.Snapshot(f.t.Context())
		for _, r := range snap.Rows {
			if len(r.Parents) > 0 && !r.Checkpoint.IsRecord() && r.Checkpoint != checkpoint.TrimHorizon && !r.Finished() {
				f.t.Errorf("the child %s begins at %v", r.Key, r.Checkpoint)
			}
			if strings.HasPrefix(r.Owner, "?") {
				f.t.Errorf("owner %q", r.Owner)
			}
		}
		if n := sum(f.counts()); n != 5 {
			f.t.Errorf("%d of 5 shards are held: %v", n, f.counts())
		}
	})
}

// Takers share the leases of many streams as a whole. New streams are found, former
// ones are left when they may be, and one that was created again is read at once,
// all under a leader by shuffle; the change to a leader by lock moves nothing.
func TestTakersShareManyStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newStreams(3, 4)
		store := newPhased(lease.NewMemoryStore(), phase2X)
		f := newFleet(t, store, src)
		f.steals = true
		defer f.end()
		ids := slices.Clone(src.ids)
		rows := func(when string, want map[string]int) {
			t.Helper()
			if got := streamsOf(t, store); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: rows %v, want %v", when, got, want)
			}
		}
		for _, id := range []string{"a", "b", "c"} {
			f.start(id)
		}
		f.want(5*time.Minute, map[string]int{"a": 4, "b": 4, "c": 4})
		const fresh, again = "123456789012:new:1700000100", "123456789012:s1:1800000000"
		src.add(fresh, 6)
		f.want(5*time.Minute, map[string]int{"a": 6, "b": 6, "c": 6})

		src.remove(ids[0])
		time.Sleep(50 * time.Minute)
		rows("before a former stream goes", map[string]int{ids[0]: 4, ids[1]: 4, ids[2]: 4, fresh: 6})
		time.Sleep(15 * time.Minute)
		rows("without it", map[string]int{ids[1]: 4, ids[2]: 4, fresh: 6})
		src.remove(ids[1])
		src.add(again, 7)
		time.Sleep(2 * time.Minute)
		rows("with one created again", map[string]int{again: 7, ids[2]: 4, fresh: 6})
		if n := sum(f.counts()); n != 17 {
			t.Errorf("%d of 17 shards are held: %v", n, f.counts())
		}

		time.Sleep(5 * time.Minute)
		moves := f.moved()
		for _, p := range []lease.Phase{phaseUpgrade, phase3X, phase2X} {
			store.set(p)
			time.Sleep(3 * time.Minute)
		}
		if n := f.moved() - moves; n > 0 || len(f.backwards) > 0 {
			t.Errorf("%d leases moved by changes of the strategy, positions went back: %v", n, f.backwards)
		}
		f.crash(f.workers["a"])
		delete(f.workers, "a")
		time.Sleep(2 * failover)
		if n := sum(f.counts()); n != 17 {
			t.Errorf("%d of 17 shards are held after a crash: %v", n, f.counts())
		}
	})
}

// By the rules of KCL 2.x there is neither a lock nor a row of a worker: the leases
// tell who there is, and the view which of them is of this library.
func TestViewByTheRulesOfKCL2(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newPhased(lease.NewMemoryStore(), phase2X)
		f := newFleet(t, store, newStream(4))
		f.steals = true
		defer f.end()
		f.start("a")
		f.start("b")
		time.Sleep(2 * time.Minute)
		java, err := store.Row(t.Context(), shardID(0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Write(t.Context(), lease.Write{Op: lease.Take, Seen: java, Owner: "java"}); err != nil {
			t.Fatal(err)
		}
		viewer, err := lease.NewViewer(store)
		if err != nil {
			t.Fatal(err)
		}
		view, err := viewer.Fleet(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range view.Workers {
			got = append(got, fmt.Sprintf("%s library=%v leading=%v", w.ID, w.Library, w.Leading))
		}
		want := []string{"a library=true leading=false", "b library=true leading=false", "java library=false leading=false"}
		if view.Leader != "" || !slices.Equal(got, want) {
			t.Errorf("leader %q, workers %q, want none and %q", view.Leader, got, want)
		}
	})
}
