// Package verdict proves, or disproves, that a stream lost nothing: it is told of
// every record that a producer stored and of every record that a consumer was
// handed, and says at the end how the two compare.
//
//	v := verdict.New()
//	v.Put(shard, seq, sub, key, data)       // when a put's result says stored
//	v.Delivered(shard, seq, sub, key, data) // in the consumer's handler
//	v.Summary()                             // put 3, delivered 3, duplicated 0, lost 0, out of order 0
//
// A record is known by its position: shard, sequence number and, inside an
// aggregated record, subsequence number. A delivery counts for the record that
// was put there only if key and data agree with it, and may come before the
// result of the put does.
//
// # Memory
//
// Of key and data only a hash is kept. Once a record is both put and delivered,
// two bits and the 8 bytes of its content's hash are left of it, and each
// partition key costs about 30 bytes more: ten million records in aggregates
// take 100 MB, 400 MB if each has a key of its own. Every hash has 64 bits and a
// seed of its own in each run: about one run in 400,000 of ten million keys gives
// a wrong count.
//
// # Concurrency
//
// Every method may be called from any goroutine. Of two deliveries of one key the
// one whose call of [Verdict.Delivered] comes first was delivered first.
package verdict

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
)

// stripes is how many locks share the records, and again the keys.
const stripes = 64

// A Verdict keeps the books of one run. Make one with [New].
type Verdict struct {
	seed    maphash.Seed
	records [stripes]records // by position
	keys    [stripes]keys    // by partition key
	places  places
	shards  shards
	digests *digests // nil unless they are kept
}

// New returns a verdict on nothing yet.
func New() *Verdict {
	v := &Verdict{seed: maphash.MakeSeed()}
	for i := range stripes {
		v.records[i].blocks = make(map[uint64]*block)
		v.keys[i].last = make(map[uint64]spot)
	}
	v.shards.byID = make(map[string]*shard)
	return v
}

// Put notes a record that the stream has stored: the position that its put
// reported, and the key and data that went in. Two records cannot be at one
// position; if they are reported so, the second counts as lost.
func (v *Verdict) Put(shard, seq string, sub int, key string, data []byte) {
	_, content := v.hash(key, data)
	r, id := v.find(shard, seq, sub)
	r.mu.Lock()
	r.put(v.block(r, id, shard, seq), id.bit, content)
	r.mu.Unlock()
	if v.digests != nil {
		v.digests.put.add(key, data)
	}
}

// Unknown notes a record that may or may not have been stored. If it is
// delivered it counts as put and delivered, if not, as neither.
func (v *Verdict) Unknown(key string, data []byte) {
	_, content := v.hash(key, data)
	r := &v.records[content%stripes]
	r.mu.Lock()
	r.unknown = append(r.unknown, content)
	r.mu.Unlock()
	if v.digests != nil {
		v.digests.put.add(key, data)
	}
}

// Delivered notes that a consumer was handed a record. It keeps nothing of key
// and data.
func (v *Verdict) Delivered(shard, seq string, sub int, key string, data []byte) {
	keyHash, content := v.hash(key, data)
	r, id := v.find(shard, seq, sub)
	r.mu.Lock()
	b := v.block(r, id, shard, seq)
	news := r.deliver(b, id.bit, content)
	r.mu.Unlock()
	if news == again {
		return
	}
	if news == first {
		v.order(keyHash, spot{b.place, uint32(max(sub, 0))})
	}
	if v.digests != nil {
		v.digests.delivered.add(key, data)
	}
}

// hash returns a hash of the key and one of key and data together.
func (v *Verdict) hash(key string, data []byte) (keyHash, content uint64) {
	keyHash = maphash.String(v.seed, key)
	return keyHash, mix(keyHash, maphash.Bytes(v.seed, data))
}

// A recordID finds the bits of one record.
type recordID struct {
	block uint64 // names 64 neighbours within one record of the stream
	bit   uint   // which of them
}

// find returns the stripe and the bits of the record at a position. The block's
// hash and not the position chooses the stripe, so that one large aggregate does
// not keep all its deliveries behind one lock.
func (v *Verdict) find(shard, seq string, sub int) (*records, recordID) {
	sub = max(sub, 0)
	stream := mix(maphash.String(v.seed, shard), maphash.String(v.seed, strings.TrimLeft(seq, "0")))
	id := recordID{block: mix(stream, uint64(sub/64)), bit: uint(sub % 64)}
	return &v.records[id.block%stripes], id
}

