package contest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Getter counts what a consumer under test is handed. It is safe for concurrent
// use. The part that counts begins when the server is first asked for records,
// since some prepare for minutes.
type Getter struct {
	want    int
	meter   *Meter
	seen    []atomic.Bool
	count   atomic.Int64
	repeats atomic.Int64
	all     chan struct{}
}

// NewGetter returns a Getter for as many records as the arguments say.
func NewGetter(a Args) *Getter {
	return &Getter{want: a.Records, seen: make([]atomic.Bool, a.Records), all: make(chan struct{}), meter: Start(a)}
}

// Got takes note of a record.
func (g *Getter) Got(data []byte) {
	id := ID(data)
	if id < 0 || id >= g.want || g.seen[id].Swap(true) {
		g.repeats.Add(1)
		return
	}
	if g.count.Add(1) == int64(g.want) {
		close(g.all)
	}
}

// Skip takes note of n records without looking at them, for readers that only
// receive bytes.
func (g *Getter) Skip(n int) {
	if got := g.count.Add(int64(n)); got >= int64(g.want) && got-int64(n) < int64(g.want) {
		close(g.all)
	}
}

// Run is the whole of a contestant that reads: it runs read until all records were
// seen, says so, and ends it. What read returns after that is no error.
func (g *Getter) Run(read func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := read(ctx); err != nil && ctx.Err() == nil {
			Fail(err)
		}
	})
	<-g.all
	g.meter.End(End{Stored: int(g.count.Load()), Repeats: int(g.repeats.Load())})
	cancel()
	wg.Wait()
}

// Pause waits, or returns the cause of ctx's end.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
