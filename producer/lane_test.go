package producer

import (
	"testing"
	"unsafe"
)

// Retries come back in any order: who expires first need not be in front.
func TestLaneExpiresWithWhoExpiresFirst(t *testing.T) {
	t.Parallel()
	parcel := func(expires instant) *parcel { return &parcel{entries: make([]entry, 1), expires: expires} }
	l := &lane{backlog: &backlog{openExp: never, queueExp: never}}
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

// What a Put touches of a lane is in one cache line, as the comment on lane says.
func TestPutTouchesOneLineOfALane(t *testing.T) {
	t.Parallel()
	const line = 64
	var l lane
	from := unsafe.Offsetof(l.share) + unsafe.Sizeof(l.share) - 2*unsafe.Sizeof(int64(0)) // queued and spare
	to := unsafe.Offsetof(l.staging) + unsafe.Sizeof(l.staging)
	if from%line != 0 || to-from > line {
		t.Errorf("it stands at %d to %d", from, to)
	}
	// The allocator's size classes here are 240 and 256: only those of whole lines
	// keep lanes where lines begin.
	if size := unsafe.Sizeof(l); size <= 240 || size > 256 {
		t.Errorf("a lane has %d bytes, want 241 to 256", size)
	}
}
