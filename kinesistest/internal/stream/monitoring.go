package stream

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// shardLevelMetrics are those that can be had of each shard; "ALL" means them
// together.
var shardLevelMetrics = []string{
	"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords",
	"WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds",
}

const allMetrics = "ALL"

type shardMetrics struct{ ShardLevelMetrics []string }

// monitoring describes which metrics st has enabled.
func (st *stream) monitoring() []shardMetrics {
	return []shardMetrics{{append([]string{}, st.metrics...)}}
}

type monitoringInput struct {
	ref
	ShardLevelMetrics []string
}

type monitoringOutput struct {
	StreamName, StreamARN                              string
	CurrentShardLevelMetrics, DesiredShardLevelMetrics []string
}

func (s *Service) enableMonitoring(in *monitoringInput) (any, *api.Error) {
	return s.monitor(in, func(had, named bool) bool { return had || named })
}

func (s *Service) disableMonitoring(in *monitoringInput) (any, *api.Error) {
	return s.monitor(in, func(had, named bool) bool { return had && !named })
}

// monitor enables the metrics that want says, of those the stream had and
// those the request names.
func (s *Service) monitor(in *monitoringInput, want func(had, named bool) bool) (any, *api.Error) {
	var v violations
	switch n := len(in.ShardLevelMetrics); {
	case in.ShardLevelMetrics == nil:
		v.add(nil, "shardLevelMetrics", notNull)
	case n < 1:
		v.add("[]", "shardLevelMetrics", "Member must have length greater than or equal to 1")
	case n > len(shardLevelMetrics):
		v.add(in.ShardLevelMetrics, "shardLevelMetrics", "Member must have length less than or equal to %d", len(shardLevelMetrics))
	}
	for _, m := range in.ShardLevelMetrics {
		v.oneOf("shardLevelMetrics", &m, append(slices.Clip(shardLevelMetrics), allMetrics)...)
	}
	if e := v.err(); e != nil {
		return nil, e
	}
	all := slices.Contains(in.ShardLevelMetrics, allMetrics)
	var out monitoringOutput
	e := s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		out = monitoringOutput{st.name, st.arn, append([]string{}, st.metrics...), []string{}}
		for _, m := range shardLevelMetrics {
			if want(slices.Contains(st.metrics, m), all || slices.Contains(in.ShardLevelMetrics, m)) {
				out.DesiredShardLevelMetrics = append(out.DesiredShardLevelMetrics, m)
			}
		}
		st.enter(updating, s.opts.Updating, now, func(time.Time) { st.metrics = out.DesiredShardLevelMetrics })
		return nil
	})
	return out, e
}
