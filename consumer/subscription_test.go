package consumer

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// An event without a number to go on by ends a shard only if the list of shards
// does not show it open, and children that are not named are looked up there.
func TestEventWithoutContinuation(t *testing.T) {
	t.Parallel()
	const parent, child = "shardId-000000000000", "shardId-000000000001"
	tests := []struct {
		name     string
		event    types.SubscribeToShardEvent
		shards   []types.Shard
		listErr  error
		end      bool
		children int
		fails    bool
	}{
		{name: "goes on", event: types.SubscribeToShardEvent{ContinuationSequenceNumber: aws.String("9")}},
		{name: "children named", event: types.SubscribeToShardEvent{
			ChildShards: []types.ChildShard{{ShardId: aws.String(child), ParentShards: []string{parent}, HashKeyRange: shard(child, false).HashKeyRange}},
		}, end: true, children: 1},
		{name: "children listed", shards: []types.Shard{shard(parent, true), shard(child, false, parent)}, end: true, children: 1},
		{name: "empty number", event: types.SubscribeToShardEvent{ContinuationSequenceNumber: aws.String("")},
			shards: []types.Shard{shard(parent, true), shard(child, false, parent)}, end: true, children: 1},
		{name: "no children at all", shards: []types.Shard{shard(parent, true)}, end: true},
		{name: "shard is open", shards: []types.Shard{shard(parent, false)}, fails: true},
		{name: "list fails", listErr: errors.New("not now"), fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := defaults()
			s := &subscription{place: &place{client: &scripted{shards: tt.shards, listErr: tt.listErr}, shardID: parent, opts: &o, from: checkpoint.TrimHorizon}}
			pg, err := s.page(t.Context(), tt.event)
			if (err != nil) != tt.fails || pg.end != tt.end || len(pg.children) != tt.children {
				t.Errorf("page: end %v, children %+v, error %v; want end %v, %d children, failure %v", pg.end, pg.children, err, tt.end, tt.children, tt.fails)
			}
		})
	}
}
