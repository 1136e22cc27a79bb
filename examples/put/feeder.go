package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/examples/internal/lines"
	"github.com/kinesis-go/kinesis/producer"
)

// A feeder puts lines.
type feeder struct {
	producer *producer.Producer
	options  *options
	tally    *tally
}

// A batch is some consecutive lines, or what the reader met in their place.
type batch struct {
	lines [][]byte
	err   error
}

// feed puts every line of in, until ctx ends.
//
// Nothing can interrupt the read of a terminal or a pipe. So it happens on a
// goroutine of its own, which at the end of ctx is left behind if it is in one.
func (f *feeder) feed(ctx, work context.Context, in io.Reader) error {
	batches := make(chan batch, 4)
	var reading sync.WaitGroup
	reading.Go(func() { read(ctx, in, batches) })
	pace := pacer{rate: f.options.rate}
	n := int64(0)
	for {
		var b batch
		select {
		case b = <-batches:
		case <-ctx.Done():
			return nil
		}
		for _, line := range b.lines {
			if !pace.wait(ctx) {
				return nil
			}
			if err := f.put(work, n, line); err != nil {
				return err
			}
			n++
		}
		var long *lines.TooLongError
		switch {
		case b.err == io.EOF:
			return nil
		case errors.As(b.err, &long):
			f.tally.refused(n, "", b.err)
			n++
		case b.err != nil:
			return fmt.Errorf("-input: %w", b.err)
		}
	}
}

// put puts one line. Its error is one that ends everything.
func (f *feeder) put(ctx context.Context, n int64, line []byte) error {
	r := producer.Record{PartitionKey: lines.Key(line, f.options.key), Data: line}
	err := f.producer.PutAsync(ctx, r, func(res producer.Result) { f.tally.add(n, res) })
	if refused := (*producer.RecordError)(nil); errors.As(err, &refused) {
		f.tally.refused(n, r.PartitionKey, err)
		return nil
	}
	return err
}

// read sends the lines of in, as many at a time as there are at hand.
func read(ctx context.Context, in io.Reader, to chan<- batch) {
	r := lines.NewReader(in, lines.MaxBytes)
	const enough = 64 << 10
	for {
		var b batch
		for size := 0; size < enough && b.err == nil && (size == 0 || r.Ready()); {
			var line []byte
			if line, b.err = r.Next(); b.err == nil {
				b.lines = append(b.lines, append([]byte{}, line...))
				size += len(line) + 64
			}
		}
		select {
		case to <- b:
		case <-ctx.Done():
			return
		}
		if long := (*lines.TooLongError)(nil); b.err != nil && !errors.As(b.err, &long) {
			return
		}
	}
}

// A pacer spreads records evenly, without catching up on more than a second.
type pacer struct {
	rate float64 // a second; 0 is no limit
	due  time.Time
}

// wait waits until a record is due. It reports false if ctx ends.
func (p *pacer) wait(ctx context.Context) bool {
	if p.rate == 0 {
		return ctx.Err() == nil
	}
	now := time.Now()
	if p.due.Before(now.Add(-time.Second)) {
		p.due = now
	}
	if d := p.due.Sub(now); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return false
		}
	}
	p.due = p.due.Add(time.Duration(float64(time.Second) / p.rate))
	return true
}

// A result is a line of output.
type result struct {
	N        int64  `json:"n"`
	Key      string `json:"key"`
	Outcome  string `json:"outcome"` // stored, not stored, unknown
	Shard    string `json:"shard,omitempty"`
	Seq      string `json:"seq,omitempty"`
	Attempts int    `json:"attempts"`
	Error    string `json:"error,omitempty"`
}

// A tally counts results and prints them, each in one write, so that what was
// printed counts even if the program is killed.
type tally struct {
	results bool

	mu     sync.Mutex
	out    io.Writer
	counts [3]int64 // by outcome
	broken error    // the first failure to write
}

// add takes a result of the producer.
func (t *tally) add(n int64, r producer.Result) {
	line := result{N: n, Key: r.Record.PartitionKey, Outcome: r.Outcome.String(), Shard: r.ShardID, Seq: r.SequenceNumber, Attempts: len(r.Attempts)}
	if r.Err != nil {
		line.Error = r.Err.Error()
	}
	t.count(r.Outcome, line)
}

// refused counts a record that the producer did not take.
func (t *tally) refused(n int64, key string, err error) {
	t.count(producer.NotStored, result{N: n, Key: key, Outcome: producer.NotStored.String(), Error: err.Error()})
}

func (t *tally) count(o producer.Outcome, r result) {
	var line []byte
	if t.results {
		line, _ = json.Marshal(r) // strings and numbers always can be
		line = append(line, '\n')
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[o]++
	if t.results && t.broken == nil {
		_, t.broken = t.out.Write(line)
	}
}

// finish prints the last line and reports whether every record was stored.
func (t *tally) finish() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	stored, not, unknown := t.counts[producer.Stored], t.counts[producer.NotStored], t.counts[producer.Unknown]
	if _, err := fmt.Fprintf(t.out, "put %d, stored %d, not stored %d, unknown %d\n", stored+not+unknown, stored, not, unknown); t.broken == nil {
		t.broken = err
	}
	return not+unknown == 0
}
