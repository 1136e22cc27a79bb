package stream

import (
	"time"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

type splitShardInput struct {
	ref
	ShardToSplit       *string
	NewStartingHashKey *string
}

type mergeShardsInput struct {
	ref
	ShardToMerge         *string
	AdjacentShardToMerge *string
}

func (s *Service) splitShard(in *splitShardInput) (any, *api.Error) {
	var v violations
	v.required("shardToSplit", in.ShardToSplit)
	if k := in.NewStartingHashKey; k == nil {
		v.add(nil, "newStartingHashKey", notNull)
	} else if !hashKeyPattern(*k) {
		v.add(*k, "newStartingHashKey", `Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})`)
	}
	if e := v.err(); e != nil {
		return nil, e
	}
	return nil, s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		if e := s.mayReshard(st); e != nil {
			return e
		}
		sh, e := s.openShard(st, *in.ShardToSplit)
		if e != nil {
			return e
		}
		at, err := shardmap.ParseHashKey(*in.NewStartingHashKey)
		if err != nil || !sh.hashes.Start.Next().Less(at) || !at.Less(sh.hashes.End) {
			return invalid("NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
				*in.NewStartingHashKey, sh.id, st.name, s.opts.Identity.AccountID, sh.hashes.Start, sh.hashes.End)
		}
		if e := s.shardRoom(1); e != nil {
			return e
		}
		s.openShards.Add(1)
		st.enter(updating, s.opts.Updating, now, func(now time.Time) {
			st.splitAt(sh, at, now)
			st.route()
		})
		return nil
	})
}

func (s *Service) mergeShards(in *mergeShardsInput) (any, *api.Error) {
	var v violations
	v.required("shardToMerge", in.ShardToMerge)
	v.required("adjacentShardToMerge", in.AdjacentShardToMerge)
	if e := v.err(); e != nil {
		return nil, e
	}
	return nil, s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		if e := s.mayReshard(st); e != nil {
			return e
		}
		a, e := s.openShard(st, *in.ShardToMerge)
		if e != nil {
			return e
		}
		b, e := s.openShard(st, *in.AdjacentShardToMerge)
		if e != nil {
			return e
		}
		low, high := a, b
		if high.hashes.Start.Less(low.hashes.Start) {
			low, high = b, a
		}
		if a == b || low.hashes.End.Next() != high.hashes.Start {
			return invalid("Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging",
				a.id, b.id, st.name, s.opts.Identity.AccountID)
		}
		s.openShards.Add(-1)
		st.enter(updating, s.opts.Updating, now, func(now time.Time) {
			st.merge(a, b, now)
			st.route()
		})
		return nil
	})
}

// mayReshard fails unless st may be resharded by a call. st is locked.
func (s *Service) mayReshard(st *stream) *api.Error {
	account := s.opts.Identity.AccountID
	if st.mode == onDemand {
		return wrongMode("Stream %s under account %s is in ON_DEMAND mode, whose shards the service manages.", st.name, account)
	}
	return st.idle(account)
}

// openShard returns an open shard by id. st is locked.
func (s *Service) openShard(st *stream, id string) (*shard, *api.Error) {
	sh := st.shard(id)
	if sh == nil {
		return nil, noShard(id, st.name, s.opts.Identity.AccountID)
	}
	if sh.closed != 0 {
		return nil, invalid("Shard %s in stream %s under account %s has already been merged or split, and thus is not eligible for merging or splitting.",
			sh.id, st.name, s.opts.Identity.AccountID)
	}
	return sh, nil
}
