package pace

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestBucketStartsFullAndRefills(t *testing.T) {
	t.Parallel()
	b := NewBucket(1000, 500)
	if d := b.Wait(start, 500); d != 0 {
		t.Fatalf("a full bucket asks to wait %v", d)
	}
	b.Spend(start, 500)
	d := b.Wait(start, 100)
	if d < 100*time.Millisecond || d > 101*time.Millisecond {
		t.Fatalf("Wait for 100 of 1000/s = %v, want 100ms", d)
	}
	if again := b.Wait(start.Add(d), 100); again != 0 {
		t.Fatalf("after the wait it asks for %v more", again)
	}
	if d := b.Wait(start.Add(time.Hour), 501); d != 0 {
		t.Fatalf("a full bucket refuses more than its burst: wait %v", d)
	}
}

func TestBucketRepaysDebt(t *testing.T) {
	t.Parallel()
	b := NewBucket(1<<20, 1<<20)
	b.Spend(start, 10<<20) // a record of 10 MiB
	if d := b.Wait(start, 100); d < 9*time.Second || d > 9*time.Second+time.Millisecond {
		t.Errorf("Wait after 9 MiB of debt = %v, want 9s", d)
	}
}

func TestBucketIgnoresAClockThatStepsBack(t *testing.T) {
	t.Parallel()
	b := NewBucket(1, 10)
	b.Spend(start, 10)
	if d := b.Wait(start.Add(-time.Hour), 1); d > 2*time.Second {
		t.Errorf("Wait = %v", d)
	}
}

func TestBucketUnlimited(t *testing.T) {
	t.Parallel()
	var b Bucket
	b.Spend(start, 1e12)
	if d := b.Wait(start, 1e12); d != 0 {
		t.Errorf("the zero bucket asks to wait %v", d)
	}
	if b := NewBucket(0, 5); b != (Bucket{}) {
		t.Errorf("NewBucket(0, 5) = %+v, want unlimited", b)
	}
}

// A saturated sender that obeys Wait uses the rate fully and never more.
func TestBucketKeepsTheRate(t *testing.T) {
	t.Parallel()
	b := NewBucket(1<<20, 1<<20)
	sent, now := 0.0, start
	for now.Sub(start) < time.Minute {
		d := b.Wait(now, 51_200)
		now = now.Add(d)
		b.Spend(now, 51_200)
		sent += 51_200
	}
	want := float64(1<<20) * 61 // a minute and the first burst
	if sent < 0.999*want || sent > want+51_200 {
		t.Errorf("sent %.0f bytes in a minute, want %.0f", sent, want)
	}
}

// Who waits for a full bucket whose burst grows gets there, in few steps.
func TestFullBucketStaysFullWhenItsBurstGrows(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	rate := 1000.0
	b := NewBucket(rate, rate)
	b.Spend(now, 1000)
	for steps := 0; ; steps++ {
		rate = 1000 + 100*now.Sub(time.Unix(0, 0)).Seconds()
		b.SetRate(now, rate, rate)
		wait := b.Wait(now, 5000) // more than the burst
		if wait == 0 {
			break
		}
		if steps == 100 {
			t.Fatalf("not full after %v and %d steps", now.Sub(time.Unix(0, 0)), steps)
		}
		now = now.Add(wait)
	}
}
