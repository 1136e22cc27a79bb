package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// serve starts a server with a stream of n plain records and one aggregate of
// three, and returns its address.
func serve(t *testing.T, n int) string {
	t.Helper()
	srv := kinesistest.NewServer(kinesistest.Unthrottled)
	t.Cleanup(srv.Close)
	client := kinesis.NewFromConfig(srv.Config())
	put := func(key string, data []byte) {
		t.Helper()
		if _, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), PartitionKey: &key, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		put(fmt.Sprint("key", i), fmt.Appendf(nil, "data %d", i))
	}
	e := aggregation.NewEncoder(1 << 10)
	for _, data := range []string{"a", "", "\xff\x00"} {
		if err := e.Append(aggregation.Record{PartitionKey: "k", ExplicitHashKey: "7", Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	sealed, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	put("a", sealed)
	url, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// consumed runs the program and returns its lines.
func consumed(t *testing.T, args ...string) []map[string]any {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d: %s", code, &stderr)
	}
	var lines []map[string]any
	for line := range strings.Lines(stdout.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		lines = append(lines, m)
	}
	return lines
}

// of picks the lines of one event.
func of(lines []map[string]any, kind string) (out []map[string]any) {
	for _, l := range lines {
		if l["event"] == kind {
			out = append(out, l)
		}
	}
	return out
}

func TestConsumePrintsEveryEvent(t *testing.T) {
	t.Parallel()
	url := serve(t, 5)
	lines := consumed(t, "-endpoint", url, "-stream", "clicks", "-app", "one-app", "-worker", "w1", "-failover", "2s", "-checkpoint-every", "4", "-until", "8", "-run-for", "30s")
	records := of(lines, "record")
	if len(records) != 8 {
		t.Fatalf("%d records, want 8: %v", len(records), lines)
	}
	var data []string
	for _, r := range records {
		data = append(data, fmt.Sprint(r["sub"], r["key"], r["hashKey"], r["data"]))
	}
	want := []string{
		"0key0<nil>ZGF0YSAw", "0key1<nil>ZGF0YSAx", "0key2<nil>ZGF0YSAy", "0key3<nil>ZGF0YSAz", "0key4<nil>ZGF0YSA0",
		"0k7YQ==", "1k7", "2k7/wA=",
	}
	if !slices.Equal(data, want) {
		t.Errorf("records %q, want %q", data, want)
	}
	for _, l := range lines {
		if l["worker"] != "w1" || l["t"].(float64) < 1e12 {
			t.Errorf("line %v: want worker w1 and a time", l)
		}
	}
	if c := of(lines, "checkpoint"); len(c) != 2 || c[0]["seq"] != records[3]["seq"] || c[1]["sub"] != 2.0 {
		t.Errorf("checkpoints %v, want one after 4 records and one after 8", c)
	}
	if len(of(lines, "leaseGained")) != 1 || len(of(lines, "leaseLost")) != 1 || lines[len(lines)-1]["event"] != "stopped" {
		t.Errorf("want a lease gained, a lease lost and stopped at the end: %v", lines)
	}
}

// What one run checkpointed the next does not print again, also inside an
// aggregate.
func TestConsumeGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"polling", "fanout", "auto"} {
		url := serve(t, 3)
		args := []string{
			"-endpoint", url, "-stream", "clicks", "-app", "two-app", "-worker", "w", "-failover", "1s",
			"-retrieval", way, "-run-for", "30s", "-until",
		}
		var subs []any
		for _, n := range []string{"4", "1", "1"} {
			for _, r := range of(consumed(t, append(args, n)...), "record") {
				subs = append(subs, r["sub"])
			}
		}
		if want := []any{0.0, 0.0, 0.0, 0.0, 1.0, 2.0}; !slices.Equal(subs, want) {
			t.Errorf("%s: subsequence numbers %v, want %v", way, subs, want)
		}
	}
}

func TestConsumeNamesBadFlags(t *testing.T) {
	t.Parallel()
	tests := []struct{ args, want string }{
		{"-app app", "-stream is missing"},
		{"-stream s", "-app is missing"},
		{"-stream s -app app -position YESTERDAY", "-position"},
		{"-stream s -app app -position AT_TIMESTAMP=noon", "-position"},
		{"-stream s -app a", "-app"},
		{"-stream s -app app -retrieval pull", "-retrieval"},
		{"-stream s -app app -failover 10ms", "-failover"},
		{"-stream s -app app -checkpoint-every -1", "-checkpoint-every"},
		{"-stream s -app app -until -1", "-until"},
		{"-stream s -app app -run-for -1s", "-run-for"},
		{"-stream s -app app -endpoint nowhere", "-endpoint"},
		{"-stream s -app app extra", "extra"},
		{"-stream s -app app -bogus", "-bogus"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), strings.Fields(tt.args), &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%s: status %d, %q; want 2 and a sentence with %s", tt.args, code, &stderr, tt.want)
		}
	}
}

// brokenPipe takes some lines and then no more.
type brokenPipe struct {
	bytes.Buffer
	lines int
}

func (p *brokenPipe) Write(b []byte) (int, error) {
	if p.lines--; p.lines < 0 {
		return 0, syscall.EPIPE
	}
	return p.Buffer.Write(b)
}

// An output that is closed, as by head, stops the program, and what it did not
// print the next run prints.
func TestConsumeStopsWhenItsOutputIsClosed(t *testing.T) {
	t.Parallel()
	url := serve(t, 10)
	args := []string{"-endpoint", url, "-stream", "clicks", "-app", "pipe-app", "-failover", "1s", "-run-for", "60s"}
	out, stderr := &brokenPipe{lines: 5}, &bytes.Buffer{}
	if code := run(t.Context(), args, out, stderr); code != 1 || !strings.Contains(stderr.String(), "broken pipe") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	printed := strings.Count(out.String(), `"event":"record"`)
	rest := of(consumed(t, append(args, "-until", strconv.Itoa(13-printed))...), "record")
	if len(rest) != 13-printed {
		t.Errorf("%d records printed before and %d after, want 13 together", printed, len(rest))
	}
}

// A limit reached on one shard is no failure on another.
func TestConsumeStopsQuietlyAtItsLimit(t *testing.T) {
	t.Parallel()
	url := serve(t, 200)
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-endpoint", url, "-stream", "clicks", "-app", "limit-app", "-until", "50", "-failover", "1s"}, &stdout, &stderr)
	if n := strings.Count(stdout.String(), `"event":"record"`); code != 0 || n != 50 || stderr.Len() > 0 {
		t.Errorf("status %d, %d records, standard error %q; want 0, 50, nothing", code, n, &stderr)
	}
	if !strings.Contains(stdout.String()[strings.LastIndex(strings.TrimSpace(stdout.String()), "\n")+1:], `"event":"stopped"`) {
		t.Errorf("the last line is not stopped:\n%s", &stdout)
	}
}
