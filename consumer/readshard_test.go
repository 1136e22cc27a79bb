package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// readShard reads a shard until it ends or n records were read, and returns their
// data, the position of the last and the error.
func (w *world) readShard(ctx context.Context, shard string, from consumer.Start, n int, optFns ...func(*consumer.Options)) (data []string, last checkpoint.Position, err error) {
	w.t.Helper()
	optFns = append(optFns, func(o *consumer.Options) { o.MaxBatchRecords = 3 })
	for batch, err := range consumer.ReadShard(ctx, w.client, stream, shard, from, optFns...) {
		if err != nil {
			return data, last, err
		}
		for _, r := range batch.Records {
			if r.ShardID != shard || r.Stream != stream {
				w.t.Errorf("record %s comes from %s of %s", r.Data, r.ShardID, r.Stream)
			}
			if data, last = append(data, string(r.Data)), r.Position; len(data) == n {
				return data, last, nil
			}
		}
	}
	return data, last, nil
}

// Whoever keeps the position of any record, also of one inside an aggregate, goes
// on with the next.
func TestReadShardGoesOnFromEveryPosition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(2)
		w.putAggregate("a", 5)
		w.puts(1)
		w.putAggregate("b", 2)
		w.split(id(0))
		all, _, err := w.readShard(t.Context(), id(0), consumer.FromTrimHorizon(), 0)
		if err != nil || len(all) != len(w.put) {
			t.Fatalf("read %v, %v; want %d records", all, err, len(w.put))
		}
		for n := 1; n <= len(all); n++ {
			_, p, err := w.readShard(t.Context(), id(0), consumer.FromTrimHorizon(), n)
			if err != nil {
				t.Fatal(err)
			}
			rest, _, err := w.readShard(t.Context(), id(0), consumer.From(p), 0)
			if err != nil || !slices.Equal(rest, all[n:]) {
				t.Errorf("From(%v) gives %v, %v; want %v", p, rest, err, all[n:])
			}
		}
	})
}

func TestReadShardStartsWhereItIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(3)
		time.Sleep(time.Minute)
		between := time.Now()
		time.Sleep(time.Minute)
		w.puts(2)
		for _, tt := range []struct {
			name string
			from consumer.Start
			want string
		}{
			{"the oldest", consumer.Start{}, "[r0 r1 r2]"},
			{"a time", consumer.FromTime(between), "[r3 r4 LATER]"},
			{"the newest", consumer.FromLatest(), "[LATER LATER LATER]"},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			later := time.AfterFunc(time.Minute, func() { w.putAggregate("LATER", 3) })
			data, _, err := w.readShard(ctx, id(0), tt.from, 3)
			later.Stop()
			cancel()
			for i := range data {
				if strings.HasPrefix(data[i], "LATER") {
					data[i] = "LATER"
				}
			}
			if err != nil || fmt.Sprint(data) != tt.want {
				t.Errorf("from %s: read %v, %v; want %s", tt.name, data, err, tt.want)
			}
		}
	})
}

// A program that keeps positions itself gets through reshards with Shards and
// Children.
func TestReadShardAndChildrenReadAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.puts(100)
		w.split(id(0)) // 2, 3
		w.puts(100)
		w.merge(id(3), id(1)) // 4
		w.puts(100)
		first, err := consumer.Shards(t.Context(), w.client, stream, consumer.FromTrimHorizon())
		if err != nil || len(first) != 2 || first[0].ID != id(0) || first[1].ID != id(1) {
			t.Fatalf("Shards() = %+v, %v; want the first two", first, err)
		}
		done := map[string]bool{}
		for todo := []string{id(0), id(1)}; len(todo) > 0; todo = todo[1:] {
			if done[todo[0]] {
				continue
			}
			done[todo[0]] = true
			open := todo[0] == id(2) || todo[0] == id(4)
			want := slices.Collect(w.srv.ShardRecords(stream, todo[0]))
			data, _, err := w.readShard(t.Context(), todo[0], consumer.From(checkpoint.TrimHorizon), map[bool]int{true: len(want)}[open])
			if err != nil || len(data) != len(want) {
				t.Errorf("%s: %d records, %v; want %d", todo[0], len(data), err, len(want))
			}
			children, err := consumer.Children(t.Context(), w.client, stream, todo[0])
			if err != nil || open != (len(children) == 0) {
				t.Errorf("children of %s: %v, %v", todo[0], children, err)
			}
			for _, c := range children {
				todo = append(todo, c.ID)
			}
		}
		if len(done) != 5 {
			t.Errorf("reached %d shards, want 5", len(done))
		}

		w.srv.Inject(kinesistest.Fault{Service: kinesistest.Kinesis, Error: kinesistest.InternalFailure})
		for batch, err := range consumer.ReadShard(t.Context(), w.client, stream, id(0), consumer.From(checkpoint.ShardEnd)) {
			t.Errorf("from the end of a shard: %v, %v; want nothing", batch, err)
		}
	})
}

