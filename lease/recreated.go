package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// ErrRecreated is wrapped by the error of [Coordinator.Run] if the table belongs
// to another stream than the one that now has its name.
var ErrRecreated = errors.New("lease: the stream was deleted and created again")

// checkRecreated returns an error if the shards cannot be those that the rows
// were made for. A stream that is created again numbers its shards from the
// beginning: those that were finished would never be read, and the positions of
// the others mean nothing in it.
func checkRecreated(stream Stream, shards []Shard, rows []Row) error {
	byID := make(map[string]*Row, len(rows))
	for i := range rows {
		byID[rows[i].Shard] = &rows[i]
	}
	continued := make(map[string]bool) // a list made during a reshard may show them as open
	for _, s := range shards {
		for _, p := range s.Parents {
			continued[p] = true
		}
	}
	for _, s := range shards {
		r := byID[s.ID]
		if r == nil {
			continue
		}
		why := ""
		switch {
		case r.Finished() && !s.Closed && !continued[s.ID]:
			why = "is finished in the table and open in the stream"
		case r.Checkpoint.IsRecord() && s.First.IsRecord() && r.Checkpoint.Compare(s.First) < 0:
			why = fmt.Sprintf("was read up to %v, which lies before its first record, %v", r.Checkpoint, s.First)
		case r.Range != nil && s.Range != nil && *r.Range != *s.Range:
			why = fmt.Sprintf("has the hash keys %v to %v in the table and %v to %v in the stream",
				r.Range.Start, r.Range.End, s.Range.Start, s.Range.End)
		default:
			continue
		}
		return fmt.Errorf("%w: shard %s of %s %s: delete the table's leases or use another application name, to read the new stream from its start position",
			ErrRecreated, s.ID, stream.Label(), why)
	}
	return nil
}

// The shards are listed again before a stream is refused, since that ends the whole
// application: a list may lag behind a reshard.
const (
	confirmEvery = 5 * time.Second
	confirmTimes = 3
)

// refuseRecreated returns the error of checkRecreated once it is certain.
func (m *member) refuseRecreated(ctx context.Context, stream Stream, shards []Shard, rows []Row) error {
	err := checkRecreated(stream, shards, rows)
	for n := 0; err != nil && n < confirmTimes; n++ {
		m.log.Warn("table and stream contradict each other; listing again", "error", err)
		if !pause(ctx, confirmEvery, nil) {
			return context.Cause(ctx)
		}
		shards, lerr := m.source.Shards(ctx, stream, ShardsAt{})
		if lerr != nil {
			return fmt.Errorf("lease: list the shards of %s: %w", stream.Label(), lerr)
		}
		err = checkRecreated(stream, shards, rows)
	}
	return err
}

// checkStreams compares the table with the stream before anything of it is read.
// A stream that cannot be listed is compared by the leader, when it can. Of many
// streams each is known by the time of its creation, or the id it was given.
func (m *member) checkStreams(ctx context.Context, rows []Row) error {
	if m.catalogue.many {
		return m.checkIDs(ctx, rows)
	}
	if len(rows) == 0 {
		return nil
	}
	stream := m.catalogue.all()[0]
	shards, err := m.source.Shards(ctx, stream, ShardsAt{})
	if err == nil {
		err = m.refuseRecreated(ctx, stream, shards, rows)
	}
	if err != nil && !errors.Is(err, ErrRecreated) && ctx.Err() == nil {
		m.log.Warn("stream not compared with the table", "stream", stream.Label(), "error", err)
		return nil
	}
	return err
}

// checkIDs refuses a stream that has no rows yet if the table has positions in it
// under another id. A stream that is named while the fleet runs is refused by the
// leader, which then reads the others.
func (m *member) checkIDs(ctx context.Context, rows []Row) error {
	byID := make(map[string][]Row)
	for _, r := range rows {
		byID[r.Stream] = append(byID[r.Stream], r)
	}
	for _, stream := range m.catalogue.all() {
		if len(byID[stream.ID]) > 0 {
			continue
		}
		err := m.refuseNamesake(ctx, stream, namesakes(stream.ID, byID))
		if errors.Is(err, errNamesake) {
			return err
		}
		if err != nil {
			m.log.Warn("stream not compared with the table", "stream", stream.Label(), "error", err)
		}
	}
	return nil
}

var errNamesake = errors.New("the table has positions in the stream under another id")

