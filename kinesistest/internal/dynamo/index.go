package dynamo

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// An index is a second order over a table's items. It holds the items that
// have all of its key attributes.
type index struct {
	name       string
	key        schema
	local      bool
	projection string   // KEYS_ONLY, INCLUDE or ALL
	include    []string // for INCLUDE
	units      throughput
	names      []string // see shown

	ceiling throughput // OnDemandThroughput; zero is none
	meter   meter

	rows    rows
	late    past      // changes that are not in rows yet, with IndexLag
	readyAt time.Time // CREATING until then
	goneAt  time.Time // DELETING from the request until then; zero if it stays
}

// index takes one element of GlobalSecondaryIndexes, LocalSecondaryIndexes or
// a Create of an update.
func (r *request) index(defs definitions, local bool) *index {
	ix := &index{local: local}
	if ix.name = r.named("IndexName"); ix.name == "" {
		r.required("IndexName")
	}
	ix.key = r.schema(defs)
	if p := r.object("Projection"); p == nil {
		r.required("Projection")
	} else {
		ix.projection = p.enum("ProjectionType", "", "ALL", "INCLUDE", "KEYS_ONLY")
		ix.include = p.strings("NonKeyAttributes")
		r.fail(p.done())
		if len(ix.include) > 0 && ix.projection != "INCLUDE" {
			r.fail(invalidf("ProjectionType is %s, but NonKeyAttributes is specified", ix.projection))
		}
		if len(ix.include) == 0 && ix.projection == "INCLUDE" {
			r.fail(invalidf("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"))
		}
	}
	if ix.projection == "" {
		r.fail(invalidf("Unknown ProjectionType: null"))
	}
	if !local {
		ix.units = r.throughput()
		ix.ceiling, _ = r.ceiling()
		r.ignore("WarmThroughput")
	}
	r.fail(r.done())
	return ix
}

// status is the index's state at the given time.
func (ix *index) status(now time.Time) string {
	switch {
	case !ix.goneAt.IsZero():
		return "DELETING"
	case now.Before(ix.readyAt):
		return "CREATING"
	}
	return "ACTIVE"
}

// readable returns the error of reading an index that is not there yet.
func (ix *index) readable(now time.Time) error {
	if ix.status(now) == "CREATING" {
		return attr.Invalidf("Cannot read from backfilling global secondary index: %s", ix.name)
	}
	return nil
}

// place returns the entry of a table's item in the index.
func (ix *index) place(t *table, it Item) *entry {
	e := ix.key.place(it)
	own := t.key.place(it)
	e.tie = own.id()
	return e
}

// move carries a change of a row into the index. A row that keeps its place,
// as in a renewal, is replaced where it is.
func (ix *index) move(t *table, before, after Item) {
	var from, to *entry
	if before != nil && ix.key.complete(before) {
		from = ix.place(t, before)
	}
	if after != nil && ix.key.complete(after) {
		to = ix.place(t, after)
	}
	if from != nil && (to == nil || from.compare(to) != 0) {
		ix.rows.remove(from)
	}
	if to != nil {
		ix.rows.put(to)
	}
}

// backfill puts the table's items into a new index. Items whose attributes
// have the wrong type stay out.
func (ix *index) backfill(t *table) {
	for _, e := range t.rows {
		if it := e.item; ix.key.complete(it) && ix.key.checkValues(it, Limits{HashKeyBytes: 2048, RangeKeyBytes: 1024}) == nil {
			ix.rows = append(ix.rows, ix.place(t, it))
		}
	}
	slices.SortFunc(ix.rows, (*entry).compare)
}

// check returns the error of storing it, whose attributes may have types or
// values that the index's key cannot.
func (ix *index) check(it Item, update bool, l Limits) error {
	for _, a := range ix.key.attrs() {
		v, ok := it[a.Name]
		switch {
		case !ok:
		case v.Kind() != a.Kind && update:
			return attr.Invalidf("The update expression attempted to update the secondary index key to unsupported type")
		case v.Kind() != a.Kind:
			return invalidf("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", a.Name, a.Kind, v.Kind(), ix.name)
		case v.Text() == "":
			return attr.Invalidf("One or more parameter values are not valid. A value specified for a secondary index key is not supported. "+
				"The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s", wordOf(v), ix.name, a.Name)
		}
	}
	return ix.key.checkSizes(it, l)
}

// visible returns the part of a table's item that the index holds.
func (ix *index) visible(t *table, it Item) Item {
	if ix.projection == "ALL" {
		return it
	}
	return it.Only(ix.shown(t)...)
}

// shown returns the names of the attributes that the index holds, unless it
// holds all. They do not change once the index has a table.
func (ix *index) shown(t *table) []string {
	if ix.names == nil {
		ix.names = slices.Concat(t.key.names(), ix.key.names(), ix.include)
	}
	return ix.names
}

// holds reports whether every item's attribute of that name is in the index.
func (ix *index) holds(t *table, name string) bool {
	return ix.projection == "ALL" || slices.Contains(ix.shown(t), name)
}

// validIn checks an index against its table's key.
func (ix *index) validIn(key schema) error {
	switch {
	case !ix.local:
		return nil
	case key.rng.Name == "":
		return invalidf("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
	case ix.key.rng.Name == "":
		return invalidf("Index KeySchema does not have a range key for index: %s", ix.name)
	case ix.key.hash != key.hash:
		return invalidf("Index KeySchema does not have the same leading hash key as table KeySchema for index: %s. index hash key: %s, table hash key: %s", ix.name, ix.key.hash.Name, key.hash.Name)
	}
	return nil
}

// keyOf returns the attributes that name the item in a read of the table or
// of one of its indexes.
func keyOf(t *table, ix *index, it Item) Item {
	if ix == nil {
		return it.Only(t.key.names()...)
	}
	return it.Only(slices.Concat(t.key.names(), ix.key.names())...)
}
