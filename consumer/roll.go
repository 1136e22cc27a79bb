package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/internal/pace"
)

// How streams are described. An account may make 20 such calls in a second; what is
// left is for its other workers, which describe streams when they start.
const (
	describeRate  = 15 // calls a second
	describeBurst = 20
	describeAtOne = 4                // calls at a time
	lookFor       = 30 * time.Second // for one look at all streams, after which the next one goes on
	lookAgain     = 300              // streams that are described again in a look
	lookNotBefore = 45 * time.Second // since one was found
)

// errNotReached means that there was no time to describe a stream.
var errNotReached = errors.New("consumer: not described yet")

// A roll remembers what streams were when they were described, so that a look at
// more of them than can be described in a minute goes on where the last one ended.
// It is safe for concurrent use.
type roll struct {
	mu   sync.Mutex // guards what follows
	seen map[rollKey]entry
	pace pace.Bucket
}

// A rollKey is what describes the same stream every time.
type rollKey struct {
	name   string
	client any
}

// An entry is what a stream was, and when it was described last or that was tried.
type entry struct {
	stream streamRef
	id     string // empty if it was never found
	at     time.Time
	failed bool // the last time
}

func newRoll() *roll {
	return &roll{seen: make(map[rollKey]entry), pace: pace.NewBucket(describeRate, describeBurst)}
}

// keyOf returns what the stream is remembered by, not ok if it cannot be.
func keyOf(s *Stream) (key rollKey, ok bool) {
	if s.ID != "" || s.Client != nil && !reflect.ValueOf(s.Client).Comparable() {
		return rollKey{}, false
	}
	return rollKey{name: s.Name, client: s.Client}, true
}

// plan says which streams are to be described, in this order: first those that never
// were, then some of the others, the longest ago first. One that cannot be found is
// among these: many of them do not keep the others from being reached. Nor does one
// make the others be described whenever it is looked for again. It forgets those that
// are named no longer.
func (r *roll) plan(given []Stream) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := make([]time.Time, len(given))
	order := make([]int, 0, len(given))
	kept := make(map[rollKey]entry, len(given))
	now := time.Now()
	for i := range given {
		key, ok := keyOf(&given[i])
		if e, known := r.seen[key]; ok && known {
			at[i], kept[key] = e.at, e
			if !e.failed && now.Sub(e.at) < lookNotBefore {
				continue
			}
		}
		order = append(order, i)
	}
	r.seen = kept
	slices.SortStableFunc(order, func(a, b int) int { return at[a].Compare(at[b]) })
	tried := slices.IndexFunc(order, func(i int) bool { return !at[i].IsZero() })
	if tried < 0 {
		return order
	}
	return order[:min(len(order), tried+lookAgain)]
}

// recall puts what the stream was when it was described last into t.
func (r *roll) recall(s *Stream, t *target) bool {
	key, ok := keyOf(s)
	if !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.seen[key]
	if e.id == "" {
		return false
	}
	t.stream, t.lease.ID = e.stream, e.id
	return true
}

// note remembers what t was found to be, or that it was not found.
func (r *roll) note(s *Stream, t *target, err error) {
	key, ok := keyOf(s)
	if !ok || errors.Is(err, errNotReached) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.seen[key]
	if e.at, e.failed = time.Now(), err != nil; err == nil {
		e.stream, e.id = t.stream, t.lease.ID
	}
	r.seen[key] = e
}

// turn waits until a stream may be described. It fails at once if that is after the
// end of ctx.
func (r *roll) turn(ctx context.Context) error {
	now := time.Now()
	by, bounded := ctx.Deadline()
	r.mu.Lock()
	wait := r.pace.Wait(now, 1)
	late := bounded && now.Add(wait).After(by)
	if !late {
		r.pace.Spend(now, 1)
	}
	r.mu.Unlock()
	if late || sleep(ctx, wait) != nil {
		return errNotReached
	}
	return nil
}

// throttled makes the next calls wait for a second: others describe streams, too.
func (r *roll) throttled() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pace.Spend(time.Now(), describeRate)
}

// describe finds out what t is when its turn has come.
func (r *roll) describe(ctx context.Context, t *target) error {
	if err := r.turn(ctx); err != nil {
		return err
	}
	err := t.describe(ctx)
	if err != nil && isThrottle(err) {
		r.throttled()
	}
	if err != nil && (isThrottle(err) || ctx.Err() != nil) {
		return fmt.Errorf("%w: %w", errNotReached, err)
	}
	return err
}

// mostErrors is how many streams that cannot be read are told of by name.
const mostErrors = 10

// summary shortens the errors of streams: those that were not reached are folded into
// one, and of the others the first are kept.
func summary(errs []error) []error {
	n := 0
	var first error
	rest := slices.DeleteFunc(slices.Clone(errs), func(err error) bool {
		if !errors.Is(err, errNotReached) {
			return err == nil
		}
		n++
		first = cmp.Or(first, err)
		return true
	})
	if more := len(rest) - mostErrors; more > 0 {
		rest = append(rest[:mostErrors], fmt.Errorf("consumer: and %d more streams", more))
	}
	if n > 0 {
		rest = append(rest, fmt.Errorf("consumer: %d of %d streams left for the next look: %w", n, len(errs), first))
	}
	return rest
}
