package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/lease"
)

// The rows of one kind each.
const (
	lockKey  = "Leader"
	phaseKey = "Migration3.0"
)

// The attributes of a worker's row.
const (
	attrUpdated        = "lut" // epoch seconds
	attrMetrics        = "sts"
	attrLimits         = "opr"
	attrSupport        = "sup"
	attrSupportUpdated = "slu" // epoch seconds
	attrProperties     = "properties"
)

// PutWorker implements [lease.Store].
func (s *Store) PutWorker(ctx context.Context, w lease.Worker) error {
	x := newExpression()
	x.require(x.missing(attrKey) + " OR " + x.equals(attrType, str(typeWorker)))
	x.set(attrType, str(typeWorker))
	x.set(attrUpdated, num(w.Updated.Unix()))
	x.set(attrMetrics, encodeLists(w.Metrics))
	limits := make(map[string][]float64, len(w.Limits))
	for name, v := range w.Limits {
		limits[name] = []float64{v}
	}
	x.set(attrLimits, encodeLists(limits))
	x.set(attrSupport, num(int64(w.Support)))
	x.set(attrSupportUpdated, num(w.SupportUpdated.Unix()))
	if len(w.Properties) > 0 {
		properties := make(item, len(w.Properties))
		for k, v := range w.Properties {
			properties[k] = str(v)
		}
		x.set(attrProperties, &types.AttributeValueMemberM{Value: properties})
	}
	_, err := gated(ctx, s, writing, urgent, w.ID, s.client.UpdateItem, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: keyOf(w.ID), ConditionExpression: x.condition(), UpdateExpression: x.update(),
		ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
	})
	switch {
	case refused(err):
		return fmt.Errorf("dynamo: worker %q in %s: %w", w.ID, s.table, lease.ErrWorkerID)
	case err != nil:
		return fmt.Errorf("dynamo: write the row of worker %q in %s: %w", w.ID, s.table, err)
	}
	return nil
}

// DeleteWorker implements [lease.Store].
func (s *Store) DeleteWorker(ctx context.Context, seen lease.Worker) error {
	x := newExpression()
	x.require(x.exists(attrKey))
	x.require(x.equals(attrUpdated, num(seen.Updated.Unix())))
	_, err := gated(ctx, s, writing, urgent, seen.ID, s.client.DeleteItem, &dynamodb.DeleteItemInput{
		TableName: &s.table, Key: keyOf(seen.ID), ConditionExpression: x.condition(),
		ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
	})
	if err != nil && !refused(err) {
		return fmt.Errorf("dynamo: delete the row of worker %q in %s: %w", seen.ID, s.table, err)
	}
	return nil
}

func decodeWorker(it item) (lease.Worker, error) {
	d := decoder{it: it}
	w := lease.Worker{
		ID:             d.need(attrKey),
		Updated:        d.epoch(attrUpdated, required),
		Metrics:        d.lists(attrMetrics),
		Support:        int(min(d.count(attrSupport, optional), math.MaxInt32)),
		SupportUpdated: d.epoch(attrSupportUpdated, optional),
		Properties:     d.texts(attrProperties),
	}
	for name, values := range d.lists(attrLimits) {
		if len(values) == 0 {
			d.fail(attrLimits, "%.40q has no value", name)
			break
		}
		if w.Limits == nil {
			w.Limits = make(map[string]float64)
		}
		w.Limits[name] = values[0]
	}
	return w, d.err
}

// maxEpoch is the last second of the year 9999: times beyond it do not print.
const maxEpoch = 253402300799

