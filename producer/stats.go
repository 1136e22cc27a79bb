package producer

import (
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
	// of them that an earlier call has stored or may have stored, and that a
	// reader may therefore see more than once.
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

	// Pace is which part of the shard's write limits the Producer gives itself: 1
	// is all of them. It is at most RateLimit, falls when the shard throttles and
	// climbs back. Without pacing it is 0.
	Pace float64
}

// counters are written by the flusher and read by all.
type counters struct {
	accepted                                         atomic.Int64 // in retired lanes
	outcomes                                         [3]atomic.Int64
	requests, requestsFailed, stored, bytes, refused atomic.Int64
	misplaced                                        atomic.Int64
}

// Stats returns the counts. Accepted may be ahead of the outcomes by what is
// buffered and, for an instant, of anything put meanwhile.
func (p *Producer) Stats() Stats {
	c := &p.counts
	s := Stats{
		Accepted:       c.accepted.Load(),
		Stored:         c.outcomes[Stored].Load(),
		NotStored:      c.outcomes[NotStored].Load(),
		Unknown:        c.outcomes[Unknown].Load(),
		BufferedBytes:  p.budget.Used(),
		Requests:       c.requests.Load(),
		RequestsFailed: c.requestsFailed.Load(),
		KinesisRecords: c.stored.Load(),
		Bytes:          c.bytes.Load(),
		Throttled:      c.refused.Load(),
		Misplaced:      c.misplaced.Load(),
	}
	rt := p.routes.Load()
	for _, l := range rt.lanes {
		l.mu.Lock()
		s.Accepted += l.accepted
		l.mu.Unlock()
	}
	if rt.shards != nil {
		s.Shards = rt.shards.Len()
	}
	return s
}
