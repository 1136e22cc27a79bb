package checkpoint_test

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kinesis-go/kinesis/checkpoint"
)

func TestPositionsAreOrdered(t *testing.T) {
	t.Parallel()
	seq := "49590338271490256608559692538361571095921575989136588898"
	ordered := []checkpoint.Position{
		{},
		checkpoint.AtTimestamp,
		checkpoint.TrimHorizon,
		checkpoint.Latest,
		checkpoint.At("0"),
		checkpoint.At("9"),
		checkpoint.At("10"),
		checkpoint.At("000000000000000000000000000011"), // as one emulator writes them
		checkpoint.At("12"),
		checkpoint.At(seq),
		{SequenceNumber: seq, SubSequenceNumber: 1},
		{SequenceNumber: seq, SubSequenceNumber: 10},
		checkpoint.At(seq[:len(seq)-1] + "9"),
		checkpoint.At(seq + "0"),
		checkpoint.ShardEnd,
	}
	for i, p := range ordered {
		for j, q := range ordered {
			want := min(1, max(-1, i-j))
			if got := p.Compare(q); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", p, q, got, want)
			}
		}
	}
	if (checkpoint.Position{SequenceNumber: "SHARD_END", SubSequenceNumber: 3}).Compare(checkpoint.ShardEnd) != 0 {
		t.Error("the subsequence number of a sentinel counts")
	}
}

func TestCompareAgreesWithBigIntegers(t *testing.T) {
	t.Parallel()
	digits := rapid.StringMatching(`[0-9]{1,60}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := digits.Draw(t, "a"), digits.Draw(t, "b")
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		if got, want := checkpoint.At(a).Compare(checkpoint.At(b)), x.Cmp(y); got != want {
			t.Fatalf("Compare(%s, %s) = %d, want %d", a, b, got, want)
		}
	})
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		p    checkpoint.Position
		want string // "" for valid
	}{
		{checkpoint.At("0"), ""},
		{checkpoint.At(strings.Repeat("9", 129)), ""},
		{checkpoint.ShardEnd, ""},
		{checkpoint.Position{}, "neither"},
		{checkpoint.At("shard_end"), `"shard_end": neither`},
		{checkpoint.At("12a"), "neither"},
		{checkpoint.At("-1"), "neither"},
		{checkpoint.At("١٢"), "neither"},
		{checkpoint.At(strings.Repeat("9", 130)), "130 digits, at most 129"},
		{checkpoint.Position{SequenceNumber: "1", SubSequenceNumber: -1}, "-1 of 1: below 0"},
	}
	for _, tt := range tests {
		err := tt.p.Validate()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("Validate(%v) = %v, want nil", tt.p, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("Validate(%v) = %v, want an error with %q", tt.p, err, tt.want)
		}
	}
	if err := checkpoint.At(strings.Repeat("x", 1<<20)).Validate(); len(err.Error()) > 300 {
		t.Errorf("the error repeats %d bytes of a hostile row", len(err.Error()))
	}
}

// The watermark is at every moment the last position of the longest done prefix.
func TestWatermarkIsTheEndOfTheDonePrefix(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		order := rapid.Permutation(indexes(n)).Draw(t, "order")
		ahead := rapid.IntRange(1, n).Draw(t, "ahead") // begun before the first is done
		var tr checkpoint.Tracker
		var tickets []checkpoint.Ticket
		begin := func() {
			k, err := tr.Begin(checkpoint.Position{SequenceNumber: "7", SubSequenceNumber: int64(len(tickets)) + 1})
			if err != nil {
				t.Fatal(err)
			}
			tickets = append(tickets, k)
		}
		for range ahead {
			begin()
		}
		done := make([]bool, n)
		for _, i := range order {
			for len(tickets) <= i {
				begin()
			}
			tr.Done(tickets[i])
			tr.Done(tickets[i]) // twice is once
			done[i] = true
			prefix := max(0, slices.Index(append(done[:n:n], false), false))
			got, ok := tr.Watermark()
			if ok != (prefix > 0) || ok && got.SubSequenceNumber != int64(prefix) {
				t.Fatalf("watermark %v, %v with the first %d done", got, ok, prefix)
			}
			if want := len(tickets) - prefix; tr.Pending() != want {
				t.Fatalf("Pending() = %d, want %d", tr.Pending(), want)
			}
		}
	})
}

func indexes(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func TestTrackerRefusesTheWrongOrder(t *testing.T) {
	t.Parallel()
	var tr checkpoint.Tracker
	if _, err := tr.Begin(checkpoint.At("5")); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"5", "4", "TRIM_HORIZON"} {
		if _, err := tr.Begin(checkpoint.At(s)); err == nil {
			t.Errorf("Begin(%s) after 5 gave no error", s)
		}
	}
	tr.Done(99) // never given
	if _, ok := tr.Watermark(); ok || tr.Pending() != 1 {
		t.Error("a refused or unknown position changed the tracker")
	}
}

// A window that is drained now and then keeps its memory; one that never drains
// costs a slot per position and no more.
func TestTrackerMemoryFollowsTheWindow(t *testing.T) {
	var tr checkpoint.Tracker
	var n int64
	step := func() {
		n++
		k, err := tr.Begin(checkpoint.Position{SequenceNumber: "1", SubSequenceNumber: n})
		if err != nil {
			t.Fatal(err)
		}
		tr.Done(k)
	}
	step()
	if got := testing.AllocsPerRun(1000, step); got != 0 {
		t.Errorf("%v allocations per position in order, want 0", got)
	}
}

func BenchmarkTracker(b *testing.B) {
	const window = 64
	order := rand.New(rand.NewPCG(1, 1)).Perm(window)
	var tr checkpoint.Tracker
	var tickets [window]checkpoint.Ticket
	var n int64
	b.ReportAllocs()
	for b.Loop() {
		for i := range tickets {
			n++
			tickets[i], _ = tr.Begin(checkpoint.Position{SequenceNumber: "1", SubSequenceNumber: n})
		}
		for _, i := range order {
			tr.Done(tickets[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*window), "ns/position")
}
