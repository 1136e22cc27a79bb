package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/internal/sim"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// A reading is an application that reads while a schedule made from a seed breaks
// what it reads by: subscriptions, polls, the table, shards, its own handlers.
// Each key's records are numbered, so that the order is checked as they come.
type reading struct {
	*sim.World
	budget *consumer.Budget
	gentle bool // nothing that makes a repetition lawful
	moving bool // shards may move to another worker

	mu    sync.Mutex
	put   map[string]int // records by key
	done  map[string]int // by key, without a gap
	times map[string]int // how often a record was done
	tries map[string]int // how often a record was begun
	ends  []finished
}

// A finished is a record that is done.
type finished struct {
	shard string
	at    time.Time
	where checkpoint.Position
}

// TestSimulation reads through schedules of faults. S1: nothing is stored that is
// not done, and in the end all is. S5: the records of a key come in order, none
// before the one ahead of it is done, through reshards and takeovers. S12: memory
// within the budget, and all of it given back. Where no worker is cut off and no
// handler fails nothing is repeated either.
func TestSimulation(t *testing.T) {
	t.Parallel()
	sim.Run(t, 4, func(t *testing.T, seed sim.Seed) {
		r := &reading{
			World: sim.New(t, seed, kinesistest.Unthrottled), budget: consumer.NewBudget(16 << 20), gentle: seed%2 == 0,
			put: map[string]int{}, done: map[string]int{}, times: map[string]int{}, tries: map[string]int{},
		}
		r.CreateStream(stream, 1+seed.IntN(3, "shards", "", 0))
		var stops []func()
		workers := 1 + seed.IntN(2, "workers", "", 0)
		r.moving = workers > 1
		for i := range workers {
			stops = append(stops, r.start(fmt.Sprintf("w%d", i)))
		}
		const chaos = 4 * time.Minute
		next, client := time.Duration(0), kinesis.NewFromConfig(r.Server.Config())
		r.Play(r.Draw(r.faults(), chaos), chaos, func() {
			if r.Since() >= next {
				next = r.Since() + seed.Duration(0, 5*time.Second, "pause", "", uint64(next))
				r.puts(client)
			}
			if used := r.budget.Used(); used > r.budget.Total()+20<<20 {
				r.Violate("S12", "%d bytes in use", used)
			}
		})
		r.settle(15 * time.Minute)
		for _, stop := range stops {
			stop()
		}
		r.check()
	})
}

// faults are what goes wrong for who reads.
func (r *reading) faults() []sim.Kind {
	on := func(op string, f kinesistest.Fault) kinesistest.Fault { f.Operation = op; return f }
	var kinds []sim.Kind
	for name, k := range map[string]kinesistest.BreakKind{
		"cut": kinesistest.BreakCut, "torn": kinesistest.BreakTruncate, "ended": kinesistest.BreakEnd,
		"stalled": kinesistest.BreakStall, "corrupt": kinesistest.BreakCorrupt, "exception": kinesistest.BreakError,
	} {
		kinds = append(kinds, sim.Kind{Name: "subscriptions " + name, Longest: time.Minute, Begin: func(w *sim.World, n uint64) func() {
			return w.Server.Inject(on("SubscribeToShard", kinesistest.Fault{Probability: 0.7, Seed: uint64(w.Seed) + n, Subscription: kinesistest.Breakage{
				Kind: k, AfterEvents: w.Seed.IntN(4, name, "events", n), After: w.Seed.Duration(0, 20*time.Second, name, "after", n),
			}}))
		}})
	}
	slices.SortFunc(kinds, func(a, b sim.Kind) int { return strings.Compare(a.Name, b.Name) })
	kinds = append(kinds, sim.Reshards(stream)...)
	kinds = append(kinds,
		sim.Calling("subscriptions in use", 40*time.Second, on("SubscribeToShard", kinesistest.Fault{Error: &kinesistest.Error{Code: "ResourceInUseException", Message: "by a fault"}})),
		sim.Calling("subscriptions hang", 40*time.Second, on("SubscribeToShard", kinesistest.Fault{Hang: true})),
		sim.Calling("subscriptions lost", 40*time.Second, on("SubscribeToShard", kinesistest.Fault{Lose: kinesistest.LoseResponse})),
		sim.Calling("polls throttled", 40*time.Second, on("GetRecords", kinesistest.Fault{Error: kinesistest.Throttled})),
		sim.Calling("polls fail", 40*time.Second, on("GetRecords", kinesistest.Fault{Error: kinesistest.InternalFailure})),
		sim.Calling("polls lost", 40*time.Second, on("GetRecords", kinesistest.Fault{Lose: kinesistest.LoseResponse})),
		sim.Calling("iterators expire", 40*time.Second, on("GetRecords", kinesistest.Fault{Error: &kinesistest.Error{Code: "ExpiredIteratorException", Message: "by a fault"}})),
		sim.Calling("lists fail", 40*time.Second, on("ListShards", kinesistest.Fault{Error: kinesistest.ServiceUnavailable})),
		sim.Kind{Name: "consumer removed", Begin: func(w *sim.World, _ uint64) func() {
			for _, c := range w.Server.Consumers(stream) {
				_, err := kinesis.NewFromConfig(w.Server.Config()).DeregisterStreamConsumer(w.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &c.ARN})
				w.Note("consumer %s removed: %v", c.Name, err)
			}
			return nil
		}},
	)
	if !r.gentle {
		kinds = append(kinds,
			sim.Calling("w0 is cut off", 30*time.Second, kinesistest.Fault{Client: "w0", Hang: true}),
			sim.Calling("table fails", 30*time.Second, kinesistest.Fault{Service: kinesistest.DynamoDB, Error: kinesistest.ServiceUnavailable}),
			sim.Calling("table loses answers", 30*time.Second, kinesistest.Fault{Service: kinesistest.DynamoDB, Lose: kinesistest.LoseResponse}),
		)
	}
	return kinds
}

