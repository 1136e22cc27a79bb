package lease_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// The longest outage that no handler notices: from just before a renewal is due to
// one pace of the last tries before the work would end, less the time of an answer.
const unnoticed = failover*9/10 - failover*2/5 - failover/40 - 25*time.Millisecond

// What the table does in an outage, as long as it lasts.
var outages = map[string]func(s *faulty) (end func()){
	"fails": func(s *faulty) func() {
		s.faults(func(storeCall) (error, bool) { return errCut, false }, nil)
		return func() { s.faults(nil, nil) }
	},
	"swallows requests": func(s *faulty) func() {
		s.faults(nil, func(storeCall) time.Duration { return time.Hour })
		return func() { s.faults(nil, nil) }
	},
	"answers when it is over": func(s *faulty) func() {
		s.pause()
		return s.resume
	},
	"loses answers": func(s *faulty) func() {
		s.faults(func(storeCall) (error, bool) { return nil, true }, nil)
		return func() { s.faults(nil, nil) }
	},
}

// Whenever it begins and whether or not checkpoints are being stored, an outage of
// up to that length ends no work.
func TestOutageUpToTheBoundIsNotNoticed(t *testing.T) {
	t.Parallel()
	for name, begin := range outages {
		for _, checkpoints := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					holdOne(t, func(store *faulty, _, work context.Context, h *lease.Held) {
						if checkpoints {
							stop := storeEveryNow(work, h)
							defer stop()
						}
						for phase := time.Duration(0); phase < failover*2/5; phase += 130 * time.Millisecond {
							for _, length := range []time.Duration{unnoticed, unnoticed * 3 / 4, unnoticed / 3} {
								time.Sleep(failover + phase)
								end := begin(store)
								time.Sleep(length)
								end()
								time.Sleep(failover / 2)
								if work.Err() != nil {
									t.Errorf("an outage of %v ended the work: %v", length, context.Cause(work))
									return
								}
							}
						}
					})
				})
			})
		}
	}
}

// storeEveryNow stores checkpoints until it is stopped.
func storeEveryNow(ctx context.Context, h *lease.Held) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := position(0); sleep(ctx, 700*time.Millisecond); p++ {
			_ = h.Checkpoint(ctx, p.at()) // what fails is stored by the next
		}
	}()
	return func() { cancel(); <-done }
}

// A position counts the checkpoints of a test.
type position int

func (p position) at() checkpoint.Position {
	return checkpoint.At(shardID(1000 + int(p))[len("shardId-"):])
}

// An outage that begins just after a renewal may be longer, up to the time for one
// more try.
func TestOutageJustAfterARenewalMayBeLonger(t *testing.T) {
	t.Parallel()
	for name, begin := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				holdOne(t, func(store *faulty, _, work context.Context, h *lease.Held) {
					time.Sleep(failover)
					if err := h.Checkpoint(work, checkpoint.At("1")); err != nil { // counts as a renewal
						t.Fatal(err)
					}
					end := begin(store)
					time.Sleep(failover*7/8 - 25*time.Millisecond)
					end()
					time.Sleep(failover)
					if work.Err() != nil {
						t.Errorf("it ended the work: %v", context.Cause(work))
					}
				})
			})
		})
	}
}
