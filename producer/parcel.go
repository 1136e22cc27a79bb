package producer

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// An instant is a time on the producer's own monotonic clock, since its start.
// It takes a third of a time.Time and cannot be compared to another machine's.
type instant time.Duration

// never is when nothing happens that is not there. It is after all times that
// records can have.
const never = instant(math.MaxInt64)

// after returns t+d, saturating just before never.
func (t instant) after(d time.Duration) instant {
	if d >= time.Duration(never-t) {
		return never - 1
	}
	return t + instant(d)
}

// A parcel is one Kinesis record in the making: an aggregate that grows in
// place, or a single record. Records are written into it once, at Put.
//
// It belongs to its lane's mutex while it is the lane's open parcel, then to the
// flusher, for the time of a request to the sender as well (which seals it
// before anything else and only reads afterwards), and at last to the callback
// goroutine.
type parcel struct {
	// What every Put touches stands together.
	enc     *aggregation.Encoder // nil for a single record, which is in bare, ehk and tags
	entries []entry
	cost    int64   // charged to share
	payload int     // bytes of data of the records that have no result
	expires instant // the earliest of its records
	weight  int32   // of a single record: its size
	calls   bool    // an entry has a callback
	wrap    bool    // a record has tags, which nothing but an aggregate carries
	moved   bool    // a record has been in another parcel
	alone   bool    // its record is to have no company

	// So does what a single record is asked for on its way to being stored: a
	// hundred thousand of them may be waiting, in memory that no cache holds.
	lane    *lane
	due     instant // when it should be on its way
	bare    []byte
	tickets []*ticket
	only    [1]entry // of a single record
	ehk     string   // of a single record

	attempts  attempts
	last      error   // of the last attempt
	born      instant // the first Put of its records
	misplaced int32   // as in history
	maybe     bool    // an attempt ended without an answer
	doubt     bool    // the last one did: whoever sends it again may repeat it
	thinned   bool    // some records in it have ended, so it is not sent again as it is
	surprised bool    // it landed elsewhere than predicted, and waited for a new map

	landed   landing          // elsewhere than predicted
	body     []byte           // of an aggregate, when it is sealed
	max      int              // size enc was made for
	tags     aggregation.Tags // of a single record, in case it comes to be aggregated
	hash     shardmap.HashKey // of an aggregate's first record; decides where all of it goes
	hashText string           // hash in decimal, when it has been needed
	rank     instant          // its place among those of other lanes when the shards change
	patience instant          // until when it waits
}

// A landing is where a parcel was stored.
type landing struct{ shard, seq string }

// An entry is what a producer keeps of a record beside its bytes. Its size
// counts: it is written by each Put.
type entry struct {
	key     string
	done    func(Result)
	wait    *waiter
	expires instant  // or ended
	past    *history // nil as long as the record stays in its first parcel
}

// ended is when a record expires that has its result.
const ended instant = -1

func (e *entry) ended() bool { return e.expires == ended }
func (e *entry) end()        { e.expires = ended }

// A history is what happened to a record in parcels it has left.
type history struct {
	attempts attempts
	last     error
	maybe    bool // as in parcel
	doubt    bool // likewise

	// misplaced counts aggregates that landed on a shard that does not hold all
	// of their records. At alonePacked the prediction is not to be relied on, and
	// the record goes without others; above that it goes bare, and then any shard
	// will do.
	misplaced int
}

const alonePacked = 2

// A waiter is a Put that waits for its result.
type waiter struct {
	done   chan struct{} // receives once, when result is there
	result Result
}

// ready reports whether the result is there.
func (w *waiter) ready() bool { return len(w.done) > 0 }

// A ticket is a Flush that waits for parcels to end.
type ticket struct {
	left atomic.Int64
	done chan struct{} // closed when left gets to 0
}

func (t *ticket) end() {
	if t.left.Add(-1) == 0 {
		close(t.done)
	}
}

// add writes a record into the parcel and reports whether it fitted. A first
// record always fits. The record is r, of which e keeps what is the caller's.
func (p *parcel) add(e *entry, r *aggregation.Record, hash shardmap.HashKey, cost int64) bool {
	if p.enc == nil {
		p.setSingle(r)
	} else if err := p.enc.Append(*r); err != nil {
		if errors.Is(err, aggregation.ErrFull) {
			return false
		}
		// Put has checked everything that Append does.
		panic("producer: checked record refused: " + err.Error())
	}
	if len(p.entries) == 0 && p.enc != nil {
		p.hash = hash
	}
	p.entries = append(p.entries, *e)
	p.cost += cost
	p.payload += len(r.Data)
	p.moved = p.moved || e.past != nil
	p.wrap = p.wrap || r.Tags != (aggregation.Tags{})
	p.expires = min(p.expires, e.expires)
	p.calls = p.calls || e.done != nil
	return true
}

// setSingle copies a parcel's only record.
func (p *parcel) setSingle(r *aggregation.Record) {
	p.bare, p.ehk = append(p.bare[:0], r.Data...), strings.Clone(r.ExplicitHashKey)
	p.weight = int32(len(r.Data) + len(r.PartitionKey))
	if r.Tags != (aggregation.Tags{}) {
		p.tags = cloneTags(r.Tags)
	}
}

// payloadUnit is what Kinesis bills a record by, rounded up; see
// https://aws.amazon.com/kinesis/data-streams/pricing.
const payloadUnit = 25 << 10

