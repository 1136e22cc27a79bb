package consumer_test

import (
	"context"
	"net/http"
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

// LATEST is where the first reader of a shard began, also for the one that takes
// it over before anything was stored. It used to be judged anew, and what was put
// between the two was lost.
func TestLatestIsWhereTheFirstReaderBegan(t *testing.T) {
	t.Parallel()
	for _, way := range []consumer.Retrieval{consumer.Polling, consumer.FanOut} {
		t.Run(way.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				w.puts(20)
				before := len(w.put)
				time.Sleep(10 * time.Second)
				latest := func(o *consumer.Options) {
					if o.Start = consumer.FromLatest(); way == consumer.FanOut {
						fanOut(o)
					}
				}
				stop := w.run(w.worker("w1", latest), func(ctx context.Context, s *consumer.Shard) error {
					for _, err := range s.Batches(ctx) {
						if err != nil {
							return err
						}
					}
					return nil // nothing of it was done
				})
				time.Sleep(10 * time.Second)
				w.puts(30)
				time.Sleep(10 * time.Second)
				if err := stop(); err != nil {
					t.Error(err)
				}
				w.puts(30)
				stop = w.run(w.worker("w2", latest), w.handler("w2"))
				time.Sleep(20 * time.Second)
				if err := stop(); err != nil {
					t.Error(err)
				}
				if missing := w.missing(); len(missing) != before {
					t.Errorf("%d records are missing, want the %d from before the first reader", len(missing), before)
				}
			})
		})
	}
}

// A doer is an HTTP client.
type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(r *http.Request) (*http.Response, error) { return f(r) }

// An answer says when it was made, and what it says of the shard may be older by all
// the time that it took. A record that arrived meanwhile is read, also if the
// iterator of that answer is refused.
func TestLatestDoesNotPassOverWhatArrivesDuringAnAnswer(t *testing.T) {
	t.Parallel()
	for _, slow := range []string{"GetShardIterator", "GetRecords"} {
		t.Run(slow, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				w.puts(3)
				time.Sleep(10 * time.Second)
				cfg := w.srv.Config()
				next, slept, refused := cfg.HTTPClient, false, false
				cfg.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
					_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
					if slept && !refused && op == "GetRecords" {
						refused = true
						return refuse("ExpiredIteratorException"), nil
					}
					resp, err := next.Do(r)
					if err == nil && op == slow && !slept {
						slept = true
						w.puts(1)
						time.Sleep(1500 * time.Millisecond)
						resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
					}
					return resp, err
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				client := kinesis.NewFromConfig(cfg, func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
				got := ""
				for b, err := range consumer.ReadShard(ctx, client, stream, id(0), consumer.FromLatest()) {
					if err != nil {
						break
					}
					got = string(b.Records[0].Data)
					break
				}
				if got != "r3" || !refused {
					t.Errorf("first record read: %q, iterator refused: %v; want r3, which was put during the answer", got, refused)
				}
			})
		})
	}
}

// Nothing is handed out before it is stored where LATEST was: if the table fails until
// the lease is lost, the next reader begins somewhere else, and what the first one had
// in hand would be passed over.
func TestNothingIsReadBeforeLatestIsStored(t *testing.T) {
	t.Parallel()
	for _, way := range []consumer.Retrieval{consumer.Polling, consumer.FanOut} {
		t.Run(way.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				if way == consumer.FanOut {
					arn := "arn:aws:kinesis:us-east-1:123456789012:stream/" + stream
					_, err := w.client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: &arn, ConsumerName: aws.String("clicks-app")})
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute) // it is ACTIVE
				}
				var begun, fails atomic.Bool
				for _, op := range []string{"GetShardIterator", "SubscribeToShard"} {
					w.srv.Inject(kinesistest.Fault{Operation: op, Match: func(*kinesistest.Call) bool {
						if !begun.Swap(true) {
							fails.Store(true)
							time.AfterFunc(20*time.Second, func() { fails.Store(false) })
						}
						return false
					}})
				}
				w.srv.Inject(kinesistest.Fault{
					Operation: "UpdateItem", Error: kinesistest.InternalFailure, Match: func(*kinesistest.Call) bool { return fails.Load() },
				})
				var mu sync.Mutex
				seen := map[string]bool{}
				c := w.worker("w1", func(o *consumer.Options) {
					if o.Start = consumer.FromLatest(); way == consumer.FanOut {
						fanOut(o)
					}
				})
				stop := w.run(c, func(ctx context.Context, s *consumer.Shard) error {
					for b, err := range s.Batches(ctx) {
						if err != nil {
							return err
						}
						for i := range b.Records {
							mu.Lock()
							seen[string(b.Records[i].Data)] = true
							mu.Unlock()
							if !fails.Load() {
								w.record("w1", s.ID(), &b.Records[i])
							}
						}
						if !fails.Load() {
							_ = s.Checkpoint(ctx, b.Last())
						}
					}
					return nil
				})
				for range 60 {
					time.Sleep(time.Second)
					w.puts(1)
				}
				time.Sleep(10 * time.Second)
				if err := stop(); err != nil {
					t.Error(err)
				}
				for _, r := range w.missing() {
					if seen[r] {
						t.Errorf("%s was in the hands of a reader and is lost", r)
					}
				}
				if len(w.missing()) > 40 || len(seen) == 0 {
					t.Errorf("%d of 60 records are missing", len(w.missing()))
				}
			})
		})
	}
}
