package consumer_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

var retrievalTable = flag.Bool("retrieval.table", false, "measure the retrievals for longer and with more applications")

// limited returns a world whose server has the service's limits on reading.
func limited(t *testing.T, shards int32) *world {
	t.Helper()
	srv := kinesistest.NewServer(func(o *kinesistest.Options) {
		l := o.Limits
		kinesistest.Unthrottled(o)
		o.Limits.ReadBytesPerShard, o.Limits.ReadCallsPerShard, o.Limits.FullPagePause = l.ReadBytesPerShard, l.ReadCallsPerShard, l.FullPagePause
		o.Limits.IteratorCallsPerShard = l.IteratorCallsPerShard
		o.Limits.FanOutBytesPerShard, o.Limits.FanOutCallsPerShard = l.FanOutBytesPerShard, l.FanOutCallsPerShard
		o.Limits.ControlCalls = l.ControlCalls
	})
	t.Cleanup(srv.Close)
	w := &world{t: t, srv: srv, client: kinesis.NewFromConfig(srv.Config()), put: map[string]bool{}}
	if err := srv.CreateStream(stream, int(shards)); err != nil {
		t.Fatal(err)
	}
	return w
}

// application returns a worker of an application of its own.
func (w *world) application(name string, way consumer.Retrieval, optFns ...func(*consumer.Options)) *consumer.Consumer {
	w.t.Helper()
	cfg := w.srv.ConfigFor(name)
	store, err := dynamo.New(dynamodb.NewFromConfig(cfg), name)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := consumer.New(kinesis.NewFromConfig(cfg), store, stream, append([]func(*consumer.Options){func(o *consumer.Options) {
		o.Lease = func(l *lease.Options) { l.WorkerID, l.Load = name, nil }
		if o.Retrieval = way; way != consumer.Polling {
			o.FanOutConsumer = name
		}
	}}, optFns...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// putBytes writes n records of so many bytes to the first shard.
func (w *world) putBytes(n, size int) {
	w.t.Helper()
	data := make([]byte, size)
	for range n {
		_, err := w.client.PutRecord(w.t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(stream), Data: data, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0"),
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// subscribed waits until every application has its subscription.
func (w *world) subscribed(apps int) {
	w.t.Helper()
	for range 1200 {
		n := 0
		for _, c := range w.srv.Consumers(stream) {
			n += len(c.Subscriptions)
		}
		if n >= apps {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("not subscribed after 20 minutes: %+v", w.srv.Consumers(stream))
}

// Fan-out hands a record over as it arrives, polling when it next asks. Simulated:
// the service's limits, no network.
func TestLatencyOfTheRetrievals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		way      consumer.Retrieval
		p50, p99 time.Duration // at most
	}{{consumer.Polling, 600 * time.Millisecond, 1100 * time.Millisecond}, {consumer.FanOut, 5 * time.Millisecond, 20 * time.Millisecond}} {
		t.Run(tt.way.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := limited(t, 1)
				stop := w.run(w.application("app", tt.way), w.handler("app"))
				if tt.way == consumer.FanOut {
					w.subscribed(1)
				} else {
					time.Sleep(10 * time.Second)
				}
				sent := map[string]time.Time{}
				for range 300 {
					sent[fmt.Sprintf("r%d", len(w.put))] = time.Now()
					w.puts(1)
					time.Sleep(317 * time.Millisecond)
				}
				w.settle(10 * time.Second)
				if err := stop(); err != nil {
					t.Error(err)
				}
				var took []time.Duration
				for _, d := range w.delivered {
					took = append(took, d.at.Sub(sent[d.data]))
				}
				slices.Sort(took)
				p50, p99 := took[len(took)/2], took[len(took)*99/100]
				t.Logf("simulated, put to handler, %v: p50 %v, p99 %v", tt.way, p50, p99)
				if p50 > tt.p50 || p99 > tt.p99 {
					t.Errorf("p50 %v, p99 %v; want at most %v and %v", p50, p99, tt.p50, tt.p99)
				}
			})
		})
	}
}

// Applications that poll one shard share its 2 MiB a second, and each gets a
// part; with fan-out each has 2 MiB a second for itself. Simulated: the service's
// limits, no network.
func TestApplicationsOnOneShard(t *testing.T) {
	t.Parallel()
	apps := []int{2}
	polling, pushing := 20*time.Second, 3*time.Second
	if *retrievalTable {
		apps, polling, pushing = []int{1, 2, 3, 4, 5}, 3*time.Minute, 15*time.Second
	}
	const limit = 2 << 20
	for _, n := range apps {
		for way, d := range map[consumer.Retrieval]time.Duration{consumer.Polling: polling, consumer.FanOut: pushing} {
			t.Run(fmt.Sprintf("%v by %d", way, n), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := limited(t, 1)
					got := make([]atomic.Int64, n)
					var stops []func() error
					for i := range n {
						stops = append(stops, w.run(w.application(fmt.Sprintf("app-%d", i), way), consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
							got[i].Add(int64(len(r.Data)))
							return nil
						})))
					}
					if way == consumer.FanOut {
						w.subscribed(n)
					} else {
						time.Sleep(10 * time.Second)
					}
					w.putBytes(int(d.Seconds())*26+150, 80<<10) // more than there is time for
					time.Sleep(d)
					var sum int64
					least := got[0].Load()
					for i := range got {
						sum += got[i].Load()
						least = min(least, got[i].Load())
					}
					for _, stop := range stops {
						if err := stop(); err != nil {
							t.Error(err)
						}
					}
					perSecond := func(b int64) float64 { return float64(b) / d.Seconds() / (1 << 20) }
					t.Logf("simulated, %v by %d applications: %.2f MiB/s together, %.2f MiB/s the slowest", way, n, perSecond(sum), perSecond(least))
					want := int64(float64(limit) * d.Seconds())
					if way == consumer.FanOut {
						want *= int64(n)
					}
					if sum < want*7/10 || sum > want*14/10 {
						t.Errorf("%.2f MiB/s together, want about %.2f", perSecond(sum), perSecond(want))
					}
					// A page may be 5 seconds' worth, so parts show only in the long run.
					if fair := want / int64(n); (*retrievalTable || way == consumer.FanOut) && least < fair/5 {
						t.Errorf("%.2f MiB/s for one, want a good part of %.2f", perSecond(least), perSecond(fair))
					}
				})
			})
		}
	}
}

