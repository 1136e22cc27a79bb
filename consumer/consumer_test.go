package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

const (
	stream = "clicks"
	app    = "clicks-app"
)

// A world is a server with one stream, and what its readers were given.
type world struct {
	t      *testing.T
	srv    *kinesistest.Server
	client *kinesis.Client

	mu        sync.Mutex
	delivered []delivery
	put       map[string]bool // data of every record put
}

type delivery struct {
	worker, shard string
	data          string
	at            time.Time
	position      checkpoint.Position
}

func newWorld(t *testing.T, shards int32) *world {
	t.Helper()
	srv := kinesistest.NewServer(kinesistest.Unthrottled)
	t.Cleanup(srv.Close)
	w := &world{t: t, srv: srv, client: kinesis.NewFromConfig(srv.Config()), put: map[string]bool{}}
	_, err := w.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: &shards})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// puts writes n records with distinct data over many keys, in PutRecords calls.
func (w *world) puts(n int) {
	w.t.Helper()
	for n > 0 {
		in := &kinesis.PutRecordsInput{StreamName: aws.String(stream)}
		for range min(n, 500) {
			id := fmt.Sprintf("r%d", len(w.put))
			w.put[id] = true
			in.Records = append(in.Records, types.PutRecordsRequestEntry{
				Data: []byte(id), PartitionKey: aws.String(fmt.Sprintf("key-%d", len(w.put)%97)),
			})
		}
		out, err := w.client.PutRecords(w.t.Context(), in)
		if err != nil || *out.FailedRecordCount > 0 {
			w.t.Fatalf("PutRecords: %v, %+v", err, out)
		}
		n -= len(in.Records)
	}
}

// worker returns a consumer with clients of its own.
func (w *world) worker(id string, optFns ...func(*consumer.Options)) *consumer.Consumer {
	w.t.Helper()
	return w.workerOn(id, kinesis.NewFromConfig(w.srv.ConfigFor(id)), optFns...)
}

// workerOn returns a consumer with a client of the caller's.
func (w *world) workerOn(id string, client *kinesis.Client, optFns ...func(*consumer.Options)) *consumer.Consumer {
	w.t.Helper()
	store, err := dynamo.New(dynamodb.NewFromConfig(w.srv.ConfigFor(id)), app)
	if err != nil {
		w.t.Fatal(err)
	}
	optFns = append([]func(*consumer.Options){func(o *consumer.Options) {
		// The processor's load is the real one, which differs from run to run.
		o.Lease = func(l *lease.Options) { l.WorkerID, l.Load = id, nil }
	}}, optFns...)
	c, err := consumer.New(client, store, stream, optFns...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// record notes a delivery.
func (w *world) record(worker, shard string, r *consumer.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delivered = append(w.delivered, delivery{worker, shard, string(r.Data), time.Now(), r.Position})
}

// handler records everything, with a checkpoint per batch.
func (w *world) handler(worker string) consumer.Handler {
	return func(ctx context.Context, s *consumer.Shard) error {
		return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
			w.record(worker, s.ID(), r)
			return nil
		}, func(o *consumer.EachOptions) { o.CheckpointInterval = 100 * time.Millisecond })(ctx, s)
	}
}

// run starts a worker and returns what stops it and reports how Run ended.
func (w *world) run(c *consumer.Consumer, h consumer.Handler) (stop func() error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { done <- c.Run(ctx, h) })
	return func() error {
		cancel()
		wg.Wait()
		return <-done
	}
}

// settle waits, in the bubble's time, until every record was delivered.
func (w *world) settle(limit time.Duration) {
	w.t.Helper()
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		missing := w.missing()
		if len(missing) == 0 {
			return
		}
		if time.Since(begun) > limit {
			w.t.Fatalf("%d of %d records not delivered within %v, among them %v", len(missing), len(w.put), limit, missing[:1])
		}
	}
}

