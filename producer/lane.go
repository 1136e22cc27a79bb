package producer

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/budget"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// A laneState is whether a lane takes records.
type laneState uint8

const (
	laneOpen    laneState = iota
	laneRetired           // another routing table is about to take over
	laneClosed            // the producer is closed
)

// A laneKind is what a lane stands for.
type laneKind uint8

const (
	shardLane  laneKind = iota // one shard
	waitLane                   // all shards, while none is known
	spreadLane                 // a stream that spreads records itself (AUTO)
)

// eagerBytes is how much may be ready for one shard before it goes out without
// waiting for company.
const eagerBytes = 256 << 10

// paceGap is how long a saturated shard's budget gathers before it is spent: one
// call for what comes in that time, instead of one for each record.
const paceGap = 20 * time.Millisecond

// climbing is how often a pace is looked at that is below what it may be.
const climbing = time.Second

// A lane is the way to one shard: the parcel being filled, and those that wait.
//
// Put works on the part under mu. The flusher owns the rest, and takes mu only to
// look and to take over.
type lane struct {
	*backlog

	shard  shardmap.Shard // zero unless kind is shardLane
	shards int            // that it leads to; 0 if not known
	max    int            // bytes of an aggregate
	limit  int            // bytes of an aggregate that the stream takes
	tally  *tally
	pace   atomic.Uint64 // for ShardStats: bits of the part of the shard's limits that is used
	next   *lane         // in Producer.ready, while signalled

	sealed []*parcel // full; the flusher moves them to its queue; guarded by mu
	open   *parcel   // being filled; guarded by mu

	// What every Put touches is in one cache line, from the end of share on, and on
	// the stage: among a thousand shards no lane stays in the processor's caches.
	share budget.Share

	kind      laneKind
	aggregate bool
	state     laneState // guarded by mu, as all below
	signalled bool      // it is in Producer.ready, or about to be
	mu        sync.Mutex
	accepted  int64 // records
	taken     int64 // bytes
	staging
}

// A backlog is what waits in a lane, and when it may go. The flusher owns it.
type backlog struct {
	queue      []*parcel // retries first, else in the order of Put
	queueBytes int
	queueExp   instant // of the first in queue to expire, or earlier
	openDue    instant // of open, when the flusher looked last
	openExp    instant
	openSize   int
	inFlight   int        // requests that carry a parcel of the lane
	limbo      int        // parcels of the lane in flusher.limbo
	after      []*lane    // order has it wait for these
	lastStart  instant    // of the latest of them
	failures   int        // in a row
	notBefore  instant    // back-off
	paced      instant    // the shard's pace was used up; wait for some of it to come back
	part       pace.Share // of what it may use of the shard's limits, others being there
	bytes      pace.Bucket
	records    pace.Bucket
	wake       instant // when the flusher looks again
	index      int     // in Producer.heap; -1 if not there
	gone       bool    // the stream was deleted: another shard may have this one's name
}

// put adds a record, if the lane is open. It reports the lane's state and
// whether the flusher should look at the lane.
func (l *lane) put(pr *Producer, e *entry, r *aggregation.Record, hash shardmap.HashKey, cost int64) (laneState, bool) {
	now := pr.now()
	e.expires = now.after(pr.opts.RecordTTL)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != laneOpen {
		return l.state, false
	}
	l.accepted++
	l.taken += cost
	if len(r.Data) <= pr.small && l.take(e, r) {
		return laneOpen, false
	}
	look, _ := l.add(pr, e, r, hash, cost, now, now.after(pr.opts.RecordMaxBufferedTime))
	if l.signalled {
		return laneOpen, false
	}
	l.signalled = look
	return laneOpen, look
}

// add writes a record into the lane; mu is held. It reports whether there is
// something new for the flusher, and the parcel that took the record.
func (l *lane) add(pr *Producer, e *entry, r *aggregation.Record, hash shardmap.HashKey, cost int64, now, due instant) (look bool, p *parcel) {
	l.drain(pr)
	defer l.restage(pr)
	if packed, alone := l.packs(e, r); alone {
		if l.open != nil {
			l.seal(pr, now) // what it holds was put earlier
		}
		p = pr.newParcel(l, now, due, packed)
		p.add(e, r, hash, cost)
		l.sealed = append(l.sealed, p)
		// Whoever adds the first tells the flusher, and so does who makes it a
		// full request.
		return len(l.sealed) == 1 || len(l.sealed) == pr.opts.CollectionMaxRecords, p
	}
	if p = l.open; p != nil {
		if p.gains(r, pr.opts.AggregationMaxBytes) && p.add(e, r, hash, cost) {
			full := len(p.entries) == pr.opts.AggregationMaxRecords
			if full {
				l.seal(pr, now)
			}
			return full, p
		}
		l.seal(pr, now)
	}
	p = pr.newParcel(l, now, due, true)
	p.add(e, r, hash, cost)
	l.open = p
	if p.enc.Size() >= p.max || pr.opts.AggregationMaxRecords == 1 {
		l.seal(pr, now)
	}
	return true, p
}

