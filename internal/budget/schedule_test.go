package budget

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A held is what somebody has, or waits for.
type held struct {
	share  *Share
	bytes  int64
	got    bool
	over   bool
	cancel context.CancelFunc
}

// Whatever is asked, given up, released, moved and closed in whatever order, when
// nothing moves any more every byte is accounted for and nobody waits for what is
// there.
func TestNobodyWaitsForWhatIsThere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			const total = 1 << 20
			r := rand.New(rand.NewPCG(seed, 1))
			b := New(total)
			shares := []*Share{b.Share(), b.Share(), b.Share(), b.Share()}
			var all []*held
			has := func(h *held) bool { return h.got && !h.over }
			for range 400 {
				switch k := r.IntN(40); {
				case k < 19:
					n := int64(1 + r.IntN(60<<10))
					if r.IntN(4) == 0 {
						n = int64(maxPortion + 1 + r.IntN(total-maxPortion))
					}
					ctx, cancel := context.WithCancel(t.Context())
					h := &held{share: shares[r.IntN(len(shares))], bytes: n, cancel: cancel}
					all = append(all, h)
					go func() {
						h.got = h.share.Acquire(ctx, n) == nil
						h.over = !h.got
					}()
				case k < 33:
					if h := pick(r, all, has); h != nil {
						h.over = true
						h.share.Release(h.bytes)
					}
				case k < 36:
					if h := pick(r, all, func(h *held) bool { return !h.got && !h.over }); h != nil {
						h.cancel()
					}
				case k < 37:
					if h := pick(r, all, has); h != nil {
						to := shares[r.IntN(len(shares))]
						h.share.Transfer(to, h.bytes)
						h.share = to
						b.serve() // as the next Release does
					}
				case k < 38:
					if h := pick(r, all, has); h != nil {
						h.share.Charge(1 << 10)
						h.bytes += 1 << 10
					}
				default:
					i := r.IntN(len(shares))
					shares[i].Close()
					shares[i] = b.Share()
				}
				synctest.Wait()
				checkRest(t, b, all)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			for _, h := range all {
				h.cancel()
				synctest.Wait()
				if h.got && !h.over {
					h.over = true
					h.share.Release(h.bytes)
				}
			}
			synctest.Wait()
			if b.Used() != 0 || b.waiting.Load() != 0 || b.pot != 0 {
				t.Errorf("seed %d: %d used, %d waiting, %d put by at the end", seed, b.Used(), b.waiting.Load(), b.pot)
			}
		})
	}
}

// pick returns one of those that are as they should be, nil if none is.
func pick(r *rand.Rand, all []*held, as func(*held) bool) *held {
	var some []*held
	for _, h := range all {
		if as(h) {
			some = append(some, h)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[r.IntN(len(some))]
}

func checkRest(t *testing.T, b *Budget, all []*held) {
	t.Helper()
	used := int64(0)
	for _, h := range all {
		if h.got && !h.over {
			used += h.bytes
		}
	}
	free := b.free.Load()
	if b.Used() != used {
		t.Errorf("%d used, want %d; %d free", b.Used(), used, free)
	}
	if b.waiting.Load() == 0 {
		return
	}
	for s := range b.shares {
		if n := s.spare.Load(); n > 0 {
			t.Errorf("%d drawn ahead while others wait", n)
		}
		if len(s.queue) > 0 && s.fair(free, s.queue[0].bytes) {
			t.Errorf("%d bytes wait, with %d free", s.queue[0].bytes, free)
		}
	}
	if len(b.large) > 0 && len(b.hungry) == 0 {
		// What nothing was put by for waits for a release: its share has much.
		w := b.large[0]
		if free+b.pot >= w.bytes && (b.pot > 0 || w.share.fair(free, w.bytes)) {
			t.Errorf("%d bytes wait, with %d free and %d put by", w.bytes, free, b.pot)
		}
	}
}

// A portion that was chosen just before somebody began to wait does not lie
// unused meanwhile.
func TestPortionGoesToWhoBeganToWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1 << 20)
		idle, other, late := b.Share(), b.Share(), b.Share()
		other.TryAcquire(800 << 10)
		portion := idle.portion()
		got := false
		go func() { got = late.Acquire(t.Context(), 300<<10) == nil }()
		synctest.Wait()
		if !idle.drawAhead(1<<10, portion) || portion != maxPortion {
			t.Fatal("no portion was drawn")
		}
		other.Release(100 << 10)
		synctest.Wait()
		if !got {
			t.Errorf("300 KiB wait, with %d bytes free, %d put by and %d drawn ahead", b.free.Load(), b.pot, idle.spare.Load())
		}
	})
}

// Beside many shards that fill the Budget with little requests, in all of which
// there is never as much free at once as it asks for, a larger one has its turn,
// and a shard with such requests gets no less than the others.
func TestMiddlingRequestsHaveTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const shares, users, little, middling = 40, 24, 1 << 10, 12 << 10
		b := New(shares * users / 2 * little)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var passed [shares]atomic.Int64
		for i := range passed {
			s, n := b.Share(), int64(little)
			if i == 0 {
				n = middling
			}
			for u := range users {
				r := rand.New(rand.NewPCG(uint64(i), uint64(u)))
				wg.Go(func() {
					for ctx.Err() == nil && s.Acquire(ctx, n) == nil {
						time.Sleep(time.Duration(r.IntN(int(20 * time.Millisecond))))
						s.Release(n)
						passed[i].Add(n)
					}
				})
			}
		}
		time.Sleep(200 * time.Millisecond)
		late := b.Share()
		soon, stop := context.WithTimeout(ctx, 100*time.Millisecond)
		defer stop()
		if err := late.Acquire(soon, middling); err != nil {
			t.Errorf("a shard that came later waits: %v", err)
		} else {
			late.Release(middling)
		}
		time.Sleep(500 * time.Millisecond)
		cancel()
		wg.Wait()
		sum := int64(0)
		for i := range passed {
			sum += passed[i].Load()
		}
		if got, part := passed[0].Load(), sum/shares; got < part/2 || got > 3*part {
			t.Errorf("a shard with middling requests got %d bytes, the others %d on average", got, part)
		}
	})
}
