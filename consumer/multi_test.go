package consumer_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// Two accounts, with the table in the first, and what readers were given.
type accounts struct {
	t    *testing.T
	srvs [2]*kinesistest.Server

	mu        sync.Mutex
	streams   []consumer.Stream
	delivered map[string][]string // by stream id: data in the order of delivery
	put       int
}

var accountIDs = [2]string{"111111111111", "222222222222"}

func newAccounts(t *testing.T) *accounts {
	a := &accounts{t: t, delivered: make(map[string][]string)}
	for i, id := range accountIDs {
		a.srvs[i] = kinesistest.NewServer(kinesistest.Unthrottled, func(o *kinesistest.Options) { o.AccountID = id })
		t.Cleanup(a.srvs[i].Close)
	}
	return a
}

func (a *accounts) kinesis(account int) *kinesis.Client {
	return kinesis.NewFromConfig(a.srvs[account].ConfigFor("test"))
}

// create makes a stream and returns its id.
func (a *accounts) create(account int, name string) string {
	a.t.Helper()
	if err := a.srvs[account].CreateStream(name, 2); err != nil {
		a.t.Fatal(err)
	}
	return fmt.Sprintf("%s:%s:%d", accountIDs[account], name, time.Now().Unix())
}

func (a *accounts) puts(account int, name string, n int) {
	a.t.Helper()
	for range n {
		a.put++
		_, err := a.kinesis(account).PutRecord(a.t.Context(), &kinesis.PutRecordInput{
			StreamName: &name, Data: fmt.Appendf(nil, "%s-%d", name, a.put), PartitionKey: aws.String(fmt.Sprint(a.put)),
		})
		if err != nil {
			a.t.Fatal(err)
		}
	}
}

// name sets what workers are told to read.
func (a *accounts) name(streams ...consumer.Stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams = streams
}

func (a *accounts) named(context.Context) ([]consumer.Stream, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.streams), nil
}

func (a *accounts) store(client string) lease.Store {
	a.t.Helper()
	store, err := dynamo.New(dynamodb.NewFromConfig(a.srvs[0].ConfigFor(client)), app)
	if err != nil {
		a.t.Fatal(err)
	}
	return store
}

// run starts a worker and returns what stops it.
func (a *accounts) run(id string, optFns ...func(*consumer.Options)) (stop func()) {
	a.t.Helper()
	optFns = append([]func(*consumer.Options){func(o *consumer.Options) {
		o.Lease = func(l *lease.Options) { l.WorkerID, l.Load, l.FormerStreams = id, nil, 10*time.Minute }
	}}, optFns...)
	c, err := consumer.NewMulti(kinesis.NewFromConfig(a.srvs[0].ConfigFor(id)), a.store(id), a.named, optFns...)
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(a.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Run(ctx, func(ctx context.Context, s *consumer.Shard) error {
			return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				if r.StreamID != s.StreamID() || r.Stream != s.Stream() || !strings.HasPrefix(string(r.Data), s.Stream()+"-") {
					a.t.Errorf("record %q of %s (%s) in a shard of %s (%s)", r.Data, r.Stream, r.StreamID, s.Stream(), s.StreamID())
				}
				a.mu.Lock()
				defer a.mu.Unlock()
				a.delivered[s.StreamID()] = append(a.delivered[s.StreamID()], string(r.Data))
				return nil
			}, func(o *consumer.EachOptions) { o.CheckpointInterval = time.Second })(ctx, s)
		})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			a.t.Errorf("Run of %s = %v", id, err)
		}
	}
}

func (a *accounts) count(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.delivered[id])
}

func (a *accounts) expect(when string, want map[string]int) {
	a.t.Helper()
	for id, n := range want {
		if got := a.count(id); got != n {
			a.t.Errorf("%s: %d records of %s were delivered, want %d", when, got, id, n)
		}
	}
}

