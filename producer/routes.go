package producer

import (
	"cmp"
	"math"
	"slices"

	"github.com/kinesis-go/kinesis/aggregation"
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

	accepted, taken int64 // records and bytes, by lanes that only earlier tables had
}

// Facts are what a producer knows of its stream beside the shards.
type facts struct {
	known     bool // the service was asked, whatever it said
	auto      bool // the stream spreads records itself
	maxRecord int  // bytes of data and partition key
	open      int  // open shards, where lanes are not shards; 0 if nobody has told
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
	tallies := make(map[string]*tally)
	if old != nil {
		for _, l := range old.lanes {
			tallies[l.shard.ID] = l.tally
			if l.kind == shardLane && l.max == p.aggregateBytes(f) && l.limit == f.maxRecord-len(aggregation.OuterPartitionKey) && l.aggregate == p.aggregates(l.kind) {
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
				if t := tallies[shards.At(i).ID]; t != nil {
					rt.lanes[i].tally = t
				}
			}
		}
	}
	return rt
}

// aggregateBytes returns how large an aggregate may become: its partition key
// counts against the stream's limit too.
func (p *Producer) aggregateBytes(f facts) int {
	return min(p.opts.AggregationMaxBytes, f.maxRecord-len(aggregation.OuterPartitionKey))
}

// aggregates reports whether lanes of a kind aggregate.
func (p *Producer) aggregates(kind laneKind) bool {
	return kind == shardLane && p.opts.Aggregate && !p.distrust
}

func (p *Producer) newLane(kind laneKind, shard shardmap.Shard, f facts) *lane {
	l := &lane{
		backlog:   &backlog{openDue: never, openExp: never, queueExp: never, wake: never, index: -1},
		kind:      kind,
		shard:     shard,
		aggregate: p.aggregates(kind),
		max:       p.aggregateBytes(f),
		limit:     f.maxRecord - len(aggregation.OuterPartitionKey),
		tally:     new(tally),
		shards:    f.open,
	}
	p.budget.Open(&l.share)
	if p.state != running {
		l.state = laneClosed
	}
	if kind == shardLane {
		l.shards = 1
		l.pace.Store(math.Float64bits(float64(p.opts.RateLimit) / 100))
	}
	bytes, records := p.rates(l, 1)
	l.bytes = pace.NewBucket(bytes, bytes)
	l.records = pace.NewBucket(records, max(1, records))
	return l
}

// elbowRoom is the part of its limits that a producer leaves unused. One that
// spends all as soon as it is there leaves no moment at which a second one's
// parcel fits, and would never be throttled and learn of it.
const elbowRoom = 0.01

// rates returns how many bytes and records a second a producer gives itself in a
// lane if it uses a share of what it may: 0, which is no limit, if nobody knows
// how many shards the lane leads to.
func (p *Producer) rates(l *lane, share float64) (bytes, records float64) {
	share *= float64(l.shards*p.opts.RateLimit) / 100 * (1 - elbowRoom)
	return shardBytesPerSecond * share, shardRecordsPerSecond * share
}

// reroute makes next the routing table. What waits in lanes that it does not
// have is packed again for those that it has, oldest first. Puts that come
// meanwhile wait, so that they stay behind.
func (p *Producer) reroute(next *routes, now instant) {
	old := p.routes.Load()
	p.follow(next, old)
	stays := make(map[*lane]bool, len(next.lanes))
	for _, l := range next.lanes {
		stays[l] = true
	}
	next.accepted, next.taken = old.accepted, old.taken
	var homeless []*parcel
	for _, l := range old.lanes {
		if stays[l] {
			continue
		}
		l.mu.Lock()
		l.state = laneRetired
		next.accepted += l.accepted
		next.taken += l.taken
		l.mu.Unlock()
		l.share.Close()
		l.look()
		l.takeOpen(p)
		oldest := instant(0)
		for _, q := range l.queue {
			// As time goes on along a queue but for an instant here and there, and
			// the queue's order has to stay.
			oldest = max(oldest, q.expires)
			q.rank = oldest
		}
		homeless = append(homeless, l.queue...)
		l.queue, l.queueBytes, l.queueExp = nil, 0, never
		p.lanes.remove(l)
	}
	slices.SortStableFunc(homeless, func(a, b *parcel) int { return cmp.Compare(a.rank, b.rank) })
	if p.opts.Ordered {
		p.refile(homeless, now, next)
	} else {
		for _, from := range homeless {
			p.repack(from, now, next)
		}
	}
	p.routes.Store(next)
	close(old.replaced)
}

// repack moves the records of a parcel that is in no queue to the lanes of a
// table, and ends the parcel.
func (p *Producer) repack(from *parcel, now instant, rt *routes) {
	due := min(from.due, now.after(p.opts.RecordMaxBufferedTime))
	from.left(func(e, moved *entry, r *aggregation.Record) {
		hash := hashKey(r)
		l := rt.lane(hash)
		cost := p.carry(from, l, r)
		l.mu.Lock()
		_, to := l.add(p, moved, r, hash, cost, now, due)
		to.due, to.born = min(to.due, due), min(to.born, from.born)
		l.mu.Unlock()
		to.adopt(from.tickets)
		e.end()
		p.poke(l)
	})
	p.drop(from)
}
