package dynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
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

	// MustExist makes Open change nothing: a table that is missing is an error, and
	// one without the index is scanned. It serves tools that look, and workers that
	// may not call CreateTable and UpdateTable. Default false.
	MustExist bool

	// Version is the version of the protocol that this worker brings about, where
	// the workers of an application have not agreed on one for good. Default
	// [VersionFound].
	Version Version

	// MigrateTables lets an application that KCL 3.0 to 3.4 has made go on to one
	// table, as migrateAllEntitiesToLeaseTable does of KCL 3.5. It is to be set when
	// the row TableMigration3.5 says that the fleet is ready, on all workers; Open
	// refuses it before. Unsetting it goes back, until BakeTime is over. It has no
	// effect on an application with one table. Default false.
	MigrateTables bool

	// BakeTime is how long this worker, as leader, waits at the end of that
	// migration, in which one can still go back. Default 24h, the KCL's; range 1h to
	// 7 days.
	BakeTime time.Duration

	// Logger is told when the table throttles requests, at most every 10 seconds,
	// and how many since. Default: none.
	Logger *slog.Logger

	// What follows holds for a table that Open creates. One that exists is taken as
	// it is.

	// Provisioned bills the table and its index by capacity. Default nil: on demand,
	// which costs less unless the fleet is large and steady.
	Provisioned *Capacity

	// DeletionProtection refuses to delete the table. Default false.
	DeletionProtection bool

	// KMSKey encrypts the table with a key of AWS KMS: its id, ARN or alias, such as
	// "alias/aws/dynamodb" for the account's own. Default: a key of DynamoDB's.
	KMSKey string

	// Tags are put on the table, at most 50. Default none.
	Tags map[string]string

	// PointInTimeRecovery keeps backups of the last 35 days. As with the KCL it is
	// switched on at every start, on a table that exists too; false leaves it as
	// it is. It needs the permission UpdateContinuousBackups. Default false.
	PointInTimeRecovery bool
}

// A Capacity is what is provisioned for a table, in units per second, and for
// its index the same. A fleet with L leases and the failover time F writes 2.5·L/F
// times a second.
type Capacity struct {
	Read, Write int64 // at least 1
}

const maxTags = 50

// validate returns every fault at once.
func (o *Options) validate() error {
	checks := []struct {
		bad         bool
		field, want string
		value       any
	}{
		{!tableName(o.TableName), "TableName", "3 to 255 letters, digits, '_', '-', '.'", fmt.Sprintf("%.80q", o.TableName)},
		{o.CreateTimeout < time.Second, "CreateTimeout", "at least 1s", o.CreateTimeout},
		{o.Provisioned != nil && o.Provisioned.Read < 1, "Provisioned.Read", "at least 1", o.capacity().Read},
		{o.Provisioned != nil && o.Provisioned.Write < 1, "Provisioned.Write", "at least 1", o.capacity().Write},
		{o.Version < 0 || o.Version >= numVersions, "Version", "one of the constants", int(o.Version)},
		{o.BakeTime < time.Hour || o.BakeTime > 7*24*time.Hour, "BakeTime", "1h to 168h", o.BakeTime},
		{o.Logger == nil, "Logger", "a logger, or slog.New(slog.DiscardHandler)", "nil"},
		{len(o.Tags) > maxTags, "Tags", fmt.Sprintf("at most %d", maxTags), len(o.Tags)},
	}
	var errs []error
	for _, c := range checks {
		if c.bad {
			errs = append(errs, fmt.Errorf("dynamo: %s: %v, want %s", c.field, c.value, c.want))
		}
	}
	for key := range o.Tags {
		if key == "" || strings.HasPrefix(key, "aws:") {
			errs = append(errs, fmt.Errorf("dynamo: Tags: key %.80q, want neither an empty one nor one that begins with aws", key))
		}
	}
	return errors.Join(errs...)
}

func (o *Options) capacity() Capacity {
	if o.Provisioned == nil {
		return Capacity{}
	}
	return *o.Provisioned
}

// A Store keeps the rows of one application in a DynamoDB table. It implements
// [lease.Store].
type Store struct {
	client      DynamoDBAPI
	application string
	table       string
	options     Options
	gate        gate

	mu     sync.Mutex // guards what follows
	index  indexState
	layout layoutState
	lock   lease.Lock // as written last
	ready  time.Time  // since when the fleet could go on to KCL 3, zero if it cannot

	version3X bool   // the version is 3X, which is the last
	tended    string // version for which the index was looked at
}

