package consumer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/lease"
)

// A streamRef is a stream as the caller named it: by name or by ARN. Name is what
// names it in events and errors: of one stream among many that is its id, and bare
// then its name.
type streamRef struct{ name, arn, bare string }

// parseStream reads a stream name or ARN.
func parseStream(s string) (streamRef, error) {
	if !strings.HasPrefix(s, "arn:") {
		if s == "" || len(s) > 128 || strings.ContainsFunc(s, notStreamRune) {
			return streamRef{}, fmt.Errorf("consumer: stream %q: want a name of 1 to 128 letters, digits, '_', '.', '-', or an ARN", s)
		}
		return streamRef{name: s}, nil
	}
	// arn:partition:kinesis:region:account:stream/name
	f := strings.SplitN(s, ":", 6)
	if len(f) == 6 && f[2] == "kinesis" {
		if name, ok := strings.CutPrefix(f[5], "stream/"); ok && name != "" && !strings.ContainsFunc(name, notStreamRune) {
			return streamRef{name: name, arn: s}, nil
		}
	}
	return streamRef{}, fmt.Errorf("consumer: stream %q: not the ARN of a Kinesis stream (arn:aws:kinesis:region:account:stream/name)", s)
}

func notStreamRune(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r))
}

// nameOnly and arnOnly fill the two members of a request: the ARN alone if there
// is one, since it also chooses the endpoint, else the name.
func (r streamRef) nameOnly() *string {
	if r.arn != "" {
		return nil
	}
	if r.bare != "" {
		return &r.bare
	}
	return &r.name
}

func (r streamRef) arnOnly() *string {
	if r.arn == "" {
		return nil
	}
	return &r.arn
}

// A source tells the lease engine which shards a stream has.
type source struct {
	client KinesisAPI
	stream streamRef
	start  Start
}

var _ lease.Source = (*source)(nil)

// Streams returns the one stream of the application.
func (s *source) Streams(context.Context) ([]lease.Stream, error) {
	return []lease.Stream{{Name: s.stream.name, Start: s.start.position(), StartTime: s.start.time}}, nil
}

// Shards lists the stream's shards: all that are retained, or those that were
// open at a place.
func (s *source) Shards(ctx context.Context, _ lease.Stream, at lease.ShardsAt) ([]lease.Shard, error) {
	var filter *types.ShardFilter
	switch at.Kind {
	case lease.ShardsAtLatest:
		filter = &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}
	case lease.ShardsAtTrimHorizon:
		filter = &types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}
	case lease.ShardsAtTimestamp:
		filter = &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: aws.Time(at.Time)}
	}
	all, err := listShards(ctx, s.client, s.stream, filter)
	if err != nil || filter == nil {
		return all, err
	}
	return snapshot(all, at.Kind == lease.ShardsAtLatest), nil
}

// Children lists the shards that continue a closed one.
func (s *source) Children(ctx context.Context, _ lease.Stream, shard string) ([]lease.Shard, error) {
	all, err := listShards(ctx, s.client, s.stream, nil)
	if err != nil {
		return nil, err
	}
	return childrenOf(shard, all), nil
}

// snapshot makes sure that shards are those open at one moment. The service
// answers so; several emulators ignore the filter and list parents beside their
// children. Of such a list the open shards stand for the tip, and the oldest
// generation for everything before: its children follow when it has been read.
func snapshot(shards []lease.Shard, latest bool) []lease.Shard {
	listed := make(map[string]bool, len(shards))
	for _, s := range shards {
		listed[s.ID] = true
	}
	hasListedParent := func(s lease.Shard) bool {
		return slices.ContainsFunc(s.Parents, func(p string) bool { return listed[p] })
	}
	if !slices.ContainsFunc(shards, hasListedParent) {
		return shards
	}
	drop := hasListedParent
	if latest {
		drop = func(s lease.Shard) bool { return s.Closed }
	}
	return slices.DeleteFunc(slices.Clone(shards), drop)
}

// childrenOf picks the shards that name id as a parent.
func childrenOf(id string, all []lease.Shard) []lease.Shard {
	var out []lease.Shard
	for _, s := range all {
		if slices.Contains(s.Parents, id) {
			out = append(out, s)
		}
	}
	return out
}

// listAttempts bounds the tries of one page of a listing; listing is called
// again by whoever needs it.
const listAttempts = 5

// listShards reads all pages of ListShards. A token says which stream and filter
// it belongs to, so it goes alone.
func listShards(ctx context.Context, client KinesisAPI, stream streamRef, filter *types.ShardFilter) ([]lease.Shard, error) {
	in := &kinesis.ListShardsInput{StreamName: stream.nameOnly(), StreamARN: stream.arnOnly(), ShardFilter: filter}
	var out []lease.Shard
	for {
		page, err := listPage(ctx, client, in)
		if err != nil {
			return nil, fmt.Errorf("consumer: list the shards of %s: %w", stream.name, err)
		}
		for _, s := range page.Shards {
			shard, err := leaseShard(s)
			if err != nil {
				return nil, err
			}
			out = append(out, shard)
		}
		if page.NextToken == nil {
			return out, nil
		}
		in = &kinesis.ListShardsInput{NextToken: page.NextToken}
	}
}

func listPage(ctx context.Context, client KinesisAPI, in *kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error) {
	for n := 1; ; n++ {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		out, err := client.ListShards(call, in, noRetries)
		cancel()
		if err == nil || n == listAttempts || !isCode(err, "LimitExceededException", "InternalFailure", "ResourceInUseException") {
			return out, err
		}
		if err := sleep(ctx, time.Duration(n)*500*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func leaseShard(s types.Shard) (lease.Shard, error) {
	out := lease.Shard{
		ID:      aws.ToString(s.ShardId),
		Parents: parents(aws.ToString(s.ParentShardId), aws.ToString(s.AdjacentParentShardId)),
		Closed:  s.SequenceNumberRange != nil && s.SequenceNumberRange.EndingSequenceNumber != nil,
	}
	if r := s.SequenceNumberRange; r != nil && r.StartingSequenceNumber != nil {
		out.First = checkpoint.At(*r.StartingSequenceNumber)
	}
	var err error
	out.Range, err = hashRange(out.ID, s.HashKeyRange)
	return out, err
}

func childShards(named []types.ChildShard) ([]lease.Shard, error) {
	out := make([]lease.Shard, 0, len(named))
	for _, c := range named {
		id := aws.ToString(c.ShardId)
		r, err := hashRange(id, c.HashKeyRange)
		if err != nil {
			return nil, err
		}
		out = append(out, lease.Shard{ID: id, Parents: c.ParentShards, Range: r})
	}
	return out, nil
}

func hashRange(shard string, r *types.HashKeyRange) (*lease.HashRange, error) {
	if shard == "" {
		return nil, fmt.Errorf("consumer: Kinesis listed a shard without an id")
	}
	if r == nil {
		return nil, nil
	}
	out, err := shardmap.ParseRange(aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey))
	if err != nil {
		return nil, fmt.Errorf("consumer: shard %s: %w", shard, err)
	}
	return &out, nil
}

func parents(ids ...string) []string {
	return slices.DeleteFunc(ids, func(s string) bool { return s == "" })
}
