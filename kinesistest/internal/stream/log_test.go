package stream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// The log against a slice of all records.
func TestLogKeepsWhatWasAdded(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	l := newLog()
	var all []Stored
	arrival := int64(1_000_000)
	for i := range 5000 {
		rec := &Record{PartitionKey: fmt.Sprint("key ", i), Data: bytes.Repeat([]byte{byte(i)}, r.IntN(2000))}
		switch r.IntN(20) {
		case 0:
			rec.Data = make([]byte, maxSegment+r.IntN(3))
		case 1:
			rec.PartitionKey, rec.NoKey = "", true
		case 2:
			rec.ExplicitHashKey = "340282366920938463463374607431768211455"
		case 3:
			arrival += maxAfter // more than an entry can count
		}
		arrival += r.Int64N(3)
		if got := l.add(rec, arrival); got != uint64(i+1) {
			t.Fatalf("add = %d, want %d", got, i+1)
		}
		want := Stored{PartitionKey: []byte(rec.PartitionKey), ExplicitHashKey: []byte(rec.ExplicitHashKey), Data: rec.Data, Arrival: arrival, counter: uint64(i + 1)}
		if rec.NoKey {
			want.PartitionKey = nil
		}
		all = append(all, want)
		if r.IntN(500) == 0 {
			l.trim(l.first+r.Uint64N(l.next-l.first+1), r.IntN(2) == 0)
		}
		if r.IntN(10) == 0 && l.first < l.next {
			checkLog(t, &l, all, r)
		}
	}
}

func checkLog(t *testing.T, l *log, all []Stored, r *rand.Rand) {
	t.Helper()
	counter := l.first + r.Uint64N(l.next-l.first)
	if got := l.get(counter); !sameStored(got, all[counter-1]) {
		t.Fatalf("get(%d) = %.80v, want %.80v", counter, got, all[counter-1])
	}
	at := all[counter-1].Arrival
	if got := l.since(at); got < l.next && all[got-1].Arrival < at || got > l.first && all[got-2].Arrival >= at {
		t.Fatalf("since(%d) = %d", at, got)
	}
	count, size := 1+r.IntN(20), r.IntN(4000)
	views, next := l.views(counter, count, size)
	n, total := uint64(0), 0
	for _, v := range views {
		for i := v.from; i < len(v.segment.index); i++ {
			got := v.segment.at(i)
			if !sameStored(got, all[counter-1+n]) {
				t.Fatalf("views(%d): record %d is %.80v, want %.80v", counter, n, got, all[counter-1+n])
			}
			total += len(got.PartitionKey) + len(got.Data)
			n++
		}
	}
	if next != counter+n || n == 0 || n > uint64(count) || total > size && n > 1 {
		t.Fatalf("views(%d, %d, %d) gave %d records of %d bytes and next %d", counter, count, size, n, total, next)
	}
	if int(n) < count && next < l.next {
		if r := all[next-1]; total+len(r.PartitionKey)+len(r.Data) <= size {
			t.Fatalf("views(%d, %d, %d) stopped at %d records of %d bytes with room for more", counter, count, size, n, total)
		}
	}
}

func sameStored(a, b Stored) bool {
	return bytes.Equal(a.PartitionKey, b.PartitionKey) && (a.PartitionKey == nil) == (b.PartitionKey == nil) &&
		bytes.Equal(a.ExplicitHashKey, b.ExplicitHashKey) && bytes.Equal(a.Data, b.Data) && a.Arrival == b.Arrival && a.counter == b.counter
}

// A view stays good while the log goes on, and after a trim.
func TestLogViewsDoNotChange(t *testing.T) {
	t.Parallel()
	l := newLog()
	for i := range 10 {
		l.add(&Record{PartitionKey: "k", Data: []byte{byte(i)}}, 1)
	}
	views, _ := l.views(1, 100, 1<<20)
	for range 100_000 {
		l.add(&Record{PartitionKey: "other", Data: []byte("xxxxxxxxxxxx")}, 2)
	}
	l.trim(l.next, false)
	if len(views) != 1 || len(views[0].segment.index) != 10 {
		t.Fatalf("views = %d", len(views))
	}
	for i := range 10 {
		if got := views[0].segment.at(i); got.Data[0] != byte(i) || string(got.PartitionKey) != "k" {
			t.Errorf("record %d = %+v", i, got)
		}
	}
}

func TestLogMemory(t *testing.T) { // not parallel: it reads the heap's size
	before := heapBytes()
	l := newLog()
	const n, size = 500_000, 100
	data := make([]byte, size)
	for range n {
		l.add(&Record{PartitionKey: "1234567890", Data: data}, 1)
	}
	if per := (heapBytes() - before) / n; per > size+10+24 {
		t.Errorf("a record of %d bytes takes %d", size+10, per)
	}
	l.trim(l.next, false)
	if left := heapBytes() - before; left > 2<<20 {
		t.Errorf("after a trim of everything %d bytes are left", left)
	}
	runtime.KeepAlive(&l)
}

func heapBytes() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestBucket(t *testing.T) {
	t.Parallel()
	const second = int64(1e9)
	now := 1_000 * second
	var b bucket
	for range 5 {
		if !b.has(now, 1, 5) {
			t.Fatal("refused within a second's budget")
		}
		b.take(now, 1, 5)
	}
	if b.has(now, 1, 5) || b.has(now+second/5-1, 1, 5) {
		t.Error("took the sixth at once")
	}
	if !b.has(now+second/5, 1, 5) {
		t.Error("refused the sixth a fifth of a second later")
	}
	// What is larger than the budget goes from full and leaves a debt.
	var big bucket
	if !big.has(now, 10<<20, 1<<20) {
		t.Fatal("refused a large one from full")
	}
	big.take(now, 10<<20, 1<<20)
	if big.has(now+9*second, 1, 1<<20) || !big.has(now+9*second+second/1000, 1, 1<<20) || big.has(now+10*second-1, 10<<20, 1<<20) {
		t.Error("a debt of nine seconds is not nine seconds long")
	}
	var free bucket
	free.take(now, 1<<40, 0)
	if !free.has(now, 1<<40, 0) {
		t.Error("a rate of 0 is a limit")
	}
}