func (d *decoder) epoch(attr string, must bool) time.Time {
	n := d.count(attr, must)
	if n > maxEpoch {
		d.fail(attr, "%d is no time in seconds", n)
	}
	if n == 0 || n > maxEpoch {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// millis reads a time in milliseconds, zero if there is none.
func (d *decoder) millis(attr string) time.Time {
	n := d.count(attr, optional)
	if n > maxEpoch*1000 {
		d.fail(attr, "%d is no time in milliseconds", n)
	}
	if n == 0 || n > maxEpoch*1000 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// lists reads a map of lists of numbers, nil if it is empty.
func (d *decoder) lists(attr string) map[string][]float64 {
	v, present := d.it[attr]
	if !present {
		return nil
	}
	m, ok := v.(*types.AttributeValueMemberM)
	if !ok {
		d.fail(attr, "not a map")
		return nil
	}
	var out map[string][]float64
	for name, v := range m.Value {
		list, ok := v.(*types.AttributeValueMemberL)
		if !ok {
			d.fail(attr, "%.40q is not a list", name)
			return nil
		}
		values := make([]float64, 0, len(list.Value))
		for _, e := range list.Value {
			n, ok := e.(*types.AttributeValueMemberN)
			if !ok {
				d.fail(attr, "%.40q holds something else than numbers", name)
				return nil
			}
			f, err := strconv.ParseFloat(n.Value, 64)
			if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
				d.fail(attr, "%.40q holds %.40q", name, n.Value)
				return nil
			}
			values = append(values, f)
		}
		if out == nil {
			out = make(map[string][]float64, len(m.Value))
		}
		out[name] = values
	}
	return out
}

// texts reads a map of strings, leaving out what is none: nothing rests on it.
func (d *decoder) texts(attr string) map[string]string {
	m, _ := d.it[attr].(*types.AttributeValueMemberM)
	if m == nil || len(m.Value) == 0 {
		return nil
	}
	out := make(map[string]string, len(m.Value))
	for k, v := range m.Value {
		if s, ok := v.(*types.AttributeValueMemberS); ok {
			out[k] = s.Value
		}
	}
	return out
}

func encodeLists(lists map[string][]float64) types.AttributeValue {
	out := make(item, len(lists))
	for name, values := range lists {
		list := make([]types.AttributeValue, 0, len(values))
		for _, v := range values {
			list = append(list, float(v))
		}
		out[name] = &types.AttributeValueMemberL{Value: list}
	}
	return &types.AttributeValueMemberM{Value: out}
}

// The attributes of the lock's row, which the KCL's lock client writes.
const (
	attrLockOwner    = "ownerName"
	attrLockDuration = "leaseDuration" // milliseconds, as a string
	attrLockVersion  = "recordVersionNumber"
	attrLockReleased = "isReleased" // "1" if given up without being deleted
)

// Lock implements [lease.Store] by a consistent read.
func (s *Store) Lock(ctx context.Context) (lease.Lock, error) {
	it, err := s.get(ctx, lockKey)
	if err != nil || len(it) == 0 {
		return lease.Lock{}, err
	}
	return decodeLock(it), nil
}

// Bounds of the duration in a lock. What is no number counts as the KCL's.
const (
	lockDuration    = 2 * time.Minute
	maxLockDuration = 24 * time.Hour
)

// decodeLock reads the lock's row. It has no errors: a lock that cannot be
// understood must still be able to expire.
func decodeLock(it item) lease.Lock {
	l := lease.Lock{Duration: lockDuration}
	l.Owner, _ = text(it, attrLockOwner)
	if l.Version, _ = text(it, attrLockVersion); l.Version == "" {
		l.Version = "?" // the zero version stands for no lock
	}
	if ms, ok := text(it, attrLockDuration); ok {
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil && n > 0 {
			l.Duration = time.Duration(min(n, maxLockDuration.Milliseconds())) * time.Millisecond
		}
	}
	released, _ := text(it, attrLockReleased)
	l.Released = released == "1"
	return l
}

// SwapLock implements [lease.Store] with the requests of the KCL's lock client.
// A lock that is taken over is updated where that one replaces it, so that its
// other attributes stay.
func (s *Store) SwapLock(ctx context.Context, seen, next lease.Lock) error {
	x := newExpression()
	var err error
	switch {
	case seen.Version == "":
		x.require(x.missing(attrKey))
		_, err = gated(ctx, s, writing, urgent, lockKey, s.client.PutItem, &dynamodb.PutItemInput{
			TableName: &s.table, ConditionExpression: x.condition(), ExpressionAttributeNames: x.names,
			Item: item{
				attrKey: str(lockKey), attrType: str(typeLock), attrLockOwner: str(next.Owner),
				attrLockDuration: millis(next.Duration), attrLockVersion: str(next.Version),
			},
		})
	case next.Version == "":
		x.requireLock(seen)
		_, err = gated(ctx, s, writing, urgent, lockKey, s.client.DeleteItem, &dynamodb.DeleteItemInput{
			TableName: &s.table, Key: keyOf(lockKey), ConditionExpression: x.condition(),
			ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
		})
	default:
		x.requireLock(seen)
		x.set(attrLockDuration, millis(next.Duration))
		x.set(attrLockVersion, str(next.Version))
		if seen.Owner != next.Owner {
			x.set(attrLockOwner, str(next.Owner))
			x.set(attrType, str(typeLock))
		}
		if seen.Released {
			x.remove(attrLockReleased)
		}
		_, err = gated(ctx, s, writing, urgent, lockKey, s.client.UpdateItem, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: keyOf(lockKey), ConditionExpression: x.condition(), UpdateExpression: x.update(),
			ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
		})
	}
	switch {
	case refused(err):
		return lease.ErrLockMoved
	case err != nil:
		return fmt.Errorf("dynamo: write the leader lock in %s: %w", s.table, err)
	}
	return nil
}

func (x *expression) requireLock(seen lease.Lock) {
	x.require(x.exists(attrKey))
	version := seen.Version
	if version == "?" {
		version = ""
	}
	x.require(x.text(attrLockVersion, version))
	x.require(x.text(attrLockOwner, seen.Owner))
}

func millis(d time.Duration) types.AttributeValue {
	return str(strconv.FormatInt(d.Milliseconds(), 10))
}

func refused(err error) bool {
	var failed *types.ConditionalCheckFailedException
	return errors.As(err, &failed)
}

// The phases of a table, from KCL 2.x to 3.x.
const (
	attrPhase        = "cv"
	phase3X          = "CLIENT_VERSION_3X"
	phase3XRollback  = "CLIENT_VERSION_3X_WITH_ROLLBACK"
	phaseInit        = "CLIENT_VERSION_INIT"
	attrTablePhase   = "tm"
	tablePhaseKey    = "TableMigration3.5"
	tablePhaseDone   = "TABLE_MIGRATION_STATUS_COMPLETE"
	legacyTable      = "-CoordinatorState"
	legacyKey        = "key"
	phaseAgain       = time.Minute
	leadBeforeMarked = time.Minute
)

// Phase implements [lease.Store]. As leader of a table that no KCL worker has
// marked it marks it as one of version 3 after one to two minutes.
func (s *Store) Phase(ctx context.Context, f lease.Facts) (lease.Phase, error) {
	it, err := s.get(ctx, phaseKey)
	if err != nil {
		return lease.Phase{}, err
	}
	if len(it) == 0 && f.Led >= leadBeforeMarked {
		if err := s.markPhase(ctx, f.Worker); err != nil {
			return lease.Phase{}, err
		}
		if it, err = s.get(ctx, phaseKey); err != nil {
			return lease.Phase{}, err
		}
	}
	if len(it) == 0 {
		return lease.Phase{Again: phaseAgain}, nil
	}
	switch cv, _ := text(it, attrPhase); cv {
	case phase3X:
		return lease.Phase{}, nil
	case phase3XRollback, phaseInit:
		return lease.Phase{Again: phaseAgain}, nil
	default:
		return lease.Phase{}, fmt.Errorf("dynamo: the workers of table %s speak %.60q, this library %s: %w", s.table, cv, phase3X, lease.ErrUnsupported)
	}
}

func (s *Store) markPhase(ctx context.Context, worker string) error {
	now := num(time.Now().UnixMilli())
	x := newExpression()
	x.require(x.missing(attrKey))
	_, err := gated(ctx, s, writing, normal, phaseKey, s.client.PutItem, &dynamodb.PutItemInput{
		TableName: &s.table, ConditionExpression: x.condition(), ExpressionAttributeNames: x.names,
		Item: item{
			attrKey: str(phaseKey), attrType: str(typePhase), attrPhase: str(phase3X), "mb": str(worker), "mts": now,
			"h": &types.AttributeValueMemberL{Value: []types.AttributeValue{
				&types.AttributeValueMemberM{Value: item{attrPhase: str(phaseInit), "mb": str(worker), "mts": now}},
			}},
		},
	})
	if err != nil && !refused(err) {
		return fmt.Errorf("dynamo: mark the version of table %s: %w", s.table, err)
	}
	return nil
}

// refuseLegacy returns an error if the application's coordination is in the
// tables of KCL 3.0 to 3.4.
func (s *Store) refuseLegacy(ctx context.Context) error {
	name := s.application + legacyTable
	if !tableName(name) {
		return nil // no table can have that name
	}
	table, err := s.describe(ctx, name)
	if err != nil || table == nil {
		return err
	}
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &name, Key: item{legacyKey: str(tablePhaseKey)}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return fmt.Errorf("dynamo: read %q of %s: %w", tablePhaseKey, name, err)
	}
	if tm, _ := text(out.Item, attrTablePhase); tm != tablePhaseDone {
		return fmt.Errorf("dynamo: table %s exists: the application is coordinated by KCL 3.0 to 3.4 (table migration %.60q, want %s): %w",
			name, tm, tablePhaseDone, lease.ErrUnsupported)
	}
	return nil
}