// A shard of which nothing can be read is reported, read anew, given up and taken
// again, while the other one goes on; and what was put is all there afterwards.
func TestShardWithoutProgressIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]kinesistest.Fault{
		"denied":  {Error: &kinesistest.Error{Code: "AccessDeniedException", Message: "by a fault"}},
		"hanging": {Hang: true},
		"fails":   {Error: kinesistest.InternalFailure},
	} {
		for _, way := range []consumer.Retrieval{consumer.Polling, consumer.FanOut} {
			t.Run(name+", "+way.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, 2)
					var stalled []consumer.StalledInfo
					c := w.worker("w1", func(o *consumer.Options) {
						if way == consumer.FanOut {
							fanOut(o)
						}
						o.Events.Stalled = func(i consumer.StalledInfo) { stalled = append(stalled, i) }
					})
					stop := w.run(c, w.handler("w1"))
					w.puts(100)
					w.settle(time.Minute)
					if err := c.Health(); err != nil {
						t.Errorf("Health = %v while all is well", err)
					}
					f.Shard, f.Match = id(1), func(c *kinesistest.Call) bool {
						return c.Operation == "GetRecords" || c.Operation == "GetShardIterator" || c.Operation == "SubscribeToShard"
					}
					cut := w.srv.Inject(kinesistest.Fault{Shard: id(1), Subscription: kinesistest.Breakage{Kind: kinesistest.BreakCut}})
					heal := w.srv.Inject(f)
					time.Sleep(8 * time.Minute) // longer than a subscription lives, and a stall
					synctest.Wait()
					var sick *consumer.HealthError
					if err := c.Health(); !errors.As(err, &sick) || len(sick.Shards) != 1 || sick.Shards[0].ShardID != id(1) || sick.Shards[0].Err == nil {
						t.Errorf("Health = %v, want shard 1 and why", err)
					}
					if len(stalled) < 2 || stalled[0].GivenUp || !stalled[1].GivenUp || stalled[1].ShardID != id(1) {
						t.Errorf("stalled: %+v", stalled)
					}
					before := w.count()
					w.puts(100)
					time.Sleep(10 * time.Second)
					if w.count() == before {
						t.Error("the other shard is not read meanwhile")
					}
					cut()
					heal()
					w.settle(5 * time.Minute)
					if err := c.Health(); err != nil {
						t.Errorf("Health = %v after all is well", err)
					}
					w.checkOrder()
					if n := w.repeated(); n > 0 {
						t.Errorf("%d repeated", n)
					}
					if err := stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// The consumer is removed by the last worker that ends, not before, and there
// again when one starts.
func TestLastWorkerDeregisters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		dereg := func(o *consumer.Options) { o.Deregister = true }
		a, b := w.worker("w1", fanOut, dereg), w.worker("w2", fanOut, dereg)
		stopA, stopB := w.run(a, w.handler("w1")), w.run(b, w.handler("w2"))
		w.puts(100)
		w.settle(time.Minute)
		time.Sleep(time.Minute)
		if err := a.Deregister(t.Context()); !errors.Is(err, consumer.ErrConsumerInUse) {
			t.Errorf("Deregister while it reads = %v", err)
		}
		if err := stopA(); err != nil {
			t.Error(err)
		}
		if len(w.srv.Consumers(stream)) != 1 {
			t.Error("the first worker to end has deregistered")
		}
		if err := a.Deregister(t.Context()); !errors.Is(err, consumer.ErrConsumerInUse) {
			t.Errorf("Deregister while another worker reads = %v", err)
		}
		if err := stopB(); err != nil {
			t.Error(err)
		}
		if n := len(w.srv.Consumers(stream)); n != 0 {
			t.Errorf("%d consumers left", n)
		}
		if err := b.Deregister(t.Context()); err != nil {
			t.Errorf("Deregister of what is not there = %v", err)
		}
		w.puts(100)
		stopB = w.run(b, w.handler("w2"))
		w.settle(time.Minute)
		w.subscribed(2)
		if err := stopB(); err != nil {
			t.Error(err)
		}
	})
}

