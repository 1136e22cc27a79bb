package pace

import (
	"fmt"
	"testing"
	"time"
)

func TestShareFallsAndClimbs(t *testing.T) {
	t.Parallel()
	var s Share
	if got := s.At(start); got != 1 {
		t.Fatalf("At = %v before anything was throttled, want 1", got)
	}
	s.Throttled(start, start)
	s.Throttled(start, start) // sent before the cut
	s.Passed(start.Add(1))
	if got := s.At(start); got != 0.7 {
		t.Errorf("At = %v after a throttle, want 0.7", got)
	}
	now, last := start, s.At(start)
	for range 120 {
		now = now.Add(time.Second)
		got := s.At(now)
		if got < last || got > 1 {
			t.Errorf("At = %v after %v, %v a second before", got, now.Sub(start), last)
		}
		last = got
	}
	if last != 1 {
		t.Errorf("At = %v after two minutes of peace, want 1", last)
	}
}

// A shortage that goes on takes the share down fast; when it is over the share
// is soon back.
func TestShareSurvivesAnOutage(t *testing.T) {
	t.Parallel()
	var s Share
	now := start
	for range 1000 {
		s.Throttled(now, now)
		now = now.Add(100 * time.Millisecond)
	}
	if got := s.At(now); got > 0.0101 || got < 0.01 {
		t.Errorf("At = %v at the end of an outage, want the floor", got)
	}
	s.Passed(now)
	if got := s.At(now.Add(3200 * time.Millisecond)); got < 0.5 {
		t.Errorf("At = %v three seconds later, want at least half", got)
	}
	if got := s.At(now.Add(15 * time.Second)); got < 0.99 {
		t.Errorf("At = %v 15 seconds later", got)
	}
}

// Users of one limit who know nothing of each other use nearly all of it, in
// nearly equal parts, and are seldom throttled, whatever the limit's burst.
func TestSharesConverge(t *testing.T) {
	t.Parallel()
	for _, users := range []int{1, 2, 4, 8} {
		for _, burst := range []float64{0.25, 1} {
			for _, own := range []float64{1, 0.6} { // of the limit, what others leave
				t.Run(fmt.Sprint(users, " users, burst ", burst, ", limit ", own), func(t *testing.T) {
					t.Parallel()
					converge(t, users, burst, own)
				})
			}
		}
	}
}

// converge runs users that all send without end, in units of 51,200 bytes to a
// limit of own MiB/s, for five minutes.
func converge(t *testing.T, users int, burst, own float64) {
	const unit, mib = 51_200.0, 1 << 20
	type user struct {
		share  Share
		bucket Bucket
		ready  time.Time
		passed float64
	}
	us := make([]user, users)
	for i := range us {
		us[i].bucket = NewBucket(mib, mib)
	}
	limit := NewBucket(mib*own, max(unit, mib*own*burst))
	tried, throttled := 0, 0
	warm, end := start.Add(time.Minute), start.Add(5*time.Minute)
	for now := start; now.Before(end); now = now.Add(5 * time.Millisecond) {
		for i := range us {
			u := &us[(i+int(now.UnixMilli()/5))%users]
			share := u.share.At(now)
			u.bucket.SetRate(now, mib*share, mib*share)
			if now.Before(u.ready) || u.bucket.Wait(now, unit) > 0 {
				continue
			}
			u.bucket.Spend(now, unit)
			if limit.Wait(now, unit) > 0 {
				u.share.Throttled(now, now)
				u.ready = now.Add(time.Duration(Hash("user", "", "", uint64(now.UnixNano())+uint64(i)) % uint64(50*time.Millisecond)))
				if now.After(warm) {
					tried, throttled = tried+1, throttled+1
				}
				continue
			}
			limit.Spend(now, unit)
			u.share.Passed(now)
			if now.After(warm) {
				tried++
				u.passed += unit
			}
		}
	}
	sum, least, most := 0.0, us[0].passed, us[0].passed
	for _, u := range us {
		sum, least, most = sum+u.passed, min(least, u.passed), max(most, u.passed)
	}
	use := sum / (mib * own * end.Sub(warm).Seconds())
	lost := float64(throttled) / float64(tried)
	t.Logf("use %.3f, throttled %.3f, most/least %.2f", use, lost, most/least)
	if use < 0.9 || lost > 0.15 || most/least > 2 {
		t.Errorf("use %.3f, throttled %.3f, most/least %.2f", use, lost, most/least)
	}
}
