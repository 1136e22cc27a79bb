package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// store returns the application's store, for a look beside the workers.
func (w *world) store() lease.Store {
	w.t.Helper()
	s, err := dynamo.New(dynamodb.NewFromConfig(w.srv.ConfigFor("operator")), app)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) rewind(to consumer.Start, shards ...string) []consumer.Rewound {
	w.t.Helper()
	done, err := consumer.Rewind(w.t.Context(), w.client, w.store(), stream, to, shards...)
	if err != nil {
		w.t.Fatalf("Rewind() = %v", err)
	}
	return done
}

// forget drops what was delivered, so that what follows is judged as a first
// delivery. It returns what it dropped.
func (w *world) forget() []delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.delivered
	w.delivered = nil
	return old
}

// putAggregate puts n user records named after prefix in one Kinesis record.
func (w *world) putAggregate(prefix string, n int) {
	w.t.Helper()
	enc := aggregation.NewEncoder(1 << 20)
	for i := range n {
		data := fmt.Sprintf("%s%d", prefix, i)
		w.put[data] = true
		if err := enc.Append(aggregation.Record{PartitionKey: prefix, Data: []byte(data)}); err != nil {
			w.t.Fatal(err)
		}
	}
	data, err := enc.Seal()
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.client.PutRecord(w.t.Context(), &kinesis.PutRecordInput{StreamName: aws.String(stream), PartitionKey: &prefix, Data: data}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) data() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, d := range w.delivered {
		out = append(out, d.data)
	}
	return out
}

// S2, G2: everything comes again, parents before children, while two workers run
// that store a position after every record, and a third reshard comes between.
func TestRewindUnderRunningWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(100)
		every := func(o *consumer.EachOptions) { o.CheckpointInterval = 0 }
		handler := func(worker string) consumer.Handler {
			return func(ctx context.Context, s *consumer.Shard) error {
				return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
					w.record(worker, s.ID(), r)
					return nil
				}, every)(ctx, s)
			}
		}
		a, b := w.run(w.worker("w1"), handler("w1")), w.run(w.worker("w2"), handler("w2"))
		w.settle(time.Minute)
		w.split(id(0))
		w.puts(100)
		w.merge(id(3), id(1))
		w.puts(100)
		w.settle(time.Minute)

		begun := time.Now()
		w.puts(60) // in flight while positions move
		w.forget()
		done := w.rewind(consumer.FromTrimHorizon())
		if len(done) < 4 {
			t.Errorf("Rewind changed %v", done)
		}
		for i, d := range done {
			if d.ShardID == id(4) && !slices.ContainsFunc(done[:i], func(r consumer.Rewound) bool { return r.ShardID == id(1) }) {
				t.Errorf("the child %s was set back before its parent: %v", d.ShardID, done)
			}
		}
		w.settle(time.Minute)
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("everything again after %v", took)
		}
		w.split(id(4))
		w.puts(100)
		w.settle(time.Minute)
		if err := errors.Join(a(), b()); err != nil {
			t.Error(err)
		}
		snap, err := w.store().Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range snap.Rows {
			if row.Checkpoint == checkpoint.TrimHorizon && slices.ContainsFunc(w.delivered, func(d delivery) bool { return d.shard == row.Shard }) {
				t.Errorf("%s was read and has stored nothing", row.Shard)
			}
		}
	})
}

// After a rewind the second pass alone respects the lineage, as the first did.
func TestRewindKeepsTheOrderOfTheLineage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(150)
		stop := w.run(w.worker("w1"), w.handler("w1"))
		w.settle(time.Minute)
		w.split(id(0))
		w.puts(150)
		w.split(id(2))
		w.puts(150)
		w.settle(time.Minute)
		time.Sleep(3 * time.Minute) // finished rows are removed
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		snap, err := w.store().Snapshot(t.Context())
		if err != nil || slices.ContainsFunc(snap.Rows, func(r lease.Row) bool { return r.Shard == id(0) }) {
			t.Fatalf("rows %v, %v, want the first shard's removed", snap.Rows, err)
		}
		w.forget()
		done := w.rewind(consumer.FromTrimHorizon())
		if len(done) != 6 || !done[0].From.IsZero() {
			t.Errorf("Rewind changed %v, want all 6 shards, the removed ones first", done)
		}
		stop = w.run(w.worker("w2"), w.handler("w2"))
		w.settle(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		w.checkOrder()
		if n := w.repeated(); n > 0 {
			t.Errorf("%d records delivered twice", n)
		}
	})
}

