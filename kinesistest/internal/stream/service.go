// Package stream is the Kinesis half of kinesistest: streams, shards, records
// and the operations on them. It does no I/O and starts no goroutine; whatever
// takes time (windows, retention, rates, expiry) is settled by time.Now at the
// next call that looks.
package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// Limits are the quotas of the service. A zero field is no limit.
type Limits struct {
	WriteBytesPerShard    int            // a second, keys included
	WriteRecordsPerShard  int            // a second
	ReadBytesPerShard     int            // a second
	ReadCallsPerShard     int            // GetRecords a second
	IteratorCallsPerShard int            // GetShardIterator a second
	ListShardsPerStream   int            // a second
	ControlCalls          map[string]int // a second, by operation
	RecordsPerRequest     int            // PutRecords
	BytesPerRequest       int            // PutRecords, keys included
	RecordSizes           bool           // MaxRecordSizeInKiB holds
	BytesPerPage          int            // GetRecords, keys included
	FullPagePause         time.Duration
	ShardsPerAccount      int // open ones
	ShardsPerStream       int // UpdateShardCount
	ScaleFactor           int // UpdateShardCount
	ShardCountUpdates     int // of a stream in 24 hours
	ModeSwitches          int // of a stream in 24 hours
	KeyChanges            int // of a stream in 24 hours
	CreatingStreams       int // streams at once in CREATING
	OnDemandStreams       int
	IteratorLife          time.Duration
	TokenLife             time.Duration
	ConsumersPerStream    int
	CreatingConsumers     int // consumers of a stream at once in CREATING
	FanOutBytesPerShard   int // a second, to each consumer
	FanOutCallsPerShard   int // SubscribeToShard a second, of each consumer
	SubscriptionLife      time.Duration
	SubscriptionGap       time.Duration // between two SubscribeToShard
}

// Options configure a Service.
type Options struct {
	Identity api.Identity
	Limits   Limits

	// How long a stream stays CREATING, UPDATING and DELETING. While it is
	// UPDATING, its shards are the ones before.
	Creating, Updating, Deleting time.Duration

	// How long a consumer stays CREATING and DELETING.
	ConsumerCreating, ConsumerDeleting time.Duration

	// ClockOffset is how far the service's clock is ahead of the machine's.
	ClockOffset time.Duration

	// OnDemandScaling is how long a shard of an on-demand stream takes more than
	// half of what it can before it is split; 0 never.
	OnDemandScaling time.Duration

	// KeepTrimmed keeps in memory what retention has made unreadable.
	KeepTrimmed bool

	// Appended, if not nil, is told of each run of records stored. It is called
	// with the stream locked, which is what makes its order the order of the
	// writes; it must neither wait nor call the Service.
	Appended func(Append)
}

// An Append is a run of records stored one after another in a shard.
type Append struct {
	Client          string // who put them, as Service.CallAs was told
	Stream, ShardID string
	First           string // sequence number of the first
	Count           int
	At              time.Time
}

// A Service is a region's Kinesis of one account. It is safe for concurrent use.
type Service struct {
	opts       Options
	salt       []byte       // of its tokens' checksums: identity and birth
	openShards atomic.Int64 // those of streams being made included
	requests   sync.Pool    // of *putRequest

	mu       sync.Mutex // before stream.mu, never after
	streams  map[string]*stream
	byNumber map[uint64]*stream
	created  uint64              // streams ever created
	heritage map[string]heritage // of deleted streams, by name
	rates    map[string]*bucket  // by operation, those counted by account

	commitment commitment
}

// A heritage is what a stream leaves to later ones of its name, which may come
// within the same second: what it used up of the numbers that must not come back.
type heritage struct {
	epoch int64 // stream.epoch
	stamp int64 // fanOut.stamp
}

// New returns a Service without streams.
func New(opts Options) *Service {
	opts.Limits.ControlCalls = maps.Clone(opts.Limits.ControlCalls)
	return &Service{
		opts:     opts,
		salt:     fmt.Appendf(nil, "%s %s %d", opts.Identity.AccountID, opts.Identity.Region, time.Now().UnixNano()),
		streams:  map[string]*stream{},
		byNumber: map[uint64]*stream{},
		heritage: map[string]heritage{},
		rates:    map[string]*bucket{},
		requests: sync.Pool{New: func() any { return new(putRequest) }},
	}
}

// now is the time by the service's clock.
func (s *Service) now() time.Time { return time.Now().Add(s.opts.ClockOffset) }

