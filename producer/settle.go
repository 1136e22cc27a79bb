package producer

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
)

// settle decides what an answer means for each parcel of its request.
func (p *Producer) settle(r *request, now instant) {
	p.flights = slices.DeleteFunc(p.flights, func(f *request) bool { return f == r })
	p.counts.requests.Add(1)
	p.counts.requestTime.Add(int64(r.attempt.Duration))
	for _, l := range r.lanes {
		l.inFlight--
		p.freed(l)
	}
	r.lanes = nil
	if r.err != nil {
		p.counts.requestsFailed.Add(1)
		p.counts.errors.Add(1)
		p.settleFailed(r, now)
		p.unwell = true
		return
	}
	p.failures = 0
	if p.unwell && p.mapFailed && p.routes.Load().shards == nil {
		// The stream is there again. Nothing is aggregated before its map is known,
		// which the back-off of an outage could put off by half a minute.
		p.loads = min(p.loads, 1)
		p.refresh(now)
	}
	p.unwell = false
	p.settleEntries(r, now)
}

// settleFailed deals with a request that failed as a whole.
func (p *Producer) settleFailed(r *request, now instant) {
	f := classify(r.err)
	if f == faultMaybe && r.held {
		f = faultRetry
	}
	p.opts.Logger.Debug("producer: request failed", "producer", p.opts.ProducerID, "records", len(r.parcels), "error", r.err)
	if f == faultRefused && len(r.parcels) > 1 && p.state != aborted {
		p.split(r)
		return
	}
	switch {
	case p.state == aborted:
	case r.attempt.Code == "ResourceNotFoundException":
		p.dropMap(now)
	case f == faultRefused && r.parcels[0].lane.kind == spreadLane:
		p.refresh(now) // it may want partition keys again
	}
	attempts := []Attempt{r.attempt}
	for i, q := range r.parcels {
		q.tried(attempts, r.err)
		switch {
		case f == faultRefused && !q.single() && p.state != aborted:
			// One of its records may be to blame, or its size, if the stream takes
			// less by now.
			p.refresh(now)
			q.misplaced = alonePacked
			p.rehome(q, now)
		case f == faultRefused, f == faultFatal, p.opts.FailIfThrottled && r.attempt.Code == codeThroughput:
			p.finish(q, &verdict{reason: r.err})
		case f == faultGarbled:
			p.finish(q, &verdict{reason: r.err, unknown: true})
		default:
			if f == faultMaybe {
				q.doubted()
			}
			continue
		}
		r.parcels[i] = nil
	}
	if f != faultRetry && f != faultMaybe {
		return
	}
	// Requests that were under way together fail together: they count once.
	if r.start >= p.notBefore {
		delay := p.backoff.Delay(p.opts.ProducerID, "request", "", p.failures)
		p.failures++
		p.notBefore = now.after(delay)
		p.opts.Logger.Warn("producer: request failed, trying again", "producer", p.opts.ProducerID, "failures", p.failures, "delay", delay, "error", r.err)
	}
	p.again(r.parcels, now)
}

// split makes two requests of one that was refused for something in it, until
// what is wrong stands alone.
func (p *Producer) split(r *request) {
	half := len(r.parcels) / 2
	for _, part := range [][]*parcel{r.parcels[:half], r.parcels[half:]} {
		s := &request{parcels: part, expires: never}
		for _, q := range part {
			q.tried([]Attempt{r.attempt}, r.err)
			s.bytes += q.size()
			s.expires = min(s.expires, q.expires)
			if !slices.Contains(s.lanes, q.lane) {
				s.lanes = append(s.lanes, q.lane)
				q.lane.inFlight++
			}
		}
		p.splits = append(p.splits, s)
	}
}

