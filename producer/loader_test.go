package producer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

var accessDenied = &kinesistest.Error{Code: "AccessDeniedException", Message: "no"}

// As long as the first map is on its way records wait for it, and are packed by
// shard; if it cannot be had they go one by one.
func TestWithoutAMap(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		fault      kinesistest.Fault
		aggregated bool
		within     time.Duration
	}{
		{"slow", kinesistest.Fault{Delay: 2 * time.Second}, true, 3 * time.Second},
		{"denied", kinesistest.Fault{Error: accessDenied}, false, time.Second},
		{"throttled for ever", kinesistest.Fault{Error: kinesistest.Throttled}, false, time.Second},
		{"hanging", kinesistest.Fault{Hang: true}, false, 7 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4)
			tt.fault.Operation = "ListShards"
			w.srv.Inject(tt.fault)
			start := time.Now()
			w.sendMany(1000)
			w.close()
			if d := time.Since(start); d > tt.within {
				t.Errorf("%s: it took %v", tt.name, d)
			}
			if got := w.check(); got[producer.Stored] != 1000 {
				t.Errorf("%s: outcomes %v", tt.name, got)
			}
			if s := w.Stats(); (s.KinesisRecords < 1000) != tt.aggregated {
				t.Errorf("%s: %d Kinesis records", tt.name, s.KinesisRecords)
			}
		})
	}
}

func TestMapComesLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.srv.Inject(kinesistest.Fault{Operation: "ListShards", Error: kinesistest.Throttled, Times: 3})
		for i := range 1000 {
			if err := w.send(fmt.Sprint(i), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		w.close()
		if got := w.check(); got[producer.Stored] != 1000 {
			t.Errorf("outcomes %v", got)
		}
		if s := w.Stats(); s.Shards != 4 || s.KinesisRecords > 900 {
			t.Errorf("Stats = %+v: not aggregated after the map came", s)
		}
	})
}

// More shards than fit on a page, and parameters that exclude each other.
func TestMapOfManyPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &pages{stub: newStub(2500)}
		p, err := producer.New(s, "s")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Put(t.Context(), producer.Record{PartitionKey: "k"}); err != nil {
			t.Fatal(err)
		}
		if n := p.Stats().Shards; n != 2500 {
			t.Errorf("%d shards known, want 2500", n)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

type pages struct{ *stub }

func (s *pages) ListShards(_ context.Context, in *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	first := 0
	if in.NextToken != nil {
		if in.StreamName != nil || in.StreamARN != nil || in.ShardFilter != nil {
			return nil, errors.New("parameters beside NextToken")
		}
		fmt.Sscan(*in.NextToken, &first)
	} else if in.ShardFilter == nil || in.ShardFilter.Type != types.ShardFilterTypeAtLatest || aws.ToString(in.StreamName) != "s" {
		return nil, errors.New("first page without stream or filter")
	}
	out := &kinesis.ListShardsOutput{Shards: s.shards[first:min(first+1000, len(s.shards))]}
	if first+1000 < len(s.shards) {
		out.NextToken = aws.String(fmt.Sprint(first + 1000))
	}
	return out, nil
}

// A server that lists closed shards and children beside parents does no harm.
func TestListingsThatDoNotTile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStub(2)
		closed := s.shards[0]
		closed.ShardId = aws.String("shardId-closed")
		closed.SequenceNumberRange = &types.SequenceNumberRange{EndingSequenceNumber: aws.String("9")}
		p, err := producer.New(&listing{stub: s, shards: append([]types.Shard{closed}, s.shards...)}, "s")
		if err != nil {
			t.Fatal(err)
		}
		if res, err := p.Put(t.Context(), producer.Record{PartitionKey: "k"}); err != nil || p.Stats().Shards != 2 {
			t.Errorf("Put = %v, %v with %d shards", res, err, p.Stats().Shards)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]types.Shard{nil, s.shards[:1], append(s.shards[:2:2], s.shards[0]), {{ShardId: aws.String("x")}}} {
			p, err := producer.New(&listing{stub: s, shards: bad}, "s")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Put(t.Context(), producer.Record{PartitionKey: "k"}); err != nil || p.Stats().Shards != 0 {
				t.Errorf("Put = %v with %d shards of a bad map", err, p.Stats().Shards)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

type listing struct {
	*stub
	shards []types.Shard
}

func (l *listing) ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	return &kinesis.ListShardsOutput{Shards: l.shards}, nil
}

// Who may not describe the stream works with the defaults.
func TestDescribeDenied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		w := newWorld(t, 2, logTo(&log))
		w.srv.Inject(kinesistest.Fault{Operation: "DescribeStreamSummary", Error: accessDenied})
		w.sendMany(100)
		var recordErr *producer.RecordError
		if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k", Data: make([]byte, 2<<20)}); !errors.As(err, &recordErr) {
			t.Errorf("Put of 2 MiB = %v", err)
		}
		w.reshard()
		w.sendMany(0)
		for i := range 100 {
			if err := w.send(fmt.Sprint(i), fmt.Sprint("more ", i)); err != nil {
				t.Fatal(err)
			}
		}
		w.close()
		if got := w.check(); got[producer.Stored] != 200 {
			t.Errorf("outcomes %v", got)
		}
		if n := strings.Count(log.String(), "not described"); n != 1 {
			t.Errorf("the log complains %d times:\n%s", n, log.String())
		}
	})
}

