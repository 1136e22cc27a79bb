package consumer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/consumer"
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
