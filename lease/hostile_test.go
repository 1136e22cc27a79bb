package lease_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// A hostile store shows, beside what it holds, rows that somebody has made up.
type hostile struct {
	lease.Store
	rnd *rand.Rand
}

func (s *hostile) Snapshot(ctx context.Context) (lease.Snapshot, error) {
	snap, err := s.Store.Snapshot(ctx)
	for range s.rnd.IntN(8) {
		snap.Rows = append(snap.Rows, s.row())
		snap.Workers = append(snap.Workers, s.worker())
		snap.Bad = append(snap.Bad, &lease.RowError{Key: s.text(), Err: errors.New("test: not a row")})
	}
	return snap, err
}

func (s *hostile) text() string {
	texts := []string{"", "a", "b", "evil", "Leader", shardID(99), strings.Repeat("x", 2000), "\x00\xff", "1:other:2"}
	return texts[s.rnd.IntN(len(texts))]
}

func (s *hostile) number() float64 {
	return []float64{0, -1, 7, math.NaN(), math.Inf(1), -math.MaxFloat64, math.MaxFloat64}[s.rnd.IntN(7)]
}

func (s *hostile) row() lease.Row {
	rate := s.number()
	r := lease.Row{
		Key: s.text(), Stream: s.text(), Shard: s.text(), Parents: []string{s.text(), s.text()}, Children: []string{s.text()},
		Owner: s.text(), Leaving: s.text(), Counter: s.rnd.Int64(), Switches: math.MaxInt64, Throughput: &rate, Run: s.text(),
		Checkpoint: []checkpoint.Position{{}, checkpoint.ShardEnd, checkpoint.Latest, checkpoint.At("9"), checkpoint.At("x")}[s.rnd.IntN(5)],
	}
	if s.rnd.IntN(2) == 0 {
		r.Stream, r.Shard = "", r.Key
	}
	if s.rnd.IntN(2) == 0 {
		r.Range = &lease.HashRange{}
	}
	return r
}

// worker returns a row that never changes its time: one that did would be alive.
func (s *hostile) worker() lease.Worker {
	id := s.text()
	return lease.Worker{
		ID: "evil " + id, Updated: time.Unix(int64(len(id))<<20, 0), Support: math.MinInt,
		Metrics:    map[string][]float64{"C": {s.number(), s.number()}, s.text(): nil},
		Limits:     map[string]float64{"C": s.number()},
		Properties: map[string]string{"library": s.text(), "run": s.text()},
	}
}

// Whoever may write the table may write anything. No row but that one suffers, and
// nobody panics.
func TestHostileRowsHarmNobodyElse(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			store := lease.NewMemoryStore()
			s := newStream(4)
			rnd := rand.New(rand.NewPCG(seed, 9))
			made := &hostile{rnd: rnd}
			for range 5 { // some are there in truth
				row := made.row()
				if row.Key == "" || row.Key == "a" || row.Key == "b" || row.Checkpoint.Validate() != nil { // a worker is refused such an id
					continue
				}
				_, _ = store.Write(t.Context(), lease.Write{Op: lease.Create, Row: row})
			}
			f := newFleet(t, store, s)
			f.held = func(w *worker, fetch, work context.Context, h *lease.Held) error {
				if id := h.Shard().ID; id < shardID(0) || id > shardID(3) {
					return errors.New("test: no such shard")
				}
				return f.hold(w, fetch, work, h)
			}
			f.start("a")
			time.Sleep(20 * time.Second)
			lost := 0
			f.mu.Lock()
			f.onLost = func(i lease.LostInfo) {
				if i.Shard >= shardID(0) && i.Shard <= shardID(3) {
					lost++
				}
			}
			f.mu.Unlock()
			f.workers["a"].store.show(&hostile{Store: store, rnd: rnd})
			b := f.start("b")
			b.store.show(&hostile{Store: store, rnd: rand.New(rand.NewPCG(seed, 10))})
			time.Sleep(3 * time.Minute)
			held := 0
			f.mu.Lock()
			for i := range 4 {
				if f.holders[shardID(i)] != "" {
					held++
				}
			}
			if held != 4 || lost > 0 {
				t.Errorf("seed %d: %d of 4 shards are held, %d were lost", seed, held, lost)
			}
			f.mu.Unlock()
			f.end()
		})
	}
}

// A worker that writes its row and takes up nothing, as one of the KCL does whose
// index was refused, is given less and less.
func TestWorkerThatTakesUpNothingIsShunned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, lease.NewMemoryStore(), newStream(4))
		f.start("a")
		ctx, stop := context.WithCancel(t.Context())
		half := make(chan struct{})
		go func() {
			defer close(half)
			for ctx.Err() == nil {
				_ = f.store.PutWorker(ctx, lease.Worker{ID: "half", Updated: time.Now()})
				sleep(ctx, 10*time.Second)
			}
		}()
		time.Sleep(20 * time.Minute)
		if n := f.moved() - 4; n > 2*2*8 {
			t.Errorf("%d moves for it in 20 minutes", n)
		}
		moves := f.moved()
		time.Sleep(8 * time.Minute)
		if n := f.moved() - moves; n > 2*2 {
			t.Errorf("%d moves for it in the 8 minutes after that", n)
		}
		stop()
		<-half
		f.end()
	})
}