// rows returns the rows of each stream.
func (a *accounts) rows() map[string]int {
	a.t.Helper()
	snap, err := a.store("operator").Snapshot(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	out := make(map[string]int)
	for _, r := range snap.Rows {
		out[r.Stream]++
	}
	return out
}

// Three streams of two accounts, one of them with the name of another; then one
// comes, one goes, and one is deleted and created again.
func TestManyStreamsOfTwoAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		clicks, orders, theirs := a.create(0, "clicks"), a.create(0, "orders"), a.create(1, "clicks")
		other := a.kinesis(1)
		ownClicks := consumer.Stream{Name: "arn:aws:kinesis:us-east-1:" + accountIDs[0] + ":stream/clicks"}
		theirClicks := consumer.Stream{Name: "clicks", Client: other}
		a.name(ownClicks, consumer.Stream{Name: "orders", Start: consumer.FromLatest()}, theirClicks)
		a.puts(0, "clicks", 20)
		a.puts(0, "orders", 20) // before the start
		a.puts(1, "clicks", 30)
		time.Sleep(5 * time.Second) // LATEST is kept to the second before, should the shard move
		stops := []func(){a.run("w1"), a.run("w2")}
		time.Sleep(30 * time.Second)
		a.puts(0, "orders", 10)
		time.Sleep(10 * time.Second)
		a.expect("at first", map[string]int{clicks: 20, orders: 10, theirs: 30})

		fresh := a.create(1, "fresh")
		a.puts(1, "fresh", 5)
		a.name(ownClicks, theirClicks, consumer.Stream{Name: "fresh", Client: other}) // and without orders
		time.Sleep(75 * time.Second)
		a.puts(0, "orders", 10)
		time.Sleep(10 * time.Second)
		a.expect("with a new one", map[string]int{clicks: 20, orders: 20, theirs: 30, fresh: 5})
		time.Sleep(11 * time.Minute)
		a.puts(0, "orders", 10)
		time.Sleep(10 * time.Second)
		a.expect("without a former one", map[string]int{orders: 20})
		if n := a.rows()[orders]; n > 0 {
			t.Errorf("%d rows of a former stream are left", n)
		}

		if _, err := a.kinesis(0).DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("clicks")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		again := a.create(0, "clicks")
		a.puts(0, "clicks", 7)
		a.puts(1, "clicks", 7)
		time.Sleep(2 * time.Minute)
		a.expect("with one created again", map[string]int{clicks: 20, again: 7, theirs: 37})
		if got := a.rows(); got[clicks] > 0 || got[again] != 2 || got[theirs] != 2 || got[fresh] != 2 {
			t.Errorf("rows %v, want 2 each of %s, %s, %s", got, again, theirs, fresh)
		}
		for _, stop := range stops {
			stop()
		}
		for id, got := range a.delivered {
			slices.Sort(got)
			if len(slices.Compact(got)) != len(got) {
				t.Errorf("records of %s were delivered twice", id)
			}
		}
	})
}

// Rows are those of a KCL 3.5.1 worker in multi-stream mode, attribute for
// attribute: leaseKey, streamName and shardId name the shard.
func TestRowsOfManyStreamsAreThoseOfTheKCL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		id := a.create(0, "ms1")
		a.name(consumer.Stream{Name: "ms1"})
		stop := a.run("mul")
		a.puts(0, "ms1", 10)
		time.Sleep(20 * time.Second)
		seen := 0
		for _, c := range a.srvs[0].Journal() {
			if c.Write == nil || c.Write.After["entityType"] != "LEASE" {
				continue
			}
			seen++
			row := c.Write.After
			if row["leaseKey"] != id+":"+fmt.Sprint(row["shardId"]) || row["streamName"] != id {
				t.Errorf("row %v, want leaseKey, streamName and shardId of %s", row, id)
			}
			for attr := range row {
				if !slices.Contains(kclAttributes, attr) && !strings.HasPrefix(attr, "kinesisGo") {
					t.Errorf("row with the attribute %s, which the KCL does not have", attr)
				}
			}
		}
		if seen == 0 {
			t.Error("no lease row was written")
		}
		stop()
	})
}

var kclAttributes = []string{
	"leaseKey", "entityType", "shardId", "streamName", "throughputKBps", "checkpoint", "checkpointSubSequenceNumber",
	"startingHashKey", "endingHashKey", "leaseOwner", "ownerSwitchesSinceCheckpoint", "leaseCounter",
}

