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

// A tableStep is what the leader does for the migration to one table.
type tableStep int

const (
	stepNone tableStep = iota
	stepInit           // write that it can begin
	stepDrop           // take that back
	stepDeployed
	stepMove // move the rows, then write that they have
	stepComplete
)

// tableFacts are what a leader knows of the migration to one table.
type tableFacts struct {
	layout  layout
	tm      string        // what the row says, empty if there is none
	since   time.Duration // for how long it has said so
	support bool          // every owner of a lease can do without the other tables
	shown   bool          // every owner of a lease shows itself
	stray   bool          // workers show themselves in the table that is to go
	left    bool          // rows are in the other one that is to go, besides those that stay
}

// initFor is how long every worker must have been able to go on before they may.
const initFor = time.Hour

// nextStep says what to do, by the rules of KCL 3.5: every worker says in its row
// that it can do without the other tables; after an hour of that the operator may
// set MigrateTables; when all workers write to the lease table the rest is moved
// there, and if it stays that way for the bake time the lock follows.
func nextStep(f tableFacts, bake time.Duration) tableStep {
	switch f.layout {
	case layoutInit:
		switch {
		case !f.support && f.tm != "":
			return stepDrop
		case !f.support:
			return stepNone
		case f.tm == "":
			return stepInit
		case f.since >= initFor:
			return stepDeployed
		}
	case layoutDeployed:
		if f.tm == tablePending {
			return stepDeployed // somebody has changed his mind
		}
	case layoutPending:
		switch {
		case f.tm == "":
			return stepDeployed
		case f.tm == tableDeployed && f.shown && !f.stray:
			return stepMove
		case f.tm == tablePending && (f.stray || f.left):
			return stepDeployed
		case f.tm == tablePending && f.since >= bake:
			return stepComplete
		}
	}
	return stepNone
}

// migrateTables does the leader's part of the migration to one table, and returns
// the layout that holds afterwards.
func (s *Store) migrateTables(ctx context.Context, f lease.Facts, l layoutState) (layoutState, error) {
	p := s.legacyState()
	row, err := s.getFrom(ctx, p, tableKey)
	if err != nil {
		return l, err
	}
	facts, left, err := s.tableFacts(ctx, l, row)
	if err != nil {
		return l, err
	}
	switch nextStep(facts, s.options.BakeTime) {
	case stepInit:
		_, err = s.writeHistory(ctx, p, tableKey, typeTable, attrTable, row, tableInit, f.Worker)
	case stepDrop:
		err = s.dropTableRow(ctx, row)
	case stepDeployed:
		_, err = s.writeHistory(ctx, p, tableKey, typeTable, attrTable, row, tableDeployed, f.Worker)
	case stepMove:
		if err = s.moveRows(ctx, f.Worker, left); err == nil {
			_, err = s.writeHistory(ctx, p, tableKey, typeTable, attrTable, row, tablePending, f.Worker)
		}
	case stepComplete:
		err = s.complete(ctx, f.Worker, row)
	}
	if err != nil {
		return l, fmt.Errorf("dynamo: migrate %s to one table: %w", s.application, err)
	}
	return s.lookAtLayout(ctx, searchRow)
}

// tableFacts looks, and returns the rows that are left to move as well.
func (s *Store) tableFacts(ctx context.Context, l layoutState, row item) (tableFacts, []item, error) {
	now := time.Now()
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return tableFacts{}, nil, err
	}
	f := tableFacts{layout: l.layout, support: fleetSupports(now, &snap), shown: true}
	f.tm, _ = text(row, attrTable)
	d := decoder{it: row}
	f.since = now.Sub(d.millis(attrAt))
	fresh := make(map[string]bool)
	for _, w := range snap.Workers {
		fresh[w.ID] = active(now, w)
	}
	for i := range snap.Rows {
		f.shown = f.shown && (snap.Rows[i].Owner == "" || fresh[snap.Rows[i].Owner])
	}
	if l.layout != layoutPending {
		return f, nil, nil
	}
	if l.workers {
		err = s.scanAll(ctx, s.legacyWorkers().table, true, func(it item) {
			w, werr := decodeWorker(it, legacyWorkersKey)
			f.stray = f.stray || werr == nil && active(now, w)
		})
	}
	var left []item
	if err == nil {
		err = s.scanAll(ctx, s.legacyState().table, true, func(it item) {
			if key, _ := text(it, legacyStateKey); key != lockKey && key != tableKey {
				left = append(left, it)
			}
		})
	}
	f.left = len(left) > 0
	return f, left, err
}

func active(now time.Time, w lease.Worker) bool { return now.Sub(w.Updated) <= workerFresh }

// fleetSupports reports whether every owner of a lease has said within the last
// minute and a half that it can do without the other tables. Without any owner
// there is nobody who could say so.
func fleetSupports(now time.Time, snap *lease.Snapshot) bool {
	supports := make(map[string]bool, len(snap.Workers))
	for _, w := range snap.Workers {
		supports[w.ID] = w.Support >= 1 && now.Sub(w.SupportUpdated) <= supportFresh
	}
	owners := 0
	for i := range snap.Rows {
		if id := snap.Rows[i].Owner; id != "" {
			owners++
			if !supports[id] {
				return false
			}
		}
	}
	return owners > 0
}

