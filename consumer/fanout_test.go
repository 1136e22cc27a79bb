package consumer_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// fanOut makes a worker read by fan-out.
func fanOut(o *consumer.Options) { o.Retrieval, o.FanOutConsumer = consumer.FanOut, "clicks-app" }

// calls counts the calls of an operation from now on.
func (w *world) calls(op string) *atomic.Int64 {
	n := new(atomic.Int64)
	w.srv.Inject(kinesistest.Fault{Operation: op, Match: func(*kinesistest.Call) bool { n.Add(1); return false }})
	return n
}

// switches collects the changes of retrieval.
type switches struct {
	mu  sync.Mutex
	all []consumer.RetrievalInfo
}

func (s *switches) option(o *consumer.Options) {
	o.Events.RetrievalChanged = func(i consumer.RetrievalInfo) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, i)
	}
}

func (s *switches) ways() (to []consumer.Retrieval) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.all {
		to = append(to, i.To)
	}
	return to
}

// G1, G2 by fan-out: through subscriptions that end every 5 minutes, a split and a
// merge, everything arrives once and in order, and nobody polls once the consumer
// is ACTIVE.
func TestFanOutDeliversEverythingOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.puts(500)
		a := w.run(w.worker("w1", fanOut), w.handler("w1"))
		b := w.run(w.worker("w2", fanOut), w.handler("w2"))
		w.settle(time.Minute)
		time.Sleep(20 * time.Second) // the consumer is ACTIVE
		polls, subs := w.calls("GetRecords"), w.calls("SubscribeToShard")
		for i := range 16 {
			w.puts(100)
			time.Sleep(time.Minute)
			switch i {
			case 6:
				w.split(id(1))
			case 11:
				w.merge(id(0), id(3))
			}
		}
		w.settle(time.Minute)
		if err := errors.Join(a(), b()); err != nil {
			t.Error(err)
		}
		w.checkOrder()
		if n := w.repeated(); n > 0 {
			t.Errorf("%d records delivered twice", n)
		}
		if polls.Load() > 0 {
			t.Errorf("%d polls", polls.Load())
		}
		if n := subs.Load(); n < 9 || n > 20 {
			t.Errorf("%d subscriptions in 16 minutes of 3 to 4 shards, want one for each 5 minutes", n)
		}
		if c := w.srv.Consumers(stream); len(c) != 1 || c[0].Name != "clicks-app" || len(c[0].Subscriptions) > 0 {
			t.Errorf("consumers %+v, want one without a subscription", c)
		}
	})
}

// A connection that is cut, or cannot be made for some seconds, is made again, and
// nobody polls for that; one that cannot for long is given up for polling.
func TestNetworkErrorIsNoReasonToPoll(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault kinesistest.Fault
		polls bool
	}{
		"refused once":  {kinesistest.Fault{Lose: kinesistest.LoseRequest, Times: 3}, false},
		"answer lost":   {kinesistest.Fault{Lose: kinesistest.LoseResponse, Times: 3}, false},
		"cut at once":   {kinesistest.Fault{Subscription: kinesistest.Breakage{Kind: kinesistest.BreakCut}, Times: 3}, false},
		"refused long":  {kinesistest.Fault{Lose: kinesistest.LoseRequest}, true},
		"cut each time": {kinesistest.Fault{Subscription: kinesistest.Breakage{Kind: kinesistest.BreakCut}}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				var s switches
				stop := w.run(w.worker("w1", fanOut, s.option), w.handler("w1"))
				w.subscribed(3)
				time.Sleep(10 * time.Second)
				before := len(s.ways())
				polls := w.calls("GetRecords")
				tt.fault.Operation = "SubscribeToShard"
				heal := w.srv.Inject(tt.fault)
				time.Sleep(6 * time.Minute) // each is subscribed to anew
				heal()
				w.puts(60)
				w.settle(time.Minute)
				if polled := polls.Load() > 0 || len(s.ways()) > before; polled != tt.polls {
					t.Errorf("%d polls, ways %v, want some: %v", polls.Load(), s.ways()[before:], tt.polls)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
				if n := w.repeated(); n > 0 {
					t.Errorf("%d records delivered twice", n)
				}
			})
		})
	}
}

