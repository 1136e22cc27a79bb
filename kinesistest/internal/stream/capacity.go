package stream

import (
	"math"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// An arnRef is how requests name their stream that take nothing but an ARN.
type arnRef struct {
	StreamARN *string
	StreamId  *string
}

func (r arnRef) ref() ref { return ref{StreamARN: r.StreamARN, StreamId: r.StreamId} }

func (v *violations) streamMode(d *streamModeDetails) {
	v.notNil("streamModeDetails.streamMode", d.StreamMode != nil)
	v.oneOf("streamModeDetails.streamMode", d.StreamMode, provisioned, onDemand)
}

type updateStreamModeInput struct {
	arnRef
	StreamModeDetails   *streamModeDetails
	WarmThroughputMiBps *int
}

func (s *Service) updateStreamMode(in *updateStreamModeInput) (any, *api.Error) {
	var v violations
	v.notNil("streamARN", in.StreamARN != nil)
	v.notNil("streamModeDetails", in.StreamModeDetails != nil)
	if in.StreamModeDetails != nil {
		v.streamMode(in.StreamModeDetails)
	}
	v.between("warmThroughputMiBps", in.WarmThroughputMiBps, 0, math.MaxInt32)
	if e := v.err(); e != nil {
		return nil, e
	}
	mode := *in.StreamModeDetails.StreamMode
	if in.WarmThroughputMiBps != nil {
		if mode == provisioned {
			return nil, wrongMode("WarmThroughputMiBps needs the mode ON_DEMAND.")
		}
		if e := s.committedTo(*in.WarmThroughputMiBps); e != nil {
			return nil, e
		}
	}
	s.mu.Lock()
	_, onDemands := s.census(s.now())
	s.mu.Unlock()
	return nil, s.with(in.ref(), func(st *stream, now time.Time) *api.Error {
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		if st.mode != mode {
			if e := s.mayEnterMode(st, mode, onDemands, now); e != nil {
				return e
			}
		} else if in.WarmThroughputMiBps == nil {
			return nil // nothing changes, and no switch is counted
		}
		if w := in.WarmThroughputMiBps; w != nil {
			if e := s.shardRoom(*w - len(st.routes.shards)); e != nil {
				return e
			}
		}
		if st.mode != mode {
			st.modeSwitches.add(now)
		}
		s.enterMode(st, mode, in.WarmThroughputMiBps, now)
		return nil
	})
}

// mayEnterMode fails unless st may change to a mode. st is locked.
func (s *Service) mayEnterMode(st *stream, mode string, onDemands int, now time.Time) *api.Error {
	account := s.opts.Identity.AccountID
	if l := s.opts.Limits.ModeSwitches; !st.modeSwitches.has(now, l) {
		return limitExceeded("The capacity mode of stream %s under account %s may be switched %d times in 24 hours.", st.name, account, l)
	}
	if mode == onDemand {
		return s.onDemandRoom(onDemands)
	}
	if st.distribution == auto {
		return invalid("Stream %s under account %s distributes records itself (AUTO), which PROVISIONED mode does not have. "+
			"Change RecordDistributionStrategy to USER_PARTITION_KEY first.", st.name, account)
	}
	return nil
}

// enterMode puts st in a mode. Its shards stay as they are, unless warm asks
// for more.
func (s *Service) enterMode(st *stream, mode string, warm *int, now time.Time) {
	change := func(time.Time) {
		if st.mode == mode {
			return
		}
		st.mode, st.distribution, st.warm = mode, "", nil
		if mode == onDemand {
			st.distribution = userPartitionKey
		}
	}
	if warm == nil {
		st.enter(updating, s.opts.Updating, now, change)
		return
	}
	s.heat(st, *warm, now, change)
}

// A warmThroughput is what an on-demand stream is scaled to, in MiB a second
// of writes, whatever it gets.
type warmThroughput struct{ TargetMiBps, CurrentMiBps int }

const mostWarmThroughput = 10 << 10 // MiB a second

// heat scales an on-demand stream to a warm throughput, a shard for each MiB a
// second. st is locked.
func (s *Service) heat(st *stream, mibps int, now time.Time, change func(time.Time)) {
	current := len(st.routes.shards)
	if st.warm != nil {
		current = st.warm.CurrentMiBps
	}
	target := max(onDemandShards, mibps)
	s.openShards.Add(int64(target - len(st.routes.shards)))
	st.warm = &warmThroughput{mibps, current}
	st.enter(updating, s.opts.Updating, now, func(at time.Time) {
		change(at)
		st.warm = &warmThroughput{mibps, mibps}
		st.scaleTo(target, at)
	})
}

type updateWarmThroughputInput struct {
	ref
	WarmThroughputMiBps *int
}

func (s *Service) updateStreamWarmThroughput(in *updateWarmThroughputInput) (any, *api.Error) {
	var v violations
	v.notNil("warmThroughputMiBps", in.WarmThroughputMiBps != nil)
	v.between("warmThroughputMiBps", in.WarmThroughputMiBps, 0, math.MaxInt32)
	if e := v.err(); e != nil {
		return nil, e
	}
	var out struct {
		StreamName, StreamARN string
		WarmThroughput        warmThroughput
	}
	may := s.committedTo(*in.WarmThroughputMiBps)
	e := s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		if st.mode != onDemand {
			return wrongMode("Stream %s under account %s is in PROVISIONED mode, which has no warm throughput.", st.name, s.opts.Identity.AccountID)
		}
		if may != nil {
			return may
		}
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		if e := s.shardRoom(*in.WarmThroughputMiBps - len(st.routes.shards)); e != nil {
			return e
		}
		current := len(st.routes.shards)
		if st.warm != nil {
			current = st.warm.CurrentMiBps
		}
		out.StreamName, out.StreamARN = st.name, st.arn
		out.WarmThroughput = warmThroughput{*in.WarmThroughputMiBps, current}
		s.heat(st, *in.WarmThroughputMiBps, now, func(time.Time) {})
		return nil
	})
	return out, e
}

