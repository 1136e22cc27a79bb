package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sameOutput = cmpopts.IgnoreUnexported(kinesis.GetRecordsOutput{}, kinesis.PutRecordsOutput{}, types.SubscribeToShardEvent{},
	types.Record{}, types.PutRecordsResultEntry{}, types.ChildShard{}, types.HashKeyRange{},
	kinesis.GetRecordsOutput{}.ResultMetadata)

// sdkDecode decodes as the SDK does. Where it panics, which some lists without a
// comma make it, it counts as refusing.
func sdkDecode(t testing.TB, body string, out smithy.Deserializable) (err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the SDK panics: %v", p)
		}
	}()
	return awsjson.New11(schemas.Kinesis_20131202).DeserializeResponse(t.Context(), &smithy.OperationSchema{Output: schemas.GetRecordsOutput}, nil,
		&smithyhttp.Response{Response: &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body))}}, out)
}

// sdkEncode returns the body that the SDK writes.
func sdkEncode(t testing.TB, in smithy.Serializable) []byte {
	t.Helper()
	req := &smithyhttp.Request{Request: &http.Request{URL: &url.URL{}, Header: http.Header{}}}
	op := smithy.NewOperationSchema(schemas.PutRecords, schemas.PutRecordsInput, schemas.PutRecordsOutput)
	if err := awsjson.New11(schemas.Kinesis_20131202).SerializeRequest(t.Context(), op, in, req); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(req.GetStream())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkAnswers decodes a body as each of the answers, here and with the SDK.
func checkAnswers(t *testing.T, body string) {
	t.Helper()
	check := func(kind string, got, want any, ours, theirs error) {
		t.Helper()
		switch {
		case errors.Is(ours, errManyRecords), errors.Is(ours, errManyChildren):
		case (ours == nil) != (theirs == nil):
			t.Errorf("%s %.300q: error %v, the SDK says %v", kind, body, ours, theirs)
		case ours == nil && !reflect.DeepEqual(got, want):
			t.Errorf("%s %.300q (-SDK +ours):\n%s", kind, body, cmp.Diff(want, got, sameOutput))
		}
	}
	var sdkGet kinesis.GetRecordsOutput
	var sdkPut kinesis.PutRecordsOutput
	var sdkEvent types.SubscribeToShardEvent
	noGet, noPut, noEvent := sdkDecode(t, body, &sdkGet), sdkDecode(t, body, &sdkPut), sdkDecode(t, body, &sdkEvent)
	for _, way := range ways {
		var get kinesis.GetRecordsOutput
		check("GetRecords "+way.name, &get, &sdkGet, way.decode(false, body, func(r reader) { decodeGetRecords(r, &get) }), noGet)
		var put kinesis.PutRecordsOutput
		check("PutRecords "+way.name, &put, &sdkPut, way.decode(false, body, func(r reader) { decodePutRecords(r, &put) }), noPut)
		var event types.SubscribeToShardEvent
		check("event "+way.name, &event, &sdkEvent, way.decode(false, body, func(r reader) { decodeEvent(r, &event) }), noEvent)
	}
}

// A way is how a body arrives.
type way struct {
	name   string
	piece  int  // bytes that arrive at a time, 0 for all of them
	window int  // room at the beginning
	length bool // it is known
}

var ways = []way{
	{name: "whole"}, {name: "byte by byte", piece: 1, length: true}, {name: "in threes, of unknown length", piece: 3},
	{name: "in a window", piece: 7, window: 64, length: true},
}

func (w way) decode(cbor bool, body string, decode func(reader)) error {
	if w.piece == 0 {
		r := newReader(cbor, whole([]byte(body)))
		decode(r)
		return r.state().err
	}
	length := int64(-1)
	if w.length {
		length = int64(len(body))
	}
	r := newReader(cbor, newSource(make([]byte, w.window), &pieces{body, w.piece}, length, maxBodyBytes))
	decode(r)
	s := r.state()
	if err := s.finish(); err != nil {
		return err
	}
	if s.at() != int64(len(body)) {
		return fmt.Errorf("%d bytes were read of %d", s.at(), len(body))
	}
	return nil
}

// pieces is a body that comes in pieces. What was read before is overwritten, so
// that nobody may refer to it.
type pieces struct {
	left string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.left == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(p.size, len(b))], p.left)
	p.left = p.left[n:]
	clear(b[n:min(n+64, len(b))])
	return n, nil
}

