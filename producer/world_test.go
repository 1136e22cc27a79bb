package producer_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

const stream = "clicks"

// A world is a server with a stream, a producer on it, and what has become of
// every record put. It belongs in a synctest bubble.
type world struct {
	*testing.T
	srv    *kinesistest.Server
	client *kinesis.Client
	*producer.Producer

	mu      sync.Mutex
	put     []string // the data of accepted records; each is unique
	results map[string][]producer.Result
	took    map[string]time.Duration // from put to result
}

func newWorld(t *testing.T, shards int32, optFns ...func(*producer.Options)) *world {
	t.Helper()
	w := newServer(t, shards)
	p, err := producer.New(w.client, stream, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	w.Producer = p
	return w
}

// newServer is a world without a producer.
func newServer(t *testing.T, shards int32, optFns ...func(*kinesistest.Options)) *world {
	t.Helper()
	srv := kinesistest.NewServer(optFns...)
	t.Cleanup(func() { srv.Close() })
	w := &world{
		T: t, srv: srv, client: kinesis.NewFromConfig(srv.Config()),
		results: make(map[string][]producer.Result), took: make(map[string]time.Duration),
	}
	w.createStream(shards)
	return w
}

func (w *world) createStream(shards int32) {
	w.Helper()
	if _, err := w.client.CreateStream(w.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: &shards}); err != nil {
		w.Fatal(err)
	}
}

// send puts a record whose data is unique and notes its result.
func (w *world) send(key, data string) error {
	return w.sendRecord(w.Context(), producer.Record{PartitionKey: key, Data: []byte(data)})
}

func (w *world) sendRecord(ctx context.Context, r producer.Record) error {
	start, data := time.Now(), string(r.Data)
	err := w.PutAsync(ctx, r, func(r producer.Result) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if string(r.Record.Data) != data {
			w.Errorf("the result of %q is about %q", data, r.Record.Data)
		}
		r.Record.Data = nil
		w.results[data] = append(w.results[data], r)
		w.took[data] = time.Since(start)
	})
	if err == nil {
		w.mu.Lock()
		w.put = append(w.put, data)
		w.mu.Unlock()
	}
	return err
}

func (w *world) sendMany(n int) {
	w.Helper()
	for i := range n {
		if err := w.send(fmt.Sprint("key-", i), fmt.Sprint("data-", i)); err != nil {
			w.Fatal(err)
		}
	}
}

// ended returns how many records have a result.
func (w *world) ended() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.results)
}

func (w *world) close() {
	w.Helper()
	if err := w.Close(w.Context()); err != nil {
		w.Fatalf("Close = %v", err)
	}
}

// A place is where a user record was found.
type place struct {
	shard, seq string
	sub        int
	key        string
	hidden     bool // the KCL does not deliver it: its aggregate is out of range
}

// stored returns every place of every user record in the stream.
func (w *world) stored() map[string][]place {
	w.Helper()
	ranges := make(map[string]aggregation.HashRange)
	for _, s := range w.srv.Shards(stream) {
		r, err := aggregation.ParseHashRange(s.StartingHashKey, s.EndingHashKey)
		if err != nil {
			w.Fatal(err)
		}
		ranges[s.ID] = r
	}
	found := make(map[string][]place)
	for r := range w.srv.Records(stream) {
		at := place{shard: r.ShardID, seq: r.SequenceNumber, key: r.PartitionKey}
		agg, err := aggregation.Decode(r.Data)
		if errors.Is(err, aggregation.ErrNotAggregated) {
			found[string(r.Data)] = append(found[string(r.Data)], at)
			continue
		}
		if err != nil {
			w.Fatalf("the stream holds a broken aggregate: %v", err)
		}
		in, err := agg.InRange(ranges[r.ShardID])
		if err != nil {
			w.Fatal(err)
		}
		for sub, u := range agg.Records() {
			at.sub, at.key, at.hidden = sub, u.PartitionKey, !in
			found[string(u.Data)] = append(found[string(u.Data)], at)
		}
	}
	return found
}

// check compares all results with what is in the stream: every accepted record
// has one result, and it is true. It returns how many had which outcome.
func (w *world) check() (outcomes [3]int) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	found := w.stored()
	for _, data := range w.put {
		if n := len(w.results[data]); n != 1 {
			w.Errorf("%s: %d results, want 1", data, n)
			continue
		}
		r := w.results[data][0]
		outcomes[r.Outcome]++
		if (r.Err == nil) != (r.Outcome == producer.Stored) {
			w.Errorf("%s: outcome %v with error %v", data, r.Outcome, r.Err)
		}
		switch r.Outcome {
		case producer.NotStored:
			if len(found[data]) > 0 {
				w.Errorf("%s: not stored (%v), but found at %v", data, r.Err, found[data])
			}
		case producer.Stored:
			there, visible := false, false
			for _, at := range found[data] {
				there = there || at.shard == r.ShardID && at.seq == r.SequenceNumber && at.sub == r.Sub && at.key == r.Record.PartitionKey
				visible = visible || !at.hidden
			}
			if !there {
				w.Errorf("%s: stored at %s %s %d, but found at %v", data, r.ShardID, r.SequenceNumber, r.Sub, found[data])
			} else if !visible {
				w.Errorf("%s: stored, but the KCL drops it", data)
			}
		}
	}
	for data := range found {
		if w.results[data] == nil {
			w.Errorf("%s is in the stream and was never accepted", data)
		}
	}
	if s := w.Stats(); s.BufferedBytes != 0 || s.Accepted != int64(len(w.put)) ||
		s.Stored != int64(outcomes[producer.Stored]) || s.NotStored != int64(outcomes[producer.NotStored]) || s.Unknown != int64(outcomes[producer.Unknown]) {
		w.Errorf("Stats = %+v, want %d records, %v by outcome and nothing buffered", s, len(w.put), outcomes)
	}
	return outcomes
}

// duplicates counts the user records that the KCL delivers more than once.
func (w *world) duplicates() (n int) {
	for _, places := range w.stored() {
		visible := 0
		for _, at := range places {
			if !at.hidden {
				visible++
			}
		}
		n += max(0, visible-1)
	}
	return n
}

// sortedPlaces yields what is stored in the order of the stream, shard by shard.
func sortedPlaces(found map[string][]place) iter.Seq2[string, place] {
	type item struct {
		data string
		place
	}
	var all []item
	for data, places := range found {
		for _, at := range places {
			all = append(all, item{data, at})
		}
	}
	slices.SortFunc(all, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(len(a.seq), len(b.seq)), cmp.Compare(a.seq, b.seq), cmp.Compare(a.sub, b.sub))
	})
	return func(yield func(string, place) bool) {
		for _, it := range all {
			if !yield(it.data, it.place) {
				return
			}
		}
	}
}

// logTo sends the producer's log to b.
func logTo(b *strings.Builder) func(*producer.Options) {
	return func(o *producer.Options) { o.Logger = slog.New(slog.NewTextHandler(b, nil)) }
}
