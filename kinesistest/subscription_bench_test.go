package kinesistest_test

import (
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// The server's own part of fan-out with records of 1 KiB, in memory and over
// unencrypted HTTP/2: a megabyte is pushed again and again.
func BenchmarkSubscribeToShard(b *testing.B) {
	for _, network := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "http2"}[network], func(b *testing.B) {
			srv := kinesistest.NewServer(kinesistest.Unthrottled, func(o *kinesistest.Options) { o.Limits.SubscriptionGap = 0 })
			defer srv.Close()
			if err := srv.CreateStream("s", 1); err != nil {
				b.Fatal(err)
			}
			client := srv.Config().HTTPClient
			url := "http://kinesistest.invalid"
			if network {
				transport := &http.Transport{Protocols: new(http.Protocols)}
				transport.Protocols.SetUnencryptedHTTP2(true)
				defer transport.CloseIdleConnections()
				var err error
				if url, err = srv.Listen("127.0.0.1:0"); err != nil {
					b.Fatal(err)
				}
				client = &http.Client{Transport: transport}
			}
			out, err := kinesis.NewFromConfig(srv.Config()).RegisterStreamConsumer(b.Context(), &kinesis.RegisterStreamConsumerInput{
				StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/s"), ConsumerName: aws.String("c")})
			if err != nil {
				b.Fatal(err)
			}
			const puts, records = 20, 500
			for range puts {
				sendTo(b, srv.Config().HTTPClient, "PutRecords", putBody(records, 1024), io.Discard)
			}
			body := `{"ConsumerARN":"` + *out.Consumer.ConsumerARN + `","ShardId":"` + shard0 + `","StartingPosition":{"Type":"TRIM_HORIZON"}}`
			b.SetBytes(puts * records * 1024)
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
				resp, err := client.Do(r)
				if err != nil || resp.StatusCode != 200 {
					b.Fatalf("%+v, %v", resp, err)
				}
				for got := 0; got < puts*records*1024/3*4; { // in base64
					var prelude [12]byte
					if _, err := io.ReadFull(resp.Body, prelude[:]); err != nil {
						b.Fatal(err)
					}
					n := int64(binary.BigEndian.Uint32(prelude[:])) - 12
					if _, err := io.CopyN(io.Discard, resp.Body, n); err != nil {
						b.Fatal(err)
					}
					got += int(n)
				}
				resp.Body.Close()
			}
		})
	}
}
