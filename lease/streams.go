package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A StreamID is what names a stream in an application of many: the account that
// owns it, its name, and when it was created, which tells it from a stream that
// had its name before.
type StreamID struct {
	Account string // decimal digits
	Name    string
	Epoch   int64 // seconds since 1970, above 0
}

// ParseStreamID reads "account:name:epoch", the form of the KCL.
func ParseStreamID(s string) (StreamID, error) {
	account, rest, _ := strings.Cut(s, ":")
	name, epoch, ok := strings.Cut(rest, ":")
	id := StreamID{Account: account, Name: name}
	bad := !ok || account == "" || name == "" || !decimal(account) || !decimal(epoch) || epoch == "" || epoch[0] == '0' || len(epoch) > 18
	if bad {
		return StreamID{}, fmt.Errorf("lease: stream id %q: want account:name:epoch, such as 123456789012:clicks:1700000000", clip(s))
	}
	for _, c := range epoch {
		id.Epoch = id.Epoch*10 + int64(c-'0')
	}
	return id, nil
}

// String returns "account:name:epoch".
func (id StreamID) String() string { return fmt.Sprintf("%s:%s:%d", id.Account, id.Name, id.Epoch) }

func decimal(s string) bool { return strings.Trim(s, "0123456789") == "" }

// Label returns what names the stream in events, logs and views: its id, or its
// name in an application of one stream.
func (s *Stream) Label() string { return cmp.Or(s.ID, s.Name) }

// Key returns the key of a shard's row: "account:name:epoch:shard", or the shard's
// id alone in an application of one stream.
func (s *Stream) Key(shard string) string {
	if s.ID == "" {
		return shard
	}
	return s.ID + ":" + shard
}

func (s *Stream) validate() error {
	if s.Start != checkpoint.TrimHorizon && s.Start != checkpoint.Latest && s.Start != checkpoint.AtTimestamp {
		return fmt.Errorf("lease: stream %s: start %v, want TRIM_HORIZON, LATEST or AT_TIMESTAMP", s.Label(), s.Start)
	}
	if s.ID == "" {
		return nil
	}
	_, err := ParseStreamID(s.ID)
	return err
}

// A catalogue knows the streams of an application. In one of many they change
// while it runs: the leader asks the source for them now and then, and the others
// learn of a new stream when they are given a lease on one of its shards.
type catalogue struct {
	source Source
	many   bool // set when the run begins, and not changed after

	mu     sync.Mutex        // guards what follows
	listed map[string]Stream // by id; as the source answered last
	found  map[string]finding
}

// A finding is what became of the search for a stream that is not listed.
type finding struct {
	stream Stream
	err    error
	at     time.Time
}

// findAgain is the time between two searches for a stream that was not found.
const findAgain = 10 * time.Second

// open asks for the streams for the first time.
func (c *catalogue) open(ctx context.Context, worker string) error {
	list, err := c.source.Streams(ctx)
	if err != nil && len(list) == 0 {
		return fmt.Errorf("lease: ask the source for its streams: %w", err)
	}
	c.many = len(list) != 1 || list[0].ID != ""
	if _, err := ParseStreamID(worker); c.many && err == nil {
		return fmt.Errorf("lease: WorkerID %q looks like the id of a stream, want another", worker)
	}
	if !c.many && list[0].Name == worker {
		return fmt.Errorf("lease: WorkerID %q is the name of the stream, want another", worker)
	}
	return c.set(list)
}

