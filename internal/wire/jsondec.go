package wire

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	smithytime "github.com/aws/smithy-go/time"
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

// counts are of the things in an answer that take more memory than text, all of
// them together, so that naming a list twice is of no avail.
type counts struct {
	elements  int // records, or results of records
	followers int // shards that follow a shard, and their parents
}

// newJSONReader returns a reader of an answer.
func newJSONReader(b []byte) *jsonReader {
	r := &jsonReader{b: b}
	r.strings.first = max(len(b)/4, 64)
	return r
}

// value calls read unless there is a null, which stands for no value.
func (r *jsonReader) value(read func() error) error {
	if null, err := r.null(); null || err != nil {
		return err
	}
	return read()
}

func decodeGetRecordsJSON(b []byte, out *kinesis.GetRecordsOutput) error {
	r := newJSONReader(b)
	return r.object(func(name []byte) error {
		switch string(name) {
		case "Records":
			return r.value(func() error { return r.records(&out.Records) })
		case "NextShardIterator":
			return r.textValue(&out.NextShardIterator)
		case "MillisBehindLatest":
			return r.intValue(&out.MillisBehindLatest)
		case "ChildShards":
			return r.value(func() error { return r.children(&out.ChildShards) })
		}
		return r.skip()
	})
}

func decodeEventJSON(b []byte, out *types.SubscribeToShardEvent) error {
	r := newJSONReader(b)
	return r.object(func(name []byte) error {
		switch string(name) {
		case "Records":
			return r.value(func() error { return r.records(&out.Records) })
		case "ContinuationSequenceNumber":
			return r.textValue(&out.ContinuationSequenceNumber)
		case "MillisBehindLatest":
			return r.intValue(&out.MillisBehindLatest)
		case "ChildShards":
			return r.value(func() error { return r.children(&out.ChildShards) })
		}
		return r.skip()
	})
}

// A recordDetails is what the fields of a types.Record point to.
type recordDetails struct {
	sequenceNumber, partitionKey string
	arrival                      time.Time
}

// room returns list with room for one more of the elements that an answer of
// size bytes has. start is where the list begins and i where the next element
// does: the elements read so far tell how many there are.
func room[T any](list []T, start, i, size int) []T {
	if len(list) < cap(list) {
		return list
	}
	n := 1
	if done := len(list); done > 0 {
		n = min((size-i)/max((i-start)/done, 1)+1, maxRecords)
	}
	grown := make([]T, len(list), len(list)+n)
	copy(grown, list)
	return grown
}

func (r *jsonReader) records(out *[]types.Record) error {
	list := []types.Record{}
	var details []recordDetails
	start := r.i
	err := r.list(func() error {
		if r.elements++; r.elements > maxRecords {
			return errManyRecords
		}
		r.peek()
		if list = room(list, start, r.i, len(r.b)); cap(details) == len(details) {
			details = make([]recordDetails, 0, cap(list)-len(list))
		}
		list = append(list, types.Record{})
		details = append(details, recordDetails{})
		rec, d := &list[len(list)-1], &details[len(details)-1]
		return r.value(func() error { return r.record(rec, d) })
	})
	*out = list
	return err
}

func (r *jsonReader) record(rec *types.Record, d *recordDetails) error {
	return r.object(func(name []byte) error {
		switch string(name) {
		case "Data", "PartitionKey", "SequenceNumber", "ApproximateArrivalTimestamp", "EncryptionType":
		default:
			return r.skip()
		}
		if null, err := r.null(); null || err != nil {
			return err
		}
		var err error
		switch name[0] {
		case 'D':
			rec.Data, err = r.blob()
		case 'P':
			rec.PartitionKey = &d.partitionKey
			d.partitionKey, err = r.text()
		case 'S':
			rec.SequenceNumber = &d.sequenceNumber
			d.sequenceNumber, err = r.text()
		case 'A':
			rec.ApproximateArrivalTimestamp = &d.arrival
			d.arrival, err = r.time()
		case 'E':
			rec.EncryptionType, err = r.encryption()
		}
		return err
	})
}

func decodePutRecordsJSON(b []byte, out *kinesis.PutRecordsOutput) error {
	r := newJSONReader(b)
	return r.object(func(name []byte) error {
		switch string(name) {
		case "Records":
			return r.value(func() error { return r.results(&out.Records) })
		case "FailedRecordCount":
			return r.value(func() error {
				n, err := r.int(math.MinInt32, math.MaxInt32)
				failed := int32(n)
				out.FailedRecordCount = &failed
				return err
			})
		case "EncryptionType":
			return r.value(func() (err error) {
				out.EncryptionType, err = r.encryption()
				return err
			})
		}
		return r.skip()
	})
}

// A resultDetails is what the fields of a types.PutRecordsResultEntry point to.
type resultDetails struct{ sequenceNumber, shardID, code, message string }

func (r *jsonReader) results(out *[]types.PutRecordsResultEntry) error {
	list := []types.PutRecordsResultEntry{}
	var details []resultDetails
	start, shardID := r.i, ""
	err := r.list(func() error {
		if r.elements++; r.elements > maxRecords {
			return errManyRecords
		}
		r.peek()
		if list = room(list, start, r.i, len(r.b)); cap(details) == len(details) {
			details = make([]resultDetails, 0, cap(list)-len(list))
		}
		list = append(list, types.PutRecordsResultEntry{})
		details = append(details, resultDetails{})
		e, d := &list[len(list)-1], &details[len(details)-1]
		return r.value(func() error { return r.result(e, d, &shardID) })
	})
	*out = list
	return err
}

