package consumer

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/lease"
)

const (
	// fanOutPatience is how long a shard is read by nothing while its
	// subscription is refused or breaks off at once, before it is polled instead.
	// A subscription that another worker had ends within 5 s.
	fanOutPatience = 8 * time.Second

	// subscriptionGap is how long after a subscription began the service refuses
	// another one.
	subscriptionGap = 5 * time.Second

	// shortLife is what a subscription lives at least if all is well, and
	// shortLives how many may live shorter in a row.
	shortLife  = time.Minute
	shortLives = 3

	// returnAfter is how long polling lasts at least.
	returnAfter = 15 * time.Second
)

var (
	// subscribeBackoff spaces the attempts to subscribe: the service takes one a
	// second.
	subscribeBackoff = pace.Backoff{Base: 2 * time.Second, Max: 5 * time.Second}

	// returnBackoff spaces the attempts to leave polling, beside returnAfter.
	returnBackoff = pace.Backoff{Base: 30 * time.Second, Max: 10 * time.Minute}
)

// A retriever reads one shard in the way that works: by fan-out if it is wanted
// and not refused, else by polling. It belongs to the goroutine that fetches.
type retriever struct {
	*place
	poller  *poller
	account *account
	fan     *fanOut // nil if only polling is wanted
	strict  bool    // Run ends if fan-out is refused for good
	patient time.Duration
	health  *health

	way Retrieval // Polling or FanOut: how the last page came, or the next is to come

	// Of fan-out.
	sub      *subscription
	opened   time.Time // the last subscription
	down     time.Time // since when subscriptions have failed; zero if they do not
	failures int       // of them in a row
	short    int       // subscriptions in a row that broke off early
	retryAt  time.Time // when to subscribe again
	returns  int       // attempts to leave polling, in a row

	// Of the watch over it all.
	last    error // what the last attempt met
	rebuilt bool  // the reader was made anew and nothing has come since
	well    bool  // something has come since reading began, or was made anew
}

// retriever makes what reads a held shard from a position on.
func (c *Consumer) retriever(run context.Context, held *lease.Held, from checkpoint.Position) (*retriever, error) {
	client, stream := c.reach(held.Stream())
	p := &place{
		heard: held.Since(), pin: held.Pin, verify: held.Verify,
		client: client, wire: c.wire, stream: stream, shardID: held.Shard().ID,
		start: held.Stream().StartTime, identity: held.Epoch().Owner, opts: &c.opts, from: from,
	}
	fan, err := c.fans.of(run, client, stream, &c.opts, p.identity)
	if err != nil {
		return nil, err
	}
	a := newAccount(c.budget)
	r := &retriever{
		place: p, account: a, poller: &poller{place: p, account: a, interval: c.opts.PollInterval},
		fan: fan, strict: c.opts.Retrieval == FanOut, patient: c.opts.StallTimeout, health: &c.health,
	}
	if fan != nil {
		r.way = FanOut
	}
	return r, nil
}

// next returns the next page, an empty one too. It tries until it has one. The
// error is the cause of ctx's end, a *StalledError, or an *fatalError.
func (r *retriever) next(ctx context.Context) (page, error) {
	begun, waited := time.Now(), r.account.waited()
	for {
		pg, err := r.step(ctx)
		if err == nil {
			if !r.well {
				r.well, r.rebuilt = true, false
				r.health.read(r.stream.name, r.shardID)
			}
			return pg, nil
		}
		var fatal *fatalError
		if ctx.Err() != nil || errors.As(err, &fatal) {
			return page{}, err
		}
		r.last = err
		if err := r.watch(begun.Add(r.account.waited() - waited)); err != nil {
			return page{}, err
		}
	}
}

// watch judges whether the shard is still worth trying. What it measures is the
// time in which there was no answer, not that in which nobody asked.
func (r *retriever) watch(begun time.Time) error {
	silent := time.Since(begun)
	info := StalledInfo{Stream: r.stream.name, ShardID: r.shardID, Since: begun, Err: r.last}
	switch {
	case r.patient <= 0:
	case silent >= r.patient:
		info.GivenUp = true
		r.tell(info)
		return &StalledError{Stream: info.Stream, ShardID: info.ShardID, Since: begun, Err: r.last}
	case silent >= r.patient/2 && !r.rebuilt:
		r.rebuilt, r.well = true, false
		r.tell(info)
		r.endSubscription()
		r.poller.iterator = nil
	}
	return nil
}

func (r *retriever) tell(i StalledInfo) {
	r.health.stalled(i)
	r.opts.stalled(i)
}

// step makes one attempt at a page.
func (r *retriever) step(ctx context.Context) (page, error) {
	if r.fan == nil {
		return r.poller.try(ctx)
	}
	if r.way == Polling && time.Now().Before(r.retryAt) {
		return r.poller.try(ctx)
	}
	pg, err := r.pushed(ctx)
	if err == nil {
		r.arrived()
		return pg, nil
	}
	if ctx.Err() != nil {
		return page{}, context.Cause(ctx)
	}
	return page{}, err
}

