package producer

import (
	"slices"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// With Options.Ordered the records of a key reach the stream one after another,
// because of three rules:
//
//   - A lane has one request under way. What it carries has been stored, or is
//     back in front of the queue, before anything behind it leaves.
//   - A request carries a partition key in one parcel of a lane at most, since
//     PutRecords promises no order among its entries; within an aggregate there
//     is one.
//   - When the shards change, a new lane waits until those that its records may
//     have been in have settled theirs.

// busy reports whether records of the lane are where they may yet come back
// from: in a request, or stored in a shard that nobody has a map of.
func (l *lane) busy() bool { return l.inFlight > 0 || l.limbo > 0 }

// held reports whether order forbids the lane to send.
func (p *Producer) held(l *lane) bool {
	if !p.opts.Ordered || l.kind == spreadLane {
		return false
	}
	l.after = slices.DeleteFunc(l.after, func(a *lane) bool { return !a.busy() })
	return l.busy() || len(l.after) > 0
}

// freed makes the flusher look at the lanes that may send when l is not busy.
func (p *Producer) freed(l *lane) {
	p.poke(l)
	if l.state != laneRetired {
		return
	}
	for _, next := range p.routes.Load().lanes {
		if len(next.after) > 0 {
			p.poke(next)
		}
	}
}

// follow makes new lanes wait for the busy ones whose place they take.
func (p *Producer) follow(next, old *routes) {
	if !p.opts.Ordered {
		return
	}
	stays := make(map[*lane]bool, len(next.lanes))
	for _, l := range old.lanes {
		stays[l] = true
	}
	for _, l := range next.lanes {
		if stays[l] {
			continue
		}
		for _, o := range old.lanes {
			for _, a := range append(slices.Clone(o.after), o) {
				if a.busy() && a.shares(l) && !slices.Contains(l.after, a) {
					l.after = append(l.after, a)
				}
			}
		}
	}
}

// shares reports whether a record may have been in l and come to be in other.
func (l *lane) shares(other *lane) bool {
	if l.kind != shardLane || other.kind != shardLane {
		return true
	}
	a, b := l.shard.Range, other.shard.Range
	return !a.End.Less(b.Start) && !b.End.Less(a.Start)
}

// A keySet holds the partition keys that a request carries from one lane.
type keySet map[string]struct{}

// takes adds the keys of a parcel, unless one is there already.
func (s keySet) takes(q *parcel) bool {
	for i := range q.entries {
		if _, there := s[q.entries[i].key]; there {
			return false
		}
	}
	s.add(q)
	return true
}

func (s keySet) add(q *parcel) {
	for i := range q.entries {
		s[q.entries[i].key] = struct{}{}
	}
}

// apart reports whether the next parcel of a lane may go in the same request as
// those that were loaded from it: none of its keys is in them.
func (p *Producer) apart(loaded []*parcel, next *parcel) bool {
	if !p.opts.Ordered || len(loaded) == 0 || next.lane.kind == spreadLane {
		return true
	}
	if p.keys == nil {
		p.keys = make(keySet)
	}
	if len(loaded) == 1 {
		clear(p.keys)
		p.keys.add(loaded[0])
	}
	return p.keys.takes(next)
}

// refile packs the records of parcels that are in no queue again, for the lanes
// of a table, in their order and in front of everything that waits.
func (p *Producer) refile(from []*parcel, now instant, rt *routes) {
	f := filing{packed: make(map[*lane][]*parcel), began: make(map[*parcel]*parcel)}
	for _, q := range from {
		f.from = q
		q.left(func(e, moved *entry, r *aggregation.Record) {
			hash := hashKey(r)
			l := rt.lane(hash)
			cost := p.carry(q, l, r)
			to := p.file(&f, l, moved, r, hash, cost, now)
			to.due, to.born = min(to.due, q.due), min(to.born, q.born)
			to.adopt(q.tickets)
			e.end()
		})
		p.drop(q)
	}
	for _, l := range f.lanes {
		l.push(f.packed[l]...)
		p.poke(l)
	}
}

// A filing is what refile has packed so far.
type filing struct {
	lanes  []*lane // in the order of their first records
	packed map[*lane][]*parcel
	from   *parcel             // that records are taken from
	began  map[*parcel]*parcel // where the first record of a packed one is from
}

// file adds a record to the last of a lane's packed parcels, or to a new one.
func (p *Producer) file(f *filing, l *lane, e *entry, r *aggregation.Record, hash shardmap.HashKey, cost int64, now instant) *parcel {
	packed := f.packed[l]
	if packed == nil {
		f.lanes = append(f.lanes, l)
	}
	wrapped, alone := l.packs(e, r)
	maybe := e.past != nil && e.past.maybe
	run := alone && l.aggregate && maybe && e.past.misplaced == alonePacked
	to := company(packed, alone, hash)
	if to != nil && !alone && maybe && f.began[to] != f.from {
		to = nil // behind others there may not be room for all of its run
	}
	if to != nil && (run || !alone) {
		if len(to.entries) < p.opts.AggregationMaxRecords && to.add(e, r, hash, cost) {
			return to
		}
	}
	to = p.newParcel(l, now, now, wrapped || run)
	to.add(e, r, hash, cost)
	to.alone = alone
	f.packed[l], f.began[to] = append(packed, to), f.from
	return to
}

// company returns which of a lane's packed parcels a record may join. One that is
// to go without others joins those of its hash key all the same if they may be
// stored already: they belong to one shard, whichever that is, and were in one
// aggregate. So they are sent again all or none, and not some of them because the
// time of the others is over.
func company(packed []*parcel, alone bool, hash shardmap.HashKey) *parcel {
	if !alone {
		if n := len(packed); n > 0 && !packed[n-1].alone {
			return packed[n-1]
		}
		return nil
	}
	for _, q := range slices.Backward(packed) {
		if q.alone && q.enc != nil && q.hash == hash {
			return q
		}
	}
	return nil
}
