package stream

import (
	"maps"
	"math"
	"time"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

const (
	defaultRetention     = 24 * time.Hour
	defaultMaxRecordSize = 1024 // KiB
	largestRecordSize    = 10240
	onDemandShards       = 4
	mostShards           = 100_000
)

type createStreamInput struct {
	StreamName                 *string
	ShardCount                 *int
	StreamModeDetails          *streamModeDetails
	MaxRecordSizeInKiB         *int
	RecordDistributionStrategy *string
	Tags                       map[string]string
	WarmThroughputMiBps        *int
}

type streamModeDetails struct{ StreamMode *string }

func (in *createStreamInput) mode() string {
	if in.StreamModeDetails == nil || in.StreamModeDetails.StreamMode == nil {
		return provisioned
	}
	return *in.StreamModeDetails.StreamMode
}

func (in *createStreamInput) check() *api.Error {
	var v violations
	v.required("streamName", in.StreamName)
	v.between("shardCount", in.ShardCount, 1, mostShards)
	v.between("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, defaultMaxRecordSize, largestRecordSize)
	if d := in.StreamModeDetails; d != nil {
		v.streamMode(d)
	}
	v.oneOf("recordDistributionStrategy", in.RecordDistributionStrategy, auto, userPartitionKey)
	v.between("warmThroughputMiBps", in.WarmThroughputMiBps, 0, math.MaxInt32)
	v.tags(in.Tags)
	if e := v.err(); e != nil {
		return e
	}
	switch {
	case in.mode() == provisioned && in.ShardCount == nil:
		return api.Errorf("ValidationException", "ShardCount must be specified for a stream in PROVISIONED mode.")
	case in.mode() == onDemand && in.ShardCount != nil:
		return api.Errorf("ValidationException", "ShardCount must not be specified for a stream in ON_DEMAND mode.")
	case in.mode() == provisioned && in.RecordDistributionStrategy != nil && *in.RecordDistributionStrategy == auto:
		return invalid("RecordDistributionStrategy AUTO needs a stream in ON_DEMAND mode.")
	case in.mode() == provisioned && in.WarmThroughputMiBps != nil:
		return wrongMode("WarmThroughputMiBps needs a stream in ON_DEMAND mode.")
	}
	return checkTags(in.Tags, *in.StreamName)
}

func (s *Service) createStream(in *createStreamInput) (any, *api.Error) {
	if e := in.check(); e != nil {
		return nil, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if old := s.streams[*in.StreamName]; old != nil {
		if !old.gone(now) {
			return nil, api.Errorf("ResourceInUseException", "Stream %s under account %s already exists.", old.name, s.opts.Identity.AccountID)
		}
		s.drop(old)
	}
	n := onDemandShards
	if in.ShardCount != nil {
		n = *in.ShardCount
	}
	var warm *warmThroughput
	if w := in.WarmThroughputMiBps; w != nil {
		if e := s.mayWarm(*w, now); e != nil {
			return nil, e
		}
		warm, n = &warmThroughput{*w, *w}, max(n, *w)
	}
	if e := s.room(in.mode(), n, now); e != nil {
		return nil, e
	}
	st := s.newStream(in, n, now)
	st.warm = warm
	s.streams[st.name] = st
	s.byNumber[st.number] = st
	return nil, nil
}

// newStream returns a stream in CREATING that is to have n shards. s.mu is
// held.
func (s *Service) newStream(in *createStreamInput, n int, now time.Time) *stream {
	s.openShards.Add(int64(n))
	s.created++
	st := &stream{
		name:          *in.StreamName,
		arn:           s.arn(*in.StreamName),
		number:        s.created,
		rates:         map[string]*bucket{},
		mode:          in.mode(),
		created:       now,
		retention:     defaultRetention,
		maxRecordSize: defaultMaxRecordSize,
		tags:          maps.Clone(in.Tags),
	}
	before := s.heritage[st.name]
	st.fanOut.stamp = before.stamp
	if in.MaxRecordSizeInKiB != nil {
		st.maxRecordSize = *in.MaxRecordSizeInKiB
	}
	if st.mode == onDemand {
		st.distribution = userPartitionKey
		if in.RecordDistributionStrategy != nil {
			st.distribution = *in.RecordDistributionStrategy
		}
	}
	st.enter(creating, s.opts.Creating, now, func(at time.Time) {
		for _, r := range shardmap.Split(n) {
			sh := st.open(r, at, nil, nil)
			sh.created = max(sh.created, before.epoch+1)
			st.epoch = max(st.epoch, sh.created)
		}
		st.route()
	})
	return st
}

// CreateStream makes a provisioned stream.
func (s *Service) CreateStream(name string, shards int) *api.Error {
	_, e := s.createStream(&createStreamInput{StreamName: &name, ShardCount: &shards})
	return e
}

// room fails if the account may not have a further stream of n shards. s.mu is
// held.
func (s *Service) room(mode string, n int, now time.Time) *api.Error {
	if e := s.shardRoom(n); e != nil {
		return e
	}
	inCreation, onDemands := s.census(now)
	if l := s.opts.Limits.CreatingStreams; l > 0 && inCreation >= l {
		return limitExceeded("More than %d streams are in the CREATING state.", l)
	}
	if mode == onDemand {
		return s.onDemandRoom(onDemands)
	}
	return nil
}

// census counts the streams in CREATING and the on-demand ones, and drops those
// whose deletion is through. s.mu is held.
func (s *Service) census(now time.Time) (inCreation, onDemands int) {
	for _, st := range s.streams {
		if st.gone(now) {
			s.drop(st)
			continue
		}
		st.mu.Lock()
		if st.status == creating {
			inCreation++
		}
		if st.mode == onDemand {
			onDemands++
		}
		st.mu.Unlock()
	}
	return inCreation, onDemands
}

// onDemandRoom fails if the account, which has n on-demand streams, may not
// have another.
func (s *Service) onDemandRoom(n int) *api.Error {
	if l := s.opts.Limits.OnDemandStreams; l > 0 && n >= l {
		return limitExceeded("The account %s has %d on-demand streams, the limit is %d.", s.opts.Identity.AccountID, n, l)
	}
	return nil
}

// shardRoom fails if the account may not have n further open shards.
func (s *Service) shardRoom(n int) *api.Error {
	have, limit := int(s.openShards.Load()), s.opts.Limits.ShardsPerAccount
	if limit <= 0 || n <= 0 || have+n <= limit {
		return nil
	}
	return limitExceeded("This request would exceed the shard limit for the account %s in %s. "+
		"Current shard count for the account: %d. Limit: %d. Number of additional shards that would have resulted from this request: %d.",
		s.opts.Identity.AccountID, s.opts.Identity.Region, have, limit, n)
}

// gone reports whether the deletion of st is through.
func (st *stream) gone(now time.Time) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.settle(now)
	return st.status == deleted
}

func (s *Service) deleteStream(in *struct {
	ref
	EnforceConsumerDeletion *bool
}) (any, *api.Error) {
	return nil, s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		enforced := in.EnforceConsumerDeletion != nil && *in.EnforceConsumerDeletion
		if n := st.consumerCount(now); n > 0 && !enforced {
			return api.Errorf("ResourceInUseException", "Stream %s under account %s has %d registered consumers; deregister them, or set EnforceConsumerDeletion.",
				st.name, s.opts.Identity.AccountID, n)
		}
		s.openShards.Add(-int64(len(st.routes.shards)))
		st.enter(deleting, s.opts.Deleting, now, nil)
		return nil
	})
}
