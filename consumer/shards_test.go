package consumer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kinesis-go/kinesis/lease"
)

func TestParseStream(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, name, arn string }{
		{"clicks", "clicks", ""},
		{"a_b.C-9", "a_b.C-9", ""},
		{"arn:aws:kinesis:us-east-1:123456789012:stream/clicks", "clicks", "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"},
		{"arn:aws-cn:kinesis:cn-north-1:123456789012:stream/x", "x", "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/x"},
		{"", "", ""},
		{"two words", "", ""},
		{strings.Repeat("a", 129), "", ""},
		{"arn:aws:kinesis:us-east-1:123456789012:stream/clicks/consumer/c:1", "", ""},
		{"arn:aws:dynamodb:us-east-1:123456789012:table/clicks", "", ""},
		{"arn:aws:kinesis", "", ""},
	}
	for _, tt := range tests {
		ref, err := parseStream(tt.in)
		if ref.name != tt.name || ref.arn != tt.arn || (err == nil) != (tt.name != "") {
			t.Errorf("parseStream(%q) = %+v, %v; want %q, %q", tt.in, ref, err, tt.name, tt.arn)
		}
	}
}

// Emulators that ignore the filter list parents beside their children.
func TestSnapshotIsOneGeneration(t *testing.T) {
	t.Parallel()
	a := lease.Shard{ID: "0", Closed: true}
	b := lease.Shard{ID: "1"}
	c := lease.Shard{ID: "2", Parents: []string{"0"}}
	d := lease.Shard{ID: "3", Parents: []string{"0"}, Closed: true}
	e := lease.Shard{ID: "4", Parents: []string{"3"}}
	orphan := lease.Shard{ID: "5", Parents: []string{"gone"}}
	tests := []struct {
		name         string
		in           []lease.Shard
		latest, rest string
	}{
		{"one generation", []lease.Shard{a, b, orphan}, "0 1 5", "0 1 5"},
		{"all of them", []lease.Shard{a, b, c, d, e}, "1 2 4", "0 1"},
		{"parents out of retention", []lease.Shard{c, d, e, orphan}, "2 4 5", "2 3 5"},
	}
	ids := func(shards []lease.Shard) string {
		var s []string
		for _, sh := range shards {
			s = append(s, sh.ID)
		}
		return strings.Join(s, " ")
	}
	for _, tt := range tests {
		if l, r := ids(snapshot(tt.in, true)), ids(snapshot(tt.in, false)); l != tt.latest || r != tt.rest {
			t.Errorf("%s: at latest %s, else %s; want %s, %s", tt.name, l, r, tt.latest, tt.rest)
		}
	}
	if got := fmt.Sprint(childrenOf("0", []lease.Shard{a, b, c, d, e})); !strings.Contains(got, "2") {
		t.Errorf("children of 0: %s", got)
	}
}
