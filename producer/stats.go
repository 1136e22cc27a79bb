package producer

import "sync/atomic"

// Stats are counts since New.
type Stats struct {
	Accepted                   int64 // records taken over by Put, PutAsync and TryPut
	Stored, NotStored, Unknown int64 // records by outcome

	// BufferedBytes is what counts against MaxBufferedBytes at this moment.
	BufferedBytes int64

	Requests       int64 // PutRecords calls answered or failed
	RequestsFailed int64 // of them, those that failed as a whole
	KinesisRecords int64 // Kinesis records stored, aggregates or single
	Bytes          int64 // their data and partition keys
	Throttled      int64 // Kinesis records refused because their shard was out of throughput
	Misplaced      int64 // aggregates stored in a shard they do not fit, and sent again

	Shards int // open shards known
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
