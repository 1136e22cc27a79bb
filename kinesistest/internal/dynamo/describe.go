package dynamo

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// The response shapes of operations on tables, in the service's own names.
type (
	tableDescription struct {
		TableName                 string
		TableArn                  string
		TableId                   string
		TableStatus               string
		CreationDateTime          float64
		AttributeDefinitions      []definition
		KeySchema                 []keyElement
		ItemCount                 int
		TableSizeBytes            int
		ProvisionedThroughput     unitsDescription
		BillingModeSummary        *billing            `json:",omitempty"`
		TableClassSummary         *classSummary       `json:",omitempty"`
		SSEDescription            *sealDescription    `json:",omitempty"`
		OnDemandThroughput        *ceilingDescription `json:",omitempty"`
		GlobalSecondaryIndexes    []indexDescription  `json:",omitempty"`
		LocalSecondaryIndexes     []indexDescription  `json:",omitempty"`
		DeletionProtectionEnabled bool
	}
	definition struct{ AttributeName, AttributeType string }
	keyElement struct{ AttributeName, KeyType string }
	billing    struct {
		BillingMode                       string
		LastUpdateToPayPerRequestDateTime float64 `json:",omitempty"`
	}
	classSummary    struct{ TableClass string }
	sealDescription struct{ Status, SSEType, KMSMasterKeyArn string }
	// -1 is no bound.
	ceilingDescription struct{ MaxReadRequestUnits, MaxWriteRequestUnits int }
	unitsDescription   struct {
		ReadCapacityUnits, WriteCapacityUnits, NumberOfDecreasesToday int

		LastIncreaseDateTime float64 `json:",omitempty"`
		LastDecreaseDateTime float64 `json:",omitempty"`
	}
	indexDescription struct {
		IndexName             string
		IndexArn              string
		IndexStatus           string `json:",omitempty"`
		Backfilling           bool   `json:",omitempty"`
		KeySchema             []keyElement
		Projection            projectionDescription
		ItemCount             int
		IndexSizeBytes        int
		ProvisionedThroughput *unitsDescription   `json:",omitempty"`
		OnDemandThroughput    *ceilingDescription `json:",omitempty"`
	}
	projectionDescription struct {
		ProjectionType   string
		NonKeyAttributes []string `json:",omitempty"`
	}
)

// describe returns the description of t at the given time.
func (s *Service) describe(t *table, now time.Time) *tableDescription {
	d := &tableDescription{
		TableName:                 t.name,
		TableArn:                  s.arn(t),
		TableId:                   t.id,
		TableStatus:               t.status(now),
		CreationDateTime:          seconds(t.created),
		KeySchema:                 t.key.describe(),
		ItemCount:                 len(t.rows),
		TableSizeBytes:            t.rows.bytes(func(it Item) Item { return it }),
		ProvisionedThroughput:     t.units.describe(),
		DeletionProtectionEnabled: t.guarded,
	}
	for _, name := range slices.Sorted(maps.Keys(t.defs)) {
		d.AttributeDefinitions = append(d.AttributeDefinitions, definition{name, string(t.defs[name])})
	}
	if t.units == (throughput{}) {
		d.BillingModeSummary = &billing{"PAY_PER_REQUEST", seconds(t.billedAt)}
	} else if !t.billedAt.IsZero() {
		d.BillingModeSummary = &billing{"PROVISIONED", seconds(t.billedAt)}
	}
	d.ProvisionedThroughput.NumberOfDecreasesToday = t.changed.on(now)
	d.ProvisionedThroughput.LastIncreaseDateTime = seconds(t.changed.raised)
	d.ProvisionedThroughput.LastDecreaseDateTime = seconds(t.changed.lowered)
	d.OnDemandThroughput = t.ceiling.ceiling()
	d.SSEDescription = s.describeSeal(t.sealed)
	if t.class != "" {
		d.TableClassSummary = &classSummary{t.class}
	}
	for _, ix := range t.indexes {
		if id := s.describeIndex(t, ix, now); ix.local {
			d.LocalSecondaryIndexes = append(d.LocalSecondaryIndexes, id)
		} else {
			d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, id)
		}
	}
	return d
}

func (s *Service) describeIndex(t *table, ix *index, now time.Time) indexDescription {
	d := indexDescription{
		IndexName:      ix.name,
		IndexArn:       s.arn(t, "/index/", ix.name),
		KeySchema:      ix.key.describe(),
		Projection:     projectionDescription{ix.projection, ix.include},
		ItemCount:      len(ix.rows),
		IndexSizeBytes: ix.rows.bytes(func(it Item) Item { return ix.visible(t, it) }),
	}
	if !ix.local {
		units := ix.units.describe()
		d.ProvisionedThroughput = &units
		d.OnDemandThroughput = ix.ceiling.ceiling()
		d.IndexStatus = ix.status(now)
		d.Backfilling = d.IndexStatus == "CREATING" && t.status(now) != "CREATING"
	}
	return d
}

func (k schema) describe() []keyElement {
	elements := []keyElement{{k.hash.Name, "HASH"}}
	if k.rng.Name != "" {
		elements = append(elements, keyElement{k.rng.Name, "RANGE"})
	}
	return elements
}

func (u throughput) describe() unitsDescription {
	return unitsDescription{ReadCapacityUnits: u.read, WriteCapacityUnits: u.write}
}

// ceiling describes an OnDemandThroughput, nil if there is none.
func (u throughput) ceiling() *ceilingDescription {
	if u == (throughput{}) {
		return nil
	}
	d := &ceilingDescription{u.read, u.write}
	if u.read == 0 {
		d.MaxReadRequestUnits = -1
	}
	if u.write == 0 {
		d.MaxWriteRequestUnits = -1
	}
	return d
}

// describeSeal describes the key of a table, nil for the one that AWS owns.
func (s *Service) describeSeal(k seal) *sealDescription {
	switch {
	case k.key == "":
		return nil
	case strings.HasPrefix(k.key, "arn:"):
		return &sealDescription{"ENABLED", "KMS", k.key}
	case strings.HasPrefix(k.key, "alias/"):
		return &sealDescription{"ENABLED", "KMS", s.opts.Identity.ARN("kms", k.key)}
	}
	return &sealDescription{"ENABLED", "KMS", s.opts.Identity.ARN("kms", "key/"+k.key)}
}

// seconds is a time as the JSON protocol writes it, 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