// settleEntries deals with an answer that speaks of each parcel.
func (p *Producer) settleEntries(r *request, now instant) {
	success := []Attempt{r.attempt} // shared by all that are stored at once
	var retry []*parcel
	for i, q := range r.parcels {
		e := &r.out.Records[i]
		seq, shard := aws.ToString(e.SequenceNumber), aws.ToString(e.ShardId)
		if code := aws.ToString(e.ErrorCode); code != "" || seq == "" {
			if p.entryFailed(r, q, e, now) {
				retry = append(retry, q)
			}
			continue
		}
		q.tried(success, nil)
		p.countEntry(q, "")
		q.lane.part.Passed(p.time(r.start))
		if q.lane.notBefore <= r.start {
			q.lane.failures = 0
		}
		p.judge(q, landing{shard, seq}, r.start, now)
	}
	p.again(retry, now)
}

// entryFailed deals with an entry that was not stored and slows its lane down. It
// reports whether to try again.
func (p *Producer) entryFailed(r *request, q *parcel, e *types.PutRecordsResultEntry, now instant) bool {
	err := &EntryError{aws.ToString(e.ErrorCode), aws.ToString(e.ErrorMessage)}
	if err.Code == "" {
		err = &EntryError{"InternalFailure", "neither a sequence number nor an error came back"}
	}
	a := r.attempt
	a.Code, a.Message = err.Code, err.Message
	q.tried([]Attempt{a}, err)
	p.countEntry(q, err.Code)
	l, f := q.lane, codes[err.Code]
	if _, known := codes[err.Code]; !known {
		f = faultMaybe
	}
	switch {
	case f == faultFatal, f == faultRefused, err.Code == codeThroughput && p.opts.FailIfThrottled:
		p.finish(q, &verdict{reason: err})
		return false
	case f == faultMaybe:
		q.doubted() // an internal failure vouches for nothing
	case err.Code == codeThroughput:
		l.part.Throttled(p.time(r.start), p.time(now))
	}
	if r.start >= l.notBefore { // once for all parcels of the lane
		l.notBefore = now.after(p.backoff.Delay(p.opts.ProducerID, "shard", l.shard.ID, l.failures))
		l.failures++
	}
	return true
}

// again queues parcels that are to be sent once more, in front of what waits.
func (p *Producer) again(parcels []*parcel, now instant) {
	parcels = slices.DeleteFunc(slices.Clone(parcels), func(q *parcel) bool { return q == nil })
	if p.state == aborted {
		for _, q := range parcels {
			p.finish(q, &verdict{reason: ErrClosed})
		}
		return
	}
	for len(parcels) > 0 {
		l := parcels[0].lane
		n := 1
		for n < len(parcels) && parcels[n].lane == l {
			n++
		}
		group := parcels[:n]
		parcels = parcels[n:]
		for _, q := range group {
			q.due = min(q.due, now)
		}
		p.requeue(l, group, now)
	}
}

// requeue queues parcels of one lane that are to be sent once more. They stay as
// they are, unless their lane is gone or records in them have ended.
func (p *Producer) requeue(l *lane, group []*parcel, now instant) {
	retired := l.state == laneRetired // only this goroutine writes it
	thinned := func(q *parcel) bool { return q.thinned }
	if p.opts.Ordered && (retired || slices.ContainsFunc(group, thinned)) {
		p.refile(group, now, p.routes.Load())
		return
	}
	whole := group[:0]
	for _, q := range group {
		if retired || q.thinned {
			p.repack(q, now, p.routes.Load())
		} else {
			whole = append(whole, q)
		}
	}
	if len(whole) > 0 {
		l.push(whole...)
		p.poke(l)
	}
}

// patience is how long a parcel that landed elsewhere waits for a new map.
const patience = 2 * time.Second

