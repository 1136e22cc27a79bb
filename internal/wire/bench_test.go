//go:build unix

package wire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/internal/wire"
)

// A page and a request as large as the service takes them.
const (
	pageRecords = 8000
	putRecords  = 500
	recordBytes = 1024
)

var credentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

func recordData(i, n int) []byte {
	b := make([]byte, n)
	for j, x := 0, uint32(i+1)*2654435761; j < n; j++ {
		x = x*1664525 + 1013904223
		b[j] = byte(x >> 24)
	}
	return b
}

// pageJSON is an answer to GetRecords.
func pageJSON(records, size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"MillisBehindLatest":0,"NextShardIterator":"AAAAAAAAAAGx","Records":[`)
	for i := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"ApproximateArrivalTimestamp":1732267091.%03d,"Data":"%s","PartitionKey":"user-%d","SequenceNumber":"4954598513%046d"}`,
			i%1000, base64.StdEncoding.EncodeToString(recordData(i, size)), i%100, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func cborText(b []byte, s string) []byte {
	if len(s) < 24 {
		b = append(b, 0x60|byte(len(s)))
	} else {
		b = append(b, 0x78, byte(len(s)))
	}
	return append(b, s...)
}

// pageCBOR is the same answer in CBOR.
func pageCBOR(records, size int) []byte {
	b := []byte{0xbf}
	b = append(cborText(b, "MillisBehindLatest"), 0)
	b = cborText(cborText(b, "NextShardIterator"), "AAAAAAAAAAGx")
	b = append(cborText(b, "Records"), 0x9f)
	for i := range records {
		b = append(b, 0xbf)
		b = append(cborText(b, "ApproximateArrivalTimestamp"), 0xc1, 0x1b)
		b = binary.BigEndian.AppendUint64(b, uint64(1732267091000+i%1000))
		b = append(cborText(b, "Data"), 0x59, byte(size>>8), byte(size))
		b = append(b, recordData(i, size)...)
		b = cborText(cborText(b, "PartitionKey"), fmt.Sprintf("user-%d", i%100))
		b = cborText(cborText(b, "SequenceNumber"), fmt.Sprintf("4954598513%046d", i))
		b = append(b, 0xff)
	}
	return append(b, 0xff, 0xff)
}

// putAnswers are answers to PutRecords, by format.
func putAnswers(records int) map[string][]byte {
	j := []byte(`{"FailedRecordCount":0,"Records":[`)
	c := []byte{0xbf}
	c = append(cborText(c, "FailedRecordCount"), 0)
	c = append(cborText(c, "Records"), 0x9f)
	for i := range records {
		if i > 0 {
			j = append(j, ',')
		}
		number, shard := fmt.Sprintf("4954598513%046d", i), "shardId-000000000000"
		j = fmt.Appendf(j, `{"SequenceNumber":"%s","ShardId":"%s"}`, number, shard)
		c = append(c, 0xbf)
		c = cborText(cborText(c, "SequenceNumber"), number)
		c = cborText(cborText(c, "ShardId"), shard)
		c = append(c, 0xff)
	}
	return map[string][]byte{"json": append(j, `]}`...), "cbor": append(c, 0xff, 0xff)}
}

// processTime is the CPU time that this process has used.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// compare runs contestants in turns and reports the CPU time of each for a
// record, and how often that of the first goes into that of the others.
func compare(b *testing.B, records int, names []string, calls []func()) {
	b.Helper()
	// What a worker holds: in a process that holds nothing the collector runs every
	// 4 MB, in the middle of each page.
	held := make([]byte, 64<<20)
	defer runtime.KeepAlive(held)
	used := make([]time.Duration, len(calls))
	for _, call := range calls {
		call()
		call()
	}
	const turns = 8
	n := 0
	for b.Loop() {
		for i, call := range calls {
			runtime.GC() // of the garbage of others
			start := processTime()
			for range turns {
				call()
			}
			used[i] += processTime() - start
		}
		n += turns * records
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range names {
		b.ReportMetric(float64(used[i])/float64(n), name+"-cpu-ns/record")
		if i > 0 {
			b.ReportMetric(float64(used[0])/float64(used[i]), "raw/"+name)
		}
	}
}

func each(b *testing.B, f func(b *testing.B, url, format string, w wire.Format, tr *http.Transport, client *kinesis.Client)) {
	for _, h2 := range []bool{false, true} {
		for w, format := range map[wire.Format]string{wire.JSON: "json", wire.CBOR: "cbor"} {
			b.Run(fmt.Sprintf("%s/http%d", format, map[bool]int{false: 1, true: 2}[h2]), func(b *testing.B) {
				url, tr := startChild(b, h2)
				client := kinesis.New(kinesis.Options{
					Region: "us-east-1", BaseEndpoint: &url, HTTPClient: &http.Client{Transport: tr}, Retryer: aws.NopRetryer{},
					Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
				})
				f(b, url, format, w, tr, client)
			})
		}
	}
}

// BenchmarkGetRecords reads pages of 8,000 records of 1 KiB: as raw net/http does
// into a buffer made for each page, as the records may be kept; through the SDK
// with this package; and as raw net/http does into one buffer again and again.
// Only this process's CPU time counts: the server is another.
func BenchmarkGetRecords(b *testing.B) {
	each(b, func(b *testing.B, url, format string, w wire.Format, tr *http.Transport, client *kinesis.Client) {
		raw := func(buf []byte) []byte {
			resp := post(b, tr, url, "GetRecords", format, []byte("{}"), nil)
			if buf == nil {
				buf = make([]byte, resp.ContentLength)
			}
			if _, err := io.ReadFull(resp.Body, buf); err != nil {
				b.Fatal(err)
			}
			finish(b, resp)
			return buf
		}
		var fixed []byte
		in := &kinesis.GetRecordsInput{ShardIterator: aws.String("AAAAAAAAAAGx")}
		codec := wire.New(w)
		get := func() {
			out, err := wire.Call(b.Context(), codec, client.GetRecords, in)
			if err != nil || len(out.Records) != pageRecords || len(out.Records[7].Data) != recordBytes {
				b.Fatal(err)
			}
		}
		compare(b, pageRecords, []string{"raw", "ours", "reused"},
			[]func(){func() { raw(nil) }, get, func() { fixed = raw(fixed) }})
	})
}

// BenchmarkPutRecords writes 500 records of 1 KiB, as raw net/http does with a
// ready-made body that it hashes and signs, and through the SDK with this
// package.
func BenchmarkPutRecords(b *testing.B) {
	in := &kinesis.PutRecordsInput{StreamName: aws.String("clicks")}
	for i := range putRecords {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: recordData(i, recordBytes), PartitionKey: aws.String(fmt.Sprint("user-", i))})
	}
	each(b, func(b *testing.B, url, format string, w wire.Format, tr *http.Transport, client *kinesis.Client) {
		body := pageJSON(putRecords, recordBytes) // within a few bytes
		if w == wire.CBOR {
			body = pageCBOR(putRecords, recordBytes)
		}
		signer := v4.NewSigner()
		raw := func() {
			resp := post(b, tr, url, "PutRecords", format, body, signer)
			finish(b, resp)
		}
		codec := wire.New(w)
		put := func() {
			out, err := wire.Call(b.Context(), codec, client.PutRecords, in)
			if err != nil || len(out.Records) != putRecords {
				b.Fatal(err)
			}
		}
		compare(b, putRecords, []string{"raw", "ours"}, []func(){raw, put})
	})
}

// BenchmarkSDK does both with the SDK alone, for comparison.
func BenchmarkSDK(b *testing.B) {
	each(b, func(b *testing.B, url, format string, w wire.Format, tr *http.Transport, client *kinesis.Client) {
		if w != wire.JSON {
			return // which it does not speak
		}
		in := &kinesis.GetRecordsInput{ShardIterator: aws.String("AAAAAAAAAAGx")}
		raw := func() { finish(b, post(b, tr, url, "GetRecords", format, []byte("{}"), nil)) }
		get := func() {
			_, err := client.GetRecords(b.Context(), in)
			for err != nil { // aws/aws-sdk-go-v2#1825, over HTTP/1.1
				_, err = client.GetRecords(b.Context(), in)
			}
		}
		compare(b, pageRecords, []string{"raw", "SDK"}, []func(){raw, get})
	})
}

func post(b *testing.B, tr http.RoundTripper, url, operation, format string, body []byte, signer *v4.Signer) *http.Response {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-"+format+"-1.1")
	req.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	if signer != nil {
		sum := sha256.Sum256(body)
		if err := signer.SignHTTP(b.Context(), credentials, req, hex.EncodeToString(sum[:]), "kinesis", "us-east-1", time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	return resp
}

func finish(b *testing.B, resp *http.Response) {
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
}
