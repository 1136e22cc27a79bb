package kinesistest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/kinesistest/internal/cbor"
)

// Whatever a client sends is answered in AWS's form, with and without faults,
// and the server goes on.
func FuzzServeHTTP(f *testing.F) {
	for _, s := range []struct{ target, body string }{
		{"", ""},
		{"Kinesis_20131202.ListStreams", "{}"},
		{"Kinesis_20131202.PutRecords", `{"StreamName":"s","Records":[{"Data":"eA==","PartitionKey":"k"}]}`},
		{"Kinesis_20131202.GetRecords", `{"ShardIterator":"AAAA"}`},
		{"DynamoDB_20120810.ListTables", "{}"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"a"}}}`},
		{"DynamoDB_20120810.Nothing", "null"},
	} {
		f.Add(s.target, []byte(s.body))
	}
	f.Fuzz(func(t *testing.T, target string, body []byte) {
		srv := kinesistest.NewServer()
		defer srv.Close()
		mustCreate(t, srv, "s", 1)
		for range 2 {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
			r.Header.Set("X-Amz-Target", target)
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, r)
			if w.Code == 500 || w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) || w.Code != 200 && w.Header().Get("X-Amzn-Errortype") == "" {
				t.Fatalf("%s: status %d, %q", target, w.Code, w.Body)
			}
			srv.Inject(kinesistest.Fault{Key: "k", Error: kinesistest.Throttled})
			srv.Inject(kinesistest.Fault{Stream: "s", Shard: shard0, Error: kinesistest.Throttled})
		}
	})
}

// judge fails unless an answer has AWS's form.
func judge(t *testing.T, what string, status int, h http.Header, body []byte) {
	t.Helper()
	if status >= 500 || status != 200 && h.Get("X-Amzn-Errortype") == "" || len(body) > 0 && h.Get("Content-Type") != "application/x-amz-cbor-1.1" && !json.Valid(body) {
		t.Fatalf("%s: status %d, %q", what, status, body)
	}
}

// withConsumer returns a server that has what the seeds below name.
func withConsumer(t *testing.T) *kinesistest.Server {
	srv := kinesistest.NewServer()
	t.Cleanup(srv.Close)
	mustCreate(t, srv, "s", 1)
	ask(t, srv, "Kinesis_20131202.RegisterStreamConsumer", typeJSON, []byte(`{"StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s","ConsumerName":"c"}`))
	return srv
}

var seeds = []string{
	`{}`,
	`{"StreamName":"s","PartitionKey":"k","Data":"eA==","ExplicitHashKey":"0","SequenceNumberForOrdering":"1"}`,
	`{"StreamName":"s","Records":[{"Data":"eA==","PartitionKey":"k"},{"Data":"","PartitionKey":"\u00e9","ExplicitHashKey":"340282366920938463463374607431768211455"}]}`,
	`{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1.5}`,
	`{"StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s","ConsumerName":"d","MaxResults":3}`,
	`{"ConsumerARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s/consumer/c:946684800","ShardId":"shardId-000000000000","StartingPosition":{"Type":"AT_SEQUENCE_NUMBER","SequenceNumber":"49"}}`,
	`{"StreamName":"s","ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":1e9},"MaxResults":1}`,
	`{"StreamName":"s","TargetShardCount":2,"ScalingType":"UNIFORM_SCALING"}`,
	`{"StreamName":"s","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"7"}`,
	`{"TableName":"leases","Key":{"k":{"S":"a"}},"UpdateExpression":"SET a = if_not_exists(b, :c)","ExpressionAttributeValues":{":c":{"N":"1"}}}`,
}

// Any JSON to any operation.
func FuzzOperations(f *testing.F) {
	for i := range operations {
		f.Add(uint8(i), []byte(seeds[i%len(seeds)]))
	}
	f.Fuzz(func(t *testing.T, op uint8, body []byte) {
		target := operations[int(op)%len(operations)]
		status, h, answer := ask(t, withConsumer(t), target, typeJSON, body)
		judge(t, target, status, h, answer)
	})
}

// Any CBOR to any operation of Kinesis.
func FuzzOperationsInCBOR(f *testing.F) {
	for i := range operations {
		body, err := cbor.FromJSON([]byte(seeds[i%len(seeds)]))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), body)
	}
	f.Fuzz(func(t *testing.T, op uint8, body []byte) {
		target := operations[int(op)%len(operations)]
		status, h, answer := ask(t, withConsumer(t), target, "application/x-amz-cbor-1.1", body)
		judge(t, target, status, h, answer)
	})
}

// Tokens of the server's own with bytes changed, and wild ones.
func FuzzTokens(f *testing.F) {
	f.Add(uint8(0), uint16(0), byte(0), "")
	f.Add(uint8(1), uint16(7), byte(1), "")
	f.Add(uint8(2), uint16(90), byte(255), "")
	f.Add(uint8(3), uint16(0), byte(0), "AAAA")
	f.Add(uint8(0), uint16(0), byte(0), "\u00ff\"\\")
	f.Fuzz(func(t *testing.T, kind uint8, at uint16, flip byte, wild string) {
		srv := withConsumer(t)
		mustCreate(t, srv, "s2", 2)
		asks := []struct{ get, in, member, use, form string }{
			{"GetShardIterator", `{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"LATEST"}`, "ShardIterator", "GetRecords", `{"ShardIterator":%s}`},
			{"ListShards", `{"StreamName":"s2","MaxResults":1}`, "NextToken", "ListShards", `{"NextToken":%s}`},
			{"ListStreams", `{"Limit":1}`, "NextToken", "ListStreams", `{"NextToken":%s}`},
			{"DescribeStream", `{"StreamName":"s"}`, "none", "ListStreamConsumers", `{"StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s","NextToken":%s}`},
		}
		a := asks[int(kind)%len(asks)]
		_, _, answer := ask(t, srv, "Kinesis_20131202."+a.get, typeJSON, []byte(a.in))
		var members map[string]any
		if err := json.Unmarshal(answer, &members); err != nil {
			t.Fatal(err)
		}
		token, _ := members[a.member].(string)
		good := flip == 0 && wild == "" && token != ""
		if b := []byte(token); len(b) > 0 {
			b[int(at)%len(b)] ^= flip
			token = string(b)
		}
		quoted, err := json.Marshal(token + wild)
		if err != nil {
			t.Fatal(err)
		}
		status, h, answer := ask(t, srv, "Kinesis_20131202."+a.use, typeJSON, fmt.Appendf(nil, a.form, quoted))
		judge(t, a.use, status, h, answer)
		if good != (status == 200) && !(wild == "" && bytes.Equal(quoted, []byte(`""`))) {
			t.Fatalf("%s with %s, changed: %v: status %d, %s", a.use, quoted, !good, status, answer)
		}
	})
}