// refuseNamesake returns an error if one of these rows, of streams of the same name,
// has a position in this one: its id has an epoch, say, that the application's Java
// workers made up. It would be read from its start again, and the rows with the
// positions be removed as those of a stream that was there before. Which they may
// be: then they lie before its records.
func (m *member) refuseNamesake(ctx context.Context, stream Stream, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	shards, err := m.source.Shards(ctx, stream, ShardsAt{})
	if err != nil {
		return fmt.Errorf("lease: list the shards of %s: %w", stream.Label(), err)
	}
	if r := positionIn(shards, rows); r != nil {
		return fmt.Errorf("lease: stream %s has no leases, and those of %s are of the same stream: shard %s was read up to %v: give the stream that id, or delete these leases to read it from its start: %w",
			stream.ID, clip(r.Stream), r.Shard, r.Checkpoint, errNamesake)
	}
	return nil
}

// positionIn returns a row whose position is one in these shards, nil if there is none.
func positionIn(shards []Shard, rows []Row) *Row {
	first := make(map[string]checkpoint.Position, len(shards))
	for _, s := range shards {
		first[s.ID] = s.First
	}
	for i := range rows {
		r := &rows[i]
		if at := first[r.Shard]; at.IsRecord() && r.Checkpoint.IsRecord() && r.Checkpoint.Compare(at) >= 0 {
			return r
		}
	}
	return nil
}

// A verifier keeps what [Held.Verify] has found out.
type verifier struct {
	token chan struct{}        // in the channel while nobody verifies
	same  map[string]time.Time // by stream: when it was last found to be the same; of whoever has the token
}

func newVerifier() verifier {
	v := verifier{token: make(chan struct{}, 1), same: make(map[string]time.Time)}
	v.token <- struct{}{}
	return v
}

// verifyAgain is how long a stream that was found to be the same is taken to be.
const verifyAgain = 30 * time.Second

// Verify makes sure, now, that the stream is the one that the position belongs to:
// it compares the shards listed with the rows in the table. A reader calls it when
// the stream refuses the position, or knows the shard no more, before it draws any
// conclusion from that.
//
// An error that wraps [ErrRecreated] means that it is another stream; in an
// application of one stream [Coordinator.Run] then ends with it. Any other error
// means that nothing is known. Verify lists a stream at most every 30 seconds,
// however many of its leases ask.
func (h *Held) Verify(ctx context.Context) error {
	v := &h.m.verifier
	select {
	case <-v.token:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { v.token <- struct{}{} }()
	if at, ok := v.same[h.stream.ID]; ok && time.Since(at) < verifyAgain {
		return nil
	}
	if err := h.m.failed(); errors.Is(err, ErrRecreated) {
		return err
	}
	err := h.m.verify(ctx, h.stream)
	switch {
	case err == nil:
		v.same[h.stream.ID] = time.Now()
	case errors.Is(err, ErrRecreated) && !h.m.catalogue.many:
		h.m.fail(err)
	}
	return err
}

func (m *member) verify(ctx context.Context, stream Stream) error {
	if finder, ok := m.source.(Finder); ok && m.catalogue.many {
		if _, err := finder.Stream(ctx, stream.ID); err != nil {
			return fmt.Errorf("lease: verify %s: %w", stream.Label(), err)
		}
	}
	call, cancel := context.WithTimeout(ctx, m.timing.failover/2)
	snap, err := m.store.Snapshot(call)
	cancel()
	if err != nil {
		return fmt.Errorf("lease: verify %s: %w", stream.Label(), err)
	}
	rows := slices.DeleteFunc(snap.Rows, func(r Row) bool { return !m.catalogue.ours(&r) || r.Stream != stream.ID })
	shards, err := m.source.Shards(ctx, stream, ShardsAt{})
	if err != nil {
		return fmt.Errorf("lease: verify %s: %w", stream.Label(), err)
	}
	return m.refuseRecreated(ctx, stream, shards, rows)
}

// garbage returns the finished rows of shards that the stream lists no longer and
// that no row needs as a parent: nothing of them is left to tell.
func garbage(shards []Shard, rows []Row) []Row {
	needed := make(map[string]bool, len(shards))
	for _, s := range shards {
		needed[s.ID] = true
	}
	for _, r := range rows {
		if r.Checkpoint.IsRecord() || r.Finished() {
			continue
		}
		for _, p := range r.Parents {
			needed[p] = true
		}
	}
	var out []Row
	for _, r := range rows {
		if r.Finished() && !needed[r.Shard] {
			out = append(out, r)
		}
	}
	return out
}

func (m *member) removeGarbage(ctx context.Context, shards []Shard, rows []Row) {
	for _, r := range garbage(shards, rows) {
		if _, err := m.write(ctx, Write{Op: Delete, Seen: r}); err != nil {
			m.log.Warn("row of a shard past its retention not removed", "lease", r.Key, "error", err)
			continue
		}
		m.log.Info("row of a shard past its retention removed", "lease", r.Key)
	}
}
