package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
)

// failover makes a worker's failover time short.
func failover(d time.Duration) func(*consumer.Options) {
	return func(o *consumer.Options) {
		before := o.Lease
		o.Lease = func(l *lease.Options) {
			before(l)
			l.FailoverTime = d
		}
	}
}

// G1, G2: whatever the stream's calls do, everything arrives, in order.
func TestEverythingArrivesThroughFaultsOfTheStream(t *testing.T) {
	t.Parallel()
	get := func(f kinesistest.Fault) kinesistest.Fault { f.Operation = "GetRecords"; return f }
	tests := map[string]kinesistest.Fault{
		"half throttled":      get(kinesistest.Fault{Probability: 0.5, Error: kinesistest.Throttled}),
		"half fail":           get(kinesistest.Fault{Probability: 0.5, Error: kinesistest.InternalFailure}),
		"a third lost":        get(kinesistest.Fault{Probability: 0.33, Lose: kinesistest.LoseResponse}),
		"a fifth hang":        get(kinesistest.Fault{Probability: 0.2, Hang: true}),
		"half expire":         get(kinesistest.Fault{Probability: 0.5, Error: &kinesistest.Error{Code: "ExpiredIteratorException"}}),
		"iterators refused":   {Operation: "GetShardIterator", Probability: 0.5, Error: &kinesistest.Error{Code: "InvalidArgumentException", Message: "Invalid ShardIterator."}, Match: func(c *kinesistest.Call) bool { return !strings.Contains(string(c.Body), "SEQUENCE") }},
		"lists fail":          {Operation: "ListShards", Probability: 0.5, Error: kinesistest.ServiceUnavailable},
		"everything is lossy": {Service: kinesistest.Kinesis, Probability: 0.3, Lose: kinesistest.LoseResponse, Match: reads},
		"everything is slow":  {Delay: 300 * time.Millisecond, Match: reads},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.puts(500)
				w.srv.Inject(f)
				a := w.run(w.worker("w1"), w.handler("w1"))
				b := w.run(w.worker("w2"), w.handler("w2"))
				w.settle(10 * time.Minute)
				w.split(id(1))
				w.puts(500)
				w.merge(id(0), id(3))
				w.puts(500)
				w.settle(10 * time.Minute)
				if err := errors.Join(a(), b()); err != nil {
					t.Error(err)
				}
				w.checkOrder()
				if n := w.repeated(); n > 0 {
					t.Errorf("%d records delivered twice although no lease was lost", n)
				}
			})
		})
	}
}

// reads chooses what consumers call.
func reads(c *kinesistest.Call) bool {
	return c.Operation == "GetRecords" || c.Operation == "GetShardIterator" || c.Operation == "ListShards"
}

// G1, G2 while the table is in trouble: lost answers, throttling, outages.
func TestEverythingArrivesThroughFaultsOfTheTable(t *testing.T) {
	t.Parallel()
	table := func(f kinesistest.Fault) kinesistest.Fault { f.Service = kinesistest.DynamoDB; return f }
	tests := map[string]kinesistest.Fault{
		"a third of the answers lost": table(kinesistest.Fault{Probability: 0.33, Lose: kinesistest.LoseResponse}),
		"half throttled":              table(kinesistest.Fault{Probability: 0.5, Error: kinesistest.Throttled}),
		"checkpoints applied, then 500": table(kinesistest.Fault{
			Operation: "UpdateItem", Probability: 0.5, Applied: true,
			Error: &kinesistest.Error{Status: 500, Code: "InternalServerError"},
		}),
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.puts(500)
				a := w.run(w.worker("w1"), w.handler("w1"))
				b := w.run(w.worker("w2"), w.handler("w2"))
				w.settle(time.Minute)
				heal := w.srv.Inject(f)
				w.split(id(1))
				for range 20 {
					w.puts(50)
					time.Sleep(3 * time.Second)
				}
				w.merge(id(0), id(3))
				w.puts(500)
				time.Sleep(time.Minute)
				heal()
				w.settle(10 * time.Minute)
				if err := errors.Join(a(), b()); err != nil {
					t.Error(err)
				}
				w.checkOrder()
				w.checkCheckpoints()
			})
		})
	}
}

