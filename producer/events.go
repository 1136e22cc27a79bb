package producer

import "time"

// Events are functions told what a Producer does. Each may be nil, which costs
// nothing. They run on goroutines of the Producer, several at a time, without
// locks; each says which. One that panics is treated like a callback that does.
type Events struct {
	// Request is called after each PutRecords call, before the results of its
	// records are settled. It runs on the goroutine of the call, and while it
	// does the call counts as under way.
	Request func(RequestInfo)

	// Entry is called for each Kinesis record in a call that was answered, after
	// Request and on the same goroutine.
	Entry func(EntryInfo)

	// Stream is called after each look at the stream, on the goroutine of that
	// look.
	Stream func(StreamInfo)

	// Failed is called for each accepted record whose Outcome is not Stored, after
	// its own callback and on the goroutine of the callbacks, whose rules it
	// shares (see [Producer.PutAsync]). It sees those that were put without a
	// callback, those of a Put whose context ended, and all others.
	Failed func(Result)
}

// A RequestInfo describes one PutRecords call.
type RequestInfo struct {
	Start    time.Time
	Duration time.Duration

	Records     int // Kinesis records in it
	UserRecords int // records that were put, packed in them
	Bytes       int // data and partition keys

	// Failed is how many Kinesis records were not stored, Throttled how many of
	// them because their shard was out of throughput.
	Failed, Throttled int

	// Err is why the call as a whole failed, nil if it was answered.
	Err error
}

// An EntryInfo describes a Kinesis record in a PutRecords call that was
// answered.
type EntryInfo struct {
	// Predicted is the shard that the producer took the record for, and whose
	// pace it was charged to; empty if it knew no shards.
	Predicted string

	// ShardID and SequenceNumber are where the record was stored, empty if it was
	// not.
	ShardID, SequenceNumber string

	// Code and Message are why the record was not stored, in the service's words.
	// Code is empty if it was.
	Code, Message string

	UserRecords int           // records that were put, packed in it
	Bytes       int           // data and partition key
	Attempt     int           // counted from 1
	Buffered    time.Duration // from the first of its Puts to the start of the call
}

// A StreamInfo describes the stream as a look at it has found it.
type StreamInfo struct {
	Shards         int  // open ones
	Auto           bool // its RecordDistributionStrategy is AUTO
	MaxRecordBytes int  // its MaxRecordSizeInKiB in bytes

	// Err is why the shards could not be listed, DescribeErr why the rest is not
	// known. What could not be learnt stays as it was.
	Err, DescribeErr error
}