func (w *world) missing() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := maps.Clone(w.put)
	for _, d := range w.delivered {
		delete(rest, d.data)
	}
	return slices.Sorted(maps.Keys(rest))
}

// count counts deliveries.
func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.delivered)
}

// repeated counts deliveries beyond the first.
func (w *world) repeated() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]bool{}
	for _, d := range w.delivered {
		seen[d.data] = true
	}
	return len(w.delivered) - len(seen)
}

// checkOrder fails unless first deliveries followed the stream: within a shard
// by position, and no child before its parents were delivered whole.
func (w *world) checkOrder() {
	w.t.Helper()
	first := map[string]int{} // data → index of its first delivery
	for i, d := range w.delivered {
		if _, ok := first[d.data]; !ok {
			first[d.data] = i
		}
	}
	parents := map[string][]string{}
	last := map[string]int{}     // shard → index of its latest first delivery
	earliest := map[string]int{} // shard → index of its earliest
	for _, s := range w.srv.Shards(stream) {
		parents[s.ID] = []string{s.ParentID, s.AdjacentParentID}
		at := -1
		for r := range w.srv.ShardRecords(stream, s.ID) {
			i := first[string(r.Data)]
			if i < at {
				w.t.Errorf("shard %s: record %s delivered before its predecessor", s.ID, r.Data)
			}
			if at < 0 {
				earliest[s.ID] = i
			}
			at = i
		}
		last[s.ID] = at
	}
	for s, at := range earliest {
		for _, p := range parents[s] {
			if p != "" && last[p] > at {
				w.t.Errorf("shard %s begun before its parent %s was delivered", s, p)
			}
		}
	}
}

func (w *world) split(shard string) {
	w.t.Helper()
	for _, s := range w.srv.Shards(stream) {
		if s.ID != shard {
			continue
		}
		r, err := aggregation.ParseHashRange(s.StartingHashKey, s.EndingHashKey)
		if err != nil {
			w.t.Fatal(err)
		}
		_, err = w.client.SplitShard(w.t.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String(stream), ShardToSplit: &shard, NewStartingHashKey: aws.String(r.Middle().String()),
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) merge(a, b string) {
	w.t.Helper()
	_, err := w.client.MergeShards(w.t.Context(), &kinesis.MergeShardsInput{
		StreamName: aws.String(stream), ShardToMerge: &a, AdjacentShardToMerge: &b,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func id(n int) string { return fmt.Sprintf("shardId-%012d", n) }

// G1 and G2: three workers read everything once and in order while the stream
// splits, merges, and splits again before anyone has read the children.
func TestFleetReadsEverythingThroughReshards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.puts(1000)
		var stops []func() error
		for _, name := range []string{"w1", "w2", "w3"} {
			stops = append(stops, w.run(w.worker(name), w.handler(name)))
		}
		w.settle(10 * time.Second)
		w.split(id(0)) // 4, 5
		w.puts(1000)
		w.merge(id(5), id(1)) // 6: parents on two workers, one of them just born
		w.puts(1000)
		w.split(id(6)) // 7, 8
		w.puts(1000)
		w.settle(30 * time.Second)
		w.puts(100)
		w.settle(5 * time.Second)
		for _, stop := range stops {
			if err := stop(); err != nil {
				t.Errorf("Run = %v", err)
			}
		}
		w.checkOrder()
		if n := w.repeated(); n > 0 {
			t.Errorf("%d records delivered twice although nobody failed", n)
		}
	})
}

// A worker that starts fresh reads its first record within two seconds, the
// table's creation aside.
func TestNewApplicationStartsSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.puts(100)
		begun := time.Now()
		stop := w.run(w.worker("w1"), w.handler("w1"))
		w.settle(10 * time.Second)
		if took := w.delivered[0].at.Sub(begun); took > 2*time.Second {
			t.Errorf("first record after %v", took)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// G1 and G4: a worker from which nothing is heard any more is replaced within
// one and a half failover times, by the position it stored, and nothing that it
// still does reaches the table.
func TestCrashedWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		a := w.run(w.worker("w1"), w.handler("w1"))
		b := w.run(w.worker("w2"), w.handler("w2"))
		w.puts(200)
		w.settle(20 * time.Second)
		time.Sleep(20 * time.Second) // until both hold two

		crash := w.srv.Inject(kinesistest.Fault{Client: "w1", Hang: true})
		crashed := time.Now()
		w.puts(400)
		w.settle(30 * time.Second)
		var last time.Time
		for _, d := range w.delivered {
			if d.at.After(last) {
				last = d.at
			}
			if d.worker == "w1" && d.at.After(crashed.Add(10*time.Second)) {
				t.Errorf("w1 handled %s %v after its wire was cut", d.data, d.at.Sub(crashed))
			}
		}
		if took := last.Sub(crashed); took > 17*time.Second {
			t.Errorf("take-over of the last shard took %v at a failover time of 10s", took)
		}
		if err := b(); err != nil {
			t.Error(err)
		}
		crash()
		if err := a(); err != nil {
			t.Error(err)
		}
		w.checkOrder()
	})
}

