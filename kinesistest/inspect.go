package kinesistest

import (
	"fmt"
	"iter"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/stream"
)

// A Shard is a shard as it is stored.
type Shard struct {
	ID, ParentID, AdjacentParentID string // the parents "" where there are none
	StartingHashKey, EndingHashKey string // decimal, both included
	StartingSequenceNumber         string
	EndingSequenceNumber           string // "" while the shard is open
	Records                        int    // that can be read
	Expired                        bool   // closed for longer than the retention period
}

// A Record is a record as it is stored.
type Record struct {
	ShardID, SequenceNumber string
	PartitionKey            string
	ExplicitHashKey         string // "" if the put had none

	// Data is the server's memory, not to be written to. It stays good.
	Data    []byte
	Arrival time.Time // to the millisecond
}

// Shards returns every shard a stream has had, in the order of their ids, nil
// if there is no such stream.
func (s *Server) Shards(streamName string) []Shard {
	var out []Shard
	for _, sh := range s.streams.Shards(streamName) {
		out = append(out, Shard{
			ID:                     sh.ID,
			ParentID:               sh.ParentID,
			AdjacentParentID:       sh.AdjacentParentID,
			StartingHashKey:        sh.Range.Start.String(),
			EndingHashKey:          sh.Range.End.String(),
			StartingSequenceNumber: sh.StartingSequenceNumber,
			EndingSequenceNumber:   sh.EndingSequenceNumber,
			Records:                sh.Records,
			Expired:                sh.Expired,
		})
	}
	return out
}

// Records yields the records of a stream, shard by shard in the order of their
// ids and each oldest first. It may be used while records are put, and then
// shows some of them. What retention or [Server.Trim] has removed is gone,
// see Options.KeepTrimmed.
func (s *Server) Records(streamName string) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, sh := range s.streams.Shards(streamName) {
			for r := range s.ShardRecords(streamName, sh.ID) {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// ShardRecords is [Server.Records] for one shard.
func (s *Server) ShardRecords(streamName, shardID string) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for number, r := range s.streams.Records(streamName, shardID) {
			if !yield(recordOf(shardID, number, r)) {
				return
			}
		}
	}
}

func recordOf(shardID, number string, r stream.Stored) Record {
	return Record{
		ShardID:         shardID,
		SequenceNumber:  number,
		PartitionKey:    string(r.PartitionKey),
		ExplicitHashKey: string(r.ExplicitHashKey),
		Data:            r.Data,
		Arrival:         time.UnixMilli(r.Arrival),
	}
}

// Streams returns the names of all streams in order, those in CREATING and
// DELETING included.
func (s *Server) Streams() []string { return s.streams.Streams() }

// A Consumer is a registered consumer, which reads by enhanced fan-out.
type Consumer struct {
	Name, ARN string
	Status    string // CREATING, ACTIVE or DELETING
	Created   time.Time

	// Subscriptions are the ids of the shards that it is subscribed to now, in
	// order.
	Subscriptions []string
}

// Consumers returns the registered consumers of a stream by name, nil if there
// is no such stream.
func (s *Server) Consumers(streamName string) []Consumer {
	var out []Consumer
	for _, c := range s.streams.Consumers(streamName) {
		out = append(out, Consumer(c))
	}
	return out
}

// Trim removes the records of a shard below a sequence number, as retention
// would, and frees their memory but for the last megabyte: for runs that put
// more than fits, and for tests of a consumer that comes too late. Its errors
// wrap an [Error].
func (s *Server) Trim(streamName, shardID, beforeSequenceNumber string) error {
	if e := s.streams.Trim(streamName, shardID, beforeSequenceNumber); e != nil {
		return fmt.Errorf("kinesistest: trimming: %w", answerOf(nil, e).Err)
	}
	return nil
}

// Tables returns the names of all DynamoDB tables in order.
func (s *Server) Tables() []string { return s.tables.Tables() }

// Rows returns the rows of a DynamoDB table, by key; nil if there is no such
// table.
func (s *Server) Rows(table string) []Row {
	items, err := s.tables.Items(table)
	if err != nil {
		return nil
	}
	rows := make([]Row, len(items))
	for i, it := range items {
		rows[i] = rowOf(it)
	}
	return rows
}
