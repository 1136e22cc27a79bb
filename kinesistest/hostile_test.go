package kinesistest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// ask posts a body in memory.
func ask(t testing.TB, srv *kinesistest.Server, target, contentType string, body []byte) (int, http.Header, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x.invalid", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", contentType)
	resp, err := srv.Config().HTTPClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ContentLength < 0 { // a subscription goes on
		return resp.StatusCode, resp.Header, nil
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}

const typeJSON = "application/x-amz-json-1.1"

func TestContentTypes(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		for _, tt := range []struct {
			target, contentType string
			status              int
		}{
			{"Kinesis_20131202.ListStreams", typeJSON, 200},
			{"Kinesis_20131202.ListStreams", "application/x-amz-json-1.1; charset=utf-8", 200},
			{"Kinesis_20131202.ListStreams", "application/json", 200},
			{"Kinesis_20131202.ListStreams", "", 200},
			{"Kinesis_20131202.ListStreams", "text/xml", 400},
			{"Kinesis_20131202.ListStreams", "application/x-amz-cbor-9", 400},
			{"DynamoDB_20120810.ListTables", "application/x-amz-json-1.0", 200},
			{"DynamoDB_20120810.ListTables", "application/x-amz-cbor-1.1", 400},
			{"DynamoDB_20120810.ListTables", "multipart/form-data", 400},
		} {
			status, h, body := ask(t, srv, tt.target, tt.contentType, []byte("{}"))
			if status != tt.status || !json.Valid(body) || status != 200 && h.Get("X-Amzn-Errortype") != "SerializationException" {
				t.Errorf("%s with %q: %d, %s", tt.target, tt.contentType, status, body)
			}
		}
	})
}

// Kinesis gives two ids, DynamoDB one and a checksum; none comes twice.
func TestRequestIDs(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		seen := map[string]bool{}
		for range 10 {
			_, k, _ := ask(t, srv, "Kinesis_20131202.ListStreams", typeJSON, nil)
			_, e, _ := ask(t, srv, "Kinesis_20131202.DescribeStream", typeJSON, nil)
			_, d, _ := ask(t, srv, "DynamoDB_20120810.ListTables", "", nil)
			for _, id := range []string{k.Get("x-amzn-RequestId"), k.Get("x-amz-id-2"), e.Get("x-amzn-RequestId"), e.Get("x-amz-id-2"), d.Get("x-amzn-RequestId")} {
				if id == "" || seen[id] {
					t.Errorf("id %q is empty or used before", id)
				}
				seen[id] = true
			}
			if d.Get("x-amz-id-2") != "" || k.Get("x-amz-crc32") != "" || d.Get("x-amz-crc32") == "" {
				t.Errorf("headers of DynamoDB %v, of Kinesis %v", d, k)
			}
			time.Sleep(time.Second)
		}
	})
}

// Whatever the operation, what is nested deeply or is no request is refused.
func TestGarbageIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		deep := strings.Repeat(`{"a":`, 20_000)
		lists := `{"StreamName":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`
		bodies := []string{
			"{", "}", "[]", "null", "7", `"x"`, "\x00", "\xff\xfe", `{"StreamName":{}}`, `{"StreamName":["s"]}`, `{"a":1}{`, `{"a":1}x`,
			deep, lists, `{"Records":` + lists, strings.Repeat("[", 50_000), `{"StreamName":"` + strings.Repeat("x", 1<<16) + `"}`,
			`{"ShardIterator":"` + strings.Repeat("A", 1<<16) + `"}`, `{"NextToken":"` + strings.Repeat("A", 1<<16) + `"}`,
			`{"ConsumerARN":"` + strings.Repeat("/consumer/", 10_000) + `"}`, `{"Limit":1e400}`, `{"Limit":-9223372036854775809}`, `{"Timestamp":1e308}`,
		}
		for _, op := range operations {
			for _, body := range bodies {
				status, _, answer := ask(t, srv, op, typeJSON, []byte(body))
				var e struct {
					Type string `json:"__type"`
				}
				if status == 200 && strings.HasPrefix(body, `{"a":1}`) || status >= 500 || status >= 400 && (json.Unmarshal(answer, &e) != nil || e.Type == "") {
					t.Errorf("%s %.40q: %d, %.200q", op, body, status, answer)
				}
			}
			if status, _, answer := ask(t, srv, op, "application/x-amz-cbor-1.1", []byte(strings.Repeat("\x81", 100_000))); status != 400 {
				t.Errorf("%s in deep CBOR: %d, %q", op, status, answer)
			}
			time.Sleep(time.Second) // for the calls a second
		}
		if status, _, body := ask(t, srv, "Kinesis_20131202.ListStreams", typeJSON, nil); status != 200 || !bytes.Contains(body, []byte(`"s"`)) {
			t.Errorf("afterwards: %d, %s", status, body)
		}
	})
}

