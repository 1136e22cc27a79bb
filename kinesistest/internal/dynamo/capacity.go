package dynamo

import (
	"maps"
	"slices"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

const (
	writeUnitBytes = 1 << 10
	readUnitBytes  = 4 << 10
)

// usage is the capacity that a request used of one table.
type usage struct {
	t       *table
	write   bool // write units, else read units
	table   float64
	indexes map[*index]float64
}

func (u *usage) total() float64 {
	n := u.table
	for _, units := range u.indexes {
		n += units
	}
	return n
}

// add counts v, which is of the same table, times times.
func (u *usage) add(v usage, times float64) {
	u.table += v.table * times
	for ix, units := range v.indexes {
		if u.indexes == nil {
			u.indexes = map[*index]float64{}
		}
		u.indexes[ix] += units * times
	}
}

// writeUnits are the units of storing bytes: one for each KiB, and at least one.
func writeUnits(bytes int) float64 {
	return float64(max(1, (bytes+writeUnitBytes-1)/writeUnitBytes))
}

// readUnits are the units of reading bytes: one for each 4 KiB, half of that
// if the read may be stale.
func readUnits(bytes int, consistent bool) float64 {
	units := float64(max(1, (bytes+readUnitBytes-1)/readUnitBytes))
	if !consistent {
		units /= 2
	}
	return units
}

// used returns the write units of a change: those of the larger side in the
// table, and those of every index whose part of the row it changes.
func (c *change) used() usage {
	u := usage{t: c.t, write: true, table: writeUnits(max(c.before.Size(), c.after.Size()))}
	for _, ix := range c.t.indexes {
		if units := ix.used(c.t, c.before, c.after); units > 0 {
			u.add(usage{indexes: map[*index]float64{ix: units}}, 1)
		}
	}
	return u
}

// used returns the write units that a change of a row costs the index: none
// if its part stays, two writes if its place changes.
func (ix *index) used(t *table, before, after Item) float64 {
	was, is := before != nil && ix.key.complete(before), after != nil && ix.key.complete(after)
	if was == is && (!was || ix.sameView(t, before, after)) {
		return 0
	}
	from, to := 0, 0
	if was {
		from = ix.visible(t, before).Size()
	}
	if is {
		to = ix.visible(t, after).Size()
	}
	if was && is && ix.key.sameKey(before, after) {
		return writeUnits(max(from, to))
	}
	units := 0.0
	if was {
		units += writeUnits(from)
	}
	if is {
		units += writeUnits(to)
	}
	return units
}

// sameView reports whether the index holds the same of two versions of a row.
func (ix *index) sameView(t *table, a, b Item) bool {
	if ix.projection == "ALL" {
		return a.Equal(b)
	}
	return !slices.ContainsFunc(ix.shown(t), func(name string) bool { return !attr.Equal(a[name], b[name]) })
}

// sameKey reports whether two items have the same key.
func (k schema) sameKey(a, b Item) bool {
	return !slices.ContainsFunc(k.names(), func(name string) bool { return !attr.Equal(a[name], b[name]) })
}

// consumed returns a ConsumedCapacity in the detail asked for: TOTAL or
// INDEXES.
func (u *usage) consumed(asked string) map[string]any {
	out := map[string]any{"TableName": u.t.name, "CapacityUnits": u.total()}
	if asked != "INDEXES" {
		return out
	}
	out["Table"] = map[string]any{"CapacityUnits": u.table}
	for ix, units := range u.indexes {
		kind := "GlobalSecondaryIndexes"
		if ix.local {
			kind = "LocalSecondaryIndexes"
		}
		list, _ := out[kind].(map[string]any)
		if list == nil {
			list = map[string]any{}
			out[kind] = list
		}
		list[ix.name] = map[string]any{"CapacityUnits": units}
	}
	return out
}

// transacted is consumed for a transaction, which also names the kind of its
// units.
func (u *usage) transacted(asked string) map[string]any {
	out := u.consumed(asked)
	kind := "ReadCapacityUnits"
	if u.write {
		kind = "WriteCapacityUnits"
	}
	out[kind] = out["CapacityUnits"]
	if own, ok := out["Table"].(map[string]any); ok {
		own[kind] = own["CapacityUnits"]
	}
	return out
}

// usages are what a request used, by table.
type usages map[string]*usage

// add counts a usage, times times.
func (us usages) add(u usage, times float64) {
	sum, ok := us[u.t.name]
	if !ok {
		sum = &usage{t: u.t, write: u.write}
		us[u.t.name] = sum
	}
	sum.add(u, times)
}

// report puts the list of consumed capacities into a response, unless it was
// not asked for. form makes an element of it.
func (us usages) report(out map[string]any, asked string, form func(*usage, string) map[string]any) {
	if asked == "NONE" {
		return
	}
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(us)) {
		list = append(list, form(us[name], asked))
	}
	out["ConsumedCapacity"] = list
}

// capacity takes ReturnConsumedCapacity.
func (r *request) capacity() string {
	return r.enum("ReturnConsumedCapacity", "NONE", "INDEXES", "TOTAL", "NONE")
}

// collections are the item collections that writes changed, by table.
type collections map[string][]any

// metrics takes ReturnItemCollectionMetrics: whether they are asked for.
func (r *request) metrics() bool {
	return r.enum("ReturnItemCollectionMetrics", "NONE", "SIZE", "NONE") == "SIZE"
}

// collection returns the ItemCollectionMetrics of a change, nil for a table
// without local indexes, which has no collections.
func (c *change) collection() map[string]any {
	if !slices.ContainsFunc(c.t.indexes, func(ix *index) bool { return ix.local }) {
		return nil
	}
	name := c.t.key.hash.Name
	bytes := 0
	for _, e := range c.t.rows.partition(c.key[name].SortKey()) {
		bytes += e.item.Size()
	}
	gib := bytes >> 30
	return map[string]any{"ItemCollectionKey": Item{name: c.key[name]}, "SizeEstimateRangeGB": []int{gib, gib + 1}}
}

func (cs collections) add(c *change) {
	if m := c.collection(); m != nil {
		cs[c.table] = append(cs[c.table], m)
	}
}

// report puts the metrics into a response that may be about several tables.
func (cs collections) report(out map[string]any, asked bool) {
	if asked && len(cs) > 0 {
		out["ItemCollectionMetrics"] = map[string][]any(cs)
	}
}
