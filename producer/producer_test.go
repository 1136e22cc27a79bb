package producer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

func TestNewNamesEveryBadOption(t *testing.T) {
	t.Parallel()
	_, err := producer.New(nil, "no/such name", func(o *producer.Options) {
		*o = producer.Options{RecordMaxBufferedTime: -1, RateLimit: -1, CollectionMaxRecords: 501, CollectionMaxBytes: 1 << 30, AggregationMaxBytes: 63}
	})
	if err == nil {
		t.Fatal("New accepted all of it")
	}
	for _, want := range []string{
		"client", `"no/such name"`, "RecordMaxBufferedTime is -1ns", "RecordTTL is 0s", "AggregationMaxBytes is 63: must be 64 to 10485760", "AggregationMaxRecords is 0",
		"CollectionMaxRecords is 501", "CollectionMaxBytes is 1073741824", "MaxBufferedBytes is 0", "MaxInFlight is 0", "RequestTimeout is 0s", "RateLimit is -1", "ProducerID", "Logger is nil",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if _, err := producer.New(newStub(1), "s", func(o *producer.Options) { o.RecordMaxBufferedTime = time.Hour }); err == nil || !strings.Contains(err.Error(), "at most RecordTTL, 30s") {
		t.Errorf("New with records that expire before they are sent = %v", err)
	}
}

func TestPutRefusesWhatKinesisWould(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		record producer.Record
		want   string
	}{
		{"no partition key", producer.Record{}, "PartitionKey: empty: must have 1 to 256 characters"},
		{"long partition key", producer.Record{PartitionKey: strings.Repeat("é", 257)}, "PartitionKey: 257 characters: must have 1 to 256"},
		{"broken UTF-8", producer.Record{PartitionKey: "a\xff"}, `PartitionKey: "a\xff": must be valid UTF-8`},
		{"hash key with a zero in front", producer.Record{PartitionKey: "a", ExplicitHashKey: "01"}, `ExplicitHashKey: "01"`},
		{"hash key of 129 bits", producer.Record{PartitionKey: "a", ExplicitHashKey: "340282366920938463463374607431768211456"}, "2^128-1"},
		{"too large", producer.Record{PartitionKey: "ab", Data: make([]byte, 1<<20-1)}, "Data: 1048577 bytes with the partition key: must be at most 1048576"},
		{"too large anywhere", producer.Record{PartitionKey: "a", Data: make([]byte, 10<<20)}, "Data: 10485761 bytes"},
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		for _, tt := range tests {
			var recordErr *producer.RecordError
			res, err := w.Put(t.Context(), tt.record)
			if !errors.As(err, &recordErr) || !strings.Contains(err.Error(), tt.want) || res.Outcome != producer.NotStored {
				t.Errorf("%s: Put = %v, %v, want a RecordError with %q", tt.name, res.Outcome, err, tt.want)
			}
			if err := w.PutAsync(t.Context(), tt.record, nil); !errors.As(err, &recordErr) {
				t.Errorf("%s: PutAsync = %v", tt.name, err)
			}
		}
		for _, r := range []producer.Record{
			{PartitionKey: strings.Repeat("é", 256), Data: []byte("0")},
			{PartitionKey: "nul\x00", Data: []byte("1")},
			{PartitionKey: "a", Data: []byte(strings.Repeat("2", 1<<20-1))},
			{PartitionKey: "a", ExplicitHashKey: "340282366920938463463374607431768211455", Data: []byte("3")},
		} {
			if err := w.sendRecord(t.Context(), r); err != nil {
				t.Errorf("PutAsync at the bound = %v", err)
			}
		}
		w.close()
		if got := w.check(); got[producer.Stored] != 4 {
			t.Errorf("outcomes %v, want 4 stored", got)
		}
	})
}

func TestPutReturnsWhereTheRecordIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		data := []byte("hello")
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				want := fmt.Sprint(i)
				res, err := w.Put(t.Context(), producer.Record{PartitionKey: "k", Data: []byte(want)})
				if err != nil || res.Outcome != producer.Stored || string(res.Record.Data) != want || len(res.Attempts) != 1 {
					t.Errorf("Put = %+v, %v", res, err)
				}
				places := w.stored()[want]
				if len(places) != 1 || places[0] != (place{res.ShardID, res.SequenceNumber, res.Sub, "k", false}) {
					t.Errorf("result %+v, but found at %v", res, places)
				}
			})
		}
		wg.Wait()
		_ = data
		w.close()
	})
}

func TestDataIsCopied(t *testing.T) {
	t.Parallel()
	for _, aggregate := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2, func(o *producer.Options) { o.Aggregate = aggregate })
			data := make([]byte, 4)
			for i := range 1000 {
				copy(data, fmt.Sprintf("%04d", i))
				if err := w.sendRecord(t.Context(), producer.Record{PartitionKey: fmt.Sprint(i % 7), Data: data}); err != nil {
					t.Fatal(err)
				}
			}
			w.close()
			if got := w.check(); got[producer.Stored] != 1000 {
				t.Errorf("outcomes %v", got)
			}
		})
	}
}

