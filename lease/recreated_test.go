package lease_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// A stream that was deleted and created again has the shard ids of the former
// one. Nothing of it is read by leases of the former, and whoever operates the
// fleet is told why.
func TestRecreatedStreamIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(first *lease.Shard, row *lease.Row)
		want   string // empty: accepted
	}{
		{"finished and open", func(_ *lease.Shard, r *lease.Row) { r.Checkpoint = checkpoint.ShardEnd }, "finished in the table and open"},
		{"finished and closed", func(s *lease.Shard, r *lease.Row) { r.Checkpoint, s.Closed = checkpoint.ShardEnd, true }, ""},
		{"read before its first record", func(s *lease.Shard, r *lease.Row) { s.First, r.Checkpoint = checkpoint.At("500"), checkpoint.At("499") }, "before its first record"},
		{"read up to its first record", func(s *lease.Shard, r *lease.Row) { s.First, r.Checkpoint = checkpoint.At("500"), checkpoint.At("500") }, ""},
		{"other hash keys", func(_ *lease.Shard, r *lease.Row) { r.Range = newStream(3).shards[0].Range }, "hash keys"},
		{"hash keys not known", func(_ *lease.Shard, r *lease.Row) { r.Range = nil }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, s := lease.NewMemoryStore(), newStream(2)
				row := lease.Row{Key: shardID(0), Shard: shardID(0), Range: s.shards[0].Range, Checkpoint: checkpoint.TrimHorizon}
				tt.change(&s.shards[0], &row)
				if _, err := store.Write(t.Context(), lease.Write{Op: lease.Create, Row: row}); err != nil {
					t.Fatal(err)
				}
				c, err := lease.New(store, s)
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				var held atomic.Int64
				err = c.Run(ctx, func(fetch, _ context.Context, _ *lease.Held) error {
					held.Add(1)
					<-fetch.Done()
					return nil
				})
				if tt.want == "" {
					if err != nil || held.Load() == 0 {
						t.Errorf("Run() = %v, %d shards were held", err, held.Load())
					}
					return
				}
				if !errors.Is(err, lease.ErrRecreated) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), shardID(0)) {
					t.Errorf("Run() = %v, want ErrRecreated with %q", err, tt.want)
				}
				if held.Load() > 0 {
					t.Errorf("%d shards of another stream were held", held.Load())
				}
			})
		})
	}
}

func TestStreamRecreatedUnderARunningFleetIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStream(2)
		f := newFleet(t, lease.NewMemoryStore(), s)
		a, b := f.start("a"), f.start("b")
		time.Sleep(5 * time.Minute)
		s.mu.Lock()
		s.shards = newStream(3).shards
		s.mu.Unlock()
		time.Sleep(12 * time.Minute) // the first leader has gone by then, and its successor
		for _, w := range []*worker{a, b} {
			select {
			case err := <-w.done:
				if !errors.Is(err, lease.ErrRecreated) {
					t.Errorf("Run() of %s = %v, want ErrRecreated", w.id, err)
				}
			default:
				t.Errorf("%s still runs", w.id)
				w.stop()
				<-w.done
			}
		}
	})
}

// A list of shards may lag behind a reshard of which the table knows. Nothing is
// refused that a later list explains.
func TestListThatLagsBehindAReshardIsNotTakenForAnotherStream(t *testing.T) {
	t.Parallel()
	for _, childListed := range []bool{false, true} {
		t.Run(fmt.Sprintf("child listed %v", childListed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStream(2)
				f := newFleet(t, lease.NewMemoryStore(), s)
				defer f.end()
				row := lease.Row{Key: shardID(0), Shard: shardID(0), Range: s.shards[0].Range, Checkpoint: checkpoint.ShardEnd}
				if _, err := f.store.Write(t.Context(), lease.Write{Op: lease.Create, Row: row}); err != nil {
					t.Fatal(err)
				}
				lag := 12 * time.Second
				if childListed {
					s.split(shardID(0))
					s.shards[0].Closed = false
					lag = 2 * time.Minute
				}
				a := f.start("a")
				time.Sleep(lag)
				if childListed {
					s.mu.Lock()
					s.shards[0].Closed = true
					s.mu.Unlock()
				} else {
					s.split(shardID(0))
				}
				time.Sleep(2 * time.Minute)
				select {
				case err := <-a.done:
					t.Fatalf("Run() = %v", err)
				default:
				}
				if got := f.counts()["a"]; got != 3 {
					t.Errorf("%d shards are held, want the other one and two children", got)
				}
			})
		})
	}
}

// Of a shard past its retention no row stays once it is finished.
func TestRowsOfTrimmedShardsAreRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, s := lease.NewMemoryStore(), newStream(2)
		old := lease.Row{Key: "shardId-000000000090", Shard: "shardId-000000000090", Checkpoint: checkpoint.ShardEnd}
		unread := lease.Row{Key: "shardId-000000000091", Shard: "shardId-000000000091", Checkpoint: checkpoint.At("7")}
		for _, row := range []lease.Row{old, unread} {
			if _, err := store.Write(t.Context(), lease.Write{Op: lease.Create, Row: row}); err != nil {
				t.Fatal(err)
			}
		}
		c, err := lease.New(store, s)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 11*time.Minute)
		defer stop()
		told := false
		err = c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
			if h.Shard().ID == unread.Shard { // its reader is the one to say that it is gone
				told = true
				return h.Finish(work, nil)
			}
			<-fetch.Done()
			return nil
		})
		if err != nil || !told {
			t.Errorf("Run() = %v, told of the unread shard: %v", err, told)
		}
		snap, _ := store.Snapshot(t.Context())
		if len(snap.Rows) != 2 {
			t.Errorf("rows %+v, want those of the two shards that are there", snap.Rows)
		}
	})
}

// A stream that cannot be listed for a while is compared with the table as soon as
// it can, not ten minutes later.
func TestListingThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStream(2)
		f := newFleet(t, lease.NewMemoryStore(), s)
		a := f.start("a")
		time.Sleep(5 * time.Second)
		f.leave(a)
		s.mu.Lock()
		s.shards, s.fails = newStream(3).shards, 6
		s.mu.Unlock()
		a = f.start("a")
		time.Sleep(2 * time.Minute)
		select {
		case err := <-a.done:
			if !errors.Is(err, lease.ErrRecreated) {
				t.Errorf("Run() = %v, want ErrRecreated", err)
			}
		default:
			t.Error("nobody has noticed in two minutes that the stream is another")
			a.stop()
			<-a.done
		}
	})
}