// A worker that leaves hands over at once, and nothing is delivered twice.
func TestGracefulStopHandsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		first := w.run(w.worker("w1"), w.handler("w1"))
		w.puts(100)
		w.settle(20 * time.Second)
		second := w.run(w.worker("w2"), w.handler("w2"))
		time.Sleep(30 * time.Second)
		if err := first(); err != nil {
			t.Error(err)
		}
		left := time.Now()
		w.puts(100)
		w.settle(10 * time.Second)
		for _, d := range w.delivered {
			// The release, its discovery, within a second, and the first poll
			// at once; of the shards it had, within the interval of a second.
			if took := d.at.Sub(left); took > time.Second {
				t.Errorf("record %s read %v after the other worker left", d.data, took)
				break
			}
		}
		if err := second(); err != nil {
			t.Error(err)
		}
		if n := w.repeated(); n > 0 {
			t.Errorf("%d records delivered twice", n)
		}
	})
}

// A worker that cannot reach its table stops before its leases can expire, also
// when it can still read the stream.
func TestHandlerContextEndsBeforeTheLeaseExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		ended := make(chan error, 10)
		var at time.Time
		stop := w.run(w.worker("w1"), func(ctx context.Context, s *consumer.Shard) error {
			<-ctx.Done()
			at = time.Now()
			ended <- context.Cause(ctx)
			return ctx.Err()
		})
		time.Sleep(30 * time.Second)
		cut := time.Now()
		heal := w.srv.Inject(kinesistest.Fault{Client: "w1", Service: kinesistest.DynamoDB, Hang: true})
		if cause := <-ended; !errors.Is(cause, lease.ErrLost) {
			t.Errorf("the context ended by %v, want lease.ErrLost", cause)
		}
		if took := at.Sub(cut); took >= 10*time.Second || took < 5*time.Second {
			t.Errorf("the context ended %v after the table was cut off, want shortly before 10s", took)
		}
		heal()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A failing handler sees the same records again, however it fails, and the other