// A Reject decides the fate of one entry of a PutRecords, or of a PutRecord as
// entry 0, before it is applied: nil lets it pass. It is called without locks.
type Reject func(i int, shardID, partitionKey string) *api.Error

// Call is [Service.CallAs] for nobody in particular.
func (s *Service) Call(op string, body []byte, reject Reject) ([]byte, *api.Error) {
	return s.CallAs("", op, body, reject)
}

// CallAs answers one operation of a client. body is the JSON of the request, of
// which CallAs keeps nothing; the result is the JSON of the response, the
// caller's to keep, nil for an empty one. reject may be nil. CallAs does not
// wait for anything.
func (s *Service) CallAs(client, op string, body []byte, reject Reject) ([]byte, *api.Error) {
	switch op {
	case "PutRecords":
		return s.putRecords(client, body, reject)
	case "PutRecord":
		return s.putRecord(client, body, reject)
	}
	f, ok := operations[op]
	if !ok {
		return nil, api.Errorf("UnknownOperationException", "kinesistest does not implement %.100s", op)
	}
	if e := s.controlRate(op, body); e != nil {
		return nil, e
	}
	return f(s, body)
}

// operations are all but the two that write records and SubscribeToShard. Those
// on channels, which deliver to other services, have no entry.
var operations = map[string]func(*Service, []byte) ([]byte, *api.Error){
	"CreateStream":                           operation((*Service).createStream),
	"DeleteStream":                           operation((*Service).deleteStream),
	"DescribeStream":                         operation((*Service).describeStream),
	"DescribeStreamSummary":                  operation((*Service).describeStreamSummary),
	"ListStreams":                            operation((*Service).listStreams),
	"ListShards":                             operation((*Service).listShards),
	"GetShardIterator":                       operation((*Service).getShardIterator),
	"GetRecords":                             (*Service).getRecords,
	"SplitShard":                             operation((*Service).splitShard),
	"MergeShards":                            operation((*Service).mergeShards),
	"UpdateShardCount":                       operation((*Service).updateShardCount),
	"UpdateStreamMode":                       operation((*Service).updateStreamMode),
	"UpdateStreamWarmThroughput":             operation((*Service).updateStreamWarmThroughput),
	"UpdateMaxRecordSize":                    operation((*Service).updateMaxRecordSize),
	"UpdateStreamRecordDistributionStrategy": operation((*Service).updateRecordDistributionStrategy),
	"IncreaseStreamRetentionPeriod":          operation((*Service).increaseRetention),
	"DecreaseStreamRetentionPeriod":          operation((*Service).decreaseRetention),
	"StartStreamEncryption":                  operation((*Service).startEncryption),
	"StopStreamEncryption":                   operation((*Service).stopEncryption),
	"EnableEnhancedMonitoring":               operation((*Service).enableMonitoring),
	"DisableEnhancedMonitoring":              operation((*Service).disableMonitoring),
	"AddTagsToStream":                        operation((*Service).addTagsToStream),
	"RemoveTagsFromStream":                   operation((*Service).removeTagsFromStream),
	"ListTagsForStream":                      operation((*Service).listTagsForStream),
	"TagResource":                            operation((*Service).tagResource),
	"UntagResource":                          operation((*Service).untagResource),
	"ListTagsForResource":                    operation((*Service).listTagsForResource),
	"PutResourcePolicy":                      operation((*Service).putResourcePolicy),
	"GetResourcePolicy":                      operation((*Service).getResourcePolicy),
	"DeleteResourcePolicy":                   operation((*Service).deleteResourcePolicy),
	"DescribeLimits":                         operation((*Service).describeLimits),
	"DescribeAccountSettings":                operation((*Service).describeAccountSettings),
	"UpdateAccountSettings":                  operation((*Service).updateAccountSettings),
	"RegisterStreamConsumer":                 operation((*Service).registerStreamConsumer),
	"DescribeStreamConsumer":                 operation((*Service).describeStreamConsumer),
	"ListStreamConsumers":                    operation((*Service).listStreamConsumers),
	"DeregisterStreamConsumer":               operation((*Service).deregisterStreamConsumer),
}

