package wire

import (
	"encoding/json"
	"math"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// newCBORReader returns a reader of an answer.
func newCBORReader(b []byte) *cborReader {
	r := &cborReader{b: b}
	r.strings.first = max(len(b)/4, 64)
	return r
}

func decodeGetRecordsCBOR(b []byte, out *kinesis.GetRecordsOutput) error {
	r := newCBORReader(b)
	return r.object(func(name []byte) error {
		if r.null() {
			return nil
		}
		switch string(name) {
		case "Records":
			return r.records(&out.Records)
		case "NextShardIterator":
			return r.textValue(&out.NextShardIterator)
		case "MillisBehindLatest":
			n, err := r.int(math.MinInt64, math.MaxInt64)
			out.MillisBehindLatest = &n
			return err
		case "ChildShards":
			return r.children(&out.ChildShards)
		}
		return r.skip()
	})
}

func (r *cborReader) records(out *[]types.Record) error {
	list := []types.Record{}
	var details []recordDetails
	start := r.i
	err := r.list(func() error {
		if r.elements++; r.elements > maxRecords {
			return errManyRecords
		}
		if list = room(list, start, r.i, len(r.b)); cap(details) == len(details) {
			details = make([]recordDetails, 0, cap(list)-len(list))
		}
		list = append(list, types.Record{})
		details = append(details, recordDetails{})
		if r.null() {
			return nil
		}
		return r.record(&list[len(list)-1], &details[len(details)-1])
	})
	*out = list
	return err
}

func (r *cborReader) record(rec *types.Record, d *recordDetails) error {
	return r.object(func(name []byte) (err error) {
		if r.null() {
			return nil
		}
		switch string(name) {
		case "Data":
			rec.Data, err = r.bytes(cborBytes)
		case "PartitionKey":
			rec.PartitionKey = &d.partitionKey
			d.partitionKey, err = r.text()
		case "SequenceNumber":
			rec.SequenceNumber = &d.sequenceNumber
			d.sequenceNumber, err = r.text()
		case "ApproximateArrivalTimestamp":
			rec.ApproximateArrivalTimestamp = &d.arrival
			d.arrival, err = r.time()
		case "EncryptionType":
			rec.EncryptionType, err = r.encryption()
		default:
			err = r.skip()
		}
		return err
	})
}

func decodePutRecordsCBOR(b []byte, out *kinesis.PutRecordsOutput) error {
	r := newCBORReader(b)
	return r.object(func(name []byte) (err error) {
		if r.null() {
			return nil
		}
		switch string(name) {
		case "Records":
			return r.results(&out.Records)
		case "FailedRecordCount":
			n, err := r.int(math.MinInt32, math.MaxInt32)
			failed := int32(n)
			out.FailedRecordCount = &failed
			return err
		case "EncryptionType":
			out.EncryptionType, err = r.encryption()
			return err
		}
		return r.skip()
	})
}

func (r *cborReader) results(out *[]types.PutRecordsResultEntry) error {
	list := []types.PutRecordsResultEntry{}
	var details []resultDetails
	start, shardID := r.i, ""
	err := r.list(func() error {
		if r.elements++; r.elements > maxRecords {
			return errManyRecords
		}
		if list = room(list, start, r.i, len(r.b)); cap(details) == len(details) {
			details = make([]resultDetails, 0, cap(list)-len(list))
		}
		list = append(list, types.PutRecordsResultEntry{})
		details = append(details, resultDetails{})
		if r.null() {
			return nil
		}
		return r.result(&list[len(list)-1], &details[len(details)-1], &shardID)
	})
	*out = list
	return err
}

// result reads the result of one record. shardID is that of the last one, which
// is likely to be the same.
func (r *cborReader) result(e *types.PutRecordsResultEntry, d *resultDetails, shardID *string) error {
	return r.object(func(name []byte) (err error) {
		if r.null() {
			return nil
		}
		switch string(name) {
		case "SequenceNumber":
			e.SequenceNumber = &d.sequenceNumber
			d.sequenceNumber, err = r.text()
		case "ShardId":
			b, err := r.bytes(cborText)
			if string(b) != *shardID {
				*shardID = r.strings.make(b)
			}
			e.ShardId, d.shardID = &d.shardID, *shardID
			return err
		case "ErrorCode":
			e.ErrorCode = &d.code
			d.code, err = r.text()
		case "ErrorMessage":
			e.ErrorMessage = &d.message
			d.message, err = r.text()
		default:
			err = r.skip()
		}
		return err
	})
}

func (r *cborReader) textValue(out **string) error {
	s, err := r.text()
	*out = &s
	return err
}

func (r *cborReader) encryption() (types.EncryptionType, error) {
	b, err := r.bytes(cborText)
	return types.EncryptionType(encryptionName(&r.strings, b)), err
}

// children reads the shards that follow a shard.
func (r *cborReader) children(out *[]types.ChildShard) error {
	list := []types.ChildShard{}
	err := r.list(func() error {
		if r.followers++; r.followers > maxChildren {
			return errManyChildren
		}
		list = append(list, types.ChildShard{})
		if r.null() {
			return nil
		}
		return r.child(&list[len(list)-1])
	})
	*out = list
	return err
}

func (r *cborReader) child(c *types.ChildShard) error {
	return r.object(func(name []byte) error {
		if r.null() {
			return nil
		}
		switch string(name) {
		case "ShardId":
			return r.textValue(&c.ShardId)
		case "ParentShards":
			return r.parents(&c.ParentShards)
		case "HashKeyRange":
			keys := &types.HashKeyRange{}
			c.HashKeyRange = keys
			return r.object(func(name []byte) error {
				if r.null() {
					return nil
				}
				switch string(name) {
				case "StartingHashKey":
					return r.textValue(&keys.StartingHashKey)
				case "EndingHashKey":
					return r.textValue(&keys.EndingHashKey)
				}
				return r.skip()
			})
		}
		return r.skip()
	})
}

// parents reads shard ids.
func (r *cborReader) parents(out *[]string) error {
	list := []string{}
	err := r.list(func() error {
		if r.followers++; r.followers > maxChildren {
			return errManyChildren
		}
		if r.null() {
			list = append(list, "")
			return nil
		}
		s, err := r.text()
		list = append(list, s)
		return err
	})
	*out = list
	return err
}

// errorJSON returns the JSON of an error in CBOR: what the SDK makes an error of.
func errorJSON(b []byte) ([]byte, error) {
	r := newCBORReader(b)
	members := map[string]string{}
	err := r.object(func(name []byte) error {
		if r.null() {
			return nil
		}
		switch string(name) {
		case "__type", "message", "Message":
			key := string(name)
			s, err := r.text()
			members[key] = s
			return err
		}
		return r.skip()
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(members)
}
