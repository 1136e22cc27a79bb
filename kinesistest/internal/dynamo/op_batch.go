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
	capacity, metrics := r.capacity(), r.metrics()
	tables := r.object("RequestItems")
	if tables == nil || len(tables.fields) == 0 {
		r.fail(emptyBatch(tables))
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
	now := s.now()
	changes, err := s.prepareAll(writes, now)
	if err != nil {
		return nil, err
	}
	used, groups, left := usages{}, collections{}, map[string][]any{}
	var refused error
	for i, c := range changes {
		if err := s.admit(c.t, nil, c.hash(), true, now); err != nil {
			refused = err
			left[writes[i].given] = append(left[writes[i].given], writes[i].unprocessed())
			continue
		}
		u := c.used()
		s.spend(u, nil, c.hash(), now)
		s.commit(c, now)
		used.add(u, 1)
		groups.add(c)
	}
	if len(used) == 0 {
		return nil, refused
	}
	out := map[string]any{"UnprocessedItems": left}
	used.report(out, capacity, (*usage).consumed)
	groups.report(out, metrics)
	return out, nil
}

func emptyBatch(tables *request) error {
	if tables == nil {
		return constraint(nil, "requestItems", "Member must not be null")
	}
	return attr.Invalidf("1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
}

// A batchWrite is one element of a BatchWriteItem.
type batchWrite struct {
	*write
	given string // the table's name as the request gave it
}

// unprocessed returns the element for another request.
func (w *batchWrite) unprocessed() any {
	if w.put {
		return map[string]any{"PutRequest": map[string]any{"Item": w.key}}
	}
	return map[string]any{"DeleteRequest": map[string]any{"Key": w.key}}
}

// batchOf reads the writes of a BatchWriteItem, table by table in order of
// their names.
func (s *Service) batchOf(r *request, tables *request) ([]*batchWrite, error) {
	var writes []*batchWrite
	for _, given := range slices.Sorted(maps.Keys(tables.fields)) {
		name, err := tableName(s.opts.Identity, given)
		if err != nil {
			return nil, err
		}
		list := tables.objects(given)
		for i, sub := range list {
			sub.path = fmt.Sprintf("requestItems.%s.member.%d.member.", given, i+1)
		}
		if tables.err == nil && len(list) == 0 {
			return nil, attr.Invalidf("1 validation error detected: Value at 'requestItems.%s.member' failed to satisfy constraint: Member must have length greater than or equal to 1", name)
		}
		if most := s.opts.Limits.BatchWrites; over(len(list), most) {
			return nil, constraint(fmt.Sprintf("%d requests", len(list)), "requestItems", fmt.Sprintf("Map value must satisfy constraint: [Member must have length less than or equal to %d, Member must have length greater than or equal to 1]", most))
		}
		for _, sub := range list {
			w := &write{op: r.op, client: r.client, table: name}
			one := &batchWrite{w, given}
			put, del := sub.object("PutRequest"), sub.object("DeleteRequest")
			switch {
			case put != nil && del != nil:
				return nil, attr.Invalidf("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
			case put == nil && del == nil && len(sub.fields) == 0:
				return nil, attr.Invalidf("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
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
			writes = append(writes, one)
		}
	}
	if over(len(writes), s.opts.Limits.BatchWrites) {
		return nil, attr.Invalidf("Too many items requested for the BatchWriteItem call")
	}
	return writes, tables.done()
}

// prepareAll prepares writes to distinct rows. The lock is held.
func (s *Service) prepareAll(writes []*batchWrite, now time.Time) ([]*change, error) {
	seen := map[string]bool{}
	changes := make([]*change, 0, len(writes))
	bytes := 0
	for _, w := range writes {
		if t, err := s.open(w.table, now); err == nil && w.put && !t.key.complete(w.key) {
			return nil, errKeyShape
		}
		c, err := s.prepare(w.write, now)
		if err != nil {
			return nil, err
		}
		id := c.t.rowID(w.key)
		if seen[id] {
			return nil, errDoubleKey
		}
		seen[id] = true
		if bytes += w.key.Size(); bytes > maxBatchBytes {
			return nil, attr.Invalidf("The request is larger than %d MB", maxBatchBytes>>20)
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// rowID names a row among all tables.
func (t *table) rowID(key Item) string { return t.name + " " + t.key.place(key).id() }

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
		r.fail(emptyBatch(tables))
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
	sub := tables.entry(given)
	if tables.err != nil {
		return nil, tables.err
	}
	if sub == nil {
		return nil, constraint(nil, "requestItems."+name+".member", "Member must not be null")
	}
	b := &batchRead{given: given, table: name, raw: maps.Clone(sub.fields)}
	b.rawKeys, _ = b.raw["Keys"].([]any)
	for _, k := range b.rawKeys {
		key, err := attr.DecodeItem(k)
		sub.fail(err)
		b.keys = append(b.keys, key)
	}
	sub.list("Keys")
	if most := s.opts.Limits.BatchGets; over(len(b.keys), most) {
		sub.fail(constraint(fmt.Sprintf("%d keys", len(b.keys)), "requestItems."+name+".member.keys", fmt.Sprintf("Member must have length less than or equal to %d", most)))
	}
	if len(b.keys) == 0 {
		sub.fail(constraint(nil, "requestItems."+name+".member.keys", "Member must have length greater than or equal to 1"))
	}
	b.consistent, _ = sub.bool("ConsistentRead")
	b.show = s.shown(sub).Of
	return b, sub.done()
}

func (s *Service) batchGet(reads []*batchRead, capacity string) (any, error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range reads {
		if err := s.checkRead(b, now); err != nil {
			return nil, err
		}
	}
	responses, unprocessed, used := map[string]any{}, map[string]any{}, usages{}
	var refused error
	bytes := 0
	for _, b := range reads {
		items := []Item{}
		var left []any
		for i, key := range b.keys {
			if bytes > maxBatchBytes {
				left = append(left, b.rawKeys[i])
				continue
			}
			it, u, err := s.read(b.table, key, b.consistent, 1, now)
			if err != nil {
				refused = err
				left = append(left, b.rawKeys[i])
				continue
			}
			used.add(u, 1)
			if bytes += it.Size(); bytes > maxBatchBytes {
				left = append(left, b.rawKeys[i])
			} else if it != nil {
				items = append(items, b.show(it))
			}
		}
		responses[b.given] = items
		if left != nil {
			b.raw["Keys"] = left
			unprocessed[b.given] = b.raw
		}
	}
	if len(used) == 0 {
		return nil, refused
	}
	out := map[string]any{"Responses": responses, "UnprocessedKeys": unprocessed}
	used.report(out, capacity, (*usage).consumed)
	return out, nil
}

// checkRead checks the keys that a batch wants of one table. The lock is held.
func (s *Service) checkRead(b *batchRead, now time.Time) error {
	t, err := s.open(b.table, now)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, key := range b.keys {
		if err := t.key.checkKey(key, s.opts.Limits); err != nil {
			return err
		}
		id := t.rowID(key)
		if seen[id] {
			return errDoubleKey
		}
		seen[id] = true
	}
	return nil
}
