package kinesistest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/cbor"
	"github.com/kinesis-go/kinesis/kinesistest/internal/stream"
)

// Names of the services in [Call] and [Fault].
const (
	Kinesis  = "Kinesis"
	DynamoDB = "DynamoDB"
)

// ClientHeader is the HTTP header that names the client of a request, for
// [Fault.Client]. [Server.ConfigFor] sets it.
const ClientHeader = "X-Kinesistest-Client"

// A protocol is how a service is spoken to.
type protocol struct{ service, contentType, errorPrefix string }

// protocols has the wire facts of each service by the prefix of X-Amz-Target.
var protocols = map[string]protocol{
	"Kinesis_20131202":  {Kinesis, "application/x-amz-json-1.1", ""},
	"DynamoDB_20120810": {DynamoDB, "application/x-amz-json-1.0", "com.amazonaws.dynamodb.v20120810#"},
}

// typeCBOR is what the AWS SDK for Java sends to Kinesis and wants back.
const typeCBOR = "application/x-amz-cbor-1.1"

// speaking returns p in the form of a request's content type. A request without
// one is JSON.
func (p protocol) speaking(contentType string) (protocol, *api.Error) {
	kind, _, _ := strings.Cut(contentType, ";")
	switch strings.TrimSpace(strings.ToLower(kind)) {
	case "", "application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1":
		return p, nil
	case typeCBOR:
		if p.service == Kinesis {
			p.contentType = typeCBOR
			return p, nil
		}
	}
	return p, api.Errorf("SerializationException", "%s does not read Content-Type %.100q; JSON is %s", p.service, contentType, p.contentType)
}

// What stands before the errors that belong to no service's model: those of a
// request that cannot be read, and of one that can but is wrong.
const (
	coralPrefix      = "com.amazon.coral.service#"
	validationPrefix = "com.amazon.coral.validate#"
)

// errCut ends an exchange without a response.
var errCut = errors.New("kinesistest: connection cut by a fault")

// exchange serves one request, whichever way it came. An error means that
// there is no response: the connection was cut, ctx ended or the server closed.
func (s *Server) exchange(ctx context.Context, h http.Header, body io.Reader, length int64) (*http.Response, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	prefix, op, _ := strings.Cut(h.Get("X-Amz-Target"), ".")
	p, ok := protocols[prefix]
	if !ok {
		e := api.Errorf("UnknownOperationException", "X-Amz-Target %.100q names no operation of Kinesis or DynamoDB", h.Get("X-Amz-Target"))
		return s.response(protocol{contentType: "application/x-amz-json-1.1"}, answerOf(nil, e)), nil
	}
	p, e := p.speaking(h.Get("Content-Type"))
	if e != nil {
		return s.response(p, answerOf(nil, e)), nil
	}
	data, e := readBody(body, length, s.bodyLimit(p.service))
	if e == nil && p.contentType == typeCBOR && len(data) > 0 {
		var err error
		if data, err = cbor.ToJSON(data); err != nil {
			e = api.Errorf("SerializationException", "%v", err)
		}
	}
	if e == nil {
		e = s.skewed(h)
	}
	if e != nil {
		return s.response(p, answerOf(nil, e)), nil
	}
	a, err := s.faulted(ctx, &Call{Service: p.service, Operation: op, Client: h.Get(ClientHeader), Body: data})
	if a.opened != nil {
		if err == nil && a.Err == nil {
			return s.subscribed(ctx, p, a.opened), nil
		}
		a.opened.sub.Close()
	}
	if err != nil {
		return nil, err
	}
	return a.Damage.apply(s.response(p, a)), nil
}

// apply has the service answer a call.
func (s *Server) apply(ctx context.Context, c *Call, reject stream.Reject) Answer {
	if c.Service == DynamoDB {
		return answerOf(s.tables.CallAs(ctx, c.Client, c.Operation, c.Body))
	}
	if c.Operation == "SubscribeToShard" {
		sub, e := s.streams.Subscribe(c.Body)
		if e != nil {
			return answerOf(nil, e)
		}
		return Answer{opened: &opened{sub: sub}}
	}
	return answerOf(s.streams.CallAs(c.Client, c.Operation, c.Body, reject))
}

