package lease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestCPUOfAWorkerRow(t *testing.T) {
	t.Parallel()
	many := make([]float64, 1000)
	tests := []struct {
		name    string
		values  []float64
		limit   float64
		want    float64
		known   bool
		failing bool
		wantMax float64
	}{
		{"nothing", nil, 0, 0, false, false, 100},
		{"one", []float64{40}, 80, 40, true, false, 80},
		{"oldest first, half of it the last", []float64{10, 20, 40}, 100, 27.5, true, false, 100},
		{"a gap is skipped", []float64{10, -1, 40}, 100, 25, true, false, 100},
		{"it failed at last", []float64{10, -1}, 100, 10, true, true, 100},
		{"it never worked", []float64{-1}, 100, 0, false, true, 100},
		{"below 0", []float64{10, -2}, 100, 0, false, false, 100},
		{"above 100", []float64{10, 101}, 100, 0, false, false, 100},
		{"no number", []float64{math.NaN()}, 100, 0, false, false, 100},
		{"without end", []float64{math.Inf(1)}, 100, 0, false, false, 100},
		{"too many", many, 100, 0, false, false, 100},
		{"a range of nothing", []float64{50}, 0, 50, true, false, 100},
		{"a range beyond", []float64{50}, 1e9, 50, true, false, 100},
	}
	for _, tt := range tests {
		w := &Worker{Metrics: map[string][]float64{"C": tt.values}, Limits: map[string]float64{"C": tt.limit}}
		percent, limit, known, failing := cpuOf(w)
		if known && percent != tt.want || known != tt.known || failing != tt.failing || limit != tt.wantMax {
			t.Errorf("%s: %v of %v, known %v, failing %v", tt.name, percent, limit, known, failing)
		}
	}
	if _, _, known, _ := cpuOf(&Worker{Metrics: map[string][]float64{"M": {90}}}); known {
		t.Error("a metric of another kind is taken for the CPU")
	}
}

// busy adds a row with a throughput.
func (tb *table) busy(owner string, rate float64) *Row {
	r := tb.row(owner)
	r.Throughput = &rate
	return r
}

func (tb *table) rates() map[string]float64 {
	out := make(map[string]float64)
	for _, r := range tb.snap.Rows {
		if !r.Finished() && r.Throughput != nil {
			out[r.Owner] += *r.Throughput
		}
	}
	return out
}

// settle lets the moves be made and looked at, and reports the moves of a second
// plan.
func (tb *table) settle(alive ...string) []move {
	for i := range tb.snap.Rows { // what was handed over arrives
		tb.snap.Rows[i].Leaving = ""
	}
	tb.look(5*time.Second, alive...)
	return tb.plan(1000)
}

// From every distribution of a few busy leases a plan leads to one that no second
// plan changes, in which nobody carries so much more than another that a lease
// could be moved with profit, and which takes no lease twice.
func TestPlanEvensOutEveryLoadOnce(t *testing.T) {
	t.Parallel()
	workers := []string{"a", "b", "c"}
	sets := [][]float64{{100, 100, 100, 100}, {400, 100, 100, 50}, {1000, 9, 9, 9, 300}, {50, 50, 50, 50, 50, 50}, {16, 32, 64, 128, 256}}
	for _, rates := range sets {
		states := 1
		for range rates {
			states *= len(workers)
		}
		for state := range states {
			tb := newTable(t, workers...)
			for i, s := 0, state; i < len(rates); i, s = i+1, s/len(workers) {
				tb.busy(workers[s%len(workers)], rates[i])
			}
			tb.look(5*time.Second, workers...)
			moves := tb.plan(1000)
			seen := make(map[string]bool)
			for _, m := range moves {
				if seen[m.write.Key()] || m.write.Op != Handoff || m.reason != ReasonLoad {
					t.Fatalf("%v from %d: move %+v", rates, state, m)
				}
				seen[m.write.Key()] = true
			}
			if again := tb.settle(workers...); len(again) > 0 {
				t.Fatalf("%v from %d: %d moves, then %d again", rates, state, len(moves), len(again))
			}
			checkEven(t, tb, workers, fmt.Sprint(rates, " from ", state))
		}
	}
}

// checkEven reports a worker out of the band of which a lease could be moved to
// another with profit.
func checkEven(t *testing.T, tb *table, workers []string, what string) {
	t.Helper()
	have := tb.rates()
	var mean float64
	for _, w := range workers {
		mean += have[w] / float64(len(workers))
	}
	for _, from := range workers {
		for _, to := range workers {
			if have[from] <= 1.1*mean && have[to] >= 0.9*mean || have[from]-have[to] <= 0.1*mean {
				continue
			}
			for _, r := range tb.snap.Rows {
				if r.Owner == from && *r.Throughput >= idleRate && *r.Throughput*worth <= have[from]-have[to] {
					t.Errorf("%s: %v, yet %v of %s could go to %s", what, have, *r.Throughput, from, to)
				}
			}
		}
	}
}

