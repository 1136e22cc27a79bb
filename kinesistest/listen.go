package kinesistest

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return "", ErrClosed
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("kinesistest: listening: %w", err)
	}
	l := &listener{}
	l.http.Handler = s
	l.http.ReadHeaderTimeout = time.Minute
	l.http.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // what clients send is not worth a line
	l.http.Protocols = new(http.Protocols)
	l.http.Protocols.SetHTTP1(true)
	l.http.Protocols.SetUnencryptedHTTP2(true)
	// A large put in one flow-control window: small ones cost round trips.
	l.http.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 20, MaxReceiveBufferPerConnection: 16 << 20}
	l.serving.Go(func() { _ = l.http.Serve(ln) }) // it ends by close alone
	s.listeners = append(s.listeners, l)
	return "http://" + ln.Addr().String(), nil
}

func (l *listener) close() {
	_ = l.http.Close() // connections in use are cut; there is nothing to report
	l.serving.Wait()
}

// ServeHTTP answers a request to either service, told apart by X-Amz-Target. A
// [Fault] that loses a response makes it panic with [http.ErrAbortHandler],
// which cuts the connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		e := &api.Error{Status: http.StatusNotFound, Code: "UnknownOperationException",
			Message: "this is kinesistest; operations are POST requests with an X-Amz-Target"}
		s.write(w, s.response(protocol{contentType: "application/x-amz-json-1.1"}, answerOf(nil, e)))
		return
	}
	resp, err := s.exchange(r.Context(), r.Header, r.Body, r.ContentLength)
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
	// If writing fails, the client is gone. If the body ends too early, that is
	// a fault's doing, and the client is to see it.
	if _, err := io.Copy(w, resp.Body); errors.Is(err, io.ErrUnexpectedEOF) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}