// operation adapts a method on decoded input to JSON. A nil output is an empty
// body, as AWS sends it.
func operation[In any](f func(*Service, *In) (any, *api.Error)) func(*Service, []byte) ([]byte, *api.Error) {
	return func(s *Service, body []byte) ([]byte, *api.Error) {
		in := new(In)
		if e := decode(body, in); e != nil {
			return nil, e
		}
		out, e := f(s, in)
		if e != nil || out == nil {
			return nil, e
		}
		b, err := json.Marshal(out)
		if err != nil {
			return nil, internalFailure()
		}
		return b, nil
	}
}

// decode reads the JSON of a request into v.
func decode(body []byte, v any) *api.Error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		body = []byte("{}") // what AWS makes of it too
	}
	if body[0] != '{' {
		return serialization("the request is not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(v); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) { // without the names of our types
			return serialization(te.Field[strings.LastIndexByte(te.Field, '.')+1:] + ": unexpected " + te.Value)
		}
		return serialization(err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return serialization("there is more after the JSON object")
	}
	return nil
}

// A ref is how most requests name their stream.
type ref struct {
	StreamName *string
	StreamARN  *string
	StreamId   *string // reserved by the service: its form is checked, it names nothing
}

// name returns the name of the stream that r means, checking its form.
func (s *Service) name(r ref) (string, *api.Error) {
	var v violations
	v.streamName("streamName", r.StreamName)
	v.streamARN(r.StreamARN)
	v.streamID(r.StreamId)
	if e := v.err(); e != nil {
		return "", e
	}
	if r.StreamARN == nil {
		if r.StreamName == nil {
			return "", invalid("Missing StreamName or StreamARN in the request.")
		}
		return *r.StreamName, nil
	}
	name, account := splitARN(*r.StreamARN)
	if r.StreamName != nil && *r.StreamName != name {
		return "", invalid("StreamName %s and StreamARN %s do not name the same stream.", *r.StreamName, *r.StreamARN)
	}
	if *r.StreamARN != s.arn(name) {
		return "", notFound(name, account)
	}
	return name, nil
}

func (s *Service) arn(name string) string {
	return s.opts.Identity.ARN("kinesis", "stream/"+name)
}

// with runs f on the stream that r names, locked and settled.
func (s *Service) with(r ref, f func(st *stream, now time.Time) *api.Error) *api.Error {
	name, e := s.name(r)
	if e != nil {
		return e
	}
	s.mu.Lock()
	st := s.streams[name]
	s.mu.Unlock()
	if st == nil {
		return notFound(name, s.opts.Identity.AccountID)
	}
	return s.locked(st, f)
}

// withNumber is with for a stream known by its number.
func (s *Service) withNumber(n uint64, f func(st *stream, now time.Time) *api.Error) *api.Error {
	s.mu.Lock()
	st := s.byNumber[n]
	s.mu.Unlock()
	if st == nil {
		return api.Errorf("ResourceNotFoundException", "The stream does not exist under account %s.", s.opts.Identity.AccountID)
	}
	return s.locked(st, f)
}

func (s *Service) locked(st *stream, f func(st *stream, now time.Time) *api.Error) *api.Error {
	st.mu.Lock()
	now := s.now()
	st.settle(now)
	var e *api.Error
	if st.status == deleted {
		e = notFound(st.name, s.opts.Identity.AccountID)
	} else {
		e = f(st, now)
	}
	gone := st.status == deleted
	st.mu.Unlock()
	if gone {
		s.forget(st)
	}
	return e
}

// forget removes a stream whose deletion is through.
func (s *Service) forget(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(st)
}

// drop is forget for who holds s.mu.
func (s *Service) drop(st *stream) {
	if s.streams[st.name] == st {
		delete(s.streams, st.name)
		s.heritage[st.name] = heritage{st.epoch, st.fanOut.stamp}
	}
	delete(s.byNumber, st.number)
}

// Locate returns the stream and shard that a shard iterator of this service
// points into, "" if it is none.
func (s *Service) Locate(iterator string) (streamName, shard string) {
	it, ok := s.read(iterator, tokenIterator)
	if !ok {
		return "", ""
	}
	return s.nameOf(it.stream), shardID(it.shard)
}

// nameOf returns the name of the stream with a number, "" if it is gone.
func (s *Service) nameOf(number uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.byNumber[number]; st != nil {
		return st.name
	}
	return ""
}

// sign returns a checksum that tells the service's own tokens from others, also
// from those of a service that had its address before: their counters mean
// nothing here. It is no secret: tokens are opaque, not safe.
func (s *Service) sign(payload []byte) uint64 {
	h := fnv.New64a()
	h.Write(s.salt)
	h.Write(payload)
	return h.Sum64()
}