// On a stream that takes large records they are accepted, and go alone.
func TestLargeRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 1)
		if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{
			StreamName: aws.String(stream), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10240),
		}); err != nil {
			t.Fatal(err)
		}
		p, err := producer.New(w.client, stream, func(o *producer.Options) { o.RecordTTL = time.Minute })
		if err != nil {
			t.Fatal(err)
		}
		w.Producer = p
		for i := range 2 {
			data := fmt.Sprint(i) + strings.Repeat("x", 10<<20-2)
			if err := w.sendRecord(t.Context(), producer.Record{PartitionKey: "k", Data: []byte(data)}); err != nil {
				t.Fatal(err)
			}
			if err := w.send("k", fmt.Sprint("small ", i)); err != nil {
				t.Fatal(err)
			}
		}
		w.close()
		if got := w.check(); got[producer.Stored] != 4 {
			t.Errorf("outcomes %v", got)
		}
	})
}

// A stream that spreads records itself gets them one by one, without hash keys
// but those given, and may have records without a key.
func TestAutoStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &autoStub{stub: newStub(4)}
		p, err := producer.New(s, "s")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			r := producer.Record{PartitionKey: "k", Data: []byte("x")}
			if i%2 == 0 {
				r.PartitionKey = ""
			}
			if i == 99 {
				r.ExplicitHashKey = "7"
			}
			if err := p.PutAsync(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.Stats(); got.Stored != 100 || got.KinesisRecords != 100 || s.keyless != 50 || s.hashKeys != 1 {
			t.Errorf("Stats = %+v, %d without key, %d with hash key", got, s.keyless, s.hashKeys)
		}
	})
}

type autoStub struct {
	*stub
	mu                sync.Mutex
	keyless, hashKeys int
}

func (s *autoStub) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{
		RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
	}}, nil
}

func (s *autoStub) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, f ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in2 := *in
	in2.Records = nil
	for _, e := range in.Records {
		if e.PartitionKey == nil {
			s.keyless++
		}
		if e.ExplicitHashKey != nil {
			s.hashKeys++
		}
		e.ExplicitHashKey = aws.String("0")
		in2.Records = append(in2.Records, e)
	}
	return s.stub.PutRecords(ctx, &in2, f...)
}

// The stream splits and merges while records are put, at every rate: nothing is
// lost for a reader that drops what is out of range.
func TestReshardsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, latency := range []time.Duration{0, 30 * time.Millisecond} {
		for _, pause := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
			for _, aggregate := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					var log strings.Builder
					w := newWorld(t, 2, logTo(&log), func(o *producer.Options) { o.Aggregate, o.AggregationMaxBytes = aggregate, 2000 })
					w.srv.Inject(kinesistest.Fault{Operation: "ListShards", DelayAfter: latency * 2})
					w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Delay: latency / 2, DelayAfter: latency / 2})
					for i := range 3000 {
						if err := w.send(fmt.Sprint("key-", i%50), fmt.Sprint("data-", i)); err != nil {
							t.Fatal(err)
						}
						time.Sleep(pause)
						if i%300 == 299 {
							w.reshard()
						}
					}
					w.close()
					if got := w.check(); got[producer.Stored] != 3000 {
						t.Errorf("outcomes %v", got)
					}
					if n := w.duplicates(); n > 0 {
						t.Errorf("latency %v, pause %v, aggregate %v: %d duplicates", latency, pause, aggregate, n)
					}
					if strings.Contains(log.String(), "not aggregated until") {
						t.Errorf("latency %v, pause %v: a reshard ended aggregation", latency, pause)
					}
				})
			}
		}
	}
}