// checkCheckpoints fails unless in every row the stored position only rose and
// never passed what had been delivered by then.
func (w *world) checkCheckpoints() {
	w.t.Helper()
	stored := map[string]checkpoint.Position{}
	for _, c := range w.srv.Journal() {
		if c.Write == nil || c.Write.After == nil {
			continue
		}
		key, _ := c.Write.After["leaseKey"].(string)
		seq, ok := c.Write.After["checkpoint"].(string)
		if !ok || !strings.HasPrefix(key, "shardId-") {
			continue
		}
		p := checkpoint.At(seq)
		if sub, ok := c.Write.After["checkpointSubSequenceNumber"]; ok {
			fmt.Sscan(fmt.Sprint(sub), &p.SubSequenceNumber)
		}
		if before, ok := stored[key]; ok && p.Compare(before) < 0 {
			w.t.Errorf("shard %s: the checkpoint moved from %v back to %v", key, before, p)
		}
		if p == stored[key] {
			continue
		}
		stored[key] = p
		if p.IsRecord() && !slices.ContainsFunc(w.delivered, func(d delivery) bool {
			return d.shard == key && d.position == p && !d.at.After(c.Time)
		}) {
			w.t.Errorf("shard %s: %v was stored at %v, before it was delivered", key, p, c.Time)
		}
	}
}

// G4: a worker that is cut off for part of the failover time or for several
// delivers nothing after its lease could expire, and nothing of it is stored.
func TestFrozenWorkerDoesNoHarm(t *testing.T) {
	t.Parallel()
	const f = 4 * time.Second
	for _, frozen := range []time.Duration{f / 2, f - time.Millisecond, f, 2 * f, 3 * f} {
		t.Run(frozen.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				a := w.run(w.worker("w1", failover(f)), w.handler("w1"))
				b := w.run(w.worker("w2", failover(f)), w.handler("w2"))
				for range 40 {
					w.puts(20)
					time.Sleep(time.Second)
				}
				thaw := w.srv.Inject(kinesistest.Fault{Client: "w1", Hang: true})
				cut := time.Now()
				for range 20 {
					w.puts(20)
					time.Sleep(frozen / 20)
				}
				thaw()
				thawed := time.Now()
				w.settle(time.Minute)
				w.puts(100)
				w.settle(time.Minute)
				if err := errors.Join(a(), b()); err != nil {
					t.Error(err)
				}
				w.checkOrder()
				w.checkCheckpoints()
				for _, d := range w.delivered {
					if d.worker == "w1" && d.at.After(cut.Add(f)) && d.at.Before(thawed) {
						t.Errorf("w1 delivered %s %v after it was cut off", d.data, d.at.Sub(cut))
					}
				}
			})
		})
	}
}

// G2: children wait until both parents of a merge are finished, though these are
// read by two workers, and one of them is slow.
func TestMergeWaitsForTheSlowerParent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		slow := func(worker string) consumer.Handler {
			return func(ctx context.Context, s *consumer.Shard) error {
				return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
					if s.ID() == id(1) {
						time.Sleep(time.Second)
					}
					w.record(worker, s.ID(), r)
					return nil
				})(ctx, s)
			}
		}
		a, b := w.run(w.worker("w1"), slow("w1")), w.run(w.worker("w2"), slow("w2"))
		time.Sleep(30 * time.Second)
		w.puts(120)
		w.merge(id(0), id(1))
		w.puts(120)
		w.split(id(2))
		w.puts(120)
		w.settle(10 * time.Minute)
		if err := errors.Join(a(), b()); err != nil {
			t.Error(err)
		}
		w.checkOrder()
		w.checkCheckpoints()
		if n := w.repeated(); n > 0 {
			t.Errorf("%d records delivered twice", n)
		}
	})
}