// block returns the block of id, making it with its first record. r.mu is held.
func (v *Verdict) block(r *records, id recordID, shard, seq string) *block {
	b := r.blocks[id.block]
	if b == nil {
		b = &block{place: v.places.add(place{v.shards.get(shard), parse(seq)})}
		r.blocks[id.block] = b
	}
	return b
}

// mix makes one hash of two.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo
}

// A Summary is what the books say. Put is Delivered and Lost together.
type Summary struct {
	Put        int64 // records stored
	Delivered  int64 // of those, handed to a consumer at least once
	Lost       int64 // of those, never
	Duplicated int64 // deliveries beyond a record's first, a copy stored by a retry included
	OutOfOrder int64 // first delivered after a later record of the same key

	// Foreign counts the records delivered whose content was never put: what was
	// in the stream before, or came from somebody else, or was corrupted.
	Foreign int64
}

// Summary compares what was put with what was delivered. It is exact when no
// other call is under way, and takes about a second for ten million records;
// [Verdict.Progress] is for a look in between.
func (v *Verdict) Summary() Summary {
	s, _, _ := v.judge()
	return s
}

// Progress returns how many records have been put, and how many positions have
// been delivered, those included whose put has not been reported yet. It is
// cheap.
func (v *Verdict) Progress() (put, delivered int64) {
	for i := range v.records {
		r := &v.records[i]
		r.mu.Lock()
		put += r.nPut
		delivered += r.nSeen
		r.mu.Unlock()
	}
	return put, delivered
}

// judge returns the summary and, by content, how many of the lines put never
// were, and how many of those delivered are copies: what a digest leaves out.
func (v *Verdict) judge() (s Summary, neverPut, copies map[uint64]int64) {
	strange := make(map[uint64]int64) // deliveries that fit no put, by content
	unknown := make(map[uint64]int64)
	for i := range v.records {
		r := &v.records[i]
		r.mu.Lock()
		s.Put += r.nPut
		s.Delivered += r.nMatched
		s.Duplicated += r.nAgain
		for _, content := range r.unknown {
			unknown[content]++
		}
		r.strange(strange)
		r.mu.Unlock()
	}
	for content, n := range unknown {
		stored := min(n, strange[content])
		s.Put += stored
		s.Delivered += stored
		strange[content] -= stored
		unknown[content] -= stored
	}
	copies = v.copies(strange, unknown)
	for content, n := range strange {
		if copies[content] == 0 {
			s.Foreign += n
		} else {
			s.Duplicated += n
		}
	}
	s.Lost = s.Put - s.Delivered
	for i := range v.keys {
		k := &v.keys[i]
		k.mu.Lock()
		s.OutOfOrder += k.outOfOrder
		k.mu.Unlock()
	}
	return s, unknown, copies
}

// copies picks from strange the contents that were put, or may have been.
func (v *Verdict) copies(strange, unknown map[uint64]int64) map[uint64]int64 {
	copies := make(map[uint64]int64)
	if len(strange) == 0 {
		return copies
	}
	note := func(content uint64) {
		if n := strange[content]; n > 0 {
			copies[content] = n
		}
	}
	for content := range unknown {
		note(content)
	}
	for i := range v.records {
		r := &v.records[i]
		r.mu.Lock()
		for _, chunk := range r.contents {
			for _, content := range chunk {
				note(content)
			}
		}
		r.mu.Unlock()
	}
	return copies
}

// keys holds one stripe of the partition keys.
type keys struct {
	mu         sync.Mutex
	last       map[uint64]spot // the latest record of a key that was delivered
	outOfOrder int64
}

// order notes the first delivery of a record at s.
func (v *Verdict) order(keyHash uint64, s spot) {
	k := &v.keys[keyHash>>32%stripes]
	k.mu.Lock()
	defer k.mu.Unlock()
	if last, ok := k.last[keyHash]; ok && v.places.after(last, s) {
		k.outOfOrder++
		return
	}
	k.last[keyHash] = s
}
