package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// A Rewound is what [Rewind] did to one shard.
type Rewound struct {
	ShardID  string
	From, To checkpoint.Position // From is zero if the shard had no row any more
}

// Rewind makes an application read records again: it sets the stored positions
// of a stream's shards back to a place and returns what it changed, parents
// before their children. In the store of an application of many streams it is the
// one with that name or ARN. Workers may be running, those of the KCL too. The one
// that reads such a shard finds out at its next checkpoint or renewal, none of
// which is stored any more, ends its handler with lease.ErrLost, and takes the
// shard up again at the new position within seconds.
//
// The place is [FromTrimHorizon], [FromTime], or [From] for a single shard.
// Without shards it is set for the whole stream. It never goes forward: a shard
// that is not past the place is left alone. FromTime looks for the records around
// that time, with a few reads of each shard, and stores the position of the last
// one before it.
//
// The descendants of a shard that goes back start at their first record, after
// it, as they did the first time; rows that were removed since are made again.
// Shards and rows that the stream retains no longer cannot be brought back.
//
// It does not end midway without saying so: after an error some shards have been
// set back, those returned, and calling it again does the rest.
func Rewind(ctx context.Context, client KinesisAPI, store lease.Store, stream string, to Start, shards ...string) ([]Rewound, error) {
	ref, err := parseStream(stream)
	if client == nil {
		err = errors.Join(err, errors.New("consumer: client is nil, want a Kinesis client"))
	}
	if store == nil {
		err = errors.Join(err, errors.New("consumer: store is nil, want a lease.Store"))
	}
	if err := errors.Join(err, to.validateRewind(len(shards))); err != nil {
		return nil, err
	}
	if err := store.Open(ctx); err != nil {
		return nil, fmt.Errorf("consumer: rewind %s: %w", ref.name, err)
	}
	listed, err := listShards(ctx, client, ref, nil)
	if err != nil {
		return nil, err
	}
	listed = parentsFirst(listed)
	for _, id := range shards {
		if !slices.ContainsFunc(listed, func(s lease.Shard) bool { return s.ID == id }) {
			return nil, fmt.Errorf("consumer: rewind %s: shard %q: the stream has none of that id", ref.name, clip(id))
		}
	}
	r := &rewinder{client: client, store: store, stream: ref, to: to, affected: make(map[string]bool), rows: lease.Stream{Name: ref.name}}
	if err := r.checkRows(ctx, listed); err != nil {
		return nil, err
	}
	for _, s := range listed {
		if err := r.rewind(ctx, s, len(shards) == 0 || slices.Contains(shards, s.ID)); err != nil {
			return r.done, fmt.Errorf("consumer: rewind %s: shard %s: %w", ref.name, s.ID, err)
		}
	}
	return r.done, nil
}

// validateRewind judges s as the place of a Rewind of that many shards.
func (s Start) validateRewind(shards int) error {
	switch {
	case s.at == checkpoint.Latest:
		return errors.New("consumer: Rewind to FromLatest: want FromTrimHorizon, FromTime or From, which lie behind")
	case s.at.IsRecord() && shards != 1:
		return fmt.Errorf("consumer: Rewind to From(%v) with %d shards named: want 1, the one that the record is in", s.at, shards)
	case s.at.IsRecord():
		return s.at.Validate()
	}
	return s.validate()
}

// A rewinder is one call of Rewind.
type rewinder struct {
	client KinesisAPI
	store  lease.Store
	stream streamRef
	to     Start
	rows   lease.Stream // names the rows

	affected map[string]bool // shards that go back
	done     []Rewound
}

// checkRows returns an error if the store has no row of the stream: it is not
// started yet, or the store is that of another application.
func (r *rewinder) checkRows(ctx context.Context, listed []lease.Shard) error {
	snap, err := r.store.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("consumer: rewind %s: %w", r.stream.name, err)
	}
	if r.rows.ID, err = rowsOf(ctx, r.client, r.stream, snap.Rows); err != nil {
		return err
	}
	ids := make(map[string]bool, len(listed))
	for _, s := range listed {
		ids[r.rows.Key(s.ID)] = true
	}
	if !slices.ContainsFunc(snap.Rows, func(row lease.Row) bool { return ids[row.Key] }) {
		return fmt.Errorf("consumer: rewind %s: the store has no lease on a shard of this stream", r.stream.name)
	}
	return nil
}

