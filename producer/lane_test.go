package producer

import "testing"

// Retries come back in any order: who expires first need not be in front.
func TestLaneExpiresWithWhoExpiresFirst(t *testing.T) {
	t.Parallel()
	parcel := func(expires instant) *parcel { return &parcel{entries: make([]entry, 1), expires: expires} }
	l := &lane{openExp: never, queueExp: never}
	if got := l.expires(); got != never {
		t.Errorf("an empty lane expires at %d", got)
	}
	l.enqueue(parcel(30))
	l.push(parcel(10))
	l.push(parcel(20))
	l.enqueue(parcel(5))
	if got := l.expires(); got != 5 {
		t.Errorf("the lane expires at %d, want 5", got)
	}
	for range 4 {
		l.pop()
	}
	if got := l.expires(); got != never {
		t.Errorf("a lane that is empty again expires at %d", got)
	}
}
