package dynamo

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

// A reading is what Query and Scan share: where to read, from which key on,
// how much, and what to show.
type reading struct {
	table, indexName string
	consistent       bool
	limit            int  // of items read; 0 is no limit
	start            Item // ExclusiveStartKey
	query            bool // else a scan
	legacy           bool // has no expressions
	want             string
	filter           *expr.Condition
	projection       expr.Projection
	capacity         string

	// Filled in once the table is known.
	t   *table
	ix  *index // nil: the table itself
	key schema
	now time.Time
}

// reading takes the members that Query and Scan share, except expressions.
func (s *Service) reading(r *request) *reading {
	rd := &reading{table: r.table(s.opts.Identity), query: r.op == "Query"}
	rd.indexName = r.named("IndexName")
	rd.consistent, _ = r.bool("ConsistentRead")
	rd.limit, _ = r.number("Limit", 1)
	rd.start = r.startKey()
	rd.want = r.enum("Select", "", "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
	rd.capacity = r.capacity()
	shown, member := r.has("ProjectionExpression"), "ProjectionExpression"
	if !shown && r.has("AttributesToGet") {
		shown, member = true, "AttributesToGet"
	}
	switch {
	case shown && rd.want != "" && rd.want != "SPECIFIC_ATTRIBUTES":
		r.fail(attr.Invalidf("Cannot specify the %s when choosing to get %s", member, rd.want))
	case !shown && rd.want == "SPECIFIC_ATTRIBUTES":
		r.fail(attr.Invalidf("Must specify the ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"))
	case rd.want == "ALL_PROJECTED_ATTRIBUTES" && rd.indexName == "":
		r.fail(invalidf("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"))
	}
	return rd
}

// startKey takes ExclusiveStartKey; nil if it is absent.
func (r *request) startKey() Item {
	j, ok := r.take("ExclusiveStartKey")
	if !ok {
		return nil
	}
	it, err := attr.DecodeItem(j)
	if err != nil && asAPI(err).Code == "ValidationException" {
		err = errStart(err)
	}
	r.fail(err)
	return it
}

// errStart returns the fault of a start key that err found.
func errStart(err error) error {
	return attr.Invalidf("The provided starting key is invalid: %s", asAPI(err).Message)
}

// conditions takes the expressions of a read, or their legacy forms: its
// filter, its projection, and for a query the condition on its key.
func (rd *reading) conditions(s *Service, r *request, filter string) (key *expr.Condition) {
	legacy := []string{"AttributesToGet", "KeyConditions", filter, "ConditionalOperator"}
	expressions := []string{"FilterExpression", "KeyConditionExpression", "ProjectionExpression"}
	if filter == "ScanFilter" {
		legacy, expressions = slices.Delete(legacy, 1, 2), slices.Delete(expressions, 1, 2)
	}
	r.mixed(legacy, expressions)
	old := slices.ContainsFunc(legacy, r.has)
	rd.legacy = old
	p := r.params(s, len(expressions)-1, expressions...)
	if old {
		rd.projection = r.attributesToGet()
		if filter == "QueryFilter" {
			key = r.keyConditions()
		}
		rd.filter = r.joined(r.legacyFilter(filter))
		return key
	}
	rd.filter = r.condition("FilterExpression", p)
	rd.projection = r.projection(p)
	if filter == "QueryFilter" {
		key = r.condition("KeyConditionExpression", p)
	}
	r.used(p)
	return key
}

// open finds the table and index. The lock is held.
func (rd *reading) open(s *Service, now time.Time) (err error) {
	if rd.t, err = s.open(rd.table, now); err != nil {
		return err
	}
	rd.key, rd.now = rd.t.key, now
	if rd.indexName == "" {
		return nil
	}
	ix, ok := rd.t.index(rd.indexName)
	if !ok || ix.status(now) == "DELETING" {
		return attr.Invalidf("The table does not have the specified index: %s", rd.indexName)
	}
	rd.ix, rd.key = ix, ix.key
	if !ix.local {
		switch {
		case rd.consistent:
			return attr.Invalidf("Consistent reads are not supported on global secondary indexes")
		case rd.want == "ALL_ATTRIBUTES" && ix.projection != "ALL":
			return invalidf("Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", ix.name)
		}
		for _, p := range rd.projection {
			if !ix.holds(rd.t, p.Root()) {
				return invalidf("Global secondary index %s does not project [%s]", ix.name, p.Root())
			}
		}
	}
	return ix.readable(now)
}

// rows returns the entries of the table or index, of the past where an
// eventually consistent read meets them so. A global index has its own lag.
func (rd *reading) rows(s *Service) rows {
	if rd.ix != nil && !rd.ix.local {
		return rd.ix.rows
	}
	if rd.consistent || !s.stale() {
		if rd.ix != nil {
			return rd.ix.rows
		}
		return rd.t.rows
	}
	old := rd.t.past.rows(rd.t, rd.now.Add(-s.opts.ReadLag))
	if rd.ix != nil {
		return rd.ix.of(rd.t, old)
	}
	return old
}

// from returns the entry that the start key names, nil if there is none.
func (rd *reading) from(l Limits) (*entry, error) {
	if rd.start == nil {
		return nil, nil
	}
	names := rd.t.key.names()
	if rd.ix != nil {
		names = append(names, rd.ix.key.names()...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	count, kinds := errStart(errKeyShape), errStart(errKeyShape)
	if rd.query {
		count, kinds = attr.Invalidf("The provided starting key is invalid"), errKeyShape
	}
	switch {
	case len(rd.start) != len(names):
		return nil, count
	case !rd.t.key.complete(rd.start) || !rd.key.complete(rd.start):
		return nil, kinds
	}
	for _, key := range []schema{rd.t.key, rd.key} {
		if err := key.checkValues(rd.start, l); err != nil {
			return nil, errStart(err)
		}
	}
	if rd.ix != nil {
		return rd.ix.place(rd.t, rd.start), nil
	}
	return rd.t.key.place(rd.start), nil
}

// view returns what a filter and a projection may see of an item.
func (rd *reading) view(it Item) Item {
	if rd.ix == nil || rd.ix.local && (rd.want == "ALL_ATTRIBUTES" || rd.projection != nil) {
		return it
	}
	return rd.ix.visible(rd.t, it)
}

// page reads entries up to the limits and returns the response. It stops
// before the item that would exceed a page's bytes, but reads at least one.
func (rd *reading) page(s *Service, entries func(yield func(*entry) bool), hash string) map[string]any {
	var items []Item
	count, scanned, bytes := 0, 0, 0
	var last Item
	more := false
	for e := range entries {
		it := rd.view(e.item)
		n := it.Size()
		if scanned > 0 && over(bytes+n, s.opts.Limits.PageBytes) {
			more = true
			break
		}
		scanned, bytes, last = scanned+1, bytes+n, e.item
		if rd.filter.Holds(it) {
			count++
			if rd.want != "COUNT" {
				items = append(items, rd.projection.Of(it))
			}
		}
		if scanned == rd.limit {
			more = true
			break
		}
	}
	out := map[string]any{"Count": count, "ScannedCount": scanned}
	if rd.want != "COUNT" {
		out["Items"] = append([]Item{}, items...)
	}
	if more {
		out["LastEvaluatedKey"] = keyOf(rd.t, rd.ix, last)
	}
	u := usage{t: rd.t, table: readUnits(bytes, rd.consistent)}
	if rd.ix != nil {
		u.indexes, u.table = map[*index]float64{rd.ix: u.table}, 0
	}
	s.spend(u, rd.ix, hash, rd.now)
	if rd.capacity != "NONE" {
		out["ConsumedCapacity"] = u.consumed(rd.capacity)
	}
	return out
}