// pushed makes one attempt at an event of a subscription.
func (r *retriever) pushed(ctx context.Context) (page, error) {
	if r.sub == nil {
		if err := r.subscribe(ctx); err != nil {
			return page{}, err
		}
	}
	pg, err := r.sub.next(ctx)
	if err != nil && ctx.Err() == nil {
		r.broke(err)
	}
	return pg, err
}

// subscribe opens a subscription when it is time for it.
func (r *retriever) subscribe(ctx context.Context) error {
	arn, err := r.consumerARN(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(r.retryAt)); err != nil {
		return err
	}
	sub, err := r.fan.subscribe(ctx, r.place, r.account, arn)
	if err == nil {
		r.sub, r.opened = sub, sub.opened
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if isCode(err, "ResourceNotFoundException") {
		r.fan.consumer.doubt(arn) // it, or the shard, which polling finds out
	}
	r.refused(err)
	return err
}

// consumerARN returns the consumer to subscribe for. Until it is known whether
// there is one it waits; while there is none the shard is polled.
func (r *retriever) consumerARN(ctx context.Context) (string, error) {
	for {
		reg, changed := r.fan.consumer.now()
		switch {
		case reg.arn != "":
			return reg.arn, nil
		case reg.fatal && r.strict:
			return "", &fatalError{reg.err}
		case reg.known:
			r.poll(reg.err, registerPoll)
			return "", reg.err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// refused notes that SubscribeToShard failed, and decides how to go on.
func (r *retriever) refused(err error) {
	r.failures++
	r.readFailed(err, r.failures)
	now := time.Now()
	if r.down.IsZero() {
		r.down = now
	}
	passes := unreachable(err) || isThrottle(err) || isCode(err, "ResourceInUseException", "InternalFailure", "InternalFailureException", "ServiceUnavailable")
	if r.way == Polling || !passes || now.Sub(r.down) >= fanOutPatience {
		r.poll(err, r.pollFor())
		return
	}
	r.retryAt = now.Add(time.Second/2 + subscribeBackoff.Delay(r.identity, "subscribe", r.shardID, r.failures-1))
}

// broke notes that a subscription has ended, and decides how to go on. One that
// did its time, or nearly, is followed by another at once.
func (r *retriever) broke(err error) {
	served, lived := r.sub.served, time.Since(r.opened)
	r.endSubscription()
	r.retryAt = r.opened.Add(subscriptionGap)
	if served > 0 && lived >= shortLife {
		r.short = 0
		if !errors.Is(err, io.EOF) {
			r.readFailed(err, 1)
		}
		return
	}
	r.short++
	r.readFailed(err, r.short)
	if r.down.IsZero() {
		r.down = r.opened
	}
	vain := served == 0 && (r.way == Polling || !unreachable(err) || time.Since(r.down) >= fanOutPatience)
	if vain || r.short >= shortLives {
		r.poll(err, r.pollFor())
	}
}

// unreachable reports whether err says nothing about the service, only about the
// way there: a connection that could not be made or was cut, as when a server
// behind it is replaced. Another attempt may find another way. Who has waited for
// an answer in vain has lost enough time with that.
func unreachable(err error) bool {
	var api smithy.APIError
	return !errors.As(err, &api) && !errors.Is(err, errNoAnswer) && !errors.Is(err, errSilent)
}

// pollFor returns how long to poll before fan-out is tried again.
func (r *retriever) pollFor() time.Duration {
	n := r.returns
	r.returns++
	return returnAfter + returnBackoff.Delay(r.identity, "return", r.shardID, n)
}

// poll goes over to polling, for a time, because of err.
func (r *retriever) poll(err error, d time.Duration) {
	r.retryAt = time.Now().Add(d)
	if r.way == Polling {
		return
	}
	r.way = Polling
	r.poller.iterator = nil // what it had is behind
	r.opts.retrievalChanged(RetrievalInfo{Stream: r.stream.name, ShardID: r.shardID, From: FanOut, To: Polling, Err: err})
}

// arrived notes that fan-out works.
func (r *retriever) arrived() {
	r.down, r.failures = time.Time{}, 0
	if r.short == 0 || time.Since(r.opened) >= shortLife {
		r.short, r.returns = 0, 0
	}
	if r.way == FanOut {
		return
	}
	r.way = FanOut
	r.opts.retrievalChanged(RetrievalInfo{Stream: r.stream.name, ShardID: r.shardID, From: Polling, To: FanOut})
}

func (r *retriever) endSubscription() {
	if r.sub != nil {
		r.sub.close()
		r.sub = nil
	}
}

// close ends what the retriever holds open.
func (r *retriever) close() {
	r.endSubscription()
	if r.fan != nil {
		r.fan.leave()
	}
	r.account.close()
	r.health.left(r.stream.name, r.shardID)
}
