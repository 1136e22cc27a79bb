package pace

import (
	"math/bits"
	"time"
)

// A Backoff is exponential back-off with full jitter: before attempt n+1 it
// waits for a time spread evenly between 0 and Base·2^n, and never for longer
// than Max.
//
// The jitter is a hash of who waits, where and for what, so that no two waiters
// move in step, while the same waiter repeats itself in a simulation.
type Backoff struct {
	Base time.Duration // upper end of the first delay
	Max  time.Duration // upper end of all delays
}

// Delay returns how long to wait after failure number attempt, counted from 0.
// Identity is the id of the worker or producer, site the place in its code, key
// what it works on.
func (b Backoff) Delay(identity, site, key string, attempt int) time.Duration {
	limit := b.Max
	if a := uint(max(attempt, 0)); a < 63 && b.Base <= b.Max>>a {
		limit = b.Base << a
	}
	if limit <= 0 {
		return 0
	}
	// The high word of the product maps the hash onto 0 … limit evenly.
	delay, _ := bits.Mul64(Hash(identity, site, key, uint64(max(attempt, 0))), uint64(limit)+1)
	return time.Duration(delay)
}

// Hash mixes its arguments into 64 bits, evenly spread and equal in every
// process.
func Hash(identity, site, key string, n uint64) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for _, s := range [...]string{identity, site, key} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h = (h ^ 0xff) * prime // ends the string: 0xff is in no UTF-8
	}
	// FNV alone leaves neighbouring inputs close; splitmix64 spreads them.
	h += n * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
