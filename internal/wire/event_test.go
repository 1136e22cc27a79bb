package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// message returns a message with headers of text, name and value in turns.
func message(payload string, headers ...string) []byte {
	b := append([]byte(nil), make([]byte, preludeBytes)...)
	for i := 0; i < len(headers); i += 2 {
		b = append(b, byte(len(headers[i])))
		b = append(append(b, headers[i]...), headerString)
		b = binary.BigEndian.AppendUint16(b, uint16(len(headers[i+1])))
		b = append(b, headers[i+1]...)
	}
	n := len(b) - preludeBytes
	b = append(b, payload...)
	return sealMessage(b, uint32(len(b)+crcBytes), uint32(n))
}

// sealMessage fills in lengths and checksums.
func sealMessage(b []byte, size, headers uint32) []byte {
	binary.BigEndian.PutUint32(b, size)
	binary.BigEndian.PutUint32(b[4:], headers)
	binary.BigEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[:8]))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func eventMessage(payload string) []byte {
	return message(payload, ":event-type", "SubscribeToShardEvent", ":content-type", "application/json", ":message-type", "event")
}

func sdkProtocol() *awsjson.Protocol { return awsjson.New11(schemas.Kinesis_20131202) }

// nextEvent reads one event. Where the SDK panics it counts as refusing.
func nextEvent(p interface {
	DeserializeEventMessage(*smithy.Schema, *smithy.TypeRegistry, io.Reader) (smithy.Deserializable, error)
}, r io.Reader) (event smithy.Deserializable, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return p.DeserializeEventMessage(schemas.SubscribeToShardEventStream, kinesis.TypeRegistry, r)
}

var messages = map[string][]byte{
	"event":               eventMessage(`{"ContinuationSequenceNumber":"5","MillisBehindLatest":7,"Records":[{"Data":"aGVsbG8=","PartitionKey":"k","SequenceNumber":"5","ApproximateArrivalTimestamp":1.5}]}`),
	"end of a shard":      eventMessage(answers[len(answers)-15]),
	"heartbeat":           eventMessage(`{"ContinuationSequenceNumber":"5","MillisBehindLatest":0,"Records":[]}`),
	"empty":               eventMessage(``),
	"not JSON":            eventMessage(`{`),
	"unknown event":       message(`{}`, ":event-type", "Other", ":message-type", "event"),
	"event without type":  message(`{}`, ":message-type", "event"),
	"no headers":          message(`{}`),
	"typed twice":         message(`{}`, ":event-type", "Other", ":event-type", "SubscribeToShardEvent", ":message-type", "event"),
	"exception":           message(`{"message":"gone"}`, ":exception-type", "ResourceNotFoundException", ":message-type", "exception"),
	"unknown exception":   message(`{"message":"odd"}`, ":exception-type", "OddException", ":message-type", "exception"),
	"error":               message(``, ":error-code", "Code", ":error-message", "Message", ":message-type", "error"),
	"unknown message":     message(``, ":message-type", "other"),
	"headers of no shape": sealMessage(append(make([]byte, preludeBytes), "\x09garbage"...), preludeBytes+8+crcBytes, 8),
}

func TestEventsDecodeAsWithTheSDK(t *testing.T) {
	t.Parallel()
	for name, m := range messages {
		got, ours := nextEvent(&eventProtocol{sdkProtocol(), New(JSON)}, bytes.NewReader(m))
		want, theirs := nextEvent(sdkProtocol(), bytes.NewReader(m))
		if (ours == nil) != (theirs == nil) {
			t.Errorf("%s: error %v, the SDK says %v", name, ours, theirs)
		}
		if ours == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s (-SDK +ours):\n%s", name, cmp.Diff(want, got, sameOutput))
		}
		if api := smithy.APIError(nil); errors.As(theirs, &api) && ours.Error() != theirs.Error() {
			t.Errorf("%s: error %v, the SDK says %v", name, ours, theirs)
		}
	}
}

// A byte that changed on its way is noticed, wherever it is, and no length is
// believed that its checksum does not vouch for.
func TestDamagedEventsAreRefused(t *testing.T) {
	t.Parallel()
	whole := messages["event"]
	for i := range whole {
		m := bytes.Clone(whole)
		m[i] ^= 0x41
		if e, err := nextEvent(&eventProtocol{sdkProtocol(), New(JSON)}, bytes.NewReader(m)); err == nil {
			t.Errorf("byte %d was changed and decoded as %+v", i, e)
		}
	}
	for _, lengths := range [][2]uint32{{0, 0}, {15, 0}, {16, 1}, {1 << 31, 0}, {64<<20 + 1, 0}, {100, 1 << 30}} {
		m := sealMessage(make([]byte, preludeBytes), lengths[0], lengths[1])
		if _, err := nextEvent(&eventProtocol{sdkProtocol(), New(JSON)}, bytes.NewReader(m)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("lengths %v: error %v, want one about them", lengths, err)
		}
	}
}