// shards do not notice.
func TestFailedHandlerIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(100)
		var failures []consumer.HandlerFailedInfo
		calls := 0
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.HandlerFailed = func(i consumer.HandlerFailedInfo) { failures = append(failures, i) }
		})
		cause := errors.New("cannot")
		stop := w.run(c, func(ctx context.Context, s *consumer.Shard) error {
			if s.ID() == id(0) {
				switch calls++; calls {
				case 1:
					return cause
				case 2:
					panic(cause)
				case 3:
					return nil // without reading anything
				case 4: // reads a batch and gives up without a checkpoint
					for b := range s.Batches(ctx) {
						w.record("w1", s.ID(), &b.Records[0])
						return cause
					}
				}
			}
			return w.handler("w1")(ctx, s)
		})
		w.settle(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		w.checkOrder()
		if len(failures) != 4 {
			t.Fatalf("%d failures reported, want 4: %+v", len(failures), failures)
		}
		for i, want := range []error{cause, cause, consumer.ErrReturnedEarly, cause} {
			if f := failures[i]; !errors.Is(f.Err, want) || f.Failures != i+1 || f.ShardID != id(0) {
				t.Errorf("failure %d is %+v, want %v of %s", i, f, want, id(0))
			}
		}
		var pe *consumer.PanicError
		if !errors.As(failures[1].Err, &pe) || !strings.Contains(string(pe.Stack), "consumer_test.go") {
			t.Errorf("the panic is reported as %v", failures[1].Err)
		}
	})
}

func TestRunRefusesToRunTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		c := w.worker("w1")
		stop := w.run(c, w.handler("w1"))
		time.Sleep(time.Second)
		if err := c.Run(t.Context(), w.handler("w1")); !errors.Is(err, consumer.ErrRunning) {
			t.Errorf("second Run = %v, want ErrRunning", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRunEndsWithBadHandlerOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		err := w.worker("w1").Run(t.Context(), consumer.EachRecord(nil, func(o *consumer.EachOptions) { o.CheckpointEvery = -3 }))
		if err == nil || !strings.Contains(err.Error(), "CheckpointEvery is -3") {
			t.Errorf("Run = %v, want an error that names the option", err)
		}
	})
}

func TestNewNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := consumer.New(nil, nil, "no good", func(o *consumer.Options) {
		o.PollInterval = time.Millisecond
		o.MaxBatchRecords = 0
		o.Logger = nil
		o.Start = consumer.FromTime(time.Time{})
	})
	if err == nil {
		t.Fatal("New gave no error")
	}
	for _, want := range []string{`"no good"`, "client", "store", "PollInterval is 1ms", "MaxBatchRecords is 0", "Logger", "Start"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

// LATEST leaves out what was there, takes what comes, and is no reason to miss
// what comes into a child.
func TestStartAtLatest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(50)
		clear(w.put)
		stop := w.run(w.worker("w1", func(o *consumer.Options) { o.Start = consumer.FromLatest() }), w.handler("w1"))
		time.Sleep(10 * time.Second)
		w.putsFrom(1000, 100)
		w.split(id(0))
		w.putsFrom(2000, 100)
		w.settle(20 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(w.delivered) != 200 {
			t.Errorf("%d records delivered, want the 200 put after the start", len(w.delivered))
		}
	})
}

// A time takes what arrived then or later, whatever the stream looked like then
// and has become since.
func TestStartAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.putsFrom(0, 50)
		w.split(id(0)) // 2, 3
		w.putsFrom(50, 50)
		time.Sleep(time.Minute)
		at := time.Now()
		clear(w.put)
		w.putsFrom(100, 50)
		w.merge(id(3), id(1)) // 4
		w.putsFrom(150, 50)
		w.split(id(2))
		time.Sleep(time.Minute)
		stop := w.run(w.worker("w1", func(o *consumer.Options) { o.Start = consumer.FromTime(at) }), w.handler("w1"))
		w.settle(20 * time.Second)
		w.putsFrom(200, 50)
		w.split(id(4))
		w.putsFrom(250, 50)
		w.settle(20 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(w.delivered) != 200 {
			t.Errorf("%d records delivered, want the 200 put since", len(w.delivered))
		}
		w.checkOrder()
	})
}

// putsFrom writes n records numbered from a number on.
func (w *world) putsFrom(from, n int) {
	w.t.Helper()
	for i := from; i < from+n; i++ {
		id := fmt.Sprintf("n%d", i)
		w.put[id] = true
		_, err := w.client.PutRecord(w.t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(stream), Data: []byte(id), PartitionKey: aws.String(id),
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}
