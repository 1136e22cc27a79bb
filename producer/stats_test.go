package producer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// What is counted for shards adds up to what is counted in all, and is true.
func TestStatsAddUp(t *testing.T) {
	t.Parallel()
	for _, order := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4, func(o *producer.Options) {
				o.Ordered, o.AggregationMaxBytes, o.RecordTTL = order, 1000, 3*time.Second
			})
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000001", Error: kinesistest.Throttled})
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: internalFailure, Applied: true, Times: 3, DelayAfter: 10 * time.Millisecond})
			payload := int64(0)
			for i := range 1000 {
				data := fmt.Sprint("data-", i)
				payload += int64(len(data))
				if err := w.send(fmt.Sprint(i), data); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
				if s := w.Stats(); s.Pending < 0 || s.BufferedBytes < 0 || s.Pending > 0 && s.BufferedBytes == 0 {
					t.Fatalf("Stats = %+v", s)
				}
			}
			if pace := w.ShardStats()[1].Pace; pace > 0.5 {
				t.Errorf("the pace of a shard that throttles is %v", pace)
			}
			w.close()
			w.check()
			s, sum := w.Stats(), producer.ShardStats{}
			for _, shard := range w.ShardStats() {
				sum.Stored += shard.Stored
				sum.NotStored += shard.NotStored
				sum.Unknown += shard.Unknown
				sum.Expired += shard.Expired
				sum.StoredBytes += shard.StoredBytes
				sum.Retries += shard.Retries
				sum.KinesisRecords += shard.KinesisRecords
				sum.Bytes += shard.Bytes
				sum.Throttled += shard.Throttled
				sum.BufferedBytes += shard.BufferedBytes
				sum.BufferingTime += shard.BufferingTime
			}
			want := producer.ShardStats{
				Stored: s.Stored, NotStored: s.NotStored, Unknown: s.Unknown, Expired: s.Expired, StoredBytes: s.StoredBytes,
				Retries: s.Retries, KinesisRecords: s.KinesisRecords, Bytes: s.Bytes, Throttled: s.Throttled, BufferedBytes: s.BufferedBytes,
				BufferingTime: s.BufferingTime,
			}
			if sum != want {
				t.Errorf("shards add up to %+v, want %+v", sum, want)
			}
			if s.Pending != 0 || s.Expired != s.NotStored+s.Unknown || s.Expired == 0 || s.Repeated == 0 || s.Retries == 0 ||
				s.StoredBytes >= payload || s.RequestTime == 0 || s.BufferingTime == 0 || s.Errors != s.Throttled+s.RequestsFailed {
				t.Errorf("Stats = %+v", s)
			}
		})
	}
}

// Every Kinesis record in an answer, every look at the stream and every record
// that fails is told of.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var entries []producer.EntryInfo
		var looks []producer.StreamInfo
		failed := make(map[string]error)
		w := newWorld(t, 2, func(o *producer.Options) {
			o.RecordTTL = time.Second
			o.Events.Entry = func(i producer.EntryInfo) {
				mu.Lock()
				defer mu.Unlock()
				entries = append(entries, i)
			}
			o.Events.Stream = func(i producer.StreamInfo) {
				mu.Lock()
				defer mu.Unlock()
				looks = append(looks, i)
			}
			o.Events.Failed = func(r producer.Result) {
				mu.Lock()
				defer mu.Unlock()
				failed[string(r.Record.Data)] = r.Err
			}
		})
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000001", Error: kinesistest.Throttled})
		for i := range 100 {
			if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: fmt.Sprint(i), Data: fmt.Append(nil, i)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		_, err := w.Put(t.Context(), producer.Record{PartitionKey: "1", ExplicitHashKey: "340282366920938463463374607431768211455", Data: []byte("put")})
		if !errors.Is(err, producer.ErrExpired) {
			t.Errorf("Put on a shard that throttles = %v", err)
		}
		w.close()
		s := w.Stats()
		if len(failed) != int(s.NotStored) || failed["put"] == nil || !errors.Is(failed["put"], producer.ErrExpired) {
			t.Errorf("%d of %d records that failed were told of", len(failed), s.NotStored)
		}
		stored := 0
		for _, e := range entries {
			switch {
			case e.Predicted == "shardId-000000000001":
				if e.Code != "ProvisionedThroughputExceededException" || e.ShardID != "" || e.Attempt < 1 {
					t.Errorf("entry %+v", e)
				}
			case e.ShardID != e.Predicted || e.Code != "" || e.SequenceNumber == "" || e.Buffered > 101*time.Millisecond || e.Bytes == 0:
				t.Errorf("entry %+v", e)
			default:
				stored += e.UserRecords
			}
		}
		if stored != int(s.Stored) || len(entries) != int(s.Throttled+s.KinesisRecords) {
			t.Errorf("%d entries with %d records stored; Stats = %+v", len(entries), stored, s)
		}
		if len(looks) != 1 || looks[0] != (producer.StreamInfo{Shards: 2, MaxRecordBytes: 1 << 20}) {
			t.Errorf("looks at the stream: %+v", looks)
		}
	})
}