// If the context ends after acceptance Put returns, and the record goes on.
func TestPutContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		cause := errors.New("had enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
		res, err := w.Put(ctx, producer.Record{PartitionKey: "k", Data: []byte("late")})
		var putErr *producer.PutError
		if res.Outcome != producer.Unknown || !errors.Is(err, cause) || !errors.As(err, &putErr) || putErr.Outcome != producer.Unknown {
			t.Errorf("Put = %v, %v, want unknown with the cause", res.Outcome, err)
		}
		res, err = w.Put(ctx, producer.Record{PartitionKey: "k", Data: []byte("never")})
		if res.Outcome != producer.NotStored || !errors.Is(err, cause) {
			t.Errorf("Put with an ended context = %v, %v, want not stored with the cause", res.Outcome, err)
		}
		w.close()
		found := w.stored()
		if len(found["late"]) != 1 || len(found["never"]) != 0 {
			t.Errorf("found %v", found)
		}
	})
}

func TestBackPressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, func(o *producer.Options) { o.MaxBufferedBytes = 64 << 10 })
		heal := w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled})
		accepted := 0
		for {
			r := producer.Record{PartitionKey: fmt.Sprint(accepted), Data: make([]byte, 872)}
			if err := w.TryPut(r, nil); err != nil {
				if !errors.Is(err, producer.ErrFull) {
					t.Fatal(err)
				}
				break
			}
			accepted++
		}
		if accepted < 30 || accepted > 65 {
			t.Errorf("%d records of 1,001 bytes fitted into 64 KiB", accepted)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.PutAsync(ctx, producer.Record{PartitionKey: "0", Data: make([]byte, 872)}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("PutAsync into a full buffer = %v, want the context's end", err)
		}
		var tooLarge *producer.RecordError
		if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: "0", Data: make([]byte, 64<<10)}, nil); !errors.As(err, &tooLarge) {
			t.Errorf("PutAsync of more than the buffer = %v", err)
		}
		heal()
		if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: "0", Data: make([]byte, 872)}, nil); err != nil {
			t.Errorf("PutAsync after the service recovered = %v", err)
		}
		w.close()
		if s := w.Stats(); s.Stored != int64(accepted)+1 || s.BufferedBytes != 0 {
			t.Errorf("Stats = %+v, want %d stored", s, accepted+1)
		}
	})
}

// A callback that blocks makes Put wait, because memory is free only after it.
func TestBlockedCallbackIsBackPressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(o *producer.Options) { o.MaxBufferedBytes = 64 << 10 })
		release := make(chan struct{})
		var calls int
		accepted := 0
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := w.PutAsync(ctx, producer.Record{PartitionKey: "k", Data: make([]byte, 872)}, func(producer.Result) {
				<-release
				calls++
			})
			cancel()
			if err != nil {
				break
			}
			accepted++
		}
		if accepted > 65 {
			t.Errorf("%d records of 1,001 bytes accepted with 64 KiB and a blocked callback", accepted)
		}
		// Put does not need the callback goroutine for its result, only memory.
		close(release)
		if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"}); err != nil {
			t.Error(err)
		}
		w.close()
		if calls != accepted {
			t.Errorf("%d callbacks for %d records", calls, accepted)
		}
	})
}

func TestPutGetsItsResultPastABlockedCallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		release := make(chan struct{})
		if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: "k"}, func(producer.Result) { <-release }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"}); err != nil {
			t.Error(err)
		}
		close(release)
		w.close()
	})
}

func TestPanicInCallbackIsRaisedByClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.sendMany(10)
		if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: "k", Data: []byte("x")}, func(producer.Result) { panic("boom") }); err != nil {
			t.Fatal(err)
		}
		if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: "k", Data: []byte("x")}, func(producer.Result) { runtime.Goexit() }); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if err := w.send("k", fmt.Sprint("after-", i)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			func() {
				defer func() {
					if v := recover(); v != "boom" {
						t.Errorf("Close panicked with %v, want boom", v)
					}
				}()
				_ = w.Close(t.Context())
			}()
		}
		if len(w.results) != 20 {
			t.Errorf("%d callbacks ran beside the one that panicked, want 20", len(w.results))
		}
	})
}

func TestFlushWaitsForWhatWasPut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, func(o *producer.Options) { o.RecordMaxBufferedTime = 20 * time.Second })
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", DelayAfter: 30 * time.Millisecond})
		start := time.Now()
		for round := range 3 {
			for i := range 100 {
				if err := w.send(fmt.Sprint(i), fmt.Sprint(round, " ", i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(w.results); n != 100*(round+1) {
				t.Errorf("%d results after Flush %d", n, round)
			}
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("three Flushes took %v: they waited for company", d)
		}
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Hang: true})
		if err := w.send("k", "stuck"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush of a stuck record = %v", err)
		}
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v", err)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Errorf("Flush after Close = %v", err)
		}
	})
}