// answers are bodies that the service may answer with, and such that differ from
// those in every way somebody thought of.
var answers = []string{
	`{}`, ` { } `, ``, ` `, `null`, `[]`, `"x"`, `1`, `{`, `}`, `{}{}`, `{} x`, `{"Records":[]}`, `{"Records":null}`, `{"Records":{}}`,
	`{"Records":[null]}`, `{"Records":[null,{}]}`, `{"Records":[1]}`, `{"Records":[{}`, `{"Records":[{}]`, `{"Records":[{},]}`,
	`{"Records":[{}:]}`, `{"Records":[,{}]}`, `{"Records":[{}{}]}`, `{"Records":[{}],"Records":[{},{}]}`, `{"Records":[{}],}`, `{,}`,
	`{"MillisBehindLatest":0,"NextShardIterator":"AAAA","Records":[{"ApproximateArrivalTimestamp":1732267091.195,"Data":"aGVsbG8=","EncryptionType":"KMS","PartitionKey":"user-7","SequenceNumber":"49545985130000000000000000000000000000000000000000000001"}]}`,
	`{"MillisBehindLatest":null}`, `{"MillisBehindLatest":-0}`, `{"MillisBehindLatest":1.5}`, `{"MillisBehindLatest":1e3}`, `{"MillisBehindLatest":"1"}`,
	`{"MillisBehindLatest":9223372036854775807}`, `{"MillisBehindLatest":9223372036854775808}`, `{"MillisBehindLatest":-9223372036854775808}`,
	`{"MillisBehindLatest":01}`, `{"MillisBehindLatest":-}`, `{"MillisBehindLatest":1.}`, `{"MillisBehindLatest":true}`, `{"MillisBehindLatest":+1}`,
	`{"FailedRecordCount":2147483647}`, `{"FailedRecordCount":2147483648}`, `{"FailedRecordCount":-2147483648}`, `{"FailedRecordCount":null}`,
	`{"EncryptionType":"NONE"}`, `{"EncryptionType":"\u004eONE"}`, `{"EncryptionType":""}`, `{"EncryptionType":7}`, `{"EncryptionType":"OTHER"}`,
	`{"NextShardIterator":"a\u0062\n\"\\\/\ud83d\ude00"}`, `{"NextShardIterator":"\ud83d"}`, `{"NextShardIterator":"\x"}`, `{"NextShardIterator":"a` + "\x01" + `"}`,
	`{"NextShardIterator":"` + "\xff\xfe" + `"}`, `{"NextShardIterator":"\n` + "\xff\xfe" + `"}`, `{"NextShardIterator":"` + "\x7f" + `é"}`, `{"NextShardIterator":""}`,
	`{"NextShardIterator":"abc`, `{"NextShardIterator":"abc\`, `{"NextShardIterator":"abc\"`, `{"NextShardIterator":"\u12"}`, `{"NextShardIterator":nul}`, `{"NextShardIterator":nullx}`,
	`{"\u004eextShardIterator":"x"}`, `{"nextShardIterator":"x"}`, `{"NextShardIterator" : "x" , "MillisBehindLatest" : 5 }`, `{"NextShardIterator""x"}`, `{NextShardIterator:"x"}`,
	`{"Unknown":{"a":[1,2.5e-3,true,false,null,"x\u0041",{"b":{}},[]]},"MillisBehindLatest":5}`, `{"Unknown":[}`, `{"Unknown":{]}`, `{"Unknown":{"a"}}`,
	`{"Unknown":tru}`, `{"Unknown":trux}`, `{"Unknown":[1 2]}`, `{"Unknown":[,]}`, `{"Unknown":{"a":1,}}`, `{"Unknown":"\q"}`, `{"Unknown":{}}x`,
	`{"Records":[{"Data":""}]}`, `{"Records":[{"Data":"A"}]}`, `{"Records":[{"Data":"AA"}]}`, `{"Records":[{"Data":"AA=="}]}`, `{"Records":[{"Data":"AB=="}]}`,
	`{"Records":[{"Data":"AAAA"}]}`, `{"Records":[{"Data":"AAAAAAAA"}]}`, `{"Records":[{"Data":"AAAAAAAAA"}]}`, `{"Records":[{"Data":"AAAAAAAAAAAAAAAAAAAAAA=="}]}`,
	`{"Records":[{"Data":"AAAA=AAA"}]}`, `{"Records":[{"Data":"AAAA====AAAAAAAA"}]}`, `{"Records":[{"Data":"AAAAAAA=AAAAAAAA"}]}`, `{"Records":[{"Data":"-_--"}]}`,
	`{"Records":[{"Data":"AAAAAAAAAAAAAAA\/AAAA"}]}`, `{"Records":[{"Data":"\u0041\u0042CD"}]}`, `{"Records":[{"Data":"AAAA\r\nAAAA"}]}`, `{"Records":[{"Data":"AAAA\tAAAA"}]}`,
	`{"Records":[{"Data":"AAAAAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\nAAAAAAAAAAAAAAAAAAA="}]}`, `{"Records":[{"Data":"\u00e9AAA"}]}`, `{"Records":[{"Data":"AAA\u"}]}`,
	`{"Records":[{"Data":"AAAA` + "\n" + `AAAA"}]}`, `{"Records":[{"Data":"AAAAAAAAAAAAAAAAAAAA\"AA"}]}`, `{"Records":[{"Data":"AAAA`, `{"Records":[{"Data":5}]}`, `{"Records":[{"Data":null}]}`,
	`{"Records":[{"Data":"AAAA","Data":"BBBB"}]}`, `{"Records":[{"Data":"` + "\xff" + `AAA"}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":"Infinity"},{"ApproximateArrivalTimestamp":"-infinity"}]}`, `{"Records":[{"ApproximateArrivalTimestamp":"NaN"}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":"2024-01-01T00:00:00Z"}]}`, `{"Records":[{"ApproximateArrivalTimestamp":1e300}]}`, `{"Records":[{"ApproximateArrivalTimestamp":1e999}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":-1.5},{"ApproximateArrivalTimestamp":0},{"ApproximateArrivalTimestamp":1.7e9},{"ApproximateArrivalTimestamp":9223372036.854},{"ApproximateArrivalTimestamp":9223372036855},{"ApproximateArrivalTimestamp":-9223372037}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":9223372036854775807},{"ApproximateArrivalTimestamp":1.0000000000000000000000001}]}`,
	`{"Records":[{"PartitionKey":"a","PartitionKey":null},{"SequenceNumber":"1"},{"EncryptionType":"NONE","Other":1}]}`, `{"Records":[{"PartitionKey":{}}]}`,
	`{"ChildShards":[{"ShardId":"shardId-000000000001","ParentShards":["shardId-000000000000"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"170141183460469231731687303715884105727"}}],"ContinuationSequenceNumber":"495","MillisBehindLatest":12}`,
	`{"ChildShards":[]}`, `{"ChildShards":null}`, `{"ChildShards":[null,{}]}`, `{"ChildShards":[{"ParentShards":[null,"a"],"HashKeyRange":null}]}`, `{"ChildShards":[{"ParentShards":[]}]}`,
	`{"ChildShards":[{"HashKeyRange":{}}]}`, `{"ChildShards":[{"HashKeyRange":[]}]}`, `{"ChildShards":[{"ParentShards":[1]}]}`, `{"ChildShards":"x"}`, `{"ChildShards":{}}`,
	`{"ChildShards":[{"HashKeyRange":{"StartingHashKey":"1"},"HashKeyRange":{"EndingHashKey":"2"}}]}`,
	`{"FailedRecordCount":1,"Records":[{"SequenceNumber":"1","ShardId":"shardId-000000000000"},{"SequenceNumber":"2","ShardId":"shardId-000000000000"},{"SequenceNumber":"3","ShardId":"shardId-\u0030"},{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded for shard \"x\""}]}`,
	`{"Records":[{"ShardId":null},{"ShardId":""},{"ShardId":5}]}`,
	strings.Repeat(`{"a":`, 9_999) + `{}` + strings.Repeat(`}`, 9_999), strings.Repeat(`{"a":`, 10_000) + `{}` + strings.Repeat(`}`, 10_000),
	`{"a":` + strings.Repeat(`[`, 9_999) + strings.Repeat(`]`, 9_999) + `}`, `{"a":` + strings.Repeat(`[`, 10_000) + strings.Repeat(`]`, 10_000) + `}`,
}

func TestAnswersDecodeAsWithTheSDK(t *testing.T) {
	t.Parallel()
	for _, body := range answers {
		if body == "" {
			continue // of which the SDK makes an answer without members, and so does the protocol
		}
		checkAnswers(t, body)
	}
}

// A valid answer with a byte or two changed is right, or wrong, for both.
func TestDamagedAnswersDecodeAsWithTheSDK(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	const strange = "{}[]\",:\\ntfu0129.-+eE \n/AZaz=\x00\x1f\x7f\xff"
	for range 4_000 {
		b := []byte(answers[rng.IntN(len(answers)-4)])
		if len(b) == 0 {
			continue
		}
		for range 1 + rng.IntN(2) {
			switch i, c := rng.IntN(len(b)), strange[rng.IntN(len(strange))]; rng.IntN(3) {
			case 0:
				b[i] = c
			case 1:
				b = append(b[:i:i], b[i+1:]...)
			case 2:
				b = append(b[:i:i], append([]byte{c}, b[i:]...)...)
			}
			if len(b) == 0 {
				b = []byte{'{'}
			}
		}
		checkAnswers(t, string(b))
		if t.Failed() {
			return
		}
	}
}

// The SDK goes through a floating-point number, which loses a millisecond here
// and there.
func TestTimesAreThoseOfTheSDK(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 1_000 {
		b.Reset()
		fmt.Fprintf(&b, `{"Records":[{"ApproximateArrivalTimestamp":%d.%03d},{"ApproximateArrivalTimestamp":%d.%dE9}]}`, 1_732_267_091+i*7919, i%1000, i%10, i*7877)
		checkAnswers(t, b.String())
	}
}

func TestRequestsEncodeAsWithTheSDK(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	strange := []string{"", "user-7", "a\"b\\c", "\n\r\t\b\f\x00\x1f\x7f", "é\u2028\u2029\U0001F600", "\xff\xfe", "a\xc3", "\xed\xa0\x80", strings.Repeat("k", 256), "<&>"}
	text := func() *string {
		if rng.IntN(4) == 0 {
			return nil
		}
		s := strange[rng.IntN(len(strange))] + strange[rng.IntN(len(strange))]
		return &s
	}
	for i := range 1_000 {
		in := &kinesis.PutRecordsInput{StreamARN: text(), StreamName: text(), StreamId: text()}
		if rng.IntN(3) == 0 {
			in.DryRun = aws.Bool(rng.IntN(2) == 0)
		}
		for range rng.IntN(5) {
			e := types.PutRecordsRequestEntry{PartitionKey: text(), ExplicitHashKey: text()}
			if rng.IntN(5) > 0 {
				e.Data = payload(rng, rng.IntN(100))
			}
			in.Records = append(in.Records, e)
		}
		if i == 0 {
			in.Records = []types.PutRecordsRequestEntry{}
		}
		get := &kinesis.GetRecordsInput{ShardIterator: text(), StreamARN: text(), StreamId: text(), DryRun: in.DryRun}
		if rng.IntN(2) == 0 {
			get.Limit = aws.Int32(int32(rng.Uint32()))
		}
		if got, want := appendGetRecordsJSON(nil, get), sdkEncode(t, get); !bytes.Equal(got, want) {
			t.Fatalf("%+v:\n%s\nSDK: %s", get, got, want)
		}
		want := sdkEncode(t, in)
		if got := appendPutRecordsJSON(make([]byte, 0, rng.IntN(2)*5000), in); !bytes.Equal(got, want) {
			t.Fatalf("%+v:\n%s\nSDK: %s", in, got, want)
		}
	}
}

func payload(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func FuzzAnswers(f *testing.F) {
	for _, a := range answers[:len(answers)-4] {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if body != "" {
			checkAnswers(t, body)
		}
	})
}

// A member that a later SDK brings would be left out here without a word: whoever
// raises the SDK's version learns of it.
func TestMembersAreThoseOfTheSDK(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		of   any
		want string
	}{
		{kinesis.PutRecordsInput{}, "Records DryRun StreamARN StreamId StreamName"},
		{types.PutRecordsRequestEntry{}, "Data PartitionKey ExplicitHashKey"},
		{kinesis.PutRecordsOutput{}, "Records EncryptionType FailedRecordCount ResultMetadata"},
		{types.PutRecordsResultEntry{}, "ErrorCode ErrorMessage SequenceNumber ShardId"},
		{kinesis.GetRecordsInput{}, "ShardIterator DryRun Limit StreamARN StreamId"},
		{kinesis.GetRecordsOutput{}, "Records ChildShards MillisBehindLatest NextShardIterator ResultMetadata"},
		{types.SubscribeToShardEvent{}, "ContinuationSequenceNumber MillisBehindLatest Records ChildShards"},
		{types.Record{}, "Data PartitionKey SequenceNumber ApproximateArrivalTimestamp EncryptionType"},
		{types.ChildShard{}, "HashKeyRange ParentShards ShardId"},
		{types.HashKeyRange{}, "EndingHashKey StartingHashKey"},
	} {
		var got []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(tt.of)) {
			if f.IsExported() {
				got = append(got, f.Name)
			}
		}
		want := strings.Fields(tt.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%T has the members %v, known are %v", tt.of, got, want)
		}
	}
}
