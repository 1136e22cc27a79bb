package lease_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

func TestStreamIDs(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"123456789012:clicks:1700000000", "0:a_b.c-d:1", "1:clicks:999999999999999999"} {
		id, err := lease.ParseStreamID(s)
		if err != nil || id.String() != s {
			t.Errorf("ParseStreamID(%q) = %v, %v", s, id, err)
		}
	}
	for _, s := range []string{
		"", "clicks", "1:clicks", ":clicks:1", "1::1", "1:clicks:", "1:clicks:0", "1:clicks:01", "x:clicks:1", "1:clicks:1:2",
		"1:clicks:-1", "1:clicks:9999999999999999999", "shardId-000000000000",
	} {
		if id, err := lease.ParseStreamID(s); err == nil {
			t.Errorf("ParseStreamID(%q) = %v, want an error", s, id)
		}
	}
}

// streamsOf returns how many rows each stream has.
func streamsOf(t *testing.T, store lease.Store) map[string]int {
	t.Helper()
	snap, err := store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]int)
	for _, r := range snap.Rows {
		if r.Key != r.Stream+":"+r.Shard {
			t.Errorf("row %q of stream %q and shard %q, want account:name:epoch:shard", r.Key, r.Stream, r.Shard)
		}
		out[r.Stream]++
	}
	return out
}

// Streams come and go while the fleet runs: a new one is read within a minute, a
// former one until the grace period is over, and one that was created again at
// once instead of the one that had its name.
func TestStreamsComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(3, 4)
		f := newFleet(t, lease.NewMemoryStore(), s)
		defer f.end()
		lost := make(map[string]int)
		f.onLost = func(i lease.LostInfo) { lost[i.Stream]++ }
		for _, id := range []string{"a", "b", "c"} {
			f.start(id)
		}
		expect := func(when string, held int, rows map[string]int) {
			t.Helper()
			got := streamsOf(t, f.store)
			for id, n := range rows {
				if got[id] != n {
					t.Errorf("%s: %d rows of %s, want %d", when, got[id], id, n)
				}
			}
			counts := f.counts()
			if sum(counts) != held {
				t.Errorf("%s: %d shards are held, want %d", when, sum(counts), held)
			}
			for id, n := range counts {
				if n < held/3 || n > held/3+1 {
					t.Errorf("%s: %s holds %d of %d shards", when, id, n, held)
				}
			}
		}
		ids := slices.Clone(s.ids)
		time.Sleep(time.Minute)
		expect("at first", 12, map[string]int{ids[0]: 4, ids[1]: 4, ids[2]: 4})

		s.add("123456789012:new:1700000100", 6)
		time.Sleep(time.Minute + 15*time.Second)
		expect("with a new stream", 18, map[string]int{"123456789012:new:1700000100": 6})

		s.remove(ids[0])
		time.Sleep(50 * time.Minute)
		expect("before a former stream goes", 18, map[string]int{ids[0]: 4})
		time.Sleep(13 * time.Minute)
		expect("without it", 14, map[string]int{ids[0]: 0})
		if lost[ids[0]] != 4 {
			t.Errorf("%d leases of it were lost, want 4", lost[ids[0]])
		}

		s.remove(ids[1])
		again := "123456789012:s1:1800000000"
		s.add(again, 4)
		time.Sleep(time.Minute + 30*time.Second)
		expect("with a stream created again", 14, map[string]int{ids[1]: 0, again: 4})
		row, err := f.store.Row(t.Context(), again+":"+shardID(len(s.shards)-1))
		if err != nil || row.Owner == "" || f.begun[row.Shard] != 1 {
			t.Errorf("its row is %+v, %v, and it began %d times", row, err, f.begun[row.Shard])
		}
		if n := len(f.lostButOf(lost, ids[0], ids[1])); n > 0 {
			t.Errorf("leases were lost of %v", lost)
		}
	})
}

func (f *fleet) lostButOf(lost map[string]int, ids ...string) (others []string) {
	for id := range lost {
		if !slices.Contains(ids, id) {
			others = append(others, id)
		}
	}
	return others
}

