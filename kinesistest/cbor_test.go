package kinesistest_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// postCBOR sends what a client for Java sends and returns the status, the
// content type and the body.
func postCBOR(t *testing.T, url, target, body string) (int, string, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", "application/x-amz-cbor-1.1")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(answer)
}

// text is a CBOR text shorter than 24 bytes.
func text(s string) string { return string(rune(0x60+len(s))) + s }

// A client for Java reads and writes streams in CBOR unless it is told not to.
func TestKinesisSpeaksCBOR(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	url := listen(t, srv)
	mustCreate(t, srv, "s", 1)
	status, kind, answer := postCBOR(t, url, "Kinesis_20131202.PutRecord",
		"\xbf"+text("StreamName")+text("s")+text("PartitionKey")+text("k")+text("Data")+"\x43\x00\xff\x01"+"\xff")
	if status != 200 || kind != "application/x-amz-cbor-1.1" || !strings.Contains(answer, text("ShardId")+text(shard0)) {
		t.Fatalf("PutRecord: %d, %s, %q", status, kind, answer)
	}
	if got := slices.Collect(srv.Records("s")); len(got) != 1 || !bytes.Equal(got[0].Data, []byte{0, 0xff, 1}) {
		t.Fatalf("stored %+v", got)
	}
	status, _, answer = postCBOR(t, url, "Kinesis_20131202.GetShardIterator",
		"\xa3"+text("StreamName")+text("s")+text("ShardId")+text(shard0)+text("ShardIteratorType")+text("TRIM_HORIZON"))
	if status != 200 {
		t.Fatalf("GetShardIterator: %d, %q", status, answer)
	}
	// The answer is the next request: both are a map with a ShardIterator.
	status, _, answer = postCBOR(t, url, "Kinesis_20131202.GetRecords", answer)
	if status != 200 || !strings.Contains(answer, text("Data")+"\x43\x00\xff\x01") || !strings.Contains(answer, "Timestamp\xc1\x1b") {
		t.Fatalf("GetRecords: %d, %q", status, answer)
	}
}

func TestErrorsInCBOR(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	url := listen(t, srv)
	status, kind, answer := postCBOR(t, url, "Kinesis_20131202.DescribeStream", "\xa1"+text("StreamName")+text("none"))
	if status != 400 || kind != "application/x-amz-cbor-1.1" || !strings.HasPrefix(answer, "\xbf") ||
		!strings.Contains(answer, text("__type")+"\x78\x19ResourceNotFoundException") {
		t.Errorf("no such stream: %d, %s, %q", status, kind, answer)
	}
	status, _, answer = postCBOR(t, url, "Kinesis_20131202.DescribeStream", "\xa1")
	if status != 400 || !strings.Contains(answer, "SerializationException") {
		t.Errorf("not CBOR: %d, %q", status, hex.EncodeToString([]byte(answer)))
	}
	status, kind, answer = postCBOR(t, url, "DynamoDB_20120810.ListTables", "\xa0")
	if status != 400 || kind != "application/x-amz-json-1.0" || !strings.Contains(answer, "SerializationException") {
		t.Errorf("DynamoDB: %d, %s, %q", status, kind, answer)
	}
}
