//go:build unix

package kinesistest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// serveEnv makes the test program a server, for benchmarks that tell the
// server's CPU time from the client's.
const serveEnv = "KINESISTEST_BENCH_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		if err := serveBench(); err != nil {
			fmt.Println("serving:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveBench answers every line of standard input with the CPU time that the
// process has used, after it has trimmed what was put.
func serveBench() error {
	srv := kinesistest.NewServer(kinesistest.Unthrottled)
	defer srv.Close()
	if err := srv.CreateStream("s", 4); err != nil {
		return err
	}
	url, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(url)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "trim" {
			for _, sh := range srv.Shards("s") {
				last := sh.StartingSequenceNumber
				for r := range srv.ShardRecords("s", sh.ID) {
					last = r.SequenceNumber
				}
				if err := srv.Trim("s", sh.ID, last); err != nil {
					return err
				}
			}
		}
		var use syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
			return err
		}
		fmt.Println(use.Utime.Nano() + use.Stime.Nano())
	}
	return lines.Err()
}

// A benchServer is a server in a process of its own.
type benchServer struct {
	url string
	in  io.Writer
	out *bufio.Reader
}

func startServer(b *testing.B) *benchServer {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), serveEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close() // its scanner ends, and the process
		_ = cmd.Wait()
	})
	s := &benchServer{in: in, out: bufio.NewReader(out)}
	s.url = s.line(b)
	return s
}

func (s *benchServer) line(b *testing.B) string {
	text, err := s.out.ReadString('\n')
	if err != nil {
		b.Fatal("the server ended: ", text, err)
	}
	return strings.TrimSpace(text)
}

// cpu returns the CPU time of the server's process.
func (s *benchServer) cpu(b *testing.B, command string) time.Duration {
	fmt.Fprintln(s.in, command)
	var d time.Duration
	if _, err := fmt.Sscan(s.line(b), &d); err != nil {
		b.Fatal(err)
	}
	return d
}

// perCore runs f, which moves size bytes of payload a call, and reports
// payload per second of the server's CPU time, kernel included, beside payload
// per second of the clock. Puts fill the memory, so every 64 calls the server
// trims, which counts for nothing.
func perCore(b *testing.B, s *benchServer, size int, trims bool, f func()) {
	b.Helper()
	f() // connections are made
	b.SetBytes(int64(size))
	start, calls, spent := s.cpu(b, ""), 0, time.Duration(0)
	for b.Loop() {
		f()
		if calls++; trims && calls%64 == 0 {
			b.StopTimer()
			spent += s.cpu(b, "") - start
			s.cpu(b, "trim")
			start = s.cpu(b, "")
			b.StartTimer()
		}
	}
	spent += s.cpu(b, "") - start
	b.ReportMetric(float64(size)*float64(calls)/1e6/spent.Seconds(), "MB/s-of-server-CPU")
}

// sendHTTP posts a body and reads the answer, with a client that does nothing
// else.
func sendHTTP(b *testing.B, client *http.Client, url, target string, body []byte, w io.Writer) {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+target)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	resp, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil || resp.StatusCode != 200 {
		b.Fatalf("%s: status %d, %v", target, resp.StatusCode, err)
	}
}

// sdkClient is an ordinary client of the SDK, but for the fault of
// aws-sdk-go-v2#1825.
func sdkClient(url string) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region:       "us-east-1",
		BaseEndpoint: &url,
		HTTPClient:   hidesWriterTo{http.DefaultClient},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	})
}

type hidesWriterTo struct{ *http.Client }

func (c hidesWriterTo) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.Client.Do(r)
}

// PutRecords of 500 records of 1 KiB over loopback HTTP/1.1.
func BenchmarkHTTPPutRecords(b *testing.B) {
	const records, size = 500, 1024
	b.Run("raw", func(b *testing.B) {
		s, body := startServer(b), putBody(records, size)
		perCore(b, s, records*size, true, func() { sendHTTP(b, http.DefaultClient, s.url, "PutRecords", body, io.Discard) })
	})
	b.Run("sdk", func(b *testing.B) {
		s := startServer(b)
		client, in := sdkClient(s.url), &kinesis.PutRecordsInput{StreamName: aws.String("s")}
		for i := range records {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("key-", i)), Data: bytes.Repeat([]byte{byte(i)}, size)})
		}
		perCore(b, s, records*size, true, func() {
			if out, err := client.PutRecords(b.Context(), in); err != nil || *out.FailedRecordCount > 0 {
				b.Fatal(out, err)
			}
		})
	})
}

// GetRecords of pages of about 2,500 records of 1 KiB over loopback HTTP/1.1.
func BenchmarkHTTPGetRecords(b *testing.B) {
	const size = 1024
	filled := func(b *testing.B) (s *benchServer, client *kinesis.Client, it *string, records int) {
		s = startServer(b)
		client = sdkClient(s.url)
		body := putBody(500, size)
		for range 20 {
			sendHTTP(b, http.DefaultClient, s.url, "PutRecords", body, io.Discard)
		}
		out, err := client.GetShardIterator(b.Context(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String("s"), ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			b.Fatal(err)
		}
		page, err := client.GetRecords(b.Context(), &kinesis.GetRecordsInput{ShardIterator: out.ShardIterator})
		if err != nil {
			b.Fatal(err)
		}
		return s, client, out.ShardIterator, len(page.Records)
	}
	b.Run("raw", func(b *testing.B) {
		s, _, it, records := filled(b)
		body := []byte(`{"ShardIterator":"` + *it + `"}`)
		perCore(b, s, records*size, false, func() { sendHTTP(b, http.DefaultClient, s.url, "GetRecords", body, io.Discard) })
	})
	b.Run("sdk", func(b *testing.B) {
		s, client, it, records := filled(b)
		perCore(b, s, records*size, false, func() {
			if page, err := client.GetRecords(b.Context(), &kinesis.GetRecordsInput{ShardIterator: it}); err != nil || len(page.Records) != records {
				b.Fatal(err)
			}
		})
	})
}