// Shards that never held a record end too, through generations nobody has read.
func TestEmptyShardsAreNoObstacle(t *testing.T) {
	t.Parallel()
	for _, start := range []consumer.Start{consumer.FromTrimHorizon(), consumer.FromLatest(), consumer.FromTime(time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC))} {
		t.Run(fmt.Sprint(start), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				time.Sleep(time.Minute)
				w.split(id(0))        // 2, 3
				w.split(id(2))        // 4, 5
				w.merge(id(3), id(1)) // 6
				w.merge(id(5), id(6)) // 7
				at := func(o *consumer.Options) { o.Start = start }
				stop := w.run(w.worker("w1", at), w.handler("w1"))
				time.Sleep(time.Minute)
				w.puts(100)
				w.settle(time.Minute)
				if err := stop(); err != nil {
					t.Error(err)
				}
				w.checkOrder()
			})
		})
	}
}

// A thousand shards, with batches from all of them.
func TestAThousandShards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1000)
		for i := range 97 { // puts uses 97 keys
			w.puts(1)
			_ = i
		}
		stop := w.run(w.worker("w1"), w.handler("w1"))
		w.settle(2 * time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := w.repeated(); n > 0 {
			t.Errorf("%d records delivered twice", n)
		}
	})
}

// A handler that takes longer than an iterator lives loses and repeats nothing.
func TestHandlerMayOutliveItsIterator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(100)
		n := 0
		var expired atomic.Int64
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.ReadFailed = func(i consumer.ReadFailedInfo) { expired.Add(1) }
		})
		stop := w.run(c, consumer.EachBatch(func(_ context.Context, b *consumer.Batch) error {
			for i := range b.Records {
				w.record("w1", id(0), &b.Records[i])
			}
			if n++; n <= 3 {
				time.Sleep(10 * time.Minute)
			}
			return nil
		}))
		for range 30 {
			time.Sleep(time.Minute)
			w.puts(10)
		}
		w.settle(10 * time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		w.checkOrder()
		if w.repeated() > 0 || expired.Load() == 0 {
			t.Errorf("%d records repeated, %d iterators expired; want 0 and some", w.repeated(), expired.Load())
		}
	})
}

// Retention that passes while a shard's records wait is told, and the children
// are read all the same.
func TestRetentionOfAParentIsToldAndPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		var skipped []consumer.SkippedInfo
		var mu sync.Mutex
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.Skipped = func(i consumer.SkippedInfo) {
				mu.Lock()
				defer mu.Unlock()
				skipped = append(skipped, i)
			}
		})
		w.puts(10)
		stop := w.run(c, w.handler("w1"))
		w.settle(10 * time.Second)
		time.Sleep(time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(skipped) > 0 {
			t.Errorf("reported %+v although nothing was skipped", skipped)
		}
		w.puts(10) // will be gone
		w.split(id(0))
		time.Sleep(30 * time.Hour)
		clear(w.put)
		w.putsFrom(0, 20)
		stop = w.run(c, w.handler("w1"))
		w.settle(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(skipped) == 0 || skipped[0].ShardID != id(0) || skipped[0].Reason != consumer.SkippedTrimmed {
			t.Errorf("reported %+v, want the trimmed records of %s", skipped, id(0))
		}
	})
}

// A take-over inside an aggregate goes on inside it.
func TestTakeOverInsideAnAggregate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		e := aggregation.NewEncoder(1 << 20)
		for i := range 1000 {
			w.put[fmt.Sprint("a", i)] = true
			if err := e.Append(aggregation.Record{PartitionKey: "k", Data: fmt.Append(nil, "a", i)}); err != nil {
				t.Fatal(err)
			}
		}
		sealed, err := e.Seal()
		if err != nil {
			t.Fatal(err)
		}
		broken := slices.Clone(sealed)
		broken[len(broken)-1] ^= 1
		for _, data := range [][]byte{broken, sealed, broken} {
			if _, err := w.client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String(stream), Data: data, PartitionKey: aws.String("a")}); err != nil {
				t.Fatal(err)
			}
		}
		var workers []string
		for n := range 5 { // each handles 300 and fails to go on
			name := fmt.Sprint("w", n)
			workers = append(workers, name)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			handled := 0
			if err := w.worker(name).Run(ctx, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				if handled++; handled > 300 {
					cancel()
					return context.Canceled
				}
				w.record(name, id(0), r)
				return nil
			})); err != nil {
				t.Error(err)
			}
			cancel()
		}
		if missing, n := w.missing(), len(w.delivered); len(missing) > 0 || n != 1002 {
			t.Errorf("%d missing, %d delivered by %v; want 0 and 1002: each once and the two broken ones as they are", len(missing), n, workers)
		}
	})
}