var _ lease.Store = (*Store)(nil)

// New returns the store of an application. It does no I/O.
func New(client DynamoDBAPI, application string, optFns ...func(*Options)) (*Store, error) {
	o := Options{TableName: application, CreateTimeout: 10 * time.Minute, BakeTime: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler)}
	for _, fn := range optFns {
		fn(&o)
	}
	err := o.validate()
	if client == nil {
		err = errors.Join(err, errors.New("dynamo: client is nil, want a DynamoDB client"))
	}
	if application == "" {
		err = errors.Join(err, errors.New("dynamo: application: empty, want its name"))
	}
	if err != nil {
		return nil, err
	}
	o.Tags = maps.Clone(o.Tags)
	return &Store{client: client, application: application, table: o.TableName, options: o}, nil
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
	return s.getFrom(ctx, s.leases(), key)
}

func keyOf(key string) item { return item{attrKey: str(key)} }

// Snapshot implements [lease.Store] by one scan, and while the KCL's other tables
// are used by one of these and a read of the lock.
func (s *Store) Snapshot(ctx context.Context) (lease.Snapshot, error) {
	l, err := s.layoutNow(ctx)
	if err != nil {
		return lease.Snapshot{}, err
	}
	var snap lease.Snapshot
	if err := s.scanAll(ctx, s.table, false, func(it item) { addItem(&snap, it) }); err != nil {
		return lease.Snapshot{}, err
	}
	if l.layout != layoutSingle {
		if snap.Lock, err = s.Lock(ctx); err != nil {
			return lease.Snapshot{}, err
		}
		if err := s.addLegacyWorkers(ctx, l, &snap); err != nil {
			return lease.Snapshot{}, err
		}
	}
	sortSnapshot(&snap)
	return snap, nil
}

// addLegacyWorkers adds the workers whose rows are in a table of their own. Of one
// with a row in both tables, as it has when it moves, the newer row counts.
func (s *Store) addLegacyWorkers(ctx context.Context, l layoutState, snap *lease.Snapshot) error {
	if !l.workers {
		return nil
	}
	p := s.legacyWorkers()
	err := s.scanAll(ctx, p.table, false, func(it item) {
		w, err := decodeWorker(it, p.key)
		if err != nil {
			id, _ := text(it, p.key)
			snap.Bad = append(snap.Bad, &lease.RowError{Key: id, Err: err})
			return
		}
		i := slices.IndexFunc(snap.Workers, func(o lease.Worker) bool { return o.ID == w.ID })
		switch {
		case i < 0:
			snap.Workers = append(snap.Workers, w)
		case w.Updated.After(snap.Workers[i].Updated):
			snap.Workers[i] = w
		}
	})
	if isCode(err, "ResourceNotFoundException") {
		return nil // deleted since: the next look at the layout finds that out
	}
	return err
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
		s.setIndex(false, false)
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
		out, err := gated(ctx, s, reading, normal, owner, s.client.Query, in)
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
		// There was no row if this one, read later, would not have refused: it was
		// made again since.
		if _, err := w.Apply(&row); err != nil {
			conflict.Current = &row
		}
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
		_, err = gated(ctx, s, writing, rankOf(w.Op), w.Key(), s.client.PutItem, &dynamodb.PutItemInput{
			TableName: &s.table, Item: encodeRow(*row), ConditionExpression: x.condition(),
			ExpressionAttributeNames: x.names, ReturnValuesOnConditionCheckFailure: old,
		})
		return *row, err
	case lease.Delete:
		_, err := gated(ctx, s, writing, rankOf(w.Op), w.Key(), s.client.DeleteItem, &dynamodb.DeleteItemInput{
			TableName: &s.table, Key: keyOf(w.Key()), ConditionExpression: x.condition(),
			ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values, ReturnValuesOnConditionCheckFailure: old,
		})
		return lease.Row{}, err
	}
	out, err := gated(ctx, s, writing, rankOf(w.Op), w.Key(), s.client.UpdateItem, &dynamodb.UpdateItemInput{
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
