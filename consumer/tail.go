package consumer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/kinesis-go/kinesis/lease"
)

// Tail reads a whole stream without a table and without other workers, for a
// look at what is put, a test or a small program:
//
//	for batch, err := range consumer.Tail(ctx, client, "clicks", consumer.FromLatest()) {
//		if err != nil {
//			return err
//		}
//		for _, r := range batch.Records {
//			fmt.Println(r.ShardID, r.PartitionKey, string(r.Data))
//		}
//	}
//
// It yields the batches of all shards, each of one shard, as they come, and
// follows splits and merges: a child shard begins when its parents have been
// yielded to their end, so that the records of a partition key come in the order
// of the stream. Nothing is stored: a program that has to go on where it stopped
// uses [ReadShard] or a [Consumer].
//
// It ends only with an error, which is the last thing yielded: the cause of ctx's
// end, or one of those of [ReadShard]; [ErrNoShard] if a shard ended and no shard
// continues it, as when a loop has slept through the retention of both.
//
// The options are those that count for ReadShard; the shards share the bytes of
// Options.MaxBufferedBytes. One goroutine for each shard fetches, at most one page
// ahead; all have ended when the loop has. Each loop over
// the sequence begins at from.
func Tail(ctx context.Context, client KinesisAPI, stream string, from Start, optFns ...func(*Options)) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		s, err := newSolo(client, stream, optFns)
		if err = errors.Join(err, from.validate()); err == nil {
			err = s.tail(ctx, from, func(b *Batch) bool { return yield(b, nil) })
		}
		if !errors.Is(err, errBroken) {
			yield(nil, err)
		}
	}
}

// A tail is one loop over Tail's sequence. It belongs to the goroutine of the
// loop, which takes the pages apart that those of the shards fetch.
type tail struct {
	*solo
	pages   chan tailPage // unbuffered: the page ahead waits in the goroutine's hand
	fetch   sync.WaitGroup
	fail    context.CancelCauseFunc // ends the context of all goroutines
	reading map[string]*unpacker    // shards begun and not finished
	begun   map[string]bool         // shards begun at any time
}

// A tailPage is a page with something to hand out, or the last of its shard.
type tailPage struct {
	page
	shardID string
	listed  []lease.Shard // with end: the stream's shards, if they are needed
}

// tail yields batches until something ends it, and returns what.
func (s *solo) tail(ctx context.Context, from Start, yield func(*Batch) bool) error {
	ctx, cancel := s.givingUp(ctx)
	t := &tail{
		solo: s, pages: make(chan tailPage), fail: cancel,
		reading: make(map[string]*unpacker), begun: make(map[string]bool),
	}
	defer t.fetch.Wait()
	defer cancel(nil)
	shards, err := s.shards(ctx, from)
	if err != nil {
		return err
	}
	if len(shards) == 0 {
		return fmt.Errorf("%w: %s lists none", ErrNoShard, s.stream.name)
	}
	for _, shard := range shards {
		t.begin(ctx, shard, from)
	}
	for {
		select {
		case pg := <-t.pages:
			if err := t.handle(ctx, pg, yield); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// begin starts to fetch a shard, unless that was done before.
func (t *tail) begin(ctx context.Context, shard lease.Shard, from Start) {
	if t.begun[shard.ID] {
		return
	}
	t.begun[shard.ID] = true
	p, u := t.poller(shard, from), t.unpacker(shard, from)
	t.reading[shard.ID] = &u
	t.fetch.Go(func() {
		defer p.account.close()
		for t.fetchPage(ctx, p) {
		}
	})
}

// fetchPage fetches one page, gives it to the loop, and reports whether there are
// more.
func (t *tail) fetchPage(ctx context.Context, p *poller) (more bool) {
	pg, err := p.next(ctx)
	if err != nil {
		return false // ctx ended, which the loop sees by itself
	}
	if len(pg.records) == 0 && !pg.end {
		pg.mem.release()
		return true
	}
	out := tailPage{page: pg, shardID: p.shardID}
	if pg.end {
		err = t.complete(ctx, &out)
	}
	if err == nil {
		select {
		case t.pages <- out:
			return !pg.end
		case <-ctx.Done():
		}
	}
	pg.mem.release()
	return false
}

// childrenAttempts is how often the shards are listed for the children of one
// that has ended: a list may lag behind a page.
const childrenAttempts = 6

// complete adds to the last page of a shard what following it takes: children,
// if the page named none, and the stream's shards, if a child has other parents
// which may have to be read before. An error is the cause of ctx's end.
func (t *tail) complete(ctx context.Context, pg *tailPage) error {
	merged := slices.ContainsFunc(pg.children, func(s lease.Shard) bool { return len(s.Parents) > 1 })
	for n := 0; merged || len(pg.children) == 0 && n < childrenAttempts; n++ {
		all, err := t.list(ctx, lease.ShardsAt{}, refusalsInARow)
		if err != nil {
			t.fail(err)
			return err
		}
		if pg.listed = all; len(pg.children) == 0 {
			pg.children = childrenOf(pg.shardID, all)
		}
		if len(pg.children) > 0 {
			return nil
		}
		if err := sleep(ctx, t.opts.PollInterval); err != nil {
			return err
		}
	}
	return nil
}

// handle hands a page out and, if it is the last of its shard, begins what
// follows.
func (t *tail) handle(ctx context.Context, pg tailPage, yield func(*Batch) bool) error {
	u := t.reading[pg.shardID]
	u.load(pg.page)
	if err := hand(ctx, u, yield); err != nil || !pg.end {
		return err
	}
	delete(t.reading, pg.shardID)
	if len(pg.children) == 0 {
		return fmt.Errorf("%w: shard %s of %s has ended and none continues it", ErrNoShard, pg.shardID, t.stream.name)
	}
	for _, child := range pg.children {
		if !t.waits(child, pg.listed) {
			t.begin(ctx, child, FromTrimHorizon())
		}
	}
	return nil
}

// waits reports whether an ancestor of shard is still being read. When the last
// of them has been, it names the shard again, or a parent of it does.
func (t *tail) waits(shard lease.Shard, listed []lease.Shard) bool {
	parents := make(map[string][]string, len(listed))
	for _, s := range listed {
		parents[s.ID] = s.Parents
	}
	seen := make(map[string]bool)
	for ancestors := slices.Clone(shard.Parents); len(ancestors) > 0; {
		id := ancestors[0]
		if ancestors = ancestors[1:]; seen[id] {
			continue
		}
		if seen[id] = true; t.reading[id] != nil {
			return true
		}
		if !t.begun[id] { // what was begun and is not being read was read to its end
			ancestors = append(ancestors, parents[id]...)
		}
	}
	return false
}
