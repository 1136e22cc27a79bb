package dynamo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/lease"
)

// Options configure a [Store].
type Options struct {
	// TableName is the lease table. Default: the application's name. 3 to 255
	// letters, digits, '_', '-' and '.'.
	TableName string

	// CreateTimeout bounds how long Open waits until a table it needs is active.
	// Default 10m; at least 1s.
	CreateTimeout time.Duration
}

// A Store keeps the rows of one application in a DynamoDB table. It implements
// [lease.Store].
type Store struct {
	client      DynamoDBAPI
	application string
	table       string
	timeout     time.Duration

	mu    sync.Mutex // guards index
	index indexState
}

var _ lease.Store = (*Store)(nil)

// New returns the store of an application. It does no I/O.
func New(client DynamoDBAPI, application string, optFns ...func(*Options)) (*Store, error) {
	o := Options{TableName: application, CreateTimeout: 10 * time.Minute}
	for _, fn := range optFns {
		fn(&o)
	}
	var errs []error
	if client == nil {
		errs = append(errs, errors.New("dynamo: client is nil, want a DynamoDB client"))
	}
	if application == "" {
		errs = append(errs, errors.New("dynamo: application: empty, want its name"))
	}
	if !tableName(o.TableName) {
		errs = append(errs, fmt.Errorf("dynamo: TableName: %.80q, want 3 to 255 letters, digits, '_', '-', '.'", o.TableName))
	}
	if o.CreateTimeout < time.Second {
		errs = append(errs, fmt.Errorf("dynamo: CreateTimeout: %v, want at least 1s", o.CreateTimeout))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Store{client: client, application: application, table: o.TableName, timeout: o.CreateTimeout}, nil
}

func tableName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return len(s) >= 3 && len(s) <= 255
}

type item = map[string]types.AttributeValue

// Row implements [lease.Store] by a consistent read.
func (s *Store) Row(ctx context.Context, key string) (lease.Row, error) {
	got, err := s.get(ctx, key)
	if err != nil {
		return lease.Row{}, err
	}
	if kindOf(got) != kindLease {
		return lease.Row{}, lease.ErrNotFound
	}
	row, err := decodeRow(got)
	if err != nil {
		return lease.Row{}, &lease.RowError{Key: key, Err: err}
	}
	return row, nil
}

// get reads one item of the lease table consistently, nil if there is none.
func (s *Store) get(ctx context.Context, key string) (item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: keyOf(key), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, fmt.Errorf("dynamo: read %q of %s: %w", key, s.table, err)
	}
	return out.Item, nil
}

func keyOf(key string) item { return item{attrKey: str(key)} }

// Snapshot implements [lease.Store] by one scan.
func (s *Store) Snapshot(ctx context.Context) (lease.Snapshot, error) {
	var snap lease.Snapshot
	in := &dynamodb.ScanInput{TableName: &s.table}
	for {
		out, err := s.client.Scan(ctx, in)
		if err != nil {
			return lease.Snapshot{}, fmt.Errorf("dynamo: scan %s: %w", s.table, err)
		}
		for _, it := range out.Items {
			addItem(&snap, it)
		}
		if len(out.LastEvaluatedKey) == 0 {
			break
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	sortSnapshot(&snap)
	return snap, nil
}

// Owned implements [lease.Store] by the index, and by a scan while there is no
// index that can be used.
func (s *Store) Owned(ctx context.Context, owner string) ([]string, error) {
	if s.indexUsable(ctx) {
		keys, err := s.query(ctx, owner)
		if err == nil || !isCode(err, "ValidationException", "ResourceNotFoundException") {
			return keys, err
		}
		// Somebody deleted the index: KCL's migration tool does on a rollback.
		s.setIndex(false)
	}
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, r := range snap.Rows {
		if r.Owner == owner {
			keys = append(keys, r.Key)
		}
	}
	return keys, nil
}

func (s *Store) query(ctx context.Context, owner string) ([]string, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, IndexName: aws.String(indexName),
		KeyConditionExpression:    aws.String("#o = :o"),
		ExpressionAttributeNames:  map[string]string{"#o": attrOwner},
		ExpressionAttributeValues: item{":o": str(owner)},
	}
	var keys []string
	for {
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("dynamo: query %s of %s: %w", indexName, s.table, err)
		}
		for _, it := range out.Items {
			if key, ok := it[attrKey].(*types.AttributeValueMemberS); ok {
				keys = append(keys, key.Value)
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return keys, nil // the index sorts them
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// Write implements [lease.Store] by one conditional request.
func (s *Store) Write(ctx context.Context, w lease.Write) (lease.Row, error) {
	if err := w.Validate(); err != nil {
		return lease.Row{}, err
	}
	row, err := s.send(ctx, w)
	if err == nil {
		return row, nil
	}
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) {
		return lease.Row{}, fmt.Errorf("dynamo: %v %q in %s: %w", w.Op, w.Key(), s.table, err)
	}
	cur := refused.Item
	if len(cur) == 0 { // not every server returns it
		if cur, err = s.get(ctx, w.Key()); err != nil {
			return lease.Row{}, err
		}
	}
	conflict := &lease.ConflictError{Key: w.Key(), Op: w.Op}
	if kindOf(cur) == kindLease {
		row, err := decodeRow(cur)
		if err != nil {
			return lease.Row{}, &lease.RowError{Key: w.Key(), Err: err}
		}
		conflict.Current = &row
	}
	return lease.Row{}, conflict
}

func (s *Store) send(ctx context.Context, w lease.Write) (lease.Row, error) {
	x := expressionOf(w)
	const old = types.ReturnValuesOnConditionCheckFailureAllOld
	switch w.Op {
	case lease.Create:
		row, err := w.Apply(nil)
		if err != nil {
			return lease.Row{}, err
		}
		_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &s.table, Item: encodeRow(*row), ConditionExpression: x.condition(),
			ExpressionAttributeNames: x.names, ReturnValuesOnConditionCheckFailure: old,
		})
		return *row, err
	case lease.Delete:
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &s.table, Key: keyOf(w.Key()), ConditionExpression: x.condition(),
			ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values, ReturnValuesOnConditionCheckFailure: old,
		})
		return lease.Row{}, err
	}
	out, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: keyOf(w.Key()), ConditionExpression: x.condition(), UpdateExpression: x.update(),
		ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
		ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: old,
	})
	if err != nil {
		return lease.Row{}, err
	}
	row, err := decodeRow(out.Attributes)
	if err != nil {
		return lease.Row{}, &lease.RowError{Key: w.Key(), Err: err}
	}
	return row, nil
}

// isCode reports whether err is an answer of the service with one of the codes.
func isCode(err error, codes ...string) bool {
	var api interface{ ErrorCode() string }
	if !errors.As(err, &api) {
		return false
	}
	for _, c := range codes {
		if api.ErrorCode() == c {
			return true
		}
	}
	return false
}
