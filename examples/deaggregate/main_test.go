package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kinesis-go/kinesis/aggregation"
)

// aggregate returns the base64 of an aggregate.
func aggregate(t *testing.T, records ...aggregation.Record) string {
	t.Helper()
	enc := aggregation.NewEncoder(1 << 20)
	for _, r := range records {
		if err := enc.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	data, err := enc.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(data)
}

func TestDeaggregate(t *testing.T) {
	t.Parallel()
	two := aggregate(t,
		aggregation.Record{PartitionKey: "a<b>", ExplicitHashKey: "7", Data: []byte("hello")},
		aggregation.Record{PartitionKey: "c"})
	damaged, err := base64.StdEncoding.DecodeString(two)
	if err != nil {
		t.Fatal(err)
	}
	damaged[len(damaged)-1] ^= 1
	bad := base64.StdEncoding.EncodeToString(damaged)
	tests := []struct {
		name, in, want string
		status         int
	}{
		{"nothing", "", "", 0},
		{"an aggregate", `{"partitionKey":"a","explicitHashKey":"3","data":"` + two + `"}`,
			`{"i":0,"sub":0,"key":"a<b>","hashKey":"7","data":"aGVsbG8="}` + "\n" + `{"i":0,"sub":1,"key":"c","data":""}` + "\n", 0},
		{"no aggregate", `{"partitionKey":"é","explicitHashKey":"3","data":"aGVsbG8="}` + "\n",
			`{"i":0,"sub":0,"key":"é","hashKey":"3","data":"aGVsbG8="}` + "\n", 0},
		{"a damaged aggregate stays whole", `{"partitionKey":"k","data":"` + bad + `"}`,
			`{"i":0,"sub":0,"key":"k","data":"` + bad + `"}` + "\n", 0},
		{"no data", `{"partitionKey":"k"}` + "\n" + `{"partitionKey":"l","data":""}`,
			`{"i":0,"sub":0,"key":"k","data":""}` + "\n" + `{"i":1,"sub":0,"key":"l","data":""}` + "\n", 0},
		{"the names of the AWS command line", `{"SequenceNumber":"1","PartitionKey":"k","Data":"aGVsbG8="}`,
			`{"i":0,"sub":0,"key":"k","data":"aGVsbG8="}` + "\n", 0},
		{"blank lines count and yield nothing", "\n  \r\n" + `{"partitionKey":"k"}` + "\n\n",
			`{"i":2,"sub":0,"key":"k","data":""}` + "\n", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			status := run(nil, strings.NewReader(tt.in), &stdout, &stderr)
			if status != tt.status || stdout.String() != tt.want {
				t.Errorf("status %d, %s\nwant %d,\n%s\ngot\n%s", status, &stderr, tt.status, tt.want, &stdout)
			}
		})
	}
}

func TestALineThatIsNoRecordIsAnsweredWithAnError(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"hello", "{", "[]", "7", `{"data":"%%%"}`, `{"partitionKey":7}`, strings.Repeat("x", maxLine+1)} {
		in := bad + "\n" + `{"partitionKey":"k","data":"aGVsbG8="}`
		var stdout, stderr bytes.Buffer
		if status := run(nil, strings.NewReader(in), &stdout, &stderr); status != 1 || stderr.Len() == 0 {
			t.Errorf("%.20q: status %d, %q, want 1 and a reason", bad, status, &stderr)
		}
		first, second, _ := strings.Cut(stdout.String(), "\n")
		var refused refusal
		if err := json.Unmarshal([]byte(first), &refused); err != nil || refused.I != 0 || refused.Error == "" {
			t.Errorf("%.20q: first line %s, want an error for line 0", bad, first)
		}
		if want := `{"i":1,"sub":0,"key":"k","data":"aGVsbG8="}` + "\n"; second != want {
			t.Errorf("%.20q: the line after it gives %s, want %s", bad, second, want)
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "records")
	if err := os.WriteFile(file, []byte(`{"partitionKey":"k"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args   []string
		status int
		says   string // on standard error
	}{
		{[]string{file}, 0, ""},
		{[]string{"-"}, 0, ""},
		{[]string{"-h"}, 0, "usage"},
		{[]string{file + "x"}, 2, "no such file"},
		{[]string{file, "more"}, 2, `"more"`},
		{[]string{"-wrong"}, 2, "-wrong"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		if status := run(tt.args, strings.NewReader(""), &stdout, &stderr); status != tt.status || !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("run(%q) = %d, %q, want %d and %q", tt.args, status, &stderr, tt.status, tt.says)
		}
	}
}
