package kinesistest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// A way is a kind of network to a server.
type way struct {
	name   string
	listen func(*kinesistest.Server) (url string, err error)
	http1  bool
}

var ways = []way{
	{"HTTP/1.1", func(s *kinesistest.Server) (string, error) { return s.Listen("127.0.0.1:0") }, true},
	{"HTTP/2", func(s *kinesistest.Server) (string, error) { return s.Listen("127.0.0.1:0") }, false},
	{"TLS and HTTP/1.1", func(s *kinesistest.Server) (string, error) { return s.ListenTLS("127.0.0.1:0") }, true},
	{"TLS and HTTP/2", func(s *kinesistest.Server) (string, error) { return s.ListenTLS("127.0.0.1:0") }, false},
}

// transport returns one that trusts the server and speaks one version of HTTP.
func (w way) transport(t *testing.T, srv *kinesistest.Server) *http.Transport {
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: srv.TLSConfig()}
	transport.Protocols.SetHTTP1(w.http1)
	transport.Protocols.SetUnencryptedHTTP2(!w.http1)
	transport.Protocols.SetHTTP2(!w.http1)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
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

// onEveryWay runs f with a consumer of the stream "s" on each kind of network.
func onEveryWay(t *testing.T, f func(t *testing.T, c *fan), optFns ...func(*kinesistest.Options)) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			srv := kinesistest.NewServer(optFns...)
			t.Cleanup(srv.Close)
			url, err := w.listen(srv)
			if err != nil {
				t.Fatal(err)
			}
			cfg := srv.Config()
			cfg.BaseEndpoint, cfg.HTTPClient = &url, &http.Client{Transport: readOnly{w.transport(t, srv)}}
			cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
			client := kinesis.NewFromConfig(cfg)
			mustCreate(t, srv, "s", 1)
			f(t, newFan(t, srv, client))
		})
	}
}

func TestSubscribeOverEveryNetwork(t *testing.T) {
	onEveryWay(t, func(t *testing.T, c *fan) {
		out, err := c.client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: &c.arn, ShardId: aws.String(shard0), StartingPosition: &latest})
		if err != nil {
			t.Fatal(err)
		}
		raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
		if want := map[bool]int{true: 1, false: 2}[strings.HasSuffix(t.Name(), "1.1")]; !ok || raw.ProtoMajor != want || raw.Header.Get("Content-Type") != "application/vnd.amazon.eventstream" {
			t.Errorf("HTTP/%d, want %d; header %v", raw.ProtoMajor, want, raw.Header)
		}
		s := out.GetStream()
		defer s.Close()
		for _, want := range []string{"a", "b", "c"} {
			c.put(want)
			if got, _ := read(t, s, 1); got != want {
				t.Errorf("pushed %q, want %q", got, want)
			}
		}
		if _, err := c.client.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &c.arn}); err != nil {
			t.Fatal(err)
		}
		if e := next(s); e != nil || !isError[*types.ResourceNotFoundException](s.Err()) {
			t.Errorf("after the deregistration: %v, %v", e, s.Err())
		}
	})
}

