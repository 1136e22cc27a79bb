package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// A lineage holds the shards of a stream by id while planRows decides.
type lineage struct {
	start  checkpoint.Position
	shards map[string]Shard
	leased map[string]bool

	created    map[string]checkpoint.Position // rows to create
	descendant map[string]bool                // memo: an ancestor, or the shard itself, has a row
	startsHere map[string]bool                // oldest listed shards of a lineage without rows
}

// A newShard is a shard that needs a row, and the position the row begins with.
type newShard struct {
	Shard
	at checkpoint.Position
}

// planRows decides which of the listed shards need a row, given which have one,
// as the KCL does for a table that is not empty. Rows of descendants are not
// created while an ancestor has one: they are when that is finished. A shard
// whose ancestor has a row starts at its oldest record, since what came before
// it was or will be read; others start where the application does.
//
// Shards are returned in the order of their creation, so that a crash half-way
// leaves a table that the next plan completes. An error means that the list
// contradicts itself: a shard has children and is open.
func planRows(shards []Shard, leased map[string]bool, start checkpoint.Position) ([]newShard, error) {
	l := lineage{
		start: start, shards: make(map[string]Shard, len(shards)), leased: leased,
		created:    make(map[string]checkpoint.Position),
		descendant: make(map[string]bool), startsHere: make(map[string]bool),
	}
	for _, s := range shards {
		l.shards[s.ID] = s
	}
	ids := shardOrder(shards)
	for _, id := range ids {
		for _, p := range l.parents(id) {
			if !l.shards[p].Closed {
				return nil, fmt.Errorf("lease: shard %s has the child %s and is listed as open", p, id)
			}
		}
	}
	for _, id := range ids {
		if l.shards[id].Closed || leased[id] {
			continue
		}
		if !l.descends(id) {
			l.created[id] = start
		}
	}
	var out []newShard
	for _, id := range ids {
		at, ok := l.created[id]
		if !ok {
			continue
		}
		if at == checkpoint.Latest && slices.ContainsFunc(l.shards[id].Parents, func(p string) bool { return leased[p] }) {
			at = checkpoint.TrimHorizon // it continues a shard that was read, and is past its retention
		}
		out = append(out, newShard{l.shards[id], at})
	}
	return out, nil
}

