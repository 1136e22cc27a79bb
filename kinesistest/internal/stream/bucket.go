package stream

import "time"

// A bucket is a budget per second, counted without a clock of its own: it
// remembers the moment, in Unix nanoseconds, up to which the budget is spent.
// A full second's budget may be spent at once. The zero value is unspent.
type bucket int64

const burst = int64(time.Second)

// spent returns how much of the second's budget is gone, as a time; above one
// second the bucket is in debt.
func (b bucket) spent(now int64) int64 { return max(int64(b)-now, 0) }

// has reports whether n may be taken at a rate per second. What is larger than
// a whole second's budget may be taken from a full bucket, which it leaves in
// debt. A rate of 0 is no limit.
func (b bucket) has(now int64, n, rate int) bool {
	return rate <= 0 || b.spent(now)+min(cost(n, rate), burst) <= burst
}

// take takes n, which may leave a debt.
func (b *bucket) take(now int64, n, rate int) {
	if rate > 0 {
		*b = bucket(max(int64(*b), now) + cost(n, rate))
	}
}

func cost(n, rate int) int64 { return int64(n) * int64(time.Second) / int64(rate) }