// fill puts more than any buffer between two programs holds, and returns how
// many records of 1 MiB that is.
func (c *fan) fill() int {
	c.Helper()
	const calls, records = 2, 8
	body := putBody(records, 1<<20-8)
	for range calls {
		r, err := http.NewRequestWithContext(c.Context(), http.MethodPost, "http://x.invalid", bytes.NewReader(body))
		if err != nil {
			c.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
		resp, err := c.srv.Config().HTTPClient.Do(r)
		if err != nil || resp.StatusCode != 200 {
			c.Fatalf("%+v, %v", resp, err)
		}
	}
	return calls * records
}

// What a client does not read stays in the stream, however much it is, and
// comes when it reads.
func TestReaderThatComesLate(t *testing.T) {
	onEveryWay(t, func(t *testing.T, c *fan) {
		s := c.subscribe(shard0, horizon)
		defer s.Close()
		want := c.fill()
		if got, _ := read(t, s, want); len(got) != want<<20-8*want+want-1 {
			t.Errorf("%d bytes", len(got))
		}
	}, kinesistest.Unthrottled)
}

// More subscriptions than a connection of HTTP/2 carries, of one client.
func TestManySubscriptions(t *testing.T) {
	t.Parallel()
	const shards = 300
	srv := kinesistest.NewServer(kinesistest.Unthrottled)
	defer srv.Close()
	url, err := srv.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := srv.Config()
	cfg.BaseEndpoint, cfg.HTTPClient = &url, &http.Client{Transport: way{}.transport(t, srv)}
	mustCreate(t, srv, "s", shards)
	c := newFan(t, srv, kinesis.NewFromConfig(cfg))
	var streams []*kinesis.SubscribeToShardEventStream
	for _, sh := range srv.Shards("s") {
		s := c.subscribe(sh.ID, latest)
		defer s.Close()
		streams = append(streams, s)
	}
	for _, sh := range srv.Shards("s") {
		if _, err := newClient(srv).PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: &sh.ID, ExplicitHashKey: &sh.StartingHashKey, Data: []byte(sh.ID)}); err != nil {
			t.Fatal(err)
		}
	}
	for i, sh := range srv.Shards("s") {
		if got, _ := read(t, streams[i], 1); got != sh.ID {
			t.Errorf("%s has %q", sh.ID, got)
		}
	}
}

// A client that goes away ends the server's part at once, also when nothing is
// to be sent.
func TestClientThatGoesAway(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	mustCreate(t, srv, "s", 1)
	fan := newFan(t, srv, newClient(srv))
	ended := make(chan any, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			ended <- p
			panic(p)
		}()
		srv.ServeHTTP(w, r)
	}))
	defer web.Close()
	ctx, cancel := context.WithCancel(t.Context())
	resp := fan.post(ctx, web.URL, http.DefaultClient)
	defer resp.Body.Close()
	if kind, _ := frame(t, resp.Body); kind != "initial-response" {
		t.Errorf("first frame is %s", kind)
	}
	cancel()
	if p := <-ended; p != http.ErrAbortHandler {
		t.Errorf("the handler ended with %v", p)
	}
}

// Close ends subscriptions, those that wait and those whose client does not
// read.
func TestCloseEndsSubscriptions(t *testing.T) {
	onEveryWay(t, func(t *testing.T, c *fan) {
		s := c.subscribe(shard0, horizon)
		defer s.Close()
		c.fill()
		c.srv.Close()
		for e := next(s); e != nil; e = next(s) {
		}
	}, kinesistest.Unthrottled)
	t.Run("in memory", func(t *testing.T) {
		withFan(t, 1, func(c *fan) {
			s := c.subscribe(shard0, latest)
			defer s.Close()
			c.srv.Close()
			if e := next(s); e != nil || s.Err() == nil {
				t.Errorf("%v, %v, want an error", e, s.Err())
			}
		})
	})
}

