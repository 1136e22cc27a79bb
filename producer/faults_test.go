package producer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// Each of the things that go wrong in TestSimulation by chance goes wrong here
// alone, for long, and with numbers. Those that heal within seconds are in
// TestHealedFaultsLoseNothing, those that stay in TestFaultsThatStay.

// A shard that throttles for ten minutes keeps its own records and nobody
// else's.
func TestHotShardForTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const buffer = 256 << 10
		w := newWorld(t, 4, func(o *producer.Options) { o.MaxBufferedBytes, o.RecordTTL = buffer, time.Hour })
		heal := w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000002", Error: kinesistest.Throttled})
		var mu sync.Mutex
		var cool []time.Duration // how long the others took
		hot, refused, most := 0, 0, int64(0)
		for start := time.Now(); time.Since(start) < 10*time.Minute; time.Sleep(500 * time.Millisecond) {
			for i := range 4 {
				put, key := time.Now(), fmt.Sprint(i, " ", time.Since(start).Milliseconds())
				isHot := hashOf(key).Hi>>62 == 2
				err := w.TryPut(producer.Record{PartitionKey: key, Data: make([]byte, 900)}, func(r producer.Result) {
					mu.Lock()
					defer mu.Unlock()
					if r.Err != nil {
						t.Errorf("result %+v", r)
					} else if !isHot {
						cool = append(cool, time.Since(put))
					}
				})
				switch {
				case isHot && errors.Is(err, producer.ErrFull):
					refused++
				case err != nil:
					t.Fatalf("a record of another shard: %v", err)
				case isHot:
					hot++
				}
			}
			most = max(most, w.Stats().BufferedBytes)
		}
		calls := w.Stats().Throttled
		heal()
		w.close()
		slices.Sort(cool)
		if slowest := cool[len(cool)-1]; len(cool) < 3000 || slowest > 101*time.Millisecond {
			t.Errorf("the slowest of %d records of other shards took %v", len(cool), slowest)
		}
		if hot == 0 || refused == 0 || most > buffer {
			t.Errorf("%d records of the hot shard accepted, %d refused, at most %d bytes of %d buffered", hot, refused, most, buffer)
		}
		if calls > 1500 {
			t.Errorf("the hot shard was asked %d times in ten minutes", calls)
		}
		if s := w.Stats(); s.NotStored+s.Unknown != 0 || s.BufferedBytes != 0 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// A service that is down for five minutes costs the buffer and now and then a
// call, and when it is back so is the producer.
func TestOutageOfFiveMinutes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault kinesistest.Fault
	}{
		{"unavailable", kinesistest.Fault{Error: kinesistest.ServiceUnavailable}},
		{"throttled", kinesistest.Fault{Error: kinesistest.Throttled}},
		{"unreachable", kinesistest.Fault{Lose: kinesistest.LoseRequest}},
		{"hanging", kinesistest.Fault{Hang: true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			const buffer = 256 << 10
			w := newWorld(t, 8, func(o *producer.Options) { o.MaxBufferedBytes, o.RecordTTL, o.MaxInFlight = buffer, time.Hour, 4 })
			w.sendMany(100)
			time.Sleep(time.Second)
			before := w.Stats().Requests
			heal := w.srv.Inject(tt.fault)
			ctx, cancel := context.WithCancel(t.Context())
			var putting sync.WaitGroup
			accepted, most := 0, int64(0)
			putting.Go(func() {
				for i := 0; ; i++ {
					r := producer.Record{PartitionKey: fmt.Sprint(i), Data: []byte(fmt.Sprint("down ", i, strings.Repeat(" ", 500)))}
					if w.sendRecord(ctx, r) != nil {
						return
					}
					accepted++
					time.Sleep(50 * time.Millisecond)
				}
			})
			for range 300 {
				time.Sleep(time.Second)
				most = max(most, w.Stats().BufferedBytes)
			}
			down := w.Stats()
			heal()
			time.Sleep(11 * time.Second) // twice the longest back-off and a little
			cancel()
			putting.Wait()
			if n := down.Requests - before; n > 400 {
				t.Errorf("%s: %d calls in five minutes", tt.name, n)
			}
			if most > buffer || most < buffer*8/10 {
				t.Errorf("%s: at most %d bytes of %d buffered", tt.name, most, buffer)
			}
			if s := w.Stats(); s.BufferedBytes > 64<<10 {
				t.Errorf("%s: %d bytes are still buffered when the service is back", tt.name, s.BufferedBytes)
			}
			w.close()
			if got := w.check(); got[producer.Stored] != accepted+100 {
				t.Errorf("%s: outcomes %v of %d", tt.name, got, accepted+100)
			}
		})
	}
}

