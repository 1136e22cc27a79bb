package wire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"github.com/kinesis-go/kinesis/internal/wire"
	"github.com/kinesis-go/kinesis/kinesistest"
)

var formats = []wire.Format{wire.JSON, wire.CBOR}

// A server answers calls in memory.
type server struct {
	answer func(r *http.Request, body []byte) (status int, contentType, answer string)
	seen   []string // content types
	bodies []string
}

func (s *server) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	kind := r.Header.Get("Content-Type")
	s.seen = append(s.seen, strings.TrimSuffix(strings.TrimPrefix(kind, "application/x-amz-"), "-1.1"))
	s.bodies = append(s.bodies, string(body))
	status, contentType, answer := s.answer(r, body)
	h := http.Header{"Content-Type": {contentType}, "X-Amzn-Requestid": {"request-7"}, "Date": {"Sun, 22 Nov 2026 14:00:00 GMT"}}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)), Request: r}, nil
}

func (s *server) client(optFns ...func(*kinesis.Options)) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", HTTPClient: s, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s"}, nil
		}),
	}, optFns...)
}

const jsonType, cborType = "application/x-amz-json-1.1", "application/x-amz-cbor-1.1"

var putOne = &kinesis.PutRecordsInput{
	StreamName: aws.String("clicks"),
	Records:    []types.PutRecordsRequestEntry{{Data: []byte("hello"), PartitionKey: aws.String("k")}},
}

// The records that go in come out, whatever the format, through the SDK.
func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	for _, f := range formats {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			srv := kinesistest.NewServer()
			defer srv.Close()
			if err := srv.CreateStream("clicks", 1); err != nil {
				t.Fatal(err)
			}
			client, codec := kinesis.NewFromConfig(srv.Config()), wire.New(f)
			in := &kinesis.PutRecordsInput{StreamName: aws.String("clicks")}
			for i := range 300 {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{
					Data: bytes.Repeat([]byte{byte(i), 0xff, '"'}, i), PartitionKey: aws.String(fmt.Sprintf("k\"é\n%d", i)), ExplicitHashKey: aws.String(fmt.Sprint(i)),
				})
			}
			put, err := wire.Call(t.Context(), codec, client.PutRecords, in)
			if err != nil {
				t.Fatal(err)
			}
			it, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
				StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
			if err != nil {
				t.Fatal(err)
			}
			get := &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator, Limit: aws.Int32(1000)}
			out, err := wire.Call(t.Context(), codec, client.GetRecords, get)
			if err != nil {
				t.Fatal(err)
			}
			sdk, err := client.GetRecords(t.Context(), get)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(out.Records, sdk.Records) || !reflect.DeepEqual(out.MillisBehindLatest, sdk.MillisBehindLatest) || out.NextShardIterator == nil {
				t.Errorf("records differ from what the SDK reads")
			}
			if len(out.Records) != len(in.Records) {
				t.Fatalf("%d records came back, want %d", len(out.Records), len(in.Records))
			}
			for i, r := range out.Records {
				e := in.Records[i]
				if !bytes.Equal(r.Data, e.Data) || *r.PartitionKey != *e.PartitionKey || *r.SequenceNumber != *put.Records[i].SequenceNumber || cap(r.Data) != len(r.Data) {
					t.Fatalf("record %d came back as %q %q %s", i, r.Data, *r.PartitionKey, *r.SequenceNumber)
				}
			}
			if _, ok := awsmiddleware.GetServerTime(out.ResultMetadata); !ok {
				t.Error("the answer has no server time")
			}
			if codec.Format() != f {
				t.Errorf("format %v became %v", f, codec.Format())
			}
		})
	}
}

// What an answer keeps is told for one that was decoded here, and only then.
func TestKeptIsTheMemoryOfTheData(t *testing.T) {
	t.Parallel()
	const answer = `{"Records":[{"Data":"aGVsbG8=","PartitionKey":"k","SequenceNumber":"1"}],"MillisBehindLatest":0}`
	s := kinesis.New(kinesis.Options{
		Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, Retryer: aws.NopRetryer{},
		HTTPClient: doer(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: 200, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
				Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)),
			}, nil
		}),
	})
	for _, c := range []*wire.Codec{nil, wire.New(wire.JSON)} {
		out, err := wire.Call(t.Context(), c, s.GetRecords, &kinesis.GetRecordsInput{ShardIterator: aws.String("it")})
		if err != nil {
			t.Fatal(err)
		}
		if n := wire.Kept(out.ResultMetadata); c == nil && n != 0 || c != nil && (n < len("hello") || n > len(answer)) {
			t.Errorf("codec %v: %d bytes are said to be kept of an answer of %d", c != nil, n, len(answer))
		}
	}
}

