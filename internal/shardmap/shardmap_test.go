package shardmap

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func (k HashKey) big() *big.Int {
	b := new(big.Int).Lsh(new(big.Int).SetUint64(k.Hi), 64)
	return b.Or(b, new(big.Int).SetUint64(k.Lo))
}

func TestHashOf(t *testing.T) {
	tests := []struct{ key, want string }{
		{"a", "16955237001963240173058271559858726497"},
		{"pk1", "329398341438914906102347661116985167824"},
		{"", "281949768489412648962353822266799178366"},
	}
	for _, tt := range tests {
		if got := HashOf(tt.key).String(); got != tt.want {
			t.Errorf("HashOf(%q) = %s, want %s", tt.key, got, tt.want)
		}
	}
	long := strings.Repeat("é", 256) // 512 bytes, the longest path
	if HashOf(long) != HashOf(string([]byte(long))) || HashOf(long) == HashOf(long[:510]) {
		t.Error("HashOf of a key longer than the stack buffer is wrong")
	}
	if n := testing.AllocsPerRun(100, func() { HashOf("user-7") }); n != 0 {
		t.Errorf("HashOf allocates %v times", n)
	}
}

func TestHashKeyDecimalRoundTrip(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	keys := []HashKey{{}, {0, 1}, {1, 0}, MaxHashKey, {0, 1<<64 - 1}}
	for range 1000 {
		keys = append(keys, HashKey{r.Uint64() >> r.IntN(65), r.Uint64()})
	}
	for _, k := range keys {
		s := k.String()
		if s != k.big().String() {
			t.Fatalf("String of %v = %s", k.big(), s)
		}
		if got, err := ParseHashKey(s); err != nil || got != k {
			t.Fatalf("ParseHashKey(%s) = %v, %v", s, got, err)
		}
		if k.Next().Prev() != k || k.Prev().Next() != k {
			t.Fatalf("Next and Prev of %v do not cancel", k)
		}
	}
}

func TestParseHashKeyRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "-1", "+1", " 1", "01", "1e3", "1a",
		"340282366920938463463374607431768211456", // 2^128
		"999999999999999999999999999999999999999", strings.Repeat("1", 40), strings.Repeat("9", 1<<20)} {
		if k, err := ParseHashKey(s); err == nil {
			t.Errorf("ParseHashKey(%.50q) = %v, want an error", s, k)
		} else if len(err.Error()) > 300 {
			t.Errorf("ParseHashKey(%.50q): error of %d bytes", s, len(err.Error()))
		}
	}
}

func TestSplitMatchesCreateStream(t *testing.T) {
	t.Parallel()
	ring := new(big.Int).Lsh(big.NewInt(1), 128)
	for _, n := range []int{1, 2, 3, 4, 5, 7, 1000} {
		w := new(big.Int).Div(ring, big.NewInt(int64(n)))
		for i, r := range Split(n) {
			start := new(big.Int).Mul(w, big.NewInt(int64(i)))
			end := new(big.Int).Add(start, w)
			if i == n-1 {
				end = ring
			}
			end = new(big.Int).Sub(end, big.NewInt(1))
			if r.Start.big().Cmp(start) != 0 || r.End.big().Cmp(end) != 0 {
				t.Fatalf("Split(%d)[%d] = %v-%v, want %v-%v", n, i, r.Start, r.End, start, end)
			}
		}
	}
}

func TestMiddle(t *testing.T) {
	t.Parallel()
	if got := FullRange.Middle().String(); got != "170141183460469231731687303715884105728" {
		t.Errorf("middle of the ring = %s", got)
	}
	two := Range{HashKey{0, 4}, HashKey{0, 5}}
	if got := two.Middle(); got != (HashKey{0, 5}) {
		t.Errorf("middle of 4-5 = %v, want 5", got)
	}
}

func TestMapFindsTheShard(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 10, 1000} {
		var shards []Shard
		for i, r := range Split(n) {
			shards = append(shards, Shard{ID: strconv.Itoa(i), Range: r})
		}
		rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
		m, err := New(shards)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			r := m.At(i).Range
			for _, k := range []HashKey{r.Start, r.End, r.Middle()} {
				if got := m.Index(k); got != i {
					t.Fatalf("n=%d: Index(%v) = %d, want %d", n, k, got, i)
				}
			}
		}
	}
}

// Whatever was split and merged, and however unevenly, a key is found where it
// lies.
func TestUnevenMapFindsEveryKey(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 40; n++ {
		starts := []HashKey{{}}
		for len(starts) < n {
			starts = append(starts, HashKey{rng.Uint64() >> rng.IntN(64), rng.Uint64()})
		}
		slices.SortFunc(starts, HashKey.Compare)
		var shards []Shard
		for i, s := range starts {
			r := Range{s, MaxHashKey}
			if i+1 < n {
				r.End = starts[i+1].Prev()
			}
			shards = append(shards, Shard{fmt.Sprint(i), r})
		}
		m, err := New(shards)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range shards {
			for _, k := range []HashKey{s.Range.Start, s.Range.Middle(), s.Range.End} {
				if got := m.Index(k); got != i {
					t.Fatalf("n=%d: Index(%v) = %d, want %d", n, k, got, i)
				}
			}
		}
	}
}

func TestMapRefusesHolesAndOverlaps(t *testing.T) {
	t.Parallel()
	r := Split(3)
	tests := []struct {
		name   string
		ranges []Range
	}{
		{"empty", nil},
		{"hole at the start", r[1:]},
		{"hole in the middle", []Range{r[0], r[2]}},
		{"hole at the end", r[:2]},
		{"parent beside its children", append([]Range{FullRange}, r...)},
		{"overlap", []Range{r[0], {r[0].End, r[1].End}, r[2]}},
	}
	for _, tt := range tests {
		var shards []Shard
		for _, rg := range tt.ranges {
			shards = append(shards, Shard{Range: rg})
		}
		if _, err := New(shards); err == nil {
			t.Errorf("%s: New gave no error", tt.name)
		}
	}
}