// An answer without an end is cut off, long before it fills the memory.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, operation := range []string{"PutRecords", "ListShards", "DescribeStreamSummary"} {
			w := newServer(t, 2)
			endless := &endlessAnswers{inner: w.srv.Config().HTTPClient, operation: operation}
			cfg := w.srv.Config()
			cfg.HTTPClient = endless
			p, err := producer.New(kinesis.NewFromConfig(cfg), stream, func(o *producer.Options) { o.RecordTTL = 10 * time.Second })
			if err != nil {
				t.Fatal(err)
			}
			w.Producer = p
			w.sendMany(10)
			w.close()
			got := w.check()
			if want := 10; got[producer.Stored] != want && operation != "PutRecords" {
				t.Errorf("%s: outcomes %v, want %d stored", operation, got, want)
			}
			if operation == "PutRecords" && got[producer.Unknown] != 10 {
				t.Errorf("%s: outcomes %v, want 10 unknown", operation, got)
			}
			if endless.largest > 9<<20 || endless.answers == 0 {
				t.Errorf("%s: %d bytes read of one of %d answers without an end", operation, endless.largest, endless.answers)
			}
		}
	})
}

// endlessAnswers answers an operation for ever. It ends the test when 64 MiB of
// an answer have been read.
type endlessAnswers struct {
	inner     aws.HTTPClient
	operation string

	mu      sync.Mutex
	answers int
	largest int
}

func (e *endlessAnswers) Do(r *http.Request) (*http.Response, error) {
	resp, err := e.inner.Do(r)
	if err == nil && strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+e.operation) {
		e.mu.Lock()
		e.answers++
		e.mu.Unlock()
		resp.ContentLength = -1
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"Records":[{"ShardId":"`), &letters{e: e}))
	}
	return resp, err
}

type letters struct {
	e    *endlessAnswers
	read int
}

func (l *letters) Read(p []byte) (int, error) {
	l.read += len(p)
	l.e.mu.Lock()
	l.e.largest = max(l.e.largest, l.read)
	l.e.mu.Unlock()
	if l.read > 64<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// While no credentials can be had nothing is sent, so nothing is in doubt.
func TestCredentialsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 2)
		var mu sync.Mutex
		broken := errors.New("no role to assume")
		var err error
		cfg := w.srv.Config()
		good := cfg.Credentials
		cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				return aws.Credentials{}, err
			}
			return good.Retrieve(ctx)
		})
		p, newErr := producer.New(kinesis.NewFromConfig(cfg), stream, func(o *producer.Options) { o.RecordTTL = 20 * time.Second })
		if newErr != nil {
			t.Fatal(newErr)
		}
		w.Producer = p
		set := func(e error) { mu.Lock(); err = e; mu.Unlock() }
		w.sendMany(10)
		time.Sleep(time.Second)
		set(broken)
		for i := range 10 {
			if err := w.send("k", fmt.Sprint("lost ", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(21 * time.Second)
		for i := range 10 {
			w.mu.Lock()
			r := w.results[fmt.Sprint("lost ", i)]
			w.mu.Unlock()
			if len(r) != 1 || r[0].Outcome != producer.NotStored || !errors.Is(r[0].Err, producer.ErrExpired) || !errors.Is(r[0].Err, broken) {
				t.Fatalf("without credentials the result is %+v", r)
			}
		}
		if err := w.send("k", "saved"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		set(nil)
		w.close()
		if got := w.check(); got != [3]int{producer.Stored: 11, producer.NotStored: 10} {
			t.Errorf("outcomes %v, want 11 stored and 10 not", got)
		}
	})
}

// A stream that is deleted ends what waits for it at once, and what comes later.
func TestStreamIsDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.sendMany(10)
		time.Sleep(time.Second)
		if _, err := w.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			start := time.Now()
			res, err := w.Put(t.Context(), producer.Record{PartitionKey: fmt.Sprint(i)})
			if res.Outcome != producer.NotStored || !strings.Contains(fmt.Sprint(err), "ResourceNotFoundException") || time.Since(start) > time.Second {
				t.Errorf("Put = %v, %v after %v", res.Outcome, err, time.Since(start))
			}
			time.Sleep(time.Minute)
		}
		w.close()
	})
}

