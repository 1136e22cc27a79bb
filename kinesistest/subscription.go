package kinesistest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/cbor"
	"github.com/kinesis-go/kinesis/kinesistest/internal/eventstream"
	"github.com/kinesis-go/kinesis/kinesistest/internal/stream"
)

// A Breakage is what goes wrong with a subscription that SubscribeToShard has
// opened. It comes over the subscription once AfterEvents events have been sent
// and it is as old as After; if both are 0, right behind the initial response,
// which counts as no event. Heartbeats are events.
type Breakage struct {
	Kind        BreakKind
	AfterEvents int
	After       time.Duration
	Error       *Error // of BreakError, default [InternalFailure]
}

// A BreakKind is a way for a subscription to break.
type BreakKind int

// The ways for a subscription to break.
const (
	BreakNothing  BreakKind = iota // the zero value
	BreakCut                       // the connection is reset
	BreakTruncate                  // the stream ends in the middle of a frame, as if all were well
	BreakEnd                       // the stream ends well, before its time
	BreakStall                     // neither records nor heartbeats come, until the fault is over or removed
	BreakCorrupt                   // the next frame has a wrong checksum; those behind it are good
	BreakError                     // the stream ends with an exception
)

// An opened subscription is what the service answers a SubscribeToShard with,
// and the faults that it is to meet.
type opened struct {
	sub    *stream.Subscription
	breaks []*rule
}

// An eventBody is the body of the answer to a SubscribeToShard. Frames are made
// when somebody reads, so a client that does not read leaves its records where
// they are. One goroutine reads; any may close.
type eventBody struct {
	server      *Server
	sub         *stream.Subscription
	contentType string    // of the payloads
	since       time.Time // when it was opened

	// An http.Response's body has no other place for the request's context.
	ctx    context.Context //nolint:containedctx // io.Reader takes none
	cancel context.CancelCauseFunc

	// Owned by the reader.
	breaks []*rule // those to come
	events int     // sent
	begun  bool    // the initial response is out
	rest   []byte  // of the frame being read
	err    error   // what follows rest
}

var (
	errBreakDue  = errors.New("kinesistest: time to break the subscription")
	errConnReset = &net.OpError{Op: "read", Net: "memory", Err: syscall.ECONNRESET}
)

// subscribed is the response that a subscription begins with.
func (s *Server) subscribed(ctx context.Context, p protocol, o *opened) *http.Response {
	b := &eventBody{server: s, sub: o.sub, contentType: p.contentType, breaks: o.breaks, since: time.Now()}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	h := s.header(p)
	h.Set("Content-Type", eventstream.ContentType)
	return &http.Response{
		Status:        strconv.Itoa(http.StatusOK) + " " + http.StatusText(http.StatusOK),
		StatusCode:    http.StatusOK,
		Proto:         "HTTP/2.0",
		ProtoMajor:    2,
		Header:        h,
		ContentLength: -1,
		Body:          b,
	}
}