// rewind sets one shard back, if it is chosen or follows one that went back. Its
// parents' turn was before: were it set back first, it could start before them.
func (r *rewinder) rewind(ctx context.Context, s lease.Shard, chosen bool) error {
	follows := slices.ContainsFunc(s.Parents, func(p string) bool { return r.affected[p] })
	target := checkpoint.TrimHorizon
	if !follows {
		if !chosen {
			return nil
		}
		var found bool
		var err error
		if target, found, err = r.place(ctx, s.ID); err != nil || !found {
			return err
		}
	}
	from, moved, err := r.write(ctx, s, target, follows)
	if err != nil || !moved {
		return err
	}
	r.affected[s.ID] = true
	r.done = append(r.done, Rewound{ShardID: s.ID, From: from, To: target})
	return nil
}

// place returns the position to store so that reading goes on with the first
// record to be read again, and false if the shard has none.
func (r *rewinder) place(ctx context.Context, shard string) (checkpoint.Position, bool, error) {
	if r.to.at != checkpoint.AtTimestamp {
		return r.to.position(), true, nil
	}
	return (&seeker{client: r.client, stream: r.stream, shard: shard}).before(ctx, r.to.time)
}

// rewindAttempts bounds how often a row is written that changes all the time:
// its owner may store a position after every record.
const rewindAttempts = 100

// write sets a row back to target and returns where it was. It leaves a row alone
// that is not past the target, unless it follows one that goes back: then its
// reader has to start again in any case, to wait for its parents.
func (r *rewinder) write(ctx context.Context, s lease.Shard, target checkpoint.Position, follows bool) (from checkpoint.Position, moved bool, err error) {
	cur, err := r.row(ctx, s.ID)
	for n := 0; n < rewindAttempts && err == nil; n++ {
		w := lease.Write{Op: lease.Create, Row: lease.Row{Key: r.rows.Key(s.ID), Stream: r.rows.ID, Shard: s.ID, Parents: s.Parents, Range: s.Range, Checkpoint: target}}
		if cur != nil {
			if !follows {
				if past, err := r.isPast(cur.Checkpoint, target); !past || err != nil {
					return from, false, err
				}
			}
			from = cur.Checkpoint
			w = lease.Write{Op: lease.Rewind, Seen: *cur, Checkpoint: target}
		}
		var made lease.Row
		if made, err = r.store.Write(ctx, w); err == nil {
			return from, made.Key != "", nil
		}
		var conflict *lease.ConflictError
		if errors.As(err, &conflict) {
			cur, err = conflict.Current, nil
			continue
		}
		if ctx.Err() != nil {
			return from, false, context.Cause(ctx)
		}
		// It may have been made. Making it twice does no harm.
		failed := err
		if cur, err = r.row(ctx, s.ID); err != nil {
			err = errors.Join(failed, err)
		}
	}
	if err == nil {
		err = fmt.Errorf("its row kept changing through %d attempts", rewindAttempts)
	}
	return from, false, err
}

// row returns the row of a shard, nil if there is none.
func (r *rewinder) row(ctx context.Context, shard string) (*lease.Row, error) {
	row, err := r.store.Row(ctx, r.rows.Key(shard))
	if errors.Is(err, lease.ErrNotFound) {
		return nil, nil
	}
	return &row, err
}

// isPast reports whether a row at stored lies behind target in the shard.
func (r *rewinder) isPast(stored, target checkpoint.Position) (bool, error) {
	switch {
	case stored == checkpoint.Latest:
		return true, nil // it starts behind everything
	case stored == checkpoint.AtTimestamp && target.IsRecord():
		return false, errors.New("it has stored nothing and starts at a time that only its workers know")
	case stored == checkpoint.AtTimestamp:
		return true, nil
	case r.to.at.IsRecord() && target.Compare(stored) > 0:
		return false, fmt.Errorf("%v lies ahead of %v, which is stored", target, stored)
	}
	return target.Compare(stored) < 0, nil
}

// parentsFirst sorts shards so that none comes before its parents.
func parentsFirst(shards []lease.Shard) []lease.Shard {
	byID := make(map[string]lease.Shard, len(shards))
	for _, s := range shards {
		byID[s.ID] = s
	}
	out := make([]lease.Shard, 0, len(shards))
	seen := make(map[string]bool, len(shards))
	var visit func(id string)
	visit = func(id string) {
		s, ok := byID[id]
		if !ok || seen[id] {
			return // trimmed, or a circle that no stream has
		}
		seen[id] = true
		for _, p := range s.Parents {
			visit(p)
		}
		out = append(out, s)
	}
	for _, s := range shards {
		visit(s.ID)
	}
	return out
}

// clip bounds what a caller's text adds to an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
