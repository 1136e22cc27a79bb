// Command worker is one worker of this library for runs beside those of the KCL.
// It prints a JSON line per event, in the form of the Java worker in ../java/kcl,
// and stops gracefully on SIGTERM. Every batch is checkpointed when it is done.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/interop/endpoint"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// settings are the flags.
type settings struct {
	kinesis, dynamodb   string
	stream, app, worker string
	streams, measure    string
	failover, poll      time.Duration
	prepare             bool
	halt, hang          int64
	version             string
	migrate             bool
}

// versions are the values of -version, the KCL's names.
var versions = map[string]dynamo.Version{
	"FOUND":              dynamo.VersionFound,
	"COMPATIBLE_WITH_2X": dynamo.Version2XTo3X,
	"3X":                 dynamo.Version3X,
}

func main() {
	var s settings
	flag.StringVar(&s.kinesis, "kinesis", "", "`URL` of the Kinesis server")
	flag.StringVar(&s.dynamodb, "dynamodb", "", "`URL` of the DynamoDB server")
	flag.StringVar(&s.stream, "stream", "", "`name` of the stream")
	flag.StringVar(&s.streams, "streams", "", "`file` that names many streams, a line each in the form account:name:epoch, and may change")
	flag.StringVar(&s.measure, "measure", "", "`URL` of a container's metadata on ECS, which tells its use of the CPU")
	flag.StringVar(&s.app, "app", "", "`name` of the application")
	flag.StringVar(&s.worker, "worker", "", "`id` of the worker")
	flag.DurationVar(&s.failover, "failover", 10*time.Second, "`time` after which a silent worker counts as dead")
	flag.DurationVar(&s.poll, "poll", 300*time.Millisecond, "`time` between reads of a shard that has nothing more")
	flag.BoolVar(&s.prepare, "prepare", false, "checkpoint in two phases")
	flag.Int64Var(&s.halt, "halt-after", 0, "after so many `records` checkpoint inside an aggregate and stop")
	flag.Int64Var(&s.hang, "hang-after", 0, "after so many `records` prepare a checkpoint, and hang")
	flag.StringVar(&s.version, "version", "FOUND", "where to take an application of KCL 2.x: FOUND, COMPATIBLE_WITH_2X, 3X")
	flag.BoolVar(&s.migrate, "migrate-tables", false, "take an application of KCL 3.0 to 3.4 on to one table")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// A handler prints what it is given.
type handler struct {
	settings
	journal journal
	count   atomic.Int64
	stop    context.CancelFunc
}

var errHalted = errors.New("halted")

func (s *settings) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &handler{settings: *s, journal: journal{worker: s.worker}, stop: cancel}
	version, ok := versions[s.version]
	if !ok {
		return fmt.Errorf("-version %q is none", s.version)
	}
	store, err := dynamo.New(dynamodb.NewFromConfig(endpoint.Config(s.dynamodb)), s.app, func(o *dynamo.Options) {
		o.Version, o.MigrateTables = version, s.migrate
	})
	if err != nil {
		return err
	}
	c, err := s.consumer(store, func(o *consumer.Options) {
		o.PollInterval = s.poll
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
		o.Lease = func(l *lease.Options) {
			l.WorkerID, l.FailoverTime, l.Events, l.FormerStreams = s.worker, s.failover, h.journal.leaseEvents(), 0
			if s.measure != "" {
				l.Load = (&container{url: s.measure}).load
			}
		}
	})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { h.journal.stalls(ctx) })
	h.journal.write(event{Kind: "started"})
	err = c.Run(ctx, h.handle)
	h.journal.write(event{Kind: "stopped"})
	return err
}

// consumer returns one of the stream, or of many.
func (s *settings) consumer(store lease.Store, options func(*consumer.Options)) (*consumer.Consumer, error) {
	client := kinesis.NewFromConfig(endpoint.Config(s.kinesis))
	if s.streams == "" {
		return consumer.New(client, store, s.stream, options)
	}
	return consumer.NewMulti(client, store, func(context.Context) ([]consumer.Stream, error) {
		text, err := os.ReadFile(s.streams)
		if err != nil {
			return nil, err
		}
		var list []consumer.Stream
		for id := range strings.FieldsSeq(string(text)) { // the names alone: ours has to make the same ids of them
			list = append(list, consumer.Stream{Name: strings.Split(id, ":")[1]})
		}
		return list, nil
	}, options)
}