// Who has the result of a Put finds it counted, and its memory free.
func TestPutIsCountedWhenItReturns(t *testing.T) {
	t.Parallel()
	p, err := producer.New(newStub(2), "s", unpaced, func(o *producer.Options) { o.RecordMaxBufferedTime = 0 })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if _, err := p.Put(t.Context(), producer.Record{PartitionKey: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if s := p.Stats(); s.Stored != int64(i+1) || s.Pending != 0 || s.BufferedBytes != 0 {
			t.Fatalf("after %d Puts: %+v", i+1, s)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Repeated counts records that were sent again, and not attempts in doubt after
// which a record was given up.
func TestRepeatedAreRetries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name              string
		faults            []kinesistest.Fault
		abort             bool
		retries, repeated int64
	}{
		{"expired", []kinesistest.Fault{{Error: internalFailure, Delay: time.Second}}, false, 100, 100},
		{"given up by Close", []kinesistest.Fault{{Error: internalFailure, Delay: time.Second}}, true, 0, 0},
		{"lost, then throttled", []kinesistest.Fault{{Error: kinesistest.Throttled, Skip: 1, Times: 1}, {Lose: kinesistest.LoseResponse, Times: 1}}, false, 200, 100},
		{"throttled, then lost", []kinesistest.Fault{{Error: kinesistest.Throttled, Times: 1}, {Lose: kinesistest.LoseResponse, Times: 1}}, false, 200, 100},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, func(o *producer.Options) { o.RecordTTL = 2 * time.Second })
			for _, f := range tt.faults {
				f.Operation = "PutRecords"
				w.srv.Inject(f)
			}
			w.sendMany(100)
			if tt.abort {
				time.Sleep(500 * time.Millisecond)
				closeNow(t, w.Producer)
			} else {
				w.close()
			}
			if s := w.Stats(); s.Retries != tt.retries || s.Repeated != tt.repeated {
				t.Errorf("%s: Stats = %+v, want %d retries and %d repeated", tt.name, s, tt.retries, tt.repeated)
			}
			w.check()
		})
	}
}

// An event that panics ends nothing, and is raised by Close.
func TestPanicInEventIsRaisedByClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, func(o *producer.Options) {
			o.Events.Request = func(producer.RequestInfo) { panic("boom") }
			o.Events.Entry = func(producer.EntryInfo) { panic("boom") }
			o.Events.Stream = func(producer.StreamInfo) { panic("boom") }
		})
		w.sendMany(100)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.check(); got[producer.Stored] != 100 {
			t.Errorf("outcomes %v", got)
		}
		defer func() {
			if v := recover(); v != "boom" {
				t.Errorf("Close panicked with %v, want boom", v)
			}
		}()
		_ = w.Close(t.Context())
	})
}

// An event that ends its goroutine, as t.FailNow does, ends nothing else.
func TestGoexitInEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, func(o *producer.Options) {
			o.Events.Request = func(producer.RequestInfo) { runtime.Goexit() }
			o.Events.Stream = func(producer.StreamInfo) { runtime.Goexit() }
		})
		w.sendMany(100)
		w.close()
		if got := w.check(); got[producer.Stored] != 100 {
			t.Errorf("outcomes %v", got)
		}
	})
}

// Producers that share a budget stay within it together, and the one whose
// stream is down leaves room for the other.
func TestBudgetIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const total = 1 << 20
		shared := producer.NewBudget(total)
		w := newServer(t, 2)
		share := func(o *producer.Options) { o.Budget, o.RecordTTL = shared, time.Hour }
		healthy, err := producer.New(w.client, stream, share)
		if err != nil {
			t.Fatal(err)
		}
		down, err := producer.New(deaf{newStub(2)}, "s", share)
		if err != nil {
			t.Fatal(err)
		}
		data, full := make([]byte, 1000), 0
		for i := range 5000 {
			if err := down.TryPut(producer.Record{PartitionKey: fmt.Sprint(i), Data: data}, nil); err != nil {
				if !errors.Is(err, producer.ErrFull) {
					t.Fatal(err)
				}
				full++
			}
		}
		if full < 3500 || shared.Used() > total || down.Stats().BufferedBytes != shared.Used() {
			t.Errorf("%d refused; %d bytes in use of %d", full, shared.Used(), total)
		}
		for i := range 1000 {
			if _, err := healthy.Put(t.Context(), producer.Record{PartitionKey: fmt.Sprint(i), Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		if s := healthy.Stats(); s.Stored != 1000 || s.BufferedBytes != 0 {
			t.Errorf("Stats = %+v", s)
		}
		var refused *producer.RecordError
		if err := healthy.TryPut(producer.Record{PartitionKey: "k", Data: make([]byte, total)}, nil); !errors.As(err, &refused) {
			t.Errorf("TryPut of more than the budget = %v", err)
		}
		if err := healthy.Close(t.Context()); err != nil {
			t.Error(err)
		}
		closeNow(t, down)
		if shared.Used() != 0 {
			t.Errorf("%d bytes in use after the end", shared.Used())
		}
	})
}

// closeNow closes a producer without waiting for what it has not sent.
func closeNow(t *testing.T, p *producer.Producer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
