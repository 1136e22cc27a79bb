package kinesistest

import (
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// A transport is the HTTP client of [Server.Config]: it serves each request on
// the goroutine that asks.
type transport struct {
	server *Server
	client string
}

// Do serves a request. Its errors look like those of a network.
func (t *transport) Do(r *http.Request) (*http.Response, error) {
	resp, err := t.do(r)
	if r.Body != nil {
		r.Body.Close()
	}
	if err != nil {
		return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: err}
	}
	resp.Request = r
	return resp, nil
}

func (t *transport) do(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h := r.Header
	if t.client != "" {
		h = maps.Clone(h)
		h.Set(ClientHeader, t.client)
	}
	length := r.ContentLength
	if length == 0 && r.Body != nil {
		length = -1 // in a client's request that means unknown
	}
	resp, err := t.server.exchange(ctx, h, r.Body, length)
	switch {
	case errors.Is(err, errCut):
		return nil, &net.OpError{Op: "read", Net: "memory", Err: syscall.ECONNRESET}
	case errors.Is(err, ErrClosed):
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: ErrClosed}
	case err != nil:
		return nil, err
	}
	// As on a network, a caller who has given up gets no response, whatever
	// became of the request.
	if err := ctx.Err(); err != nil {
		_ = resp.Body.Close() // it does not fail
		return nil, err
	}
	return resp, nil
}