// What breaks a subscription loses and repeats nothing (KCL PR#562, PR#596).
func TestFanOutHealsItself(t *testing.T) {
	t.Parallel()
	breaks := func(k kinesistest.BreakKind, after time.Duration) kinesistest.Fault {
		return kinesistest.Fault{Operation: "SubscribeToShard", Probability: 0.7, Subscription: kinesistest.Breakage{Kind: k, After: after, AfterEvents: 1}}
	}
	refuses := func(code string) kinesistest.Fault {
		return kinesistest.Fault{Operation: "SubscribeToShard", Probability: 0.7, Error: &kinesistest.Error{Code: code, Message: "by a fault"}}
	}
	tests := map[string]kinesistest.Fault{
		"cut at once":        {Operation: "SubscribeToShard", Probability: 0.7, Subscription: kinesistest.Breakage{Kind: kinesistest.BreakCut}},
		"cut":                breaks(kinesistest.BreakCut, 7*time.Second),
		"torn":               breaks(kinesistest.BreakTruncate, 20*time.Second),
		"ended early":        breaks(kinesistest.BreakEnd, 0),
		"stalled":            breaks(kinesistest.BreakStall, 20*time.Second),
		"never an event":     {Operation: "SubscribeToShard", Probability: 0.7, Subscription: kinesistest.Breakage{Kind: kinesistest.BreakStall}},
		"corrupt":            breaks(kinesistest.BreakCorrupt, 3*time.Second),
		"exception":          breaks(kinesistest.BreakError, 40*time.Second),
		"resource in use":    refuses("ResourceInUseException"),
		"limit exceeded":     refuses("LimitExceededException"),
		"internal failure":   {Operation: "SubscribeToShard", Probability: 0.7, Error: kinesistest.InternalFailure},
		"access denied":      refuses("AccessDeniedException"),
		"hangs":              {Operation: "SubscribeToShard", Probability: 0.7, Hang: true},
		"answers lost":       {Operation: "SubscribeToShard", Probability: 0.7, Lose: kinesistest.LoseResponse},
		"polling throttled":  {Operation: "*", Probability: 0.5, Error: kinesistest.Throttled, Match: reads},
		"consumer not found": refuses("ResourceNotFoundException"),
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				f.Seed = 7
				heal := w.srv.Inject(f)
				var s switches
				stop := w.run(w.worker("w1", fanOut, s.option), w.handler("w1"))
				for i := range 12 {
					w.puts(50)
					time.Sleep(10 * time.Second)
					if i == 6 {
						w.split(id(1))
					}
				}
				w.settle(time.Minute)
				heal()
				w.subscribed(3) // all are back at fan-out
				polls := w.calls("GetRecords")
				w.puts(100)
				w.settle(time.Minute)
				if err := stop(); err != nil {
					t.Error(err)
				}
				w.checkOrder()
				if n := w.repeated(); n > 0 {
					t.Errorf("%d records delivered twice", n)
				}
				if polls.Load() > 0 {
					t.Errorf("after all is well it polls; switches %v", s.ways())
				}
			})
		})
	}
}

// A handler that blocks for longer than a subscription lives is no fault of the
// server's: memory stays bounded, the subscription ends unread and is resumed,
// nothing is lost or repeated, and nothing is polled for.
func TestHandlerThatBlocksOutlivesItsSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		var s switches
		budget := consumer.NewBudget(16 << 20)
		release := make(chan struct{})
		stop := w.run(w.worker("w1", fanOut, s.option, func(o *consumer.Options) { o.Budget = budget }), func(ctx context.Context, sh *consumer.Shard) error {
			blocked := false
			return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				if !blocked {
					blocked = true
					<-release
				}
				w.record("w1", sh.ID(), r)
				return nil
			})(ctx, sh)
		})
		time.Sleep(20 * time.Second) // the consumer is ACTIVE
		polls, before := w.calls("GetRecords"), len(s.ways())
		for range 38 {
			w.puts(100)
			time.Sleep(10 * time.Second)
		}
		if used := budget.Used(); used == 0 || used > 1<<20 {
			t.Errorf("%d bytes in use while the handler blocks", used)
		}
		close(release)
		w.settle(time.Minute)
		if n := w.repeated(); n > 0 || polls.Load() > 0 || len(s.ways()) > before {
			t.Errorf("%d repeated, %d polls, switches %v; want no more than the first", n, polls.Load(), s.ways())
		}
		w.checkOrder()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if budget.Used() != 0 {
			t.Errorf("%d bytes in use at the end", budget.Used())
		}
	})
}

