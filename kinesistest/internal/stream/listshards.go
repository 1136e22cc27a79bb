package stream

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

type listShardsInput struct {
	ref
	NextToken               *string
	ExclusiveStartShardId   *string
	MaxResults              *int
	StreamCreationTimestamp *float64
	ShardFilter             *struct {
		Type      *string
		ShardId   *string
		Timestamp *float64
	}
}

type listShardsOutput struct {
	Shards    []shardDescription
	NextToken string `json:",omitempty"`
}

// filterTypes has the index that a token keeps; the first is the default.
var filterTypes = []string{"FROM_TRIM_HORIZON", "AT_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP", "AFTER_SHARD_ID"}

const (
	fromTrimHorizon = iota
	atTrimHorizon
	atLatest
	atTimestamp
	fromTimestamp
	afterShardID
)

const shardsPage = 1000

// A shardQuery says which shards a listing shows.
type shardQuery struct {
	filter byte
	time   int64 // Unix milliseconds
	after  int64 // index of the shard before the first, -1 for all
}

func (in *listShardsInput) check() *api.Error {
	var v violations
	v.between("maxResults", in.MaxResults, 1, mostLimit)
	v.streamARN(in.StreamARN)
	v.streamName("exclusiveStartShardId", in.ExclusiveStartShardId)
	if f := in.ShardFilter; f != nil {
		v.streamName("shardFilter.shardId", f.ShardId)
		switch {
		case f.Type == nil:
			v.add(nil, "shardFilter.type", notNull)
		case !slices.Contains(filterTypes, *f.Type):
			v.add(*f.Type, "shardFilter.type", "Member must satisfy enum value set: [AFTER_SHARD_ID, AT_TIMESTAMP, FROM_TIMESTAMP, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST]")
		}
	}
	if e := v.err(); e != nil {
		return e
	}
	if in.NextToken != nil {
		for _, m := range []struct {
			name string
			set  bool
		}{
			{"StreamName", in.StreamName != nil},
			{"StreamARN", in.StreamARN != nil}, // amazon-kinesis-producer#481
			{"StreamCreationTimestamp", in.StreamCreationTimestamp != nil},
			{"ExclusiveStartShardId", in.ExclusiveStartShardId != nil},
			{"ShardFilter", in.ShardFilter != nil},
		} {
			if m.set {
				return invalid("NextToken and %s cannot be provided together.", m.name)
			}
		}
	}
	if f := in.ShardFilter; f != nil {
		switch *f.Type {
		case "AT_TIMESTAMP", "FROM_TIMESTAMP":
			if f.Timestamp == nil {
				return invalid("ShardFilter of type %s needs a Timestamp.", *f.Type)
			}
		case "AFTER_SHARD_ID":
			if f.ShardId == nil {
				return invalid("ShardFilter of type AFTER_SHARD_ID needs a ShardId.")
			}
		}
	}
	return nil
}

// query returns what in asks for on st, without a NextToken.
func (in *listShardsInput) query() (shardQuery, *api.Error) {
	q := shardQuery{after: -1}
	after := in.ExclusiveStartShardId
	if f := in.ShardFilter; f != nil {
		q.filter = byte(slices.Index(filterTypes, *f.Type))
		if f.Timestamp != nil {
			q.time = toMillis(*f.Timestamp)
		}
		if q.filter == afterShardID {
			if after != nil {
				return q, invalid("ExclusiveStartShardId and a ShardFilter of type AFTER_SHARD_ID cannot be provided together.")
			}
			after = f.ShardId
		}
	}
	if after != nil {
		i, ok := shardIndex(*after)
		if !ok {
			return q, invalid("Shard id %s is not one of a stream.", *after)
		}
		q.after = int64(i)
	}
	return q, nil
}

func (s *Service) listShards(in *listShardsInput) (any, *api.Error) {
	if e := in.check(); e != nil {
		return nil, e
	}
	out := listShardsOutput{Shards: []shardDescription{}}
	list := func(q shardQuery) func(*stream, time.Time) *api.Error {
		return func(st *stream, now time.Time) *api.Error {
			if st.status == creating || st.status == deleting {
				return st.idle(s.opts.Identity.AccountID)
			}
			nanos, rate := now.UnixNano(), s.opts.Limits.ListShardsPerStream
			if !st.listed.has(nanos, 1, rate) {
				return api.Errorf("LimitExceededException", "Rate exceeded for stream %s under account %s.", st.name, s.opts.Identity.AccountID)
			}
			st.listed.take(nanos, 1, rate)
			if c := in.StreamCreationTimestamp; c != nil && toMillis(*c)/1000 != st.created.Unix() {
				return notFound(st.name, s.opts.Identity.AccountID)
			}
			page := shardsPage
			if in.MaxResults != nil {
				page = min(*in.MaxResults, shardsPage)
			}
			for _, sh := range st.list(q, now) {
				if len(out.Shards) == page {
					out.NextToken = s.token(token{kind: tokenShards, stream: st.number, at: now.UnixMilli(),
						shard: uint32(q.after), filter: q.filter, time: q.time})
					break
				}
				out.Shards = append(out.Shards, sh.describe())
				q.after = int64(sh.index)
			}
			return nil
		}
	}
	if in.NextToken != nil {
		t, e := s.parseToken(*in.NextToken, tokenShards)
		if e != nil {
			return nil, e
		}
		e = s.withNumber(t.stream, list(shardQuery{filter: t.filter, time: t.time, after: int64(t.shard)}))
		return out, e
	}
	q, e := in.query()
	if e != nil {
		return nil, e
	}
	e = s.with(in.ref, list(q))
	return out, e
}

// list returns the shards that q asks for, in the order of their ids. Expired
// ones are never among them.
func (st *stream) list(q shardQuery, now time.Time) []*shard {
	filter := q.filter
	// A stream has nothing before its first moment or its trim horizon.
	if old := max(st.horizon(now), st.created.UnixMilli()); q.time <= old {
		switch filter {
		case atTimestamp:
			filter = atTrimHorizon
		case fromTimestamp:
			filter = fromTrimHorizon
		}
	}
	gone := func(sh *shard) bool { return sh == nil || st.expired(sh, now) }
	var out []*shard
	for _, sh := range st.shards[min(q.after+1, int64(len(st.shards))):] {
		if st.expired(sh, now) {
			continue
		}
		var show bool
		switch filter {
		case atLatest:
			show = sh.closed == 0
		case atTrimHorizon:
			// Told by lineage, which also holds when shards opened and closed
			// within one tick of the clock: the oldest of each line.
			show = gone(sh.parent) && gone(sh.adjacent)
		case atTimestamp:
			// A shard is there from just after it opened until it closed, so
			// that a record stored at the moment of a reshard is not passed by.
			show = sh.opened < q.time && (sh.closed == 0 || q.time <= sh.closed)
		case fromTimestamp:
			show = sh.closed == 0 || q.time <= sh.closed
		default:
			show = true
		}
		if show {
			out = append(out, sh)
		}
	}
	return out
}
