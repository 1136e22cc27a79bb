package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// An incarnation is a stream as it was when it was deleted.
type incarnation struct {
	created time.Duration
	shards  []kinesistest.Shard
	records []kinesistest.Record
}

// nemesis is who reshards and deletes. Its calls take no time and never fail by
// a fault.
func (w *World) nemesis() *kinesis.Client { return kinesis.NewFromConfig(w.Server.Config()) }

// CreateStream makes a stream.
func (w *World) CreateStream(name string, shards int) {
	if err := w.Server.CreateStream(name, shards); err != nil {
		w.Fatal(err)
	}
	w.mu.Lock()
	w.created[name] = w.Since()
	w.mu.Unlock()
}

// DeleteStream deletes a stream, and remembers its records for [World.Truth].
// Call it when everybody else is blocked.
func (w *World) DeleteStream(name string) {
	old := incarnation{shards: w.Server.Shards(name), records: slices.Collect(w.Server.Records(name))}
	if _, err := w.nemesis().DeleteStream(w.Context(), &kinesis.DeleteStreamInput{StreamName: &name}); err != nil {
		w.Note("%s not deleted: %v", name, err)
		return
	}
	w.mu.Lock()
	old.created = w.created[name]
	w.streams[name] = append(w.streams[name], old)
	w.mu.Unlock()
}

// Open returns the open shards of a stream in the order of their hash keys.
func (w *World) Open(stream string) []kinesistest.Shard {
	open := slices.DeleteFunc(w.Server.Shards(stream), func(s kinesistest.Shard) bool { return s.EndingSequenceNumber != "" })
	slices.SortFunc(open, func(a, b kinesistest.Shard) int { return compareDecimal(a.StartingHashKey, b.StartingHashKey) })
	return open
}

// Split splits the i-th open shard in the middle.
func (w *World) Split(stream string, i int) {
	open := w.Open(stream)
	if len(open) == 0 {
		return
	}
	s := open[i%len(open)]
	r, err := shardmap.ParseRange(s.StartingHashKey, s.EndingHashKey)
	if err != nil {
		w.Fatal(err)
	}
	_, err = w.nemesis().SplitShard(w.Context(), &kinesis.SplitShardInput{
		StreamName: &stream, ShardToSplit: &s.ID, NewStartingHashKey: aws.String(r.Middle().String()),
	})
	w.Note("%s splits: %v", s.ID, err)
}

// Merge merges the i-th open shard with its neighbour.
func (w *World) Merge(stream string, i int) {
	open := w.Open(stream)
	if len(open) < 2 {
		return
	}
	i %= len(open) - 1
	_, err := w.nemesis().MergeShards(w.Context(), &kinesis.MergeShardsInput{
		StreamName: &stream, ShardToMerge: &open[i].ID, AdjacentShardToMerge: &open[i+1].ID,
	})
	w.Note("%s and %s merge: %v", open[i].ID, open[i+1].ID, err)
}

// Scale changes the number of open shards.
func (w *World) Scale(stream string, shards int) {
	_, err := w.nemesis().UpdateShardCount(w.Context(), &kinesis.UpdateShardCountInput{
		StreamName: &stream, TargetShardCount: aws.Int32(int32(shards)), ScalingType: types.ScalingTypeUniformScaling,
	})
	w.Note("%d shards: %v", shards, err)
}

// Distribute changes who chooses the shards of records. A stream has to be in
// on-demand mode for it, and stays so.
func (w *World) Distribute(stream string, by types.RecordDistributionStrategy) {
	arn := aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/" + stream)
	_, err := w.nemesis().UpdateStreamMode(w.Context(), &kinesis.UpdateStreamModeInput{
		StreamARN: arn, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
	})
	_, err2 := w.nemesis().UpdateStreamRecordDistributionStrategy(w.Context(), &kinesis.UpdateStreamRecordDistributionStrategyInput{
		StreamARN: arn, RecordDistributionStrategy: by,
	})
	w.Note("%s is distributed by %s: %v", stream, by, errors.Join(err, err2))
}

// An Entry is a user record in a stream.
type Entry struct {
	Incarnation    int           // how often the stream had been deleted before
	Created        time.Duration // when this one was created
	ShardID        string
	SequenceNumber string
	Sub            int
	PartitionKey   string
	Data           []byte
	Tags           aggregation.Tags

	// Bare: it stands alone, without an aggregate, which has no room for tags.
	Bare bool

	// Hidden: the Kinesis Client Library does not deliver it, because its
	// aggregate holds records of other shards.
	Hidden bool
}

// Truth returns the user records that are stored in a stream or were when it was
// deleted, in the order in which they were appended to their shards: the
// sequence numbers of children are above those of their parents.
func (w *World) Truth(stream string) []Entry {
	w.mu.Lock()
	lives, created := slices.Clone(w.streams[stream]), w.created[stream]
	w.mu.Unlock()
	if shards := w.Server.Shards(stream); shards != nil {
		lives = append(lives, incarnation{created, shards, slices.Collect(w.Server.Records(stream))})
	}
	var all []Entry
	for i, life := range lives {
		records, err := life.unpack(i)
		if err != nil {
			w.Violate("S11", "%v", err)
		}
		all = append(all, records...)
	}
	slices.SortStableFunc(all, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Incarnation, b.Incarnation), compareDecimal(a.SequenceNumber, b.SequenceNumber), cmp.Compare(a.Sub, b.Sub))
	})
	return all
}

// unpack takes aggregates apart as the Kinesis Client Library does.
func (l *incarnation) unpack(n int) (all []Entry, err error) {
	ranges := make(map[string]aggregation.HashRange)
	for _, s := range l.shards {
		r, err := aggregation.ParseHashRange(s.StartingHashKey, s.EndingHashKey)
		if err != nil {
			return nil, err
		}
		ranges[s.ID] = r
	}
	var broken []error
	for _, r := range l.records {
		at := Entry{Incarnation: n, Created: l.created, ShardID: r.ShardID, SequenceNumber: r.SequenceNumber, PartitionKey: r.PartitionKey, Data: r.Data, Bare: true}
		agg, err := aggregation.Decode(r.Data)
		if errors.Is(err, aggregation.ErrNotAggregated) {
			all = append(all, at)
			continue
		}
		var in bool
		if err == nil {
			in, err = agg.InRange(ranges[r.ShardID])
		}
		if err != nil {
			broken = append(broken, fmt.Errorf("%s of %s is a broken aggregate: %w", r.SequenceNumber, r.ShardID, err))
			continue
		}
		for sub, u := range agg.Records() {
			at.Sub, at.PartitionKey, at.Data, at.Tags, at.Bare, at.Hidden = sub, u.PartitionKey, u.Data, u.Tags, false, !in
			all = append(all, at)
		}
	}
	return all, errors.Join(broken...)
}

// compareDecimal compares numbers written without leading zeros.
func compareDecimal(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }
