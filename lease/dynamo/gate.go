package dynamo

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/lease"
)

// A rank says how long a request can wait when the table is throttled.
type rank int

const (
	urgent  rank = iota // what keeps or passes on a lease, or the lock: it does not wait for others
	normal              // what can be made up for: checkpoints, new rows
	patient             // looks at the whole table
)

// A lane is one of the two capacities of a table.
type lane int

const (
	reading lane = iota
	writing
)

// logEvery is the shortest time between two lines of log about throttling.
const logEvery = 10 * time.Second

// A gate puts requests in order of urgency while a table is throttled, so that
// its capacity goes to the renewals first. It belongs to one [Store], that is to
// one worker. Without throttling nothing waits.
//
// What is not urgent goes in single file then, a gap apart. The gap doubles with
// every answer that says "throttled", to whomever, and shrinks with every request
// that passes.
type gate struct {
	mu      sync.Mutex // guards what follows
	lanes   [2]laneState
	refused [2]int    // requests throttled since the last line of log
	logged  time.Time // when that was
}

type laneState struct {
	gap    time.Duration // between requests that are not urgent; 0 if nothing is throttled
	next   time.Time     // when the next of them may go
	raised time.Time     // when gap was raised last
}

// The course of a gap.
const (
	gapFirst  = 20 * time.Millisecond
	gapMost   = 2 * time.Second
	gapLeast  = 5 * time.Millisecond   // below it there is none
	gapRaise  = 100 * time.Millisecond // requests refused together raise it once
	gapForget = 10 * time.Second       // after which nothing is throttled any more
)

// throttled notes an answer that says so. If it is time for a line of log it
// returns how many requests were refused since the last one, else zeros.
func (g *gate) throttled(l lane, now time.Time) (reads, writes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused[l]++
	if g.logged.IsZero() || now.Sub(g.logged) >= logEvery {
		reads, writes = g.refused[reading], g.refused[writing]
		g.refused, g.logged = [2]int{}, now
	}
	s := &g.lanes[l]
	if now.Sub(s.raised) >= gapRaise {
		s.gap = min(max(2*s.gap, gapFirst), gapMost)
		s.raised = now
	}
	return reads, writes
}

// passed notes a request that was not throttled.
func (g *gate) passed(l lane, r rank) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.lanes[l]
	if s.gap == 0 || r == urgent {
		return
	}
	if s.gap -= s.gap / 8; s.gap < gapLeast {
		s.gap = 0
	}
}

// slot returns when a request may be sent, and takes the place. A request that is
// patient leaves room for others. It returns false if that is after by, and takes
// nothing; a zero by is never.
func (g *gate) slot(l lane, r rank, now, by time.Time) (time.Time, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.lanes[l]
	if now.Sub(s.raised) > gapForget {
		s.gap = 0
	}
	if s.gap == 0 || r == urgent {
		return now, true
	}
	at := s.next
	if at.Before(now) {
		at = now
	}
	if r == patient {
		at = at.Add(4 * s.gap)
	}
	if !by.IsZero() && by.Before(at) {
		return time.Time{}, false
	}
	s.next = at.Add(s.gap)
	return at, true
}

// An urgent request that is throttled is made again after a pause between these,
// doubling.
const (
	urgentFirst = 25 * time.Millisecond
	urgentMost  = 200 * time.Millisecond
)

// gated makes a request when its turn has come, and again while it is throttled
// and ctx leaves time for it. Key spreads urgent requests that are repeated.
func gated[In, Out any](ctx context.Context, s *Store, l lane, r rank, key string,
	call func(context.Context, *In, ...func(*dynamodb.Options)) (*Out, error), in *In) (*Out, error) {
	by, _ := ctx.Deadline()
	var refused error
	for n := 0; ; n++ {
		now := time.Now()
		at, ok := s.gate.slot(l, r, now, by)
		if r == urgent && n > 0 {
			most := min(urgentFirst<<min(n, 16), urgentMost)
			at = now.Add(most/2 + spread(key, n, most/2))
			ok = by.IsZero() || at.Before(by)
		}
		if !ok {
			at = by // a caller that came back at once would only be put off again
		}
		if err := pauseUntil(ctx, at); err != nil || !ok {
			return nil, errors.Join(errPutOff, refused, err)
		}
		out, err := call(ctx, in, leaveThrottling)
		if err == nil || !throttled(err) {
			s.gate.passed(l, r)
			return out, err
		}
		if reads, writes := s.gate.throttled(l, time.Now()); reads+writes > 0 {
			s.options.Logger.Warn("table throttled", "table", s.table, "reads", reads, "writes", writes, "error", err)
		}
		refused = err
	}
}

// errPutOff is what a request ends with that was not made, or was refused, because
// the table is throttled.
var errPutOff = errors.New("dynamo: the table is throttled")

func pauseUntil(ctx context.Context, at time.Time) error {
	if d := time.Until(at); d > 0 {
		return pause(ctx, d)
	}
	return nil
}

// spread returns a time from 0 to most that belongs to the key and the attempt.
func spread(key string, n int, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	h.Write([]byte{byte(n)})
	return time.Duration(h.Sum64() % uint64(most))
}

// rankOf returns how urgent a write is.
func rankOf(op lease.Op) rank {
	switch op {
	case lease.Renew, lease.Take, lease.Assign, lease.Handoff, lease.Release:
		return urgent
	}
	return normal
}

func throttled(err error) bool {
	return isCode(err, "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")
}

// leaveThrottling keeps the SDK from repeating throttled requests, which it would
// do without regard to their urgency, after up to seconds. Its other retries
// stay.
func leaveThrottling(o *dynamodb.Options) {
	if o.Retryer != nil {
		o.Retryer = notThrottled{o.Retryer}
	}
}

type notThrottled struct{ aws.Retryer }

// IsErrorRetryable implements [aws.Retryer].
func (r notThrottled) IsErrorRetryable(err error) bool {
	return !throttled(err) && r.Retryer.IsErrorRetryable(err)
}
