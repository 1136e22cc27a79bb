package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kinesis-go/kinesis/producer"
)

// acts are what happens while records are put, each when so much of them has
// been: the stream changes under the workers, and one of them dies.
var acts = []struct {
	at   float64
	play func(*show, context.Context) (string, error)
}{
	{0.25, func(s *show, ctx context.Context) (string, error) { return s.stream.split(ctx) }},
	{0.50, (*show).crash},
	{0.75, func(s *show, ctx context.Context) (string, error) { return s.stream.merge(ctx) }},
}

// crash takes a worker away without warning. The last one is replaced.
func (s *show) crash(ctx context.Context) (string, error) {
	name, shards := s.fleet.crash()
	if name == "" {
		return "", errors.New("crash: no worker holds a shard")
	}
	what := fmt.Sprintf("%s crashed holding %s", name, strings.Join(shards, " "))
	if s.opts.workers > 1 {
		return what, nil
	}
	return what + "; another one starts", s.hire(ctx)
}

// put sends all records, the acts in between, and waits for every result.
func (s *show) put(ctx context.Context) error {
	next, source, err := s.opts.feed()
	if err != nil {
		return err
	}
	defer source.Close()
	done := 0
	for {
		for done < len(acts) && next.progress() >= acts[done].at {
			s.act(ctx, done)
			done++
		}
		key, data, err := next.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := s.room(ctx, int64(len(data))); err != nil {
			return err
		}
		if err := s.puts.PutAsync(ctx, producer.Record{PartitionKey: key, Data: data}, s.stored); err != nil {
			return fmt.Errorf("put: %w", err)
		}
	}
	for ; done < len(acts); done++ {
		s.act(ctx, done)
	}
	if err := s.puts.Close(ctx); err != nil {
		return fmt.Errorf("close the producer: %w", err)
	}
	if f := s.failure.Load(); f != nil {
		s.out.say("%s records are not known to be stored, the first because: %v", count(s.failed.Load()), *f)
	}
	return nil
}

// act plays one act. A server that cannot do it is no reason to stop.
func (s *show) act(ctx context.Context, i int) {
	what, err := acts[i].play(s, ctx)
	if err == nil {
		_, err = s.learn(ctx)
	}
	if err != nil {
		s.out.say("%5.1f%%  not done: %v", 100*acts[i].at, err)
		return
	}
	s.out.say("%5.1f%%  %s", 100*acts[i].at, what)
}

// learn tells the verdict which shards come from which, and returns how many
// there are.
func (s *show) learn(ctx context.Context) (shards int, err error) {
	parents, err := s.stream.lineage(ctx)
	if err != nil {
		return 0, err
	}
	s.verdict.Lineage(parents)
	return len(parents), nil
}

// room waits while too much is put and not read.
func (s *show) room(ctx context.Context, n int64) error {
	if s.bytesIn.Add(n)-s.bytesOut.Load() < backlogBytes {
		return nil
	}
	return s.await(ctx, patience, func() bool { return s.bytesIn.Load()-s.bytesOut.Load() < backlogBytes/2 }, s.bytesOut.Load)
}

// stored is called with each record's fate.
func (s *show) stored(r producer.Result) {
	if r.Outcome == producer.Stored {
		s.verdict.Put(r.ShardID, r.SequenceNumber, r.Sub, r.Record.PartitionKey, r.Record.Data)
		return
	}
	s.bytesIn.Add(-int64(len(r.Record.Data)))
	if r.Outcome == producer.Unknown {
		s.verdict.Unknown(r.Record.PartitionKey, r.Record.Data)
	}
	if s.failed.Add(1) == 1 {
		s.failure.Store(&r.Err)
	}
}

// arrived waits until every record that was stored has been delivered.
func (s *show) arrived(ctx context.Context) error {
	err := s.await(ctx, patience, func() bool {
		put, delivered := s.verdict.Progress()
		return delivered >= put
	}, s.read.Load)
	if errors.Is(err, errPatience) {
		return nil // the verdict says what is missing
	}
	return err
}

// report prints what came of it, and the one line that a script may read.
func (s *show) report(ctx context.Context, took time.Duration) (ok bool, err error) {
	shards, err := s.learn(ctx)
	if err != nil {
		return false, err
	}
	sum := s.verdict.Summary()
	stats := s.puts.Stats()
	s.out.say("\n%s records were put, aggregated into %s Kinesis records, read and taken apart\nagain in %.1f s, %s a second.", count(sum.Put), count(stats.KinesisRecords), took.Seconds(), count(int64(float64(sum.Put)/took.Seconds())))
	s.out.say("%d shards became %d, one worker of %d died, shards changed hands %d times.",
		s.started, shards, s.workers, s.fleet.board.moved())
	s.out.say("%s records were delivered more than once: those a worker had read and not yet\ncheckpointed when it died or lost its shard. At least once is the promise.", count(sum.Duplicated))
	if sum.Foreign > 0 {
		s.out.say("%s records of others were in the stream; they do not count.", count(sum.Foreign))
	}
	if s.opts.digest {
		d, err := s.verdict.Digests()
		if err != nil {
			return false, err
		}
		s.out.say("sha256 of what was put        %x", d.Put)
		s.out.say("sha256 of what was delivered  %x", d.Delivered)
	}
	s.out.say("put %d, delivered %d, duplicated %d, lost %d, out of order %d", sum.Put, sum.Delivered, sum.Duplicated, sum.Lost, sum.OutOfOrder)
	return sum.Lost == 0 && sum.OutOfOrder == 0 && s.failed.Load() == 0, nil
}