// An hour without records costs a call a second and shard, and no more.
func TestIdleHourIsQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		calls := map[string]int{}
		var mu sync.Mutex
		w.srv.Inject(kinesistest.Fault{Match: func(c *kinesistest.Call) bool {
			mu.Lock()
			defer mu.Unlock()
			calls[c.Operation]++
			return false
		}})
		stop := w.run(w.worker("w1"), w.handler("w1"))
		time.Sleep(time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := calls["GetRecords"]; n < 7000 || n > 7200 {
			t.Errorf("%d GetRecords in an hour of two idle shards at 1 s, want about 7200", n)
		}
		if calls["GetShardIterator"] != 2 || calls["ListShards"] > 20 {
			t.Errorf("calls %v, want 2 iterators and few lists", calls)
		}
	})
}

// G9: Run returns soon, whenever its context ends, also twice in a row and while
// nothing answers.
func TestRunEndsWheneverItsContextDoes(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 1, time.Millisecond, 100 * time.Millisecond, 350 * time.Millisecond, 900 * time.Millisecond, 1100 * time.Millisecond, 3 * time.Second, 10 * time.Second} {
		for _, answer := range []string{"all", "no stream", "no table"} {
			t.Run(fmt.Sprint(after, ", answering: ", answer), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, 3)
					w.puts(100)
					w.split(id(0))
					w.srv.Inject(kinesistest.Fault{Delay: 100 * time.Millisecond})
					switch answer {
					case "no stream":
						w.srv.Inject(kinesistest.Fault{Service: kinesistest.Kinesis, Hang: true, Skip: 4})
					case "no table":
						w.srv.Inject(kinesistest.Fault{Service: kinesistest.DynamoDB, Hang: true, Skip: 12})
					}
					c := w.worker("w1")
					for range 2 {
						ctx, cancel := context.WithTimeout(t.Context(), after)
						begun := time.Now()
						if err := c.Run(ctx, w.handler("w1")); err != nil {
							t.Errorf("Run = %v", err)
						}
						cancel()
						if took := time.Since(begun) - after; took > 16*time.Second {
							t.Errorf("Run took %v to return", took)
						}
					}
				})
			})
		}
	}
}

// A handler that ignores its context for a while is waited for, and what it
// checkpoints too late is refused.
func TestStubbornHandlerIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(10)
		var late error
		c := w.worker("w1", func(o *consumer.Options) {
			before := o.Lease
			o.Lease = func(l *lease.Options) { before(l); l.DrainTimeout = 5 * time.Second }
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		returned := false
		err := c.Run(ctx, func(ctx context.Context, s *consumer.Shard) error {
			for b := range s.Batches(ctx) {
				time.Sleep(time.Minute)
				if cause := context.Cause(ctx); !errors.Is(cause, lease.ErrDrainTimeout) {
					t.Errorf("the handler's context ended by %v, want ErrDrainTimeout", cause)
				}
				late = s.Checkpoint(ctx, b.Last())
				break
			}
			returned = true
			return nil
		})
		if err != nil || !returned || late == nil {
			t.Errorf("Run = %v, handler returned: %t, late checkpoint: %v", err, returned, late)
		}
	})
}

