//go:build java

package sidebyside

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/producer"
)

// id returns the id in a record's data.
func id(data []byte) string { return string(data[:min(len(data), 10)]) }

// A flow is what one producer of ours puts, aggregated, until it is ended.
type flow struct {
	stream    string // default: the first
	perSecond int
	first     int                // number of its first record, by which ids differ
	bytes     int                // of a record, default 500
	hash      func(n int) string // explicit hash key of the nth record, default none

	cancel context.CancelFunc
	over   sync.WaitGroup
}

// produce puts records of about 500 bytes into the stream until the world is
// finished.
func (w *world) produce(perSecond int) {
	w.t.Helper()
	w.put(&flow{perSecond: perSecond})
}

// put begins a flow.
func (w *world) put(f *flow) *flow {
	w.t.Helper()
	if f.stream == "" {
		f.stream = w.stream
	}
	if f.bytes == 0 {
		f.bytes = 500
	}
	p, err := producer.New(w.kinesis, f.stream, func(o *producer.Options) { o.RecordMaxBufferedTime = 200 * time.Millisecond })
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	f.cancel = cancel
	w.flows = append(w.flows, f)
	w.t.Cleanup(f.end)
	f.over.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(f.perSecond))
		defer ticker.Stop()
		for n := f.first + 1; ctx.Err() == nil; n++ {
			if err := w.putOne(context.WithoutCancel(ctx), p, f, n); err != nil {
				w.t.Errorf("put: %v", err)
				return
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
		if err := p.Close(context.WithoutCancel(ctx)); err != nil {
			w.t.Errorf("close the producer: %v", err)
		}
	})
	return f
}

func (w *world) putOne(ctx context.Context, p *producer.Producer, f *flow, n int) error {
	name := fmt.Sprintf("id-%07d", n)
	r := producer.Record{PartitionKey: fmt.Sprint("key ", n*7919%1000), Data: []byte(name + strings.Repeat(" x", f.bytes/2))}
	if f.hash != nil {
		r.ExplicitHashKey = f.hash(n)
	}
	return p.PutAsync(ctx, r, func(r producer.Result) {
		if r.Err != nil {
			w.t.Errorf("put: %v", r.Err)
			return
		}
		w.mu.Lock()
		w.sent[name] = true
		w.mu.Unlock()
	})
}

// end ends the flow: everything in it was put when it returns.
func (f *flow) end() {
	f.cancel()
	f.over.Wait()
}

// drain ends all flows and awaits that everything that stands in the streams was
// delivered.
func (w *world) drain(within time.Duration) {
	w.t.Helper()
	for _, f := range w.flows {
		f.end()
	}
	w.drained = time.Now()
	stored, misled := map[position]string{}, map[position]string{}
	for _, stream := range w.streams {
		w.handedOut(stream, stored, misled)
	}
	w.mu.Lock()
	w.stored, w.misled = stored, misled
	w.mu.Unlock()
	w.delivered("everything", maps.Clone(stored), within)
}

// delivered awaits that records were delivered, which it takes out of missing.
func (w *world) delivered(what string, missing map[position]string, within time.Duration) {
	w.t.Helper()
	w.await(what+" is delivered", within, func() bool {
		for at := range missing {
			if w.got[at] == 0 {
				return false
			}
			delete(missing, at)
		}
		return true
	})
}

// handedOut adds what a stream holds for its readers, record by record, and what
// they are to drop: all of an aggregate that has a record of another shard. The KPL
// and ours put those again when a reshard has misled them.
func (w *world) handedOut(stream string, all, misled map[position]string) {
	w.t.Helper()
	w.eachRecord(stream, func(s *types.Shard, r *types.Record) {
		at := position{w.label(stream, *s.ShardId), *r.SequenceNumber, 0}
		agg, err := aggregation.Decode(r.Data)
		if err != nil {
			all[at] = id(r.Data)
			return
		}
		hashes, err := aggregation.ParseHashRange(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey)
		if err != nil {
			w.t.Fatal(err)
		}
		inside, err := agg.InRange(hashes)
		if err != nil {
			w.t.Fatal(err)
		}
		to := all
		if !inside {
			to = misled
		}
		for sub, u := range agg.Records() {
			at.sub = int64(sub)
			to[at] = id(u.Data)
		}
	})
}

// eachRecord reads a stream as Kinesis keeps it.
func (w *world) eachRecord(stream string, do func(*types.Shard, *types.Record)) {
	w.t.Helper()
	for _, s := range w.shards(stream) {
		it, err := w.kinesis.GetShardIterator(w.t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: &stream, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			w.t.Fatal(err)
		}
		for next := it.ShardIterator; next != nil; {
			page, err := w.kinesis.GetRecords(w.t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if throttled := (*types.ProvisionedThroughputExceededException)(nil); errors.As(err, &throttled) {
				<-time.After(time.Second) // the workers read too
				continue
			}
			if err != nil {
				w.t.Fatal(err)
			}
			for i := range page.Records {
				do(&s, &page.Records[i])
			}
			if next = page.NextShardIterator; aws.ToInt64(page.MillisBehindLatest) == 0 {
				break
			}
		}
	}
}

// shards returns all shards of a stream.
func (w *world) shards(stream string) []types.Shard {
	w.t.Helper()
	out, err := w.kinesis.ListShards(w.t.Context(), &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Shards
}

// label names a shard in events: by its id, behind the stream's name where an
// application reads many. Both sides tell of a stream by name or by id.
func (w *world) label(stream, shard string) string {
	if w.list == "" || shard == "" {
		return shard
	}
	if parts := strings.Split(stream, ":"); len(parts) == 3 {
		stream = parts[1]
	}
	return stream + ":" + shard
}

// shardOf takes a label apart.
func (w *world) shardOf(label string) (stream, shard string) {
	if stream, shard, ok := strings.Cut(label, ":"); ok {
		return stream, shard
	}
	return w.stream, label
}
