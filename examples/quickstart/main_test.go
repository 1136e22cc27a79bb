package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// play runs the program in a bubble, where waiting costs nothing, and returns
// its exit status and output.
func play(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out, errs bytes.Buffer
		status = run(t.Context(), args, &out, &errs)
		stdout, stderr = out.String(), errs.String()
	})
	return status, stdout, stderr
}

var lastLine = regexp.MustCompile(`\nput (\d+), delivered (\d+), duplicated \d+, lost 0, out of order 0\n$`)

func TestQuickstartLosesNothing(t *testing.T) {
	t.Parallel()
	tests := []string{
		"-records 20000",
		"-records 3000 -shards 1 -workers 1",
		"-records 3001 -shards 7 -workers 2 -seed 9",
		"-records 500 -shards 2 -workers 5",
		"-records 5000 -retrieval fanout",
		"-records 1",
		"-records 0",
	}
	for _, args := range tests {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			status, out, errs := play(t, strings.Fields(args)...)
			m := lastLine.FindStringSubmatch(out)
			if status != 0 || m == nil || m[1] != m[2] || !strings.HasPrefix(args+" ", "-records "+m[1]+" ") {
				t.Errorf("status %d, %s\n%s", status, errs, out)
			}
			for _, want := range []string{"split 0", "crashed holding", "merged", "leaseKey", "checkpointSubSequenceNumber"} {
				if !strings.Contains(out, want) {
					t.Errorf("%s: the output does not show %q:\n%s", args, want, out)
				}
			}
		})
	}
}

// Lines of a real file: blank ones, very long ones, binary ones, equal ones, the
// last without a newline.
func TestQuickstartPutsTheLinesOfAFile(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&b, "host%d,GET /%d,200\n", i%13, i)
	}
	b.WriteString("\n\n\n")
	b.WriteString("same\nsame\nsame\r\n")
	b.WriteString("\xff\xfe,binary\x00\n")
	b.WriteString(strings.Repeat("x", 3<<20) + "\n")
	b.WriteString("the end")
	file := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"0", "1", "9"} {
		status, out, errs := play(t, "-input", file, "-key", key, "-digest", "-shards", "3")
		if status != 0 || !strings.Contains(out, "\nput 5009, delivered 5009, ") {
			t.Errorf("-key %s: status %d, %s\n%s", key, status, errs, out)
		}
		sums := regexp.MustCompile(`[0-9a-f]{64}`).FindAllString(out, -1)
		if len(sums) != 2 || sums[0] != sums[1] {
			t.Errorf("-key %s: digests %v differ", key, sums)
		}
	}
}

func TestQuickstartNamesBadFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tests := []struct{ args, want string }{
		{"-records -1", "-records"},
		{"-records many", "-records"},
		{"-shards 0", "-shards"},
		{"-workers 0", "-workers"},
		{"-workers 101", "-workers"},
		{"-app x", "-app"},
		{"-app a/b", "-app"},
		{"-stream sch\u00f6n", "-stream"},
		{"-key -1 -input " + dir, "-key"},
		{"-key 2", "-key"},
		{"-input " + dir, "-input"},
		{"-input " + dir + "/none", "-input"},
		{"-input x -records 5", "-records"},
		{"-endpoint nowhere", "-endpoint"},
		{"-dynamodb-endpoint ://", "-dynamodb-endpoint"},
		{"-nothing", "-nothing"},
		{"extra", "extra"},
	}
	for _, tt := range tests {
		var out, errs bytes.Buffer
		if status := run(context.Background(), strings.Fields(tt.args), &out, &errs); status != 2 || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%s: status %d, %q; want 2 and a sentence that names %s", tt.args, status, &errs, tt.want)
		}
	}
}

// An application's table belongs to one stream: what it says of shards would be
// taken for the shards of the next.
func TestQuickstartRefusesTheTableOfAnotherStream(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer(kinesistest.Unthrottled)
	t.Cleanup(srv.Close)
	url, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-endpoint", url, "-app", "mine", "-records", "100", "-shards", "2", "-workers", "2"}
	var out, errs bytes.Buffer
	if status := run(t.Context(), args, &out, &errs); status != 0 || !lastLine.Match(out.Bytes()) {
		t.Fatalf("first run: status %d, %s\n%s", status, &errs, &out)
	}
	out.Reset()
	if status := run(t.Context(), args, &out, &errs); status != 1 || !strings.Contains(errs.String(), "-app mine") {
		t.Errorf("second run: status %d, %q; want 1 and a sentence that names -app\n%s", status, &errs, &out)
	}
}

// canceller cancels when a text is printed.
type canceller struct {
	bytes.Buffer
	at     string
	cancel context.CancelFunc
}

func (c *canceller) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.at) {
		c.cancel()
	}
	return c.Buffer.Write(b)
}

// An interrupted run says so, ends what it started and gives no verdict.
func TestQuickstartCanBeInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"", "stream trades", "worker-1:", "25.0%", "50.0%", "75.0%", "lease table"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var errs bytes.Buffer
				out := &canceller{at: at, cancel: cancel}
				if at == "" {
					cancel()
				}
				status := run(ctx, []string{"-records", "5000"}, out, &errs)
				if status != 1 || strings.Contains(out.String(), "\nput ") || errs.String() != "quickstart: interrupted, so there is no verdict\n" {
					t.Errorf("status %d, %q\n%s", status, &errs, out)
				}
			})
		})
	}
}
