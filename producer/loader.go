package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// A known shard is one that some map has shown. Those of the last map but one
// are remembered, since answers name them for a while.
type known struct {
	shardmap.Range
	load int // number of the last load that showed it
}

// A loaded stream is what a load has found.
type loaded struct {
	shards   *shardmap.Map
	seen     []shardmap.Shard // all that were listed, closed ones too
	err      error            // of the shards
	facts    facts
	factsErr error
}

var (
	loadBackoff     = pace.Backoff{Base: 100 * time.Millisecond, Max: 30 * time.Second}
	describeBackoff = pace.Backoff{Base: 5 * time.Second, Max: 5 * time.Minute}
)

// refresh asks for the stream to be looked at again.
func (p *Producer) refresh(now instant) {
	if p.loading {
		p.reload = true // what is under way may be too old
		return
	}
	p.loadAt = min(p.loadAt, max(now, p.loadStart.after(p.loadDelay())))
}

// loadDelay spaces out loads that fail or bring nothing new.
func (p *Producer) loadDelay() time.Duration {
	if p.loads == 0 {
		return 0
	}
	return loadBackoff.Delay(p.opts.ProducerID, "load", "", p.loads)
}

// startLoad looks at the stream, on a goroutine of its own, if it is time to.
// There is never more than one.
func (p *Producer) startLoad(ctx context.Context, now instant) {
	if p.loading || now < p.loadAt || p.state == aborted {
		return
	}
	p.loading, p.reload, p.loadAt, p.loadStart = true, false, never, now
	old := p.routes.Load().facts
	// A parcel on a shard that is not in the map of open shards may have landed
	// on one that has been closed again.
	closedToo := len(p.limbo) > 0
	p.senders.Go(func() {
		l := p.loadStream(ctx, old, closedToo)
		defer func() { // also when the event has called runtime.Goexit
			p.inbox.mu.Lock()
			p.inbox.loads = append(p.inbox.loads, l)
			p.inbox.mu.Unlock()
			p.signal(nil)
		}()
		if f := p.opts.Events.Stream; f != nil {
			call(&p.callbacks, f, l.info())
		}
	})
}

// loaded takes in what a load has found. The old map stays until there is a new
// one.
func (p *Producer) loaded(l loaded, now instant) {
	p.loading = false
	p.looked.Store(int64(now))
	routine := p.routine
	p.routine = false
	switch {
	case l.factsErr == nil:
		p.describes = 0
	case classify(l.factsErr) != faultFatal:
		p.describes++
		p.loadAt = now.after(describeBackoff.Delay(p.opts.ProducerID, "describe", "", p.describes))
		fallthrough
	default:
		p.complain(l.factsErr)
	}
	old := p.routes.Load()
	log := p.opts.Logger.With("producer", p.opts.ProducerID)
	shards := old.shards
	var notFound *types.ResourceNotFoundException
	if p.mapFailed = l.err != nil; p.mapFailed {
		if errors.As(l.err, &notFound) {
			shards = nil
			p.disown(old)
		}
		p.loads++
		p.loadAt = min(p.loadAt, now.after(p.loadDelay()))
		log.Warn("producer: shard map not loaded", "failures", p.loads, "again_in", time.Duration(p.loadAt-now), "error", l.err)
	} else {
		shards = l.shards
		p.remember(l.seen)
	}
	if shards != nil && !l.facts.auto {
		l.facts.open = 0 // the map knows better
	}
	changed := l.facts != old.facts || !l.facts.auto && !sameShards(shards, old.shards)
	if changed {
		p.distrust = false
		if l.err == nil {
			p.loads = 0
		}
		next := p.newRoutes(l.facts, shards, old)
		p.reroute(next, now)
		log.Info("producer: stream looked at", "shards", len(next.lanes), "auto", l.facts.auto, "max_record_bytes", l.facts.maxRecord)
	} else if l.err == nil && !routine {
		p.loads++
	}
	p.settleKnown(now)
	if l.err == nil && !p.reload && p.settleLimbo(now) && !p.distrust {
		p.distrust = true
		p.reroute(p.newRoutes(l.facts, shards, old), now)
		log.Warn("producer: records land elsewhere than the shard map says, so they are not aggregated until it changes (RecordDistributionStrategy AUTO, without permission to see it?)")
	}
	if p.reload {
		p.refresh(now)
	}
	p.announce()
}

// announce wakes those that have waited for a look at the stream.
func (p *Producer) announce() {
	for _, l := range p.routes.Load().lanes {
		if l.kind == waitLane {
			p.poke(l) // it may go, if the map has failed
		}
	}
	for _, looked := range p.asked {
		close(looked)
	}
	p.asked = nil
}

// info is what Events.Stream is told.
func (l *loaded) info() StreamInfo {
	info := StreamInfo{Auto: l.facts.auto, MaxRecordBytes: l.facts.maxRecord, Err: l.err, DescribeErr: l.factsErr}
	if l.err == nil {
		info.Shards = l.shards.Len()
	}
	return info
}

// settleKnown judges those that wait for a map although the shard they landed on
// is known by now and holds all of their records: no later map can say otherwise.
func (p *Producer) settleKnown(now instant) {
	p.limbo = slices.DeleteFunc(p.limbo, func(q *parcel) bool {
		k, ok := p.known[q.landed.shard]
		if ok = ok && q.within(k.Range); ok {
			p.outOfLimbo(q)
			p.judge(q, q.landed, -1, now)
		}
		return ok
	})
}

// outOfLimbo notes that a parcel does not wait for a map any more.
func (p *Producer) outOfLimbo(q *parcel) {
	q.lane.limbo--
	p.freed(q.lane)
}

