package kinesistest_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// putBody is the JSON of a PutRecords.
func putBody(records, size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size])
	for i := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"Data":"%s","PartitionKey":"key-%d"}`, data, i)
	}
	b.WriteString(`],"StreamName":"s"}`)
	return b.Bytes()
}

// sendTo posts a body in memory and writes the answer to w.
func sendTo(b *testing.B, client aws.HTTPClient, target string, body []byte, w io.Writer) {
	r, err := http.NewRequest(http.MethodPost, "http://kinesistest.invalid/", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+target)
	resp, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(w, resp.Body); err != nil || resp.StatusCode != 200 {
		b.Fatalf("%s: status %d, %v", target, resp.StatusCode, err)
	}
}

// The server's own part of a PutRecords, without the SDK.
func BenchmarkPutRecords(b *testing.B) {
	for _, shape := range []struct{ records, size int }{{500, 100}, {500, 1024}, {20, 51 << 10}} {
		b.Run(fmt.Sprintf("%dx%d", shape.records, shape.size), func(b *testing.B) {
			srv := kinesistest.NewServer(kinesistest.Unthrottled)
			defer srv.Close()
			if err := srv.CreateStream("s", 4); err != nil {
				b.Fatal(err)
			}
			client, body := srv.Config().HTTPClient, putBody(shape.records, shape.size)
			b.SetBytes(int64(shape.records * shape.size))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				sendTo(b, client, "PutRecords", body, io.Discard)
				if n++; n%64 == 0 { // not to fill the memory
					b.StopTimer()
					for _, sh := range srv.Shards("s") {
						last := sh.StartingSequenceNumber
						for r := range srv.ShardRecords("s", sh.ID) {
							last = r.SequenceNumber
						}
						if err := srv.Trim("s", sh.ID, last); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
				}
			}
		})
	}
}

// The server's own part of a GetRecords, without the SDK.
func BenchmarkGetRecords(b *testing.B) {
	for _, shape := range []struct{ puts, records, size int }{{20, 500, 100}, {20, 500, 1024}, {10, 20, 51 << 10}} {
		b.Run(fmt.Sprintf("%dx%d", shape.puts*shape.records, shape.size), func(b *testing.B) {
			srv := kinesistest.NewServer(kinesistest.Unthrottled)
			defer srv.Close()
			if err := srv.CreateStream("s", 1); err != nil {
				b.Fatal(err)
			}
			client := srv.Config().HTTPClient
			for range shape.puts {
				sendTo(b, client, "PutRecords", putBody(shape.records, shape.size), io.Discard)
			}
			it, err := kinesis.NewFromConfig(srv.Config()).GetShardIterator(b.Context(), &kinesis.GetShardIteratorInput{
				StreamName: aws.String("s"), ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
			if err != nil {
				b.Fatal(err)
			}
			body := []byte(`{"ShardIterator":"` + *it.ShardIterator + `"}`)
			var out strings.Builder
			sendTo(b, client, "GetRecords", body, &out)
			b.SetBytes(int64(strings.Count(out.String(), `"Data"`) * shape.size))
			b.ReportAllocs()
			for b.Loop() {
				sendTo(b, client, "GetRecords", body, io.Discard)
			}
		})
	}
}