// set takes over what the source answered.
func (c *catalogue) set(list []Stream) error {
	listed := make(map[string]Stream, len(list))
	for _, s := range list {
		switch {
		case c.many && s.ID == "":
			return fmt.Errorf("lease: source has %d streams and no id for %s, want one for each", len(list), s.Name)
		case !c.many && (s.ID != "" || len(list) != 1):
			return fmt.Errorf("lease: source had one stream without an id and has now %d, want the same", len(list))
		}
		if _, twice := listed[s.ID]; twice {
			return fmt.Errorf("lease: source has the stream %s twice", s.Label())
		}
		if err := s.validate(); err != nil {
			return err
		}
		listed[s.ID] = s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed, c.found = listed, nil
	return nil
}

// labelOf returns what names the stream of a row in events.
func (m *member) labelOf(r *Row) string {
	s, _ := m.catalogue.lookup(r.Stream)
	return s.Label()
}

// all returns the streams listed, by id.
func (c *catalogue) all() []Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Stream, 0, len(c.listed))
	for _, id := range slices.Sorted(maps.Keys(c.listed)) {
		out = append(out, c.listed[id])
	}
	return out
}

// ours reports whether a row is one of this application's kind. The others are
// left alone.
func (c *catalogue) ours(r *Row) bool {
	if !c.many {
		return r.Stream == "" && r.Shard == r.Key
	}
	return r.Stream != "" && r.Key == r.Stream+":"+r.Shard
}

// lookup returns a stream that is listed or was found, else what its id tells.
func (c *catalogue) lookup(id string) (s Stream, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.listed[id]; ok {
		return s, true
	}
	if f, ok := c.found[id]; ok && f.err == nil {
		return f.stream, true
	}
	parsed, _ := ParseStreamID(id)
	return Stream{ID: id, Name: parsed.Name}, false
}

// find returns the stream with that id, also if it is not listed: it may be new,
// or one that is no longer read when its leases have been removed. A search that
// failed is not repeated at once; then the error is nil and found false.
func (c *catalogue) find(ctx context.Context, id string) (s Stream, found bool, err error) {
	if s, ok := c.lookup(id); ok {
		return s, true, nil
	}
	c.mu.Lock()
	last := c.found[id]
	c.mu.Unlock()
	if last.err != nil && time.Since(last.at) < findAgain {
		return s, false, nil
	}
	if c.replaced(id) {
		err = fmt.Errorf("%w: %s", ErrRecreated, clip(id))
	} else if finder, ok := c.source.(Finder); ok {
		s, err = finder.Stream(ctx, id)
	} else {
		err = errors.New("lease: the source cannot find it")
	}
	if err == nil && s.ID != id {
		err = fmt.Errorf("lease: the source answered with %s", clip(s.ID))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found == nil {
		c.found = make(map[string]finding)
	}
	c.found[id] = finding{stream: s, err: err, at: time.Now()}
	return s, err == nil, err
}

// replaced reports whether a stream is listed that has the name of this one and
// was created later. The list of a worker that does not lead may be older than the
// stream.
func (c *catalogue) replaced(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.listed[id]; ok {
		return false
	}
	old, err := ParseStreamID(id)
	if err != nil {
		return false
	}
	for other := range c.listed {
		if s, _ := ParseStreamID(other); s.Account == old.Account && s.Name == old.Name && s.Epoch > old.Epoch {
			return true
		}
	}
	return false
}

// A roster is what a leader knows of the streams during its term. The loop
// goroutine uses it alone, but for what member.mu guards.
type roster struct {
	audits map[string]*audit    // by stream
	former map[string]time.Time // streams with rows that are not listed, since when

	// Guarded by member.mu.
	asking  bool      // the goroutine of askStreams runs
	known   bool      // the source has answered in this term
	partial bool      // its last answer was not complete
	next    time.Time // when to ask it again
}

const (
	rosterEvery = time.Minute // the KCL's
	rosterAgain = 10 * time.Second
	rosterFor   = 5 * time.Minute // for one answer, which nothing waits for but the first of a term
)

// keepStreams sees to it that each stream has its rows and that those of former
// streams go. It reports whether nothing is left to do.
func (m *member) keepStreams(ctx context.Context, now time.Time, snap *Snapshot) (settled bool) {
	if m.lead.roster == nil {
		m.lead.roster = &roster{audits: make(map[string]*audit), former: make(map[string]time.Time)}
	}
	r := m.lead.roster
	if m.catalogue.many && !m.askStreams(ctx, now, r) {
		return false // a stream that is new to this leader would look like a former one (KCL#1063)
	}
	rows := make(map[string][]Row)
	for _, row := range snap.Rows {
		rows[row.Stream] = append(rows[row.Stream], row)
	}
	settled = true
	former := maps.Clone(rows)
	for _, s := range m.catalogue.all() {
		a := r.audits[s.ID]
		if a == nil {
			a = new(audit)
			r.audits[s.ID] = a
		}
		empty := len(rows[s.ID]) == 0 && (m.catalogue.many || !m.foreign) && !slices.ContainsFunc(snap.Bad, func(e *RowError) bool {
			return strings.HasPrefix(e.Key, s.Key(""))
		})
		need := syncNeed{due: a.due(now, rows[s.ID]), rows: rows[s.ID], empty: empty}
		if m.catalogue.many && empty {
			need.namesakes = namesakes(s.ID, rows)
		}
		settled = m.syncIfNeeded(ctx, now, s, need) && settled
		delete(r.former, s.ID)
		delete(former, s.ID)
		for _, row := range need.namesakes {
			// Nothing of them is removed before it is known that they are of another stream.
			delete(former, row.Stream)
		}
	}
	return m.removeFormer(ctx, now, r, former) && settled
}

// namesakes returns the rows of other streams of the same account and name.
func namesakes(stream string, rows map[string][]Row) []Row {
	want, err := ParseStreamID(stream)
	if err != nil {
		return nil
	}
	var out []Row
	for _, other := range slices.Sorted(maps.Keys(rows)) {
		if id, err := ParseStreamID(other); err == nil && other != stream && id.Account == want.Account && id.Name == want.Name {
			out = append(out, rows[other]...)
		}
	}
	return out
}

func (m *member) isPartial(r *roster) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.partial
}

