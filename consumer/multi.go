package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"golang.org/x/sync/errgroup"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/lease"
)

// MultiAPI is what a consumer of many streams asks of Kinesis. *kinesis.Client
// provides it.
type MultiAPI interface {
	KinesisAPI
	DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
}

// A Stream is one of the streams of a consumer made by [NewMulti].
type Stream struct {
	// Name is its name or its ARN. The ARN alone reaches a stream of another
	// account with the same client; its resource policy must allow that.
	Name string

	// Client reads it, for a stream in another region or of an account that its
	// credentials belong to. Default nil: the client given to NewMulti.
	Client MultiAPI

	// Start says where to begin if nothing is stored. Default [Options.Start].
	Start Start

	// ID names the stream in the keys of its rows, as "account:name:epoch". Default
	// empty: it is made of what Kinesis tells, the epoch being the second of the
	// stream's creation. An application whose Java workers use another epoch gives
	// theirs (Run refuses to read their stream anew under another); it is then up to
	// them to tell a stream that was created again.
	ID string
}

// Streams returns a fixed list for [NewMulti]: streams by name or ARN, all else at
// its default.
func Streams(names ...string) func(context.Context) ([]Stream, error) {
	list := make([]Stream, len(names))
	for i, name := range names {
		list[i].Name = name
	}
	return func(context.Context) ([]Stream, error) { return list, nil }
}

// NewMulti returns a consumer of many streams, which share the workers of one
// application and its lease table. Of two consumers with the same store both are
// of many streams or both of one: the keys of their rows differ.
//
// Streams answers which streams to read; [Streams] makes one that always answers
// the same. The leader of the fleet calls it every minute, and every worker when
// it starts and when it is given a lease on a stream it does not know. A stream
// that is new is read from its start position within a minute. One that is named
// twice, such as by its name and by its ARN, is read once. One that is not named
// any more goes on being read until lease.Options.FormerStreams has passed,
// an hour by default; then its leases are removed, and should it come back it
// begins at its start position. One that was deleted and created again is a new
// stream, and the leases of the old one are removed at once.
//
// Everything else is as for [New]. [Consumer.Run] returns an error at the start
// if none of the streams can be found; one of several that cannot is logged and
// looked for again, and no leases are removed meanwhile. Of very many streams those
// are found first that can be described in half a minute, some 450, the others in the
// minutes after.
func NewMulti(client MultiAPI, store lease.Store, streams func(context.Context) ([]Stream, error), optFns ...func(*Options)) (*Consumer, error) {
	o := defaults()
	for _, fn := range optFns {
		fn(&o)
	}
	err := errors.Join(o.validate(), shardmap.CheckMD5())
	if client == nil {
		err = errors.Join(err, errors.New("consumer: client is nil, want a Kinesis client"))
	}
	if store == nil {
		err = errors.Join(err, errors.New("consumer: store is nil, want a lease.Store"))
	}
	if strings.HasPrefix(o.FanOutConsumer, "arn:") {
		err = errors.Join(err, fmt.Errorf("consumer: FanOutConsumer is %q, want a name: an ARN is that of one stream", clip(o.FanOutConsumer)))
	}
	if streams == nil {
		err = errors.Join(err, errors.New("consumer: streams is nil, want a function that names them"))
	}
	if err != nil {
		return nil, err
	}
	m := &multi{client: client, ask: streams, start: o.Start, roll: newRoll(), known: make(map[string]target)}
	c := newConsumer(client, o)
	c.many = m
	if err := c.join(store, m); err != nil {
		return nil, err
	}
	return c, nil
}

// A target is one stream of many, and how to reach it.
type target struct {
	client MultiAPI
	stream streamRef
	given  bool // its id was given, not made of what Kinesis tells
	lease  lease.Stream
}

// multi tells the lease engine which streams there are and which shards they
// have. It is safe for concurrent use.
type multi struct {
	client MultiAPI
	ask    func(context.Context) ([]Stream, error)
	start  Start // of streams that have none of their own
	roll   *roll

	mu    sync.Mutex        // guards known
	known map[string]target // by id: all that were ever found; a lease may outlive its place in the list
}

var (
	_ lease.Source = (*multi)(nil)
	_ lease.Finder = (*multi)(nil)
)