// What the service has against a call is the SDK's error, in either format.
func TestErrorsAreTheSDKs(t *testing.T) {
	t.Parallel()
	for _, f := range formats {
		srv := kinesistest.NewServer()
		defer srv.Close()
		client, codec := kinesis.NewFromConfig(srv.Config(), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }), wire.New(f)
		_, err := wire.Call(t.Context(), codec, client.PutRecords, putOne)
		var gone *types.ResourceNotFoundException
		if !errors.As(err, &gone) || gone.ErrorMessage() == "" {
			t.Errorf("%v: %v, want a ResourceNotFoundException with a message", f, err)
		}
		srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled})
		_, err = wire.Call(t.Context(), codec, client.PutRecords, putOne)
		var throttled *types.ProvisionedThroughputExceededException
		if !errors.As(err, &throttled) {
			t.Errorf("%v: %v, want a ProvisionedThroughputExceededException", f, err)
		}
		if codec.Format() != f {
			t.Errorf("%v: became %v over errors that are none of the format's", f, codec.Format())
		}
	}
}

// An answer of whatever status and shape is the error, or the output, that it is
// for the SDK.
func TestAnswersOfEveryShapeAreTheSDKs(t *testing.T) {
	t.Parallel()
	answers := []string{
		"", "null", "{}", "[]", `"x"`, "<html>busy</html>", "\xff\xfe", `{"Records":[{"Data":"aGVsbG8="}],"NextShardIterator":"x"}`,
		`{"__type":"ResourceNotFoundException","message":"m"}`, `{"__type":"com.amazon#ExpiredIteratorException:http://x","Message":"M"}`,
		`{"code":"ThrottlingException","message":null}`, `{"__type":5,"message":"m"}`, `{"__type":"ExpiredIteratorException","message":7}`,
		`{"__type":"KMSThrottlingException","message":"m"} x`, `{"__type":null,"code":null}`, `{"__type":"InternalFailure","message":"a","message":"b"}`,
	}
	describe := func(out *kinesis.GetRecordsOutput, err error) string {
		var re *awshttp.ResponseError
		var api smithy.APIError
		status, fault := 0, ""
		if errors.As(err, &re) {
			status = re.HTTPStatusCode()
		}
		if errors.As(err, &api) {
			fault = fmt.Sprintf("%T %s %q", api, api.ErrorCode(), api.ErrorMessage())
		}
		if out != nil {
			fault += fmt.Sprint(len(out.Records), aws.ToString(out.NextShardIterator))
		}
		return fmt.Sprint(err == nil, " ", status, " ", fault)
	}
	for _, status := range []int{200, 204, 301, 307, 400, 403, 404, 413, 429, 500, 503} {
		for _, answer := range answers {
			for _, kind := range []string{"", "foo#ExpiredIteratorException:http://y"} {
				client := kinesis.New(kinesis.Options{
					Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, Retryer: aws.NopRetryer{},
					HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
						h := http.Header{}
						if kind != "" {
							h.Set("X-Amzn-Errortype", kind)
						}
						return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(answer)), ContentLength: -1, Request: r}, nil
					}),
				})
				in := &kinesis.GetRecordsInput{ShardIterator: aws.String("i")}
				want := describe(client.GetRecords(t.Context(), in))
				if got := describe(wire.Call(t.Context(), wire.New(wire.JSON), client.GetRecords, in)); got != want {
					t.Errorf("%d %q with the type %q: %s, the SDK says %s", status, answer, kind, got, want)
				}
			}
		}
	}
}

