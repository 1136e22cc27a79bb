package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
)

// A tap is a server on a network that notes which connections carry
// subscriptions.
type tap struct {
	*httptest.Server
	subscriptions sync.WaitGroup

	mu      sync.Mutex
	proto   map[int]int    // subscriptions by version of HTTP
	now     map[string]int // by connection
	most    int            // at once on one connection
	carried map[string]chan struct{}
	ended   map[string]chan struct{} // connections, closed with them
}

func newTap(t *testing.T, h http.Handler) *tap {
	p := &tap{proto: map[int]int{}, now: map[string]int{}, carried: map[string]chan struct{}{}, ended: map[string]chan struct{}{}}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".SubscribeToShard") {
			p.begin(r)
			defer p.end(r)
		}
		h.ServeHTTP(rw, r)
	}))
	p.EnableHTTP2 = true
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections cut while they are made
	p.Config.ConnState = func(c net.Conn, s http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		addr := c.RemoteAddr().String()
		switch s {
		case http.StateNew:
			p.ended[addr] = make(chan struct{})
		case http.StateClosed:
			close(p.ended[addr])
		}
	}
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *tap) begin(r *http.Request) {
	p.subscriptions.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proto[r.ProtoMajor]++
	p.now[r.RemoteAddr]++
	p.most = max(p.most, p.now[r.RemoteAddr])
	p.carried[r.RemoteAddr] = p.ended[r.RemoteAddr]
}

func (p *tap) end(r *http.Request) {
	p.mu.Lock()
	p.now[r.RemoteAddr]--
	p.mu.Unlock()
	p.subscriptions.Done()
}

// within fails the test unless c is closed before ctx ends.
func within(ctx context.Context, t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-ctx.Done():
		t.Fatalf("%s: %v", what, context.Cause(ctx))
	}
}

// labelled returns the stacks of the goroutines that were started under a label.
func labelled(label string) string {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	var found []string
	for _, block := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(block, label) {
			found = append(found, block)
		}
	}
	return strings.Join(found, "\n\n")
}

// On a network, with the SDK's own HTTP client: the subscriptions of a stream
// share connections of HTTP/2 that carry nothing else; when these are cut, all go
// on where they were; and the end of Run leaves neither streams
// nor connections nor goroutines.
func TestFanOutOverHTTP2(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	const shards, label = 6, "fan-out-over-http2"
	srv := kinesistest.NewServer(kinesistest.Unthrottled, func(o *kinesistest.Options) { o.ConsumerCreating = 0 })
	defer srv.Close()
	net := newTap(t, srv)
	w := &world{t: t, srv: srv, client: kinesis.NewFromConfig(srv.Config()), put: map[string]bool{}}
	if err := srv.CreateStream(stream, shards); err != nil {
		t.Fatal(err)
	}
	_, err := w.client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/" + stream), ConsumerName: aws.String(app),
	})
	if err != nil {
		t.Fatal(err)
	}
	polls := w.calls("GetRecords")
	cfg := srv.Config()
	cfg.BaseEndpoint = &net.URL
	cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig = net.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	})
	var s switches
	c, err := consumer.New(kinesis.NewFromConfig(cfg), lease.NewMemoryStore(), stream, fanOut, s.option)
	if err != nil {
		t.Fatal(err)
	}

	got := make(chan string, 1000)
	run, stop := context.WithCancel(ctx)
	var ended error
	var wg sync.WaitGroup
	wg.Go(func() {
		pprof.Do(run, pprof.Labels("test", label), func(ctx context.Context) {
			ended = c.Run(ctx, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				got <- string(r.Data)
				return nil
			}))
		})
	})
	seen := map[string]bool{}
	arrive := func() {
		t.Helper()
		for len(seen) < len(w.put) {
			select {
			case id := <-got:
				if seen[id] {
					t.Errorf("%s came twice", id)
				}
				seen[id] = true
			case <-ctx.Done():
				t.Fatalf("%d of %d records came", len(seen), len(w.put))
			}
		}
	}
	w.puts(300)
	arrive()
	net.CloseClientConnections()
	w.puts(300)
	arrive()
	stop()
	wg.Wait()
	if !errors.Is(ended, context.Canceled) && ended != nil {
		t.Error(ended)
	}
	if len(got) > 0 {
		t.Errorf("%d records came twice", len(got))
	}

	closed := make(chan struct{})
	wg.Go(func() { net.subscriptions.Wait(); close(closed) })
	within(ctx, t, "subscriptions go on", closed)
	for addr, closed := range net.carried {
		within(ctx, t, "connection of "+addr+" is open", closed)
	}
	if net.proto[2] < shards || len(net.proto) != 1 || net.most < 2 {
		t.Errorf("subscriptions by version of HTTP %v, at most %d on a connection", net.proto, net.most)
	}
	slow := false // a machine that stands still for 10 s is no matter of connections
	for _, i := range s.all {
		slow = slow || i.Err != nil && strings.Contains(i.Err.Error(), " for 1")
	}
	if polls.Load() > 0 && !slow {
		t.Errorf("%d polls, switches %+v", polls.Load(), s.all)
	}
	t.Logf("%d subscriptions over %d connections, %d polls", net.proto[2], len(net.carried), polls.Load())
	net.Close() // and with it the connections that the client keeps for other calls
	for left := labelled(label); left != ""; left = labelled(label) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("goroutines are left:\n%s", left)
		}
	}
}