// The service refuses a second subscription for 5 seconds after the first was
// opened, by its clock, which is later than the call.
func TestSubscriptionSlowToOpenIsRenewedWithoutARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.srv.Inject(kinesistest.Fault{
			Operation: "SubscribeToShard", Times: 1, Delay: 2 * time.Second,
			Subscription: kinesistest.Breakage{Kind: kinesistest.BreakCut, AfterEvents: 1},
		})
		var refused []error
		subs := w.calls("SubscribeToShard")
		stop := w.run(w.worker("w1", fanOut, func(o *consumer.Options) {
			o.Events.ReadFailed = func(i consumer.ReadFailedInfo) { refused = append(refused, i.Err) }
		}), w.handler("w1"))
		w.subscribed(1)
		w.puts(10)
		time.Sleep(10 * time.Second)
		w.puts(10)
		w.settle(10 * time.Second)
		synctest.Wait()
		if n := w.repeated(); n > 0 || len(refused) != 1 || subs.Load() != 2 {
			t.Errorf("%d repeated, %d subscriptions, failures %v; want one, the cut", n, subs.Load(), refused)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// What retention took before a worker came back is told and passed over, by
// fan-out as by polling.
func TestFanOutGoesOnAtTheHorizonWhenItsPositionIsTrimmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		var mu sync.Mutex
		var skipped []consumer.SkippedInfo
		c := w.worker("w1", fanOut, func(o *consumer.Options) {
			o.Events.Skipped = func(i consumer.SkippedInfo) {
				mu.Lock()
				defer mu.Unlock()
				skipped = append(skipped, i)
			}
		})
		stop := w.run(c, w.handler("w1"))
		w.subscribed(1)
		w.puts(10)
		w.settle(10 * time.Second)
		time.Sleep(time.Second)
		if err := stop(); err != nil || len(skipped) > 0 {
			t.Fatalf("Run = %v, skipped %+v", err, skipped)
		}
		last := w.delivered[len(w.delivered)-1].position
		w.puts(10) // will be gone
		time.Sleep(30 * time.Hour)
		clear(w.put)
		w.putsFrom(0, 20)
		stop = w.run(c, w.handler("w1"))
		w.settle(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(skipped) != 1 || skipped[0].Reason != consumer.SkippedTrimmed || skipped[0].From.SequenceNumber != last.SequenceNumber {
			t.Errorf("reported %+v, want what lies behind %v", skipped, last)
		}
		if n := w.count(); n != 30 {
			t.Errorf("%d deliveries, want 10 and 20", n)
		}
	})
}

// Who takes a shard over while the service still counts the subscription of the
// one before is refused for some seconds, and waits for that: it does not poll.
func TestTakeOverWaitsForTheSubscriptionBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		stop := w.run(w.worker("w1", fanOut), w.handler("w1"))
		w.subscribed(2)
		w.puts(50)
		w.settle(10 * time.Second)
		time.Sleep(time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		polls := w.calls("GetRecords")
		began := time.Now()
		w.srv.Inject(kinesistest.Fault{
			Operation: "SubscribeToShard", Error: &kinesistest.Error{Code: "ResourceInUseException", Message: "by a fault"},
			Match: func(*kinesistest.Call) bool { return time.Since(began) < 6*time.Second },
		})
		w.puts(50)
		stop = w.run(w.worker("w2", fanOut), w.handler("w2"))
		w.settle(20 * time.Second)
		if n := w.repeated(); n > 0 || polls.Load() > 0 {
			t.Errorf("%d repeated, %d polls", n, polls.Load())
		}
		w.checkOrder()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
