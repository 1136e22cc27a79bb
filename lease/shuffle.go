package lease

import (
	"slices"
	"unicode/utf16"
)

// shuffleLeader returns the worker that leads by shuffle: of all that own leases
// the one that Java's Collections.shuffle with Random(1947) puts first, after
// sorting them as Java sorts strings. It is empty if nobody owns any.
func shuffleLeader(rows []Row) string {
	var ids []string
	for i := range rows {
		if rows[i].Owner != "" {
			ids = append(ids, rows[i].Owner)
		}
	}
	slices.SortFunc(ids, compareJava)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return ""
	}
	shuffleJava(ids, leaderSeed)
	return ids[0]
}

// leaderSeed is the seed of every worker of the KCL.
const leaderSeed = 1947

// compareJava compares strings as Java's String.compareTo does: by UTF-16 units,
// by which some characters sort otherwise than by their numbers.
func compareJava(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

// shuffleJava puts ids into the order of java.util.Collections.shuffle with
// new java.util.Random(seed).
func shuffleJava(ids []string, seed int64) {
	r := newJavaRandom(seed)
	for i := len(ids); i > 1; i-- {
		j := r.intN(int32(i))
		ids[i-1], ids[j] = ids[j], ids[i-1]
	}
}

// A javaRandom is java.util.Random, whose algorithm its documentation prescribes.
type javaRandom struct{ state uint64 }

const (
	javaMultiplier = 0x5DEECE66D
	javaIncrement  = 0xB
	javaMask       = 1<<48 - 1
)

func newJavaRandom(seed int64) *javaRandom {
	return &javaRandom{state: (uint64(seed) ^ javaMultiplier) & javaMask}
}

func (r *javaRandom) next(bits uint) int32 {
	r.state = (r.state*javaMultiplier + javaIncrement) & javaMask
	return int32(r.state >> (48 - bits))
}

// intN returns a number from 0 up to n, which is positive.
func (r *javaRandom) intN(n int32) int32 {
	if n&-n == n { // a power of two
		return int32(int64(n) * int64(r.next(31)) >> 31)
	}
	for {
		bits := r.next(31)
		v := bits % n
		if bits-v+(n-1) >= 0 { // else it overflowed: bits are of the last, partial stretch
			return v
		}
	}
}
