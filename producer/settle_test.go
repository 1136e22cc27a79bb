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
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

var internalFailure = &kinesistest.Error{Status: 500, Code: "InternalFailure", Message: "Internal Service Failure"}

// Whatever goes wrong, as long as it heals everything is stored and the results
// are true.
func TestHealedFaultsLoseNothing(t *testing.T) {
	t.Parallel()
	third := func(i int, _, _ string) bool { return i%3 == 1 }
	tests := []struct {
		name       string
		fault      kinesistest.Fault
		duplicates bool // may be stored twice
	}{
		{"partial throttling", kinesistest.Fault{Entries: third, Error: kinesistest.Throttled, Times: 20}, false},
		{"partial internal failures", kinesistest.Fault{Entries: third, Error: internalFailure, Times: 20}, false},
		{"one throttled shard", kinesistest.Fault{Shard: "shardId-000000000001", Error: kinesistest.Throttled, Times: 10}, false},
		{"throttled requests", kinesistest.Fault{Error: kinesistest.Throttled, Times: 5}, false},
		{"KMS throttling", kinesistest.Fault{Error: &kinesistest.Error{Code: "KMSThrottlingException"}, Times: 5}, false},
		{"expired credentials", kinesistest.Fault{Error: &kinesistest.Error{Code: "ExpiredTokenException"}, Times: 3}, false},
		{"lost requests", kinesistest.Fault{Lose: kinesistest.LoseRequest, Every: 2, Times: 5}, false},
		{"lost responses", kinesistest.Fault{Lose: kinesistest.LoseResponse, Every: 2, Times: 5}, true},
		{"internal failures after storing", kinesistest.Fault{Error: internalFailure, Applied: true, Times: 3}, true},
		{"hanging", kinesistest.Fault{Hang: true, Times: 2}, false},
		{"late answers", kinesistest.Fault{DelayAfter: 10 * time.Second, Times: 2}, true},
		{"slow service", kinesistest.Fault{Delay: 200 * time.Millisecond}, false},
	}
	for _, tt := range tests {
		for _, aggregate := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4, func(o *producer.Options) { o.Aggregate, o.AggregationMaxBytes = aggregate, 500 })
				tt.fault.Operation = "PutRecords"
				w.srv.Inject(tt.fault)
				for i := range 500 {
					if err := w.send(fmt.Sprint("key-", i), fmt.Sprint("data-", i)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Millisecond)
				}
				w.close()
				if got := w.check(); got[producer.Stored] != 500 {
					t.Errorf("%s: outcomes %v, want 500 stored", tt.name, got)
				}
				if n := w.duplicates(); n > 0 && !tt.duplicates {
					t.Errorf("%s: %d duplicates", tt.name, n)
				}
			})
		}
	}
}

// What never heals ends within RecordTTL, with the outcome that is true.
func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault kinesistest.Fault
		want  producer.Outcome
	}{
		{"throttled entries", kinesistest.Fault{Entries: func(int, string, string) bool { return true }, Error: kinesistest.Throttled}, producer.NotStored},
		{"throttled requests", kinesistest.Fault{Error: kinesistest.Throttled}, producer.NotStored},
		{"lost requests", kinesistest.Fault{Lose: kinesistest.LoseRequest}, producer.Unknown},
		{"lost responses", kinesistest.Fault{Lose: kinesistest.LoseResponse}, producer.Unknown},
		{"hanging", kinesistest.Fault{Hang: true}, producer.Unknown},
		{"late answers", kinesistest.Fault{DelayAfter: time.Minute}, producer.Unknown},
		{"internal failures", kinesistest.Fault{Error: internalFailure}, producer.Unknown},
	}
	for _, tt := range tests {
		for _, aggregate := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				const ttl = 10 * time.Second
				w := newWorld(t, 4, func(o *producer.Options) {
					o.RecordTTL, o.Aggregate, o.AggregationMaxBytes = ttl, aggregate, 2000
				})
				tt.fault.Operation = "PutRecords"
				w.srv.Inject(tt.fault)
				for i := range 200 {
					if err := w.send(fmt.Sprint("key-", i), fmt.Sprint("data-", i)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(20 * time.Millisecond)
				}
				w.close()
				got := w.check()
				if got[tt.want] < 195 || got[producer.Stored] > 0 { // the last may have had no attempt yet
					t.Errorf("%s: outcomes %v, want 200 %v", tt.name, got, tt.want)
				}
				for data, rs := range w.results {
					var putErr *producer.PutError
					if !errors.Is(rs[0].Err, producer.ErrExpired) || !errors.As(rs[0].Err, &putErr) || putErr.Outcome != rs[0].Outcome {
						t.Errorf("%s: %s: error %v", tt.name, data, rs[0].Err)
					}
					if d := w.took[data]; d > ttl || d < ttl*99/100 {
						t.Errorf("%s: %s ended after %v, want %v", tt.name, data, d, ttl)
					}
				}
			})
		}
	}
}

