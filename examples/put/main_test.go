package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// server returns an embedded server with a stream of two shards, and its address.
func server(t *testing.T) (*kinesistest.Server, string) {
	t.Helper()
	srv := kinesistest.NewServer()
	t.Cleanup(srv.Close)
	url, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.CreateStream("clicks", 2); err != nil {
		t.Fatal(err)
	}
	return srv, url
}

// stored returns the payloads in the stream and how many Kinesis records hold them.
func stored(t *testing.T, srv *kinesistest.Server) (payloads map[string]int, records int) {
	t.Helper()
	payloads = map[string]int{}
	for r := range srv.Records("clicks") {
		records++
		agg, err := aggregation.Decode(r.Data)
		if err != nil {
			payloads[string(r.Data)]++
			continue
		}
		for _, u := range agg.Records() {
			payloads[u.PartitionKey+": "+string(u.Data)]++
		}
	}
	return payloads, records
}

// command runs put and returns its status and the lines it printed.
func command(t *testing.T, stdin io.Reader, args ...string) (status int, printed []string, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, stdin, &out, &errs)
	return status, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), errs.String()
}

func TestEveryLineIsStored(t *testing.T) {
	t.Parallel()
	srv, url := server(t)
	file := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(file, []byte("a 1\n\na 2\r\n\xff 3\nb,4"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, printed, stderr := command(t, nil, "-endpoint", url, "-stream", "clicks", "-input", file, "-key", "1", "-max-buffered", "20ms")
	if want := "put 5, stored 5, not stored 0, unknown 0"; status != 0 || len(printed) != 1 || printed[0] != want {
		t.Fatalf("status %d, %q, %s\nwant 0 and %q", status, printed, stderr, want)
	}
	payloads, records := stored(t, srv)
	for _, want := range []string{"a: a 1", "a: a 2\r", "\uFFFD: \xff 3", "b: b,4"} {
		// A shard's only record is not packed, and then the key is not in its data.
		if _, data, _ := strings.Cut(want, ": "); payloads[want]+payloads[data] != 1 {
			t.Errorf("%q was stored %d times, want once", want, payloads[want]+payloads[data])
		}
	}
	if records > 2 {
		t.Errorf("%d Kinesis records, want at most one per shard", records)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	srv, url := server(t)
	long := strings.Repeat("x", 11<<20)
	in := strings.NewReader("one\n" + strings.Repeat("y", 2<<20) + "\n" + long + "\ntwo\n")
	status, printed, stderr := command(t, in, "-endpoint", url, "-stream", "clicks", "-results", "-aggregate=false")
	if status != 1 || len(printed) != 5 || printed[4] != "put 4, stored 2, not stored 2, unknown 0" {
		t.Fatalf("status %d, %d lines, the last %q, %s", status, len(printed), printed[len(printed)-1], stderr)
	}
	seen := map[float64]bool{}
	for _, line := range printed[:4] {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		n := r["n"].(float64)
		seen[n] = true
		_, hasKey := r["key"]
		switch n {
		case 0, 3:
			if r["outcome"] != "stored" || r["shard"] == "" || r["seq"] == "" || r["attempts"] != 1.0 || !hasKey || len(r) != 6 {
				t.Errorf("%s: want n, key, outcome, shard, seq and attempts of a stored record", line)
			}
		default:
			if r["outcome"] != "not stored" || r["error"] == nil || !hasKey || r["shard"] != nil {
				t.Errorf("%s: want a record that is not stored, and why", line)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("results of %v, want of 0 to 3", seen)
	}
	if payloads, records := stored(t, srv); records != 2 || payloads["one"] != 1 || payloads["two"] != 1 {
		t.Errorf("%d records %v, want one and two", records, payloads)
	}
}

func TestStandardInputIsPutAsItComes(t *testing.T) {
	t.Parallel()
	srv, url := server(t)
	applied := make(chan struct{}, 100)
	srv.Inject(kinesistest.Fault{Operation: "PutRecords", Intercept: func(_ context.Context, _ *kinesistest.Call, next func() kinesistest.Answer) kinesistest.Answer {
		defer func() { applied <- struct{}{} }()
		return next()
	}})
	pr, pw := io.Pipe()
	done := make(chan string, 1)
	go func() {
		status, printed, stderr := command(t, pr, "-endpoint", url, "-stream", "clicks", "-max-buffered", "1ms")
		done <- fmt.Sprintf("%d %q %s", status, printed, stderr)
	}()
	io.WriteString(pw, "one\ntwo\nhal")
	for n := 0; n < 2; {
		select {
		case <-applied:
		case <-t.Context().Done():
			t.Fatal("the whole lines are not stored while the input is open")
		}
		payloads, _ := stored(t, srv)
		n = len(payloads)
	}
	io.WriteString(pw, "f")
	pw.Close()
	if got, want := <-done, `0 ["put 3, stored 3, not stored 0, unknown 0"] `; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	_, url := server(t)
	status, printed, stderr := command(t, strings.NewReader("a\nb\nc\n"), "-endpoint", url, "-stream", "clicks", "-rate", "200")
	if status != 0 || printed[0] != "put 3, stored 3, not stored 0, unknown 0" {
		t.Errorf("status %d, %q, %s", status, printed, stderr)
	}
}

func TestNoStream(t *testing.T) {
	t.Parallel()
	_, url := server(t)
	status, printed, _ := command(t, strings.NewReader("a\n"), "-endpoint", url, "-stream", "missing")
	if want := "put 1, stored 0, not stored 1, unknown 0"; status != 1 || printed[len(printed)-1] != want {
		t.Errorf("status %d, %q, want 1 and %q", status, printed, want)
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	tests := []struct{ args, says string }{
		{"", "-stream"},
		{"-stream s -input /no/such/file", "-input"},
		{"-stream s -input /", "-input"},
		{"-stream s -key -1", "-key"},
		{"-stream s -key x", "-key"},
		{"-stream s -rate -5", "-rate"},
		{"-stream s -rate NaN", "-rate"},
		{"-stream s -max-buffered 100", "-max-buffered"},
		{"-stream s -max-buffered -1s", "-max-buffered"},
		{"-stream s -endpoint localhost", "-endpoint"},
		{"-stream s -aggregate=maybe", "-aggregate"},
		{"-stream s file", `"file"`},
		{"-nonsense", "-nonsense"},
	}
	for _, tt := range tests {
		status, _, stderr := command(t, nil, strings.Fields(tt.args)...)
		if status != 2 || !strings.Contains(stderr, tt.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("put %s: status %d, %q, want 2 and a sentence with %s", tt.args, status, stderr, tt.says)
		}
	}
	if status, _, stderr := command(t, nil, "-h"); status != 0 || !strings.Contains(stderr, "-max-buffered") {
		t.Errorf("put -h: status %d, %q", status, stderr)
	}
}
