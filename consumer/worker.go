package consumer

import (
	"container/heap"
	"context"
	"time"
)

// A worker of a keyed is one of its goroutines.
type worker struct {
	*keyed
	at *lot // where it takes from

	finished int // records since it settled last

	// The clock is read for one in four records that take no time, as by a keeper.
	read   time.Time
	unread int
	look   bool // it was: what lies aside may be due
}

// settleEvery is how many records a worker finishes before it looks how far all is
// done, if they take no time.
const settleEvery = 64

// work is a worker.
func (w *worker) work(ctx context.Context) {
	var j *job
	defer func() {
		if j != nil { // the function called runtime.Goexit
			w.end(j.ticket, ErrExited)
		}
	}()
	for {
		if err := w.shard.alive(ctx); err != nil {
			w.end(unlimited, err)
		}
		next, due, more := w.take()
		if next == nil {
			if err := w.report(ctx); err != nil {
				w.end(unlimited, err)
			}
			if !w.idle(due) {
				return
			}
			continue
		}
		if more {
			w.tell()
		}
		j = next
		if err := w.attempt(ctx, j); err != nil {
			w.end(j.ticket, err)
		}
		j = nil
	}
}

// idle waits for news, or until due unless it is zero. False means that there is
// nothing to come.
func (w *worker) idle(due time.Time) bool {
	var timer <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-w.tokens:
	case <-timer:
	case <-w.over:
		return false
	}
	return true
}

// take returns the oldest job to begin and whether another worker should look, or
// if there is none, when one that lies aside is due.
func (w *worker) take() (j *job, due time.Time, more bool) {
	if w.freed.Load() > 0 || w.look && w.asides.Load() > 0 {
		w.look = false
		if j, _, more := w.takeAgain(); j != nil {
			return j, time.Time{}, more
		}
	}
	for {
		i := w.at.taken.Load()
		if i < int64(len(w.at.jobs)) {
			i = w.at.taken.Add(1) - 1
		}
		if i < int64(len(w.at.jobs)) {
			if j := &w.at.jobs[i]; j.state.Load() != jobWaiting || !j.state.CompareAndSwap(jobWaiting, jobPassed) {
				return j, time.Time{}, i+1 < int64(len(w.at.jobs)) || w.at.next.Load() != nil
			}
			continue
		}
		next := w.at.next.Load()
		if next == nil {
			return w.takeAgain()
		}
		w.at = next
	}
}

// takeAgain is take for what was passed over or lay aside.
func (k *keyed) takeAgain() (j *job, due time.Time, more bool) {
	if k.freed.Load() == 0 && k.asides.Load() == 0 {
		return nil, due, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.limit == unlimited {
		for now := time.Now(); len(k.aside.list) > 0; {
			if due = k.aside.list[0].trial.due; now.Before(due) {
				break
			}
			due = time.Time{}
			heap.Push(&k.again, heap.Pop(&k.aside))
		}
	}
	if len(k.again.list) > 0 && k.again.list[0].ticket < k.limit {
		j, _ = heap.Pop(&k.again).(*job)
		due = time.Time{}
	}
	k.freed.Store(int64(len(k.again.list)))
	k.asides.Store(int64(len(k.aside.list)))
	return j, due, j != nil
}

// attempt makes one attempt at j. An error ends the handler.
func (w *worker) attempt(ctx context.Context, j *job) error {
	var t work
	if j.trial != nil {
		t = j.trial.work
	} else {
		t.records = j.record()
	}
	v, pause, err := workDone, time.Duration(0), error(nil)
	if j.trial != nil || !w.repeats(&t.records[0]) {
		v, pause, err = w.try(ctx, &t)
	}
	switch v {
	case workAgain:
		w.putAside(j, t, pause)
		w.look = true // so that what failed before it has its turn before what is new
		return nil
	case workDone:
		return w.finish(ctx, j)
	case workSplit, workEnds:
	}
	return err
}

func (k *keyed) putAside(j *job, w work, pause time.Duration) {
	j.trial = &trial{w, time.Now().Add(pause)}
	k.mu.Lock()
	heap.Push(&k.aside, j)
	k.asides.Store(int64(len(k.aside.list)))
	k.mu.Unlock()
	k.tell()
}

// finish lets go of j, frees the next record of its key, and sees that positions
// are stored.
func (w *worker) finish(ctx context.Context, j *job) error {
	page := j.page
	j.trial = nil
	j.state.Store(jobDone)
	if next := j.next.Swap(closed); next != nil && !next.state.CompareAndSwap(jobWaiting, jobReady) {
		w.mu.Lock()
		heap.Push(&w.again, next)
		w.freed.Store(int64(len(w.again.list)))
		w.mu.Unlock()
	}
	if page.left.Add(-1) == 0 {
		page.records = nil
		page.mem.release()
	}
	if w.finished++; w.unread > 0 && w.finished < settleEvery && !w.often {
		w.unread--
		return nil
	}
	now := time.Now()
	quick := now.Sub(w.read) < time.Millisecond
	if w.unread, w.read, w.look = 0, now, true; quick {
		w.unread = 3
	}
	if quick && w.finished < settleEvery && !w.often {
		return nil
	}
	return w.report(ctx)
}

// report tells what the worker has finished, and stores a position if one is due. A
// worker that has nothing to do tells what others have finished, too, which may be
// busy for long with what they began since.
func (w *worker) report(ctx context.Context) error {
	n := w.finished
	if w.finished = 0; w.settle(n) {
		w.tell() // who stores does not begin what this has freed
		return w.done.storeDue(ctx)
	}
	return nil
}