// start runs a worker and returns what stops it.
func (r *reading) start(name string) (stop func()) {
	cfg := r.Config(name)
	store, err := dynamo.New(dynamodb.NewFromConfig(cfg), app)
	if err != nil {
		r.Fatal(err)
	}
	c, err := consumer.New(kinesis.NewFromConfig(cfg), store, stream, func(o *consumer.Options) {
		o.Lease = func(l *lease.Options) { l.WorkerID, l.Load = name, nil }
		o.Budget, o.FanOutConsumer = r.budget, app
		o.Retrieval = sim.Pick(r.Seed, "retrieval", consumer.FanOut, consumer.Auto, consumer.FanOut, consumer.Polling)
		o.Events.RetrievalChanged = func(i consumer.RetrievalInfo) { r.Note("%s %s: %v to %v: %v", name, i.ShardID, i.From, i.To, i.Err) }
		o.Events.ReadFailed = func(i consumer.ReadFailedInfo) { r.Note("%s %s: %v", name, i.ShardID, i.Err) }
		o.Events.Stalled = func(i consumer.StalledInfo) { r.Note("%s %s stalled: %+v", name, i.ShardID, i) }
		o.Events.Skipped = func(i consumer.SkippedInfo) { r.Violate("S1", "%s skipped: %+v", i.ShardID, i) }
	})
	if err != nil {
		r.Fatal(err)
	}
	each := consumer.EachRecord(func(ctx context.Context, rec *consumer.Record) error { return r.handle(ctx, name, rec) }, func(o *consumer.EachOptions) {
		o.Concurrency = sim.Pick(r.Seed, "concurrency", 1, 1, 8)
		o.CheckpointInterval = time.Second
	})
	ctx, cancel := context.WithCancel(r.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx, each); err != nil && !errors.Is(err, context.Canceled) {
			r.Violate("L2", "%s ended: %v", name, err)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// puts writes some records, each key's in order.
func (r *reading) puts(client *kinesis.Client) {
	for i := range 1 + r.Seed.IntN(12, "puts", "", uint64(r.Since())) {
		key := fmt.Sprintf("k%d", r.Seed.IntN(9, "key", "", uint64(r.Since())+uint64(i)))
		r.mu.Lock()
		n := r.put[key]
		r.put[key]++
		r.mu.Unlock()
		if _, err := client.PutRecord(r.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(stream), PartitionKey: &key, Data: fmt.Appendf(nil, "%s %d", key, n),
		}); err != nil {
			r.Fatal(err)
		}
	}
}

// handle works on a record: it takes its time, sometimes much, and sometimes
// fails or panics.
func (r *reading) handle(_ context.Context, worker string, rec *consumer.Record) error {
	var key string
	var n int
	if _, err := fmt.Sscan(string(rec.Data), &key, &n); err != nil {
		r.Violate("S15", "data %q", rec.Data)
	}
	id := string(rec.Data)
	r.mu.Lock()
	r.tries[id]++
	try, next := r.tries[id], r.done[key]
	r.mu.Unlock()
	if n > next {
		r.Violate("S5", "%s begun while %d of its key are done", id, next)
	}
	luck := r.Seed.Chance("handler", id, uint64(try))
	switch {
	case r.gentle && r.moving && luck < 0.02:
		time.Sleep(time.Duration(luck * float64(20*time.Minute))) // it is waited for when the shard moves
	case luck < 0.002:
		time.Sleep(6 * time.Minute) // longer than a subscription lives
	case luck < 0.02:
		time.Sleep(time.Duration(luck * float64(30*time.Minute)))
	case r.gentle:
	case luck < 0.05:
		return errors.New("test: not this time")
	case luck < 0.06:
		panic("test: not this time")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times[id]++; r.times[id] > 1 {
		r.Note("%s does %s of %s again", worker, id, rec.ShardID)
	}
	r.done[key] = max(r.done[key], n+1)
	r.ends = append(r.ends, finished{rec.ShardID, time.Now(), rec.Position})
	return nil
}

// settle waits until all that was put is done, or nothing was for so long.
func (r *reading) settle(limit time.Duration) {
	before := 0
	for begun := time.Now(); time.Since(begun) < limit; time.Sleep(time.Second) {
		r.mu.Lock()
		left := 0
		for key, n := range r.put {
			left += n - r.done[key]
		}
		r.mu.Unlock()
		if left != before {
			before, begun = left, time.Now()
		}
		if left == 0 {
			time.Sleep(10 * time.Second) // for what would come again
			return
		}
	}
}

// check judges the whole.
func (r *reading) check() {
	for key, n := range r.put {
		for i := range n {
			id := fmt.Sprintf("%s %d", key, i)
			switch times := r.times[id]; {
			case times == 0:
				r.Violate("S1", "%s was never done, of %d of its key", id, n)
			case times > 1 && r.gentle:
				r.Violate("S1", "%s was done %d times without need", id, times)
			}
		}
	}
	if used := r.budget.Used(); used != 0 {
		r.Violate("S12", "%d bytes in use at the end", used)
	}
	r.checkStored()
}

// checkStored checks S1 for every checkpoint: what it passes over was done
// before.
func (r *reading) checkStored() {
	truth := map[string][]checkpoint.Position{}
	for _, e := range r.Truth(stream) {
		truth[e.ShardID] = append(truth[e.ShardID], checkpoint.At(e.SequenceNumber))
	}
	done := map[string]map[checkpoint.Position]time.Time{}
	for _, f := range r.ends {
		if done[f.shard] == nil {
			done[f.shard] = map[checkpoint.Position]time.Time{}
		}
		if _, ok := done[f.shard][f.where]; !ok {
			done[f.shard][f.where] = f.at
		}
	}
	stored := map[string]checkpoint.Position{}
	for _, c := range r.Server.Journal() {
		if c.Write == nil || c.Write.After == nil {
			continue
		}
		shard, _ := c.Write.After["leaseKey"].(string)
		text, ok := c.Write.After["checkpoint"].(string)
		if !ok || !strings.HasPrefix(shard, "shardId-") || text == stored[shard].String() {
			continue
		}
		p := checkpoint.At(text)
		if text == checkpoint.ShardEnd.String() {
			p = checkpoint.ShardEnd
		} else if !p.IsRecord() || text[0] < '0' || text[0] > '9' {
			continue
		}
		before := stored[shard]
		if !before.IsZero() && p.Compare(before) < 0 {
			r.Violate("S2", "%s: the checkpoint moved from %v back to %v", shard, before, p)
		}
		stored[shard] = p
		for _, q := range truth[shard] {
			if q.Compare(p) > 0 {
				break
			}
			if at, ok := done[shard][q]; !ok || at.After(c.Time) {
				r.Violate("S1", "%s: %v was stored at %v, and %v is done %v at %v", shard, p, c.Time, q, ok, at)
			}
		}
	}
	if len(stored) == 0 {
		r.Violate("S1", "nothing was stored")
	}
}
