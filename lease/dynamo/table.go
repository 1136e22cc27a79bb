package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/lease"
)

const indexName = "LeaseOwnerToLeaseKeyIndex"

// indexState is what is known of the index.
type indexState struct {
	present bool // when the table was described last
	usable  bool
	checked time.Time
}

// indexCheck is how often an index that cannot be used is looked at.
const indexCheck = 5 * time.Second

// A table that is being created is looked at after pollFirst, then after twice
// as long each time, up to pollMost.
const (
	pollFirst = 20 * time.Millisecond
	pollMost  = time.Second
)

// Open implements [lease.Store]: it finds out which tables there are, creates the
// lease table with its index if there is none, and waits until it is active.
func (s *Store) Open(ctx context.Context) error {
	timeout := s.options.CreateTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("dynamo: table %s is not ready after %v", s.table, timeout))
	defer cancel()
	if err := s.awaitLayout(ctx); err != nil {
		return err
	}
	if err := s.awaitTable(ctx); err != nil {
		return err
	}
	if s.options.PointInTimeRecovery && !s.options.MustExist {
		return s.keepBackups(ctx)
	}
	return nil
}

// awaitTable waits until the table can be used.
func (s *Store) awaitTable(ctx context.Context) error {
	for wait := pollFirst; ; wait = min(2*wait, pollMost) {
		table, err := s.describe(ctx, s.table)
		if err != nil {
			return err
		}
		switch {
		case table != nil:
			if ready, err := s.inspect(table); ready || err != nil {
				return err
			}
		case s.options.MustExist:
			return fmt.Errorf("dynamo: table %s: there is none, and it must exist: %w", s.table, lease.ErrUnsupported)
		default:
			if err := s.create(ctx); err != nil {
				return err
			}
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// pause waits for d or for ctx's end, whose cause it returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// keepBackups switches point-in-time recovery on. A table just created refuses it
// for a while.
func (s *Store) keepBackups(ctx context.Context) error {
	for wait := pollFirst; ; wait = min(2*wait, pollMost) {
		_, err := s.client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        &s.table,
			PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
		switch {
		case err == nil:
			return nil
		case !isCode(err, "ContinuousBackupsUnavailableException", "TableNotFoundException", "TableInUseException"):
			return fmt.Errorf("dynamo: keep backups of table %s: %w", s.table, err)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// describe returns a table's description, nil if there is no such table.
func (s *Store) describe(ctx context.Context, name string) (*types.TableDescription, error) {
	out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dynamo: describe table %s: %w", name, err)
	}
	return out.Table, nil
}

func (s *Store) create(ctx context.Context) error {
	o := &s.options
	in := &dynamodb.CreateTableInput{
		TableName:   &s.table,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrOwner), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeHash}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String(indexName), KeySchema: indexKeys(),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	}
	if c := o.Provisioned; c != nil {
		in.BillingMode = types.BillingModeProvisioned
		in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: &c.Read, WriteCapacityUnits: &c.Write}
		in.GlobalSecondaryIndexes[0].ProvisionedThroughput = in.ProvisionedThroughput
	}
	if o.DeletionProtection {
		in.DeletionProtectionEnabled = aws.Bool(true)
	}
	if o.KMSKey != "" {
		in.SSESpecification = &types.SSESpecification{Enabled: aws.Bool(true), SSEType: types.SSETypeKms}
		if o.KMSKey != accountKey { // DynamoDB wants its own alias left out
			in.SSESpecification.KMSMasterKeyId = &o.KMSKey
		}
	}
	for _, key := range slices.Sorted(maps.Keys(o.Tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(o.Tags[key])})
	}
	_, err := s.client.CreateTable(ctx, in)
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) { // another worker was faster
		return fmt.Errorf("dynamo: create table %s: %w", s.table, err)
	}
	return nil
}

// accountKey is the key that AWS manages for DynamoDB in every account.
const accountKey = "alias/aws/dynamodb"

func indexKeys() []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(attrOwner), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeRange},
	}
}

// inspect reports whether the table can be used.
func (s *Store) inspect(table *types.TableDescription) (ready bool, err error) {
	if k := table.KeySchema; len(k) != 1 || aws.ToString(k[0].AttributeName) != attrKey {
		return false, fmt.Errorf("dynamo: table %s has another key than %s: it is no lease table: %w", s.table, attrKey, lease.ErrUnsupported)
	}
	if table.TableStatus != types.TableStatusActive && table.TableStatus != types.TableStatusUpdating {
		return false, nil
	}
	status, present := indexStatus(table)
	s.setIndex(present, present && status == types.IndexStatusActive)
	return true, nil
}

// ensureIndex adds the index to a table that has none: one that KCL 2.x has made,
// or from which the KCL's migration tool has removed it. It reports whether the
// index can be used.
func (s *Store) ensureIndex(ctx context.Context) (active bool, err error) {
	table, err := s.describe(ctx, s.table)
	if err != nil || table == nil {
		return false, err
	}
	if _, err := s.inspect(table); err != nil {
		return false, err
	}
	status, present := indexStatus(table)
	if present || s.options.MustExist {
		return present && status == types.IndexStatusActive, nil
	}
	_, err = s.client.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName: &s.table,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrOwner), AttributeType: types.ScalarAttributeTypeS},
		},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: aws.String(indexName), KeySchema: indexKeys(),
			Projection:            &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			ProvisionedThroughput: indexThroughput(table),
		}}},
	})
	if err != nil && !isCode(err, "ResourceInUseException", "ValidationException", "LimitExceededException", "AccessDeniedException") {
		return false, fmt.Errorf("dynamo: add the index %s to table %s: %w", indexName, s.table, err)
	}
	// A refusal means that it is being made, or cannot be, or not by this caller: a
	// scan does as well.
	return false, nil
}

// indexThroughput copies the capacity of a table that is not billed on demand.
func indexThroughput(table *types.TableDescription) *types.ProvisionedThroughput {
	p := table.ProvisionedThroughput
	onDemand := table.BillingModeSummary != nil && table.BillingModeSummary.BillingMode == types.BillingModePayPerRequest
	if onDemand || p == nil || aws.ToInt64(p.ReadCapacityUnits) == 0 {
		return nil
	}
	return &types.ProvisionedThroughput{ReadCapacityUnits: p.ReadCapacityUnits, WriteCapacityUnits: p.WriteCapacityUnits}
}

func indexStatus(table *types.TableDescription) (types.IndexStatus, bool) {
	for _, i := range table.GlobalSecondaryIndexes {
		if aws.ToString(i.IndexName) == indexName {
			return i.IndexStatus, true
		}
	}
	return "", false
}

func (s *Store) setIndex(present, usable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = indexState{present: present, usable: usable, checked: time.Now()}
}

// indexUsable reports whether the index can be queried, and looks now and then
// whether it can be if it could not.
func (s *Store) indexUsable(ctx context.Context) bool {
	s.mu.Lock()
	state := s.index
	s.mu.Unlock()
	if state.usable || time.Since(state.checked) < indexCheck {
		return state.usable
	}
	table, err := s.describe(ctx, s.table)
	if err != nil || table == nil {
		return false
	}
	status, present := indexStatus(table)
	usable := present && status == types.IndexStatusActive
	s.setIndex(present, usable)
	return usable
}