// A server that does not speak CBOR is noticed by its answer.
func TestCBORFallsBack(t *testing.T) {
	t.Parallel()
	const ok = `{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1","ShardId":"s"}]}`
	const okCBOR = "\xa1\x67Records\x81\xa2\x6eSequenceNumber\x611\x67ShardId\x61s"
	named := func(code string) string { return `{"__type":"` + code + `","message":"m"}` }
	tests := []struct {
		name         string
		status       int
		contentType  string
		answer       string
		before       bool // the server has answered in CBOR before
		again, later bool // the call is made again in JSON; calls after it are made in JSON
	}{
		{"unsupported media type", 415, "text/html", "<html>", false, true, true},
		{"cannot read it", 400, jsonType, named("SerializationException"), false, true, true},
		{"cannot read it, in CBOR", 400, cborType, "\xa1\x66__type\x76SerializationException", true, true, true},
		{"no such operation", 404, jsonType, named("UnknownOperationException"), false, true, true},
		{"misses its arguments", 400, jsonType, named("ValidationException"), false, true, true},
		{"misses its arguments, with a prefix", 400, jsonType, named("com.amazonaws.kinesis#InvalidArgumentException"), false, true, true},
		{"has no words", 400, "", "", false, true, true},
		{"has other words", 400, "text/plain", "what?", false, true, true},
		{"finds fault in CBOR", 400, cborType, "\xa1\x66__type\x78\x18InvalidArgumentException", false, false, false},
		{"breaks over it", 500, "text/html", "<html>", false, false, true},
		{"breaks, and has answered in CBOR before", 500, "text/html", "<html>", true, false, false},
		{"breaks in CBOR", 500, cborType, "\xa1\x66__type\x6fInternalFailure", false, false, false},
		{"is not available", 503, "text/html", "<html>", false, false, false},
		{"throttles", 400, jsonType, named("ProvisionedThroughputExceededException"), false, false, false},
		{"refuses", 400, jsonType, named("AccessDeniedException"), false, false, false},
		{"refuses without words", 403, "text/html", "<html>", false, false, false},
		{"does not know the stream", 400, jsonType, named("ResourceNotFoundException"), false, false, false},
		{"answers in JSON", 200, jsonType, ok, false, false, false},
		{"answers in CBOR that cannot be read", 200, cborType, "\xa1\x67Records\x01", false, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bad := !tt.before
			s := &server{}
			s.answer = func(r *http.Request, _ []byte) (int, string, string) {
				switch {
				case r.Header.Get("Content-Type") == jsonType:
					return 200, jsonType, ok
				case bad:
					return tt.status, tt.contentType, tt.answer
				}
				bad = true
				return 200, cborType, okCBOR
			}
			client, codec := s.client(), wire.New(wire.CBOR)
			if tt.before {
				if _, err := wire.Call(t.Context(), codec, client.PutRecords, putOne); err != nil {
					t.Fatal(err)
				}
			}
			s.seen = nil
			out, err := wire.Call(t.Context(), codec, client.PutRecords, putOne)
			if want := tt.status == 200 && !tt.later || tt.again; (err == nil) != want {
				t.Errorf("error %v, want one: %v", err, !want)
			}
			if err == nil && (len(out.Records) != 1 || *out.Records[0].ShardId != "s") {
				t.Errorf("answer %+v", out)
			}
			want := []string{"cbor"}
			if tt.again {
				want = []string{"cbor", "json"}
			}
			if !reflect.DeepEqual(s.seen, want) {
				t.Errorf("requests %v, want %v", s.seen, want)
			}
			if (codec.Format() == wire.JSON) != tt.later {
				t.Errorf("later calls are %v", codec.Format())
			}
		})
	}
}

// The body is hashed, signed and sent as it is, and the SDK's metadata are there.
func TestRequestIsTheSDKs(t *testing.T) {
	t.Parallel()
	var ours, theirs *http.Request
	s := &server{answer: func(r *http.Request, _ []byte) (int, string, string) {
		ours, theirs = theirs, r
		return 200, jsonType, `{"Records":[]}`
	}}
	at := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	client := s.client()
	out, err := wire.Call(t.Context(), wire.New(wire.JSON), client.PutRecords, putOne)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutRecords(t.Context(), putOne); err != nil {
		t.Fatal(err)
	}
	if s.bodies[0] != s.bodies[1] || ours.ContentLength != theirs.ContentLength || ours.URL.String() != theirs.URL.String() {
		t.Errorf("request %q %d %v, the SDK's %q %d %v", s.bodies[0], ours.ContentLength, ours.URL, s.bodies[1], theirs.ContentLength, theirs.URL)
	}
	for _, name := range []string{"Content-Type", "X-Amz-Target", "Content-Length"} {
		if ours.Header.Get(name) != theirs.Header.Get(name) {
			t.Errorf("%s is %q, the SDK's %q", name, ours.Header.Get(name), theirs.Header.Get(name))
		}
	}
	if id, _ := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata); id != "request-7" {
		t.Errorf("request id %q", id)
	}
	if when, _ := awsmiddleware.GetServerTime(out.ResultMetadata); !when.Equal(at) {
		t.Errorf("server time %v, want %v", when, at)
	}
}

