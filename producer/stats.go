package producer

import (
	"math"
	"sync/atomic"
	"time"
)

// Stats are counts since New.
type Stats struct {
	Accepted                   int64 // records taken over by Put, PutAsync, PutMany and TryPut
	Stored, NotStored, Unknown int64 // records by outcome
	Pending                    int64 // records without an outcome
	Expired                    int64 // records that ended with ErrExpired
	StoredBytes                int64 // data of the records stored

	// Retries are records carried by calls beyond their first; Repeated are those
	// of them that the call before has stored or may have stored, and that a reader
	// may therefore see once more.
	Retries, Repeated int64

	// BufferedBytes is what the records without an outcome count for against
	// MaxBufferedBytes or the Budget.
	BufferedBytes int64

	Requests       int64 // PutRecords calls answered or failed
	RequestsFailed int64 // of them, those that failed as a whole
	KinesisRecords int64 // Kinesis records stored, aggregates or single
	Bytes          int64 // their data and partition keys
	Throttled      int64 // Kinesis records refused because their shard was out of throughput
	Errors         int64 // Kinesis records refused for any reason, and calls that failed
	Misplaced      int64 // aggregates stored in a shard they do not fit, and sent again

	RequestTime   time.Duration // sum over calls, from start to answer
	BufferingTime time.Duration // sum over Kinesis records, from first Put to first call

	Shards int // open shards known
}

// ShardStats are counts of one shard that is open as far as the Producer knows.
// Records are counted for the shard they were last meant for.
type ShardStats struct {
	ShardID string

	Stored, NotStored, Unknown int64 // records by outcome
	Expired                    int64 // records that ended with ErrExpired
	StoredBytes                int64 // data of the records stored
	Retries                    int64 // records carried by calls beyond their first

	KinesisRecords int64 // Kinesis records stored
	Bytes          int64 // their data and partition keys
	Throttled      int64 // Kinesis records refused because the shard was out of throughput
	Errors         int64 // Kinesis records refused for any reason

	BufferedBytes int64 // of records that wait for the shard or are on their way to it

	BufferingTime time.Duration // sum over Kinesis records, from first Put to first call

	// Pace is which part of the shard's write limits the Producer gives itself: 1
	// is all of them, but for a hundredth that it leaves to others who may come. It
	// is at most RateLimit, falls when the shard throttles and climbs back. Without
	// pacing it is 0.
	Pace float64
}

// A tally is counted for a shard and for the whole. It is written by the flusher
// and read by all.
type tally struct {
	outcomes                      [3]atomic.Int64
	expired, storedBytes, retries atomic.Int64
	bufferingTime                 atomic.Int64
	stored, bytes                 atomic.Int64
	throttled, errors             atomic.Int64
}

// counters are a Producer's. They are written by the flusher, released by the
// callback goroutine too, and read by all.
type counters struct {
	tally
	released                 atomic.Int64 // bytes of what has ended
	requests, requestsFailed atomic.Int64
	misplaced, repeated      atomic.Int64
	requestTime              atomic.Int64
}

// count notes how the records of a parcel have ended.
func (p *Producer) count(q *parcel, v *verdict, ended [3]int64) {
	for _, t := range []*tally{&p.counts.tally, q.lane.tally} {
		for o, n := range ended {
			if n > 0 {
				t.outcomes[o].Add(n)
			}
		}
		switch v.reason {
		case nil:
			t.storedBytes.Add(int64(q.payload))
		case ErrExpired:
			t.expired.Add(ended[NotStored] + ended[Unknown])
		}
	}
}

// countEntry notes the answer for a parcel; code is empty if it was stored.
func (p *Producer) countEntry(q *parcel, code string) {
	for _, t := range []*tally{&p.counts.tally, q.lane.tally} {
		switch code {
		case "":
			t.stored.Add(1)
			t.bytes.Add(int64(q.size()))
			continue
		case codeThroughput:
			t.throttled.Add(1)
		}
		t.errors.Add(1)
	}
}

