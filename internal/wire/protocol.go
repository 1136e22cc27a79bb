package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

const (
	typeJSON = "application/x-amz-json-1.1"
	typeCBOR = "application/x-amz-cbor-1.1"

	// maxBodyBytes bounds an answer, and an event. Ten MiB of data, the limit of
	// the service, in 10,000 records with the longest keys, every character
	// written as an escape, have 47 MiB.
	maxBodyBytes = 64 << 20

	// maxErrorBytes bounds the answer of an error.
	maxErrorBytes = 1 << 20
)

// A protocol is the SDK's protocol for one call, with the bodies of PutRecords
// and GetRecords made here.
type protocol struct {
	*awsjson.Protocol
	codec  *Codec
	format Format
	body   *body // of the request, if it was made here
	kept   int   // bytes that the answer's data lie in
}

// use is the option function of the call.
func (p *protocol) use(o *kinesis.Options) {
	if _, ok := o.Protocol.(*awsjson.Protocol); !ok {
		return // the caller's own
	}
	o.Protocol = p
	o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], p.addPayloadHash)
}

// release takes the request's body back from whoever may still hold it.
func (p *protocol) release() {
	if p.body == nil {
		return
	}
	if buf := p.body.detach(); buf != nil {
		buf = buf[:0]
		p.codec.buffers.Put(&buf)
	}
}

// SerializeRequest implements [smithyhttp.ClientProtocol].
func (p *protocol) SerializeRequest(ctx context.Context, op *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	var encode func([]byte) []byte
	switch in := in.(type) {
	case *kinesis.PutRecordsInput:
		if encode = func(b []byte) []byte { return appendPutRecordsJSON(b, in) }; p.format == CBOR {
			encode = func(b []byte) []byte { return appendPutRecordsCBOR(b, in) }
		}
	case *kinesis.GetRecordsInput:
		if encode = func(b []byte) []byte { return appendGetRecordsJSON(b, in) }; p.format == CBOR {
			encode = func(b []byte) []byte { return appendGetRecordsCBOR(b, in) }
		}
	}
	if encode == nil {
		return p.Protocol.SerializeRequest(ctx, op, in, req)
	}
	// The SDK writes the headers, around an input without records.
	if err := p.Protocol.SerializeRequest(ctx, op, nothing{}, req); err != nil {
		return err
	}
	if p.format == CBOR {
		req.Header.Set("Content-Type", typeCBOR)
	}
	var buf []byte
	if b, ok := p.codec.buffers.Get().(*[]byte); ok {
		buf = *b
	}
	p.release()
	p.body = &body{buf: encode(buf)}
	with, err := req.SetStream(p.body)
	if err != nil {
		return fmt.Errorf("wire: set body: %w", err)
	}
	*req = *with
	return nil
}

// nothing is an input of no members.
type nothing struct{}

// Serialize implements [smithy.Serializable].
func (nothing) Serialize(smithy.ShapeSerializer) {}

// DeserializeResponse implements [smithyhttp.ClientProtocol].
func (p *protocol) DeserializeResponse(ctx context.Context, op *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return p.failed(ctx, op, types, resp, out)
	}
	cbor := isCBOR(resp)
	var decode func(reader)
	switch out := out.(type) {
	case *kinesis.PutRecordsOutput:
		decode = func(r reader) { decodePutRecords(r, out) }
	case *kinesis.GetRecordsOutput:
		decode = func(r reader) { decodeGetRecords(r, out) }
	default:
		return p.Protocol.DeserializeResponse(ctx, op, types, resp, out)
	}
	if err := p.read(resp, cbor, decode); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	if cbor {
		p.codec.answered.Store(true)
	}
	return nil
}

// read takes the body of an answer apart as decode does, unless it is empty.
func (p *protocol) read(resp *smithyhttp.Response, cbor bool, decode func(reader)) error {
	if resp.ContentLength > maxBodyBytes {
		return tooLong(resp, maxBodyBytes)
	}
	window := p.codec.window(resp.ContentLength)
	r := newReader(cbor, newSource(*window, resp.Body, resp.ContentLength, maxBodyBytes))
	s := r.state()
	if s.more() {
		decode(r)
	}
	if s.err != nil && s.broken == nil && p.format == CBOR {
		p.codec.json.Store(true)
	}
	err := s.finish()
	if errors.Is(err, errLong) {
		err = tooLong(resp, maxBodyBytes)
	}
	p.kept = s.data.kept
	*window = s.b
	p.codec.putWindow(window)
	return err
}

// tooLong lets go of the body of an answer at once: the SDK would read it to its
// end before closing it.
func tooLong(resp *smithyhttp.Response, limit int64) error {
	_ = resp.Body.Close()
	resp.Body = http.NoBody
	return fmt.Errorf("%w than %d bytes", errLong, limit)
}

// failed returns the error of an answer, as the SDK makes it.
func (p *protocol) failed(ctx context.Context, op *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes+1))
	if err == nil && len(b) > maxErrorBytes {
		err = tooLong(resp, maxErrorBytes)
	}
	if err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	cbor := isCBOR(resp)
	if cbor && len(b) > 0 {
		if b, err = errorJSON(b); err != nil {
			return &smithy.DeserializationError{Err: err}
		}
	}
	err = p.Protocol.DeserializeResponse(ctx, op, types, &smithyhttp.Response{Response: &http.Response{
		Status: resp.Status, StatusCode: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(b)),
	}}, out)
	if p.format != CBOR {
		return err
	}
	switch judge(resp.StatusCode, cbor, p.codec.answered.Load(), err) {
	case again:
		p.codec.json.Store(true)
		return &notUnderstoodError{err}
	case next:
		p.codec.json.Store(true)
	case speaks:
		p.codec.answered.Store(true)
	}
	return err
}

// A finding is what an error in answer to CBOR says about the server.
type finding int

const (
	neither finding = iota
	speaks          // it speaks CBOR
	again           // it does not, and has done nothing
	next            // it may not, and may have done something
)

// judge says what an error means for the format: status and err are the answer,
// cbor whether it was CBOR, and answered whether any was before.
func judge(status int, cbor, answered bool, err error) finding {
	var code string
	if api := smithy.APIError(nil); errors.As(err, &api) {
		code = api.ErrorCode()
	}
	switch {
	case status == http.StatusUnsupportedMediaType:
		return again
	case status >= 400 && status < 500 && (code == "SerializationException" || code == "UnknownOperationException"):
		return again
	case cbor:
		return speaks
	}
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnprocessableEntity:
		// A server for which the body has no arguments complains of those, or has
		// no words at all. Throttling and rights are judged before a body is read.
		switch code {
		case "", "UnknownError", "InvalidArgumentException", "ValidationException", "InvalidParameterException", "MissingParameter":
			return again
		}
	case http.StatusInternalServerError, http.StatusNotImplemented:
		if !answered {
			return next
		}
	}
	return neither
}

func isCBOR(resp *smithyhttp.Response) bool {
	return strings.Contains(resp.Header.Get("Content-Type"), "cbor")
}