// Streams asks which streams there are and identifies each. The error says which
// could not be; the others are returned beside it. Of very many it describes as many
// as it may in half a minute: those that it does not know first. A stream that was
// described before and was not reached is as it was.
func (m *multi) Streams(ctx context.Context) ([]lease.Stream, error) {
	given, err := m.ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("consumer: ask for the streams: %w", err)
	}
	found := make([]target, len(given))
	errs := make([]error, len(given))
	for i := range given {
		found[i], errs[i] = m.prepare(&given[i])
		if errs[i] == nil && !found[i].given && !m.roll.recall(&given[i], &found[i]) {
			errs[i] = errNotReached
		}
	}
	look, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(describeAtOne)
	for _, i := range m.roll.plan(given) {
		if found[i].given || errs[i] != nil && !errors.Is(errs[i], errNotReached) {
			continue
		}
		g.Go(func() error {
			t, err := m.identify(look, &given[i])
			if known := errs[i] == nil; !known || !errors.Is(err, errNotReached) {
				found[i], errs[i] = t, err
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []lease.Stream
	at := make(map[string]int, len(found)) // by id: its place in out
	for i, t := range found {
		if errs[i] != nil {
			continue
		}
		if n, twice := at[t.lease.ID]; twice { // such as by its name and by its ARN
			errs[i] = sameStart(&out[n], &t.lease)
			continue
		}
		at[t.lease.ID] = len(out)
		m.known[t.lease.ID] = t
		out = append(out, t.lease)
	}
	return out, errors.Join(summary(errs)...)
}

// sameStart refuses a stream that is named twice with different starts.
func sameStart(first, second *lease.Stream) error {
	if first.Start == second.Start && first.StartTime.Equal(second.StartTime) {
		return nil
	}
	return fmt.Errorf("consumer: stream %s is named twice, with starts %v and %v: the first holds", first.ID, first.Start, second.Start)
}

// identify finds out what names the stream in the rows, and how to reach it.
func (m *multi) identify(ctx context.Context, s *Stream) (target, error) {
	t, err := m.prepare(s)
	if err != nil || t.given {
		return t, err
	}
	err = m.roll.describe(ctx, &t)
	m.roll.note(s, &t, err)
	return t, err
}

// prepare returns what can be told of a stream without asking Kinesis: all of it if
// its id is given.
func (m *multi) prepare(s *Stream) (target, error) {
	ref, err := parseStream(s.Name)
	start := s.Start
	if start == (Start{}) {
		start = m.start
	}
	if err = errors.Join(err, start.validate()); err != nil {
		return target{}, err
	}
	t := target{client: s.Client, stream: ref, lease: lease.Stream{Name: ref.name, Start: start.position(), StartTime: start.time}}
	if t.client == nil {
		t.client = m.client
	}
	if s.ID == "" {
		return t, nil
	}
	id, err := lease.ParseStreamID(s.ID)
	if err == nil && id.Name != ref.name {
		err = fmt.Errorf("want an id with the name %s", ref.name)
	}
	if err != nil {
		return target{}, fmt.Errorf("consumer: stream %s: ID %q: %w", ref.name, clip(s.ID), err)
	}
	t.given = true
	t.setID(id)
	return t, nil
}

func (t *target) setID(id lease.StreamID) {
	t.lease.ID = id.String()
	t.stream.name, t.stream.bare = t.lease.ID, id.Name
}

// describe makes the id of what Kinesis tells of the stream, and takes over its
// ARN, by which every request reaches it also from another account.
func (t *target) describe(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := t.client.DescribeStreamSummary(call, &kinesis.DescribeStreamSummaryInput{
		StreamName: t.stream.nameOnly(), StreamARN: t.stream.arnOnly(),
	})
	if err != nil {
		return fmt.Errorf("consumer: describe %s: %w", cmp.Or(t.stream.arn, t.stream.name), err)
	}
	d := out.StreamDescriptionSummary
	if d == nil || d.StreamARN == nil || d.StreamCreationTimestamp == nil {
		return fmt.Errorf("consumer: describe %s: the answer has no ARN or no time of creation", t.stream.name)
	}
	ref, err := parseStream(*d.StreamARN)
	if err != nil {
		return err
	}
	t.stream = ref
	id, err := lease.ParseStreamID(fmt.Sprintf("%s:%s:%d", ref.account(), ref.name, d.StreamCreationTimestamp.Unix()))
	if err != nil {
		return fmt.Errorf("consumer: describe %s: %w", ref.name, err)
	}
	t.setID(id)
	return nil
}

// Stream finds a stream by its id, and makes sure that it is still the one.
func (m *multi) Stream(ctx context.Context, id string) (lease.Stream, error) {
	want, err := lease.ParseStreamID(id)
	if err != nil {
		return lease.Stream{}, err
	}
	m.mu.Lock()
	t, ok := m.known[id]
	m.mu.Unlock()
	if !ok {
		t, ok = m.named(ctx, want)
	}
	if !ok {
		// It is named no longer: the client of all others may reach it.
		ref := streamRef{name: want.Name}
		t = target{client: m.client, stream: ref, lease: lease.Stream{Name: ref.name, Start: m.start.position(), StartTime: m.start.time}}
	}
	if !t.given {
		if err := m.roll.describe(ctx, &t); err != nil {
			return lease.Stream{}, err
		}
	}
	if t.lease.ID != id {
		if got, _ := lease.ParseStreamID(t.lease.ID); got.Account != want.Account {
			return lease.Stream{}, fmt.Errorf("consumer: stream %s is of another account than this client", id)
		}
		return lease.Stream{}, fmt.Errorf("%w: %s is now %s", lease.ErrRecreated, id, t.lease.ID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[id] = t
	return t.lease, nil
}

// named looks for a stream among those that are named now: it may be new.
func (m *multi) named(ctx context.Context, want lease.StreamID) (target, bool) {
	given, err := m.ask(ctx)
	if err != nil {
		return target{}, false
	}
	for _, s := range given {
		if ref, err := parseStream(s.Name); err != nil || ref.name != want.Name {
			continue
		}
		if t, err := m.identify(ctx, &s); err == nil && t.lease.ID == want.String() {
			return t, true
		}
	}
	return target{}, false
}

// target returns how to reach a stream that was returned by Streams or Stream.
func (m *multi) target(s lease.Stream) target {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[s.ID]
}

// Shards implements lease.Source.
func (m *multi) Shards(ctx context.Context, s lease.Stream, at lease.ShardsAt) ([]lease.Shard, error) {
	return m.source(s).Shards(ctx, s, at)
}

// Children implements lease.Source.
func (m *multi) Children(ctx context.Context, s lease.Stream, shard string) ([]lease.Shard, error) {
	return m.source(s).Children(ctx, s, shard)
}

func (m *multi) source(s lease.Stream) *source {
	t := m.target(s)
	return &source{client: t.client, stream: t.stream}
}

// deregister removes the fan-out consumer from each stream that is named.
func (m *multi) deregister(ctx context.Context, name, worker string) error {
	list, err := m.Streams(ctx)
	errs := []error{err}
	for _, s := range list {
		t := m.target(s)
		if api, ok := t.client.(FanOutAPI); ok {
			errs = append(errs, newRegistrar(api, t.stream, name, worker).deregister(ctx))
		}
	}
	return errors.Join(errs...)
}

// reach returns the client and the requests' name of the stream of a lease.
func (c *Consumer) reach(s lease.Stream) (KinesisAPI, streamRef) {
	if c.many == nil {
		return c.client, c.stream
	}
	t := c.many.target(s)
	return t.client, t.stream
}

// rowsOf returns the id of a stream in the rows of a table, empty in that of an
// application of one stream. If rows of several streams have its name, Kinesis
// tells which is the one.
func rowsOf(ctx context.Context, client KinesisAPI, ref streamRef, rows []lease.Row) (id string, err error) {
	ids := make(map[string]bool)
	for _, r := range rows {
		if s, err := lease.ParseStreamID(r.Stream); err == nil && s.Name == ref.name && (ref.arn == "" || s.Account == ref.account()) {
			ids[r.Stream] = true
			id = r.Stream
		}
	}
	api, ok := client.(MultiAPI)
	switch {
	case len(ids) == 0:
		return "", nil
	case ok:
		t := target{client: api, stream: ref}
		if err := t.describe(ctx); err != nil {
			return "", err
		}
		if ids[t.lease.ID] {
			return t.lease.ID, nil
		}
	}
	if len(ids) > 1 {
		return "", fmt.Errorf("consumer: the store has leases of %d streams named %s, and none of the one that is there", len(ids), ref.name)
	}
	return id, nil
}

// account returns the account in the ARN.
func (r streamRef) account() string {
	f := strings.SplitN(r.arn, ":", 6)
	if len(f) < 6 {
		return ""
	}
	return f[4]
}