// Without a map records go on, one by one, and are packed again when it is there.
func TestListingFailsForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 2)
		listings := 0
		w.srv.Inject(kinesistest.Fault{Operation: "ListShards", Match: func(*kinesistest.Call) bool { listings++; return false }})
		w.srv.Inject(kinesistest.Fault{Operation: "ListShards", Error: internalFailure, For: time.Minute})
		p, err := producer.New(w.client, stream)
		if err != nil {
			t.Fatal(err)
		}
		w.Producer = p
		slowest := time.Duration(0)
		for i := range 600 {
			put := time.Now()
			if _, err := w.Put(t.Context(), producer.Record{PartitionKey: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			slowest = max(slowest, time.Since(put))
		}
		time.Sleep(31 * time.Second) // the longest back-off of listings
		if s := w.Stats(); slowest > 3*time.Second || listings > 60 || s.Shards != 2 {
			t.Errorf("the slowest took %v, %d listings, %d shards known", slowest, listings, s.Shards)
		}
		before := w.Stats().KinesisRecords
		w.sendMany(1000)
		w.close()
		if n := w.Stats().KinesisRecords - before; n > 4 {
			t.Errorf("1000 records in %d Kinesis records after the map has come", n)
		}
	})
}

// A hundred goroutines put while Close runs: each put is refused or has its
// result before Close returns.
func TestHundredGoroutinesPutWhileCloseRuns(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{0, 30 * time.Millisecond, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4, func(o *producer.Options) { o.MaxBufferedBytes = 64 << 10 })
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", DelayAfter: 50 * time.Millisecond})
			var wg sync.WaitGroup
			for g := range 100 {
				wg.Go(func() {
					for i := 0; ; i++ {
						id := fmt.Sprint(g, " ", i)
						switch err := w.sendRecord(t.Context(), producer.Record{PartitionKey: id, Data: []byte(id)}); {
						case errors.Is(err, producer.ErrClosed):
							return
						case err != nil:
							t.Errorf("PutAsync = %v", err)
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
			time.Sleep(200 * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := w.Close(ctx)
			if limit == time.Minute && err != nil || limit == 0 && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close within %v = %v", limit, err)
			}
			w.mu.Lock()
			accepted, results := len(w.put), len(w.results)
			w.mu.Unlock()
			wg.Wait()
			if accepted > results || len(w.put) != len(w.results) {
				t.Errorf("%d accepted and %d results when Close returned, in the end %d and %d", accepted, results, len(w.put), len(w.results))
			}
			w.check()
		})
	}
}

// Flush waits for the callbacks of records that expired in a call that ends
// before those callbacks run.
func TestFlushWaitsForWhatExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(o *producer.Options) { o.RecordTTL, o.RecordMaxBufferedTime = time.Second, 0 })
		if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "warm up"}); err != nil {
			t.Fatal(err)
		}
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Delay: 2 * time.Second, Error: kinesistest.Throttled})
		var called []string
		put := func(name string, takes time.Duration) {
			if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: "k"}, func(producer.Result) {
				time.Sleep(takes)
				called = append(called, name)
			}); err != nil {
				t.Fatal(err)
			}
		}
		put("slow", 10*time.Second)
		time.Sleep(10 * time.Millisecond)
		put("behind", 0)
		time.Sleep(10 * time.Millisecond)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(called) != 2 {
			t.Errorf("Flush returns after the callbacks of %v", called)
		}
		w.close()
	})
}