// The end of a stream is its end only between events.
func TestEventStreamThatIsCut(t *testing.T) {
	t.Parallel()
	whole := messages["event"]
	for n := range whole {
		_, err := nextEvent(&eventProtocol{sdkProtocol(), New(JSON)}, bytes.NewReader(whole[:n]))
		if n == 0 && err != io.EOF {
			t.Errorf("at the end: %v, want io.EOF", err)
		}
		if n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v, want io.ErrUnexpectedEOF", n, err)
		}
	}
}

// A stream that begins with an error ends with that one.
func TestInitialResponse(t *testing.T) {
	t.Parallel()
	p := &eventProtocol{sdkProtocol(), New(JSON)}
	begin := func(m []byte) error {
		return p.DeserializeInitialResponse(schemas.SubscribeToShardOutput, bytes.NewReader(m), &kinesis.SubscribeToShardOutput{})
	}
	if err := begin(message(`{}`, ":event-type", "initial-response", ":message-type", "event")); err != nil {
		t.Error(err)
	}
	var gone *types.ResourceNotFoundException
	if err := begin(messages["exception"]); !errors.As(err, &gone) {
		t.Errorf("%v, want a ResourceNotFoundException", err)
	}
	if err := begin(messages["event"]); err == nil {
		t.Error("an event was taken for the initial response")
	}
}

// Whatever an answer says, decoding it takes at most three times its length and
// what the bounds on numbers of things allow.
func TestHostileAnswersTakeBoundedMemory(t *testing.T) {
	const size = 2 << 20
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (size-len(before)-len(after))/len(unit)) + after
	}
	bodies := map[string]string{
		"records":          fill(`{"Records":[{}`, `,{}`, `]}`),
		"nulls":            fill(`{"Records":[null`, `,null`, `]}`),
		"lists of records": fill(`{"a":1`, `,"Records":[{}]`, `}`),
		"children":         fill(`{"ChildShards":[{}`, `,{}`, `]}`),
		"parents":          fill(`{"ChildShards":[{"ParentShards":["a"`, `,"a"`, `]}]}`),
		"unknown members":  fill(`{"a":1`, `,"b":[{},[]]`, `}`),
		"deep":             fill(``, `{"a":[`, ``),
		"a long key":       fill(`{"Records":[{"PartitionKey":"`, `k`, `"}]}`),
		"an escaped key":   fill(`{"Records":[{"PartitionKey":"`, `\n`, `"}]}`),
		"escaped data":     fill(`{"Records":[{"Data":"`, `\u0041\u0042\u0043\u0044`, `"}]}`),
		"iterators":        fill(`{"a":1`, `,"NextShardIterator":"aaaaaaaaaaaaaaaa"`, `}`),
		"CBOR records":     fill("\xa1\x67Records\x9f", "\xa0", "\xff"),
		"CBOR deep":        fill("\xa1\x61a", "\x81", ""),
		"CBOR tags":        fill("\xa1\x61a", "\xc1", ""),
		"CBOR pieces":      fill("\xa1\x67Records\x81\xa1\x64Data\x5f", "\x41a", "\xff"),
		"CBOR long count":  fill("\xa1\x67Records\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "\xa0", ""),
	}
	for name, body := range bodies {
		for kind, decode := range map[string]func(reader){
			"get": func(r reader) { decodeGetRecords(r, &kinesis.GetRecordsOutput{}) },
			"put": func(r reader) { decodePutRecords(r, &kinesis.PutRecordsOutput{}) },
		} {
			r := newReader(strings.HasPrefix(name, "CBOR"), newSource(nil, strings.NewReader(body), size, maxBodyBytes))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			decode(r)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 3*size+4<<20 {
				t.Errorf("%s as %s: %d bytes were allocated for %d", name, kind, used, size)
			}
		}
	}
}

// Bytes that are no CBOR give an error, and never a panic or another record's
// bytes.
func FuzzCBOR(f *testing.F) {
	f.Add([]byte("\xa1\x67Records\x81\xa4\x64Data\x45hello\x6cPartitionKey\x61k\x6eSequenceNumber\x615\x78\x1bApproximateArrivalTimestamp\xc1\x1b\x00\x00\x01\x93\x53\x2a\x24\xfb"))
	f.Add([]byte("\xbf\x67Records\x9f\xbf\x64Data\x5f\x41a\x42bc\xff\xff\xff\x6bChildShards\x80\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkCBOR(t, string(b))
		_, _ = errorJSON(bytes.Clone(b))
	})
}

