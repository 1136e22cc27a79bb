// Package pace decides when: a token bucket that says how long to wait before
// spending, a share of a limit that adapts to others who use it, and a back-off
// whose jitter is a hash instead of a random number.
//
// All are functions of what they are given. Nothing here sleeps, reads a clock
// or draws a random number, so a simulation that repeats its inputs repeats its
// decisions.
package pace

import "time"

// A Bucket is a token bucket: it fills at a rate up to its burst and is spent
// by what is sent. It may go into debt, because one thing may be larger than
// the burst.
//
// The zero Bucket is unlimited. A Bucket has one owner and needs no lock.
type Bucket struct {
	rate  float64 // tokens per second; 0 means unlimited
	burst float64
	level float64 // at the time at; below 0 it is debt
	at    time.Time
}

// NewBucket returns a full bucket that gains rate tokens per second and holds
// at most burst. Without a positive rate it is unlimited.
func NewBucket(rate, burst float64) Bucket {
	if rate <= 0 {
		return Bucket{}
	}
	return Bucket{rate: rate, burst: burst, level: burst}
}

// SetRate changes the rate and the burst from now on. What is in the bucket, or
// owed, stays, as far as the burst allows, and a full bucket stays full: who
// waits for that would else chase a burst that grows. It leaves an unlimited
// Bucket alone.
func (b *Bucket) SetRate(now time.Time, rate, burst float64) {
	if b.rate == 0 || b.rate == rate && b.burst == burst {
		return
	}
	level := b.levelAt(now)
	if level >= b.burst {
		level = burst
	}
	b.level = min(burst, level)
	b.at, b.rate, b.burst = now, rate, burst
}

// Wait returns how long from now to wait before n tokens may be spent, 0 if
// they may be spent at once. More than the burst may be spent when the bucket
// is full.
func (b *Bucket) Wait(now time.Time, n float64) time.Duration {
	if b.rate == 0 {
		return 0
	}
	missing := min(n, b.burst) - b.levelAt(now)
	if missing <= 0 {
		return 0
	}
	// A nanosecond more, since rounding down would wake the caller too early.
	return time.Duration(missing/b.rate*float64(time.Second)) + 1
}

// Spend takes n tokens, whether they are there or not.
func (b *Bucket) Spend(now time.Time, n float64) {
	if b.rate == 0 {
		return
	}
	b.level = b.levelAt(now) - n
	b.at = now
}

// levelAt returns the level at now. A now before the last one counts as the
// last one.
func (b *Bucket) levelAt(now time.Time) float64 {
	if b.at.IsZero() {
		return b.level
	}
	gained := max(0, now.Sub(b.at)).Seconds() * b.rate
	return min(b.burst, b.level+gained)
}
