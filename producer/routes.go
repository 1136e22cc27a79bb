package producer

import (
	"cmp"
	"slices"

	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// Routes say which lane a record takes. A table is immutable; when the stream
// changes the flusher makes another one.
type routes struct {
	facts
	shards   *shardmap.Map // nil: one lane for everything
	lanes    []*lane       // by shard index
	replaced chan struct{} // closed when another table has taken over
}

// Facts are what a producer knows of its stream beside the shards.
type facts struct {
	known     bool // the service was asked, whatever it said
	auto      bool // the stream spreads records itself
	maxRecord int  // bytes of data and partition key
}

// lane returns the lane of a hash key.
func (rt *routes) lane(hash shardmap.HashKey) *lane {
	if rt.shards == nil {
		return rt.lanes[0]
	}
	return rt.lanes[rt.shards.Index(hash)]
}

// newRoutes builds a table for a stream, with the lanes of old whose shards are
// still the same.
func (p *Producer) newRoutes(f facts, shards *shardmap.Map, old *routes) *routes {
	rt := &routes{facts: f, shards: shards, replaced: make(chan struct{})}
	if f.auto {
		rt.shards = nil
	}
	keep := make(map[shardmap.Shard]*lane)
	if old != nil {
		for _, l := range old.lanes {
			if l.kind == shardLane && l.max == p.aggregateBytes(f) && l.aggregate == p.aggregates(l.kind) {
				keep[l.shard] = l
			}
		}
	}
	switch {
	case f.auto:
		rt.lanes = []*lane{p.newLane(spreadLane, shardmap.Shard{}, f)}
	case shards == nil:
		rt.lanes = []*lane{p.newLane(waitLane, shardmap.Shard{}, f)}
	default:
		rt.lanes = make([]*lane, shards.Len())
		for i := range rt.lanes {
			if rt.lanes[i] = keep[shards.At(i)]; rt.lanes[i] == nil {
				rt.lanes[i] = p.newLane(shardLane, shards.At(i), f)
			}
		}
	}
	return rt
}

// aggregateBytes returns how large an aggregate may become: its partition key
// counts against the stream's limit too.
func (p *Producer) aggregateBytes(f facts) int {
	return min(p.opts.AggregationMaxBytes, f.maxRecord-1)
}

// aggregates reports whether lanes of a kind aggregate.
func (p *Producer) aggregates(kind laneKind) bool {
	return kind == shardLane && p.opts.Aggregate && !p.distrust
}

func (p *Producer) newLane(kind laneKind, shard shardmap.Shard, f facts) *lane {
	l := &lane{
		kind:      kind,
		shard:     shard,
		aggregate: p.aggregates(kind),
		max:       p.aggregateBytes(f),
		share:     p.budget.Share(),
		openDue:   never,
		openExp:   never,
		wake:      never,
		index:     -1,
	}
	if p.state != running {
		l.state = laneClosed
	}
	if kind == shardLane {
		part := float64(p.opts.RateLimit) / 100
		l.bytes = pace.NewBucket(shardBytesPerSecond*part, shardBytesPerSecond*part)
		l.records = pace.NewBucket(shardRecordsPerSecond*part, max(1, shardRecordsPerSecond*part))
	}
	return l
}

// reroute makes next the routing table. What waits in lanes that it does not
// have is packed again for those that it has, oldest first. Puts that come
// meanwhile wait, so that they stay behind.
func (p *Producer) reroute(next *routes, now instant) {
	old := p.routes.Load()
	stays := make(map[*lane]bool, len(next.lanes))
	for _, l := range next.lanes {
		stays[l] = true
	}
	var homeless []*parcel
	for _, l := range old.lanes {
		if stays[l] {
			continue
		}
		l.mu.Lock()
		l.state = laneRetired
		p.counts.accepted.Add(l.accepted)
		l.accepted = 0
		l.mu.Unlock()
		l.share.Close()
		l.look()
		l.takeOpen()
		homeless = append(homeless, l.queue...)
		l.queue, l.queueBytes = nil, 0
		p.lanes.remove(l)
	}
	slices.SortStableFunc(homeless, func(a, b *parcel) int { return cmp.Compare(a.expires, b.expires) })
	for _, from := range homeless {
		p.repack(from, now, next)
	}
	p.routes.Store(next)
	close(old.replaced)
}

// repack moves the records of a parcel that is in no queue to the lanes of a
// table, and ends the parcel.
func (p *Producer) repack(from *parcel, now instant, rt *routes) {
	var memo pastMemo
	due := min(from.due, now.after(p.opts.RecordMaxBufferedTime))
	from.each(func(i int, e *entry, data []byte) {
		if e.ended {
			return
		}
		moved := *e
		moved.past = from.past(e, &memo)
		hash := hashKey(e.key, e.ehk)
		cost := p.cost(e.key, e.ehk, data)
		l := rt.lane(hash)
		l.mu.Lock()
		_, to := l.add(p, moved, data, hash, cost, now, due)
		to.due = min(to.due, due)
		l.mu.Unlock()
		from.share.Transfer(to.share, cost)
		from.cost -= cost
		to.adopt(from.tickets)
		e.ended = true
		p.poke(l)
	})
	p.drop(from)
}
