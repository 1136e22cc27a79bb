package consumer

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/lease"
)

// A crowd is an account with very many streams, of which others describe some too.
type crowd struct {
	MultiAPI // nil: nothing else is called

	mu        sync.Mutex // guards what follows
	limit     pace.Bucket
	created   map[string]time.Time
	calls     int
	throttled int
}

func newCrowd(n int) (*crowd, []Stream) {
	c := &crowd{limit: pace.NewBucket(20, 20), created: make(map[string]time.Time)}
	list := make([]Stream, n)
	for i := range list {
		list[i].Name = fmt.Sprintf("s%04d", i)
		c.created[list[i].Name] = time.Now()
	}
	return c, list
}

func (c *crowd) DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, _ ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	if err := sleep(ctx, 15*time.Millisecond); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.limit.Wait(time.Now(), 1) > 0 {
		c.throttled++
		return nil, &types.LimitExceededException{}
	}
	c.limit.Spend(time.Now(), 1)
	name := aws.ToString(in.StreamName)
	if in.StreamARN != nil {
		name = (*in.StreamARN)[strings.LastIndex(*in.StreamARN, "/")+1:]
	}
	at, ok := c.created[name]
	if !ok {
		return nil, &types.ResourceNotFoundException{}
	}
	arn := "arn:aws:kinesis:us-east-1:123456789012:stream/" + name
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{
		StreamARN: &arn, StreamName: &name, StreamCreationTimestamp: &at,
	}}, nil
}

func (c *crowd) idOf(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("123456789012:%s:%d", name, c.created[name].Unix())
}

func ids(list []lease.Stream) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, s := range list {
		out[s.ID] = true
	}
	return out
}

// Two thousand streams cannot be described in a minute. No look takes longer than
// that, each goes on where the last one ended, what was found stays, and a stream
// that is new, or made again, is not lost among the others.
func TestLookAtTwoThousandStreamsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, given := newCrowd(2000)
		m := &multi{
			client: c, start: FromTrimHorizon(), roll: newRoll(), known: make(map[string]target),
			ask: func(context.Context) ([]Stream, error) { return given, nil },
		}
		look := func() (map[string]bool, error) {
			t.Helper()
			began := time.Now()
			list, err := m.Streams(t.Context())
			if took := time.Since(began); took > lookFor+time.Second {
				t.Fatalf("a look took %v, want at most %v", took, lookFor)
			}
			return ids(list), err
		}
		began, known := time.Now(), 0
		for known < len(given) {
			found, err := look()
			if len(found) < known+400 && len(found) < len(given) || (err == nil) != (len(found) == len(given)) {
				t.Fatalf("%d streams after %v, %d before; error %v", len(found), time.Since(began), known, err)
			}
			known = len(found)
			time.Sleep(10 * time.Second) // as the leader does
		}
		if took := time.Since(began); took > 4*time.Minute {
			t.Errorf("all are known after %v, want at most 4m", took)
		}
		c.mu.Lock()
		if c.throttled > 0 {
			t.Errorf("%d of %d calls throttled by an account of its own", c.throttled, c.calls)
		}
		c.created["new"], c.created["s0007"] = time.Now(), time.Now()
		delete(c.created, "s0009")
		c.mu.Unlock()
		given = append(given, Stream{Name: "new"})
		if found, err := look(); err != nil && !strings.Contains(err.Error(), "s0009") || !found[c.idOf("new")] || len(found) < 2000 {
			t.Errorf("%d streams, new one %v, error %v, want it and all others", len(found), found[c.idOf("new")], err)
		}
		again, gone := false, false
		for range 7 {
			time.Sleep(time.Minute)
			found, err := look()
			again = again || found[c.idOf("s0007")]
			gone = gone || err != nil && strings.Contains(err.Error(), "s0009")
		}
		if !again || !gone {
			t.Errorf("after seven minutes: made again %v, deleted %v, want both noticed", again, gone)
		}
	})
}

// Where others use up what an account may describe, a look takes what it gets, and
// what is known stays.
func TestLookAtStreamsGoesOnWhileThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, given := newCrowd(100)
		m := &multi{
			client: c, start: FromLatest(), roll: newRoll(), known: make(map[string]target),
			ask: func(context.Context) ([]Stream, error) { return given, nil },
		}
		if list, err := m.Streams(t.Context()); err != nil || len(list) != 100 {
			t.Fatalf("%d streams, error %v, want 100", len(list), err)
		}
		c.mu.Lock()
		c.limit = pace.NewBucket(0.001, 1)
		c.limit.Spend(time.Now(), 1)
		c.calls = 0
		c.mu.Unlock()
		list, err := m.Streams(t.Context())
		if err != nil || len(list) != 100 {
			t.Errorf("%d streams, error %v, want the 100 that are known", len(list), err)
		}
		if c.calls > 60 {
			t.Errorf("%d calls in a look that is throttled, want at most 60", c.calls)
		}
		given = append(given, Stream{Name: "late"})
		if list, err := m.Streams(t.Context()); err == nil || !strings.Contains(err.Error(), "1 of 101 streams left") || len(list) != 100 {
			t.Errorf("%d streams, error %v, want 100 and that one is left", len(list), err)
		}
	})
}

// Streams that are named and are not there, more than a look can describe, keep no
// other from being found, nor one that was made again from being noticed.
func TestLookAtStreamsReachesThoseBehindManyThatAreMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, given := newCrowd(1000)
		for _, s := range given[:600] {
			delete(c.created, s.Name)
		}
		m := &multi{
			client: c, start: FromTrimHorizon(), roll: newRoll(), known: make(map[string]target),
			ask: func(context.Context) ([]Stream, error) { return given, nil },
		}
		looks := func(n int) (found map[string]bool) {
			t.Helper()
			for range n {
				list, err := m.Streams(t.Context())
				if err == nil || strings.Count(err.Error(), "\n") > 12 {
					t.Errorf("error %v, want one that says that streams are missing, and not of each", err)
				}
				found = ids(list)
				time.Sleep(10 * time.Second) // as the leader does
			}
			return found
		}
		if found := looks(3); len(found) != 400 {
			t.Errorf("%d streams after three looks, want the 400 that are there", len(found))
		}
		c.mu.Lock()
		c.created["s0000"], c.created["s0999"] = time.Now(), time.Now()
		c.mu.Unlock()
		if found := looks(5); !found[c.idOf("s0000")] || !found[c.idOf("s0999")] {
			t.Errorf("of two streams that were made since, found %v and %v", found[c.idOf("s0000")], found[c.idOf("s0999")])
		}
	})
}

// A stream that is named and not there is looked for every ten seconds; the others
// are described once a minute all the same.
func TestMissingStreamDoesNotHaveTheOthersDescribed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, given := newCrowd(100)
		delete(c.created, "s0042")
		m := &multi{
			client: c, start: FromLatest(), roll: newRoll(), known: make(map[string]target),
			ask: func(context.Context) ([]Stream, error) { return given, nil },
		}
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			if list, err := m.Streams(t.Context()); err == nil || len(list) != 99 {
				t.Fatalf("%d streams, error %v, want 99 and an error", len(list), err)
			}
			time.Sleep(10 * time.Second) // as the leader does
		}
		if c.calls > 10*150 {
			t.Errorf("%d calls in ten minutes for 100 streams, want at most 1500", c.calls)
		}
	})
}
