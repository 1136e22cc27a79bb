package sim

import (
	"flag"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/internal/pace"
)

var (
	oneSeed   = flag.Uint64("sim.seed", 0, "simulate this seed alone")
	seeds     = flag.Uint64("sim.seeds", 0, "simulate so many seeds (0: each test has its number)")
	firstSeed = flag.Uint64("sim.first", 1, "simulate from this seed on")
)

// Run runs a simulation with the seeds from 1 to n, or as the flags -sim.seed,
// -sim.seeds and -sim.first say, each in a bubble and a subtest of its own.
func Run(t *testing.T, n uint64, simulate func(t *testing.T, seed Seed)) {
	first := *firstSeed
	switch {
	case *oneSeed != 0:
		first, n = *oneSeed, 1
	case *seeds != 0:
		n = *seeds
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				defer func() {
					if t.Failed() {
						name, _, _ := strings.Cut(t.Name(), "/")
						t.Logf("again with: go test -run '^%s$' -sim.seed=%d", name, seed)
					}
				}()
				simulate(t, Seed(seed))
			})
		})
	}
}

// A Seed is where a simulation's chance comes from.
type Seed uint64

// Hash returns 64 evenly spread bits for a place, what is decided there, and the
// number of the decision.
func (s Seed) Hash(site, key string, n uint64) uint64 {
	return pace.Hash("sim", site, key, n+uint64(s)*0xd1342543de82ef95)
}

// Chance returns a number from 0 up to 1.
func (s Seed) Chance(site, key string, n uint64) float64 {
	return float64(s.Hash(site, key, n)>>11) / math.Exp2(53)
}

// IntN returns a number from 0 up to limit.
func (s Seed) IntN(limit int, site, key string, n uint64) int {
	high, _ := bits.Mul64(s.Hash(site, key, n), uint64(limit))
	return int(high)
}

// Duration returns a time from low to high.
func (s Seed) Duration(low, high time.Duration, site, key string, n uint64) time.Duration {
	return low + time.Duration(s.IntN(int(high-low)+1, site, key, n))
}

// Pick returns one of several values.
func Pick[T any](s Seed, site string, values ...T) T {
	return values[s.IntN(len(values), site, "", 0)]
}
