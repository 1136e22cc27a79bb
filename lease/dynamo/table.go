package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/lease"
)

const indexName = "LeaseOwnerToLeaseKeyIndex"

// indexState is what is known of the index.
type indexState struct {
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

// Open implements [lease.Store]: it creates the table with its index if there is
// none, and waits until it is active.
func (s *Store) Open(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout,
		fmt.Errorf("dynamo: table %s is not active after %v", s.table, s.timeout))
	defer cancel()
	if err := s.refuseLegacy(ctx); err != nil {
		return err
	}
	for wait := pollFirst; ; wait = min(2*wait, pollMost) {
		table, err := s.describe(ctx, s.table)
		if err != nil {
			return err
		}
		if table == nil {
			if err := s.create(ctx); err != nil {
				return err
			}
		} else if ready, err := s.inspect(ctx, table); ready || err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
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
	_, err := s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
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
	})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) { // another worker was faster
		return fmt.Errorf("dynamo: create table %s: %w", s.table, err)
	}
	return nil
}

func indexKeys() []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(attrOwner), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeRange},
	}
}

// inspect reports whether the table can be used, and adds the index to a table
// that has none: those of KCL 2.x.
func (s *Store) inspect(ctx context.Context, table *types.TableDescription) (ready bool, err error) {
	if k := table.KeySchema; len(k) != 1 || aws.ToString(k[0].AttributeName) != attrKey {
		return false, fmt.Errorf("dynamo: table %s has another key than %s: it is no lease table: %w", s.table, attrKey, lease.ErrUnsupported)
	}
	if table.TableStatus != types.TableStatusActive && table.TableStatus != types.TableStatusUpdating {
		return false, nil
	}
	status, present := indexStatus(table)
	s.setIndex(present && status == types.IndexStatusActive)
	if present {
		return true, nil
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
	if err != nil && !isCode(err, "ResourceInUseException", "ValidationException", "LimitExceededException") {
		return false, fmt.Errorf("dynamo: add the index %s to table %s: %w", indexName, s.table, err)
	}
	// A refusal means that it is being made, or cannot be: a scan does as well.
	return true, nil
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

func (s *Store) setIndex(usable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = indexState{usable: usable, checked: time.Now()}
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
	s.setIndex(usable)
	return usable
}
