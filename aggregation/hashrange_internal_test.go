package aggregation

import (
	"math/rand/v2"
	"testing"
)

func TestMarksAgainstASet(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 3))
	for range 500 {
		var m marks
		set := map[int]bool{}
		n := 1 + rng.IntN(200)
		for range 300 {
			i := rng.IntN(n)
			if rng.IntN(2) == 0 {
				i = min(len(set), n-1) // in the order of first use, as writers do
			}
			if got := m.mark(i, n); got == set[i] {
				t.Fatalf("mark(%d) = %v, want %v", i, got, !set[i])
			}
			set[i] = true
		}
	}
}