// post opens a subscription as a client that is none of the SDK's.
func (c *fan) post(ctx context.Context, url string, client aws.HTTPClient) *http.Response {
	c.Helper()
	body := `{"ConsumerARN":"` + c.arn + `","ShardId":"` + shard0 + `","StartingPosition":{"Type":"TRIM_HORIZON"}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
	resp, err := client.Do(r)
	if err != nil || resp.StatusCode != 200 {
		c.Fatalf("%+v, %v", resp, err)
	}
	return resp
}

// frame reads a frame and returns its type and its payload.
func frame(t *testing.T, r io.Reader) (kind string, payload []byte) {
	t.Helper()
	var prelude [12]byte
	if _, err := io.ReadFull(r, prelude[:]); err != nil {
		t.Fatal(err)
	}
	total, size := binary.BigEndian.Uint32(prelude[:]), binary.BigEndian.Uint32(prelude[4:])
	rest := make([]byte, total-12)
	if _, err := io.ReadFull(r, rest); err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{}
	for h := rest[:size]; len(h) > 0; {
		name := string(h[1 : 1+h[0]])
		h = h[1+len(name)+1:]
		value := string(h[2 : 2+binary.BigEndian.Uint16(h)])
		h = h[2+len(value):]
		headers[name] = value
	}
	return headers[":event-type"] + headers[":exception-type"], rest[size : len(rest)-4]
}

// A client that speaks CBOR gets its events in it.
func TestEventsInCBOR(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		c := newFan(t, srv, newClient(srv))
		c.put("\x00\xff")
		long := func(s string) string { return "\x78" + string(rune(len(s))) + s }
		body := "\xbf" + text("ConsumerARN") + long(c.arn) + text("ShardId") + text(shard0) +
			text("StartingPosition") + "\xa1" + text("Type") + text("TRIM_HORIZON") + "\xff"
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x.invalid", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
		r.Header.Set("Content-Type", "application/x-amz-cbor-1.1")
		resp, err := srv.Config().HTTPClient.Do(r)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%+v, %v", resp, err)
		}
		defer resp.Body.Close()
		frame(t, resp.Body)
		kind, payload := frame(t, resp.Body)
		if kind != "SubscribeToShardEvent" || !bytes.Contains(payload, []byte(text("Data")+"\x42\x00\xff")) || !bytes.Contains(payload, []byte("Timestamp\xc1\x1b")) {
			t.Errorf("%s %q", kind, payload)
		}
	})
}

func TestServerShowsItsCertificate(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	if srv.CertificatePEM() != nil {
		t.Error("there is a certificate before anybody needs one")
	}
	plain := listen(t, srv)
	if resp, err := http.Get(plain + "/certificate.pem"); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("before ListenTLS: %v, %v", resp, err)
	}
	url, err := srv.ListenTLS("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{plain, strings.Replace(url, "[::1]", "localhost", 1)} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: srv.TLSConfig()}}
		resp, err := client.Get(from + "/certificate.pem")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		client.CloseIdleConnections()
		if err != nil || !bytes.Equal(got, srv.CertificatePEM()) || !bytes.HasPrefix(got, []byte("-----BEGIN CERTIFICATE-----")) {
			t.Errorf("%s gives %q, %v", from, got, err)
		}
	}
	// Nobody trusts it who was not told to.
	if _, err := http.Get(url); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client that knows nothing: %v", err)
	}
}

// The SDK for Java speaks HTTP/2 over TLS without having asked for it.
func TestHTTP2ThatWasNotNegotiated(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	url, err := srv.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Unencrypted HTTP/2, on connections that are encrypted below it.
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&tls.Dialer{Config: srv.TLSConfig()}).DialContext(ctx, network, address)
		if err == nil && c.(*tls.Conn).ConnectionState().NegotiatedProtocol != "" {
			t.Error("a protocol was negotiated")
		}
		return struct{ net.Conn }{c}, err
	}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(strings.Replace(url, "https", "http", 1) + "/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Errorf("HTTP/%d, status %d", resp.ProtoMajor, resp.StatusCode)
	}
}

func TestListenTLSWithACertificate(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(http.NotFoundHandler()) // it has one
	defer web.Close()
	srv := kinesistest.NewServer()
	defer srv.Close()
	url, err := srv.ListenTLS("127.0.0.1:0", web.TLS.Certificates...)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Client().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !resp.TLS.PeerCertificates[0].Equal(web.Certificate()) || resp.TLS.Version < tls.VersionTLS12 || srv.CertificatePEM() != nil {
		t.Errorf("presented %v", resp.TLS.PeerCertificates[0].Subject)
	}
	if _, err := srv.ListenTLS("nonsense"); err == nil {
		t.Error("it listens at nonsense")
	}
	srv.Close()
	if _, err := srv.ListenTLS("127.0.0.1:0"); !errors.Is(err, kinesistest.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
