package stream

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The two published examples of Lambda events: the number's seconds and shard
// match the event's arrival time and shard id.
func TestSequenceOfPublishedExamples(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"49590338271490256608559692538361571095921575989136588898",
		"49590338271490256608559692540925702759324208523137515618",
		"49545115243490985018280067714973144582180062593244200961",
	} {
		q, ok := parseSequence(s)
		if s[55] == '1' { // version 1, which this server does not write
			if ok {
				t.Errorf("parseSequence(%s) accepted version 1", s)
			}
			continue
		}
		if !ok || q.String() != s {
			t.Errorf("parseSequence(%s) = %+v, %v, which is %s", s, q, ok, q)
		}
		if q.stored < q.created || q.created < 1500000000 || q.created > 1600000000 {
			t.Errorf("parseSequence(%s) = %+v: times are not of 2018", s, q)
		}
	}
}

func TestSequenceRoundTrip(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		q := sequence{
			created: r.Int64N(1 << 36),
			index:   r.Uint32() >> r.IntN(32),
			counter: r.Uint64() >> r.IntN(64),
			stored:  r.Int64N(1 << 36),
		}
		a, b, c := q.words()
		n := new(big.Int).SetUint64(a)
		n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(b))
		n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(c))
		s := q.String()
		if s != n.String() {
			t.Fatalf("%+v = %s, want %s", q, s, n)
		}
		got, ok := parseSequence(s)
		if !ok {
			t.Fatalf("parseSequence(%s) refused", s)
		}
		if diff := cmp.Diff(q, got, cmp.AllowUnexported(sequence{})); diff != "" {
			t.Fatalf("parseSequence(%s): %s", s, diff)
		}
	}
}

func TestSequenceOrderIsTheOrderOfTheDigits(t *testing.T) {
	t.Parallel()
	parent := sequence{created: 100, index: 15, counter: lastCounter, stored: seconds36}
	child := sequence{created: 101, index: 1, counter: 0, stored: 101}
	if parent.String() >= child.String() {
		t.Errorf("a child starts at %s, not above its parent's end %s", child, parent)
	}
	low := sequence{created: 100, index: 7, counter: 1, stored: 200}
	for _, high := range []sequence{
		{created: 100, index: 7, counter: 2, stored: 200},
		{created: 100, index: 7, counter: 1, stored: 201},
	} {
		if !low.before(high) || high.before(low) || low.String() >= high.String() {
			t.Errorf("%+v is not below %+v", low, high)
		}
	}
}

func TestParseSequenceRefuses(t *testing.T) {
	t.Parallel()
	good := sequence{created: 1, index: 2, counter: 3, stored: 4}.String()
	for _, s := range []string{"", "0", "1", "abc", good[1:], good + "0", "-" + good[1:], "x" + good[1:],
		strings.Repeat("0", 56), strings.Repeat("9", 56), good[:55] + "0"} {
		if q, ok := parseSequence(s); ok {
			t.Errorf("parseSequence(%q) = %+v, want a refusal", s, q)
		}
	}
}

func BenchmarkSequenceAppend(b *testing.B) {
	q := sequence{created: 1763798400, index: 6, counter: 1 << 40, stored: 1763798460}
	buf := make([]byte, 0, sequenceDigits)
	b.ReportAllocs()
	for b.Loop() {
		buf = q.append(buf[:0])
	}
}
