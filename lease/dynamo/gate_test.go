package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// A quota lets so many calls a second pass and throttles the others.
type quota struct {
	mu    sync.Mutex // guards all fields below
	rate  float64
	level float64
	last  time.Time

	passed, refused map[string]int // by what they write
}

func (q *quota) throttles(c *kinesistest.Call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.level = min(q.rate, q.level+q.rate*now.Sub(q.last).Seconds())
	q.last = now
	what := "lease"
	if strings.Contains(string(c.Body), `"#checkpoint"`) {
		what = "checkpoint"
	}
	if q.level < 1 {
		q.refused[what]++
		return true
	}
	q.level--
	q.passed[what]++
	return false
}

// lines is a log that is counted.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// A table that can take a little more than the renewals and is asked to store
// positions all the time: no lease is lost, and positions are stored nevertheless.
func TestThrottlingLosesNoLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const shardCount = 8 // 2 renewals a second
		srv := kinesistest.NewServer()
		defer srv.Close()
		var log lines
		store, err := dynamo.New(dynamodb.NewFromConfig(srv.Config()), "app", func(o *dynamo.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var lost []string
		c, err := lease.New(store, shards(shardCount), func(o *lease.Options) {
			o.WorkerID = "w"
			o.Events.Lost = func(i lease.LostInfo) {
				mu.Lock()
				defer mu.Unlock()
				lost = append(lost, i.Err.Error())
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
				for n := 1; fetch.Err() == nil; n++ {
					if err := h.Checkpoint(work, checkpoint.At(fmt.Sprint(n))); errors.Is(err, lease.ErrLost) {
						return err
					}
					time.Sleep(50 * time.Millisecond)
				}
				return nil
			})
		}()
		time.Sleep(2 * time.Second)
		q := &quota{rate: 4, passed: map[string]int{}, refused: map[string]int{}}
		srv.Inject(kinesistest.Fault{Service: kinesistest.DynamoDB, Error: kinesistest.Throttled, Match: func(c *kinesistest.Call) bool {
			return (c.Operation == "UpdateItem" || c.Operation == "PutItem") && q.throttles(c)
		}})
		time.Sleep(2 * time.Minute)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		t.Logf("passed %v, throttled %v", q.passed, q.refused)
		if len(lost) > 0 {
			t.Errorf("%d leases lost: %v", len(lost), lost[0])
		}
		if n := log.count("table throttled"); n < 5 || n > 13 {
			t.Errorf("%d lines of log in 2 minutes, want one every 10 s", n)
		}
		if q.passed["checkpoint"] < 50 {
			t.Errorf("%d positions stored in 2 minutes", q.passed["checkpoint"])
		}
	})
}
