package stream

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// A Shard is a shard as tests inspect it.
type Shard struct {
	ID, ParentID, AdjacentParentID string
	Range                          shardmap.Range
	StartingSequenceNumber         string
	EndingSequenceNumber           string // "" while open
	Records                        int    // that can be read
	Expired                        bool
}

// Shards returns all shards a stream ever had, by id; nil if there is no such
// stream.
func (s *Service) Shards(name string) []Shard {
	var out []Shard
	_ = s.with(ref{StreamName: &name}, func(st *stream, now time.Time) *api.Error { // no stream, no shards
		for _, sh := range st.shards {
			st.expire(sh, now, s.opts.KeepTrimmed)
			d := sh.describe()
			out = append(out, Shard{
				ID:                     sh.id,
				ParentID:               d.ParentShardId,
				AdjacentParentID:       d.AdjacentParentShardId,
				Range:                  sh.hashes,
				StartingSequenceNumber: d.SequenceNumberRange.StartingSequenceNumber,
				EndingSequenceNumber:   d.SequenceNumberRange.EndingSequenceNumber,
				Records:                int(sh.log.next - sh.log.first),
				Expired:                st.expired(sh, now),
			})
		}
		return nil
	})
	return out
}

// Records yields the records of a shard that are in memory, with their
// sequence numbers, oldest first. What is stored meanwhile may come too.
func (s *Service) Records(name, shardID string) iter.Seq2[string, Stored] {
	return func(yield func(string, Stored) bool) {
		for counter := uint64(0); ; {
			var sh *shard
			var views []view
			_ = s.with(ref{StreamName: &name}, func(st *stream, _ time.Time) *api.Error { // no stream, no records
				if sh = st.shard(shardID); sh != nil {
					counter = max(counter, sh.log.oldest())
					views, counter = sh.log.views(counter, recordsPage, 1<<62)
				}
				return nil
			})
			if len(views) == 0 {
				return
			}
			for _, v := range views {
				for i := v.from; i < len(v.segment.index); i++ {
					r := v.segment.at(i)
					if !yield(sh.sequence(r.counter, r.Arrival).String(), r) {
						return
					}
				}
			}
		}
	}
}

// Trim gives up the records of a shard below a sequence number, as retention
// would.
func (s *Service) Trim(name, shardID, before string) *api.Error {
	return s.with(ref{StreamName: &name}, func(st *stream, _ time.Time) *api.Error {
		sh := st.shard(shardID)
		if sh == nil {
			return noShard(shardID, name, s.opts.Identity.AccountID)
		}
		q, ok := parseSequence(before)
		if !ok || q.created != sh.created || q.index != sh.index {
			return invalid("%.200s is not a sequence number of shard %s.", before, shardID)
		}
		sh.log.trim(sh.log.position(sh, q, false), false)
		return nil
	})
}

// Streams returns the names of all streams in order, those that are being made
// or deleted included.
func (s *Service) Streams() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.streams))
}

// A Consumer is a registered consumer as tests inspect it.
type Consumer struct {
	Name, ARN, Status string
	Created           time.Time
	Subscriptions     []string // the shards at which one is open, in order
}

// Consumers returns the consumers of a stream by name; nil if there is no such
// stream.
func (s *Service) Consumers(name string) []Consumer {
	var out []Consumer
	_ = s.with(ref{StreamName: &name}, func(st *stream, now time.Time) *api.Error { // no stream, no consumers
		st.settleConsumers(now)
		for _, name := range slices.Sorted(maps.Keys(st.fanOut.consumers)) {
			c := st.fanOut.consumers[name]
			d := Consumer{Name: c.name, ARN: c.arn, Status: c.status, Created: c.created}
			for sh, l := range c.lanes {
				if l.active != nil {
					d.Subscriptions = append(d.Subscriptions, sh.id)
				}
			}
			slices.Sort(d.Subscriptions)
			out = append(out, d)
		}
		return nil
	})
	return out
}
