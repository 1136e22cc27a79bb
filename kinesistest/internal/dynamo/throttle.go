package dynamo

import (
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// How many seconds' worth of units a bucket holds. DynamoDB keeps five minutes
// of what a provisioned table did not use. What it keeps of a partition is not
// documented; a few seconds let a burst of writers at one row pass.
const (
	provisionedBurst = 300
	partitionBurst   = 5
)

// maxIdleKeys is how many keys' buckets a table keeps before it forgets the
// full ones.
const maxIdleKeys = 1024

// A bucket holds capacity units. A request is let in while there are any and
// may leave a debt, because what it costs is known when it is done. The zero
// bucket is full.
type bucket struct {
	spent float64 // units below full
	at    time.Time
}

// settle fills b up to now.
func (b *bucket) settle(now time.Time, rate float64) {
	b.spent = max(0, b.spent-rate*now.Sub(b.at).Seconds())
	b.at = now
}

// A meter is the capacity of a table, an index or a key, in one direction.
type meter struct{ read, write bucket }

func (m *meter) side(write bool) *bucket {
	if write {
		return &m.write
	}
	return &m.read
}

// A gate is a bucket that a request must pass, and the answer if it may not.
type gate struct {
	b     *bucket
	rate  float64 // units a second
	burst float64 // seconds' worth that the bucket holds
	limit string  // the last part of a throttling reason
	ix    *index  // nil: the table
}

// gates returns the buckets that an operation on t has to pass. ix is the
// index it reads, nil for the table and for writes, which pass those of all
// their indexes. key is the sort key of the hash attribute, "" for no one key.
func (s *Service) gates(t *table, ix *index, key string, write bool) []gate {
	var list []gate
	l := s.opts.Limits
	if ix == nil || ix.local {
		list = t.meter.gates(list, nil, t.units, t.ceiling, write, l)
	} else {
		list = ix.meter.gates(list, ix, ix.units, ix.ceiling, write, l)
	}
	if write {
		for _, ix := range t.indexes {
			if !ix.local {
				list = ix.meter.gates(list, ix, ix.units, ix.ceiling, write, l)
			}
		}
	}
	if rate := l.keyUnits(write); rate > 0 && key != "" && ix == nil {
		list = append(list, gate{t.hot(key).side(write), rate, partitionBurst, "KeyRangeThroughputExceeded", nil})
	}
	return list
}

// gates appends the gate of a table or index to list, if it has a limit.
func (m *meter) gates(list []gate, ix *index, units, ceiling throughput, write bool, l Limits) []gate {
	g := gate{b: m.side(write), rate: float64(units.of(write)), burst: provisionedBurst, limit: "ProvisionedThroughputExceeded", ix: ix}
	switch {
	case g.rate > 0 && !l.Provisioned:
		return list
	case g.rate == 0 && ceiling.of(write) > 0:
		g.rate, g.burst, g.limit = float64(ceiling.of(write)), partitionBurst, "MaxOnDemandThroughputExceeded"
	case g.rate == 0:
		g.rate, g.burst, g.limit = l.onDemandUnits(write), partitionBurst, "AccountLimitExceeded"
	}
	if g.rate > 0 {
		list = append(list, g)
	}
	return list
}

// hot returns the meter of a key.
func (t *table) hot(key string) *meter {
	m, ok := t.hotKeys[key]
	if !ok {
		m = &meter{}
		if t.hotKeys == nil {
			t.hotKeys = map[string]*meter{}
		}
		t.hotKeys[key] = m
	}
	return m
}

// cool forgets the meters of keys that are full again.
func (t *table) cool(now time.Time, l Limits) {
	if len(t.hotKeys) < maxIdleKeys || now.Sub(t.cooled) < partitionBurst*time.Second {
		return
	}
	t.cooled = now
	for key, m := range t.hotKeys {
		m.read.settle(now, l.keyUnits(false))
		m.write.settle(now, l.keyUnits(true))
		if m.read.spent == 0 && m.write.spent == 0 {
			delete(t.hotKeys, key)
		}
	}
}

// admit returns the error of a request that finds a bucket empty. The lock is
// held.
func (s *Service) admit(t *table, ix *index, key string, write bool, now time.Time) error {
	t.cool(now, s.opts.Limits)
	for _, g := range s.gates(t, ix, key, write) {
		g.b.settle(now, g.rate)
		if g.b.spent >= g.rate*g.burst {
			return s.errThrottled(t, g, write)
		}
	}
	return nil
}

// spend takes what a request used from the buckets that admit looked at.
func (s *Service) spend(u usage, ix *index, key string, now time.Time) {
	for _, g := range s.gates(u.t, ix, key, u.write) {
		units := u.table
		if g.ix != nil {
			units = u.indexes[g.ix]
		} else if ix != nil {
			units = u.total() // a local index draws on its table
		}
		g.b.settle(now, g.rate)
		g.b.spent += units
	}
}

const (
	textTable = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API."
	textIndex = "The level of configured provisioned throughput for one or more global secondary indexes of the table was exceeded. " +
		"Consider increasing your provisioning level for the under-provisioned global secondary indexes with the UpdateTable API"
	textOnDemand = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or index so please try again shortly. " +
		"If exceptions persist, check if you have a hot key: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
)

func (s *Service) errThrottled(t *table, g gate, write bool) error {
	code, text := "ProvisionedThroughputExceededException", textTable
	reason, arn := "Table", s.arn(t)
	units := t.units
	if g.ix != nil {
		reason, arn, text = "Index", s.arn(t, "/index/", g.ix.name), textIndex
		units = g.ix.units
	}
	if units == (throughput{}) {
		code, text = "ThrottlingException", textOnDemand
	}
	if write {
		reason += "Write"
	} else {
		reason += "Read"
	}
	e := api.Errorf(code, "%s", text)
	member := "ThrottlingReasons"
	if code == "ThrottlingException" {
		member = "throttlingReasons" // that error's members are in lower case
	}
	e.Fields = map[string]any{member: []any{map[string]any{"reason": reason + g.limit, "resource": arn}}}
	return e
}

func (l Limits) keyUnits(write bool) float64 {
	if write {
		return float64(l.KeyWriteUnits)
	}
	return float64(l.KeyReadUnits)
}

func (l Limits) onDemandUnits(write bool) float64 {
	if write {
		return float64(l.OnDemandWriteUnits)
	}
	return float64(l.OnDemandReadUnits)
}
