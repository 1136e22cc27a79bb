package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/lease"
)

// An event is one line of output. Members that do not apply are left out.
type event struct {
	Time    int64   `json:"t"` // Unix milliseconds
	Worker  string  `json:"worker"`
	Kind    string  `json:"event"` // leaseGained, record, checkpoint, leaseLost, shardEnded, stopped, failed
	Stream  string  `json:"stream,omitempty"`
	Shard   string  `json:"shard,omitempty"`
	Seq     string  `json:"seq,omitempty"`
	Sub     *int64  `json:"sub,omitempty"`
	Key     *string `json:"key,omitempty"`
	HashKey string  `json:"hashKey,omitempty"`
	Data    []byte  `json:"data,omitzero"`
	Error   string  `json:"error,omitempty"`
}

// A journal writes events, each in one write, so that a killed process has
// written what it checkpointed.
type journal struct {
	worker string
	fail   func(error) // told once if the output cannot be written

	mu     sync.Mutex
	w      io.Writer
	broken error
}

func (j *journal) write(e event) {
	e.Time, e.Worker = time.Now().UnixMilli(), j.worker
	line, err := json.Marshal(e)
	if err != nil {
		fmt.Fprintln(os.Stderr, "consume:", err)
		return
	}
	j.mu.Lock()
	first := false
	if j.broken == nil {
		if _, err = j.w.Write(append(line, '\n')); err != nil {
			j.broken, first = fmt.Errorf("write an event: %w", err), true
		}
	}
	j.mu.Unlock()
	if first {
		j.fail(err)
	}
}

// err returns why the output is broken. What cannot be printed may not be
// checkpointed.
func (j *journal) err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

func (j *journal) record(stream, shard string, r *consumer.Record) {
	sub := r.Position.SubSequenceNumber
	j.write(event{
		Kind: "record", Stream: stream, Shard: shard, Seq: r.Position.SequenceNumber, Sub: &sub,
		Key: &r.PartitionKey, HashKey: r.ExplicitHashKey, Data: r.Data,
	})
}

func (j *journal) failed(stream, shard string, err error) {
	j.write(event{Kind: "failed", Stream: stream, Shard: shard, Error: err.Error()})
}

// leaseEvents tells what becomes of leases.
func (j *journal) leaseEvents() lease.Events {
	return lease.Events{
		Acquired: func(i lease.AcquiredInfo) {
			j.write(event{Kind: "leaseGained", Stream: i.Stream, Shard: i.Shard, Seq: i.Position.SequenceNumber, Sub: &i.Position.SubSequenceNumber})
		},
		CheckpointStored: func(i lease.CheckpointInfo) {
			j.write(event{Kind: "checkpoint", Stream: i.Stream, Shard: i.Shard, Seq: i.Position.SequenceNumber, Sub: &i.Position.SubSequenceNumber})
		},
		Lost: func(i lease.LostInfo) {
			j.write(event{Kind: "leaseLost", Stream: i.Stream, Shard: i.Shard, Error: i.Err.Error()})
		},
		Released: func(i lease.ReleasedInfo) {
			j.write(event{Kind: "leaseLost", Stream: i.Stream, Shard: i.Shard})
		},
		Finished: func(i lease.FinishedInfo) {
			j.write(event{Kind: "shardEnded", Stream: i.Stream, Shard: i.Shard})
		},
	}
}