// dropTableRow removes the row of the migration if it is as seen.
func (s *Store) dropTableRow(ctx context.Context, seen item) error {
	p := s.legacyState()
	x := newExpression()
	was, _ := text(seen, attrTable)
	x.require(x.text(attrTable, was))
	_, err := gated(ctx, s, writing, normal, tableKey, s.client.DeleteItem, &dynamodb.DeleteItemInput{
		TableName: &p.table, Key: p.keyOf(tableKey), ConditionExpression: x.condition(),
		ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
	})
	if refused(err) {
		return nil
	}
	return err
}

// movedAtOnce is how many rows move in one transaction, the KCL's number.
const movedAtOnce = 25

// moveRows moves rows to the lease table, each either there or here, as long as
// this worker has the lock.
func (s *Store) moveRows(ctx context.Context, worker string, rows []item) error {
	for part := range slices.Chunk(rows, movedAtOnce) {
		actions := []types.TransactWriteItem{{ConditionCheck: s.holdsLock(worker)}}
		for _, it := range part {
			key, _ := text(it, legacyStateKey)
			put := newExpression()
			put.require(put.missing(attrKey))
			gone := newExpression()
			gone.require(gone.exists(legacyStateKey))
			actions = append(actions, types.TransactWriteItem{Put: &types.Put{
				TableName: &s.table, Item: movedRow(it), ConditionExpression: put.condition(), ExpressionAttributeNames: put.names,
			}}, types.TransactWriteItem{Delete: &types.Delete{
				TableName: aws.String(s.legacyState().table), Key: s.legacyState().keyOf(key),
				ConditionExpression: gone.condition(), ExpressionAttributeNames: gone.names,
			}})
		}
		if err := s.transact(ctx, actions); err != nil {
			return err
		}
	}
	return nil
}

// movedRow returns a row with the key of the lease table, and a type if it had
// none: there, what has none is a lease.
func movedRow(it item) item {
	out := maps.Clone(it)
	out[attrKey] = out[legacyStateKey]
	delete(out, legacyStateKey)
	if _, typed := out[attrType]; !typed {
		if key, _ := text(it, legacyStateKey); key == versionKey {
			out[attrType] = str(typeVersion)
		} else {
			out[attrType] = str(typeStream)
		}
	}
	return out
}

// complete ends the migration: from this moment on the lock is in the lease table.
// It moves there in the same transaction, so that whoever leads goes on and nobody
// else can begin. What may have been left there is nobody's by the KCL's own rules.
func (s *Store) complete(ctx context.Context, worker string, row item) error {
	p := s.legacyState()
	lock, err := s.getFrom(ctx, p, lockKey)
	if err != nil {
		return err
	}
	held := decodeLock(lock)
	if held.Owner != worker {
		return errNotLeading
	}
	gone := newExpression()
	gone.requireLock(p, held)
	lock = maps.Clone(lock)
	delete(lock, p.key)
	lock[attrKey], lock[attrType] = str(lockKey), str(typeLock)

	now := num(time.Now().UnixMilli())
	here := maps.Clone(row)
	here[attrType], here[attrTable] = str(typeTable), str(tableComplete)
	here[attrBy], here[attrAt], here[attrHistory] = str(worker), now, pastOf(row, attrTable)
	there := maps.Clone(here)
	delete(there, p.key)
	there[attrKey] = str(tableKey)
	pending, fresh := newExpression(), newExpression()
	pending.require(pending.equals(attrTable, str(tablePending)))
	fresh.require(fresh.missing(attrKey))
	return s.transact(ctx, []types.TransactWriteItem{
		{Delete: &types.Delete{
			TableName: &p.table, Key: p.keyOf(lockKey), ConditionExpression: gone.condition(),
			ExpressionAttributeNames: gone.names, ExpressionAttributeValues: gone.values,
		}},
		{Put: &types.Put{TableName: &s.table, Item: lock}},
		{Put: &types.Put{
			TableName: &s.table, Item: there, ConditionExpression: fresh.condition(), ExpressionAttributeNames: fresh.names,
		}},
		{Put: &types.Put{
			TableName: &p.table, Item: here, ConditionExpression: pending.condition(),
			ExpressionAttributeNames: pending.names, ExpressionAttributeValues: pending.values,
		}},
	})
}

// errNotLeading means that another worker has the lock by now.
var errNotLeading = errors.New("another worker leads")

// holdsLock requires that the worker has the leader lock.
func (s *Store) holdsLock(worker string) *types.ConditionCheck {
	p := s.legacyState()
	x := newExpression()
	x.require(x.equals(attrLockOwner, str(worker)))
	return &types.ConditionCheck{
		TableName: &p.table, Key: p.keyOf(lockKey), ConditionExpression: x.condition(),
		ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
	}
}

func (s *Store) transact(ctx context.Context, actions []types.TransactWriteItem) error {
	_, err := gated(ctx, s, writing, normal, tableKey, s.client.TransactWriteItems, &dynamodb.TransactWriteItemsInput{TransactItems: actions})
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		// Another worker leads, or has done it: the next look tells.
		return fmt.Errorf("%w, or the rows have changed: %w", errNotLeading, err)
	}
	return err
}
