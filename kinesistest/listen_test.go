package kinesistest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
)

func listen(t *testing.T, srv *kinesistest.Server) string {
	t.Helper()
	t.Cleanup(srv.Close)
	url, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func TestListenSpeaksBothVersionsOfHTTP(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	url := listen(t, srv)
	for _, version := range []int{1, 2} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(version == 1)
		transport.Protocols.SetUnencryptedHTTP2(version == 2)
		defer transport.CloseIdleConnections()
		cfg := srv.Config()
		cfg.BaseEndpoint, cfg.HTTPClient = &url, &http.Client{Transport: transport}
		client := kinesis.NewFromConfig(cfg)
		name := fmt.Sprint("http", version)
		if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)}); err != nil {
			t.Fatalf("HTTP/%d: %v", version, err)
		}
		out, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), Data: []byte("x")})
		if err != nil || *out.ShardId != shard0 {
			t.Errorf("HTTP/%d: %+v, %v", version, out, err)
		}
	}
}

func TestCloseStopsListening(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	url := listen(t, srv)
	srv.Inject(kinesistest.Fault{Hang: true})
	ended := make(chan error)
	go func() {
		_, err := post(t, url, "Kinesis_20131202.ListStreams", "{}")
		ended <- err
	}()
	srv.Close()
	srv.Close()
	if err := <-ended; err == nil {
		t.Error("a call that hung was answered")
	}
	if _, err := post(t, url, "Kinesis_20131202.ListStreams", "{}"); err == nil {
		t.Error("it still answers")
	}
	if _, err := srv.Listen("127.0.0.1:0"); !errors.Is(err, kinesistest.ErrClosed) {
		t.Errorf("Listen after Close: %v", err)
	}
}

// Close ends a busy server: every call is answered or cut, none hangs.
func TestCloseWhileBusy(t *testing.T) {
	t.Parallel()
	for range 5 {
		srv := kinesistest.NewServer(kinesistest.Unthrottled)
		url := listen(t, srv)
		mustCreate(t, srv, "s", 1)
		var calls sync.WaitGroup
		started := make(chan struct{}, 8)
		for range 8 {
			calls.Go(func() {
				for {
					resp, err := post(t, url, "Kinesis_20131202.PutRecord", `{"StreamName":"s","PartitionKey":"k","Data":"eA=="}`)
					if err != nil {
						return
					}
					resp.Body.Close()
					select {
					case started <- struct{}{}:
					default:
					}
				}
			})
		}
		<-started
		srv.Close()
		calls.Wait()
	}
}

func TestListenTellsWhatFailed(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	for _, address := range []string{"127.0.0.1:99999", "nonsense"} {
		if _, err := srv.Listen(address); err == nil || !strings.HasPrefix(err.Error(), "kinesistest: ") {
			t.Errorf("Listen(%s): %v", address, err)
		}
	}
}

func post(t *testing.T, url, target, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	return http.DefaultClient.Do(r)
}

func TestPlainHTTPToATLSPort(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	url, err := srv.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http" + strings.TrimPrefix(url, "https"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "want a URL that begins with https") {
		t.Errorf("%s %q, %v", resp.Status, body, err)
	}
}

