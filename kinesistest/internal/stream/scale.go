package stream

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

type updateShardCountInput struct {
	ref
	ScalingType      *string
	TargetShardCount *int
}

type updateShardCountOutput struct {
	StreamName, StreamARN               string
	CurrentShardCount, TargetShardCount int
}

func (s *Service) updateShardCount(in *updateShardCountInput) (any, *api.Error) {
	var v violations
	v.notNil("scalingType", in.ScalingType != nil)
	v.oneOf("scalingType", in.ScalingType, "UNIFORM_SCALING")
	v.notNil("targetShardCount", in.TargetShardCount != nil)
	v.between("targetShardCount", in.TargetShardCount, 1, mostShards)
	if e := v.err(); e != nil {
		return nil, e
	}
	target := *in.TargetShardCount
	var out updateShardCountOutput
	e := s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		if e := s.mayReshard(st); e != nil {
			return e
		}
		have := len(st.routes.shards)
		if e := s.mayScale(st, have, target, now); e != nil {
			return e
		}
		st.scalings.add(now)
		out = updateShardCountOutput{st.name, st.arn, have, target}
		s.scale(st, target, now)
		return nil
	})
	return out, e
}

// mayScale fails unless a call may bring st from have to target shards.
func (s *Service) mayScale(st *stream, have, target int, now time.Time) *api.Error {
	l := &s.opts.Limits
	f, times, part := l.ScaleFactor, "double", "half"
	if f != 2 {
		times, part = fmt.Sprint(f, " times"), fmt.Sprint("1/", f, " of")
	}
	switch {
	case f > 0 && (target-1)/f >= have: // target > have*f, which may be more than an int holds
		return limitExceeded("UpdateShardCount cannot scale up over %s your current open shard count. "+
			"Current open shard count: %d Target shard count: %d", times, have, target)
	case f > 0 && f < have && target*f < have:
		return limitExceeded("UpdateShardCount cannot scale down below %s your current open shard count. "+
			"Current open shard count: %d Target shard count: %d", part, have, target)
	case l.ShardsPerStream > 0 && target > l.ShardsPerStream:
		return limitExceeded("Target shard count or number of open shards cannot be greater than %d. "+
			"Current open shard count: %d Target shard count: %d", l.ShardsPerStream, have, target)
	case !st.scalings.has(now, l.ShardCountUpdates):
		return limitExceeded("UpdateShardCount may be called %d times per 24 hours for stream %s under account %s.",
			l.ShardCountUpdates, st.name, s.opts.Identity.AccountID)
	}
	// The pieces that shards are cut into on the way count as well.
	return s.shardRoom(len(st.cuts(st.uniform(target))))
}

// scale brings st to as many shards of equal size as target says. st is locked.
func (s *Service) scale(st *stream, target int, now time.Time) {
	s.openShards.Add(int64(target - len(st.routes.shards)))
	st.enter(updating, s.opts.Updating, now, func(at time.Time) { st.scaleTo(target, at) })
}

func (st *stream) scaleTo(shards int, at time.Time) {
	st.reshape(st.uniform(shards), at)
	st.route()
}

// uniform returns n ranges of equal size that tile the ring. Where an open
// shard begins but for the rounding, so does a range: 5 shards become 10
// without slivers.
func (st *stream) uniform(n int) []shardmap.Range {
	const rounding = 1 << 32 // keys; the smallest range has 2^111
	ranges := shardmap.Split(n)
	i := 0
	open := st.routes.shards
	for j := 1; j < len(ranges); j++ {
		start := ranges[j].Start
		for i < len(open) && open[i].hashes.Start.Less(start) && distance(open[i].hashes.Start, start) > rounding {
			i++
		}
		if i < len(open) && distance(open[i].hashes.Start, start) <= rounding {
			ranges[j].Start = open[i].hashes.Start
			ranges[j-1].End = ranges[j].Start.Prev()
		}
	}
	return ranges
}

// distance returns how many keys lie between two, at most 2^64-1.
func distance(a, b shardmap.HashKey) uint64 {
	if b.Less(a) {
		a, b = b, a
	}
	lo, borrow := bits.Sub64(b.Lo, a.Lo, 0)
	if hi, _ := bits.Sub64(b.Hi, a.Hi, borrow); hi > 0 {
		return math.MaxUint64
	}
	return lo
}

// cuts returns the hash keys at which ranges begin and no open shard does, in
// order.
func (st *stream) cuts(ranges []shardmap.Range) []shardmap.HashKey {
	var out []shardmap.HashKey
	i := 0
	open := st.routes.shards
	for _, r := range ranges {
		for i < len(open) && open[i].hashes.Start.Less(r.Start) {
			i++
		}
		if i == len(open) || open[i].hashes.Start != r.Start {
			out = append(out, r.Start)
		}
	}
	return out
}

// reshape splits and merges open shards until they are ranges, which tile the
// ring. As in the service it takes single splits and merges, so shards may come
// about that are closed at once and stay empty; a shard that is one of ranges
// is left alone.
func (st *stream) reshape(ranges []shardmap.Range, at time.Time) {
	cuts := st.cuts(ranges)
	var pieces []*shard
	for _, sh := range st.routes.shards {
		n := 0
		for n < len(cuts) && sh.hashes.Contains(cuts[n]) {
			n++
		}
		pieces = append(pieces, st.cut(sh, cuts[:n], at)...)
		cuts = cuts[n:]
	}
	for _, r := range ranges {
		n := slices.IndexFunc(pieces, func(sh *shard) bool { return sh.hashes.End == r.End }) + 1
		st.join(pieces[:n], at)
		pieces = pieces[n:]
	}
}

// cut splits sh at hash keys inside it, the middle one first, and returns the
// open pieces in order.
func (st *stream) cut(sh *shard, keys []shardmap.HashKey, at time.Time) []*shard {
	if len(keys) == 0 {
		return []*shard{sh}
	}
	m := len(keys) / 2
	low, high := st.splitAt(sh, keys[m], at)
	return append(st.cut(low, keys[:m], at), st.cut(high, keys[m+1:], at)...)
}

// join merges shards that follow each other into one.
func (st *stream) join(shards []*shard, at time.Time) *shard {
	if len(shards) == 1 {
		return shards[0]
	}
	m := len(shards) / 2
	return st.merge(st.join(shards[:m], at), st.join(shards[m:], at), at)
}

// splitAt closes sh and opens the two shards that its range falls into.
func (st *stream) splitAt(sh *shard, key shardmap.HashKey, at time.Time) (low, high *shard) {
	sh.end(at)
	low = st.open(shardmap.Range{Start: sh.hashes.Start, End: key.Prev()}, at, sh, nil)
	high = st.open(shardmap.Range{Start: key, End: sh.hashes.End}, at, sh, nil)
	return low, high
}

// merge closes two neighbours and opens the shard of both.
func (st *stream) merge(a, b *shard, at time.Time) *shard {
	a.end(at)
	b.end(at)
	r := shardmap.Range{Start: a.hashes.Start, End: b.hashes.End}
	if b.hashes.Start.Less(a.hashes.Start) {
		r = shardmap.Range{Start: b.hashes.Start, End: a.hashes.End}
	}
	return st.open(r, at, a, b)
}
