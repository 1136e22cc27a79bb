package kinesistest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

const (
	// headerTime and bodyTime are how long a client may take to send a request's
	// header and its body. The first ends connections that never send one. Between
	// requests a connection may be idle for ever: to end it costs clients a call
	// that meets the end on its way.
	headerTime = time.Minute
	bodyTime   = time.Minute

	// headerBytes is what a header may have. Session tokens are the largest part
	// of one, with a few kilobytes.
	headerBytes = 64 << 10
)

// A listener is a network address the server answers at.
type listener struct {
	http    http.Server
	serving sync.WaitGroup
}

// Listen serves HTTP/1.1 and unencrypted HTTP/2 on a TCP address such as
// "127.0.0.1:0" and returns its URL, which is ready for use as a BaseEndpoint.
// It starts goroutines, which [Server.Close] ends. A server listens on any
// number of addresses.
//
// The SDK for Go has a fault on plain HTTP/1.1 that breaks a few answers in a
// thousand (aws/aws-sdk-go-v2#1825); let its transport speak unencrypted
// HTTP/2, or use [Server.Config], which needs no network.
func (s *Server) Listen(address string) (string, error) {
	return s.listen("http", address, func(ln net.Listener) (net.Listener, error) { return ln, nil })
}

// ListenTLS is Listen for HTTP/1.1 and HTTP/2 over TLS, which the Kinesis
// Producer Library insists on. Without certs the server presents a certificate
// of its own for localhost, 127.0.0.1, ::1 and the machine's name, made anew by
// each server: see [Server.TLSConfig] and [Server.CertificatePEM].
func (s *Server) ListenTLS(address string, certs ...tls.Certificate) (string, error) {
	return s.listen("https", address, func(ln net.Listener) (net.Listener, error) {
		config := &tls.Config{Certificates: slices.Clone(certs), MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
		if len(certs) == 0 {
			own, err := s.certificate()
			if err != nil {
				return nil, err
			}
			config.Certificates = []tls.Certificate{*own}
		}
		return &tlsListener{tls.NewListener(ln, config)}, nil
	})
}

// A tlsListener hides from net/http that its connections are encrypted, so that
// it looks at their first bytes to tell HTTP/2. A client that has not asked for
// it in the handshake may speak it all the same, as the SDK for Java does.
type tlsListener struct{ net.Listener }

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tlsConn{c}, nil
}

type tlsConn struct{ net.Conn }

// Read tells a client that speaks plain HTTP what is wrong in the words that it
// understands, as net/http does where it knows of the encryption.
func (c tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil {
		switch string(plain.RecordHeader[:]) {
		case "GET /", "POST ", "PUT /", "HEAD ", "OPTIO":
			// The connection ends now, whether this arrives or not.
			_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nkinesistest speaks HTTPS here: want a URL that begins with https\n")
		}
	}
	return n, err
}

// listen serves a scheme at an address, on what wrap makes of it.
func (s *Server) listen(scheme, address string, wrap func(net.Listener) (net.Listener, error)) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return "", ErrClosed
	}
	l := &listener{}
	l.http.Handler = http.HandlerFunc(s.serveCounted)
	l.http.ReadHeaderTimeout = headerTime
	l.http.MaxHeaderBytes = headerBytes
	l.http.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // what clients send is not worth a line
	l.http.Protocols = new(http.Protocols)
	l.http.Protocols.SetHTTP1(true)
	l.http.Protocols.SetUnencryptedHTTP2(true)
	// A large put in one flow-control window: small ones cost round trips.
	l.http.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 20, MaxReceiveBufferPerConnection: 16 << 20}
	plain, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("kinesistest: listening: %w", err)
	}
	ln, err := wrap(plain)
	if err != nil {
		_ = plain.Close() // nobody has used it
		return "", err
	}
	l.serving.Go(func() { _ = l.http.Serve(ln) }) // it ends by close alone
	s.listeners = append(s.listeners, l)
	return scheme + "://" + plain.Addr().String(), nil
}

func (l *listener) close() {
	_ = l.http.Close() // connections in use are cut; there is nothing to report
	l.serving.Wait()
}

// serveCounted is ServeHTTP for our own listeners, whose handlers Close waits
// for; it has cut their connections by then.
func (s *Server) serveCounted(w http.ResponseWriter, r *http.Request) {
	if s.enter() != nil {
		panic(http.ErrAbortHandler)
	}
	defer s.calls.Done()
	s.ServeHTTP(w, r)
}

// ServeHTTP answers a request to either service, told apart by X-Amz-Target. A
// [Fault] that loses a response makes it panic with [http.ErrAbortHandler],
// which cuts the connection. The answer to a SubscribeToShard lasts as long as
// the subscription does, and is given up when the client goes away.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == certificatePath && s.giveCertificate(w) {
		return
	}
	if r.Method != http.MethodPost {
		e := &api.Error{Status: http.StatusNotFound, Code: "UnknownOperationException",
			Message: "this is kinesistest; operations are POST requests with an X-Amz-Target"}
		s.write(w, s.response(protocol{contentType: "application/x-amz-json-1.1"}, answerOf(nil, e)))
		return
	}
	resp, err := s.exchange(r.Context(), r.Header, timed(w, r), r.ContentLength)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.write(w, resp)
}

func (s *Server) write(w http.ResponseWriter, resp *http.Response) {
	h := w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	if events, ok := resp.Body.(*eventBody); ok {
		events.serve(w)
		return
	}
	// If writing fails, the client is gone. If the body ends too early, that is
	// a fault's doing, and the client is to see it.
	if _, err := io.Copy(w, resp.Body); errors.Is(err, io.ErrUnexpectedEOF) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// A timedBody is a request's body that has to come within bodyTime. What comes
// behind it has time: the connection is then watched for its end.
type timedBody struct {
	io.Reader
	deadlines *http.ResponseController
	left      int64 // bytes to come, negative if unknown
}

func timed(w http.ResponseWriter, r *http.Request) *timedBody {
	b := &timedBody{r.Body, http.NewResponseController(w), r.ContentLength}
	if b.left != 0 {
		// Where there are no deadlines, there is no connection to hold.
		_ = b.deadlines.SetReadDeadline(time.Now().Add(bodyTime))
	}
	return b
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if b.left == 0 || errors.Is(err, io.EOF) {
		_ = b.deadlines.SetReadDeadline(time.Time{})
	}
	return n, err
}
