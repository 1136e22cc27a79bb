package aggregation_test

import (
	"strings"
	"testing"

	"github.com/kinesis-go/kinesis/aggregation"
)

func TestNormalizeHashKey(t *testing.T) {
	t.Parallel()
	const maximum = "340282366920938463463374607431768211455"
	tests := []struct{ in, want string }{
		{"0", "0"}, {"42", "42"}, {maximum, maximum},
		{" 0042 ", "42"}, {"+42", "42"}, {"\t+007\n", "7"}, {"000", "0"}, {"+0", "0"},
		{strings.Repeat("0", 100) + maximum, maximum},
		{"", ""}, {" ", ""}, {"+", ""}, {"-1", ""}, {"++1", ""}, {"+ 1", ""}, {"0x10", ""}, {"1e3", ""}, {"4 2", ""}, {"٤٢", ""},
		{"340282366920938463463374607431768211456", ""},
	}
	for _, tt := range tests {
		got, err := aggregation.NormalizeHashKey(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("NormalizeHashKey(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "aggregation: ") {
			t.Errorf("NormalizeHashKey(%q): error %v does not name the package", tt.in, err)
		}
	}
}

func TestParseHashRange(t *testing.T) {
	t.Parallel()
	r, err := aggregation.ParseHashRange("5", "9")
	if err != nil || r.Start.String() != "5" || r.End.String() != "9" {
		t.Errorf("ParseHashRange = %v, %v", r, err)
	}
	for _, ends := range [][2]string{{"", "9"}, {"5", "x"}, {"9", "5"}} {
		if r, err := aggregation.ParseHashRange(ends[0], ends[1]); err == nil {
			t.Errorf("ParseHashRange%v = %v", ends, r)
		}
	}
}

// hashed returns an aggregate of records with the given explicit hash keys,
// which need not be legal.
func hashed(t *testing.T, keys ...string) aggregation.Aggregate {
	t.Helper()
	msg := keyP
	for _, k := range keys {
		msg += "\x12" + string(rune(len(k))) + k
	}
	for i := range keys {
		msg += "\x1a\x06\x08\x00\x10" + string(rune(i)) + "\x1a\x00"
	}
	a, err := aggregation.Decode(wrap([]byte(msg)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestInRange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		keys []string
		in   bool
		bad  string // the record named by the error
	}{
		{"no records", nil, true, ""},
		{"both ends belong to the range", []string{"10", "20"}, true, ""},
		{"just below", []string{"10", "9"}, false, ""},
		{"just above", []string{"21", "15"}, false, ""},
		{"not canonical", []string{"+15", "0012", " 20 "}, true, ""},
		{"not canonical and outside", []string{"007"}, false, ""},
		{"no number", []string{"15", "x"}, true, "record 1"},
		{"empty", []string{"15", ""}, true, "record 1"},
		{"negative", []string{"-5"}, true, "record 0"},
		{"beyond the ring", []string{"340282366920938463463374607431768211456"}, true, "record 0"},
		{"outside before no number", []string{"5", "x"}, true, "record 1"},
		{"outside behind no number", []string{"x", "5"}, true, "record 0"},
	}
	r, err := aggregation.ParseHashRange("10", "20")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		in, err := hashed(t, tt.keys...).InRange(r)
		if in != tt.in || (err != nil) != (tt.bad != "") || err != nil && !strings.Contains(err.Error(), tt.bad) {
			t.Errorf("%s: InRange = %v, %v, want %v and %q", tt.name, in, err, tt.in, tt.bad)
		}
		if err != nil && strings.Contains(err.Error(), `"`) {
			t.Errorf("%s: error %v quotes the stream", tt.name, err)
		}
	}
}

// InRange looks at every record's own key: at each key of the table in turn, and
// at the right table.
func TestInRangeFindsTheOneOutside(t *testing.T) {
	t.Parallel()
	full, err := aggregation.ParseHashRange("1", "340282366920938463463374607431768211455")
	if err != nil {
		t.Fatal(err)
	}
	var records []aggregation.Record
	for i := range 200 {
		records = append(records, aggregation.Record{PartitionKey: strings.Repeat("k", i%50), Data: []byte("d")})
	}
	for i := range records {
		records[i].ExplicitHashKey = "0"
		a, err := aggregation.Decode(newAggregate(t, records...))
		if err != nil {
			t.Fatal(err)
		}
		if in, err := a.InRange(full); in || err != nil {
			t.Errorf("record %d is outside: InRange = %v, %v", i, in, err)
		}
		records[i].ExplicitHashKey = ""
	}
	// The whole ring takes every hash key, and nothing that is none.
	full.Start = aggregation.HashKey{}
	if in, err := hashed(t, "0", "no number").InRange(full); !in || err == nil {
		t.Errorf("InRange of the whole ring = %v, %v, want an error", in, err)
	}
	// An unused key of the table, or one that an explicit hash key overrides, does
	// not count.
	first, err := records[1].HashKey()
	if err != nil {
		t.Fatal(err)
	}
	only := aggregation.HashRange{Start: first, End: first}
	records[0].ExplicitHashKey = first.String()
	a, err := aggregation.Decode(newAggregate(t, records[1], records[0]))
	if err != nil {
		t.Fatal(err)
	}
	if in, err := a.InRange(only); !in || err != nil {
		t.Errorf("InRange = %v, %v", in, err)
	}
}
