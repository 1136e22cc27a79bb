package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/lease"
)

// An event is one line of output. Members that do not apply are left out.
type event struct {
	Time    int64   `json:"t"` // Unix milliseconds
	Worker  string  `json:"worker"`
	Kind    string  `json:"event"` // leaseGained, record, checkpoint, leaseLost, shardEnded, stopped
	Stream  string  `json:"stream,omitempty"`
	Shard   string  `json:"shard,omitempty"`
	Seq     string  `json:"seq,omitempty"`
	Sub     *int64  `json:"sub,omitempty"`
	Key     *string `json:"key,omitempty"`
	HashKey string  `json:"hashKey,omitempty"`
	Data    []byte  `json:"data,omitzero"`
}

// A journal writes events, each in one write, so that a killed process has
// written what it checkpointed.
type journal struct {
	worker string
	fail   func(error) // told if the output cannot be written

	mu     sync.Mutex
	w      io.Writer
	broken error
}

// write prints an event. After one that could not be written it prints none.
func (j *journal) write(e event) error {
	e.Time, e.Worker = time.Now().UnixMilli(), j.worker
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		if _, err := j.w.Write(append(line, '\n')); err != nil {
			j.broken = fmt.Errorf("write an event: %w", err)
			j.fail(j.broken)
		}
	}
	return j.broken
}

// record prints a record. What cannot be printed may not be checkpointed.
func (j *journal) record(stream, shard string, r *consumer.Record) error {
	return j.write(event{
		Kind: "record", Stream: stream, Shard: shard, Seq: r.Position.SequenceNumber, Sub: &r.Position.SubSequenceNumber,
		Key: &r.PartitionKey, HashKey: r.ExplicitHashKey, Data: r.Data,
	})
}

// leaseEvents tells what becomes of leases.
func (j *journal) leaseEvents() lease.Events {
	tell := func(e event) { _ = j.write(e) } // if that fails, fail ends the program
	return lease.Events{
		Acquired: func(i lease.AcquiredInfo) {
			tell(event{Kind: "leaseGained", Stream: i.Stream, Shard: i.Shard, Seq: i.Position.SequenceNumber, Sub: &i.Position.SubSequenceNumber})
		},
		CheckpointStored: func(i lease.CheckpointInfo) {
			tell(event{Kind: "checkpoint", Stream: i.Stream, Shard: i.Shard, Seq: i.Position.SequenceNumber, Sub: &i.Position.SubSequenceNumber})
		},
		Lost: func(i lease.LostInfo) {
			tell(event{Kind: "leaseLost", Stream: i.Stream, Shard: i.Shard})
		},
		Released: func(i lease.ReleasedInfo) {
			tell(event{Kind: "leaseLost", Stream: i.Stream, Shard: i.Shard})
		},
		Finished: func(i lease.FinishedInfo) {
			tell(event{Kind: "shardEnded", Stream: i.Stream, Shard: i.Shard})
		},
	}
}
