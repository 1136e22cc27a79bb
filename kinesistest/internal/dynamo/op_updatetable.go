package dynamo

import (
	"maps"
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// An alteration is what an UpdateTable asks for.
type alteration struct {
	defs    definitions
	mode    string // BillingMode, "" if it stays
	units   throughput
	ceiling throughput
	capped  bool // ceiling is given
	sealed  seal
	sealing bool // sealed is given
	guarded *bool
	class   string
	creates []*request
	updates []*request
	deletes []string
}

func (s *Service) updateTable(r *request) (any, error) {
	name := r.table(s.opts.Identity)
	a := r.alteration()
	return s.withTable(r, name, func(t *table, now time.Time) (any, error) {
		if status := t.status(now); status != "ACTIVE" {
			return nil, errInUse("Attempt to change a resource which is still in use: Table is being %s: %s", pastOf(status), name)
		}
		if online := len(a.creates) + len(a.deletes); online > 1 || online == 1 && t.indexing(now) {
			return nil, api.Errorf("LimitExceededException", "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
		}
		d, err := s.alter(t, a, now)
		if err != nil {
			return nil, err
		}
		return map[string]any{"TableDescription": d}, nil
	})
}

// indexing reports whether an index is being created or deleted.
func (t *table) indexing(now time.Time) bool {
	return slices.ContainsFunc(t.indexes, func(ix *index) bool { return ix.status(now) != "ACTIVE" })
}

func (r *request) alteration() *alteration {
	a := &alteration{defs: r.definitions()}
	a.mode = r.enum("BillingMode", "", "PROVISIONED", "PAY_PER_REQUEST")
	a.units = r.throughput()
	if v, ok := r.bool("DeletionProtectionEnabled"); ok {
		a.guarded = &v
	}
	a.class = r.enum("TableClass", "", "STANDARD", "STANDARD_INFREQUENT_ACCESS")
	r.noStream()
	a.sealed, a.sealing = r.sealed()
	a.ceiling, a.capped = r.ceiling()
	r.ignore("WarmThroughput")
	for _, sub := range r.objects("GlobalSecondaryIndexUpdates") {
		kinds := 0
		if c := sub.object("Create"); c != nil {
			a.creates, kinds = append(a.creates, c), kinds+1
		}
		if u := sub.object("Update"); u != nil {
			a.updates, kinds = append(a.updates, u), kinds+1
		}
		if d := sub.object("Delete"); d != nil {
			name, _ := d.str("IndexName")
			a.deletes, kinds = append(a.deletes, name), kinds+1
			r.fail(d.done())
		}
		r.fail(sub.done())
		if kinds != 1 {
			r.fail(invalidf("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null"))
		}
	}
	if a.mode == "" && a.units == (throughput{}) && a.guarded == nil && a.class == "" && !a.sealing && !a.capped && len(a.creates)+len(a.updates)+len(a.deletes) == 0 {
		r.fail(attr.Invalidf("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"))
	}
	return a
}

// A revision is an alteration that was checked against its table.
type revision struct {
	*alteration
	units   throughput // of the table, zero for on demand
	defs    definitions
	created *index
	deleted *index
	indexes map[*index]indexUnits
}

// indexUnits is the throughput of an index. Zero leaves what it has.
type indexUnits struct{ units, ceiling throughput }

// revise checks the whole of a.
func (t *table) revise(a *alteration, now time.Time) (r revision, err error) {
	r.alteration = a
	if r.units, err = t.billed(a); err != nil {
		return r, err
	}
	if r.created, r.defs, err = t.newIndex(a); err != nil {
		return r, err
	}
	if r.created != nil {
		if err := (&table{units: r.units}).checkUnits(r.created); err != nil {
			return r, err
		}
	}
	if r.indexes, err = t.unitsOf(a); err != nil {
		return r, err
	}
	for _, name := range a.deletes {
		ix, ok := t.index(name)
		if !ok || ix.local {
			return r, api.Errorf("ResourceNotFoundException", "Requested resource not found: Index: %s not found", name)
		}
		r.deleted = ix
	}
	for _, ix := range t.indexes {
		bare := ix.units == (throughput{}) && r.indexes[ix].units == (throughput{})
		if r.units != (throughput{}) && !ix.local && bare && ix != r.deleted {
			return r, invalidf("ProvisionedThroughput must be specified for index: %s", ix.name)
		}
	}
	return r, t.changed.check(t, r.units, now)
}

// alter checks the whole alteration, then applies it, and describes t in the
// middle of the change.
func (s *Service) alter(t *table, a *alteration, now time.Time) (*tableDescription, error) {
	r, err := t.revise(a, now)
	if err != nil {
		return nil, err
	}
	until := now.Add(s.opts.CreateIndex)
	if r.units == (throughput{}) && t.units != r.units {
		t.billedAt = now
		for _, ix := range t.indexes {
			ix.units = throughput{}
		}
	}
	t.changed.note(t.units, r.units, now)
	t.units, t.defs, t.updatedAt = r.units, r.defs, until
	for ix, u := range r.indexes {
		if u.units != (throughput{}) {
			ix.units = u.units
		}
		if u.ceiling != (throughput{}) {
			ix.ceiling = u.ceiling
		}
	}
	if a.guarded != nil {
		t.guarded = *a.guarded
	}
	if a.class != "" {
		t.class = a.class
	}
	if a.sealing {
		t.sealed = a.sealed
	}
	if a.capped {
		t.ceiling = a.ceiling
	}
	if r.created != nil {
		r.created.readyAt = until
		r.created.backfill(t)
		t.indexes = append(t.indexes, r.created)
	}
	if r.deleted != nil {
		r.deleted.goneAt = until
	}
	return s.describeChange(t, r.created, now), nil
}

// describeChange describes t as it is while the change goes on, also where
// the change takes no time.
func (s *Service) describeChange(t *table, created *index, now time.Time) *tableDescription {
	d := s.describe(t, now)
	d.TableStatus = "UPDATING"
	for i := range d.GlobalSecondaryIndexes {
		if created != nil && d.GlobalSecondaryIndexes[i].IndexName == created.name {
			d.GlobalSecondaryIndexes[i].IndexStatus = "CREATING"
			d.GlobalSecondaryIndexes[i].Backfilling = false
		}
	}
	return d
}

// billed returns the table's throughput after a, zero for on demand.
func (t *table) billed(a *alteration) (throughput, error) {
	mode := a.mode
	if mode == "" {
		mode = "PROVISIONED"
		if t.units == (throughput{}) {
			mode = "PAY_PER_REQUEST"
		}
	}
	switch {
	case mode == "PAY_PER_REQUEST" && a.units != (throughput{}):
		return throughput{}, invalidf("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case mode == "PAY_PER_REQUEST":
		return throughput{}, nil
	case a.units != (throughput{}) && a.units == t.units:
		return throughput{}, errSameUnits("table", a.units)
	case a.units != (throughput{}):
		return a.units, nil
	case t.units == (throughput{}):
		return throughput{}, invalidf("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	}
	return t.units, nil
}

// newIndex returns the index that a creates, if any, and the definitions of
// attributes with a's added.
func (t *table) newIndex(a *alteration) (*index, definitions, error) {
	defs := maps.Clone(t.defs)
	for name, kind := range a.defs {
		if old, ok := defs[name]; ok && old != kind {
			return nil, nil, invalidf("Cannot redefine attribute: %s", name)
		}
		defs[name] = kind
	}
	keys := t.keys()
	global := len(a.creates)
	for _, ix := range t.indexes {
		if !ix.local {
			global++
		}
	}
	if global > maxGlobalIndexes {
		return nil, nil, invalidf("GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	}
	var created *index
	for _, r := range a.creates {
		created = r.index(defs, false)
		if r.err != nil {
			return nil, nil, r.err
		}
		if _, exists := t.index(created.name); exists {
			return nil, nil, api.Errorf("ValidationException", "Attempting to create an index which already exists")
		}
		keys = append(keys, created.key)
	}
	return created, defs, defs.covered(keys)
}

// unitsOf returns the new throughput of the indexes that a updates.
func (t *table) unitsOf(a *alteration) (map[*index]indexUnits, error) {
	units := map[*index]indexUnits{}
	for _, r := range a.updates {
		name, _ := r.str("IndexName")
		var u indexUnits
		u.units = r.throughput()
		var capped bool
		u.ceiling, capped = r.ceiling()
		warm := r.has("WarmThroughput")
		r.ignore("WarmThroughput")
		if err := r.done(); err != nil {
			return nil, err
		}
		ix, ok := t.index(name)
		if !ok || ix.local {
			return nil, api.Errorf("ResourceNotFoundException", "Requested resource not found: Index: %s not found", name)
		}
		if u.units == (throughput{}) && !capped && !warm {
			return nil, attr.Invalidf("ProvisionedThroughput must be specified for index: %s", name)
		}
		if _, twice := units[ix]; twice {
			return nil, invalidf("Only one global secondary index update per index is allowed simultaneously. Index: %s", name)
		}
		if u.units != (throughput{}) && u.units == ix.units {
			return nil, errSameUnits("global secondary index: "+name, u.units)
		}
		units[ix] = u
	}
	return units, nil
}

func errSameUnits(of string, u throughput) error {
	return attr.Invalidf("The provisioned throughput for the %[1]s will not change. The requested value equals the current value. "+
		"Current ReadCapacityUnits provisioned for the %[1]s: %[2]d. Requested ReadCapacityUnits: %[2]d. "+
		"Current WriteCapacityUnits provisioned for the %[1]s: %[3]d. Requested WriteCapacityUnits: %[3]d. "+
		"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.", of, u.read, u.write)
}
