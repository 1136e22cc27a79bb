package stream

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

const (
	// heartbeat is how long a subscription says nothing before it sends an event
	// without records.
	heartbeat = 5 * time.Second

	// eventBytes is the data and keys of an event, which a single record may
	// exceed. AWS does not document it; half a second's worth is what a reader
	// has to be ready for anyhow.
	eventBytes = 1 << 20
)

// ErrStopped is the error of [Subscription.Next] when the caller stops it.
var ErrStopped = errors.New("stream: subscription stopped")

// A Subscription pushes the records of one shard to one consumer. It holds
// nothing that waits to be sent: what the next event is depends on the moment
// at which [Subscription.Next] is called, so a reader that does not read costs
// nothing.
type Subscription struct {
	service *Service
	stream  *stream
	shard   *shard
	lane    *lane

	// wake holds a value if something has happened since the last look. What
	// sends to it never waits.
	wake chan struct{}

	// The stream's lock guards these.
	counter uint64    // of the record to send next
	expires time.Time // zero if it does not
	beat    time.Time // of the next heartbeat
	ending  *api.Error
	over    bool // the last event is out
}

// An Event is what a subscription sends: the JSON of a SubscribeToShardEvent,
// or an error that ends it.
type Event struct {
	Payload []byte
	Err     *api.Error
}

// notify wakes the subscriptions to sh. Its stream is locked.
func (sh *shard) notify() {
	for _, sub := range sh.subscriptions {
		sub.notify()
	}
}

func (sub *Subscription) notify() {
	select {
	case sub.wake <- struct{}{}:
	default:
	}
}

// end ends sub with an error. Its stream is locked.
func (sub *Subscription) end(e *api.Error) {
	if sub.ending == nil {
		sub.ending = e
	}
	sub.leave()
	sub.notify()
}

// leave takes sub out of its lane and its shard. Its stream is locked.
func (sub *Subscription) leave() {
	if sub.lane.active == sub {
		sub.lane.active = nil
	}
	sub.shard.subscriptions = slices.DeleteFunc(sub.shard.subscriptions, func(o *Subscription) bool { return o == sub })
}

type subscribeInput struct {
	ConsumerARN      *string
	ShardId          *string
	StartingPosition *struct {
		Type           *string
		SequenceNumber *string
		Timestamp      *float64
	}
	DryRun bool
}

// from returns the position that in asks for, checked with the rest of it.
func (in *subscribeInput) from() (startingPosition, *api.Error) {
	from := startingPosition{op: "SubscribeToShard", members: [2]string{"startingPosition.type", "startingPosition.sequenceNumber"}}
	var v violations
	if in.ConsumerARN == nil {
		v.add(nil, "consumerARN", notNull)
	}
	v.consumerARN(in.ConsumerARN)
	v.required("shardId", in.ShardId)
	if p := in.StartingPosition; p == nil {
		v.add(nil, "startingPosition", notNull)
	} else {
		from.kind, from.sequence, from.time = p.Type, p.SequenceNumber, p.Timestamp
		from.violations(&v)
	}
	return from, from.check(v)
}

// Subscribe answers a SubscribeToShard: the subscription, or the error of the
// call.
func (s *Service) Subscribe(body []byte) (*Subscription, *api.Error) {
	in := new(subscribeInput)
	if e := decode(body, in); e != nil {
		return nil, e
	}
	from, e := in.from()
	if e != nil {
		return nil, e
	}
	var sub *Subscription
	e = s.consumer(consumerRef{ConsumerARN: in.ConsumerARN}, func(st *stream, c *consumer, now time.Time) (e *api.Error) {
		account := s.opts.Identity.AccountID
		if e := st.readable(account); e != nil {
			return e
		}
		if c.status != active {
			return api.Errorf("ResourceInUseException", "Consumer %s with creation timestamp %d under stream: %s, account %s is not in ACTIVE status.",
				c.name, c.created.Unix(), st.name, account)
		}
		sh := st.shard(*in.ShardId)
		if sh == nil || st.expired(sh, now) {
			return noShard(*in.ShardId, st.name, account)
		}
		st.expire(sh, now, s.opts.KeepTrimmed)
		counter, e := from.counter(st, sh, now, account)
		if e != nil {
			return e
		}
		sub, e = s.open(st, c, sh, counter, now, in.DryRun)
		return e
	})
	return sub, e
}

// open starts a subscription, which ends the one before at this shard. st is
// locked.
func (s *Service) open(st *stream, c *consumer, sh *shard, counter uint64, now time.Time, dry bool) (*Subscription, *api.Error) {
	limits, nanos := &s.opts.Limits, now.UnixNano()
	l := c.lanes[sh]
	if l == nil {
		l = new(lane)
		c.lanes[sh] = l
	}
	if !l.calls.has(nanos, 1, limits.FanOutCallsPerShard) {
		return nil, api.Errorf("LimitExceededException", "Rate exceeded for shard %s and consumer %s.", sh.id, c.arn)
	}
	l.calls.take(nanos, 1, limits.FanOutCallsPerShard)
	another := api.Errorf("ResourceInUseException", "Another active subscription exists for this consumer: %s:%s:%s:%s",
		s.opts.Identity.AccountID, st.name, sh.id, c.name)
	if l.opened != 0 && nanos-l.opened < int64(limits.SubscriptionGap) {
		return nil, another
	}
	if dry {
		return nil, dryRun()
	}
	if l.active != nil {
		l.active.end(another)
	}
	sub := &Subscription{
		service: s,
		stream:  st,
		shard:   sh,
		lane:    l,
		wake:    make(chan struct{}, 1),
		counter: counter,
		beat:    now.Add(heartbeat),
	}
	if limits.SubscriptionLife > 0 {
		sub.expires = now.Add(limits.SubscriptionLife)
	}
	l.opened, l.active = nanos, sub
	sh.subscriptions = append(sh.subscriptions, sub)
	return sub, nil
}

