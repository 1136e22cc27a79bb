package producer

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/aggregation"
)

// A request is one PutRecords call: parcels of one lane or several, those of a
// lane together and in their order.
type request struct {
	parcels []*parcel
	lanes   []*lane
	bytes   int
	start   instant
	expires instant // the earliest of its parcels

	// sealed is set by the sender when attempt has its Start and parcels are only
	// read from there on.
	sealed atomic.Bool

	// Set by the sender before the request is an answer.
	attempt Attempt
	out     *kinesis.PutRecordsOutput
	err     error
	held    bool // if it failed: it was never sent
}

// dispatch starts as many requests as there are reasons and room for.
func (p *Producer) dispatch(ctx context.Context, now instant) {
	if p.state == aborted || now < p.notBefore {
		return
	}
	for len(p.flights) < p.opts.MaxInFlight {
		r := p.fill(now)
		if r == nil {
			return
		}
		p.launch(ctx, r, now)
	}
}

// fill makes the next request, or returns nil if no lane has to send. When one
// has to, those that would have to soon come along: their records leave a
// little early, and many shards share a call.
func (p *Producer) fill(now instant) *request {
	if len(p.splits) > 0 {
		r := p.splits[0]
		p.splits = p.splits[1:]
		return r
	}
	r := &request{expires: never}
	horizon := now
	for len(p.lanes) > 0 && p.lanes[0].wake <= horizon {
		l := p.lanes[0]
		p.lanes.remove(l)
		p.due = append(p.due, l)
		if l.may(p, now) > now {
			continue
		}
		full := p.loadRequest(r, l, now)
		if len(r.parcels) > 0 {
			horizon = now.after(p.window)
		}
		if full {
			break
		}
	}
	for _, l := range p.due {
		p.review(l, now)
	}
	p.due = p.due[:0]
	if len(r.parcels) == 0 {
		return nil
	}
	return r
}

// loadRequest moves parcels from a lane into a request, as far as there is room
// and the shard's pace allows. It reports whether the request is full.
func (p *Producer) loadRequest(r *request, l *lane, now instant) (full bool) {
	before := len(r.parcels)
	for {
		if len(l.queue) == 0 {
			if l.openDue > now.after(p.window) {
				break
			}
			// An aggregate that may not go yet had better grow.
			if l.wait(p, now, l.openSize) == 0 {
				l.takeOpen(p)
			}
		}
		n := l.firstSize()
		if len(r.parcels) > 0 && (len(r.parcels) == p.opts.CollectionMaxRecords || r.bytes+n > p.opts.CollectionMaxBytes) {
			full = true
			break
		}
		if wait := l.wait(p, now, n); wait > 0 {
			l.paced = now.after(max(wait, paceGap))
			break
		}
		if !p.apart(r.parcels[before:], l.queue[0]) {
			break
		}
		l.spend(p, now, n)
		q := l.pop()
		r.parcels = append(r.parcels, q)
		r.bytes += n
		r.expires = min(r.expires, q.expires)
	}
	if len(r.parcels) > before {
		r.lanes = append(r.lanes, l)
		l.inFlight++
		l.lastStart = now
	}
	return full
}

// launch sends a request on a goroutine of its own.
func (p *Producer) launch(ctx context.Context, r *request, now instant) {
	r.start = now
	p.flights = append(p.flights, r)
	for _, q := range r.parcels {
		p.countStart(q, now)
	}
	if i := p.opts.RefreshInterval; i > 0 && now >= p.loadStart.after(i) && p.loadAt == never && !p.loading {
		p.loadAt, p.routine = now, true
	}
	p.senders.Go(func() { p.send(ctx, r) })
}

// expireFlight ends records whose time is over while they are under way. The
// request goes on, for the others in it.
func (p *Producer) expireFlight(r *request, now instant) {
	if r.expires > now {
		return
	}
	if !r.sealed.Load() {
		r.expires = now.after(time.Millisecond) // the sender is about to be ready
		return
	}
	r.expires = never
	start := r.attempt.Start
	underWay := []Attempt{{Start: start, Duration: p.time(now).Sub(start), Message: "under way when the record expired"}}
	for _, q := range r.parcels {
		if q.expires <= now {
			p.endEntries(q, now, underWay)
		}
		r.expires = min(r.expires, q.expires)
	}
}

// expireSplit ends the expired records of a request that waits to be sent, and
// reports whether that was all of it.
func (p *Producer) expireSplit(r *request, now instant) (empty bool) {
	if r.expires > now {
		return false
	}
	parcels := r.parcels
	r.parcels, r.bytes, r.expires = nil, 0, never
	for _, q := range parcels {
		if q.expires <= now {
			if q = p.sift(q, now); q == nil {
				continue
			}
		}
		r.parcels = append(r.parcels, q)
		r.bytes += q.size()
		r.expires = min(r.expires, q.expires)
	}
	if len(r.parcels) > 0 {
		return false
	}
	for _, l := range r.lanes {
		l.inFlight--
		p.freed(l)
	}
	return true
}

// expireLane ends records that expired while they waited in a lane.
func (p *Producer) expireLane(l *lane, now instant) {
	if l.expires() > now {
		return
	}
	if l.openExp <= now {
		l.takeOpen(p)
	}
	queue := l.queue
	l.queue, l.queueBytes, l.queueExp = nil, 0, never
	for _, q := range queue {
		if q.expires <= now {
			if q = p.sift(q, now); q == nil {
				continue
			}
		}
		l.enqueue(q)
	}
}

// sift ends the expired records of a parcel and returns the parcel of those
// that are left, nil if there is none.
func (p *Producer) sift(q *parcel, now instant) *parcel {
	cut := p.cut(now)
	left := 0
	for i := range q.entries {
		if q.entries[i].expires > cut {
			left++
		}
	}
	if left == 0 {
		p.finish(q, &verdict{reason: ErrExpired})
		return nil
	}
	p.endEntries(q, now, nil)
	rest := p.newParcel(q.lane, now, q.due, q.enc != nil)
	rest.adopt(q.tickets)
	rest.born, rest.alone = q.born, q.alone
	q.left(func(e, moved *entry, r *aggregation.Record) {
		cost := p.cost(r, q.lane)
		rest.add(moved, r, hashKey(r), cost)
		q.cost -= cost
		e.end()
	})
	p.drop(q)
	return rest
}

// endEntries gives the expired records of a parcel their results and marks
// them. What they occupy is free when the parcel is. UnderWay is the attempt that
// carries them, nil if none does.
func (p *Producer) endEntries(q *parcel, now instant, underWay []Attempt) {
	cut := p.cut(now)
	q.thinned = true
	dead := p.newParcel(q.lane, now, now, q.enc != nil)
	dead.adopt(q.tickets) // whose Flush waits for these callbacks too
	q.expires = never
	q.left(func(e, moved *entry, r *aggregation.Record) {
		if e.expires > cut {
			q.expires = min(q.expires, e.expires)
			return
		}
		dead.add(moved, r, q.hash, 0)
		e.end()
		q.payload -= len(r.Data)
	})
	if underWay != nil {
		dead.tried(underWay, nil)
	}
	p.finish(dead, &verdict{reason: ErrExpired, unknown: underWay != nil})
}

// cut returns until when records count as expired: a thousandth of their life
// ahead, so that a parcel need not be repacked for every record in it.
func (p *Producer) cut(now instant) instant {
	return now.after(min(p.opts.RecordTTL/1000, 10*time.Millisecond))
}