// Checkpoints from many goroutines, in any order: the newest wins, none moves
// the position back, none is lost.
func TestCheckpointsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(200)
		w.srv.Inject(kinesistest.Fault{Operation: "UpdateItem", Delay: 20 * time.Millisecond})
		stop := w.run(w.worker("w1"), func(ctx context.Context, s *consumer.Shard) error {
			var wg sync.WaitGroup
			defer wg.Wait()
			for b, err := range s.Batches(ctx) {
				if err != nil {
					return err
				}
				for i := range b.Records {
					w.record("w1", s.ID(), &b.Records[i])
				}
				for i := range b.Records {
					wg.Go(func() {
						err := s.Checkpoint(ctx, b.Records[(i*37)%len(b.Records)].Position)
						var ce *consumer.CheckpointError
						if err != nil && (!errors.As(err, &ce) || ce.Reason != "moves back") {
							t.Errorf("Checkpoint = %v", err)
						}
					})
				}
				wg.Wait()
				if got := s.Checkpointed(); got != b.Last() {
					t.Errorf("Checkpointed() = %v, want %v", got, b.Last())
				}
			}
			return nil
		})
		w.settle(time.Minute)
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		w.checkCheckpoints()
	})
}

// The server that ends in the middle ends nobody's process: Run still ends.
func TestServerThatGoesAwayDoesNotHoldRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(10)
		stop := w.run(w.worker("w1"), w.handler("w1"))
		w.settle(10 * time.Second)
		w.srv.Close()
		time.Sleep(time.Minute)
		begun := time.Now()
		if err := stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("Run took %v to end", took)
		}
	})
}

// The end of a shard may have to wait for another worker: a child of a merge
// needs its other parent's row. A worker that stops does not wait for it, and
// repeats nothing: the next one finishes the shard.
func TestStopDoesNotWaitForTheOtherParent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		handler := func(worker string) consumer.Handler {
			return func(ctx context.Context, s *consumer.Shard) error {
				return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
					if s.ID() == id(0) && string(r.Data) == "r0" {
						time.Sleep(2 * time.Minute) // so shard 3 has no row for so long
					}
					w.record(worker, s.ID(), r)
					return nil
				})(ctx, s)
			}
		}
		stops := map[any]func() error{}
		for _, name := range []string{"w1", "w2"} {
			stops[name] = w.run(w.worker(name), handler(name))
		}
		time.Sleep(30 * time.Second)
		_, err := w.client.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(stream), Data: []byte("r0"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0"),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.put["r0"] = true
		time.Sleep(2 * time.Second)
		w.puts(100)
		w.split(id(0))        // 2, 3
		w.merge(id(3), id(1)) // 4
		w.puts(100)
		time.Sleep(10 * time.Second)
		begun := time.Now()
		owner := w.row(id(1))["leaseOwner"]
		if err := stops[owner](); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("Run took %v to return after the end of its context", took)
		}
		delete(stops, owner)
		w.settle(5 * time.Minute)
		time.Sleep(30 * time.Second)
		for _, stop := range stops {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		w.checkOrder()
		if n := w.repeated(); n > 0 {
			t.Errorf("%d records delivered twice", n)
		}
	})
}

// slowToLeave is a Kinesis whose GetRecords takes a second to notice that its
// context has ended.
type slowToLeave struct {
	consumer.KinesisAPI
	inFlight atomic.Int64
}

func (s *slowToLeave) GetRecords(ctx context.Context, _ *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	<-ctx.Done()
	time.Sleep(time.Second)
	return nil, ctx.Err()
}

// G9: when Run returns no call of it is under way.
func TestRunWaitsForItsCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		slow := &slowToLeave{KinesisAPI: w.client}
		c, err := consumer.New(slow, lease.NewMemoryStore(), stream)
		if err != nil {
			t.Fatal(err)
		}
		stop := w.run(c, w.handler("w1"))
		time.Sleep(10 * time.Second)
		if n := slow.inFlight.Load(); n != 2 {
			t.Fatalf("%d calls under way, want one a shard", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := slow.inFlight.Load(); n > 0 {
			t.Errorf("%d calls are still under way", n)
		}
	})
}
