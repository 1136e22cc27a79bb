package contract_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/kinesistest/contract"
)

// withWindows makes the states of streams and tables last, as on AWS.
func withWindows(o *kinesistest.Options) {
	const window = time.Second
	o.StreamCreating, o.StreamUpdating, o.StreamDeleting = window, window, window
	o.ConsumerCreating, o.ConsumerDeleting = window, window
	o.TableCreating, o.TableDeleting, o.IndexCreating = window, window, window
}

func clients(cfg aws.Config) (*kinesis.Client, *dynamodb.Client) {
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return kinesis.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)
}

// embedded runs the contract on servers in this process, each check on its own
// in a bubble. serve gives the way to one.
func embedded(t *testing.T, name string, serve func(t *testing.T, srv *kinesistest.Server, cfg *aws.Config)) {
	t.Parallel()
	if asked() {
		return // of the server at an endpoint alone
	}
	contract.Run(t, contract.Target{
		Name:   name,
		Bubble: true,
		Clients: func(t *testing.T) (*kinesis.Client, *dynamodb.Client) {
			srv := kinesistest.NewServer(withWindows)
			cfg := srv.Config()
			serve(t, srv, &cfg)
			t.Cleanup(srv.Close)
			return clients(cfg)
		},
	})
}

func TestContractInMemory(t *testing.T) {
	embedded(t, "kinesistest in memory", func(*testing.T, *kinesistest.Server, *aws.Config) {})
}

// Real HTTP on pipes instead of sockets: in a bubble no check depends on how
// busy the machine is.
func TestContractOverHTTP(t *testing.T) {
	embedded(t, "kinesistest over HTTP", func(t *testing.T, srv *kinesistest.Server, cfg *aws.Config) {
		cfg.HTTPClient = servePipes(t, srv, nil)
	})
}

// HTTP/2 over TLS, as AWS speaks it; with an older Go HTTP/1.1 over TLS.
func TestContractOverTLS(t *testing.T) {
	cert := certificate(t)
	embedded(t, "kinesistest over TLS", func(t *testing.T, srv *kinesistest.Server, cfg *aws.Config) {
		cfg.BaseEndpoint = aws.String("https://kinesistest.invalid")
		cfg.HTTPClient = servePipes(t, srv, cert)
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

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// servePipes serves a handler until the test ends, over HTTP/1.1 or with a
// certificate over TLS, and HTTP/2 where that works, and returns a client for it.
func servePipes(t *testing.T, h http.Handler, cert *tls.Certificate) *http.Client {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	transport := &http.Transport{DialContext: p.dial, Protocols: server.Protocols}
	var serving sync.WaitGroup
	var via http.RoundTripper = readOnly{transport}
	if http2 := cert != nil && http2InBubbles; http2 {
		server.Protocols.SetHTTP2(true)
		via = onlyHTTP2{transport}
	} else {
		server.Protocols.SetHTTP1(true)
	}
	if cert == nil {
		serving.Go(func() { _ = server.Serve(p) })
	} else {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
		roots := x509.NewCertPool()
		roots.AddCert(cert.Leaf)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		serving.Go(func() { _ = server.ServeTLS(p, "", "") })
	}
	t.Cleanup(func() {
		// One side at a time: a TLS connection says farewell as it is closed, on a
		// pipe that somebody has to read, and the server locks itself meanwhile.
		transport.CloseIdleConnections()
		synctest.Wait()
		_ = server.Close()
		serving.Wait()
	})
	return &http.Client{Transport: via}
}

// certificate makes one for kinesistest.invalid that is good in bubbles, where
// it is the year 2000, and outside.
func certificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:              []string{"kinesistest.invalid"},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// readOnly hides every method of a request's body but Read and Close. The SDK's
// has a WriteTo that fails once the response has begun, and net/http then closes
// the connection under the response (aws-sdk-go-v2#1825).
type readOnly struct{ next http.RoundTripper }

func (r readOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = struct{ io.ReadCloser }{req.Body}
	}
	return r.next.RoundTrip(req)
}

// onlyHTTP2 fails what did not come over HTTP/2.
type onlyHTTP2 struct{ next http.RoundTripper }

func (r onlyHTTP2) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil && resp.ProtoMajor != 2 {
		resp.Body.Close()
		return nil, errors.New("answered over " + resp.Proto)
	}
	return resp, err
}
