package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A body is the body of a request. The transport may go on reading it after the
// call has ended, if that was cut short; what it reads then is an error, so that
// what it has sent is not taken for a whole request.
//
// It has no WriteTo: net/http would copy from it without letting go, and over
// HTTP/1.1 the SDK breaks connections that do (aws/aws-sdk-go-v2#1825).
type body struct {
	mu   sync.Mutex
	buf  []byte
	read int
}

var errDetached = errors.New("wire: the request is over")

// detach takes the buffer away.
func (b *body) detach() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	buf := b.buf
	b.buf, b.read = nil, 0
	return buf
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf == nil {
		return 0, errDetached
	}
	if b.read == len(b.buf) {
		return 0, io.EOF
	}
	n := copy(p, b.buf[b.read:])
	b.read += n
	return n, nil
}

// Seek implements [io.Seeker]. The SDK seeks to the beginning for each attempt.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += int64(b.read)
	case io.SeekEnd:
		offset += int64(len(b.buf))
	}
	if offset < 0 || offset > int64(len(b.buf)) {
		return 0, errors.New("wire: seek outside of the body")
	}
	b.read = int(offset)
	return offset, nil
}

// Len returns how many bytes are left to read.
func (b *body) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.buf) - b.read
}

// sum returns the SHA-256 of the whole body in hexadecimal.
func (b *body) sum() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := sha256.Sum256(b.buf)
	return hex.EncodeToString(sum[:])
}

// addPayloadHash puts a payloadHash before the SDK's. A stack without that step
// signs no payload.
func (p *protocol) addPayloadHash(stack *middleware.Stack) error {
	const id = "ComputePayloadHash"
	if _, ok := stack.Finalize.Get(id); !ok {
		return nil
	}
	return stack.Finalize.Insert(&payloadHash{p}, id, middleware.Before)
}

// A payloadHash computes the SHA-256 of a body made here, in one go. The SDK's
// own step leaves alone what it finds.
type payloadHash struct{ p *protocol }

// ID implements [middleware.FinalizeMiddleware].
func (*payloadHash) ID() string { return "WirePayloadHash" }

// HandleFinalize implements [middleware.FinalizeMiddleware].
func (m *payloadHash) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if ok && m.p.body != nil && req.GetStream() == io.Reader(m.p.body) && v4.GetPayloadHash(ctx) == "" {
		ctx = v4.SetPayloadHash(ctx, m.p.body.sum())
	}
	return next.HandleFinalize(ctx, in)
}