// askStreams starts to ask the source for the streams if that is due. It reports
// whether it has answered since this worker leads.
func (m *member) askStreams(ctx context.Context, now time.Time, r *roster) (known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.asking || m.stopping || now.Before(r.next) {
		return r.known
	}
	r.asking = true
	m.duties.Go(func() {
		call, cancel := context.WithTimeout(ctx, rosterFor)
		list, err := m.source.Streams(call)
		cancel()
		if err == nil || len(list) > 0 {
			err = errors.Join(err, m.catalogue.set(list))
		}
		if err != nil && ctx.Err() == nil {
			m.log.Warn("streams not listed", "error", err)
		}
		m.mu.Lock()
		r.asking, r.known, r.partial = false, r.known || len(list) > 0 || err == nil, err != nil
		r.next = time.Now().Add(rosterEvery)
		if err != nil {
			r.next = time.Now().Add(rosterAgain)
		}
		m.mu.Unlock()
		m.wakeWatch(true)
	})
	return r.known
}

// removeFormer deletes the rows of streams that are not listed any more: at once
// if the stream was created again, else when Options.FormerStreams has passed.
// Their readers find that their leases are gone. It reports whether none are left
// that are to go now.
func (m *member) removeFormer(ctx context.Context, now time.Time, r *roster, rows map[string][]Row) (settled bool) {
	settled = true
	partial := m.isPartial(r) // any of them may be one that the source could not tell of
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		since, ok := r.former[id]
		if !ok || partial {
			since, r.former[id] = now, now
		}
		if !m.catalogue.replaced(id) && (partial || now.Sub(since) < m.options.FormerStreams) {
			continue
		}
		removed := 0
		// Children first: what is left of a removal that was cut short starts nothing.
		slices.SortFunc(rows[id], func(a, b Row) int { return cmp.Compare(b.Key, a.Key) })
		for _, row := range rows[id] {
			if ctx.Err() != nil {
				return false
			}
			if _, err := m.write(ctx, Write{Op: Delete, Seen: row}); err != nil {
				m.log.Debug("row of a former stream not removed yet", "lease", row.Key, "error", err)
				settled = false
				continue
			}
			removed++
		}
		m.log.Info("leases of a former stream removed", "stream", id, "leases", removed, "left", len(rows[id])-removed)
	}
	return settled
}