// Whatever the calls do, the records come once and in order.
func TestReadShardThroughFaults(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]kinesistest.Fault{
		"throttled":    {Probability: 0.5, Error: kinesistest.Throttled},
		"expired":      {Operation: "GetRecords", Probability: 0.5, Error: &kinesistest.Error{Code: "ExpiredIteratorException"}},
		"lossy":        {Probability: 0.4, Lose: kinesistest.LoseResponse},
		"lists refuse": {Operation: "ListShards", Every: 2, Error: kinesistest.ServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				f.Match = reads
				heal := w.srv.Inject(f)
				var got []string
				var err error
				var wg sync.WaitGroup
				wg.Go(func() { got, _, err = w.readShard(t.Context(), id(0), consumer.FromTrimHorizon(), 0) })
				for i := range 20 {
					w.puts(5)
					w.putAggregate(fmt.Sprint("a", i, "-"), 4)
					time.Sleep(700 * time.Millisecond)
				}
				w.split(id(0))
				wg.Wait()
				heal()
				want, _, err2 := w.readShard(t.Context(), id(0), consumer.FromTrimHorizon(), 0)
				if err != nil || err2 != nil || len(want) != len(w.put) || !slices.Equal(got, want) {
					t.Errorf("read %d records, %v; want %d in order, %v", len(got), err, len(w.put), err2)
				}
			})
		})
	}
}

// What retention took is told, never passed over in silence.
func TestReadShardTellsWhatWasTrimmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		var skipped []consumer.SkippedInfo
		tell := func(o *consumer.Options) {
			o.Events.Skipped = func(i consumer.SkippedInfo) { skipped = append(skipped, i) }
		}
		w.puts(5)
		_, old, err := w.readShard(t.Context(), id(0), consumer.Start{}, 2)
		if err != nil {
			t.Fatal(err)
		}
		records := slices.Collect(w.srv.ShardRecords(stream, id(0)))
		if err := w.srv.Trim(stream, id(0), records[4].SequenceNumber); err != nil {
			t.Fatal(err)
		}
		data, last, err := w.readShard(t.Context(), id(0), consumer.From(old), 1, tell)
		if err != nil || fmt.Sprint(data) != "[r4]" {
			t.Errorf("after a trimmed position: %v, %v; want [r4]", data, err)
		}
		if len(skipped) != 1 || skipped[0].Reason != consumer.SkippedTrimmed || skipped[0].From != old {
			t.Errorf("skipped %+v, want what follows %v", skipped, old)
		}

		skipped = nil
		w.split(id(0))
		time.Sleep(25 * time.Hour)
		data, _, err = w.readShard(t.Context(), id(0), consumer.From(last), 0, tell)
		if err != nil || len(data) > 0 {
			t.Errorf("from a shard out of retention: %v, %v; want nothing", data, err)
		}
		if len(skipped) != 1 || skipped[0].To != checkpoint.ShardEnd {
			t.Errorf("skipped %+v, want all to the end of the shard", skipped)
		}
		if children, err := consumer.Children(t.Context(), w.client, stream, id(0)); err != nil || len(children) != 2 {
			t.Errorf("Children() = %v, %v; want two", children, err)
		}

		w.split(id(1))
		w.split(id(2))
		time.Sleep(25 * time.Hour)
		if _, _, err = w.readShard(t.Context(), id(0), consumer.From(last), 0); !errors.Is(err, consumer.ErrNoShard) {
			t.Errorf("a shard that nothing continues: %v, want ErrNoShard", err)
		}
	})
}

func TestReadShardEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(3)
		for name, f := range map[string]kinesistest.Fault{
			"waits for records":  {Operation: "none"},
			"waits for answers":  {Operation: "GetRecords", Hang: true},
			"waits for a list":   {Operation: "ListShards", Hang: true},
			"waits to try again": {Operation: "GetShardIterator", Error: kinesistest.InternalFailure},
		} {
			heal := w.srv.Inject(f)
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Minute, func() { cancel(cause) })
			begun := time.Now()
			_, _, err := w.readShard(ctx, id(0), consumer.FromTrimHorizon(), 0)
			if took := time.Since(begun); !errors.Is(err, cause) || took != time.Minute {
				t.Errorf("%s: ended with %v after %v, want the cause after 1m", name, err, took)
			}
			heal()
		}
	})
}

// What no retry mends ends the reading: at once at the start, where it is a
// mistake, and later when it lasts.
func TestReadShardEndsWhereKinesisRefuses(t *testing.T) {
	t.Parallel()
	denied := &kinesistest.Error{Status: 400, Code: "AccessDeniedException"}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(3)
		begun := time.Now()
		if _, _, err := w.readShard(t.Context(), id(7), consumer.Start{}, 0); !errors.Is(err, consumer.ErrNoShard) || !strings.Contains(err.Error(), id(7)) {
			t.Errorf("a shard that never was: %v", err)
		}
		for _, err := range consumer.ReadShard(t.Context(), w.client, "other", id(0), consumer.Start{}) {
			if err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
				t.Errorf("a stream that is not there: %v", err)
			}
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("mistakes were told after %v, want at once", took)
		}

	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(3)
		w.srv.Inject(kinesistest.Fault{Operation: "GetRecords", Skip: 1, Error: denied})
		begun := time.Now()
		data, _, err := w.readShard(t.Context(), id(0), consumer.Start{}, 0)
		if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "AccessDenied") || took < 2*time.Second || took > 2*time.Minute || len(data) != 3 {
			t.Errorf("read %d, ended with %v after %v; want 3, and the refusal when it has lasted", len(data), err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		time.AfterFunc(time.Minute, func() {
			if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
				t.Error(err)
			}
		})
		if _, _, err := w.readShard(t.Context(), id(0), consumer.Start{}, 0); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
			t.Errorf("the stream was deleted: %v", err)
		}
	})
}

func TestReadShardRefusesBadArguments(t *testing.T) {
	t.Parallel()
	client := kinesis.New(kinesis.Options{})
	for name, seq := range map[string]func(func(*consumer.Batch, error) bool){
		"client is nil":         consumer.ReadShard(t.Context(), nil, stream, id(0), consumer.Start{}),
		"not the ARN":           consumer.ReadShard(t.Context(), client, "arn:aws:s3:::x", id(0), consumer.Start{}),
		"sequence number \"x\"": consumer.ReadShard(t.Context(), client, stream, id(0), consumer.From(checkpoint.At("x"))),
		"zero time":             consumer.ReadShard(t.Context(), client, stream, id(0), consumer.FromTime(time.Time{})),
		"PollInterval":          consumer.ReadShard(t.Context(), client, stream, id(0), consumer.Start{}, func(o *consumer.Options) { o.PollInterval = 0 }),
		"whole stream":          consumer.Tail(t.Context(), client, stream, consumer.From(checkpoint.At("1"))),
		"MaxBatchRecords":       consumer.Tail(t.Context(), client, stream, consumer.Start{}, func(o *consumer.Options) { o.MaxBatchRecords = 0 }),
	} {
		n := 0
		for b, err := range seq {
			if n++; b != nil || err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, %v; want an error that names %s", b, err, name)
			}
		}
		if n != 1 {
			t.Errorf("%s: yielded %d times, want once", name, n)
		}
	}
}
