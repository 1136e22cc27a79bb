package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAcquireAndRelease(t *testing.T) {
	t.Parallel()
	b := New(1 << 20)
	s := b.Share()
	if err := s.Acquire(t.Context(), 1<<20); err != nil {
		t.Fatal(err)
	}
	if b.Used() != 1<<20 {
		t.Errorf("Used = %d, want all", b.Used())
	}
	if s.TryAcquire(1) {
		t.Error("TryAcquire took a byte of a used up budget")
	}
	s.Release(1 << 20)
	if b.Used() != 0 {
		t.Errorf("Used = %d after Release, want 0", b.Used())
	}
	if !s.TryAcquire(1<<20 - 1) {
		t.Error("what is free cannot be taken")
	}
}

func TestTooLargeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := New(1000).Share()
	var tooLarge *TooLargeError
	if err := s.Acquire(t.Context(), 1001); !errors.As(err, &tooLarge) || *tooLarge != (TooLargeError{1001, 1000}) {
		t.Errorf("Acquire(1001 of 1000) = %v", err)
	}
}

// What idle shares have drawn ahead is not lost to the others.
func TestPortionsOfIdleSharesAreUsable(t *testing.T) {
	t.Parallel()
	b := New(1 << 20)
	for range 100 {
		s := b.Share()
		s.TryAcquire(1)
		s.Release(1)
	}
	if !b.Share().TryAcquire(1 << 20) {
		t.Errorf("an unused budget refuses its whole: %d free", b.free.Load())
	}
}

func TestWaitersAreServedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1000)
		s := b.Share()
		s.TryAcquire(1000)
		var order []int
		var mu sync.Mutex
		for i := range 10 {
			go func() {
				if err := s.Acquire(t.Context(), 100); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		if s.TryAcquire(1) {
			t.Error("TryAcquire overtook those who wait")
		}
		for range 10 {
			s.Release(100)
			synctest.Wait()
		}
		for i, got := range order {
			if got != i {
				t.Fatalf("served %v, want the order of arrival", order)
			}
		}
		if len(order) != 10 {
			t.Fatalf("served %d of 10", len(order))
		}
	})
}

func TestContextEndsAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1 << 20)
		s := b.Share()
		s.TryAcquire(1 << 20)
		for _, n := range []int64{100, 1 << 18} {
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			if err := s.Acquire(ctx, n); !errors.Is(err, cause) {
				t.Errorf("Acquire = %v, want the context's cause", err)
			}
		}
		s.Release(1 << 20)
		if b.Used() != 0 || b.waiting.Load() != 0 {
			t.Errorf("Used = %d, waiting = %d after all is over", b.Used(), b.waiting.Load())
		}
	})
}

// A share that takes all it gets leaves room for a share that comes later.
func TestHotShareLeavesRoom(t *testing.T) {
	t.Parallel()
	const total = 64 << 20
	b := New(total)
	hot, cold := b.Share(), b.Share()
	taken := 0
	for hot.TryAcquire(1 << 10) {
		taken += 1 << 10
	}
	if taken < total*85/100 {
		t.Errorf("a lone hot share got %d of %d", taken, total)
	}
	n := 0
	for cold.TryAcquire(1 << 10) {
		n += 1 << 10
	}
	if n < total/16 {
		t.Errorf("beside a hot share another got %d of %d", n, total)
	}
	late := b.Share()
	if !late.TryAcquire(1 << 10) {
		t.Error("beside two hot shares a third got nothing")
	}
}

// Large and small requests wait side by side, and neither starves the other.
func TestLargeAndSmallShareWhatIsReleased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const total = 16 << 20
		b := New(total)
		s := b.Share()
		var wg sync.WaitGroup
		var small atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		for range 200 { // together they use all of it, all the time
			wg.Go(func() {
				for ctx.Err() == nil && s.Acquire(ctx, 60<<10) == nil {
					small.Add(1)
					time.Sleep(10 * time.Millisecond)
					s.Release(60 << 10)
				}
			})
		}
		for range 3 {
			time.Sleep(100 * time.Millisecond)
			large := b.Share()
			before, start := small.Load(), time.Now()
			if err := large.Acquire(ctx, 10<<20); err != nil {
				t.Fatal(err)
			}
			// Everything is released every 10 ms, half of it for the large one.
			d := time.Since(start)
			if d > time.Second {
				t.Errorf("a large request waited %v", d)
			}
			if d > 10*time.Millisecond && small.Load() == before {
				t.Errorf("no small request was served in the %v a large one waited", d)
			}
			large.Release(10 << 20)
			large.Close()
		}
		cancel()
		wg.Wait()
	})
}

