package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const (
	// maxRecords bounds the records of an answer: the limit of GetRecords, and
	// twenty times that of PutRecords.
	maxRecords = 10_000

	// maxChildren bounds the shards that follow a shard, and their parents. There
	// are two at most.
	maxChildren = 1_000
)

var (
	errManyRecords  = fmt.Errorf("wire: the answer has more than %d records", maxRecords)
	errManyChildren = fmt.Errorf("wire: more than %d shards follow a shard", maxChildren)
)

// A reader takes an answer in one of the formats apart, from its beginning to its
// end. What it finds wrong is its state's: it then returns the zero value, and
// finds no element and no member any more.
type reader interface {
	state() *source

	// object and list enter what the reader stands before. member goes to the value
	// of the next member, next to the next element; where there is none they leave
	// it and report false. A member that is null is passed over, and an element
	// that is null is told by null, which reads it. A name is good until a value is
	// read.
	object()
	list()
	member() (name []byte, ok bool)
	next() bool
	null() bool

	// chars returns text as it is good until something else is read, text as it
	// stays. blob returns memory that is nobody else's.
	chars() []byte
	text() string
	blob() []byte
	int(lowest, highest int64) int64
	time() time.Time

	// skip passes over a value of any kind.
	skip()
}

func newReader(cbor bool, s source) reader {
	s.strings.first = int(min(max(s.left()/4, 64), arenaBytes))
	if cbor {
		return &cborReader{source: s}
	}
	return &jsonReader{source: s}
}

func decodeGetRecords(r reader, out *kinesis.GetRecordsOutput) {
	r.object()
	for name, ok := r.member(); ok; name, ok = r.member() {
		switch string(name) {
		case "Records":
			out.Records = records(r)
		case "NextShardIterator":
			out.NextShardIterator = textValue(r)
		case "MillisBehindLatest":
			out.MillisBehindLatest = intValue(r)
		case "ChildShards":
			out.ChildShards = children(r)
		default:
			r.skip()
		}
	}
}

func decodeEvent(r reader, out *types.SubscribeToShardEvent) {
	r.object()
	for name, ok := r.member(); ok; name, ok = r.member() {
		switch string(name) {
		case "Records":
			out.Records = records(r)
		case "ContinuationSequenceNumber":
			out.ContinuationSequenceNumber = textValue(r)
		case "MillisBehindLatest":
			out.MillisBehindLatest = intValue(r)
		case "ChildShards":
			out.ChildShards = children(r)
		default:
			r.skip()
		}
	}
}

func decodePutRecords(r reader, out *kinesis.PutRecordsOutput) {
	r.object()
	for name, ok := r.member(); ok; name, ok = r.member() {
		switch string(name) {
		case "Records":
			out.Records = results(r)
		case "FailedRecordCount":
			failed := int32(r.int(math.MinInt32, math.MaxInt32))
			out.FailedRecordCount = &failed
		case "EncryptionType":
			out.EncryptionType = encryption(r)
		default:
			r.skip()
		}
	}
}

// A recordDetails is what the fields of a types.Record point to.
type recordDetails struct {
	sequenceNumber, partitionKey string
	arrival                      time.Time
}

func records(r reader) []types.Record {
	list := []types.Record{}
	var details []recordDetails
	r.list()
	for s, start := r.state(), r.state().at(); r.next(); {
		if list = room(list, s, start); cap(details) == len(details) {
			details = make([]recordDetails, 0, cap(list)-len(list))
		}
		list, details = list[:len(list)+1], details[:len(details)+1]
		if s.elements++; s.elements > maxRecords {
			s.fail(errManyRecords)
		} else if !r.null() {
			record(r, &list[len(list)-1], &details[len(details)-1])
		}
	}
	return list
}

// room returns list, of elements from start on, with room for one more: those
// read so far tell how many there are.
func room[T any](list []T, s *source, start int64) []T {
	if len(list) < cap(list) {
		return list
	}
	n := max(len(list), 1)
	if done := int64(len(list)); done > 0 && s.length >= 0 {
		n = int(min(s.left()/max((s.at()-start)/done, 1)+1, maxRecords))
	}
	grown := make([]T, len(list), len(list)+n)
	copy(grown, list)
	return grown
}

func record(r reader, rec *types.Record, d *recordDetails) {
	r.object()
	for name, ok := r.member(); ok; name, ok = r.member() {
		switch string(name) {
		case "Data":
			rec.Data = r.blob()
		case "PartitionKey":
			rec.PartitionKey = &d.partitionKey
			d.partitionKey = r.text()
		case "SequenceNumber":
			rec.SequenceNumber = &d.sequenceNumber
			d.sequenceNumber = r.text()
		case "ApproximateArrivalTimestamp":
			rec.ApproximateArrivalTimestamp = &d.arrival
			d.arrival = r.time()
		case "EncryptionType":
			rec.EncryptionType = encryption(r)
		default:
			r.skip()
		}
	}
}