// A stream that is back before the grace period is over goes on where it was, and
// a leader that has just been elected takes no stream for a former one.
func TestStreamThatComesBackGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(2, 2)
		f := newFleet(t, lease.NewMemoryStore(), s)
		defer f.end()
		lost := 0
		f.onLost = func(lease.LostInfo) { lost++ }
		f.start("a")
		f.start("b")
		time.Sleep(time.Minute)
		id := s.ids[0]
		s.remove(id)
		time.Sleep(40 * time.Minute)
		lock, _ := f.store.Lock(t.Context())
		f.leave(f.workers[lock.Owner]) // whoever leads begins to count anew
		time.Sleep(40 * time.Minute)
		f.start("c")
		s.mu.Lock()
		s.ids = append(s.ids, id)
		s.mu.Unlock()
		time.Sleep(2 * time.Hour)
		if got := streamsOf(t, f.store); got[id] != 2 || lost > 0 || sum(f.counts()) != 4 {
			t.Errorf("rows %v, %d leases lost, %d held; want 2 of %s, 0, 4", got, lost, sum(f.counts()), id)
		}
	})
}

// partly is a source that cannot tell of all streams at times.
type partly struct {
	*stream
	mu     sync.Mutex
	hidden int   // from the front of the list
	err    error // with the rest
}

func (p *partly) Streams(ctx context.Context) ([]lease.Stream, error) {
	list, _ := p.stream.Streams(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	return list[p.hidden:], p.err
}

// What the source cannot tell of is not removed, however short the grace period.
func TestStreamsThatCannotBeToldOfStay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hidden int
		err    error
		rows   int
	}{
		"some with an error":    {1, errCut, 6},
		"none with an error":    {3, errCut, 6},
		"some without an error": {1, nil, 4},
		"none without an error": {3, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &partly{stream: newStreams(3, 2)}
				store := lease.NewMemoryStore()
				c, err := lease.New(store, src, func(o *lease.Options) { o.FormerStreams = 0 })
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() {
					done <- c.Run(ctx, func(fetch, _ context.Context, _ *lease.Held) error {
						<-fetch.Done()
						return nil
					})
				}()
				time.Sleep(30 * time.Second)
				src.mu.Lock()
				src.hidden, src.err = tt.hidden, tt.err
				src.mu.Unlock()
				time.Sleep(10 * time.Minute)
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
				rows := 0
				for _, n := range streamsOf(t, store) {
					rows += n
				}
				if rows != tt.rows {
					t.Errorf("%d rows are left, want %d", rows, tt.rows)
				}
			})
		})
	}
}

func TestSourceOfManyIsJudged(t *testing.T) {
	t.Parallel()
	good := lease.Stream{Name: "s", ID: "1:s:1", Start: checkpoint.TrimHorizon}
	one := lease.Stream{Name: "s", Start: checkpoint.TrimHorizon}
	bad := good
	bad.ID = "s"
	nowhere := good
	nowhere.Start = checkpoint.At("1")
	tests := map[string]struct {
		streams []lease.Stream
		err     error
		worker  string
		want    string
	}{
		"one without an id among many": {[]lease.Stream{good, one}, nil, "w", "no id for s"},
		"no ids":                       {[]lease.Stream{one, one}, nil, "w", "no id for s"},
		"the same twice":               {[]lease.Stream{good, good}, nil, "w", "twice"},
		"a malformed id":               {[]lease.Stream{bad}, nil, "w", "want account:name:epoch"},
		"a start within a shard":       {[]lease.Stream{nowhere}, nil, "w", "want TRIM_HORIZON"},
		"a worker like a stream":       {[]lease.Stream{good}, nil, "1:s:1", "looks like the id of a stream"},
		"a worker like the stream":     {[]lease.Stream{one}, nil, "s", "is the name of the stream"},
		"nothing but an error":         {nil, errCut, "w", errCut.Error()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, err := lease.New(lease.NewMemoryStore(), fixedSource{tt.streams, tt.err}, func(o *lease.Options) { o.WorkerID = tt.worker })
				if err != nil {
					t.Fatal(err)
				}
				err = c.Run(t.Context(), func(context.Context, context.Context, *lease.Held) error { return nil })
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Run() = %v, want %q", err, tt.want)
				}
			})
		})
	}
}

