package stream

import (
	"maps"
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
	if m := in.mode(); m != provisioned && m != onDemand {
		v.add(m, "streamModeDetails.streamMode", "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]")
	}
	if d := in.RecordDistributionStrategy; d != nil && *d != auto && *d != userPartitionKey {
		v.add(*d, "recordDistributionStrategy", "Member must satisfy enum value set: [AUTO, USER_PARTITION_KEY]")
	}
	if e := v.err(); e != nil {
		return e
	}
	switch {
	case in.mode() == provisioned && in.ShardCount == nil:
		return api.Errorf("ValidationException", "ShardCount must be specified for a stream in PROVISIONED mode.")
	case in.mode() == onDemand && in.ShardCount != nil:
		return api.Errorf("ValidationException", "ShardCount must not be specified for a stream in ON_DEMAND mode.")
	case in.mode() == provisioned && in.RecordDistributionStrategy != nil && *in.RecordDistributionStrategy == auto:
		return api.Errorf("ValidationException", "RecordDistributionStrategy AUTO needs a stream in ON_DEMAND mode.")
	case len(in.Tags) > 50:
		return invalid("A stream has at most 50 tags, not %d.", len(in.Tags))
	}
	return nil
}

func (s *Service) createStream(in *createStreamInput) (any, *api.Error) {
	if e := in.check(); e != nil {
		return nil, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
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
	if e := s.room(in.mode(), n, now); e != nil {
		return nil, e
	}
	s.openShards.Add(int64(n))
	s.created++
	st := &stream{
		name:          *in.StreamName,
		arn:           s.arn(*in.StreamName),
		number:        s.created,
		mode:          in.mode(),
		created:       now,
		retention:     defaultRetention,
		maxRecordSize: defaultMaxRecordSize,
		tags:          maps.Clone(in.Tags),
	}
	if in.MaxRecordSizeInKiB != nil {
		st.maxRecordSize = *in.MaxRecordSizeInKiB
	}
	if st.mode == onDemand {
		st.distribution = userPartitionKey
		if in.RecordDistributionStrategy != nil {
			st.distribution = *in.RecordDistributionStrategy
		}
	}
	// Numbers of a stream of the same name that is gone must not come back.
	epoch := s.epochs[st.name]
	st.enter(creating, s.opts.Creating, now, func(at time.Time) {
		for _, r := range shardmap.Split(n) {
			sh := st.open(r, at, nil, nil)
			sh.created = max(sh.created, epoch+1)
			st.epoch = max(st.epoch, sh.created)
		}
		st.route()
	})
	s.streams[st.name] = st
	s.byNumber[st.number] = st
	return nil, nil
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
	l := &s.opts.Limits
	inCreation, onDemands := 0, 0
	for _, st := range s.streams {
		st.mu.Lock()
		st.settle(now)
		if st.status == creating {
			inCreation++
		}
		if st.mode == onDemand && st.status != deleted {
			onDemands++
		}
		st.mu.Unlock()
	}
	if l.CreatingStreams > 0 && inCreation >= l.CreatingStreams {
		return api.Errorf("LimitExceededException", "More than %d streams are in the CREATING state.", l.CreatingStreams)
	}
	if mode == onDemand && l.OnDemandStreams > 0 && onDemands >= l.OnDemandStreams {
		return api.Errorf("LimitExceededException", "The account %s has %d on-demand streams, the limit is %d.",
			s.opts.Identity.AccountID, onDemands, l.OnDemandStreams)
	}
	return nil
}

// shardRoom fails if the account may not have n further open shards.
func (s *Service) shardRoom(n int) *api.Error {
	have, limit := int(s.openShards.Load()), s.opts.Limits.ShardsPerAccount
	if limit <= 0 || have+n <= limit {
		return nil
	}
	return api.Errorf("LimitExceededException", "This request would exceed the shard limit for the account %s in %s. "+
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
		s.openShards.Add(-int64(len(st.routes.shards)))
		st.enter(deleting, s.opts.Deleting, now, nil)
		return nil
	})
}