// A constant load as it is measured is never constant. At most a last adjustment to
// what a KiB/s costs moves a lease.
func TestNoiseMovesNextToNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		tb := newTable(t, "a", "b", "c")
		for range 3 + rnd.IntN(20) {
			tb.busy([]string{"a", "b", "c"}[rnd.IntN(3)], 20+rnd.Float64()*500)
		}
		base := make([]float64, len(tb.snap.Rows))
		for i, r := range tb.snap.Rows {
			base[i] = *r.Throughput
		}
		total, sum := 0, 0.0
		for _, rate := range base {
			sum += rate
		}
		cost := map[string]float64{"a": 200 / sum, "b": 130 / sum, "c": 100 / sum} // percent of CPU per KiB/s
		for look := range 400 {
			for i := range tb.snap.Rows {
				rate := base[i] * (0.85 + 0.3*rnd.Float64())
				tb.snap.Rows[i].Throughput, tb.snap.Rows[i].Leaving = &rate, ""
			}
			for i := range tb.snap.Workers {
				w := &tb.snap.Workers[i]
				w.Metrics = map[string][]float64{"C": {min(100, tb.rates()[w.ID]*cost[w.ID]*(0.95+0.1*rnd.Float64()))}}
				w.Limits = map[string]float64{"C": 100}
			}
			tb.look(10*time.Second, "a", "b", "c")
			n := len(tb.plan(1000))
			if look >= 60 { // ten minutes to find out what a KiB/s costs whom
				total += n
			}
		}
		if total > 1 {
			t.Errorf("seed %d: %d leases moved in an hour of constant load", seed, total)
		}
	}
}

// A machine on which everything costs twice as much gets less to read.
func TestSlowMachineGetsLess(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "quick", "slow")
	for range 24 {
		tb.busy("quick", 100)
		tb.busy("slow", 100)
	}
	late := 0
	for look := range 360 {
		have := tb.rates()
		for i := range tb.snap.Workers {
			w := &tb.snap.Workers[i]
			cost := map[string]float64{"quick": 0.01, "slow": 0.03}[w.ID]
			w.Metrics = map[string][]float64{"C": {min(100, have[w.ID]*cost)}}
			w.Limits = map[string]float64{"C": 100}
		}
		for i := range tb.snap.Rows {
			tb.snap.Rows[i].Leaving = ""
		}
		tb.look(10*time.Second, "quick", "slow")
		if n := len(tb.plan(1000)); look > 180 {
			late += n
		}
	}
	have := tb.rates()
	if have["slow"] > 0.6*have["quick"] || have["slow"] < 0.25*have["quick"] {
		t.Errorf("rates %v, want the slow one to have about a third to a half of the other's", have)
	}
	if late > 0 {
		t.Errorf("%d moves in the last half hour", late)
	}
}

func TestWorkerAboveItsRangeIsRelievedStepByStep(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "b")
	for range 4 {
		tb.busy("a", 100)
		tb.busy("b", 100)
	}
	cpu := func(a, b float64) {
		for i, v := range []float64{a, b} {
			tb.snap.Workers[i].Metrics = map[string][]float64{"C": {v}}
			tb.snap.Workers[i].Limits = map[string]float64{"C": 70}
		}
	}
	cpu(75, 30)
	tb.look(time.Minute, "a", "b")
	if moves := tb.plan(1000); len(moves) > 0 {
		t.Errorf("moves %+v before the load can be that of the present leases", moves)
	}
	tb.look(time.Minute, "a", "b")
	moves := tb.plan(1000)
	if len(moves) == 0 || moves[0].reason != ReasonOverLimit || moves[0].from != "a" {
		t.Fatalf("moves %+v, want one lease off a", moves)
	}
	if again := tb.settle("a", "b"); len(again) > 0 {
		t.Errorf("moves %+v before the effect was measured", again)
	}
	cpu(60, 69) // b is near its own range now
	tb.look(3*time.Minute, "a", "b")
	for _, m := range tb.plan(1000) {
		if m.write.Owner == "b" {
			t.Errorf("%+v to a worker near the end of its range", m)
		}
	}
}

func TestThroughputOfOneWorkerIsBounded(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "b")
	for range 6 {
		tb.busy("", 100)
	}
	tb.rows("", 2)
	tb.look(2*time.Minute, "a", "b")
	moves := planMoves(tb.now, tb.o, &tb.snap, planBounds{leases: 100, rate: 250, threshold: 0.1})
	given := make(map[string]float64)
	idle := 0
	for _, m := range moves {
		if m.write.Seen.Throughput == nil {
			idle++
			continue
		}
		given[m.write.Owner] += *m.write.Seen.Throughput
	}
	if given["a"] != 200 || given["b"] != 200 || idle != 2 {
		t.Errorf("given %v and %d idle leases, want 200 KiB/s each and both idle ones", given, idle)
	}
}

