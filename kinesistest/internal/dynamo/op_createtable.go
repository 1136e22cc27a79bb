package dynamo

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

const (
	maxGlobalIndexes = 20
	maxLocalIndexes  = 5
	maxTags          = 50
)

func (s *Service) createTable(r *request) (any, error) {
	now := s.now()
	t := &table{name: r.table(s.opts.Identity), created: now, readyAt: now.Add(s.opts.CreateTable)}
	if !r.has("AttributeDefinitions") {
		r.required("AttributeDefinitions")
	}
	t.defs = r.definitions()
	t.key = r.schema(t.defs)
	t.units = r.billing("PROVISIONED")
	t.guarded, _ = r.bool("DeletionProtectionEnabled")
	t.class = r.enum("TableClass", "", "STANDARD", "STANDARD_INFREQUENT_ACCESS")
	t.tags = r.tags()
	r.noStream()
	t.sealed, _ = r.sealed()
	t.ceiling, _ = r.ceiling()
	r.ignore("WarmThroughput")
	t.indexes = append(r.indexes("GlobalSecondaryIndexes", t, maxGlobalIndexes), r.indexes("LocalSecondaryIndexes", t, maxLocalIndexes)...)
	if err := r.done(); err != nil {
		return nil, err
	}
	if err := t.validate(); err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(now)
	if old, exists := s.tables[t.name]; exists {
		if !old.goneAt.IsZero() {
			return nil, errInUse("Attempt to change a resource which is still in use: Table is being deleted: %s", t.name)
		}
		return nil, errInUse("Table already exists: %s", t.name)
	}
	t.id = s.newID(t.name)
	s.tables[t.name] = t
	d := s.describe(t, now)
	d.TableStatus = "CREATING"
	for i := range d.GlobalSecondaryIndexes {
		d.GlobalSecondaryIndexes[i].IndexStatus = "CREATING"
		d.GlobalSecondaryIndexes[i].Backfilling = false
	}
	return map[string]any{"TableDescription": d}, nil
}

// newID returns an identifier in the shape of a UUID, the same for the same
// table of the same history.
func (s *Service) newID(name string) string {
	s.made++
	h := spotOf(fmt.Sprintf("%s %d", name, s.made))
	low := spotOf(fmt.Sprint(h))
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", h>>32, h>>16&0xffff, h&0xfff, low>>48&0xfff, low&0xffffffffffff)
}

// billing takes BillingMode and ProvisionedThroughput, whose zero means on
// demand. mode is what an absent BillingMode means.
func (r *request) billing(mode string) throughput {
	mode = r.enum("BillingMode", mode, "PROVISIONED", "PAY_PER_REQUEST")
	units := r.throughput()
	switch {
	case mode == "PROVISIONED" && units == (throughput{}):
		r.fail(invalidf("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"))
	case mode == "PAY_PER_REQUEST" && units != (throughput{}):
		r.fail(invalidf("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"))
	}
	return units
}

// noStream refuses a table with a stream, and takes one without.
func (r *request) noStream() {
	sub := r.object("StreamSpecification")
	if sub == nil {
		return
	}
	on, _ := sub.bool("StreamEnabled")
	if on {
		r.fail(attr.Invalidf("%s: not implemented by this server: StreamSpecification.StreamEnabled", r.op))
	}
	r.fail(sub.done())
}

func errTags(n int) error {
	return invalidf("a resource can have at most %d tags, not %d", maxTags, n)
}

// tags takes Tags.
func (r *request) tags() map[string]string {
	tags := map[string]string{}
	for _, sub := range r.objects("Tags") {
		key, ok := sub.str("Key")
		value, valued := sub.str("Value")
		if !ok {
			sub.required("Key")
		}
		if !valued {
			sub.required("Value")
		}
		sub.length(key, utf8.RuneCountInString(key), "Key", 1, 128)
		sub.length(value, utf8.RuneCountInString(value), "Value", 0, 256)
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			r.fail(invalidf("Tag keys cannot begin with aws: %s", key))
		}
		if _, twice := tags[key]; twice {
			r.fail(invalidf("Duplicate tag key: %s", key))
		}
		tags[key] = value
		r.fail(sub.done())
	}
	if len(tags) > maxTags {
		r.fail(errTags(len(tags)))
	}
	return tags
}

// indexes takes the definitions of a table's global or local indexes.
func (r *request) indexes(member string, t *table, most int) []*index {
	if !r.has(member) {
		return nil
	}
	subs := r.objects(member)
	if len(subs) == 0 {
		r.fail(invalidf("List of %s is empty", member))
	}
	if len(subs) > most {
		r.fail(errIndexes(member, most))
		return nil
	}
	list := make([]*index, 0, len(subs))
	for _, sub := range subs {
		ix := sub.index(t.defs, member == "LocalSecondaryIndexes")
		ix.readyAt = t.readyAt
		list = append(list, ix)
		r.fail(sub.err)
	}
	return list
}

func errIndexes(member string, most int) error {
	if member == "LocalSecondaryIndexes" {
		return invalidf("Number of LocalSecondaryIndexes exceeds per-table limit of %d", most)
	}
	return invalidf("GlobalSecondaryIndex count exceeds the per-table limit of %d", most)
}

// validate checks what the parts of a new table ask of each other.
func (t *table) validate() error {
	if len(t.indexes) == 0 && len(t.defs) != len(t.key.attrs()) {
		return invalidf("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	if err := t.defs.covered(t.keys()); err != nil {
		return err
	}
	for i, ix := range t.indexes {
		if slices.ContainsFunc(t.indexes[:i], func(o *index) bool { return o.name == ix.name }) {
			return invalidf("Duplicate index name: %s", ix.name)
		}
		if err := ix.validIn(t.key); err != nil {
			return err
		}
		if err := t.checkUnits(ix); err != nil {
			return err
		}
	}
	return nil
}

// checkUnits checks that an index is billed as its table is.
func (t *table) checkUnits(ix *index) error {
	onDemand := t.units == throughput{}
	switch {
	case ix.local:
	case onDemand && ix.units != (throughput{}):
		return invalidf("ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", ix.name)
	case !onDemand && ix.units == (throughput{}):
		return invalidf("ProvisionedThroughput must be specified for index: %s", ix.name)
	}
	return nil
}