// countStart notes that a parcel is on its way.
func (p *Producer) countStart(q *parcel, now instant) {
	first := q.attempts.total == 0
	if first && !q.moved {
		for _, t := range []*tally{&p.counts.tally, q.lane.tally} {
			t.bufferingTime.Add(int64(now - q.born))
		}
		return
	}
	again, repeated := int64(0), int64(0)
	for i := range q.entries {
		e := &q.entries[i]
		if e.ended() {
			continue
		}
		if !first || e.past != nil && e.past.attempts.total > 0 {
			again++
		}
		if q.doubt || first && e.past != nil && e.past.doubt {
			repeated++
		}
	}
	q.doubt = false
	p.counts.retries.Add(again)
	q.lane.tally.retries.Add(again)
	p.counts.repeated.Add(repeated)
}

// Stats returns the counts. Those of different fields may be of moments a little
// apart.
func (p *Producer) Stats() Stats {
	c := &p.counts
	s := Stats{
		Stored:         c.outcomes[Stored].Load(),
		NotStored:      c.outcomes[NotStored].Load(),
		Unknown:        c.outcomes[Unknown].Load(),
		Expired:        c.expired.Load(),
		StoredBytes:    c.storedBytes.Load(),
		Retries:        c.retries.Load(),
		Repeated:       c.repeated.Load(),
		BufferedBytes:  -c.released.Load(),
		Requests:       c.requests.Load(),
		RequestsFailed: c.requestsFailed.Load(),
		KinesisRecords: c.stored.Load(),
		Bytes:          c.bytes.Load(),
		Throttled:      c.throttled.Load(),
		Errors:         c.errors.Load(),
		Misplaced:      c.misplaced.Load(),
		RequestTime:    time.Duration(c.requestTime.Load()),
		BufferingTime:  time.Duration(c.bufferingTime.Load()),
	}
	// After the outcomes, so that none is counted that was not accepted.
	rt := p.routes.Load()
	accepted, taken := rt.totals()
	s.Accepted = accepted
	s.BufferedBytes += taken
	s.Pending = s.Accepted - s.Stored - s.NotStored - s.Unknown
	if rt.shards != nil {
		s.Shards = rt.shards.Len()
	}
	return s
}

// totals returns how many records and bytes the table's lanes and those before
// them have taken over. It does not change when another table takes over.
func (rt *routes) totals() (accepted, taken int64) {
	accepted, taken = rt.accepted, rt.taken
	for _, l := range rt.lanes {
		l.mu.Lock()
		accepted += l.accepted
		taken += l.taken
		l.mu.Unlock()
	}
	return accepted, taken
}

// ShardStats returns the counts of each open shard, in the order of their hash
// keys; nothing as long as no shard is known, and on a stream whose
// RecordDistributionStrategy is AUTO.
func (p *Producer) ShardStats() []ShardStats {
	rt := p.routes.Load()
	if rt.shards == nil {
		return nil
	}
	all := make([]ShardStats, len(rt.lanes))
	for i, l := range rt.lanes {
		t := l.tally
		all[i] = ShardStats{
			ShardID:        l.shard.ID,
			Stored:         t.outcomes[Stored].Load(),
			NotStored:      t.outcomes[NotStored].Load(),
			Unknown:        t.outcomes[Unknown].Load(),
			Expired:        t.expired.Load(),
			StoredBytes:    t.storedBytes.Load(),
			Retries:        t.retries.Load(),
			KinesisRecords: t.stored.Load(),
			Bytes:          t.bytes.Load(),
			Throttled:      t.throttled.Load(),
			Errors:         t.errors.Load(),
			BufferedBytes:  l.share.Used(),
			BufferingTime:  time.Duration(t.bufferingTime.Load()),
			Pace:           math.Float64frombits(l.pace.Load()),
		}
	}
	return all
}
