package kinesistest

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/stream"
)

// A Change is something that a server stored. Exactly one of Append and Write
// is set.
type Change struct {
	N      uint64    // counts all changes of the server from 1, in the order they were applied
	Time   time.Time // by the clock of the machine or the bubble, see Options.ClockOffset
	Append *Append
	Write  *Write
}

// An Append is a run of records stored in a shard by one request.
type Append struct {
	Client          string // the name given to [Server.ConfigFor], "" for none
	Stream, ShardID string
	SequenceNumber  string // of the first record
	Records         int    // stored one after another
}

// A Write is a write to a row of a DynamoDB table that was applied, also one
// that changed nothing.
type Write struct {
	Table     string
	Operation string // such as "UpdateItem"; "TimeToLive" for a row that expired
	Client    string // the name given to [Server.ConfigFor], "" for none
	Key       Row    // the key attributes
	Before    Row    // nil if there was no row
	After     Row    // nil if there is none
	Condition string // what it was conditional on, names and values filled in; "" if on nothing
}

// A Row is a row of a DynamoDB table: attribute names and values. A value is a
// string, a [json.Number], a []byte, a bool, nil, an []any, a Row, or for sets
// a []string, a []json.Number or a [][]byte.
type Row map[string]any

// A journal keeps the latest changes. Both services write to it with the lock
// held under which they changed something, so its order is the one in which
// changes became visible.
type journal struct {
	mu      sync.Mutex
	limit   int
	n       uint64
	changes []change // a ring once it is full
}

type change struct {
	at     time.Time
	append *stream.Append
	write  *dynamo.Applied
}

func (j *journal) appended(a stream.Append) { j.add(change{at: time.Now(), append: &a}) }

func (j *journal) applied(a dynamo.Applied) { j.add(change{at: time.Now(), write: &a}) }

func (j *journal) add(c change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.n++
	switch {
	case j.limit == 0:
	case len(j.changes) < j.limit:
		j.changes = append(j.changes, c)
	default:
		j.changes[(j.n-1)%uint64(j.limit)] = c
	}
}

// Journal returns the latest changes to streams and tables, oldest first, at
// most Options.JournalEntries of them: if the first has an N above 1, older
// ones are forgotten.
func (s *Server) Journal() []Change {
	j := &s.journal
	j.mu.Lock()
	n, kept := j.n, make([]change, 0, len(j.changes))
	if start := uint64(len(j.changes)); start > 0 {
		at := (n - start) % start // 0 until the ring is full
		kept = append(append(kept, j.changes[at:]...), j.changes[:at]...)
	}
	j.mu.Unlock()
	out := make([]Change, len(kept))
	for i, c := range kept {
		out[i] = Change{N: n - uint64(len(kept)-1-i), Time: c.at}
		if a := c.append; a != nil {
			out[i].Append = &Append{a.Client, a.Stream, a.ShardID, a.First, a.Count}
		}
		if w := c.write; w != nil {
			out[i].Write = &Write{w.Table, w.Op, w.Client, rowOf(w.Key), rowOf(w.Before), rowOf(w.After), w.Condition}
		}
	}
	return out
}

func rowOf(it dynamo.Item) Row {
	if it == nil {
		return nil
	}
	row := make(Row, len(it))
	for name, v := range it {
		row[name] = valueOf(v)
	}
	return row
}

func valueOf(v dynamo.Value) any {
	switch v.Kind() {
	case attr.String:
		return v.Text()
	case attr.Number:
		return json.Number(v.Text())
	case attr.Binary:
		return []byte(v.Text())
	case attr.Bool:
		return v.Bool()
	case attr.List:
		return each(v, valueOf)
	case attr.Map:
		return rowOf(v.Item())
	case attr.StringSet:
		return each(v, dynamo.Value.Text)
	case attr.NumberSet:
		return each(v, func(m dynamo.Value) json.Number { return json.Number(m.Text()) })
	case attr.BinarySet:
		return each(v, func(m dynamo.Value) []byte { return []byte(m.Text()) })
	}
	return nil
}

func each[T any](v dynamo.Value, f func(dynamo.Value) T) []T {
	out := make([]T, len(v.List()))
	for i, m := range v.List() {
		out[i] = f(m)
	}
	return out
}