type updateDistributionInput struct {
	arnRef
	RecordDistributionStrategy *string
}

func (s *Service) updateRecordDistributionStrategy(in *updateDistributionInput) (any, *api.Error) {
	var v violations
	v.notNil("streamARN", in.StreamARN != nil)
	v.notNil("recordDistributionStrategy", in.RecordDistributionStrategy != nil)
	v.oneOf("recordDistributionStrategy", in.RecordDistributionStrategy, auto, userPartitionKey)
	if e := v.err(); e != nil {
		return nil, e
	}
	return nil, s.with(in.ref(), func(st *stream, _ time.Time) *api.Error {
		if st.mode != onDemand {
			return invalid("RecordDistributionStrategy needs a stream in ON_DEMAND mode; stream %s under account %s is in %s mode.",
				st.name, s.opts.Identity.AccountID, st.mode)
		}
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		st.distribution = *in.RecordDistributionStrategy // at once, without UPDATING
		return nil
	})
}

type updateMaxRecordSizeInput struct {
	arnRef
	MaxRecordSizeInKiB *int
}

func (s *Service) updateMaxRecordSize(in *updateMaxRecordSizeInput) (any, *api.Error) {
	var v violations
	v.notNil("maxRecordSizeInKiB", in.MaxRecordSizeInKiB != nil)
	v.between("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, defaultMaxRecordSize, largestRecordSize)
	if e := v.err(); e != nil {
		return nil, e
	}
	return nil, s.with(in.ref(), func(st *stream, now time.Time) *api.Error {
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		st.enter(updating, s.opts.Updating, now, func(time.Time) { st.maxRecordSize = *in.MaxRecordSizeInKiB })
		return nil
	})
}