// checkCBOR decodes a body as it may arrive in different ways, which all have to
// find the same.
func checkCBOR(t *testing.T, body string) (kinesis.GetRecordsOutput, error) {
	t.Helper()
	var first kinesis.GetRecordsOutput
	var fails error
	for i, way := range ways {
		var get kinesis.GetRecordsOutput
		err := way.decode(true, body, func(r reader) { decodeGetRecords(r, &get) })
		if i == 0 {
			first, fails = get, err
		}
		if (err == nil) != (fails == nil) || err == nil && !reflect.DeepEqual(get, first) {
			t.Errorf("%s %.300q: error %v, whole %v (-whole +%s):\n%s", way.name, body, err, fails, way.name, cmp.Diff(first, get, sameOutput))
		}
		if err == nil && len(get.Records) > len(body) {
			t.Errorf("%d records in %d bytes", len(get.Records), len(body))
		}
		_ = way.decode(true, body, func(r reader) { decodePutRecords(r, &kinesis.PutRecordsOutput{}) })
	}
	return first, fails
}

// Bits that are changed in CBOR never do worse than an error.
func TestDamagedCBOR(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	whole := []byte("\xbf\x67Records\x9f\xa4\x64Data\x5f\x41a\x42bc\xff\x6cPartitionKey\x61k\x6eSequenceNumber\x615\x78\x1bApproximateArrivalTimestamp\xc1\x1b\x00\x00\x01\x93\x53\x2a\x24\xfb\xff\x6bChildShards\x81\xa2\x67ShardId\x61s\x6cParentShards\x81\x61p\x72MillisBehindLatest\x05\xff")
	out, err := checkCBOR(t, string(whole))
	if err != nil || len(out.Records) != 1 || string(out.Records[0].Data) != "abc" || len(out.ChildShards) != 1 || *out.MillisBehindLatest != 5 {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := out.Records[0].ApproximateArrivalTimestamp.UnixMilli(); got != 1732267091195 {
		t.Errorf("arrived at %d", got)
	}
	for range 4_000 {
		b := bytes.Clone(whole)
		for range 1 + rng.IntN(3) {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		_, _ = checkCBOR(t, string(b))
	}
}

// What is written in CBOR is what the SDK's own reader of CBOR finds.
func FuzzCBORRequests(f *testing.F) {
	f.Add([]byte("hello"), "user-7", "340282366920938463463374607431768211455", "clicks", int32(10_000))
	f.Add([]byte{}, "", "\xff\x00é", "\xed\xa0\x80", int32(-1))
	f.Add(make([]byte, 300), strings.Repeat("k", 256), strings.Repeat("é", 40), strings.Repeat("s", 70_000), int32(24))
	f.Fuzz(func(t *testing.T, data []byte, key, hash, stream string, limit int32) {
		text := func(s string) cbor.String { return cbor.String(string([]rune(s))) } // U+FFFD for each byte that is not UTF-8
		put := appendPutRecordsCBOR(nil, &kinesis.PutRecordsInput{StreamName: &stream, Records: []types.PutRecordsRequestEntry{
			{Data: data, PartitionKey: &key, ExplicitHashKey: &hash}, {Data: data, PartitionKey: &key},
		}})
		record := cbor.Map{"Data": cbor.Slice(data), "PartitionKey": text(key), "ExplicitHashKey": text(hash)}
		other := cbor.Map{"Data": cbor.Slice(data), "PartitionKey": text(key)}
		if data == nil {
			delete(record, "Data")
			delete(other, "Data")
		}
		want := cbor.Map{"StreamName": text(stream), "Records": cbor.List{record, other}}
		if got, err := cbor.Decode(put); err != nil || !cmp.Equal(cbor.Value(want), got, cmpopts.EquateEmpty()) {
			t.Errorf("PutRecords: %v\n%s", err, cmp.Diff(cbor.Value(want), got, cmpopts.EquateEmpty()))
		}
		get := appendGetRecordsCBOR(nil, &kinesis.GetRecordsInput{ShardIterator: &key, StreamARN: &stream, Limit: &limit})
		want = cbor.Map{"ShardIterator": text(key), "StreamARN": text(stream), "Limit": cbor.Uint(limit)}
		if limit < 0 {
			want["Limit"] = cbor.NegInt(-int64(limit))
		}
		if got, err := cbor.Decode(get); err != nil || !cmp.Equal(cbor.Value(want), got) {
			t.Errorf("GetRecords: %v\n%s", err, cmp.Diff(cbor.Value(want), got))
		}
	})
}