// A client that sends slowly is cut off; so is one that sends more than fits.
func TestSlowAndEndlessClients(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, send string
		ends       time.Duration
		answer     string
	}{
		{"half a header", "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Ta", time.Minute, ""},
		{"half a body", "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Length: 10\r\n\r\n{", time.Minute, "HTTP/1.1 400 "},
		{"half a chunk", "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", time.Minute, "HTTP/1.1 400 "},
		{"a large header", "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: " + strings.Repeat("x", 100_000) + "\r\n\r\n", 0, "HTTP/1.1 431 "},
		{"a large length", "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Length: 99999999999\r\n\r\n{", 0, "HTTP/1.1 413 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := kinesistest.NewServer()
				defer srv.Close()
				client, served := net.Pipe()
				web := &http.Server{Handler: srv, ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
				defer web.Close()
				go func() { _ = web.Serve(&oneConn{conn: served, closed: make(chan struct{})}) }()
				start := time.Now()
				go func() { _, _ = io.WriteString(client, tt.send) }()
				answer := make([]byte, 256)
				n, _ := io.ReadAtLeast(client, answer, max(len(tt.answer), 1))
				if since := time.Since(start); since < tt.ends || since > tt.ends+time.Second || !strings.HasPrefix(string(answer[:n]), tt.answer) {
					t.Errorf("after %v %q, want %q after %v", since, answer[:n], tt.answer, tt.ends)
				}
				client.Close()
				time.Sleep(time.Second) // net/http lingers
			})
		})
	}
}

// A oneConn is a listener of one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.closed)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A body's length is not believed with memory.
func TestAnnouncedBodiesCostNothing(t *testing.T) {
	srv := kinesistest.NewServer()
	defer srv.Close()
	const calls = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{"))
		r.ContentLength = 18 << 20
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
		srv.ServeHTTP(httptest.NewRecorder(), r)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / calls; n > 2<<20 {
		t.Errorf("a body of 18 MiB of which one byte comes costs %d bytes", n)
	}
}

// operations are all that the server has.
var operations = func() []string {
	var all []string
	for service, names := range map[string]string{
		"Kinesis_20131202": `AddTagsToStream CreateStream DecreaseStreamRetentionPeriod DeleteStream DeregisterStreamConsumer DescribeLimits DescribeStream
			DescribeStreamConsumer DescribeStreamSummary DisableEnhancedMonitoring EnableEnhancedMonitoring GetRecords GetShardIterator
			IncreaseStreamRetentionPeriod ListShards ListStreamConsumers ListStreams ListTagsForStream MergeShards PutRecord PutRecords
			RegisterStreamConsumer RemoveTagsFromStream SplitShard StartStreamEncryption StopStreamEncryption SubscribeToShard UpdateMaxRecordSize
			UpdateShardCount UpdateStreamMode UpdateStreamRecordDistributionStrategy TagResource ListTagsForResource UntagResource`,
		"DynamoDB_20120810": `BatchGetItem BatchWriteItem CreateTable DeleteItem DeleteTable DescribeTable GetItem ListTables PutItem Query Scan
			TransactGetItems TransactWriteItems UpdateItem UpdateTable`,
	} {
		for _, name := range strings.Fields(names) {
			all = append(all, fmt.Sprint(service, ".", name))
		}
	}
	return all
}()
