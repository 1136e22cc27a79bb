package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/lease"
)

// lockKey is the key of the leader lock.
const lockKey = "Leader"

// The attributes of a worker's row.
const (
	attrUpdated        = "lut" // epoch seconds
	attrMetrics        = "sts"
	attrLimits         = "opr"
	attrSupport        = "sup"
	attrSupportUpdated = "slu" // epoch seconds
	attrProperties     = "properties"
)

// PutWorker implements [lease.Store]: in the table where the layout has the rows of
// workers.
func (s *Store) PutWorker(ctx context.Context, w lease.Worker) error {
	l, err := s.layoutNow(ctx)
	if err != nil {
		return err
	}
	if !l.single() && !l.workers {
		// In the lease table a worker of KCL 2.x would stumble over it.
		return fmt.Errorf("dynamo: write the row of worker %q: table %s: %w", w.ID, s.legacyWorkers().table, errNotYet)
	}
	at := s.workerPlace(l)
	x := newExpression()
	if at == s.leases() {
		x.require(x.missing(attrKey) + " OR " + x.equals(attrType, str(typeWorker)))
	}
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
	_, err = gated(ctx, s, writing, urgent, w.ID, s.client.UpdateItem, &dynamodb.UpdateItemInput{
		TableName: &at.table, Key: at.keyOf(w.ID), ConditionExpression: x.condition(), UpdateExpression: x.update(),
		ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
	})
	switch {
	case refused(err):
		return fmt.Errorf("dynamo: worker %q in %s: %w", w.ID, at.table, lease.ErrWorkerID)
	case err != nil:
		return fmt.Errorf("dynamo: write the row of worker %q in %s: %w", w.ID, at.table, err)
	}
	return nil
}

// DeleteWorker implements [lease.Store]: in each table that can have the row.
func (s *Store) DeleteWorker(ctx context.Context, seen lease.Worker) error {
	l, err := s.layoutNow(ctx)
	if err != nil {
		return err
	}
	places := []place{s.leases()}
	if l.layout != layoutSingle && l.workers {
		places = append(places, s.legacyWorkers())
	}
	for _, p := range places {
		x := newExpression()
		x.require(x.exists(p.key))
		x.require(x.equals(attrUpdated, num(seen.Updated.Unix())))
		_, err := gated(ctx, s, writing, urgent, seen.ID, s.client.DeleteItem, &dynamodb.DeleteItemInput{
			TableName: &p.table, Key: p.keyOf(seen.ID), ConditionExpression: x.condition(),
			ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
		})
		if err != nil && !refused(err) {
			return fmt.Errorf("dynamo: delete the row of worker %q in %s: %w", seen.ID, p.table, err)
		}
	}
	return nil
}

// decodeWorker reads the row of a worker from a table with that key.
func decodeWorker(it item, key string) (lease.Worker, error) {
	d := decoder{it: it}
	w := lease.Worker{
		ID:             d.need(key),
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

// Lock implements [lease.Store] by a consistent read, of the table where the
// layout has the lock at this moment.
func (s *Store) Lock(ctx context.Context) (lease.Lock, error) {
	l, err := s.lookAtLayout(ctx, searchRow)
	if err != nil {
		return lease.Lock{}, err
	}
	return s.lockIn(ctx, s.lockPlace(l.layout))
}

func (s *Store) lockIn(ctx context.Context, p place) (lease.Lock, error) {
	it, err := s.getFrom(ctx, p, lockKey)
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
//
// The lock changes tables at the end of the migration, while the holder of the old
// one makes the change. Whoever acquires it looks again afterwards, and gives it
// back if it was the old one.
func (s *Store) SwapLock(ctx context.Context, seen, next lease.Lock) error {
	before, err := s.lookAtLayout(ctx, searchRow)
	if err != nil {
		return err
	}
	p := s.lockPlace(before.layout)
	if err := s.swapLockIn(ctx, p, seen, next); err != nil || next.Version == "" || before.layout == layoutSingle {
		return err
	}
	after, err := s.lookAtLayout(ctx, searchRow)
	switch {
	case err != nil:
		return err
	case s.lockPlace(after.layout) != p:
		if err := s.swapLockIn(ctx, p, next, lease.Lock{}); err != nil {
			return fmt.Errorf("dynamo: give the lock in %s back: %w", p.table, err)
		}
		return lease.ErrLockMoved
	}
	return nil
}

// leaveLock removes a lock of our own from the table that has it no longer. Where
// it stays, it expires.
func (s *Store) leaveLock(ctx context.Context, from, to layout) {
	p := s.lockPlace(from)
	s.mu.Lock()
	held := s.lock
	s.mu.Unlock()
	if p != s.lockPlace(to) && held.Version != "" {
		_ = s.swapLockIn(ctx, p, held, lease.Lock{})
	}
}

func (s *Store) swapLockIn(ctx context.Context, p place, seen, next lease.Lock) error {
	x := newExpression()
	var err error
	switch {
	case seen.Version == "":
		x.require(x.missing(p.key))
		_, err = gated(ctx, s, writing, urgent, lockKey, s.client.PutItem, &dynamodb.PutItemInput{
			TableName: &p.table, ConditionExpression: x.condition(), ExpressionAttributeNames: x.names,
			Item: item{
				p.key: str(lockKey), attrType: str(typeLock), attrLockOwner: str(next.Owner),
				attrLockDuration: millis(next.Duration), attrLockVersion: str(next.Version),
			},
		})
	case next.Version == "":
		x.requireLock(p, seen)
		_, err = gated(ctx, s, writing, urgent, lockKey, s.client.DeleteItem, &dynamodb.DeleteItemInput{
			TableName: &p.table, Key: p.keyOf(lockKey), ConditionExpression: x.condition(),
			ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
		})
	default:
		x.requireLock(p, seen)
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
			TableName: &p.table, Key: p.keyOf(lockKey), ConditionExpression: x.condition(), UpdateExpression: x.update(),
			ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
		})
	}
	switch {
	case refused(err):
		return lease.ErrLockMoved
	case err != nil:
		return fmt.Errorf("dynamo: write the leader lock in %s: %w", p.table, err)
	}
	s.mu.Lock()
	s.lock = next
	s.mu.Unlock()
	return nil
}

func (x *expression) requireLock(p place, seen lease.Lock) {
	x.require(x.exists(p.key))
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