// A consumer that somebody removes under the workers is registered again, and
// the shards are polled meanwhile.
func TestConsumerRemovedUnderItsReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		stop := w.run(w.worker("w1", fanOut), w.handler("w1"))
		w.subscribed(2)
		_, err := w.client.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{
			ConsumerARN: aws.String(w.srv.Consumers(stream)[0].ARN),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.puts(100)
		w.settle(20 * time.Second)
		time.Sleep(2 * time.Minute)
		w.subscribed(2)
		w.puts(100)
		w.settle(10 * time.Second)
		if n := w.repeated(); n > 0 {
			t.Errorf("%d repeated", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Whether Run ends when the consumer cannot be had is what FanOut and Auto differ
// in.
func TestConsumerThatCannotBeRegistered(t *testing.T) {
	t.Parallel()
	denied := kinesistest.Fault{Operation: "RegisterStreamConsumer", Error: &kinesistest.Error{Code: "AccessDeniedException", Message: "no"}}
	t.Run("fan-out", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			w.srv.Inject(denied)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			err := w.worker("w1", fanOut).Run(ctx, w.handler("w1"))
			if ctx.Err() != nil || err == nil {
				t.Errorf("Run = %v, want the refusal at once", err)
			}
		})
	})
	t.Run("auto", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			allow := w.srv.Inject(denied)
			var s switches
			stop := w.run(w.worker("w1", fanOut, s.option, func(o *consumer.Options) { o.Retrieval = consumer.Auto }), w.handler("w1"))
			w.puts(100)
			w.settle(10 * time.Second)
			allow()
			w.subscribed(2)
			w.puts(100)
			w.settle(10 * time.Second)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if got := s.ways(); len(got) != 4 {
				t.Errorf("switches %v, want each shard to go to polling and back", got)
			}
		})
	})
}

// One worker that finds the consumer being created by another waits for it, with
// all the others (throttled calls included), and polls meanwhile.
func TestWorkersRaceForTheConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer(kinesistest.Unthrottled, func(o *kinesistest.Options) { o.ConsumerCreating = 20 * time.Second })
		t.Cleanup(srv.Close)
		w := &world{t: t, srv: srv, client: kinesis.NewFromConfig(srv.Config()), put: map[string]bool{}}
		if err := srv.CreateStream(stream, 4); err != nil {
			t.Fatal(err)
		}
		srv.Inject(kinesistest.Fault{Operation: "*StreamConsumer", Probability: 0.5, Error: &kinesistest.Error{Code: "LimitExceededException", Message: "slow down"}})
		var stops []func() error
		for i := range 4 {
			name := fmt.Sprintf("w%d", i)
			stops = append(stops, w.run(w.worker(name, fanOut), w.handler(name)))
		}
		w.puts(200)
		w.settle(20 * time.Second)
		w.subscribed(4)
		w.puts(200)
		w.settle(10 * time.Second)
		for _, stop := range stops {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}