// judge decides whether a stored parcel counts as stored. A bare record does,
// wherever it landed. An aggregate does if every record in it belongs to the
// shard it landed on, because readers drop it whole otherwise; then all its
// records are sent again. A parcel that landed elsewhere than predicted waits
// for a new map before that, to be judged and sent again by the right one; and so
// does one that was under way when the stream turned out to have been deleted, as
// the shard it landed on may be one of the next stream, of the same name.
func (p *Producer) judge(q *parcel, at landing, sent, now instant) {
	l := q.lane
	surprise := l.kind == shardLane && (at.shard != l.shard.ID || l.gone) && at.shard != ""
	newer := sent >= p.loadStart // than the map
	if surprise && newer {
		p.refresh(now)
	}
	if !surprise || q.naked() {
		p.finish(q, &verdict{landing: at})
		return
	}
	q.landed = at
	k, ok := p.known[at.shard]
	switch {
	case ok && q.within(k.Range) || !ok && q.alone:
		p.finish(q, &verdict{landing: at})
	case p.state != aborted && !q.surprised && (newer || p.loading || !ok):
		q.surprised, q.patience = true, now.after(patience)
		p.limbo = append(p.limbo, q)
		l.limbo++
		p.refresh(now)
	default:
		p.misplace(q, now)
	}
}

// misplace sends the records of an aggregate again that landed where readers
// will drop it.
func (p *Producer) misplace(q *parcel, now instant) {
	p.counts.misplaced.Add(1)
	q.last = fmt.Errorf("producer: aggregate landed on %s, which does not hold all of its records", q.landed.shard)
	q.misplaced++
	q.doubted() // it is there, for readers that do not look at the range
	q.due = min(q.due, now)
	if p.state == aborted {
		p.finish(q, &verdict{reason: ErrClosed})
		return
	}
	p.rehome(q, now)
}

// rehome packs the records of a parcel that is in no queue again.
func (p *Producer) rehome(q *parcel, now instant) {
	if p.opts.Ordered {
		p.refile([]*parcel{q}, now, p.routes.Load())
	} else {
		p.repack(q, now, p.routes.Load())
	}
}

// finish ends a parcel: every record in it gets its result, those of Put after
// they are counted and their memory is free.
func (p *Producer) finish(q *parcel, v *verdict) {
	var ended [3]int64
	for i := range q.entries {
		e := &q.entries[i]
		if e.ended() {
			continue
		}
		outcome := Stored
		if v.reason != nil {
			if outcome = NotStored; v.unknown || q.maybe || e.past != nil && e.past.maybe {
				outcome = Unknown
			}
		}
		ended[outcome]++
		if e.wait != nil {
			e.wait.result = q.result(i, v)
			p.woken = append(p.woken, e.wait)
			e.wait = nil
		}
	}
	p.count(q, v, ended)
	if q.calls || v.reason != nil && p.opts.Events.Failed != nil {
		p.callbacks.add(finished{producer: p, parcel: q, verdict: *v})
	} else {
		p.drop(q)
	}
	for i, w := range p.woken {
		w.done <- struct{}{} // never blocks: it is sent once
		p.woken[i] = nil
	}
	p.woken = p.woken[:0]
}

// newParcel returns an empty parcel for a lane: an aggregate to be, or a single
// record.
func (p *Producer) newParcel(l *lane, now, due instant, aggregate bool) *parcel {
	pool := &p.singles
	if aggregate {
		pool = &p.parcels
	}
	q, _ := pool.Get().(*parcel)
	if q == nil || aggregate && q.max != l.max {
		q = &parcel{max: l.max}
		if aggregate {
			q.enc = aggregation.NewEncoder(l.max)
		}
	}
	if !aggregate {
		q.entries = q.only[:0]
	}
	q.lane = l
	q.born, q.due, q.expires = now, due, never
	return q
}

// drop ends a parcel whose records have gone elsewhere or have their results:
// what is left of its charge is given back, and its memory is used again.
func (p *Producer) drop(q *parcel) {
	if q.cost != 0 {
		q.lane.share.Release(q.cost)
		p.counts.released.Add(q.cost)
	}
	for _, t := range q.tickets {
		t.end()
	}
	if q.enc != nil {
		clear(q.entries)
		q.enc.Reset()
		*q = parcel{enc: q.enc, max: q.max, entries: q.entries[:0]}
		p.parcels.Put(q)
		return
	}
	bare := q.bare[:0]
	if cap(bare) > 64<<10 {
		bare = nil
	}
	*q = parcel{bare: bare}
	p.singles.Put(q)
}