// shardOrder returns the ids in the order in which Kinesis created the shards:
// it numbers them.
func shardOrder(shards []Shard) []string {
	ids := make([]string, 0, len(shards))
	for _, s := range shards {
		ids = append(ids, s.ID)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	return slices.Compact(ids)
}

// parents returns the parents of a shard that are listed.
func (l *lineage) parents(id string) []string {
	return slices.DeleteFunc(sortedSet(l.shards[id].Parents), func(p string) bool {
		_, ok := l.shards[p]
		return !ok || p == id
	})
}

// descends reports whether a shard or one of its ancestors has or gets a row,
// and notes the rows that its parents need.
func (l *lineage) descends(id string) bool {
	if _, ok := l.shards[id]; !ok {
		return false
	}
	if l.leased[id] {
		return true
	}
	if d, ok := l.descendant[id]; ok {
		return d
	}
	l.descendant[id] = false // ends a cycle in a list that contradicts itself
	parents := l.parents(id)
	through := make(map[string]bool, len(parents)) // parents by which id descends
	for _, p := range parents {
		if l.descends(p) || l.startsHere[p] {
			through[p] = true
		}
	}
	if len(through) == 0 {
		l.startsHere[id] = l.start != checkpoint.Latest
		return false
	}
	l.descendant[id] = true
	for _, p := range parents {
		if l.leased[p] {
			continue
		}
		if _, ok := l.created[p]; !ok && !l.startsHere[p] && through[p] {
			continue // an ancestor has the row
		}
		at := l.start
		if through[p] && l.start != checkpoint.AtTimestamp {
			at = checkpoint.TrimHorizon
		}
		l.created[p] = at
	}
	return true
}

// orphans returns the shards that nobody would ever begin: the end of a parent is
// stored, so they had a row, and it is gone. Somebody has deleted it. Shards of
// which a descendant has a row were read to their end.
func orphans(shards []Shard, rows []Row) []newShard {
	index := make(map[string]*Row, len(rows))
	for i := range rows {
		index[rows[i].Shard] = &rows[i]
	}
	listed := make(map[string]Shard, len(shards))
	for _, s := range shards {
		listed[s.ID] = s
	}
	continued := make(map[string]bool)
	var mark func(parents []string)
	mark = func(parents []string) {
		for _, p := range parents {
			if !continued[p] {
				continued[p] = true
				mark(listed[p].Parents)
			}
		}
	}
	for i := range rows {
		mark(rows[i].Parents)
	}
	var out []newShard
	for _, id := range shardOrder(shards) {
		s, ended := listed[id], 0
		for _, p := range s.Parents {
			_, there := listed[p]
			switch r := index[p]; {
			case r != nil && r.Finished():
				ended++
			case r == nil && there:
				ended = -len(s.Parents) // it gets its row first
			}
		}
		if ended > 0 && index[id] == nil && !continued[id] {
			out = append(out, newShard{s, checkpoint.TrimHorizon})
		}
	}
	return out
}

// checkTiling returns an error unless the ranges cover every hash key once, as
// the shards open at one moment do. Shards without ranges are not judged.
func checkTiling(shards []Shard) error {
	list := make([]shardmap.Shard, 0, len(shards))
	for _, s := range shards {
		if s.Range == nil {
			return nil
		}
		list = append(list, shardmap.Shard{ID: s.ID, Range: *s.Range})
	}
	_, err := shardmap.New(list)
	return err
}

// hole returns what is missing between the ranges of the unfinished rows, nil if
// nothing is or a row has no range. Ranges may overlap: a parent and its child
// do while the parent is being read.
func hole(rows []Row) *HashRange {
	var ranges []HashRange
	for _, r := range rows {
		if r.Finished() {
			continue
		}
		if r.Range == nil {
			return nil
		}
		ranges = append(ranges, *r.Range)
	}
	slices.SortFunc(ranges, func(a, b HashRange) int { return a.Start.Compare(b.Start) })
	next := shardmap.HashKey{}
	for i, r := range ranges {
		if next.Less(r.Start) {
			return &HashRange{Start: next, End: r.Start.Prev()}
		}
		if r.End.Less(next) && i > 0 {
			continue
		}
		if r.End == shardmap.MaxHashKey {
			return nil
		}
		next = r.End.Next()
	}
	return &HashRange{Start: next, End: shardmap.MaxHashKey}
}

// An audit watches for a hole that stays. One that goes away by itself is the
// trace of a table read while a shard was finished.
type audit struct {
	missing HashRange
	seen    int
	next    time.Time // when to look again
	list    time.Time // when to list the shards, whatever the rows look like
}

const (
	auditEvery = 10 * time.Second
	auditSeen  = 3 // looks at the same hole before the shards are listed
	listEvery  = 10 * time.Minute
)

// due reports whether the shards are to be listed: once for a new leader, now and
// then, and when the rows have had the same hole for long enough.
func (a *audit) due(now time.Time, rows []Row) bool {
	if !now.Before(a.list) {
		a.list = now.Add(listEvery)
		return true
	}
	if now.Before(a.next) {
		return false
	}
	a.next = now.Add(auditEvery)
	h := hole(rows)
	switch {
	case h == nil:
		a.seen = 0
	case a.seen == 0 || *h != a.missing:
		a.missing, a.seen = *h, 1
	default:
		a.seen++
	}
	return a.seen >= auditSeen
}

// A syncResult is the outcome of the last syncShards of a stream.
type syncResult struct {
	running  bool
	due      bool // it was asked for and could not be done yet
	failures int
	retry    time.Time // not before
}

// A syncNeed is what the rows of a stream tell of the need to list its shards.
type syncNeed struct {
	due   bool // it is time to
	empty bool // there are no rows
	rows  []Row

	namesakes []Row // those of other streams of its name, if there are none of its own
}

// maxSyncs bounds the streams that are listed at a time.
const maxSyncs = 8

// syncIfNeeded starts to create missing rows of a stream if it is due or the rows
// show that some are. It reports whether nothing is missing.
func (m *member) syncIfNeeded(ctx context.Context, now time.Time, stream Stream, need syncNeed) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.syncs[stream.ID]
	if last == nil {
		last = new(syncResult)
		m.syncs[stream.ID] = last
	}
	last.due = last.due || need.due
	if len(need.rows) > 0 && !last.due && last.failures == 0 {
		return true
	}
	if last.running || m.syncing == maxSyncs || m.stopping || now.Before(last.retry) {
		return false
	}
	last.running, last.due = true, false
	m.syncing++
	m.duties.Go(func() {
		n, err := m.syncShards(ctx, stream, need)
		switch {
		case errors.Is(err, ErrRecreated) && !m.catalogue.many:
			m.fail(err)
		case err != nil && ctx.Err() == nil:
			m.log.Warn("shards not synchronised", "stream", stream.Label(), "error", err)
		}
		if n > 0 {
			m.log.Info("leases created", "stream", stream.Label(), "leases", n)
		}
		m.mu.Lock()
		m.syncing--
		last.running = false
		if err != nil {
			last.failures = min(last.failures+1, 10)
		} else {
			last.failures = 0
		}
		last.retry = time.Now().Add(time.Duration(1+last.failures) * time.Second)
		m.mu.Unlock()
		m.wakeWatch(n > 0)
	})
	return false
}