// A stream of many is rewound by its name, whichever of those that had it is the
// one there.
func TestRewindOneOfManyStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		clicks, theirs := a.create(0, "clicks"), a.create(1, "clicks")
		a.name(consumer.Stream{Name: "clicks"}, consumer.Stream{Name: "clicks", Client: a.kinesis(1)})
		a.puts(0, "clicks", 10)
		a.puts(1, "clicks", 10)
		stop := a.run("w1")
		time.Sleep(20 * time.Second)
		done, err := consumer.Rewind(t.Context(), a.kinesis(1), a.store("operator"), "clicks", consumer.FromTrimHorizon())
		if err != nil || len(done) != 2 {
			t.Errorf("Rewind() = %v, %v; want two shards", done, err)
		}
		time.Sleep(30 * time.Second)
		stop()
		a.expect("at the end", map[string]int{clicks: 10, theirs: 20})
	})
}

// A worker that is told of a stream later than the leader is reads it as soon as
// it is given a lease on it; one that cannot reach it leaves it to others.
func TestWorkerLearnsOfAStreamByItsLease(t *testing.T) {
	t.Parallel()
	own := accountIDs[1] + ":s2:1700000000"
	for name, id := range map[string]string{"by the id that Kinesis makes": "", "by an id of its own": own} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newAccounts(t)
				first := a.create(0, "s1")
				a.name(consumer.Stream{Name: "s1"})
				one := a.run("w1")
				time.Sleep(20 * time.Second)
				two := a.run("w2")
				time.Sleep(time.Minute)
				second := cmp.Or(id, a.create(1, "s2"))
				a.puts(0, "s1", 10)
				a.puts(1, "s2", 10)
				a.name(consumer.Stream{Name: "s1"}, consumer.Stream{Name: "s2", Client: a.kinesis(1), ID: id})
				time.Sleep(70 * time.Second)
				a.expect("a minute later", map[string]int{first: 10, second: 10})
				one()
				two()
			})
		})
	}
}

// One of several streams that cannot be found keeps nobody from reading the
// others; if none can, Run says so.
func TestStreamsThatAreNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		id := a.create(0, "there")
		a.puts(0, "there", 5)
		a.name(consumer.Stream{Name: "there"}, consumer.Stream{Name: "missing"})
		var log lockedBuilder
		stop := a.run("w1", func(o *consumer.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		time.Sleep(time.Minute)
		a.expect("beside one that is missing", map[string]int{id: 5})
		if !strings.Contains(log.String(), "describe missing") {
			t.Error("nothing was logged of the stream that is missing")
		}
		late := a.create(0, "missing")
		a.puts(0, "missing", 5)
		time.Sleep(30 * time.Second)
		a.expect("when it is there", map[string]int{late: 5})
		stop()

		c, err := consumer.NewMulti(a.kinesis(0), a.store("w2"), consumer.Streams("never", "nowhere"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context(), func(context.Context, *consumer.Shard) error { return nil }); err == nil || !strings.Contains(err.Error(), "never") {
			t.Errorf("Run() = %v, want an error that names the streams", err)
		}
	})
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A reader whose stored position the stream does not know finds out that the
// stream is another, before it takes the records for trimmed and stores positions
// of the other stream.
func TestStreamCreatedAgainUnderAReaderIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.puts(50)
		skipped := 0
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.Skipped = func(consumer.SkippedInfo) { skipped++ }
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx, w.handler("w1")) }()
		w.settle(20 * time.Second)
		time.Sleep(time.Minute)
		if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if err := w.srv.CreateStream(stream, 2); err != nil {
			t.Fatal(err)
		}
		before := len(w.delivered)
		w.puts(20)
		created := time.Now()
		err := <-done
		if !errors.Is(err, lease.ErrRecreated) || time.Since(created) > 2*time.Minute {
			t.Errorf("Run() = %v after %v, want ErrRecreated within two minutes", err, time.Since(created))
		}
		if len(w.delivered) != before || skipped > 0 {
			t.Errorf("%d records of the new stream were delivered and %d skips told", len(w.delivered)-before, skipped)
		}
		snap, _ := w.store().Snapshot(t.Context())
		for _, r := range snap.Rows {
			if r.Checkpoint.Compare(checkpoint.ShardEnd) == 0 {
				t.Errorf("the end of %s was stored", r.Key)
			}
		}
	})
}
