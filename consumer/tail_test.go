package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// tail records what Tail yields until its context ends, and returns what ends it
// and reports the error it ended with.
func (w *world) tail(from consumer.Start, optFns ...func(*consumer.Options)) (stop func() error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var ended error
	var wg sync.WaitGroup
	wg.Go(func() {
		for batch, err := range consumer.Tail(ctx, w.client, stream, from, optFns...) {
			if err != nil {
				ended = err
				continue // the last there is
			}
			for i := range batch.Records {
				w.record("tail", batch.Records[i].ShardID, &batch.Records[i])
			}
		}
	})
	return func() error {
		cancel()
		wg.Wait()
		return ended
	}
}

// Everything comes once, and that of a key in order, through splits and merges
// and whatever the calls do.
func TestTailFollowsReshards(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]kinesistest.Fault{
		"nothing wrong": {Operation: "none"},
		"throttled":     {Probability: 0.4, Error: kinesistest.Throttled},
		"expired":       {Operation: "GetRecords", Probability: 0.4, Error: &kinesistest.Error{Code: "ExpiredIteratorException"}},
		"lossy":         {Probability: 0.3, Lose: kinesistest.LoseResponse},
		"lists fail":    {Operation: "ListShards", Probability: 0.5, Error: kinesistest.ServiceUnavailable},
		// What shard 0 is merged with is a grandchild of shard 1, which is slow.
		"one shard is late": {Operation: "GetRecords", Shard: id(1), Delay: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4)
				w.puts(500)
				f.Match = reads
				w.srv.Inject(f)
				w.split(id(1)) // 4, 5
				w.puts(100)
				w.split(id(4)) // 6, 7
				w.puts(100)
				w.merge(id(0), id(6)) // 8: the parents of 6 have to be read first
				w.puts(500)
				stop := w.tail(consumer.FromTrimHorizon(), func(o *consumer.Options) { o.MaxBatchRecords = 7 })
				w.settle(10 * time.Minute)
				w.split(id(8)) // 9, 10
				w.puts(500)
				w.merge(id(9), id(10)) // 11
				w.puts(500)
				w.settle(10 * time.Minute)
				if err := stop(); !errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v, want the cause of the context's end", err)
				}
				w.checkOrder()
				if n := w.repeated(); n > 0 {
					t.Errorf("%d records came twice", n)
				}
			})
		})
	}
}

func TestTailFromLatestLeavesOutWhatWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(100)
		w.split(id(0))
		w.puts(100)
		clear(w.put)
		stop := w.tail(consumer.FromLatest())
		time.Sleep(10 * time.Second)
		w.putAggregate("new", 3)
		w.merge(id(2), id(3))
		w.putAggregate("newer", 3)
		w.settle(10 * time.Second)
		_ = stop()
		if got := len(w.data()); got != 6 {
			t.Errorf("%d records came, want the 6 put since", got)
		}
	})
}

// Whatever way a loop is left, nothing goes on behind it: the bubble would not
// end.
func TestTailLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]kinesistest.Fault{
		"others wait for the loop": {Operation: "none"},
		"others wait for answers":  {Operation: "GetRecords", Skip: 2, Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 8)
				w.puts(500)
				heal := w.srv.Inject(f)
				for range consumer.Tail(t.Context(), w.client, stream, consumer.FromTrimHorizon()) {
					break
				}
				heal()
				w.srv.Inject(f)
				func() {
					defer func() { _ = recover() }()
					for range consumer.Tail(t.Context(), w.client, stream, consumer.FromTrimHorizon()) {
						panic("a loop that panics")
					}
				}()
			})
		})
	}
}

// A loop that is slow holds a page of each shard up and no more.
func TestTailWaitsForItsLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(100)
		var reads atomic.Int32
		w.srv.Inject(kinesistest.Fault{Operation: "GetRecords", Match: func(*kinesistest.Call) bool { return reads.Add(1) < 0 }})
		for _, err := range consumer.Tail(t.Context(), w.client, stream, consumer.FromTrimHorizon()) {
			if err != nil {
				t.Fatal(err)
			}
			for range 60 {
				time.Sleep(time.Second)
				w.puts(10)
			}
			break
		}
		if n := reads.Load(); n > 4 {
			t.Errorf("%d pages were read while the loop was busy with the first, want at most 4", n)
		}
	})
}

func TestTailEndsWhereItCannotGoOn(t *testing.T) {
	t.Parallel()
	tail := func(t *testing.T, w *world, name string, each func()) error {
		for _, err := range consumer.Tail(t.Context(), w.client, name, consumer.FromTrimHorizon()) {
			if err != nil {
				return err
			}
			each()
		}
		return nil
	}
	for _, tt := range []struct {
		name, stream string
		each         func(*world)
		want         string
	}{
		{"no such stream", "other", nil, "ResourceNotFoundException"},
		{"deleted", stream, func(w *world) {
			if _, err := w.client.DeleteStream(w.t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
				w.t.Error(err)
			}
		}, "ResourceNotFoundException"},
		{"denied", stream, func(w *world) {
			w.srv.Inject(kinesistest.Fault{Operation: "GetRecords", Error: &kinesistest.Error{Status: 400, Code: "AccessDeniedException"}})
		}, "AccessDeniedException"},
		{"children cannot be listed", stream, func(w *world) {
			w.split(id(0))
			w.merge(id(1), id(2))
			w.srv.Inject(kinesistest.Fault{Operation: "ListShards", Error: &kinesistest.Error{Status: 400, Code: "AccessDeniedException"}})
		}, "AccessDeniedException"},
		{"slept through the retention of children and theirs", stream, func(w *world) {
			for _, generation := range [][]int{{0}, {1, 2}, {3, 4, 5, 6}} {
				for _, shard := range generation {
					w.split(id(shard))
				}
				time.Sleep(25 * time.Hour)
			}
		}, consumer.ErrNoShard.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				w.puts(1)
				err := tail(t, w, tt.stream, func() { tt.each(w) })
				if err == nil || !strings.Contains(fmt.Sprint(err), tt.want) {
					t.Errorf("ended with %v, want %s", err, tt.want)
				}
			})
		})
	}
}