// A large request that cannot be met, because a stuck shard holds too much,
// does not starve the others meanwhile.
func TestLargeLeavesSomethingInCirculation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const total = 64 << 20
		b := New(total)
		stuck, s := b.Share(), b.Share()
		var held int64
		for stuck.TryAcquire(1 << 10) {
			held += 1 << 10
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if large := b.Share(); large.Acquire(ctx, 10<<20) == nil {
				large.Release(10 << 20)
			}
		})
		synctest.Wait()
		served := 0
		for range 100 {
			for range 10 {
				if err := s.Acquire(ctx, 10<<10); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond)
			s.Release(100 << 10)
			served++
		}
		if b.pot == 0 || served != 100 {
			t.Errorf("%d put by, %d rounds served", b.pot, served)
		}
		stuck.Release(held)
		wg.Wait() // served without cancel
		cancel()
	})
}

func TestCloseEndsWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1 << 20)
		s := b.Share()
		s.TryAcquire(1 << 20)
		errs := make(chan error, 2)
		for _, n := range []int64{10, 1 << 19} {
			go func() { errs <- s.Acquire(t.Context(), n) }()
		}
		synctest.Wait()
		s.Close()
		s.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, ErrClosed) {
				t.Errorf("Acquire = %v, want ErrClosed", err)
			}
		}
		if err := s.Acquire(t.Context(), 10); !errors.Is(err, ErrClosed) {
			t.Errorf("Acquire of a closed share = %v, want ErrClosed", err)
		}
		s.Release(1 << 20)
		if !b.Share().TryAcquire(1 << 20) {
			t.Error("what a closed share released is not free")
		}
	})
}

func TestTransferMovesUse(t *testing.T) {
	t.Parallel()
	b := New(1000)
	from, to := b.Share(), b.Share()
	from.TryAcquire(600)
	from.Transfer(to, 600)
	from.Close()
	to.Release(600)
	to.Close()
	if b.free.Load() != 1000 {
		t.Errorf("%d of 1000 free after all was released", b.free.Load())
	}
}

func TestChargeIsRepaid(t *testing.T) {
	t.Parallel()
	b := New(1000)
	s := b.Share()
	s.Charge(1500)
	if s.TryAcquire(1) || b.Share().TryAcquire(1) {
		t.Error("a budget in debt gave something")
	}
	s.Release(1500)
	if b.Used() != 0 || !s.TryAcquire(900) {
		t.Errorf("Used = %d after the debt was repaid", b.Used())
	}
}

// Whatever happens, no more than the total is in use, everybody is served, and
// in the end all of it is free.
func TestNothingIsLostUnderStress(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const total = 4 << 20
			b := New(total)
			var used, high atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				s := b.Share()
				var users sync.WaitGroup
				for u := range uint64(4) {
					users.Go(func() {
						r := rand.New(rand.NewPCG(seed, u))
						for range 100 {
							n := int64(1 + r.IntN(200))
							if r.IntN(20) == 0 {
								n = int64(1 + r.IntN(total))
							}
							ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(1000))*time.Millisecond)
							if s.Acquire(ctx, n) == nil {
								high.Store(max(high.Load(), used.Add(n)))
								time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
								used.Add(-n)
								s.Release(n)
							}
							cancel()
						}
					})
				}
				wg.Go(func() {
					users.Wait()
					s.Close()
				})
			}
			wg.Wait()
			if high.Load() > total {
				t.Errorf("seed %d: %d in use of %d", seed, high.Load(), total)
			}
			if b.free.Load() != total || b.waiting.Load() != 0 || b.open.Load() != 0 || b.pot != 0 {
				t.Errorf("seed %d: at the end %d free, %d waiting, %d shares, pot %d", seed, b.free.Load(), b.waiting.Load(), b.open.Load(), b.pot)
			}
		})
	}
}

func BenchmarkShare(b *testing.B) {
	b.Run("uncontended", func(b *testing.B) {
		s := New(64 << 20).Share()
		b.ReportAllocs()
		for b.Loop() {
			s.TryAcquire(128)
			s.Release(128)
		}
	})
	b.Run("each-its-own", func(b *testing.B) {
		bud := New(64 << 20)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			s := bud.Share()
			for pb.Next() {
				s.TryAcquire(128)
				s.Release(128)
			}
		})
	})
	b.Run("one-for-all", func(b *testing.B) {
		s := New(64 << 20).Share()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s.TryAcquire(128)
				s.Release(128)
			}
		})
	})
}
