package wire

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/smithy-go/middleware"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// A Format is how requests are written. Answers are read as what they say they
// are.
type Format uint8

const (
	// JSON is the format of the SDK for Go.
	JSON Format = iota

	// CBOR is the format of the SDK for Java.
	CBOR
)

// String returns the format's name.
func (f Format) String() string {
	switch f {
	case JSON:
		return "JSON"
	case CBOR:
		return "CBOR"
	}
	return "unknown"
}

// A Codec makes calls of one client in one format, and remembers whether the
// server understands it. It is safe for concurrent use. A nil Codec leaves calls
// to the SDK.
//
// With [CBOR] it changes to [JSON], for good, when the server shows that it does
// not speak CBOR:
//
//   - an answer says so (HTTP status 415, SerializationException,
//     UnknownOperationException), or finds fault with the arguments in another
//     format than it was asked in. Nothing was stored then, and the call is made
//     again in JSON at once;
//   - an answer of success cannot be read, or a server that has never answered in
//     CBOR fails (status 500 or 501) in another format. The call ends with its
//     error, since it may have been carried out.
type Codec struct {
	json     atomic.Bool // write JSON
	answered atomic.Bool // an answer was CBOR, and could be read
	inner    *awsjson.Protocol
	buffers  sync.Pool // of *[]byte, for requests
	windows  sync.Pool // of *[]byte, for answers
}

// New returns a Codec that writes requests in a format.
func New(f Format) *Codec {
	c := &Codec{inner: awsjson.New11(schemas.Kinesis_20131202)}
	c.json.Store(f != CBOR)
	return c
}

// Format returns the format of the next request.
func (c *Codec) Format() Format {
	if c == nil || c.json.Load() {
		return JSON
	}
	return CBOR
}

// Call makes a call of op, a method of a client, in the Codec's format. It
// returns what op returns, and if op does not run option functions, as a fake may
// not, does nothing else.
func Call[In, Out any](
	ctx context.Context, c *Codec,
	op func(context.Context, *In, ...func(*kinesis.Options)) (*Out, error),
	in *In, optFns ...func(*kinesis.Options),
) (*Out, error) {
	if c == nil {
		return op(ctx, in, optFns...)
	}
	out, err := once(ctx, c, c.Format(), op, in, optFns)
	var not *notUnderstoodError
	if errors.As(err, &not) && ctx.Err() == nil {
		return once(ctx, c, JSON, op, in, optFns)
	}
	return out, err
}

func once[In, Out any](
	ctx context.Context, c *Codec, f Format,
	op func(context.Context, *In, ...func(*kinesis.Options)) (*Out, error),
	in *In, optFns []func(*kinesis.Options),
) (*Out, error) {
	p := &protocol{Protocol: c.inner, codec: c, format: f}
	defer p.release()
	fns := make([]func(*kinesis.Options), 0, len(optFns)+1)
	fns = append(append(fns, p.use), optFns...)
	out, err := op(ctx, in, fns...)
	if get, ok := any(out).(*kinesis.GetRecordsOutput); ok && get != nil && p.kept > 0 {
		get.ResultMetadata.Set(keptKey{}, p.kept)
	}
	return out, err
}

type keptKey struct{}

// Kept returns how much memory the data of a GetRecords answer lie in. It is 0 if
// the answer was not decoded here and each record has its own.
func Kept(m middleware.Metadata) int {
	n, _ := m.Get(keptKey{}).(int)
	return n
}

// Events makes a SubscribeToShard call decode its events here. Each call has a
// decoder to itself: that of the SDK is shared by all streams of a client, which
// the race detector objects to (aws/smithy-go#714). A nil Codec leaves it so.
func (c *Codec) Events(o *kinesis.Options) {
	if _, ok := o.Protocol.(*awsjson.Protocol); ok && c != nil {
		o.Protocol = &eventProtocol{Protocol: awsjson.New11(schemas.Kinesis_20131202), codec: c}
	}
}

// A notUnderstoodError is the answer of a server that did nothing, since it does
// not speak CBOR.
type notUnderstoodError struct{ err error }

func (e *notUnderstoodError) Error() string { return e.err.Error() }
func (e *notUnderstoodError) Unwrap() error { return e.err }