// gains reports whether there is a point in adding a record: always, but for one
// of which an aggregate holds no three, since its digest takes longer than all
// else, unless it fills a payload unit that is paid for anyway.
func (p *parcel) gains(r *aggregation.Record, maxBytes int) bool {
	n := len(r.Data)
	if n <= maxBytes/3 {
		return true
	}
	units := func(bytes int) int { return (bytes + payloadUnit - 1) / payloadUnit }
	return units(p.size()+n) < units(p.size())+units(n)
}

// adopt makes the tickets of a parcel that some records came from wait for this
// parcel too.
func (p *parcel) adopt(tickets []*ticket) {
	for _, t := range tickets {
		if !slices.Contains(p.tickets, t) {
			t.left.Add(1)
			p.tickets = append(p.tickets, t)
		}
	}
}

// single reports whether the parcel holds one record.
func (p *parcel) single() bool { return len(p.entries) == 1 }

// naked reports whether the parcel goes as a bare record: one that stands alone
// and has no tags, or no room for them.
func (p *parcel) naked() bool {
	return p.enc == nil || p.single() && (!p.wrap || p.enc.Size() > p.lane.limit)
}

// size returns what Kinesis counts for the parcel: data and partition key.
func (p *parcel) size() int {
	switch {
	case p.enc == nil:
		return int(p.weight)
	case p.naked():
		return len(p.enc.First().Data) + len(p.entries[0].key)
	}
	return p.enc.Size() + len(aggregation.OuterPartitionKey)
}

// seal returns the data to send. It is done once, by the sender, since it
// computes a digest over all of it.
func (p *parcel) seal() ([]byte, error) {
	var err error
	switch {
	case p.enc == nil:
		return p.bare, nil
	case p.body != nil:
	case p.naked():
		p.body = p.enc.First().Data
	default:
		p.body, err = p.enc.Seal()
	}
	return p.body, err
}

// explicitHashKey returns what to send as the explicit hash key: that of the first
// record of an aggregate, whose partition key has no meaning, and with a bare
// record what the caller gave, nil if nothing. The KPL sends one with every bare
// record too; it says the same as the partition key and is a quarter of a small
// record's bytes.
func (p *parcel) explicitHashKey() *string {
	if p.naked() && p.enc != nil && p.ehk == "" {
		p.ehk = p.enc.First().ExplicitHashKey
	}
	switch {
	case p.ehk != "":
		return &p.ehk
	case p.naked():
		return nil
	}
	if p.hashText == "" {
		p.hashText = p.hash.String()
	}
	return &p.hashText
}

// each calls f with every record in order, in the parcel's memory.
func (p *parcel) each(f func(i int, e *entry, r aggregation.Record)) {
	if p.enc == nil {
		e := &p.entries[0]
		r := aggregation.Record{PartitionKey: e.key, ExplicitHashKey: p.ehk, Data: p.bare}
		if p.wrap {
			r.Tags = p.tags
		}
		f(0, e, r)
		return
	}
	for i, r := range p.enc.Records() {
		f(i, &p.entries[i], r)
	}
}

// left calls f with every record that has no result, in order, and with what an
// entry of it in another parcel would be.
func (p *parcel) left(f func(e *entry, moved *entry, r *aggregation.Record)) {
	var memo pastMemo
	p.each(func(_ int, e *entry, r aggregation.Record) {
		if !e.ended() {
			moved := *e
			moved.past = p.past(e, &memo)
			f(e, &moved, &r)
		}
	})
}

// within reports whether every record of the parcel hashes into a range.
func (p *parcel) within(shard shardmap.Range) bool {
	in := true
	p.each(func(_ int, _ *entry, r aggregation.Record) { in = in && shard.Contains(hashKey(&r)) })
	return in
}

// tried notes an attempt.
func (p *parcel) tried(attempt []Attempt, err error) {
	p.attempts = p.attempts.with(attempt)
	p.last = err
}

// doubted notes that the last attempt may have stored the parcel.
func (p *parcel) doubted() { p.maybe, p.doubt = true, true }

// past returns what an entry takes along when it leaves the parcel. Entries
// with the same past share the result: memo holds the last one made.
func (p *parcel) past(e *entry, memo *pastMemo) *history {
	if p.attempts.total == 0 && !p.maybe {
		return e.past
	}
	if memo.next == nil || memo.from != e.past {
		memo.from = e.past
		memo.next = &history{attempts: p.attempts, last: p.last, maybe: p.maybe, doubt: p.doubt, misplaced: int(p.misplaced)}
		if e.past != nil {
			memo.next.attempts = e.past.attempts.and(p.attempts)
			memo.next.maybe = p.maybe || e.past.maybe
			memo.next.misplaced += e.past.misplaced
		}
	}
	return memo.next
}

type pastMemo struct{ from, next *history }

// A verdict is what ends a parcel.
type verdict struct {
	landing       // where it is, if reason is nil
	reason  error // why it is not stored, or not known to be
	unknown bool  // it may be stored, whatever attempts say
}

// result returns the result of record i, without the record itself.
func (p *parcel) result(i int, v *verdict) Result {
	e := &p.entries[i]
	tried := p.attempts
	last, maybe := p.last, p.maybe || v.unknown
	if e.past != nil {
		tried = e.past.attempts.and(p.attempts)
		maybe = maybe || e.past.maybe
		if last == nil {
			last = e.past.last
		}
	}
	r := Result{Attempts: tried.kept}
	if v.reason == nil {
		r.ShardID, r.SequenceNumber = v.shard, v.seq
		r.Sub = i
		return r
	}
	if r.Outcome = NotStored; maybe {
		r.Outcome = Unknown
	}
	if last == v.reason {
		last = nil
	}
	r.Err = &PutError{Outcome: r.Outcome, Attempts: tried.total, Reason: v.reason, Last: last}
	return r
}
