package pace

import (
	"testing"
	"time"
)

func TestBackoffGrowsToItsMaximum(t *testing.T) {
	t.Parallel()
	b := Backoff{Base: 50 * time.Millisecond, Max: 5 * time.Second}
	for attempt, limit := range []time.Duration{50, 100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		limit *= time.Millisecond
		var sum, highest time.Duration
		const n = 2000
		for i := range n {
			d := b.Delay("producer", "lane", string(rune(i)), attempt)
			if d < 0 || d > limit {
				t.Fatalf("Delay of attempt %d = %v, want at most %v", attempt, d, limit)
			}
			sum, highest = sum+d, max(highest, d)
		}
		if mean := sum / n; mean < limit*45/100 || mean > limit*55/100 || highest < limit*95/100 {
			t.Errorf("attempt %d: mean %v, highest %v: not spread evenly over %v", attempt, mean, highest, limit)
		}
	}
}

func TestBackoffExtremes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		b       Backoff
		attempt int
	}{
		{Backoff{}, 3}, {Backoff{Base: time.Second, Max: 1<<63 - 1}, 1 << 40},
		{Backoff{Base: 1<<63 - 1, Max: 1<<63 - 1}, 5}, {Backoff{Base: time.Hour, Max: time.Second}, -5},
	}
	for _, tt := range tests {
		if d := tt.b.Delay("", "", "", tt.attempt); d < 0 || d > tt.b.Max {
			t.Errorf("%+v.Delay(%d) = %v", tt.b, tt.attempt, d)
		}
	}
}

func TestHashTellsItsArgumentsApart(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for _, s := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "abc", ""}, {"abc", "", ""}} {
		for n := range uint64(1000) {
			h := Hash(s[0], s[1], s[2], n)
			if seen[h] {
				t.Fatalf("Hash(%q, %d) seen before", s, n)
			}
			seen[h] = true
		}
	}
	if Hash("a", "b", "c", 1) != Hash("a", "b", "c", 1) {
		t.Error("Hash is not a function")
	}
}
