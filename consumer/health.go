package consumer

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// healthMemory is how long a shard that was given up counts as unhealthy if it
// is not read again.
const healthMemory = 10 * time.Minute

// A ShardHealth is a shard that cannot be read, and why.
type ShardHealth struct {
	Stream, ShardID string
	Since           time.Time // when it answered last, or reading began
	GivenUp         bool      // its lease was given back
	Err             error
}

// A HealthError names the shards a worker cannot read.
type HealthError struct {
	Shards []ShardHealth // at least one, by stream and shard
}

// Error names up to three shards.
func (e *HealthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "consumer: %d shards cannot be read", len(e.Shards))
	for i, s := range e.Shards {
		if i == 3 {
			b.WriteString("; ...")
			break
		}
		fmt.Fprintf(&b, "; %s/%s since %s: %v", s.Stream, s.ShardID, s.Since.UTC().Format(time.RFC3339), s.Err)
	}
	return b.String()
}

// Unwrap returns what went wrong with each of them.
func (e *HealthError) Unwrap() []error {
	errs := make([]error, len(e.Shards))
	for i, s := range e.Shards {
		errs[i] = s.Err
	}
	return errs
}

// Health returns nil if this worker can read what it holds, and otherwise a
// [*HealthError] that names the shards of which nothing could be read for half of
// [Options.StallTimeout], and those given up for that in the last 10 minutes.
// Other workers may be able to read them; a liveness probe that restarts a process
// because of it costs a hand-over and nothing else.
//
// A handler that is slow or fails is no matter of health, since another worker's
// would be the same; see [Events.HandlerFailed]. Health may be called at any time,
// also while [Consumer.Run] does not run.
func (c *Consumer) Health() error { return c.health.err(time.Now()) }

// A health is what is wrong with the shards of one worker. It is safe for
// concurrent use.
type health struct {
	mu   sync.Mutex
	sick map[[2]string]sickness // by stream and shard
}

type sickness struct {
	ShardHealth
	until time.Time // when it is forgotten, zero if it is not
}

func (h *health) stalled(i StalledInfo) {
	s := sickness{ShardHealth: ShardHealth{Stream: i.Stream, ShardID: i.ShardID, Since: i.Since, GivenUp: i.GivenUp, Err: i.Err}}
	if i.GivenUp {
		s.until = time.Now().Add(healthMemory)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sick == nil {
		h.sick = make(map[[2]string]sickness)
	}
	h.sick[[2]string{i.Stream, i.ShardID}] = s
}

// read notes that the shard can be read.
func (h *health) read(stream, shard string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sick, [2]string{stream, shard})
}

// left notes that the shard is held no more. What made it be given up is not
// forgotten by that.
func (h *health) left(stream, shard string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := [2]string{stream, shard}; !h.sick[k].GivenUp {
		delete(h.sick, k)
	}
}

func (h *health) err(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var e HealthError
	for k, s := range h.sick {
		if !s.until.IsZero() && now.After(s.until) {
			delete(h.sick, k)
			continue
		}
		e.Shards = append(e.Shards, s.ShardHealth)
	}
	if len(e.Shards) == 0 {
		return nil
	}
	slices.SortFunc(e.Shards, func(a, b ShardHealth) int {
		return strings.Compare(a.Stream+"/"+a.ShardID, b.Stream+"/"+b.ShardID)
	})
	return &e
}
