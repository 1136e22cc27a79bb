package stream

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// millis is a time as the service writes it: seconds with a fraction of three
// digits, from Unix milliseconds.
type millis int64

func (m millis) append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(m)/1000, 10)
	f := int64(m) % 1000
	return append(dst, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
}

func (m millis) MarshalJSON() ([]byte, error) { return m.append(nil), nil }

// toMillis reads a time in seconds, to the millisecond it lies in. Times that
// do not fit are clamped, to one that is before or after everything.
func toMillis(seconds float64) int64 {
	// A full millisecond may come as a fraction less, in binary.
	const slack = 0.001
	return int64(math.Floor(min(max(seconds*1000, -1e15), 1e15) + slack))
}

type modeDetails struct{ StreamMode string }

type hashKeyRange struct{ StartingHashKey, EndingHashKey string }

type sequenceNumberRange struct {
	StartingSequenceNumber string
	EndingSequenceNumber   string `json:",omitempty"`
}

// A shardDescription is a shard as DescribeStream and ListShards show it.
type shardDescription struct {
	ShardId               string
	ParentShardId         string `json:",omitempty"`
	AdjacentParentShardId string `json:",omitempty"`
	HashKeyRange          hashKeyRange
	SequenceNumberRange   sequenceNumberRange
}

func (sh *shard) describe() shardDescription {
	d := shardDescription{
		ShardId:             sh.id,
		HashKeyRange:        sh.hashKeyRange(),
		SequenceNumberRange: sequenceNumberRange{StartingSequenceNumber: sh.starting().String()},
	}
	if sh.parent != nil {
		d.ParentShardId = sh.parent.id
	}
	if sh.adjacent != nil {
		d.AdjacentParentShardId = sh.adjacent.id
	}
	if sh.closed != 0 {
		d.SequenceNumberRange.EndingSequenceNumber = sh.ending.String()
	}
	return d
}

func (sh *shard) hashKeyRange() hashKeyRange {
	return hashKeyRange{sh.hashes.Start.String(), sh.hashes.End.String()}
}

type describeStreamInput struct {
	ref
	Limit                 *int
	ExclusiveStartShardId *string
}

const (
	describePage = 100
	mostLimit    = 10_000
)

func (s *Service) describeStream(in *describeStreamInput) (any, *api.Error) {
	var v violations
	v.between("limit", in.Limit, 1, mostLimit)
	v.streamName("exclusiveStartShardId", in.ExclusiveStartShardId)
	if e := v.err(); e != nil {
		return nil, e
	}
	type description struct {
		StreamName, StreamARN, StreamStatus string
		StreamModeDetails                   modeDetails
		StreamCreationTimestamp             millis
		RetentionPeriodHours                int
		EncryptionType                      string
		KeyId                               string `json:",omitempty"`
		EnhancedMonitoring                  []shardMetrics
		Shards                              []shardDescription
		HasMoreShards                       bool
	}
	var d description
	e := s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		page := describePage
		if in.Limit != nil {
			page = min(*in.Limit, describePage)
		}
		d = description{
			StreamName:              st.name,
			StreamARN:               st.arn,
			StreamStatus:            st.status,
			StreamModeDetails:       modeDetails{st.mode},
			StreamCreationTimestamp: millis(st.created.UnixMilli()),
			RetentionPeriodHours:    int(st.retention / time.Hour),
			EncryptionType:          st.encryptionType(),
			KeyId:                   st.key,
			EnhancedMonitoring:      st.monitoring(),
			Shards:                  []shardDescription{},
		}
		for _, sh := range st.shards {
			if st.expired(sh, now) || in.ExclusiveStartShardId != nil && sh.id <= *in.ExclusiveStartShardId {
				continue
			}
			if len(d.Shards) == page {
				d.HasMoreShards = true
				break
			}
			d.Shards = append(d.Shards, sh.describe())
		}
		return nil
	})
	if e != nil {
		return nil, e
	}
	return struct{ StreamDescription description }{d}, nil
}

func (s *Service) describeStreamSummary(in *ref) (any, *api.Error) {
	type summary struct {
		StreamName, StreamARN, StreamStatus string
		StreamModeDetails                   modeDetails
		StreamCreationTimestamp             millis
		RetentionPeriodHours                int
		EncryptionType                      string
		KeyId                               string `json:",omitempty"`
		EnhancedMonitoring                  []shardMetrics
		OpenShardCount                      int
		ConsumerCount                       int
		MaxRecordSizeInKiB                  int
		RecordDistributionStrategy          string          `json:",omitempty"`
		WarmThroughput                      *warmThroughput `json:",omitempty"`
	}
	var d summary
	e := s.with(*in, func(st *stream, now time.Time) *api.Error {
		d = summary{
			StreamName:                 st.name,
			StreamARN:                  st.arn,
			StreamStatus:               st.status,
			StreamModeDetails:          modeDetails{st.mode},
			StreamCreationTimestamp:    millis(st.created.UnixMilli()),
			RetentionPeriodHours:       int(st.retention / time.Hour),
			EncryptionType:             st.encryptionType(),
			KeyId:                      st.key,
			WarmThroughput:             st.warm,
			EnhancedMonitoring:         st.monitoring(),
			ConsumerCount:              st.consumerCount(now),
			MaxRecordSizeInKiB:         st.maxRecordSize,
			RecordDistributionStrategy: st.distribution,
		}
		if st.routes != nil {
			d.OpenShardCount = len(st.routes.shards)
		}
		return nil
	})
	if e != nil {
		return nil, e
	}
	return struct{ StreamDescriptionSummary summary }{d}, nil
}

type listStreamsInput struct {
	ExclusiveStartStreamName *string
	Limit                    *int
	NextToken                *string
}

type streamSummary struct {
	StreamName, StreamARN, StreamStatus string
	StreamModeDetails                   modeDetails
	StreamCreationTimestamp             millis
}

type listStreamsOutput struct {
	StreamNames     []string
	StreamSummaries []streamSummary
	HasMoreStreams  bool
	NextToken       string `json:",omitempty"`
}

func (s *Service) listStreams(in *listStreamsInput) (any, *api.Error) {
	var v violations
	v.between("limit", in.Limit, 1, mostLimit)
	v.streamName("exclusiveStartStreamName", in.ExclusiveStartStreamName)
	if e := v.err(); e != nil {
		return nil, e
	}
	after := ""
	switch {
	case in.NextToken != nil: // the SDKs' paginators leave ExclusiveStartStreamName in
		t, e := s.parseToken(*in.NextToken, tokenStreams)
		if e != nil {
			return nil, e
		}
		after = t.text
	case in.ExclusiveStartStreamName != nil:
		after = *in.ExclusiveStartStreamName
	}
	page := describePage
	if in.Limit != nil {
		page = min(*in.Limit, describePage)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.streams {
		if name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := listStreamsOutput{StreamNames: []string{}, StreamSummaries: []streamSummary{}}
	now := s.now()
	for _, name := range names {
		st := s.streams[name]
		if st.gone(now) {
			continue
		}
		if n := len(out.StreamNames); n == page {
			out.HasMoreStreams = true
			out.NextToken = s.token(token{kind: tokenStreams, at: now.UnixMilli(), text: out.StreamNames[n-1]})
			break
		}
		out.StreamNames = append(out.StreamNames, name)
		out.StreamSummaries = append(out.StreamSummaries, st.summary())
	}
	return out, nil
}

func (st *stream) summary() streamSummary {
	st.mu.Lock()
	defer st.mu.Unlock()
	return streamSummary{st.name, st.arn, st.status, modeDetails{st.mode}, millis(st.created.UnixMilli())}
}
