package consumer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/consumer"
)

// A cellar is a DedupeStore in memory.
type cellar struct {
	mu      sync.Mutex
	windows map[string][]byte
	closed  error
}

func (c *cellar) Load(_ context.Context, _ *consumer.Shard, shard string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.windows[shard], nil
}

func (c *cellar) Save(_ context.Context, s *consumer.Shard, window []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.closed
	}
	c.windows[s.ID()] = slices.Clone(window)
	return nil
}

func (c *cellar) close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = err
}

// putNamed writes a record with an id to where a hash key says.
func (w *world) putNamed(id, hash string) {
	w.t.Helper()
	tags, err := aggregation.NewTags(aggregation.Tag{Key: aggregation.IDTag, Value: id})
	if err != nil {
		w.t.Fatal(err)
	}
	enc := aggregation.NewEncoder(1 << 10)
	if err := enc.Append(aggregation.Record{PartitionKey: "k", ExplicitHashKey: hash, Data: []byte(id), Tags: tags}); err != nil {
		w.t.Fatal(err)
	}
	data, err := enc.Seal()
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.client.PutRecord(w.t.Context(), &kinesis.PutRecordInput{
		StreamName: aws.String(stream), PartitionKey: aws.String("a"), ExplicitHashKey: &hash, Data: data,
	}); err != nil {
		w.t.Fatal(err)
	}
}

// handled returns the data of what was delivered.
func (w *world) handled() (data []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.delivered {
		data = append(data, d.data)
	}
	return data
}

// A producer puts records again when shards split and merge, and then the
// repetition is in another shard than the record.
func TestChildKnowsWhatItsParentsHandled(t *testing.T) {
	t.Parallel()
	low, high := "0", "340282366920938463463374607431768211455"
	for _, handoff := range []bool{false, true} {
		name := map[bool]string{false: "read by the same worker", true: "read by another, with a store"}[handoff]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				var mu sync.Mutex
				var skipped []string
				var store consumer.DedupeStore
				if handoff {
					store = &cellar{windows: map[string][]byte{}}
				}
				begin := func(worker string) (stop func() error) {
					c := w.worker(worker, func(o *consumer.Options) {
						o.Events.Skipped = func(i consumer.SkippedInfo) {
							mu.Lock()
							defer mu.Unlock()
							skipped = append(skipped, i.ShardID)
						}
					})
					return w.run(c, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
						w.record(worker, r.Origin.ShardID, r)
						return nil
					}, func(o *consumer.EachOptions) { o.DedupeBytes, o.DedupeStore = 1<<20, store }))
				}
				stop := begin("w1")
				next := func(worker string) {
					time.Sleep(20 * time.Second)
					if handoff {
						if err := stop(); err != nil {
							t.Error(err)
						}
						stop = begin(worker)
					}
				}
				w.putNamed("a", low)
				w.putNamed("b", high)
				time.Sleep(20 * time.Second)
				w.merge(id(0), id(1)) // 2
				next("w2")
				w.putNamed("b", low)
				w.putNamed("c", low)
				w.putNamed("a", low)
				time.Sleep(20 * time.Second)
				w.split(id(2)) // 3, 4
				next("w3")
				for _, again := range []string{"a", "b", "c"} {
					w.putNamed(again, low)
					w.putNamed(again, high)
				}
				w.putNamed("d", high)
				time.Sleep(20 * time.Second)
				if err := stop(); err != nil {
					t.Error(err)
				}
				handled := w.handled()
				slices.Sort(handled[:min(2, len(handled))]) // they were in two shards
				if want := []string{"a", "b", "c", "d"}; !slices.Equal(handled, want) {
					t.Errorf("handled %v, want %v", handled, want)
				}
				if slices.Sort(skipped); !slices.Equal(skipped, []string{id(2), id(2), id(3), id(3), id(3), id(4), id(4), id(4)}) {
					t.Errorf("repetitions reported in %v", skipped)
				}
			})
		})
	}
}

// What a finished shard left is not kept for good.
func TestWindowOfAFinishedShardIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		stop := w.run(w.worker("w1"), func(ctx context.Context, s *consumer.Shard) error {
			if s.ID() != id(0) {
				time.Sleep(10 * time.Minute)
			}
			return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				w.record("w1", s.ID(), r)
				return nil
			}, func(o *consumer.EachOptions) { o.DedupeBytes = 1 << 20 })(ctx, s)
		})
		w.putNamed("a", "0")
		time.Sleep(20 * time.Second)
		w.split(id(0))
		w.putNamed("a", "0")
		time.Sleep(11 * time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got, want := w.handled(), []string{"a", "a"}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v: the child began after ten minutes", got, want)
		}
	})
}

// The end of a shard is a position like any other: it is not stored before the
// window is saved, or another worker's child would know less than was handled.
func TestShardDoesNotEndBeforeItsWindowIsSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		var told atomic.Int64
		store := &cellar{windows: map[string][]byte{}}
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.CheckpointFailed = func(consumer.CheckpointFailedInfo) { told.Add(1) }
		})
		stop := w.run(c, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
			w.record("w1", r.Origin.ShardID, r)
			return nil
		}, func(o *consumer.EachOptions) { o.DedupeBytes, o.DedupeStore = 1<<20, store }))
		w.putNamed("a", "0")
		time.Sleep(20 * time.Second)
		store.close(errors.New("no room"))
		w.split(id(0))
		w.putNamed("b", "0")
		time.Sleep(time.Minute)
		if got, want := w.handled(), []string{"a"}; !slices.Equal(got, want) || told.Load() == 0 {
			t.Errorf("handled %v before the window was saved, want %v; %d failures told", got, want, told.Load())
		}
		store.close(nil)
		time.Sleep(20 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got, want := w.handled(), []string{"a", "b"}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
	})
}