// handle reads one shard.
func (h *handler) handle(ctx context.Context, s *consumer.Shard) error {
	if p, state, ok := s.Pending(); ok {
		h.journal.write(event{Kind: "pending", Shard: s.ID(), Seq: p.SequenceNumber, Sub: &p.SubSequenceNumber, State: string(state)})
	}
	var n int64
	for b, err := range s.Batches(ctx) {
		if errors.Is(err, consumer.ErrStopping) {
			return nil
		}
		if err != nil {
			return err
		}
		n++
		for i := range b.Records {
			r := &b.Records[i]
			h.journal.write(event{
				Kind: "record", Stream: s.Stream(), Shard: s.ID(), Seq: r.Position.SequenceNumber, Sub: &r.Position.SubSequenceNumber,
				Key: r.PartitionKey, HashKey: r.ExplicitHashKey, Batch: n, Data: r.Data,
			})
			if all := h.count.Add(1); h.halt > 0 && all >= h.halt && r.Aggregated && r.Position.SubSequenceNumber%10 == 5 {
				defer h.stop()
				return errors.Join(s.Checkpoint(ctx, r.Position), errHalted)
			}
		}
		if err := h.checkpoint(ctx, s, b.Last()); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint stores p, in two phases if that is asked for.
func (h *handler) checkpoint(ctx context.Context, s *consumer.Shard, p checkpoint.Position) error {
	hang := h.hang > 0 && h.count.Load() >= h.hang
	if h.prepare || hang {
		if err := s.Prepare(ctx, p, []byte("state of "+p.SequenceNumber)); err != nil {
			return err
		}
		h.journal.write(event{Kind: "prepared", Shard: s.ID(), Seq: p.SequenceNumber, Sub: &p.SubSequenceNumber})
	}
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Checkpoint(ctx, p)
}

// An event is one line of output. Members that do not apply are left out.
type event struct {
	Time    int64  `json:"t"` // Unix milliseconds
	Worker  string `json:"worker"`
	Kind    string `json:"event"`
	Stream  string `json:"stream,omitempty"`
	Shard   string `json:"shard,omitempty"`
	Seq     string `json:"seq,omitempty"`
	Sub     *int64 `json:"sub,omitempty"`
	Key     string `json:"key,omitempty"`
	HashKey string `json:"hashKey,omitempty"`
	State   string `json:"state,omitempty"`
	Batch   int64  `json:"batch,omitempty"` // of this tenure, from 1
	Late    int64  `json:"late,omitempty"`  // milliseconds that this process stood still
	Data    []byte `json:"data,omitzero"`
}

// A journal writes events, each in one write, so that a killed process has
// written what it checkpointed.
type journal struct {
	worker string
	mu     sync.Mutex
}

func (j *journal) write(e event) {
	e.Time, e.Worker = time.Now().UnixMilli(), j.worker
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // no value of an event does
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		os.Exit(1) // nothing may be checkpointed that is not printed
	}
}

// stalls tells when this process did not run for a second, as happens on a machine
// with too much to do.
func (j *journal) stalls(ctx context.Context) {
	const beat, much = 200 * time.Millisecond, time.Second
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		if late := now.Sub(last) - beat; late >= much {
			j.write(event{Kind: "stalled", Late: late.Milliseconds()})
		}
		last = now
	}
}

func (j *journal) leaseEvents() lease.Events {
	return lease.Events{
		Acquired: func(i lease.AcquiredInfo) {
			j.write(event{Kind: "leaseGained", Stream: i.Stream, Shard: i.Shard, Seq: i.Position.SequenceNumber, Sub: &i.Position.SubSequenceNumber})
		},
		CheckpointStored: func(i lease.CheckpointInfo) {
			j.write(event{Kind: "checkpoint", Stream: i.Stream, Shard: i.Shard, Seq: i.Position.SequenceNumber, Sub: &i.Position.SubSequenceNumber})
		},
		Lost:     func(i lease.LostInfo) { j.write(event{Kind: "leaseLost", Stream: i.Stream, Shard: i.Shard}) },
		Released: func(i lease.ReleasedInfo) { j.write(event{Kind: "leaseLost", Stream: i.Stream, Shard: i.Shard}) },
		Finished: func(i lease.FinishedInfo) { j.write(event{Kind: "shardEnded", Stream: i.Stream, Shard: i.Shard}) },
		Elected: func(i lease.ElectedInfo) {
			j.write(event{Kind: "elected", State: fmt.Sprint(i.Leading)})
		},
	}
}