// Put in a race with Close always ends, and truthfully.
func TestCloseRacesWithPut(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4, func(o *producer.Options) { o.MaxBufferedBytes = 64 << 10 })
			var wg sync.WaitGroup
			for g := range 100 {
				wg.Go(func() {
					for i := 0; ; i++ {
						err := w.send(fmt.Sprint(g, i), fmt.Sprint(g, " ", i, strings.Repeat("x", 500)))
						if errors.Is(err, producer.ErrClosed) {
							return
						} else if err != nil {
							t.Error(err)
							return
						}
						time.Sleep(time.Duration(i) * time.Microsecond)
					}
				})
			}
			time.Sleep(time.Duration(round) * 10 * time.Millisecond)
			for range 3 {
				wg.Go(func() {
					if err := w.Close(t.Context()); err != nil {
						t.Errorf("Close = %v", err)
					}
				})
			}
			wg.Wait()
			if got := w.check(); got[producer.NotStored]+got[producer.Unknown] > 0 {
				t.Errorf("outcomes %v", got)
			}
			if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"}); !errors.Is(err, producer.ErrClosed) {
				t.Errorf("Put after Close = %v", err)
			}
			if err := w.TryPut(producer.Record{PartitionKey: "k"}, nil); !errors.Is(err, producer.ErrClosed) {
				t.Errorf("TryPut after Close = %v", err)
			}
		})
	}
}

// A Close whose context ends gives up what was not sent, and says so per record.
func TestCloseGivesUp(t *testing.T) {
	t.Parallel()
	for _, fault := range []kinesistest.Fault{
		{Hang: true}, {Error: kinesistest.Throttled}, {Lose: kinesistest.LoseResponse}, {Delay: 10 * time.Second},
		{Operation: "ListShards", Hang: true}, {Operation: "ListShards", Error: kinesistest.Throttled},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3)
			w.sendMany(10)
			if fault.Operation == "" {
				time.Sleep(time.Second)
				fault.Operation = "PutRecords"
			}
			w.srv.Inject(fault)
			for i := range 1000 {
				if err := w.send(fmt.Sprint(i), fmt.Sprint("more-", i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(500 * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if err := w.Close(ctx); fault.Operation == "PutRecords" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%+v: Close = %v", fault, err)
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("%+v: Close took %v", fault, d)
			}
			w.check()
			for data, rs := range w.results {
				if rs[0].Err != nil && !errors.Is(rs[0].Err, producer.ErrClosed) {
					t.Errorf("%+v: %s: %v", fault, data, rs[0].Err)
				}
			}
		})
	}
}

func TestCloseWithoutPutMakesNoCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := producer.New(newStub(1), "s")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s := p.Stats(); s.Shards != 0 || s.Requests != 0 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

func TestHugeTimesSaturate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, func(o *producer.Options) {
			o.RecordTTL = math.MaxInt64
			o.RecordMaxBufferedTime = math.MaxInt64
			o.RequestTimeout = math.MaxInt64
		})
		time.Sleep(time.Hour)
		w.sendMany(100)
		time.Sleep(time.Hour)
		if w.ended() != 0 {
			t.Errorf("%d records sent before their time", w.ended())
		}
		w.close()
		if got := w.check(); got[producer.Stored] != 100 {
			t.Errorf("outcomes %v", got)
		}
	})
}

func TestARN(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 2)
		p, err := producer.New(w.client, "arn:aws:kinesis:us-east-1:123456789012:stream/"+stream)
		if err != nil {
			t.Fatal(err)
		}
		w.Producer = p
		w.sendMany(100)
		w.close()
		if got := w.check(); got[producer.Stored] != 100 {
			t.Errorf("outcomes %v", got)
		}
		if _, err := producer.New(w.client, "arn:aws:kinesis:us-east-1:123456789012:consumer"); err == nil {
			t.Error("New took an ARN that is no stream's")
		}
	})
}

// Data handed to callbacks is right even when parcels are reused at once.
func TestCallbackSeesItsRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, func(o *producer.Options) { o.AggregationMaxBytes = 300 })
		var kept [][]byte
		for i := range 2000 {
			want := bytes.Repeat([]byte{byte(i)}, i%90)
			key := fmt.Sprint(i)
			if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: key, ExplicitHashKey: key, Data: want}, func(r producer.Result) {
				if !bytes.Equal(r.Record.Data, want) || r.Record.PartitionKey != key || r.Record.ExplicitHashKey != key {
					t.Errorf("callback of %s is about %+v", key, r.Record)
				}
				kept = append(kept, bytes.Clone(r.Record.Data))
			}); err != nil {
				t.Fatal(err)
			}
		}
		w.close()
		if len(kept) != 2000 {
			t.Errorf("%d callbacks", len(kept))
		}
	})
}
