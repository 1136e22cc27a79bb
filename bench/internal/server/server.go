// Package server is what the contestants talk to: the embedded server of package
// kinesistest behind TLS and HTTP/2, with the bytes of the connections counted, and
// a look at what has arrived.
package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// Stream is the name of the stream.
const Stream = "bench"

// A Server is an embedded server with one stream, made for one run.
type Server struct {
	*kinesistest.Server
	Endpoint string

	// OnRead is called before each request for records.
	OnRead func()

	front    http.Server
	received atomic.Int64
	served   sync.WaitGroup
	ended    error // of served
}

// New starts a server with a stream of so many shards.
func New(shards int) (*Server, error) {
	s := &Server{
		Server: kinesistest.NewServer(kinesistest.Unthrottled, func(o *kinesistest.Options) {
			o.JournalEntries = 0
			o.Limits.FullPagePause = 0
			o.Limits.ControlCalls = nil
		}),
		OnRead: func() {},
	}
	if err := s.CreateStream(Stream, shards); err != nil {
		return nil, err
	}
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Endpoint = "https://" + l.Addr().String()
	s.front = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: time.Minute,
	}
	s.served.Go(func() { s.ended = s.front.ServeTLS(&counting{l, &s.received}, "", "") })
	return s, nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
	case "GetRecords", "SubscribeToShard":
		s.OnRead()
	}
	s.ServeHTTP(w, r)
}

// Close ends it.
func (s *Server) Close() error {
	s.Server.Close()
	err := s.front.Close()
	s.served.Wait()
	if !errors.Is(s.ended, http.ErrServerClosed) {
		err = errors.Join(err, s.ended)
	}
	return err
}

// Received is how many bytes the clients have sent, TLS included.
func (s *Server) Received() int64 { return s.received.Load() }

// Load puts the records that consumers are to read.
func (s *Server) Load(records, size, keys int, aggregate bool) error {
	p, err := producer.New(kinesis.NewFromConfig(s.Config()), Stream, func(o *producer.Options) {
		o.Aggregate = aggregate
		o.RateLimit = 0
		o.RecordTTL = 10 * time.Minute
		o.RequestTimeout = time.Minute
	})
	if err != nil {
		return err
	}
	names := contest.Keys(keys)
	data := make([]byte, size)
	var failed atomic.Value
	for id := range records {
		contest.Fill(data, id, false)
		err := p.PutAsync(context.Background(), producer.Record{PartitionKey: names[id%keys], Data: data}, func(r producer.Result) {
			if r.Err != nil {
				failed.Store(r.Err)
			}
		})
		if err != nil {
			return err
		}
	}
	err = p.Close(context.Background())
	if f := failed.Load(); f != nil {
		err = errors.Join(err, fmt.Errorf("a record was not stored: %v", f))
	}
	return err
}

// counting counts what its connections read.
type counting struct {
	net.Listener
	n *atomic.Int64
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{c, l.n}, nil
}

type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// selfSigned makes a certificate that nobody checks.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, // Java wants a name
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