// settleLimbo judges what has waited for a map. It reports whether the map that
// misplaced some of it is still the same.
func (p *Producer) settleLimbo(now instant) (wrong bool) {
	limbo := p.limbo
	p.limbo = nil
	for _, q := range limbo {
		p.outOfLimbo(q)
		current, before := q.lane.state != laneRetired, p.counts.misplaced.Load()
		p.judge(q, q.landed, -1, now)
		wrong = wrong || current && p.counts.misplaced.Load() > before
	}
	return wrong
}

// dropMap forgets a map that is not only old but wrong: the stream is not there
// any more, and what comes under its name may number its shards alike.
func (p *Producer) dropMap(now instant) {
	if old := p.routes.Load(); old.shards != nil {
		p.mapFailed = false
		p.disown(old)
		p.reroute(p.newRoutes(old.facts, nil, old), now)
	}
	p.refresh(now)
}

// disown forgets where shards lie, because their stream is not there any more.
func (p *Producer) disown(rt *routes) {
	clear(p.known)
	for _, l := range rt.lanes {
		l.gone = true
	}
}

// complain logs that the stream could not be described; a missing permission
// only once.
func (p *Producer) complain(err error) {
	if p.complained {
		return
	}
	p.complained = classify(err) == faultFatal
	p.opts.Logger.Warn("producer: stream not described, assuming the default record size and distribution",
		"producer", p.opts.ProducerID, "error", err)
}

// remember notes where shards lie, and forgets those that were in neither this
// listing nor the one before.
func (p *Producer) remember(seen []shardmap.Shard) {
	if p.known == nil {
		p.known = make(map[string]known)
	}
	p.loadCount++
	for _, s := range seen {
		p.known[s.ID] = known{s.Range, p.loadCount}
	}
	for id, k := range p.known {
		if k.load < p.loadCount-1 {
			delete(p.known, id)
		}
	}
}

func sameShards(a, b *shardmap.Map) bool {
	if a == nil || b == nil || a.Len() != b.Len() {
		return a == b
	}
	for i := range a.Len() {
		if a.At(i) != b.At(i) {
			return false
		}
	}
	return true
}

// loadStream asks for the stream's facts and its open shards. It runs on the
// goroutine of a load.
func (p *Producer) loadStream(ctx context.Context, old facts, closedToo bool) loaded {
	l := loaded{facts: old}
	var wg sync.WaitGroup
	wg.Go(func() {
		l.facts, l.factsErr = p.describeStream(ctx, old)
	})
	l.shards, l.seen, l.err = p.listShards(ctx, closedToo)
	wg.Wait()
	return l
}

// describeStream returns the stream's facts; where they cannot be had, the old
// ones.
func (p *Producer) describeStream(ctx context.Context, old facts) (facts, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.RequestTimeout)
	defer cancel()
	old.known = true
	var c courier
	out, err := p.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{
		StreamName: p.stream.name,
		StreamARN:  p.stream.arn,
	}, withoutRetries, c.hire) // the shard map must not wait for them
	if err != nil {
		return old, err
	}
	if out == nil || out.StreamDescriptionSummary == nil {
		return old, errors.New("producer: DescribeStreamSummary answered nothing")
	}
	s := out.StreamDescriptionSummary
	f := facts{
		known:     true,
		auto:      s.RecordDistributionStrategy == types.RecordDistributionStrategyAuto,
		maxRecord: defaultRecordBytes,
		open:      int(aws.ToInt32(s.OpenShardCount)),
	}
	if kib := aws.ToInt32(s.MaxRecordSizeInKiB); kib > 0 {
		f.maxRecord = min(int(kib)<<10, maxRecordBytes)
	}
	return f, nil
}

// maxPages bounds a listing: at 1,000 shards a page, more than any stream has.
const maxPages = 1000

// listShards returns the map of the open shards, and all shards it was shown:
// the open ones, or all that the stream still has records of.
func (p *Producer) listShards(ctx context.Context, closedToo bool) (*shardmap.Map, []shardmap.Shard, error) {
	var open, seen []shardmap.Shard
	in := &kinesis.ListShardsInput{
		StreamName: p.stream.name,
		StreamARN:  p.stream.arn,
		MaxResults: aws.Int32(1000),
	}
	if !closedToo {
		in.ShardFilter = &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}
	}
	for range maxPages {
		callCtx, cancel := context.WithTimeout(ctx, p.opts.RequestTimeout)
		var c courier
		out, err := p.client.ListShards(callCtx, in, withoutRetries, c.hire)
		cancel()
		if err == nil && out == nil {
			err = errors.New("no answer")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("producer: list shards: %w", err)
		}
		for i := range out.Shards {
			s, err := parseShard(&out.Shards[i])
			if err != nil {
				return nil, nil, fmt.Errorf("producer: list shards: %s: %w", s.ID, err)
			}
			seen = append(seen, s)
			// Not every server knows the filter for open shards.
			if r := out.Shards[i].SequenceNumberRange; r == nil || r.EndingSequenceNumber == nil {
				open = append(open, s)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			m, err := shardmap.New(open)
			if err != nil {
				return nil, nil, fmt.Errorf("producer: list shards: %w", err)
			}
			return m, seen, nil
		}
		// A token stands for all other parameters, which are refused beside it.
		in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(1000)}
	}
	return nil, nil, fmt.Errorf("producer: list shards: no end after %d pages", maxPages)
}

func parseShard(s *types.Shard) (shardmap.Shard, error) {
	out := shardmap.Shard{ID: aws.ToString(s.ShardId)}
	if s.HashKeyRange == nil {
		return out, errors.New("no hash key range")
	}
	r, err := shardmap.ParseRange(aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
	out.Range = r
	return out, err
}
