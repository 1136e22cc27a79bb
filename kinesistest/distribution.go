package kinesistest

import (
	"math"
	"time"
)

// A Distribution gives a time for a number from 0 up to, but not including, 1:
// with numbers that are even in that range the times are distributed as its
// name says. [Fault.DelayFrom] draws from one.
//
// A Distribution is a function of its number alone and may be called by several
// goroutines at once.
type Distribution func(u float64) time.Duration

// Uniform is even between two times.
func Uniform(shortest, longest time.Duration) Distribution {
	return func(u float64) time.Duration { return shortest + time.Duration(u*float64(longest-shortest)) }
}

// Exponential is what independent events have between them: most times are
// below the mean, one in 150 is above five times the mean.
func Exponential(mean time.Duration) Distribution {
	return func(u float64) time.Duration { return duration(-math.Log1p(-u) * float64(mean)) }
}

// LongTail is how services answer: half of the times are below the median, one
// in a hundred is above p99, and there is no bound. It is the log-normal
// distribution with these two quantiles, which must be above 0.
func LongTail(median, p99 time.Duration) Distribution {
	const z99 = 2.3263478740408408 // that quantile of the normal distribution
	sigma := math.Log(float64(p99)/float64(median)) / z99
	return func(u float64) time.Duration {
		return duration(float64(median) * math.Exp(sigma*math.Sqrt2*math.Erfinv(2*u-1)))
	}
}

// duration is at most a century, and 0 for what is no number.
func duration(ns float64) time.Duration {
	const most = 100 * 365 * 24 * time.Hour
	switch {
	case ns >= float64(most):
		return most
	case ns > 0:
		return time.Duration(ns)
	}
	return 0
}
