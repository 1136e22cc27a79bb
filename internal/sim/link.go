package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A link is the way from one client to the server, and where the client gets its
// credentials. It breaks what the server cannot: bodies, and signing.
type link struct {
	world       *World
	client      string
	inner       aws.HTTPClient
	credentials aws.CredentialsProvider

	mu       sync.Mutex
	ignorant bool                     // it has not seen that its stream was gone
	endless  func(*http.Request) bool // answer this with a body that does not end
	signing  error                    // what Retrieve fails with
	stuck    chan struct{}            // Retrieve waits for its end
}

// errCredentials is what a credentials provider in trouble answers.
var errCredentials = errors.New("sim: no credentials at the moment")

// Do sends a request.
func (l *link) Do(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	endless := l.endless
	l.mu.Unlock()
	resp, err := l.inner.Do(r)
	if err == nil && endless != nil && endless(r) {
		resp.Body.Close()
		resp.Body, resp.ContentLength = &endlessBody{ctx: r.Context()}, -1
		resp.Header.Del("Content-Length")
		return resp, nil
	}
	if err == nil && resp.Header.Get("X-Amzn-Errortype") == notThere.Code && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutRecords") {
		var told []byte
		told, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(told))
		if err != nil {
			return nil, err
		}
		if json.Valid(told) { // who gets a part of an answer has not seen it
			l.mu.Lock()
			l.ignorant = false
			l.mu.Unlock()
		}
	}
	return resp, err
}

// Retrieve returns the client's credentials.
func (l *link) Retrieve(ctx context.Context) (aws.Credentials, error) {
	l.mu.Lock()
	err, stuck := l.signing, l.stuck
	l.mu.Unlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-ctx.Done():
			return aws.Credentials{}, ctx.Err()
		}
	}
	if err != nil {
		return aws.Credentials{}, err
	}
	return l.credentials.Retrieve(ctx)
}

// An endlessBody begins like an answer and goes on with it for ever, 16 KiB a
// millisecond, until the request's context ends.
type endlessBody struct {
	ctx   context.Context //nolint:containedctx // of the request whose answer it is
	begun bool
	left  int // to be read before the next wait
}

func (b *endlessBody) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		return copy(p, `{"Records":[{"ShardId":"`), nil
	}
	if b.left == 0 {
		if !sleep(b.ctx, time.Millisecond) {
			return 0, b.ctx.Err()
		}
		b.left = 2 << 10
	}
	n := min(len(p), b.left)
	for i := range n {
		p[i] = 'a'
	}
	b.left -= n
	return n, nil
}

func (*endlessBody) Close() error { return nil }

var _ io.ReadCloser = (*endlessBody)(nil)