// Idle leases beside busy ones are spread by number, and the busy ones by load.
func TestIdleLeasesAreSpreadByCount(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "b")
	tb.busy("a", 500)
	tb.busy("a", 500)
	for range 10 {
		tb.busy("a", 0)
	}
	tb.look(5*time.Second, "a", "b")
	tb.plan(1000)
	if c, r := tb.counts(), tb.rates(); c["a"] != 6 || c["b"] != 6 || r["a"] != 500 {
		t.Errorf("counts %v, rates %v, want 6 leases and 500 KiB/s each", c, r)
	}
	if again := tb.settle("a", "b"); len(again) > 0 {
		t.Errorf("%d more moves", len(again))
	}
}

// Whoever cannot measure itself any more keeps its leases and gets no others.
func TestFailingWorkerGetsNothing(t *testing.T) {
	t.Parallel()
	tb := newTable(t, "a", "b")
	tb.snap.Workers[1].Metrics = map[string][]float64{"C": {20, -1}}
	tb.rows("", 4)
	tb.look(time.Second, "a", "b")
	tb.plan(1000)
	if got := fmt.Sprint(tb.counts()); got != "map[a:4]" {
		t.Errorf("%s, want all on a", got)
	}
}

// Rows may hold any numbers. The plan is one of valid moves whatever they are.
func TestHostileNumbersMoveNothingWild(t *testing.T) {
	t.Parallel()
	wild := []float64{0, -1, 1e308, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), 100, 5}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		any := func() float64 { return wild[rnd.IntN(len(wild))] }
		tb := newTable(t, "a", "b", "c")
		for range rnd.IntN(12) {
			r := tb.busy([]string{"", "a", "b", "c", "gone"}[rnd.IntN(5)], any())
			r.Counter = rnd.Int64()
		}
		for i := range tb.snap.Workers {
			tb.snap.Workers[i].Metrics = map[string][]float64{"C": {any(), any()}}
			tb.snap.Workers[i].Limits = map[string]float64{"C": any()}
		}
		tb.look(3*time.Minute, "a", "b", "c")
		for range 3 {
			tb.plan(1000) // fails the test if a move is refused
			tb.look(20*time.Second, "a", "b", "c")
		}
		for _, r := range tb.snap.Rows {
			if r.Owner == "" || r.Owner == "gone" {
				t.Fatalf("seed %d: nobody got %+v", seed, r)
			}
		}
	}
}

func TestReporterKeepsTheLastMeans(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var next float64
	var fail error
	load := func(context.Context) (float64, error) { return next, fail }
	var r reporter
	step := func(v float64, err error, after time.Duration) {
		next, fail, now = v, err, now.Add(after)
		r.measure(t.Context(), now, load)
	}
	step(99, nil, 0)                   // begins the first interval
	step(50, nil, 5*time.Second)       // too soon
	step(12.3456789, nil, time.Minute) // counts
	step(70, errors.New("test: no load"), time.Minute)
	step(math.NaN(), nil, time.Minute)
	step(1e9, nil, time.Minute)
	if got := fmt.Sprint(r.cpu); got != "[12.345679 100]" {
		t.Errorf("means %s", got)
	}
	for i := range 20 {
		step(float64(i), nil, time.Minute)
	}
	row := r.row(now, "a", "run", 80)
	if got := fmt.Sprint(row.Metrics, row.Limits); got != "map[C:[10 11 12 13 14 15 16 17 18 19]] map[C:80]" {
		t.Errorf("row %s", got)
	}
	if row := (&reporter{}).row(now, "a", "run", 80); row.Metrics != nil || row.Limits != nil {
		t.Errorf("row of a worker that measures nothing: %+v", row)
	}
}

// A worker that alone has a metric is given nothing by a leader of the KCL.
func TestCPUIsShownOnlyBesideThoseWhoShowTheirs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ours := map[string]string{propertyLibrary: Library}
	cpu := map[string][]float64{"C": {40}}
	old := now.Add(-time.Hour)
	tests := []struct {
		name  string
		other Worker
		want  bool
	}{
		{"nobody else", Worker{ID: "me", Updated: now, Properties: ours}, true},
		{"one of ours without", Worker{ID: "b", Updated: now, Properties: ours}, true},
		{"one of the KCL with", Worker{ID: "b", Updated: now, Metrics: cpu}, true},
		{"one of the KCL without", Worker{ID: "b", Updated: now}, false},
		{"one of the KCL with another metric", Worker{ID: "b", Updated: now, Metrics: map[string][]float64{"M": {40}}}, false},
		{"one of the KCL that is gone", Worker{ID: "b", Updated: old}, true},
	}
	for _, tt := range tests {
		o := newObserver(timing{failover: 10 * time.Second}, "me")
		o.observe(now, &Snapshot{Workers: []Worker{tt.other}})
		if got := o.comparable(now); got != tt.want {
			t.Errorf("beside %s the CPU is shown: %v, want %v", tt.name, got, tt.want)
		}
	}
}
