package stream

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// The states of a stream; deleted ends it and is never seen from outside.
const (
	creating = "CREATING"
	active   = "ACTIVE"
	updating = "UPDATING"
	deleting = "DELETING"
	deleted  = ""
)

const (
	provisioned = "PROVISIONED"
	onDemand    = "ON_DEMAND"

	auto             = "AUTO"
	userPartitionKey = "USER_PARTITION_KEY"
)

type stream struct {
	// These do not change.
	name    string
	arn     string
	number  uint64 // tells streams of one name apart
	created time.Time

	rates map[string]*bucket // by operation, guarded by Service.mu

	mu            sync.Mutex
	status        string
	until         time.Time       // when status ends, zero if it does not
	change        func(time.Time) // what happens then, nil if nothing
	shards        []*shard        // by index
	routes        *routing
	mode          string
	warm          *warmThroughput // nil if none was asked for
	retention     time.Duration
	maxRecordSize int    // KiB
	distribution  string // onDemand only
	key           string // encrypts records, "" for none
	metrics       []string
	tags          map[string]string
	policy        string // JSON, "" for none
	epoch         int64  // the latest creation second in a sequence number
	spread        uint64 // records that went to the shards in turn
	listed        bucket
	fanOut        fanOut

	// Changes of which there may be only so many a day.
	scalings, modeSwitches, keyStarts, keyStops history
}

// A shard is a range of hash keys over a time, and the records put in it.
type shard struct {
	id       string
	index    uint32
	hashes   shardmap.Range
	parent   *shard
	adjacent *shard // the other parent, after a merge
	created  int64  // the second in its sequence numbers
	opened   int64  // Unix milliseconds
	closed   int64  // Unix milliseconds, 0 while open
	gone     bool   // expired
	ending   sequence
	log      log
	latest   int64 // arrival of the last record, Unix milliseconds

	writeBytes, writeRecords bucket
	readBytes, readCalls     bucket
	iteratorCalls            bucket
	meter                    meter
	readPause                int64 // Unix nanoseconds; no GetRecords before
	subscriptions            []*Subscription
}

// A routing is a snapshot of the open shards by hash key. It is immutable.
type routing struct {
	ranges *shardmap.Map
	shards []*shard // as ranges.At
}

func (r *routing) find(k shardmap.HashKey) *shard { return r.shards[r.ranges.Index(k)] }

const shardIDPrefix = "shardId-"

// shardID returns the id of the shard with an index.
func shardID(index uint32) string { return fmt.Sprintf(shardIDPrefix+"%012d", index) }

// shardIndex is the inverse of shardID.
func shardIndex(id string) (uint32, bool) {
	digits, ok := strings.CutPrefix(id, shardIDPrefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil && id == shardID(uint32(n))
}

// settle brings st to now: what was to happen by then has happened.
func (st *stream) settle(now time.Time) {
	if st.until.IsZero() || now.Before(st.until) {
		return
	}
	at, change := st.until, st.change
	st.until, st.change = time.Time{}, nil
	switch st.status {
	case deleting:
		st.status = deleted
	default:
		st.status = active
	}
	if change != nil {
		change(at)
	}
}

// enter puts st in a status for a window, at the end of which change happens;
// without a window that is at once.
func (st *stream) enter(status string, window time.Duration, now time.Time, change func(time.Time)) {
	st.status, st.until, st.change = status, now.Add(window), change
	st.settle(now)
	for _, sh := range st.shards {
		sh.notify()
	}
}

// readable fails unless records may be put and read.
func (st *stream) readable(account string) *api.Error {
	if st.status == creating || st.status == deleting {
		return notFound(st.name, account)
	}
	return nil
}

// idle fails unless st may be changed.
func (st *stream) idle(account string) *api.Error {
	if st.status != active {
		return api.Errorf("ResourceInUseException", "Stream %s under account %s not ACTIVE, instead in state %s", st.name, account, st.status)
	}
	return nil
}

// open adds a shard. Its numbers start above those of every shard before it.
func (st *stream) open(r shardmap.Range, now time.Time, parent, adjacent *shard) *shard {
	created := now.Unix()
	if parent != nil {
		created = max(created, parent.created+1)
	}
	if adjacent != nil {
		created = max(created, adjacent.created+1)
	}
	st.epoch = max(st.epoch, created)
	sh := &shard{
		index:    uint32(len(st.shards)),
		hashes:   r,
		parent:   parent,
		adjacent: adjacent,
		created:  created,
		opened:   now.UnixMilli(),
		log:      newLog(),
	}
	sh.id = shardID(sh.index)
	st.shards = append(st.shards, sh)
	return sh
}

// route takes a new snapshot of the open shards.
func (st *stream) route() {
	var open []shardmap.Shard
	byID := map[string]*shard{}
	for _, sh := range st.shards {
		if sh.closed == 0 {
			open = append(open, shardmap.Shard{ID: sh.id, Range: sh.hashes})
			byID[sh.id] = sh
		}
	}
	m, err := shardmap.New(open)
	if err != nil {
		panic("kinesistest: open shards of " + st.name + " do not tile the ring: " + err.Error())
	}
	r := &routing{ranges: m, shards: make([]*shard, m.Len())}
	for i := range r.shards {
		r.shards[i] = byID[m.At(i).ID]
	}
	st.routes = r
}

// shard returns a shard by id, also one that is expired.
func (st *stream) shard(id string) *shard {
	index, ok := shardIndex(id)
	if !ok || int(index) >= len(st.shards) {
		return nil
	}
	return st.shards[index]
}

// horizon is the time before which records are gone, in Unix milliseconds.
func (st *stream) horizon(now time.Time) int64 { return now.Add(-st.retention).UnixMilli() }

// expired reports whether sh is closed and as old as its records may get. It
// does not come back when the retention period grows.
func (st *stream) expired(sh *shard, now time.Time) bool {
	sh.gone = sh.gone || sh.closed != 0 && sh.closed <= st.horizon(now)
	return sh.gone
}

// expire trims what retention has passed.
func (st *stream) expire(sh *shard, now time.Time, keep bool) {
	horizon := st.horizon(now)
	st.expired(sh, now)
	if sh.log.first < sh.log.next && sh.log.get(sh.log.first).Arrival <= horizon {
		sh.log.trim(sh.log.since(horizon+1), keep)
	}
}

// children returns the shards that sh was split into or merged to.
func (st *stream) children(sh *shard) []*shard {
	var out []*shard
	for _, c := range st.shards[sh.index+1:] {
		if c.parent == sh || c.adjacent == sh {
			out = append(out, c)
		}
	}
	return out
}

func (sh *shard) sequence(counter uint64, arrival int64) sequence {
	return sequence{created: sh.created, index: sh.index, counter: counter, stored: max(arrival/1000, sh.created)}
}

// starting is the sequence number that begins sh.
func (sh *shard) starting() sequence { return sh.sequence(0, 0) }

// end closes sh for good.
func (sh *shard) end(now time.Time) {
	sh.closed = now.UnixMilli()
	sh.ending = sh.sequence(lastCounter, sh.closed)
	sh.notify()
}