// syncShards lists the shards of a stream and creates the rows that are missing.
func (m *member) syncShards(ctx context.Context, stream Stream, need syncNeed) (created int, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(time.Minute, 6*m.timing.failover))
	defer cancel()
	plan, err := m.planSync(ctx, stream, need)
	if err != nil {
		return 0, err
	}
	done := make([]bool, len(plan))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, s := range plan {
		g.Go(func() error {
			_, err := m.createRow(ctx, newRow(stream, s.Shard, s.at))
			done[i] = err == nil
			return err
		})
	}
	err = g.Wait()
	for _, ok := range done {
		if ok {
			created++
		}
	}
	return created, err
}

func (m *member) planSync(ctx context.Context, stream Stream, need syncNeed) ([]newShard, error) {
	at, rows := ShardsAt{}, need.rows
	if need.empty {
		at = shardsAt(stream)
		if err := m.refuseNamesake(ctx, stream, need.namesakes); err != nil {
			return nil, err
		}
	}
	shards, err := m.source.Shards(ctx, stream, at)
	if err != nil {
		return nil, fmt.Errorf("lease: list the shards of %s: %w", stream.Label(), err)
	}
	if len(shards) == 0 {
		return nil, fmt.Errorf("lease: stream %s lists no shards", stream.Label())
	}
	if !need.empty {
		leased := make(map[string]bool, len(rows))
		for _, r := range rows {
			leased[r.Shard] = true
		}
		if err := m.refuseRecreated(ctx, stream, shards, rows); err != nil {
			return nil, err
		}
		m.removeGarbage(ctx, shards, rows)
		plan, err := planRows(shards, leased, stream.Start)
		return append(plan, orphans(shards, rows)...), err
	}
	if err := checkTiling(shards); err != nil {
		return nil, fmt.Errorf("lease: shards of %s at its start: %w", stream.Label(), err)
	}
	byID := make(map[string]Shard, len(shards))
	for _, s := range shards {
		byID[s.ID] = s
	}
	var plan []newShard
	for _, id := range shardOrder(shards) {
		plan = append(plan, newShard{byID[id], stream.Start})
	}
	return plan, nil
}
