package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// maxBatchBytes bounds the items that one BatchGetItem returns; the keys
// beyond it come back as unprocessed.
const maxBatchBytes = 16 << 20

var errDoubleKey = attr.Invalidf("Provided list of item keys contains duplicates")

func (s *Service) batchWriteItem(r *request) (any, error) {
	capacity := r.capacity()
	r.ignore("ReturnItemCollectionMetrics")
	tables := r.object("RequestItems")
	if tables == nil || len(tables.fields) == 0 {
		r.fail(constraint(nil, "requestItems", "Member must have length greater than or equal to 1"))
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	writes, err := s.batchOf(r, tables)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, err := s.prepareAll(writes)
	if err != nil {
		return nil, err
	}
	units := map[string]float64{}
	for _, c := range changes {
		s.commit(c)
		units[c.table] += c.units()
	}
	out := map[string]any{"UnprocessedItems": map[string]any{}}
	addConsumed(out, capacity, units)
	return out, nil
}

// batchOf reads the writes of a BatchWriteItem, table by table in order of
// their names.
func (s *Service) batchOf(r *request, tables *request) ([]*write, error) {
	var writes []*write
	for _, given := range slices.Sorted(maps.Keys(tables.fields)) {
		name, err := tableName(s.opts.Identity, given)
		if err != nil {
			return nil, err
		}
		list := tables.objects(given)
		if tables.err == nil && len(list) == 0 {
			return nil, attr.Invalidf("1 validation error detected: Value at 'requestItems.%s.member' failed to satisfy constraint: Member must have length greater than or equal to 1", name)
		}
		for _, sub := range list {
			w := &write{op: r.op, table: name}
			put, del := sub.object("PutRequest"), sub.object("DeleteRequest")
			switch {
			case put != nil && del != nil, put == nil && del == nil && len(sub.fields) == 0:
				return nil, attr.Invalidf("Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest")
			case put != nil:
				w.put, w.key = true, put.needItem("Item")
				sub.fail(put.done())
			case del != nil:
				w.remove, w.key = true, del.needItem("Key")
				sub.fail(del.done())
			}
			if err := sub.done(); err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
	}
	if over(len(writes), s.opts.Limits.BatchWrites) {
		return nil, constraint(fmt.Sprintf("%d requests", len(writes)), "requestItems", fmt.Sprintf("Map value must satisfy constraint: [Member must have length less than or equal to %d, Member must have length greater than or equal to 1]", s.opts.Limits.BatchWrites))
	}
	return writes, tables.done()
}

// prepareAll prepares writes to distinct rows. The lock is held.
func (s *Service) prepareAll(writes []*write) ([]*change, error) {
	now := time.Now()
	seen := map[string]bool{}
	changes := make([]*change, 0, len(writes))
	for _, w := range writes {
		c, err := s.prepare(w, now)
		if err != nil {
			return nil, err
		}
		if id := c.t.rowID(w.key); seen[id] {
			return nil, errDoubleKey
		} else {
			seen[id] = true
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// rowID names a row among all tables.
func (t *table) rowID(key Item) string { return t.name + " " + t.key.place(key).id() }

// addConsumed puts the list of consumed capacities into a response.
func addConsumed(out map[string]any, asked string, units map[string]float64) {
	if asked == "NONE" {
		return
	}
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(units)) {
		list = append(list, consumed(asked, name, units[name]))
	}
	out["ConsumedCapacity"] = list
}

// A batchRead is what a BatchGetItem wants of one table.
type batchRead struct {
	given      string // the table's name as the request gave it
	table      string
	raw        map[string]any // the request's own words, for UnprocessedKeys
	keys       []Item
	rawKeys    []any
	consistent bool
	show       func(Item) Item
}

func (s *Service) batchGetItem(r *request) (any, error) {
	capacity := r.capacity()
	tables := r.object("RequestItems")
	if tables == nil || len(tables.fields) == 0 {
		r.fail(constraint(nil, "requestItems", "Member must have length greater than or equal to 1"))
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	var reads []*batchRead
	total := 0
	for _, given := range slices.Sorted(maps.Keys(tables.fields)) {
		b, err := s.batchReadOf(tables, given)
		if err != nil {
			return nil, err
		}
		total += len(b.keys)
		reads = append(reads, b)
	}
	if over(total, s.opts.Limits.BatchGets) {
		return nil, attr.Invalidf("Too many items requested for the BatchGetItem call")
	}
	return s.batchGet(reads, capacity)
}

func (s *Service) batchReadOf(tables *request, given string) (*batchRead, error) {
	name, err := tableName(s.opts.Identity, given)
	if err != nil {
		return nil, err
	}
	sub := tables.object(given)
	if tables.err != nil {
		return nil, tables.err
	}
	if sub == nil {
		return nil, constraint(nil, "requestItems."+name, "Member must not be null")
	}
	b := &batchRead{given: given, table: name, raw: maps.Clone(sub.fields)}
	b.rawKeys, _ = b.raw["Keys"].([]any)
	for _, k := range sub.objects("Keys") {
		b.keys = append(b.keys, (&request{fields: map[string]any{"Key": k.fields}}).item("Key"))
	}
	if len(b.keys) == 0 {
		sub.fail(constraint(nil, "requestItems."+name+".member.keys", "Member must have length greater than or equal to 1"))
	}
	b.consistent, _ = sub.bool("ConsistentRead")
	b.show = s.shown(sub).Of
	return b, sub.done()
}

func (s *Service) batchGet(reads []*batchRead, capacity string) (any, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	responses, unprocessed, units := map[string]any{}, map[string]any{}, map[string]float64{}
	bytes := 0
	for _, b := range reads {
		t, err := s.open(b.table, now)
		if err != nil {
			return nil, err
		}
		items := []Item{}
		seen := map[string]bool{}
		var left []any
		for i, key := range b.keys {
			if err := t.key.checkKey(key, s.opts.Limits); err != nil {
				return nil, err
			}
			id := t.rowID(key)
			if seen[id] {
				return nil, errDoubleKey
			}
			seen[id] = true
			it := t.get(key)
			if bytes+it.Size() > maxBatchBytes {
				left = append(left, b.rawKeys[i])
				continue
			}
			bytes += it.Size()
			units[b.table] += readUnits(it.Size(), b.consistent)
			if it != nil {
				items = append(items, b.show(it))
			}
		}
		responses[b.given] = items
		if left != nil {
			b.raw["Keys"] = left
			unprocessed[b.given] = b.raw
		}
	}
	out := map[string]any{"Responses": responses, "UnprocessedKeys": unprocessed}
	addConsumed(out, capacity, units)
	return out, nil
}
