package stream

import (
	"time"
)

// A meter adds up what a shard of an on-demand stream takes, for the service
// to see whether it is to be split.
type meter struct {
	since          int64 // Unix nanoseconds
	bytes, records int64
}

func (m *meter) add(bytes int) {
	m.bytes += int64(bytes)
	m.records++
}

// Above these rates an on-demand shard is split: about half of what a shard
// can take.
const (
	hotBytes   = 500_000 // a second
	hotRecords = 500
)

// narrow is the width below which a shard is not split any more; what it takes
// is then a few keys' own.
const narrow = 1 << 63

// hot reports whether the shard took more than hotBytes or hotRecords over a
// period of some length that ended just now, and begins the next.
func (m *meter) hot(now time.Time, period time.Duration) bool {
	took := now.UnixNano() - m.since
	if m.since == 0 || took >= 2*int64(period) { // nothing was put for long
		*m = meter{since: now.UnixNano()}
		return false
	}
	if took < int64(period) {
		return false
	}
	seconds := took / int64(time.Second)
	hot := m.bytes > hotBytes*seconds || m.records > hotRecords*seconds
	*m = meter{since: now.UnixNano()}
	return hot
}

// grow splits those of an on-demand stream's shards that have taken much for
// long, in the middle, as the service does of its own accord. st is locked.
func (s *Service) grow(st *stream, shards []*shard, now time.Time) {
	period := s.opts.OnDemandScaling
	if st.mode != onDemand || period <= 0 {
		return
	}
	var hot []*shard
	for _, sh := range shards {
		if sh.closed == 0 && sh.meter.hot(now, period) && distance(sh.hashes.Start, sh.hashes.End) > narrow {
			hot = append(hot, sh)
		}
	}
	if len(hot) == 0 || st.status != active || s.shardRoom(len(hot)) != nil {
		return
	}
	s.openShards.Add(int64(len(hot)))
	st.enter(updating, s.opts.Updating, now, func(at time.Time) {
		for _, sh := range hot {
			st.splitAt(sh, sh.hashes.Middle(), at)
		}
		st.route()
	})
}