// The form of answers, as clients in other languages see it.
func TestWire(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	url := listen(t, srv)
	mustCreate(t, srv, "s", 1)
	const json10, json11 = "application/x-amz-json-1.0", "application/x-amz-json-1.1"
	tests := []struct {
		target, body      string
		status            int
		contentType, kind string
	}{
		{"Kinesis_20131202.CreateStream", `{"StreamName":"t","ShardCount":1}`, 200, json11, ""},
		{"Kinesis_20131202.ListStreams", ``, 200, json11, ""},
		{"Kinesis_20131202.DescribeStream", `{"StreamName":"none"}`, 400, json11, "ResourceNotFoundException"},
		{"Kinesis_20131202.DescribeStream", `{"StreamName":7}`, 400, json11, "SerializationException"},
		{"Kinesis_20131202.DescribeStream", `{"StreamName":`, 400, json11, "SerializationException"},
		{"Kinesis_20131202.PutRecords", `[]`, 400, json11, "SerializationException"},
		{"Kinesis_20131202.PutRecords", `{"StreamName":"s","Records":[{"Data":"%","PartitionKey":"k"}]}`, 400, json11, "SerializationException"},
		{"Kinesis_20131202.PutRecord", `{"StreamName":"s"}`, 400, json11, "ValidationException"},
		{"Kinesis_20131202.SubscribeToShard", `{}`, 400, json11, "ValidationException"},
		{"Kinesis_20131202.CreateChannel", `{}`, 400, json11, "UnknownOperationException"},
		{"Kinesis_20131202.", `{}`, 400, json11, "UnknownOperationException"},
		{"Nonsense", `{}`, 400, json11, "UnknownOperationException"},
		{"", `{}`, 400, json11, "UnknownOperationException"},
		{"DynamoDB_20120810.ListTables", `{}`, 200, json10, ""},
		{"DynamoDB_20120810.DescribeTable", `{"TableName":"none"}`, 400, json10, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"},
		{"DynamoDB_20120810.DescribeTable", `{}`, 400, json10, "com.amazon.coral.validate#ValidationException"},
		{"DynamoDB_20120810.DoNothing", `{}`, 400, json10, "com.amazon.coral.service#UnknownOperationException"},
	}
	ids := map[string]bool{}
	for _, tt := range tests {
		resp, err := post(t, url, tt.target, tt.body)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s %s: status %d, Content-Type %s, %v", tt.target, tt.body, resp.StatusCode, resp.Header.Get("Content-Type"), err)
		}
		var e struct {
			Type string `json:"__type"`
		}
		if tt.status != 200 {
			if err := json.Unmarshal(data, &e); err != nil || e.Type != tt.kind || !strings.HasSuffix(tt.kind, resp.Header.Get("x-amzn-ErrorType")) {
				t.Errorf("%s %s: %s, x-amzn-ErrorType %s, want %s", tt.target, tt.body, data, resp.Header.Get("x-amzn-ErrorType"), tt.kind)
			}
		}
		if id := resp.Header.Get("x-amzn-RequestId"); id == "" || ids[id] {
			t.Errorf("%s: request id %q is empty or used before", tt.target, id)
		} else {
			ids[id] = true
		}
		if sum := resp.Header.Get("X-Amz-Crc32"); (tt.contentType == json10) != (sum != "") || sum != "" && sum != strconv.FormatUint(uint64(crc32.ChecksumIEEE(data)), 10) {
			t.Errorf("%s: X-Amz-Crc32 %q", tt.target, sum)
		}
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("GET: status %d, want 404", resp.StatusCode)
	}
}

// A body that is too large is refused before it is read.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	url := listen(t, srv)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_20131202.PutRecords\r\nContent-Length: %d\r\n\r\n{", 1<<40)
	answer := make([]byte, 1<<16)
	n, err := conn.Read(answer) // without a byte more of the body
	if err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 413 ")) {
		t.Errorf("a body said to be 1 TiB: %q, %v", answer[:n], err)
	}
	// And one that does not say its length, when it has become too long.
	endless := &endlessBody{}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, endless)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
	resp, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(r)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("an endless body: status %d", resp.StatusCode)
		}
	}
	if endless.read > 64<<20 {
		t.Errorf("of an endless body %d bytes were read", endless.read)
	}
	if resp, err = post(t, url, "Kinesis_20131202.ListStreams", "{}"); err != nil || resp.StatusCode != 200 {
		t.Errorf("afterwards: %v, %v", resp, err)
	}
}

type endlessBody struct{ read int }

func (b *endlessBody) Read(p []byte) (int, error) {
	clear(p)
	b.read += len(p)
	return len(p), nil
}

// Over a network a lost response is a connection that is cut.
func TestFaultCutsConnections(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	url := listen(t, srv)
	mustCreate(t, srv, "s", 1)
	srv.Inject(kinesistest.Fault{Operation: "PutRecord", Lose: kinesistest.LoseResponse, Times: 1})
	const body = `{"StreamName":"s","PartitionKey":"k","Data":"eA=="}`
	if resp, err := post(t, url, "Kinesis_20131202.PutRecord", body); err == nil {
		resp.Body.Close()
		t.Errorf("an answer of status %d", resp.StatusCode)
	}
	if got := stored(srv); len(got) != 1 {
		t.Errorf("stored %v, want one", got)
	}
}