// Close gives the subscription up. The next one of this consumer at this shard
// has to keep its distance all the same.
func (sub *Subscription) Close() {
	sub.stream.mu.Lock()
	defer sub.stream.mu.Unlock()
	sub.over = true
	sub.leave()
	sub.notify()
}

// Next waits for the next event. It returns io.EOF when the subscription has
// ended well, the cause of ctx when that ends and ErrStopped when stop is
// closed. Only one call may wait at a time.
func (sub *Subscription) Next(ctx context.Context, stop <-chan struct{}) (Event, error) {
	for {
		n, ok := sub.look()
		if ok {
			return n.event()
		}
		timer := time.NewTimer(n.wait)
		select {
		case <-sub.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Event{}, context.Cause(ctx)
		case <-stop:
			timer.Stop()
			return Event{}, ErrStopped
		}
		timer.Stop()
	}
}

// A glance is what a look at the shard found.
type glance struct {
	page         page
	continuation string // "" at the end of the shard
	failed       *api.Error
	over         bool
	wait         time.Duration // if there is nothing to send
}

func (n *glance) event() (Event, error) {
	if n.over {
		return Event{}, io.EOF
	}
	e := Event{Err: n.failed}
	if e.Err == nil {
		e.Payload = n.appendJSON(nil)
	}
	return e, nil
}

// look finds out what there is to send and reports whether there is anything.
func (sub *Subscription) look() (n glance, ok bool) {
	s := sub.service
	e := s.locked(sub.stream, func(st *stream, now time.Time) *api.Error {
		switch {
		case sub.over:
			n.over = true
			return nil
		case sub.ending != nil:
			return sub.ending
		case st.status == deleting:
			return notFound(st.name, s.opts.Identity.AccountID)
		case st.expired(sub.shard, now):
			return noShard(sub.shard.id, st.name, s.opts.Identity.AccountID)
		case !sub.expires.IsZero() && !now.Before(sub.expires):
			n.over = true
			return nil
		}
		n, ok = sub.gather(now)
		return nil
	})
	if e != nil {
		n.failed = e
	}
	if e != nil || n.over {
		sub.Close()
	}
	return n, ok || e != nil || n.over
}

// gather takes the records that may be sent at now. The stream is locked.
func (sub *Subscription) gather(now time.Time) (n glance, ok bool) {
	s, st, sh := sub.service, sub.stream, sub.shard
	st.expire(sh, now, s.opts.KeepTrimmed)
	sub.counter = max(sub.counter, sh.log.first)
	due, nanos, rate := !now.Before(sub.beat), now.UnixNano(), s.opts.Limits.FanOutBytesPerShard
	views, next := sh.log.views(sub.counter, recordsPage, eventBytes)
	send := page{shard: sh, views: views}
	send.count()
	paid := len(views) > 0 && sub.lane.bytes.has(nanos, send.bytes, rate)
	if ended := len(views) == 0 && sh.closed != 0; !due && !ended && !paid {
		n.wait = sub.patience(now, send.bytes)
		return n, false
	}
	n.page.shard = sh
	if paid {
		n.page, sub.counter = send, next
		sub.lane.bytes.take(nanos, send.bytes, rate)
	}
	sub.beat = now.Add(heartbeat)
	n.page.behind = sh.behind(sub.counter, now)
	if sh.closed != 0 && sub.counter >= sh.log.next {
		n.page.children = st.childShards(sh)
		sub.over = true
		return n, true
	}
	n.continuation = sh.passed(sub.counter, now).String()
	return n, true
}

// patience is how long there is nothing to do unless something happens, with
// so many bytes that are not yet to be sent. The stream is locked.
func (sub *Subscription) patience(now time.Time, bytes int) time.Duration {
	wait := sub.beat.Sub(now)
	for _, at := range []time.Time{sub.expires, sub.stream.until} {
		if !at.IsZero() {
			wait = min(wait, at.Sub(now))
		}
	}
	if rate := sub.service.opts.Limits.FanOutBytesPerShard; bytes > 0 {
		wait = min(wait, time.Duration(sub.lane.bytes.spent(now.UnixNano())+min(cost(bytes, rate), burst)-burst))
	}
	return max(wait, 0)
}

// passed returns a sequence number for the place before a counter: above that
// of the record before, if there is one, and below that of the record with the
// counter. It grows with time.
func (sh *shard) passed(counter uint64, now time.Time) sequence {
	q := sh.sequence(counter-1, now.UnixMilli())
	if c := counter - 1; c >= sh.log.oldest() && c < sh.log.next {
		q.stored = max(q.stored, sh.sequence(c, sh.log.get(c).Arrival).stored+1)
	}
	return q
}

// appendJSON writes the event's payload.
func (n *glance) appendJSON(dst []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, 256+n.page.bytes/3*4+n.page.records*160)
	}
	dst = append(dst, '{')
	if n.continuation != "" {
		dst = append(dst, `"ContinuationSequenceNumber":"`...)
		dst = append(dst, n.continuation...)
		dst = append(dst, `",`...)
	}
	dst = append(dst, `"MillisBehindLatest":`...)
	dst = strconv.AppendInt(dst, n.page.behind, 10)
	dst = append(dst, ',')
	dst = n.page.appendRecords(dst)
	if len(n.page.children) > 0 {
		dst = append(dst, ',')
		dst = n.page.appendChildren(dst)
	}
	return append(dst, '}')
}
