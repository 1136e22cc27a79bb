package contract

import (
	"errors"
	"fmt"
	"time"
)

// errTooSlow is the outcome of a check that asks what a server does at once,
// where the calls took so long that nothing follows from its answers.
var errTooSlow = errors.New("the calls took too long to tell")

// within is err, unless more than d has passed since start.
func within(start time.Time, d time.Duration, err error) error {
	if took := time.Since(start); err != nil && took > d {
		return fmt.Errorf("%w: %v, for what AWS does in the first %v", errTooSlow, took.Round(time.Millisecond), d)
	}
	return err
}

// above is err, unless n since start is no more than a server with a rate of n
// a second, and a second's burst, has to take.
func above(start time.Time, n, rate int, err error) error {
	return within(start, time.Duration(n-rate)*time.Second/time.Duration(rate), err)
}
