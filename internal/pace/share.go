package pace

import (
	"math"
	"time"
)

const (
	// shareCut is what a throttle leaves of a share.
	shareCut = 0.7

	// shareFloor is the least a share falls to: something must go out to find
	// out that things are better.
	shareFloor = 0.01

	// shareRest is how long a share does not climb as long as nothing passes.
	shareRest = 10 * time.Second

	// shareCurve is how steeply a share climbs, per second cubed: from the floor
	// it is half way back after 3 s and back after 15 s, and it takes 6 s to get
	// back to a quarter of the limit. The steeper, the sooner users get equal
	// parts and the more they are throttled.
	shareCurve = 3e-4
)

// A Share is how much of a limit one of its users allows itself, when nobody
// knows how many users there are: all of it until it is throttled, then less,
// then slowly more again. The zero Share is all of it.
//
// It follows the curve of CUBIC (RFC 9438): a throttle cuts it by three tenths;
// from there it climbs fast at first, slowly around the level at which it was
// cut, since that is where the limit is, and faster again beyond, to find out
// whether others have gone. Users that are above their fair part lose more by a
// cut than those below it, so that all of them come to use the same.
//
// A Share has one owner and needs no lock.
type Share struct {
	level  float64   // right after the last cut
	peak   float64   // where it was cut
	cut    time.Time // when; zero if never
	climb  time.Time // when it begins to climb: as soon as something has passed
	passed bool      // something has passed since the cut
}

// At returns the share at now, from 0.01 to 1.
func (s *Share) At(now time.Time) float64 {
	if s.cut.IsZero() {
		return 1
	}
	flat := math.Cbrt((s.peak - s.level) / shareCurve) // seconds until it is back
	t := max(0, now.Sub(s.climb).Seconds()) - flat
	return min(1, max(s.level, s.peak+shareCurve*t*t*t))
}

// Throttled cuts the share because something was throttled that was sent at
// sent. What was sent before the last cut says nothing new.
func (s *Share) Throttled(sent, now time.Time) {
	if !s.cut.IsZero() && !sent.After(s.cut) {
		return
	}
	level := s.At(now)
	switch {
	case !s.cut.IsZero() && !s.passed:
		// Still the same shortage: when it is over there will be as much as before.
	case level < s.peak:
		s.peak = level * (1 + shareCut) / 2 // somebody new takes a part
	default:
		s.peak = level
	}
	s.level = max(shareFloor, level*shareCut)
	s.peak = max(s.peak, s.level)
	s.cut, s.climb, s.passed = now, now.Add(shareRest), false
}

// Passed notes that something sent at sent was not throttled.
func (s *Share) Passed(sent time.Time) {
	if !s.passed && sent.After(s.cut) {
		s.passed = true
		if sent.Before(s.climb) {
			s.climb = sent
		}
	}
}