// Read waits for a frame unless one is left from before.
func (b *eventBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 && b.err == nil {
		b.rest, b.err = b.frame()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if n > 0 || len(p) == 0 && b.err == nil {
		return n, nil
	}
	return 0, b.err
}

// Close ends the subscription and whoever waits in Read.
func (b *eventBody) Close() error {
	b.cancel(http.ErrBodyReadAfterClose)
	b.sub.Close()
	return nil
}

// frame waits for the next frame. It may come with the error that follows it.
func (b *eventBody) frame() ([]byte, error) {
	if err := b.ctx.Err(); err != nil {
		return nil, context.Cause(b.ctx)
	}
	if !b.begun {
		b.begun = true
		return b.encode(eventstream.Event("initial-response", b.contentType), []byte("{}")), nil
	}
	for {
		if r, due := b.broken(); due {
			frame, err := b.breakBy(r)
			if frame != nil || err != nil {
				return frame, err
			}
			continue
		}
		ctx, cancel := b.patience()
		e, err := b.sub.Next(ctx, b.server.closed)
		cancel()
		switch {
		case errors.Is(err, errBreakDue):
			continue
		case errors.Is(err, stream.ErrStopped):
			return nil, errConnReset
		case err != nil:
			return nil, err
		}
		b.events++
		if e.Err != nil {
			return b.exception(&Error{Code: e.Err.Code, Message: e.Err.Message}), io.EOF
		}
		return b.encode(eventstream.Event("SubscribeToShardEvent", b.contentType), e.Payload), nil
	}
}

// broken returns the first of the faults to come whose moment is there.
func (b *eventBody) broken() (*rule, bool) {
	for _, r := range b.breaks {
		if b.events >= r.Subscription.AfterEvents && time.Since(b.since) >= r.Subscription.After {
			return r, true
		}
	}
	return nil, false
}

// patience returns the context to wait for an event in: it ends when a fault
// is due.
func (b *eventBody) patience() (context.Context, context.CancelFunc) {
	ctx, cancel := b.ctx, context.CancelFunc(func() {})
	for _, r := range b.breaks {
		if b.events >= r.Subscription.AfterEvents {
			end := cancel
			var next context.CancelFunc
			ctx, next = context.WithDeadlineCause(ctx, b.since.Add(r.Subscription.After), errBreakDue)
			cancel = func() { next(); end() }
		}
	}
	return ctx, cancel
}

// breakBy lets a fault happen. With neither a frame nor an error the
// subscription goes on.
func (b *eventBody) breakBy(r *rule) ([]byte, error) {
	for i, o := range b.breaks {
		if o == r {
			b.breaks = append(append([]*rule(nil), b.breaks[:i]...), b.breaks[i+1:]...)
			break
		}
	}
	switch r.Subscription.Kind {
	case BreakCut:
		b.sub.Close()
		return nil, errConnReset
	case BreakTruncate:
		b.sub.Close()
		whole := b.encode(eventstream.Event("SubscribeToShardEvent", b.contentType), []byte("{}"))
		return whole[:len(whole)/2], io.EOF
	case BreakEnd:
		b.sub.Close()
		return nil, io.EOF
	case BreakStall:
		b.server.hang(b.ctx, r)
		select {
		case <-b.server.closed:
			return nil, errConnReset
		default:
			return nil, context.Cause(b.ctx)
		}
	case BreakCorrupt:
		whole, err := b.frame()
		if len(whole) > 0 {
			whole[len(whole)-1] ^= 1
		}
		return whole, err
	case BreakError:
		b.sub.Close()
		e := r.Subscription.Error
		if e == nil {
			e = InternalFailure
		}
		return b.exception(e), io.EOF
	}
	return nil, nil
}

func (b *eventBody) exception(e *Error) []byte {
	payload, err := json.Marshal(map[string]string{"message": e.Message})
	if err != nil {
		payload = []byte("{}")
	}
	code := e.Code
	if code == InternalFailure.Code {
		code = "InternalFailureException" // as event streams call it
	}
	return b.encode(eventstream.Exception(code, b.contentType), payload)
}

// encode puts JSON in a frame, in the form that the request had.
func (b *eventBody) encode(headers []eventstream.Header, payload []byte) []byte {
	if b.contentType == typeCBOR {
		if c, err := cbor.FromJSON(payload); err == nil {
			payload = c
		}
	}
	return eventstream.Append(make([]byte, 0, len(payload)+256), headers, payload)
}

// serve writes the frames to a client as they come, and cuts the connection if
// the subscription does not end well.
func (b *eventBody) serve(w http.ResponseWriter) {
	defer func() { _ = b.Close() }() // it does not fail
	out := http.NewResponseController(w)
	for {
		frame, err := b.frame()
		if len(frame) > 0 {
			if _, err := w.Write(frame); err != nil {
				return // the client is gone
			}
			if err := out.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			panic(http.ErrAbortHandler)
		}
	}
}
