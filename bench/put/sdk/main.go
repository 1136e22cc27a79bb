// Command sdk puts with the AWS SDK and the least that aggregates right: an
// aggregate for each shard, a request when enough of them are full. It has no
// retries of its own, no pace, no bound on memory but that of the records
// without a result, and follows no reshard: the price of the rest is what a
// library is compared with.
package main

import (
	"context"
	"crypto/md5"
	"math/big"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

func main() {
	a := contest.Parse(os.Args[1:])
	p := &putter{client: kinesis.NewFromConfig(a.Config()), args: a, slots: make(chan struct{}, 8), stop: make(chan struct{})}
	out, err := p.client.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: &a.Stream})
	contest.Must(err)
	for _, s := range out.Shards {
		end, _ := new(big.Int).SetString(*s.HashKeyRange.EndingHashKey, 10)
		sh := &shard{end: end.FillBytes(make([]byte, 16))}
		sh.reset()
		p.shards = append(p.shards, sh)
	}
	slices.SortFunc(p.shards, func(a, b *shard) int { return slices.Compare(a.end, b.end) })
	p.wg.Go(p.tick)
	contest.Put(a, p)
}

const (
	aggregateBytes = 50 << 10
	requestRecords = 100
)

type putter struct {
	client *kinesis.Client
	args   contest.Args
	shards []*shard
	slots  chan struct{} // requests under way
	stop   chan struct{}
	wg     sync.WaitGroup

	mu      sync.Mutex
	full    []types.PutRecordsRequestEntry
	waiting [][]func(contest.Fate) // of each
}

type shard struct {
	end []byte

	mu   sync.Mutex
	enc  *aggregation.Encoder
	hash string
	done []func(contest.Fate)
}

func (s *shard) reset() { s.enc, s.done = aggregation.NewEncoder(aggregateBytes), nil }

func (p *putter) Put(key string, data []byte, done func(contest.Fate)) error {
	if !p.args.Aggregate || len(data) > aggregateBytes/2 {
		p.queue(types.PutRecordsRequestEntry{PartitionKey: &key, Data: slices.Clone(data)}, []func(contest.Fate){done})
		return nil
	}
	sum := md5.Sum([]byte(key))
	i, _ := slices.BinarySearchFunc(p.shards, sum[:], func(s *shard, h []byte) int { return slices.Compare(s.end, h) })
	s := p.shards[i]
	r := aggregation.Record{PartitionKey: key, Data: data}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.enc.SizeWith(r) > aggregateBytes {
		p.seal(s)
	}
	if s.enc.Len() == 0 {
		s.hash = new(big.Int).SetBytes(sum[:]).String()
	}
	s.done = append(s.done, done)
	return s.enc.Append(r)
}

// seal queues the shard's aggregate, if there is one; s.mu is held.
func (p *putter) seal(s *shard) {
	if s.enc.Len() == 0 {
		return
	}
	data, err := s.enc.Seal()
	contest.Must(err)
	e := types.PutRecordsRequestEntry{PartitionKey: aws.String("a"), ExplicitHashKey: &s.hash, Data: data}
	done := s.done
	s.reset()
	p.queue(e, done)
}

func (p *putter) queue(e types.PutRecordsRequestEntry, done []func(contest.Fate)) {
	p.mu.Lock()
	p.full, p.waiting = append(p.full, e), append(p.waiting, done)
	limit := requestRecords
	if !p.args.Aggregate {
		limit = 500
	}
	if len(e.Data) > 0 {
		limit = min(limit, max(1, 4<<20/len(e.Data)))
	}
	var entries []types.PutRecordsRequestEntry
	var waiting [][]func(contest.Fate)
	if len(p.full) >= limit {
		entries, waiting, p.full, p.waiting = p.full, p.waiting, nil, nil
	}
	p.mu.Unlock()
	p.send(entries, waiting)
}

func (p *putter) send(entries []types.PutRecordsRequestEntry, waiting [][]func(contest.Fate)) {
	if len(entries) == 0 {
		return
	}
	p.slots <- struct{}{}
	p.wg.Go(func() {
		defer func() { <-p.slots }()
		out, err := p.client.PutRecords(context.Background(), &kinesis.PutRecordsInput{StreamName: &p.args.Stream, Records: entries})
		for i, dones := range waiting {
			f := contest.Stored
			if err != nil || out.Records[i].ErrorCode != nil {
				f = contest.Failed
			}
			for _, done := range dones {
				done(f)
			}
		}
	})
}

// flush sends what there is.
func (p *putter) flush() {
	for _, s := range p.shards {
		s.mu.Lock()
		p.seal(s)
		s.mu.Unlock()
	}
	p.mu.Lock()
	entries, waiting := p.full, p.waiting
	p.full, p.waiting = nil, nil
	p.mu.Unlock()
	p.send(entries, waiting)
}

func (p *putter) tick() {
	t := time.NewTicker(p.args.Buffered)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.flush()
		case <-p.stop:
			return
		}
	}
}

func (p *putter) Finish() error {
	close(p.stop)
	p.flush()
	p.wg.Wait()
	return nil
}