// The signature covers the hash that is computed here; the SDK's own gets the same.
func TestPayloadHash(t *testing.T) {
	t.Parallel()
	signer := &hashes{}
	s := &server{answer: func(*http.Request, []byte) (int, string, string) { return 200, jsonType, `{}` }}
	client := s.client(func(o *kinesis.Options) { o.HTTPSignerV4 = signer })
	for _, codec := range []*wire.Codec{wire.New(wire.JSON), wire.New(wire.CBOR), nil} {
		if _, err := wire.Call(t.Context(), codec, client.PutRecords, putOne); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(s.bodies[len(s.bodies)-1]))
		if got := signer.last; got != hex.EncodeToString(sum[:]) {
			t.Errorf("%v: signed with hash %s, want %x", codec.Format(), got, sum)
		}
	}
}

type hashes struct{ last string }

func (h *hashes) SignHTTP(_ context.Context, _ aws.Credentials, _ *http.Request, payloadHash, _, _ string, _ time.Time, _ ...func(*v4.SignerOptions)) error {
	h.last = payloadHash
	return nil
}

// A client with a protocol of its own keeps it, and a fake that runs no option
// functions just works.
func TestOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	type own struct{ *awsjson.Protocol }
	s := &server{answer: func(*http.Request, []byte) (int, string, string) { return 200, jsonType, `{}` }}
	client := s.client(func(o *kinesis.Options) { o.Protocol = own{o.Protocol.(*awsjson.Protocol)} })
	if _, err := wire.Call(t.Context(), wire.New(wire.CBOR), client.PutRecords, putOne); err != nil {
		t.Fatal(err)
	}
	if s.seen[0] != "json" {
		t.Errorf("the request is %s, want the client's own json", s.seen[0])
	}
	fake := func(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
		return nil, &smithy.GenericAPIError{Code: "x"}
	}
	if _, err := wire.Call(t.Context(), wire.New(wire.JSON), fake, putOne); err == nil {
		t.Error("the fake's error is lost")
	}
}

// The transport of a call that was cut short may read its body later: it must not
// find the next request's.
func TestBodyEndsWithItsCall(t *testing.T) {
	t.Parallel()
	for _, f := range formats {
		late := &lateReader{}
		client := (&server{}).client(func(o *kinesis.Options) { o.HTTPClient = late })
		codec := wire.New(f)
		if _, err := wire.Call(t.Context(), codec, client.PutRecords, putOne); err == nil {
			t.Fatal("no error")
		}
		first := late.body
		if _, ok := first.(io.WriterTo); ok {
			t.Error("the body has a WriteTo")
		}
		if _, err := wire.Call(t.Context(), codec, client.PutRecords, putOne); err == nil {
			t.Fatal("no error")
		}
		if b, _ := io.ReadAll(first); len(b) > 0 {
			t.Errorf("%v: %q was read after the call", f, b)
		}
	}
}

type lateReader struct{ body io.ReadCloser }

func (l *lateReader) Do(r *http.Request) (*http.Response, error) {
	if l.body == nil {
		l.body = r.Body
	}
	return nil, errors.New("cut")
}

// An answer without an end, or that says it is longer than any, is an error.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400} {
		for _, length := range []int64{-1, 1 << 40} {
			client := (&server{}).client(func(o *kinesis.Options) {
				o.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(endless{}), ContentLength: length}, nil
				})
			})
			if _, err := wire.Call(t.Context(), wire.New(wire.JSON), client.GetRecords, &kinesis.GetRecordsInput{ShardIterator: aws.String("i")}); err == nil || !strings.Contains(err.Error(), "bytes") {
				t.Errorf("status %d, length %d: %v, want an error about bytes", status, length, err)
			}
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(r *http.Request) (*http.Response, error) { return f(r) }

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
