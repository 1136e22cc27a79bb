package consumer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// preludeBytes is the head of an event-stream frame: the lengths of the whole
	// and of its headers, and a checksum. leastFrame is that and one more checksum.
	preludeBytes = 12
	leastFrame   = 16

	// mostFrame is what the SDK's decoder takes at most: 16 MiB of payload, 128
	// KiB of headers.
	mostFrame = 16<<20 + 128<<10 + leastFrame
)

// errFrame is a frame that cannot be one.
var errFrame = errors.New("consumer: an event's length makes no sense")

// A gate lets the frames of an event stream through one by one, each when it is
// asked for and room has been made for it. The SDK would read ahead two events of
// a size that it does not tell; what is not read stays with the server.
//
// The SDK's goroutine reads, the subscription's asks, any closes.
type gate struct {
	body io.ReadCloser

	want chan struct{} // a frame is asked for
	size chan int64    // the answer: its length
	pass chan struct{} // there is room for it
	done chan struct{} // closed by Close
	once sync.Once
	torn atomic.Bool  // the stream ended within a frame, which the SDK does not tell
	read atomic.Int64 // bytes

	// Owned by the reader.
	begun bool   // the initial response, which nobody asks for, has begun
	head  []byte // of the frame, read already
	left  int64  // of the frame in body
}

func newGate(body io.ReadCloser) *gate {
	return &gate{body: body, want: make(chan struct{}), size: make(chan int64), pass: make(chan struct{}), done: make(chan struct{})}
}

// Read implements io.Reader. It never returns bytes of two frames at once.
func (g *gate) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(g.head) == 0 && g.left == 0 {
		if err := g.frame(); err != nil {
			return 0, err
		}
	}
	if len(g.head) > 0 {
		n := copy(b, g.head)
		g.head = g.head[n:]
		return n, nil
	}
	n, err := g.body.Read(b[:min(int64(len(b)), g.left)])
	g.left -= int64(n)
	g.read.Add(int64(n))
	if errors.Is(err, io.EOF) {
		if g.left == 0 {
			return n, nil // the next Read finds the end of the stream
		}
		g.torn.Store(true)
	}
	return n, err
}

// frame begins the next frame when it is asked for and may pass.
func (g *gate) frame() error {
	if g.begun && !g.wait(g.want) {
		return io.ErrClosedPipe
	}
	head := make([]byte, preludeBytes)
	if n, err := io.ReadFull(g.body, head); err != nil {
		if n > 0 {
			g.torn.Store(true)
		}
		return err
	}
	n := int64(binary.BigEndian.Uint32(head))
	if n < leastFrame || n > mostFrame {
		return errFrame
	}
	if g.begun {
		select {
		case g.size <- n:
		case <-g.done:
			return io.ErrClosedPipe
		}
		if !g.wait(g.pass) {
			return io.ErrClosedPipe
		}
	}
	g.begun, g.head, g.left = true, head, n-preludeBytes
	return nil
}

func (g *gate) wait(c chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-g.done:
		return false
	}
}

// Close ends the stream and whoever reads it.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.done) })
	return g.body.Close()
}

// A gatedClient is the HTTP client of one SubscribeToShard: it puts a gate before
// the events of the answer.
type gatedClient struct {
	next aws.HTTPClient
	gate *gate // set by Do
}

// Do implements aws.HTTPClient.
func (c *gatedClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		// The SDK's body has a WriteTo that fails when the answer comes early, which
		// makes net/http cut an HTTP/1.1 connection under the answer.
		r = r.WithContext(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	resp, err := c.next.Do(r)
	if err == nil && resp.StatusCode == http.StatusOK && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/vnd.amazon.eventstream") {
		c.gate = newGate(resp.Body)
		resp.Body = c.gate
	}
	return resp, err
}

// ask asks for the next frame and returns its length, or false if the stream or
// ctx has ended.
func (g *gate) ask(ctx context.Context) (int64, bool) {
	select {
	case g.want <- struct{}{}:
	case <-g.done:
		return 0, false
	case <-ctx.Done():
		return 0, false
	}
	select {
	case n := <-g.size:
		return n, true
	case <-g.done:
	case <-ctx.Done():
	}
	return 0, false
}

// grant lets the frame asked for pass, and reports whether it may come.
func (g *gate) grant(ctx context.Context) bool {
	select {
	case g.pass <- struct{}{}:
		return true
	case <-g.done:
	case <-ctx.Done():
	}
	return false
}