// A resultDetails is what the fields of a types.PutRecordsResultEntry point to.
type resultDetails struct{ sequenceNumber, shardID, code, message string }

func results(r reader) []types.PutRecordsResultEntry {
	list := []types.PutRecordsResultEntry{}
	var details []resultDetails
	shardID := ""
	r.list()
	for s, start := r.state(), r.state().at(); r.next(); {
		if list = room(list, s, start); cap(details) == len(details) {
			details = make([]resultDetails, 0, cap(list)-len(list))
		}
		list, details = list[:len(list)+1], details[:len(details)+1]
		if s.elements++; s.elements > maxRecords {
			s.fail(errManyRecords)
		} else if !r.null() {
			result(r, &list[len(list)-1], &details[len(details)-1], &shardID)
		}
	}
	return list
}

// result reads the result of one record. shardID is that of the last one, which
// is likely to be the same.
func result(r reader, e *types.PutRecordsResultEntry, d *resultDetails, shardID *string) {
	r.object()
	for name, ok := r.member(); ok; name, ok = r.member() {
		switch string(name) {
		case "SequenceNumber":
			e.SequenceNumber = &d.sequenceNumber
			d.sequenceNumber = r.text()
		case "ShardId":
			if b := r.chars(); string(b) != *shardID {
				*shardID = r.state().strings.make(b)
			}
			e.ShardId, d.shardID = &d.shardID, *shardID
		case "ErrorCode":
			e.ErrorCode = &d.code
			d.code = r.text()
		case "ErrorMessage":
			e.ErrorMessage = &d.message
			d.message = r.text()
		default:
			r.skip()
		}
	}
}

func textValue(r reader) *string {
	s := r.text()
	return &s
}

func intValue(r reader) *int64 {
	n := r.int(math.MinInt64, math.MaxInt64)
	return &n
}

// encryption reads the type of an encryption, without making a string of the
// usual.
func encryption(r reader) types.EncryptionType {
	b := r.chars()
	for _, t := range []types.EncryptionType{types.EncryptionTypeNone, types.EncryptionTypeKms} {
		if string(b) == string(t) {
			return t
		}
	}
	return types.EncryptionType(r.state().strings.make(b))
}

// follow counts a shard that follows a shard, or a parent of one.
func follow(s *source) bool {
	if s.followers++; s.followers > maxChildren {
		s.fail(errManyChildren)
	}
	return s.err == nil
}

// children reads the shards that follow a shard.
func children(r reader) []types.ChildShard {
	list := []types.ChildShard{}
	r.list()
	for r.next() && follow(r.state()) {
		list = append(list, types.ChildShard{})
		if !r.null() {
			child(r, &list[len(list)-1])
		}
	}
	return list
}

func child(r reader, c *types.ChildShard) {
	r.object()
	for name, ok := r.member(); ok; name, ok = r.member() {
		switch string(name) {
		case "ShardId":
			c.ShardId = textValue(r)
		case "ParentShards":
			c.ParentShards = parents(r)
		case "HashKeyRange":
			c.HashKeyRange = hashKeyRange(r)
		default:
			r.skip()
		}
	}
}

// parents reads shard ids.
func parents(r reader) []string {
	list := []string{}
	r.list()
	for r.next() && follow(r.state()) {
		list = append(list, "")
		if !r.null() {
			list[len(list)-1] = r.text()
		}
	}
	return list
}

func hashKeyRange(r reader) *types.HashKeyRange {
	keys := &types.HashKeyRange{}
	r.object()
	for name, ok := r.member(); ok; name, ok = r.member() {
		switch string(name) {
		case "StartingHashKey":
			keys.StartingHashKey = textValue(r)
		case "EndingHashKey":
			keys.EndingHashKey = textValue(r)
		default:
			r.skip()
		}
	}
	return keys
}

// errorJSON returns the JSON of an error in CBOR: what the SDK makes an error of.
func errorJSON(b []byte) ([]byte, error) {
	r := newReader(true, whole(b))
	members := map[string]string{}
	r.object()
	for name, ok := r.member(); ok; name, ok = r.member() {
		switch key := string(name); key {
		case "__type", "message", "Message":
			members[key] = r.text()
		default:
			r.skip()
		}
	}
	if err := r.state().err; err != nil {
		return nil, err
	}
	return json.Marshal(members)
}