// What arrived since a time comes again, and nothing that arrived before,
// also where the records around it are aggregates or long ago.
func TestRewindToATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(50)
		w.putAggregate("old", 5)
		old := maps.Clone(w.put)
		time.Sleep(3 * time.Hour)
		since := time.Now()
		w.putAggregate("new", 5)
		w.puts(50)
		w.split(id(1))
		w.puts(50)
		stop := w.run(w.worker("w1"), w.handler("w1"))
		w.settle(time.Minute)
		first := w.forget()
		if got := w.rewind(consumer.FromTime(since)); len(got) != 4 {
			t.Errorf("Rewind changed %v, want all 4 shards", got)
		}
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, d := range first {
			if !old[d.data] {
				want = append(want, d.data)
			}
		}
		got := w.data()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%d records came again, want the %d that arrived since\n%v", len(got), len(want), got)
		}
		if again := w.rewind(consumer.FromTime(time.Now())); len(again) != 0 {
			t.Errorf("a rewind to a time after every record changed %v", again)
		}
	})
}

// A position inside an aggregate is met to the record.
func TestRewindToASubSequencePosition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.putAggregate("a", 6)
		w.putAggregate("b", 3)
		stop := w.run(w.worker("w1"), w.handler("w1"))
		w.settle(time.Minute)
		time.Sleep(10 * time.Second)
		middle := w.forget()[2].position
		if got := w.rewind(consumer.From(middle), id(0)); len(got) != 1 || got[0].To != middle {
			t.Errorf("Rewind changed %v", got)
		}
		time.Sleep(time.Minute)
		if want := []string{"a3", "a4", "a5", "b0", "b1", "b2"}; !slices.Equal(w.data(), want) {
			t.Errorf("came again: %v, want %v", w.data(), want)
		}
		end := w.forget()[5].position
		ahead := end
		ahead.SubSequenceNumber++
		if _, err := consumer.Rewind(t.Context(), w.client, w.store(), stream, consumer.From(ahead), id(0)); err == nil || !strings.Contains(err.Error(), "ahead") {
			t.Errorf("Rewind forward = %v, want an error", err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// An answer lost on the way, throttling and outages cost time, nothing else.
func TestRewindThroughFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.puts(100)
		stop := w.run(w.worker("w1"), w.handler("w1"))
		w.settle(time.Minute)
		w.forget()
		for _, f := range []kinesistest.Fault{
			{Service: kinesistest.DynamoDB, Client: "operator", Probability: 0.3, Lose: kinesistest.LoseResponse},
			{Service: kinesistest.DynamoDB, Probability: 0.3, Seed: 1, Error: kinesistest.Throttled},
			{Service: kinesistest.DynamoDB, Client: "operator", Start: 10 * time.Second, For: 30 * time.Second, Error: kinesistest.ServiceUnavailable},
		} {
			w.srv.Inject(f)
		}
		var err error
		for range 50 {
			if _, err = consumer.Rewind(t.Context(), w.client, w.store(), stream, consumer.FromTrimHorizon()); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatalf("Rewind() = %v after 50 calls", err)
		}
		w.settle(5 * time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRewindRefusesWhatItCannotMean(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		record := checkpoint.At("49590338271490256608559692538361571095921575989136588898")
		tests := []struct {
			name   string
			to     consumer.Start
			shards []string
			want   string
		}{
			{"latest", consumer.FromLatest(), nil, "FromLatest"},
			{"no time", consumer.FromTime(time.Time{}), nil, "zero time"},
			{"a record of no shard", consumer.From(record), nil, "0 shards"},
			{"a record of two shards", consumer.From(record), []string{id(0), id(1)}, "2 shards"},
			{"the end of a shard", consumer.From(checkpoint.ShardEnd), []string{id(0)}, "SHARD_END"},
			{"no such shard", consumer.FromTrimHorizon(), []string{id(7)}, id(7)},
			{"an application that never ran", consumer.FromTrimHorizon(), nil, "no lease"},
		}
		for _, tt := range tests {
			if _, err := consumer.Rewind(t.Context(), w.client, w.store(), stream, tt.to, tt.shards...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: Rewind() = %v, want an error with %q", tt.name, err, tt.want)
			}
		}
		if _, err := consumer.Rewind(t.Context(), nil, nil, "a b", consumer.FromLatest()); err == nil {
			t.Error("Rewind() of nothing = nil")
		}
		if _, err := consumer.New(w.client, w.store(), stream, func(o *consumer.Options) { o.Start = consumer.From(record) }); err == nil {
			t.Error("New() accepts the position of one shard for a stream")
		}
	})
}
