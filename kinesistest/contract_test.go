package kinesistest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/internal/contract"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// withWindows makes the states of streams and tables last, as on AWS.
func withWindows(o *kinesistest.Options) {
	const window = 3 * time.Second
	o.StreamCreating, o.StreamUpdating, o.StreamDeleting = window, window, window
	o.TableCreating, o.TableDeleting, o.IndexCreating = window, window, window
}

func clients(cfg aws.Config) (*kinesis.Client, *dynamodb.Client) {
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return kinesis.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)
}

func TestContractInMemory(t *testing.T) {
	t.Parallel()
	contract.Run(t, contract.Target{
		Name:   "kinesistest in memory",
		Bubble: true,
		Clients: func(t *testing.T) (*kinesis.Client, *dynamodb.Client) {
			srv := kinesistest.NewServer(withWindows)
			t.Cleanup(srv.Close)
			return clients(srv.Config())
		},
	})
}

// Real HTTP on pipes instead of sockets: in a bubble no check depends on how
// busy the machine is.
func TestContractOverHTTP(t *testing.T) {
	t.Parallel()
	contract.Run(t, contract.Target{
		Name:   "kinesistest over HTTP",
		Bubble: true,
		Clients: func(t *testing.T) (*kinesis.Client, *dynamodb.Client) {
			srv := kinesistest.NewServer(withWindows)
			cfg := srv.Config()
			cfg.HTTPClient = servePipes(t, srv)
			t.Cleanup(srv.Close)
			return clients(cfg)
		},
	})
}

// pipes is a listener of in-memory connections.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// servePipes serves a handler over HTTP until the test ends, and
// returns a client for it.
func servePipes(t *testing.T, h http.Handler) *http.Client {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	server := &http.Server{Handler: h, Protocols: &protocols}
	transport := &http.Transport{Protocols: &protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case p.conns <- server:
			return client, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(p) })
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		serving.Wait()
	})
	return &http.Client{Transport: readOnly{transport}}
}

// readOnly hides every method of a request's body but Read and Close. The SDK's
// has a WriteTo that fails once the response has begun, and net/http then closes
// the connection under the response (aws-sdk-go-v2#1825).
type readOnly struct{ next http.RoundTripper }

func (r readOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body = struct{ io.ReadCloser }{req.Body}
	}
	return r.next.RoundTrip(req)
}
