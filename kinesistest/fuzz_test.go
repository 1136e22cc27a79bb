package kinesistest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kinesis-go/kinesis/kinesistest"
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
