package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// putLarge writes n records of so many bytes to each shard, with distinct data.
func (w *world) putLarge(shards, n, size int) {
	w.t.Helper()
	for _, s := range w.srv.Shards(stream)[:shards] {
		for range n {
			id := fmt.Sprintf("r%d", len(w.put))
			data := make([]byte, size)
			copy(data, id)
			w.put[string(data)] = true
			_, err := w.client.PutRecords(w.t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String(stream), Records: []types.PutRecordsRequestEntry{
				{Data: data, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String(s.StartingHashKey)},
			}})
			if err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// G5: a budget is shared by all shards. Handlers that stand still hold a part of
// it, whatever waits in the stream; the shards whose handlers go on get through;
// and when all go on everything arrives once.
func TestBudgetIsSharedByAllShards(t *testing.T) {
	t.Parallel()
	for _, way := range []consumer.Retrieval{consumer.Polling, consumer.FanOut} {
		t.Run(way.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const shards, stuck, total, page = 6, 2, 16 << 20, 1<<20 - 8
				w := newWorld(t, shards)
				budget := consumer.NewBudget(total)
				release := make(chan struct{})
				stop := w.run(w.worker("w1", func(o *consumer.Options) {
					o.Budget = budget
					if way == consumer.FanOut {
						fanOut(o)
					}
				}), func(ctx context.Context, s *consumer.Shard) error {
					return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
						if s.ID() < id(stuck) {
							<-release
						}
						w.record("w1", s.ID(), r)
						return nil
					})(ctx, s)
				})
				time.Sleep(20 * time.Second)
				w.putLarge(shards, 4, page)
				most := int64(0)
				for range 200 {
					most = max(most, budget.Used())
					time.Sleep(100 * time.Millisecond)
				}
				if got, want := w.count(), (shards-stuck)*4; got != want {
					t.Errorf("%d records of the shards that go on were handled, want all %d", got, want)
				}
				if slack := int64(shards * 5 * page); most > total+slack || most < page {
					t.Errorf("%d MiB in use of %d", most>>20, total>>20)
				}
				close(release)
				w.settle(time.Minute)
				if n := w.repeated(); n > 0 {
					t.Errorf("%d repeated", n)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
				if budget.Used() != 0 {
					t.Errorf("%d bytes in use at the end", budget.Used())
				}
			})
		})
	}
}

// The largest records there are pass the smallest budget, both ways.
func TestLargestRecordsPassTheSmallestBudget(t *testing.T) {
	t.Parallel()
	for _, way := range []consumer.Retrieval{consumer.Polling, consumer.FanOut} {
		t.Run(way.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := limited(t, 1)
				_, err := w.client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
					StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/" + stream), MaxRecordSizeInKiB: aws.Int32(10240),
				})
				if err != nil {
					t.Fatal(err)
				}
				stop := w.run(w.application("app", way, func(o *consumer.Options) { o.MaxBufferedBytes = 16 << 20 }), w.handler("app"))
				w.putLarge(1, 2, 10<<20-1)
				w.settle(time.Minute)
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// 200 subscriptions at once, in one process on one client, under the race
// detector as well.
func TestManySubscriptionsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const shards = 200
		w := newWorld(t, shards)
		stop := w.run(w.worker("w1", fanOut), w.handler("w1"))
		w.subscribed(shards)
		w.puts(1000)
		w.settle(10 * time.Second)
		if n := w.repeated(); n > 0 {
			t.Errorf("%d repeated", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// What an idle shard costs: the heap and the stacks that reading it keeps, with
// the lease and the handler, and the SDK's part. The server is in the same process and its part counts too.
func TestMemoryOfIdleShards(t *testing.T) {
	for _, tt := range []struct {
		way  consumer.Retrieval
		most int64 // bytes for each shard
	}{{consumer.Polling, 64 << 10}, {consumer.FanOut, 256 << 10}} {
		t.Run(tt.way.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const shards = 200
				srv := kinesistest.NewServer(kinesistest.Unthrottled, func(o *kinesistest.Options) { o.JournalEntries = 0 })
				defer srv.Close()
				if err := srv.CreateStream(stream, shards); err != nil {
					t.Fatal(err)
				}
				store, err := dynamo.New(dynamodb.NewFromConfig(srv.Config()), app)
				if err != nil {
					t.Fatal(err)
				}
				c, err := consumer.New(kinesis.NewFromConfig(srv.Config()), store, stream, func(o *consumer.Options) {
					o.Lease = func(l *lease.Options) { l.Load = nil }
					if o.Retrieval = tt.way; tt.way == consumer.FanOut {
						o.FanOutConsumer = app
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				before := inUse()
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				var held atomic.Int64
				go func() {
					ended <- c.Run(ctx, func(ctx context.Context, s *consumer.Shard) error {
						held.Add(1)
						return consumer.EachRecord(func(context.Context, *consumer.Record) error { return nil })(ctx, s)
					})
				}()
				time.Sleep(30 * time.Second)
				if held.Load() != shards {
					t.Fatalf("%d shards held", held.Load())
				}
				each := (inUse() - before) / shards
				t.Logf("simulated, %v: %d KiB for each idle shard", tt.way, each>>10)
				if most := tt.most * overRace(); each > most {
					t.Errorf("%d bytes for each idle shard, want at most %d", each, most)
				}
				cancel()
				if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		})
	}
}

// overRace is what memory is multiplied by under the race detector.
func overRace() int64 {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 2
	}
	return 1
}

// What the budget counts for a page of GetRecords is what the page keeps, in the
// form in which it came.
func TestBudgetCountsWhatPagesKeep(t *testing.T) {
	for _, format := range []consumer.Wire{consumer.JSON, consumer.CBOR} {
		t.Run(format.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				budget := consumer.NewBudget(64 << 20)
				release := make(chan struct{})
				c := w.worker("w1", func(o *consumer.Options) { o.Budget, o.Wire, o.MaxBatchRecords = budget, format, 10 })
				stop := w.run(c, consumer.EachRecord(func(context.Context, *consumer.Record) error {
					<-release
					return nil
				}))
				time.Sleep(20 * time.Second)
				w.putSmall(4000)
				time.Sleep(10 * time.Second)
				with, used := inUse(), budget.Used()
				close(release)
				time.Sleep(time.Minute)
				kept := with - inUse()
				t.Logf("the budget counts %d KiB, the heap holds %d KiB", used>>10, kept>>10)
				const other = 512 << 10 // such as the batch, and what the server holds for the call
				if used < (kept-other)*9/10 || used > (kept+other)*5/4 {
					t.Errorf("the budget counts %d KiB, the heap holds %d KiB", used>>10, kept>>10)
				}
				if err := stop(); err != nil || budget.Used() != 0 {
					t.Errorf("Run = %v, %d bytes in use", err, budget.Used())
				}
			})
		})
	}
}

// putSmall puts records of 1 KiB.
func (w *world) putSmall(n int) {
	w.t.Helper()
	for ; n > 0; n -= 500 {
		in := &kinesis.PutRecordsInput{StreamName: aws.String(stream)}
		for range min(n, 500) {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: make([]byte, 1<<10), PartitionKey: aws.String("k")})
		}
		if _, err := w.client.PutRecords(w.t.Context(), in); err != nil {
			w.t.Fatal(err)
		}
	}
}

// inUse returns the bytes of heap and stacks in use.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