// result reads the result of one record. shardID is that of the last one, which
// is likely to be the same.
func (r *jsonReader) result(e *types.PutRecordsResultEntry, d *resultDetails, shardID *string) error {
	return r.object(func(name []byte) error {
		var field **string
		var value *string
		switch string(name) {
		case "SequenceNumber":
			field, value = &e.SequenceNumber, &d.sequenceNumber
		case "ShardId":
			field, value = &e.ShardId, &d.shardID
		case "ErrorCode":
			field, value = &e.ErrorCode, &d.code
		case "ErrorMessage":
			field, value = &e.ErrorMessage, &d.message
		default:
			return r.skip()
		}
		if null, err := r.null(); null || err != nil {
			return err
		}
		*field = value
		if value != &d.shardID {
			var err error
			*value, err = r.text()
			return err
		}
		b, s, err := r.chars()
		if b != nil {
			if s = *shardID; s != string(b) {
				s = r.strings.make(b)
			}
		}
		*value, *shardID = s, s
		return err
	})
}

func (r *jsonReader) textValue(out **string) error {
	return r.value(func() error {
		s, err := r.text()
		*out = &s
		return err
	})
}

func (r *jsonReader) intValue(out **int64) error {
	return r.value(func() error {
		n, err := r.int(math.MinInt64, math.MaxInt64)
		*out = &n
		return err
	})
}

func (r *jsonReader) int(lowest, highest int64) (int64, error) {
	b, err := r.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("wire: number %.40s: %w", b, err)
	}
	if n < lowest || n > highest {
		return 0, fmt.Errorf("wire: number %d, want one from %d to %d", n, lowest, highest)
	}
	return n, nil
}

// encryption reads the type of an encryption.
func (r *jsonReader) encryption() (types.EncryptionType, error) {
	b, s, err := r.chars()
	if b != nil {
		s = encryptionName(&r.strings, b)
	}
	return types.EncryptionType(s), err
}

// encryptionName returns b as a string, without making one of the usual.
func encryptionName(a *arena, b []byte) string {
	for _, t := range []types.EncryptionType{types.EncryptionTypeNone, types.EncryptionTypeKms} {
		if string(b) == string(t) {
			return string(t)
		}
	}
	return a.make(b)
}

// time reads a time in seconds since 1970, with a fraction, as the SDK does: to
// the millisecond below its nearest floating-point number.
func (r *jsonReader) time() (time.Time, error) {
	if r.peek() == '"' {
		s, err := r.text()
		switch {
		case err != nil:
			return time.Time{}, err
		case strings.EqualFold(s, "Infinity"):
			return smithytime.ParseEpochSeconds(math.Inf(1)), nil
		case strings.EqualFold(s, "-Infinity"):
			return smithytime.ParseEpochSeconds(math.Inf(-1)), nil
		}
		return time.Time{}, fmt.Errorf("wire: time %.40q", s)
	}
	b, err := r.number()
	if err != nil {
		return time.Time{}, err
	}
	seconds, ok := exactFloat(b)
	if !ok {
		if seconds, err = strconv.ParseFloat(string(b), 64); err != nil {
			return time.Time{}, fmt.Errorf("wire: time %.40s: %w", b, err)
		}
	}
	if millis := seconds * 1e3; math.Abs(millis) < math.MaxInt64/1e6 {
		return time.UnixMilli(int64(millis)).UTC(), nil
	}
	return smithytime.ParseEpochSeconds(seconds), nil
}

// powers are those of ten that can be, with fifteen digits, a divisor.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// exactFloat returns the floating-point number nearest to b, if that takes no
// more than a division: for up to fifteen digits with a point among them.
func exactFloat(b []byte) (float64, bool) {
	if len(b) > 16 {
		return 0, false
	}
	digits, places := uint64(0), 0
	for i, c := range b {
		switch {
		case c-'0' < 10:
			digits = digits*10 + uint64(c-'0')
		case c == '.':
			places = len(b) - 1 - i
		default:
			return 0, false
		}
	}
	return float64(digits) / powers[places], digits < 1e15
}

// children reads the shards that follow a shard.
func (r *jsonReader) children(out *[]types.ChildShard) error {
	list := []types.ChildShard{}
	err := r.list(func() error {
		if r.followers++; r.followers > maxChildren {
			return errManyChildren
		}
		list = append(list, types.ChildShard{})
		return r.value(func() error { return r.child(&list[len(list)-1]) })
	})
	*out = list
	return err
}

func (r *jsonReader) child(c *types.ChildShard) error {
	return r.object(func(name []byte) error {
		switch string(name) {
		case "ShardId":
			return r.textValue(&c.ShardId)
		case "ParentShards":
			return r.value(func() error { return r.parents(&c.ParentShards) })
		case "HashKeyRange":
			return r.value(func() error {
				keys := &types.HashKeyRange{}
				c.HashKeyRange = keys
				return r.object(func(name []byte) error {
					switch string(name) {
					case "StartingHashKey":
						return r.textValue(&keys.StartingHashKey)
					case "EndingHashKey":
						return r.textValue(&keys.EndingHashKey)
					}
					return r.skip()
				})
			})
		}
		return r.skip()
	})
}

// parents reads shard ids.
func (r *jsonReader) parents(out *[]string) error {
	list := []string{}
	err := r.list(func() error {
		if r.followers++; r.followers > maxChildren {
			return errManyChildren
		}
		list = append(list, "")
		return r.value(func() (err error) {
			list[len(list)-1], err = r.text()
			return err
		})
	})
	*out = list
	return err
}
