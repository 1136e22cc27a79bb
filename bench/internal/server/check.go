package server

import (
	"crypto/md5"
	"encoding/binary"
	"math/big"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

// Arrived is what a look at the stream says about the records that were put.
type Arrived struct {
	Lost      int // ids that are nowhere
	Repeated  int // copies beyond the first
	WrongKey  int // with another partition key than they were put with
	Misplaced int // in a shard that does not own their key
	Reordered int // behind a later record of their key, copies aside
	Entries   int // Kinesis records
	Payload   int64

	// From Put to the server's taking it, of the records that count, if they tell
	// when they were put.
	P50, P99, P999 time.Duration
}

// Check looks at everything in the stream. The ids from 0 to warm do not count
// for times, and all of them count for the rest.
func (s *Server) Check(warm, records, keys int, timed bool) (Arrived, error) {
	c := checker{names: contest.Keys(keys), seen: make([]bool, warm+records), last: make(map[string]int), warm: warm, timed: timed}
	for _, shard := range s.Shards(Stream) {
		if err := c.begin(shard.StartingHashKey, shard.EndingHashKey); err != nil {
			return Arrived{}, err
		}
		for r := range s.ShardRecords(Stream, shard.ID) {
			c.Entries++
			c.record(r.PartitionKey, r.Data, r.Arrival)
		}
	}
	for _, seen := range c.seen {
		if !seen {
			c.Lost++
		}
	}
	slices.Sort(c.times)
	if n := len(c.times); n > 0 {
		c.P50, c.P99, c.P999 = c.times[n/2], c.times[n*99/100], c.times[n*999/1000]
	}
	return c.Arrived, nil
}

type checker struct {
	Arrived
	names       []string
	seen        []bool
	last        map[string]int // the highest id of a key
	lower, high [16]byte       // the shard's hash keys
	warm        int
	timed       bool
	times       []time.Duration
}

func (c *checker) begin(start, end string) error {
	for into, text := range map[*[16]byte]string{&c.lower: start, &c.high: end} {
		n, ok := new(big.Int).SetString(text, 10)
		if !ok {
			return &badHashKeyError{text}
		}
		n.FillBytes(into[:])
	}
	return nil
}

type badHashKeyError struct{ text string }

func (e *badHashKeyError) Error() string { return "server: " + e.text + " is no hash key" }

func (c *checker) record(key string, data []byte, at time.Time) {
	agg, err := aggregation.Decode(data)
	if err != nil {
		c.user(key, data, at)
		return
	}
	for _, r := range agg.Records() {
		c.user(r.PartitionKey, r.Data, at)
	}
}

func (c *checker) user(key string, data []byte, at time.Time) {
	id := contest.ID(data)
	if id < 0 || id >= len(c.seen) {
		c.Misplaced++ // of nobody
		return
	}
	if want := c.names[id%len(c.names)]; key != want {
		c.WrongKey++
		key = want
	}
	sum := md5.Sum([]byte(key))
	if slices.Compare(sum[:], c.lower[:]) < 0 || slices.Compare(sum[:], c.high[:]) > 0 {
		c.Misplaced++
	}
	c.Payload += int64(len(data))
	if c.seen[id] {
		c.Repeated++
		return
	}
	c.seen[id] = true
	if last, ok := c.last[key]; ok && last > id {
		c.Reordered++
	} else {
		c.last[key] = id
	}
	if c.timed && id >= c.warm && len(data) >= 16 {
		c.times = append(c.times, at.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(data[8:])))))
	}
}
