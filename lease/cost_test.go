package lease_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

// A meter prices a store's calls in DynamoDB's request units: a write is five
// reads, an eventually consistent read half a one per 4 KiB.
type meter struct {
	mu    sync.Mutex // guards all fields below
	on    bool
	units float64
	calls map[string]int
}

func (m *meter) turn(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = on
}

const rowBytes = 400 // a lease row with an owner and a sequence number

func (m *meter) charge(c storeCall, leases int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on {
		return
	}
	m.calls[c.op]++
	switch c.op {
	case "owned":
		m.units += 0.5
	case "row", "lock":
		m.units++
	case "snapshot":
		m.units += math.Ceil(float64(leases*rowBytes)/4096) / 2
	default:
		m.units += 5
	}
}

// kclUnits is what workers of the KCL 3.5 were measured to cost a minute, with
// idle streams and default settings.
func kclUnits(workers, leases int) float64 {
	w, l := float64(workers), float64(leases)
	scan := math.Ceil(l*rowBytes/4096) / 2
	return 5*18.14*l + 6*w*0.5 + 2*w*5 + 2*5 + 4*(w-1) + 3.5*scan
}

func TestIdleFleetCostsNoMoreThanTheKCL(t *testing.T) {
	t.Parallel()
	tests := []struct{ workers, leases int }{{1, 8}, {1, 32}, {2, 4}, {2, 16}, {2, 32}, {3, 24}, {4, 32}, {5, 100}}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d workers %d leases", tt.workers, tt.leases), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &meter{calls: make(map[string]int)}
				store := lease.NewMemoryStore()
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				for i := range tt.workers {
					id := fmt.Sprintf("w%d", i)
					f := &faulty{Store: store, id: id, onWrite: func(lease.Write) {}}
					f.faults(func(c storeCall) (error, bool) {
						m.charge(c, tt.leases)
						return nil, false
					}, nil)
					c, err := lease.New(f, newStream(tt.leases), func(o *lease.Options) { o.WorkerID = id })
					if err != nil {
						t.Fatal(err)
					}
					go func() {
						done <- c.Run(ctx, func(fetch, _ context.Context, _ *lease.Held) error {
							<-fetch.Done()
							return nil
						})
					}()
				}
				time.Sleep(time.Minute)
				m.turn(true)
				const minutes = 10
				time.Sleep(minutes * time.Minute)
				m.turn(false)
				stop()
				for range tt.workers {
					<-done
				}
				ours, theirs := m.units/minutes, kclUnits(tt.workers, tt.leases)
				bound := theirs
				if tt.leases < 8*tt.workers {
					bound += 30 * float64(tt.workers)
				}
				t.Logf("%.0f units a minute, KCL %.0f; calls in %d minutes: %v", ours, theirs, minutes, m.calls)
				if ours > bound {
					t.Errorf("%.0f units a minute, want at most %.0f", ours, bound)
				}
			})
		})
	}
}
