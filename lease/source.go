package lease

import (
	"context"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// A Shard is a shard as its stream lists it.
type Shard struct {
	ID string

	// Parents are the shards it continues: none, one after a split, two after a
	// merge. They are named also when the stream lists them no longer.
	Parents []string

	// Range is its hash keys, nil if they are not known.
	Range *HashRange

	// First is a position that no record of the shard lies before, zero if it is
	// not known. A row whose checkpoint lies before it is that of another shard by
	// the same name.
	First checkpoint.Position

	// Closed means that nothing is added any more.
	Closed bool
}

// A Stream is what the application reads, or one of several.
type Stream struct {
	Name string

	// ID names the stream in the rows of an application of many streams: a
	// [StreamID] as text. It is empty in an application of one stream.
	ID string

	// Start is where an application that has stored nothing starts: one of the
	// sentinels [checkpoint.TrimHorizon], [checkpoint.Latest] and
	// [checkpoint.AtTimestamp]; StartTime belongs to the last.
	Start     checkpoint.Position
	StartTime time.Time
}

// A Source tells which shards there are. Its methods are called from several
// goroutines, end when ctx does, and may return errors that pass by themselves:
// the call is made again.
type Source interface {
	// Streams returns the streams to read. One stream without an ID makes an
	// application of one stream, for ever. Otherwise each has an ID, of which no two
	// are alike, and there may be none at times. The leader asks every minute: a new
	// stream gets its rows then, and those of one that is named no longer are removed
	// (see [Options.FormerStreams]). Streams beside an error are those that are known
	// to be there while others are not known: nothing is removed then.
	Streams(ctx context.Context) ([]Stream, error)

	// Shards returns the shards of the stream at that place, in any order.
	Shards(ctx context.Context, stream Stream, at ShardsAt) ([]Shard, error)

	// Children returns the shards that continue a closed one, in any order; none
	// if the shard is still open.
	Children(ctx context.Context, stream Stream, shard string) ([]Shard, error)
}

// A Finder is a [Source] of many streams that knows a stream by its id, although
// Streams has not named it: because it is new, or not named any more and still to
// be read until its rows are removed. An error that wraps [ErrRecreated] means
// that another stream has the name by now.
type Finder interface {
	Stream(ctx context.Context, id string) (Stream, error)
}

// ShardsAt says which shards of a stream are asked for.
type ShardsAt struct {
	Kind ShardsAtKind
	Time time.Time // for ShardsAtTimestamp
}

// ShardsAtKind is the kind of a [ShardsAt].
type ShardsAtKind int

// The kinds. Those at a place are the shards that were open there: their ranges
// cover every hash key once.
const (
	ShardsRetained      ShardsAtKind = iota // all that the stream lists
	ShardsAtLatest                          // open now
	ShardsAtTrimHorizon                     // open at the oldest record retained
	ShardsAtTimestamp                       // open at a time
)

// shardsAt returns which shards an application starts with.
func shardsAt(s Stream) ShardsAt {
	switch s.Start {
	case checkpoint.Latest:
		return ShardsAt{Kind: ShardsAtLatest}
	case checkpoint.AtTimestamp:
		return ShardsAt{Kind: ShardsAtTimestamp, Time: s.StartTime}
	}
	return ShardsAt{Kind: ShardsAtTrimHorizon}
}