// The map cannot be refreshed for a while after a reshard.
func TestReshardWhileListingFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.sendMany(100)
		time.Sleep(time.Second)
		heal := w.srv.Inject(kinesistest.Fault{Operation: "ListShards", Error: kinesistest.Throttled})
		w.reshard()
		for i := range 1000 {
			if err := w.send(fmt.Sprint(i), fmt.Sprint("more ", i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		heal()
		w.close()
		if got := w.check(); got[producer.Stored] != 1100 {
			t.Errorf("outcomes %v", got)
		}
	})
}

// A stream is deleted and made again with other shards of the same names.
func TestStreamIsRecreated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.sendMany(100)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.put, w.results = nil, map[string][]producer.Result{}
		if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"}); err == nil {
			t.Error("Put into a deleted stream succeeded")
		}
		w.createStream(5)
		for i := range 1000 {
			if err := w.send(fmt.Sprint(i), fmt.Sprint("again ", i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		w.close()
		found := w.stored()
		for i := range 1000 {
			data := fmt.Sprint("again ", i)
			w.checkVisibleOnce(data, found[data])
		}
		if s := w.Stats(); s.Shards != 5 || s.KinesisRecords > 900 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// checkVisibleOnce checks that a record has one result, that it is stored, and
// that readers see it once.
func (w *world) checkVisibleOnce(data string, found []place) {
	w.Helper()
	visible := 0
	for _, at := range found {
		if !at.hidden {
			visible++
		}
	}
	if r := w.results[data]; len(r) != 1 || r[0].Outcome != producer.Stored || visible != 1 {
		w.Errorf("%s: results %+v, found %v", data, r, found)
	}
}

// A request that was under way when the stream turned out to be gone arrives in
// the next one of that name, on a shard that is called like the one it was meant
// for and holds less.
func TestRequestOutlivesItsStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.sendMany(100)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.put, w.results = nil, map[string][]producer.Result{}
		slow := w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Delay: time.Second})
		meant, next := shardmap.Split(2)[0], shardmap.Split(5)[0]
		for i := 0; len(w.put) < 20; i++ {
			key := fmt.Sprint("key-", i)
			if hash := hashOf(key); meant.Contains(hash) && (len(w.put) > 0 || next.Contains(hash)) {
				if err := w.send(key, fmt.Sprint("late ", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(500 * time.Millisecond) // it is under way
		slow()
		if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"}); err == nil {
			t.Error("Put into a deleted stream succeeded")
		}
		w.createStream(5)
		w.close()
		found := w.stored()
		for _, data := range w.put {
			w.checkVisibleOnce(data, found[data])
		}
		if n := w.Stats().Misplaced; n != 1 {
			t.Errorf("%d aggregates were misplaced, want the one that was under way", n)
		}
	})
}

// A look at the stream tells that it is gone as well as a put does.
func TestStreamIsFoundDeletedByALook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, func(o *producer.Options) { o.RefreshInterval = time.Minute })
		w.sendMany(10)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		refuse := w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled})
		if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
			t.Fatal(err)
		}
		if err := w.send("late", "late"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if n := w.Stats().Shards; n != 0 {
			t.Errorf("the producer knows %d shards of a stream that is gone", n)
		}
		w.createStream(5)
		refuse()
		w.close()
		if r := w.results["late"]; len(r) != 1 || r[0].Outcome != producer.Stored {
			t.Errorf("results %+v", r)
		}
	})
}

// When a stream is back after a long time its shards are looked up at once,
// however long the listing had failed.
func TestStreamIsBackAfterLong(t *testing.T) {
	t.Parallel()
	for i := range 5 { // back-offs are long or short by chance
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3, func(o *producer.Options) { o.ProducerID = fmt.Sprint("producer-", i) })
			w.sendMany(10)
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"}); err == nil {
				t.Error("Put into a deleted stream succeeded")
			}
			time.Sleep(time.Duration(60+i) * time.Second)
			w.createStream(3)
			if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			if n := w.Stats().Shards; n != 3 {
				t.Errorf("producer %d knows %d shards a second after the stream is back", i, n)
			}
			w.close()
		})
	}
}

