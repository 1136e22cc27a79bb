package producer

import (
	"unsafe"

	"github.com/kinesis-go/kinesis/aggregation"
)

// A stage is where records of a lane wait until there are enough of them to be
// written into the lane's open parcel together.
//
// Among a thousand shards the processor's caches have lost a parcel when the
// next record for it comes, and writing one touches seven places of it that have
// to be fetched one after another. What a record needs of a stage stands in two
// places, which are only written to; the parcel is fetched once for all that is
// on the stage. What a parcel holds, and when it is full, does not change by it:
// a record goes on the stage only if it is sure to fit.
type stage struct {
	sizes   [stageRecords]uint16 // of their data; first, since Go looks there before it writes anywhere
	entries [stageRecords]entry
	bytes   [stageBytes]byte // keys and data, each record's behind the last one's
}

const (
	stageRecords = 16
	stageBytes   = 2176 // a stage has 3 KiB, a size class

	// smallData is how much data a record may have that goes on a stage: others
	// would leave no room for company.
	smallData = stageBytes / 4

	// stagedOverhead is the most that a small record adds to an aggregate beyond
	// its key and its data: a tag and a length of two bytes for each of them and
	// for the record, and a tag and an index of four bytes.
	stagedOverhead = 3*(1+2) + 1 + 4
)

// A staging says how full a lane's stage is. It stands in the lane, where each
// Put looks anyway.
type staging struct {
	stage *stage // nil while nothing may go there

	// How many records are on the stage and how many bytes they add to the
	// aggregate at most, and how many of both there may be.
	n, most    uint16
	size, room uint16
}

// take puts a small record on the stage, if it is sure to fit into the open
// parcel behind those that are there already.
func (s *staging) take(e *entry, r *aggregation.Record) bool {
	size := len(r.PartitionKey) + len(r.Data) + stagedOverhead
	if size > int(s.room-s.size) || s.n == s.most || r.ExplicitHashKey != "" || r.Tags != (aggregation.Tags{}) {
		return false
	}
	t, at := s.stage, int(s.size)
	at += copy(t.bytes[at:], r.PartitionKey)
	copy(t.bytes[at:], r.Data)
	t.sizes[s.n] = uint16(len(r.Data))
	t.entries[s.n] = *e
	s.n++
	s.size += uint16(size)
	return true
}

// drain writes what is on the stage into the open parcel; mu is held.
func (l *lane) drain(pr *Producer) {
	if l.n > 0 {
		l.open.addStaged(pr, l.stage, int(l.n))
		l.n, l.size = 0, 0
	}
}

// restage fits the stage to the open parcel; mu is held, and nothing is staged.
// A parcel with one record has none, and may never need one.
func (l *lane) restage(pr *Producer) {
	p := l.open
	if p == nil || len(p.entries) < 2 {
		if l.stage != nil {
			pr.stages.Put(l.stage)
			l.staging = staging{}
		}
		return
	}
	if l.stage == nil {
		l.stage = pr.newStage()
	}
	// Who makes the parcel full goes the usual way, which seals it.
	l.most = uint16(min(stageRecords, pr.opts.AggregationMaxRecords-len(p.entries)-1))
	l.room = uint16(min(stageBytes, p.max-p.enc.Size()))
}

func (p *Producer) newStage() *stage {
	s, _ := p.stages.Get().(*stage)
	if s == nil {
		s = new(stage)
	}
	return s
}

// addStaged writes the first n records of a stage into the parcel, and clears
// them.
func (p *parcel) addStaged(pr *Producer, s *stage, n int) {
	entries := s.entries[:n]
	p.entries = append(p.entries, entries...)
	at := 0
	for i := range entries {
		e := &entries[i]
		data := at + len(e.key)
		end := data + int(s.sizes[i])
		// The caller's key would have to be fetched again, and Append copies this
		// one too.
		key := unsafe.String(&s.bytes[at], len(e.key))
		r := aggregation.Record{PartitionKey: key, Data: s.bytes[data:end]}
		if err := p.enc.Append(r); err != nil {
			panic("producer: staged record refused: " + err.Error())
		}
		p.cost += pr.cost(&r, p.lane)
		p.payload += len(r.Data)
		p.expires = min(p.expires, e.expires)
		p.calls = p.calls || e.done != nil
		at = end + stagedOverhead
	}
	clear(entries)
}
