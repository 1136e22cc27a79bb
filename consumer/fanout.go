package consumer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/internal/wire"
)

const (
	// streamWindow is what a connection takes in for a subscription that is not
	// read. Go's own 4 MiB would be a lot for a thousand of them.
	streamWindow = 512 << 10

	// A connection that has been silent so long is asked whether it lives.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
)

// A fanOut is what the subscriptions to one stream share.
type fanOut struct {
	client    FanOutAPI
	consumer  *registrar
	transport *fanOutTransport
	shared    *fanOuts
	users     int // retrievers; guarded by shared.mu
}

// fanOuts are what subscriptions share, by stream, for one run of a Consumer.
type fanOuts struct {
	transport fanOutTransport

	mu       sync.Mutex
	byStream map[streamRef]*fanOut
	looking  sync.WaitGroup // the registrars
}

// of returns what the subscriptions to a stream share, nil if it is polled, for a
// user that calls leave. The first one to ask starts to look for the consumer; run
// ends that.
func (s *fanOuts) of(run context.Context, client KinesisAPI, stream streamRef, o *Options, identity string) (*fanOut, error) {
	if o.Retrieval == Polling {
		return nil, nil
	}
	api, ok := client.(FanOutAPI)
	if !ok {
		return nil, &fatalError{fmt.Errorf("consumer: stream %s: Retrieval is %v, but the client has not the methods of FanOutAPI", stream.name, o.Retrieval)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.byStream[stream]
	if f == nil {
		f = &fanOut{client: api, transport: &s.transport, shared: s, consumer: newRegistrar(api, stream, o.FanOutConsumer, identity)}
		if s.byStream == nil {
			s.byStream = make(map[streamRef]*fanOut)
		}
		s.byStream[stream] = f
		s.looking.Go(func() { f.consumer.run(run, f.wanted) })
	}
	f.users++
	return f, nil
}

// leave says that a user of f has ended.
func (f *fanOut) leave() {
	f.shared.mu.Lock()
	defer f.shared.mu.Unlock()
	f.users--
}

// wanted reports whether f has users. If not it is dropped, and who comes next begins
// anew: it may be of a stream that is gone.
func (f *fanOut) wanted() bool {
	s := f.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.users == 0 {
		delete(s.byStream, f.consumer.stream)
	}
	return f.users > 0
}

// end waits for what of has started, whose run has ended, and closes the
// connections.
func (s *fanOuts) end() {
	s.looking.Wait()
	s.mu.Lock()
	s.byStream = nil
	s.mu.Unlock()
	s.transport.close()
}

// perCall sets up one SubscribeToShard.
func (f *fanOut) perCall(c *gatedClient, w *wire.Codec) func(*kinesis.Options) {
	return func(o *kinesis.Options) {
		o.Retryer = aws.NopRetryer{}
		w.Events(o)
		c.next = f.transport.forEvents(o.HTTPClient)
		o.HTTPClient = c
	}
}

// A fanOutTransport makes the HTTP clients of subscriptions: connections of their
// own, so that polls and puts do not wait behind events, with a small window, and
// no bound on how long an answer lasts. It is safe for concurrent use.
type fanOutTransport struct {
	mu      sync.Mutex
	derived map[*awshttp.BuildableClient]*http.Client
}

// forEvents returns the client for subscriptions that goes with c. What is not
// the SDK's own, such as one that serves a test, stays in place.
func (t *fanOutTransport) forEvents(c aws.HTTPClient) aws.HTTPClient {
	b, ok := c.(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.derived[b]; d != nil {
		return d
	}
	tr := b.GetTransport()
	tr.ForceAttemptHTTP2 = true
	tr.DisableCompression = true
	tr.MaxConnsPerHost = 0 // on HTTP/1.1 each subscription has a connection
	tr.HTTP2 = &http.HTTP2Config{
		MaxReceiveBufferPerStream: streamWindow,
		SendPingTimeout:           pingAfter,
		PingTimeout:               pingTimeout,
	}
	d := &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if t.derived == nil {
		t.derived = make(map[*awshttp.BuildableClient]*http.Client)
	}
	t.derived[b] = d
	return d
}

// close ends the connections that no subscription uses any more.
func (t *fanOutTransport) close() {
	t.mu.Lock()
	clients := make([]*http.Client, 0, len(t.derived))
	for _, d := range t.derived {
		clients = append(clients, d)
	}
	t.derived = nil
	t.mu.Unlock()
	for _, d := range clients {
		d.CloseIdleConnections()
	}
}

// ErrConsumerInUse is what [Consumer.Deregister] returns while workers of the
// application are there.
var ErrConsumerInUse = errors.New("consumer: fan-out consumer is in use")

// Deregister removes the fan-out consumer [Options.FanOutConsumer] from the
// stream, since it costs money as long as it is registered. That it is not there
// is no error. It returns an error that wraps [ErrConsumerInUse] while a worker of
// the application, this one included, holds a shard or is known to live, as the
// lease table tells; so it is for after the last one's end. A worker that starts
// meanwhile polls until it has registered the consumer again.
func (c *Consumer) Deregister(ctx context.Context) error {
	api, ok := c.client.(FanOutAPI)
	if !ok || c.opts.FanOutConsumer == "" {
		return errors.New("consumer: there is no fan-out consumer to deregister: FanOutConsumer is not set")
	}
	if c.running.Load() {
		return fmt.Errorf("%w by this worker", ErrConsumerInUse)
	}
	return c.deregister(ctx, api)
}

func (c *Consumer) deregister(ctx context.Context, api FanOutAPI) error {
	fleet, err := c.leases.Fleet(ctx)
	if err != nil {
		return fmt.Errorf("consumer: deregister fan-out consumer: %w", err)
	}
	for _, w := range fleet.Workers {
		if w.ID != c.leases.WorkerID() && (w.Alive || w.Leases > 0) {
			return fmt.Errorf("%w by worker %s", ErrConsumerInUse, w.ID)
		}
	}
	if c.many != nil {
		return c.many.deregister(ctx, c.opts.FanOutConsumer, c.leases.WorkerID())
	}
	return newRegistrar(api, c.stream, c.opts.FanOutConsumer, c.leases.WorkerID()).deregister(ctx)
}

// deregisterLast is Deregister at the end of Run. Of workers that end at the same
// time at least the last to look sees no other.
func (c *Consumer) deregisterLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	api, _ := c.client.(FanOutAPI)
	switch err := c.deregister(ctx, api); {
	case errors.Is(err, ErrConsumerInUse):
		c.opts.Logger.Info("fan-out consumer not deregistered", "stream", c.stream.name, "error", err)
	case err != nil:
		c.opts.Logger.Warn("fan-out consumer not deregistered", "stream", c.stream.name, "error", err)
	}
}