// bodyLimit is how many bytes of a request are read: the JSON of the largest
// request in base64, with room for keys and escapes.
func (s *Server) bodyLimit(service string) int64 {
	switch n := int64(s.opts.Limits.BytesPerRequest); {
	case service == DynamoDB:
		return 32 << 20 // a BatchWriteItem of 16 MB
	case n == 0:
		return 1 << 30
	default:
		return n/3*4 + 6<<20
	}
}

func readBody(r io.Reader, length, limit int64) ([]byte, *api.Error) {
	tooLarge := &api.Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException",
		Message: fmt.Sprintf("The request is larger than %d bytes.", limit)}
	if length > limit {
		return nil, tooLarge
	}
	if r == nil {
		return nil, nil
	}
	if length >= 0 {
		return readFull(r, length)
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, api.Errorf("SerializationException", "reading the request: %v", err)
	}
	if int64(len(data)) > limit {
		return nil, tooLarge
	}
	return data, nil
}

// readFull reads a body of a length. It does not take the client's word for it
// with memory.
func readFull(r io.Reader, length int64) ([]byte, *api.Error) {
	const trust = 1 << 20
	data := make([]byte, 0, min(length, trust))
	for {
		n := len(data)
		data = data[:min(int64(cap(data)), length)]
		if _, err := io.ReadFull(r, data[n:]); err != nil {
			return nil, api.Errorf("SerializationException", "reading the request: %v", err)
		}
		if int64(len(data)) == length {
			return data, nil
		}
		data = slices.Grow(data, int(min(length-int64(len(data)), int64(len(data)))))
	}
}

// response puts an answer in the service's form.
func (s *Server) response(p protocol, a Answer) *http.Response {
	h := s.header(p)
	status, body := http.StatusOK, a.Body
	if a.Err != nil {
		status, body = a.Err.Status, errorBody(p.errorPrefix, a.Err)
		if status == 0 {
			status = http.StatusBadRequest
		}
		h["X-Amzn-Errortype"] = []string{a.Err.Code}
	}
	if p.contentType == typeCBOR && len(body) > 0 {
		var err error
		if body, err = cbor.FromJSON(body); err != nil { // an answer made by a fault
			status, body = http.StatusInternalServerError, nil
		}
	}
	if p.service == DynamoDB {
		h["X-Amz-Crc32"] = []string{strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if status == http.StatusRequestEntityTooLarge {
		h["Connection"] = []string{"close"} // the rest of the body stays unread
	}
	return &http.Response{
		Status:        strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/2.0", // as AWS answers; fan-out clients look
		ProtoMajor:    2,
		Header:        h,
		ContentLength: int64(len(body)),
		Body:          &responseBody{data: body},
	}
}

// header is what every answer has. Kinesis adds a second id, as its support
// asks for it.
func (s *Server) header(p protocol) http.Header {
	h := http.Header{
		"Content-Type":     {p.contentType},
		"Date":             {s.now().UTC().Format(http.TimeFormat)},
		"X-Amzn-Requestid": {s.requestID()},
	}
	if p.service == Kinesis {
		id := sha256.Sum256([]byte(h["X-Amzn-Requestid"][0]))
		h["X-Amz-Id-2"] = []string{base64.StdEncoding.EncodeToString(id[:])}
	}
	return h
}

func errorBody(prefix string, e *Error) []byte {
	switch {
	case prefix == "":
	case e.Code == "SerializationException" || e.Code == "UnknownOperationException":
		prefix = coralPrefix
	case e.Code == "ValidationException":
		prefix = validationPrefix
	}
	members := map[string]any{}
	for name, v := range e.fields {
		members[name] = v
	}
	members["__type"] = prefix + e.Code
	members["message"] = e.Message
	b, err := json.Marshal(members)
	if err != nil {
		return []byte(`{"__type":"InternalFailure"}`)
	}
	return b
}

// requestID returns an id in the form of AWS's. They count, so that the same
// run gives the same ones.
func (s *Server) requestID() string {
	n := s.requests.Add(1)
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", n&(1<<48-1))
}

// A responseBody hands out the bytes of an answer.
type responseBody struct {
	data []byte
	cut  bool // they end before the body does
}

func (b *responseBody) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		return 0, b.end()
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// WriteTo spares the copy of Read.
func (b *responseBody) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.data)
	b.data = b.data[n:]
	if err == nil && b.cut {
		err = b.end()
	}
	return int64(n), err
}

func (b *responseBody) Close() error { return nil }