type fixedSource struct {
	streams []lease.Stream
	err     error
}

func (s fixedSource) Streams(context.Context) ([]lease.Stream, error) { return s.streams, s.err }
func (s fixedSource) Shards(context.Context, lease.Stream, lease.ShardsAt) ([]lease.Shard, error) {
	return nil, errors.New("test: no shards")
}
func (s fixedSource) Children(context.Context, lease.Stream, string) ([]lease.Shard, error) {
	return nil, nil
}

// A reader that doubts finds out at once that the stream is another one, not at
// the next listing.
func TestVerifyFindsAStreamThatWasCreatedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStream(4)
		store := lease.NewMemoryStore()
		c, err := lease.New(store, s)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var same []error // what Verify said while it was the same
		var other error  // and then
		held := 0
		err = c.Run(t.Context(), func(_, work context.Context, h *lease.Held) error {
			time.Sleep(30 * time.Second)
			first := h.Verify(work)
			time.Sleep(30 * time.Second)
			s.mu.Lock()
			s.shards = newStream(3).shards
			s.mu.Unlock()
			time.Sleep(time.Second)
			err := h.Verify(work)
			mu.Lock()
			held++
			same, other = append(same, first), errors.Join(other, err)
			mu.Unlock()
			<-work.Done()
			return nil
		})
		if !errors.Is(err, lease.ErrRecreated) {
			t.Errorf("Run() = %v, want ErrRecreated", err)
		}
		if errors.Join(same...) != nil || held != 4 || !errors.Is(other, lease.ErrRecreated) {
			t.Errorf("%d readers were told %v before and %v after, want ErrRecreated", held, same, other)
		}
		if s.lists > 2+1+4 { // at the start, for the first Verify, then one and three to be certain
			t.Errorf("the stream was listed %d times", s.lists)
		}
	})
}

// A slow source takes its time to name its streams.
type slowSource struct {
	*stream
	takes time.Duration
	calls atomic.Int64
}

func (s *slowSource) Streams(ctx context.Context) ([]lease.Stream, error) {
	if s.calls.Add(1) > 2 && !sleep(ctx, s.takes) { // the first are those of the starts
		return nil, context.Cause(ctx)
	}
	return s.stream.Streams(ctx)
}

// A source that takes longer than a minute to name its streams costs nobody the
// lead, holds up no take-over and is heard in the end.
func TestSlowListOfStreamsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &slowSource{stream: newStreams(4, 2), takes: 100 * time.Second}
		store := lease.NewMemoryStore()
		var mu sync.Mutex
		held, elections := map[string]string{}, 0
		stops := make(map[string]func())
		done := make(chan error, 2)
		count := func(id string) (n int) {
			mu.Lock()
			defer mu.Unlock()
			for _, who := range held {
				if id == "" || who == id {
					n++
				}
			}
			return n
		}
		for _, id := range []string{"a", "b"} {
			c, err := lease.New(store, src, func(o *lease.Options) {
				o.WorkerID = id
				o.Events.Elected = func(lease.ElectedInfo) { mu.Lock(); elections++; mu.Unlock() }
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			stops[id] = stop
			go func() {
				done <- c.Run(ctx, func(fetch, _ context.Context, h *lease.Held) error {
					key := h.Stream().ID + h.Shard().ID
					mu.Lock()
					held[key] = id
					mu.Unlock()
					<-fetch.Done()
					mu.Lock()
					delete(held, key)
					mu.Unlock()
					return nil
				})
			}()
		}
		time.Sleep(5 * time.Minute)
		mu.Lock()
		if elections != 1 {
			t.Errorf("%d elections in five minutes, want 1", elections)
		}
		mu.Unlock()
		src.add("123456789012:late:1800000000", 2)
		time.Sleep(5 * time.Minute)
		if n := count(""); n != 10 {
			t.Errorf("%d leases held, want the 8 there were and the 2 of the new stream", n)
		}
		stops["a"]()
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if n := count("b"); n != 10 {
			t.Errorf("b holds %d leases after a left, want 10", n)
		}
		stops["b"]()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