// packs reports whether a record goes into an aggregate, and whether it goes
// without others.
func (l *lane) packs(e *entry, r *aggregation.Record) (packed, alone bool) {
	misplaced := 0
	if e.past != nil {
		misplaced = e.past.misplaced
	}
	switch {
	case !l.aggregate || misplaced > alonePacked:
		return false, true
	case misplaced == alonePacked:
		return r.Tags != (aggregation.Tags{}), true
	}
	return true, false
}

// seal closes the open parcel; mu is held. A full parcel does not wait for its
// records' time, only a little for company.
func (l *lane) seal(pr *Producer, now instant) {
	l.open.due = min(l.open.due, now.after(pr.window))
	l.sealed = append(l.sealed, l.open)
	l.open = nil
}

// attend answers a signal. It alone clears signalled, when the lane is out of
// the list of those that signalled: a lane must not be in it twice.
func (l *lane) attend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signalled = false
	l.collect()
}

// look brings the flusher's view of the lane up to date.
func (l *lane) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collect()
}

// collect is look with mu held.
func (l *lane) collect() {
	for i, p := range l.sealed {
		l.enqueue(p)
		l.sealed[i] = nil
	}
	l.sealed = l.sealed[:0]
	l.openDue, l.openExp = never, never
	if l.open != nil {
		l.openDue, l.openExp, l.openSize = l.open.due, l.open.expires, l.open.size()+int(l.size)
	}
}

// takeOpen moves the open parcel to the queue.
func (l *lane) takeOpen(pr *Producer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open != nil {
		l.drain(pr)
		l.sealed = append(l.sealed, l.open)
		l.open = nil
		l.restage(pr)
	}
	l.collect()
}

// enqueue puts a parcel at the end of the queue.
func (l *lane) enqueue(p *parcel) {
	l.queue = append(l.queue, p)
	l.queueBytes += p.size()
	l.queueExp = min(l.queueExp, p.expires)
}

// pop takes the first parcel from the queue.
func (l *lane) pop() *parcel {
	p := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	l.queueBytes -= p.size()
	if len(l.queue) == 0 {
		l.queueExp = never
	}
	return p
}

// push puts parcels in front of the queue.
func (l *lane) push(ps ...*parcel) {
	l.queue = append(ps[:len(ps):len(ps)], l.queue...)
	for _, p := range ps {
		l.queueBytes += p.size()
		l.queueExp = min(l.queueExp, p.expires)
	}
}

// due returns when the oldest record of the lane should be on its way.
func (l *lane) due() instant {
	if len(l.queue) > 0 {
		return min(l.queue[0].due, l.openDue)
	}
	return l.openDue
}

// expires returns when the first record that waits in the lane expires, or an
// earlier time: retries and records from elsewhere are not in the order of their
// expiry, and the one that was first may have left.
func (l *lane) expires() instant {
	if len(l.queue) > 0 {
		return min(l.queueExp, l.openExp)
	}
	return l.openExp
}

// wants returns when the lane would like to send: when its oldest record is due
// or when enough has come together.
func (l *lane) wants(now instant, maxRecords int) instant {
	if l.queueBytes >= eagerBytes || len(l.queue) >= maxRecords {
		return now
	}
	return l.due()
}

// may returns when the lane is allowed to send its first parcel, as far as can
// be told: after its back-off, within its pace, and one request at a time, so
// that the records of one key stay in order as long as nothing goes wrong. If
// the answer takes so long that records would wait beyond their time, their time
// comes first, unless Options.Ordered says otherwise.
func (l *lane) may(pr *Producer, now instant) instant {
	at := max(l.notBefore, l.paced)
	if l.kind == waitLane && !pr.mapFailed || pr.held(l) {
		return never
	}
	if l.inFlight > 0 && l.kind == shardLane {
		at = max(at, l.due(), l.lastStart.after(pr.opts.RecordMaxBufferedTime))
	}
	return max(at, now.after(l.wait(pr, now, l.firstSize())))
}

// firstSize returns the size of what the lane sends next.
func (l *lane) firstSize() int {
	if len(l.queue) > 0 {
		return l.queue[0].size()
	}
	return l.openSize // or more, by what has come since the flusher looked
}

// wait returns how long the shard's pace makes n bytes wait, or less, so that a
// pace that climbs is looked at again.
func (l *lane) wait(pr *Producer, now instant, n int) time.Duration {
	t := pr.time(now)
	share := l.part.At(t)
	bytes, records := pr.rates(l, share)
	l.pace.Store(math.Float64bits(share * float64(pr.opts.RateLimit) / 100))
	l.bytes.SetRate(t, bytes, bytes)
	l.records.SetRate(t, records, max(1, records))
	wait := max(l.bytes.Wait(t, float64(n)), l.records.Wait(t, 1))
	if share < 1 && wait > 0 {
		wait = max(min(wait, climbing), time.Millisecond) // no run after what climbs
	}
	return wait
}

// spend charges the shard's pace with a Kinesis record of n bytes.
func (l *lane) spend(pr *Producer, now instant, n int) {
	t := pr.time(now)
	l.bytes.Spend(t, float64(n))
	l.records.Spend(t, 1)
}