// Errors that no retry can heal end records at once and name the cause.
func TestFatalErrorsEndAtOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"AccessDeniedException", "KMSDisabledException", "KMSAccessDeniedException", "UnrecognizedClientException", "InvalidArgumentException"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: &kinesistest.Error{Code: code, Message: "because"}})
			start := time.Now()
			res, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"})
			if res.Outcome != producer.NotStored || !strings.Contains(err.Error(), code) || !strings.Contains(err.Error(), "because") {
				t.Errorf("Put = %v, %v", res.Outcome, err)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("%s: it took %v", code, d)
			}
			if len(res.Attempts) != 1 || res.Attempts[0].Code != code || res.Attempts[0].Message != "because" {
				t.Errorf("%s: attempts %+v", code, res.Attempts)
			}
			w.close()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 1)
		p, err := producer.New(w.client, "no-such-stream")
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.Put(t.Context(), producer.Record{PartitionKey: "k"})
		var notFound *types.ResourceNotFoundException
		if res.Outcome != producer.NotStored || !errors.As(err, &notFound) {
			t.Errorf("Put into no stream = %v, %v", res.Outcome, err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// One record that the service refuses does not take its neighbours along.
func TestPoisonStandsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, func(o *producer.Options) { o.Aggregate = false })
		w.srv.Inject(kinesistest.Fault{
			Operation: "PutRecords",
			Match: func(c *kinesistest.Call) bool {
				for _, r := range c.Records() {
					if r.PartitionKey == "poison" {
						return true
					}
				}
				return false
			},
			Error: &kinesistest.Error{Code: "InvalidArgumentException", Message: "poison"},
		})
		w.sendMany(450)
		for i := range 2 {
			if err := w.send("poison", fmt.Sprint("poison-", i)); err != nil {
				t.Fatal(err)
			}
		}
		w.close()
		if got := w.check(); got != [3]int{producer.Stored: 450, producer.NotStored: 2} {
			t.Errorf("outcomes %v, want 450 stored and 2 not", got)
		}
		if n := w.duplicates(); n > 0 {
			t.Errorf("%d duplicates", n)
		}
	})
}

// An answer that does not fit the request is nobody's.
func TestAnswerOfAnotherLength(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := producer.New(&shortAnswers{stub: newStub(1)}, "s", func(o *producer.Options) { o.Aggregate = false })
		if err != nil {
			t.Fatal(err)
		}
		var unknown int
		for range 3 {
			if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: "k"}, func(r producer.Result) {
				if r.Outcome == producer.Unknown {
					unknown++
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if unknown != 3 {
			t.Errorf("%d of 3 are unknown", unknown)
		}
	})
}

type shortAnswers struct{ *stub }

func (s *shortAnswers) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, f ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out, err := s.stub.PutRecords(ctx, in, f...)
	out.Records = out.Records[1:]
	return out, err
}

// All attempts of a record are in its result.
func TestAttemptsAreReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled, Times: 1, DelayAfter: time.Millisecond})
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: internalFailure, Times: 1})
		res, err := w.Put(t.Context(), producer.Record{PartitionKey: "k", Data: []byte("x")})
		if err != nil || len(res.Attempts) != 3 {
			t.Fatalf("Put = %+v, %v, want three attempts", res, err)
		}
		for i, code := range []string{"ProvisionedThroughputExceededException", "InternalFailure", ""} {
			if a := res.Attempts[i]; a.Code != code || a.Start.IsZero() || i > 0 && a.Start.Before(res.Attempts[i-1].Start) {
				t.Errorf("attempt %d = %+v, want code %q", i, a, code)
			}
		}
		w.close()
	})
}

func TestRequestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var infos []producer.RequestInfo
		w := newWorld(t, 2, func(o *producer.Options) {
			o.Events.Request = func(i producer.RequestInfo) {
				mu.Lock()
				defer mu.Unlock()
				infos = append(infos, i)
			}
		})
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000001", Error: kinesistest.Throttled, Times: 1})
		w.sendMany(100)
		w.close()
		if len(infos) != 2 || infos[0].UserRecords != 100 || infos[0].Records != 2 || infos[0].Failed != 1 || infos[0].Throttled != 1 ||
			infos[1].Records != 1 || infos[1].Failed != 0 || infos[1].Err != nil || infos[1].Bytes == 0 {
			t.Errorf("events %+v", infos)
		}
	})
}

// The requests are what AWS expects of a producer that predicts shards.
func TestRequestsAreWellFormed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &spy{stub: newStub(1)}
		p, err := producer.New(s, "s", unpaced, func(o *producer.Options) { o.CollectionMaxBytes = 100_000 })
		if err != nil {
			t.Fatal(err)
		}
		put := func(r producer.Record) {
			if err := p.PutAsync(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
		}
		put(producer.Record{PartitionKey: "k", Data: []byte("single")})
		time.Sleep(time.Second)
		put(producer.Record{PartitionKey: "k"})
		time.Sleep(time.Second)
		put(producer.Record{PartitionKey: "k", ExplicitHashKey: "7", Data: []byte("x")})
		put(producer.Record{PartitionKey: "k", Data: []byte("y")})
		time.Sleep(time.Second)
		put(producer.Record{PartitionKey: "small", Data: []byte("y")})
		put(producer.Record{PartitionKey: "big", Data: make([]byte, 200_000)})
		put(producer.Record{PartitionKey: "small", Data: []byte("y")})
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := [][]sent{
			{{"k", "", 6}},
			{{"k", "", 0}},
			{{"a", "7", 4 + 3 + 3 + 9 + 7 + 16}}, // magic, two keys, two records, digest
			{{"small", "", 1}},
			{{"big", "", 200_000}},
			{{"small", "", 1}},
		}
		if !cmp.Equal(s.calls, want, cmp.AllowUnexported(sent{})) {
			t.Errorf("requests\n%v, want\n%v", s.calls, want)
		}
	})
}

// A spy is a stub that notes what it was sent.
type spy struct {
	*stub
	mu    sync.Mutex
	calls [][]sent
}

type sent struct {
	key, ehk string
	size     int
}

func (s *spy) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, f ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	var call []sent
	for _, e := range in.Records { // its memory is the producer's
		call = append(call, sent{strings.Clone(*e.PartitionKey), strings.Clone(aws.ToString(e.ExplicitHashKey)), len(e.Data)})
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	if aws.ToString(in.StreamName) == "" {
		return nil, errors.New("no stream name")
	}
	return s.stub.PutRecords(ctx, in, f...)
}