// reshard splits the widest open shard, or merges the first two.
func (w *world) reshard() {
	w.Helper()
	var open []kinesistest.Shard
	for _, s := range w.srv.Shards(stream) {
		if s.EndingSequenceNumber == "" {
			open = append(open, s)
		}
	}
	if len(open) < 4 {
		s := open[len(open)-1]
		r, err := shardmap.ParseRange(s.StartingHashKey, s.EndingHashKey)
		if err != nil {
			w.Fatal(err)
		}
		if _, err := w.client.SplitShard(w.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String(stream), ShardToSplit: &s.ID, NewStartingHashKey: aws.String(r.Middle().String()),
		}, patient); err != nil {
			w.Fatal(err)
		}
		return
	}
	for _, a := range open {
		for _, b := range open {
			end, _ := shardmap.ParseHashKey(a.EndingHashKey)
			if end.Next().String() == b.StartingHashKey && a.ID != b.ID {
				if _, err := w.client.MergeShards(w.Context(), &kinesis.MergeShardsInput{
					StreamName: aws.String(stream), ShardToMerge: &a.ID, AdjacentShardToMerge: &b.ID,
				}, patient); err != nil {
					w.Fatal(err)
				}
				return
			}
		}
	}
}

// The facts of a stream are asked for until they are there, and again when an
// answer surprises.
func TestStreamTurnsAuto(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &turning{autoStub: autoStub{stub: newStub(4)}}
		s.describe = func() error { return &types.LimitExceededException{} }
		p, err := producer.New(s, "s")
		if err != nil {
			t.Fatal(err)
		}
		put := func() (single bool) {
			before := p.Stats().KinesisRecords
			for range 10 {
				if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: "k"}, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			return p.Stats().KinesisRecords == before+10
		}
		if put() {
			t.Error("not aggregated while nothing is known of the stream")
		}
		s.set(func() error { return nil })
		time.Sleep(time.Minute)
		if !put() {
			t.Error("aggregated on an AUTO stream")
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

type turning struct {
	autoStub
	mu2      sync.Mutex
	describe func() error
}

func (s *turning) set(f func() error) {
	s.mu2.Lock()
	defer s.mu2.Unlock()
	s.describe = f
}

func (s *turning) DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, f ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	s.mu2.Lock()
	defer s.mu2.Unlock()
	if err := s.describe(); err != nil {
		return nil, err
	}
	return s.autoStub.DescribeStreamSummary(ctx, in, f...)
}

// A Put that waits for room on a shard that is split gets it on a child.
func TestReshardWhilePutsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, func(o *producer.Options) { o.MaxBufferedBytes = 64 << 10 })
		w.sendMany(10)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		heal := w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000001", Error: kinesistest.Throttled})
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				if err := w.send(fmt.Sprint(i), fmt.Sprint(i, strings.Repeat("x", 1000))); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Second)
		w.reshard() // splits shard 1
		time.Sleep(time.Second)
		heal()
		wg.Wait()
		w.close()
		if got := w.check(); got[producer.Stored] != 310 {
			t.Errorf("outcomes %v", got)
		}
	})
}

// A stream that spreads records itself, for a producer that may not know:
// aggregates land anywhere. They are given up, before they are sent over and
// over.
func TestPredictionThatNeverHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 1)
		if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{
			StreamName:                 aws.String(stream),
			StreamModeDetails:          &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
			RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
		}); err != nil {
			t.Fatal(err)
		}
		w.srv.Inject(kinesistest.Fault{Operation: "DescribeStreamSummary", Error: accessDenied})
		var log strings.Builder
		p, err := producer.New(w.client, stream, logTo(&log))
		if err != nil {
			t.Fatal(err)
		}
		w.Producer = p
		for i := range 1000 {
			if err := w.send(fmt.Sprint(i), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
		w.close()
		if got := w.check(); got[producer.Stored] != 1000 {
			t.Errorf("outcomes %v", got)
		}
		if s := w.Stats(); s.Misplaced > 100 || s.KinesisRecords < 700 {
			t.Errorf("Stats = %+v", s)
		}
		if n := strings.Count(log.String(), "not aggregated until"); n != 1 {
			t.Errorf("the log says so %d times", n)
		}
	})
}

// patient lets an operator's call outwait the limit on such calls.
func patient(o *kinesis.Options) { o.RetryMaxAttempts = 20 }
