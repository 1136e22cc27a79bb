package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/lease"
)

// A place is a table that holds rows, and the attribute that is its key.
type place struct{ table, key string }

func (p place) keyOf(key string) item { return item{p.key: str(key)} }

// The tables that KCL 3.0 to 3.4 keep beside that of the leases.
const (
	legacyStateTable   = "-CoordinatorState"
	legacyWorkersTable = "-WorkerMetricStats"
	legacyStateKey     = "key"
	legacyWorkersKey   = "wid"
)

func (s *Store) leases() place      { return place{s.table, attrKey} }
func (s *Store) legacyState() place { return place{s.application + legacyStateTable, legacyStateKey} }
func (s *Store) legacyWorkers() place {
	return place{s.application + legacyWorkersTable, legacyWorkersKey}
}

// A layout says which table the rows are in that are no leases. It follows from
// what the row of the table migration says and from Options.MigrateTables, by the
// rule of KCL 3.5, so that workers of both agree.
type layout int

const (
	layoutSingle   layout = iota // everything is in the lease table
	layoutPending                // the lock is in its own table; what is new goes to the lease table
	layoutDeployed               // all is in tables of its own; every worker could do without
	layoutInit                   // all is in tables of its own
)

var layoutNames = [...]string{"one table", "three tables, moving", "three tables, ready to move", "three tables"}

func (l layout) String() string { return layoutNames[l] }

// single reports whether what is new goes to the lease table.
func (l layout) single() bool { return l == layoutSingle || l == layoutPending }

// What the row of the table migration says.
const (
	tableKey      = "TableMigration3.5"
	attrTable     = "tm"
	tableInit     = "TABLE_MIGRATION_STATUS_INIT"
	tableDeployed = "TABLE_MIGRATION_STATUS_DEPLOYED"
	tablePending  = "TABLE_MIGRATION_STATUS_PENDING"
	tableComplete = "TABLE_MIGRATION_STATUS_COMPLETE"
)

// errNotReady is wrapped by the refusal to begin where the fleet cannot follow.
var errNotReady = errors.New("MigrateTables is set, and the fleet is not ready for it: run every worker without it first, until the row " +
	tableKey + " says " + tableDeployed)

// decideLayout returns the layout of a table. Legacy says whether there is a
// table for the coordinator's state, tm what its row of the migration says, empty
// if there is none. At the start a worker that wants to migrate before the fleet
// can is refused; one that runs goes by the row.
func decideLayout(legacy bool, tm string, migrate, start bool) (layout, error) {
	switch {
	case !legacy:
		return layoutSingle, nil
	case tm == tableComplete:
		return layoutSingle, nil
	case tm == "" || tm == tableInit:
		if migrate && start {
			return layoutInit, errNotReady
		}
		return layoutInit, nil
	case tm == tableDeployed || tm == tablePending:
		if migrate {
			return layoutPending, nil
		}
		return layoutDeployed, nil
	}
	return layoutInit, fmt.Errorf("the row %s says %.60q, which this library does not know", tableKey, tm)
}

// layoutState is what is known of the layout.
type layoutState struct {
	layout
	known   bool
	legacy  bool // there is a table for the coordinator's state
	workers bool // there is one for the workers
	final   bool // the migration is complete
}

// A search says how thoroughly the layout is looked at.
type search int

const (
	searchRow    search = iota // what the row of the migration says
	searchTables               // also whether there are tables that were not there
	searchStart                // all of it, and a doubt is an error
)

// layoutNow returns the layout as it was when last looked at.
func (s *Store) layoutNow(ctx context.Context) (layoutState, error) {
	s.mu.Lock()
	l := s.layout
	s.mu.Unlock()
	if l.known {
		return l, nil
	}
	return s.lookAtLayout(ctx, searchRow)
}

// lookAtLayout finds the layout out again. Where there were no tables beside that
// of the leases there can be some later: a worker of KCL 3.0 to 3.4 makes them when
// it starts, and leads there.
func (s *Store) lookAtLayout(ctx context.Context, how search) (layoutState, error) {
	s.mu.Lock()
	l := s.layout
	s.mu.Unlock()
	if l.known && l.final {
		return l, nil
	}
	was := l
	if how >= searchTables || !l.known || l.legacy && !l.workers {
		if err := s.findTables(ctx, &l); err != nil && (how == searchStart || !l.known) {
			return l, err
		} // later the tables known do
	}
	tm, err := s.tableStatus(ctx, &l)
	if err != nil {
		return l, err
	}
	if l.layout, err = decideLayout(l.legacy, tm, s.options.MigrateTables, how == searchStart); err != nil {
		return l, fmt.Errorf("dynamo: table %s: %w: %w", s.legacyState().table, err, lease.ErrUnsupported)
	}
	l.known, l.final = true, tm == tableComplete
	s.mu.Lock()
	s.layout = l
	s.mu.Unlock()
	if was.known && was.layout != l.layout {
		s.leaveLock(ctx, was.layout, l.layout)
	}
	return l, nil
}

// tableStatus returns what the row of the migration says, and notes it if its table
// is gone.
func (s *Store) tableStatus(ctx context.Context, l *layoutState) (string, error) {
	if !l.legacy {
		return "", nil
	}
	it, err := s.getFrom(ctx, s.legacyState(), tableKey)
	switch {
	case isCode(err, "ResourceNotFoundException"):
		l.legacy, l.workers = false, false
		return "", nil
	case err != nil:
		return "", err
	}
	tm, _ := text(it, attrTable)
	return tm, nil
}

// findTables looks which of the tables of KCL 3.0 to 3.4 there are.
func (s *Store) findTables(ctx context.Context, l *layoutState) error {
	legacy, err := s.hasTable(ctx, s.legacyState())
	if err != nil {
		return err
	}
	workers := false
	if legacy {
		if workers, err = s.hasTable(ctx, s.legacyWorkers()); err != nil {
			return err
		}
	}
	l.legacy, l.workers = legacy, workers
	return nil
}

func (s *Store) hasTable(ctx context.Context, p place) (bool, error) {
	if !tableName(p.table) {
		return false, nil // no table can have that name
	}
	table, err := s.describe(ctx, p.table)
	if err != nil || table == nil {
		return false, err
	}
	if k := table.KeySchema; len(k) != 1 || aws.ToString(k[0].AttributeName) != p.key {
		return false, fmt.Errorf("dynamo: table %s has another key than %s: the KCL would make one of that name: %w", p.table, p.key, lease.ErrUnsupported)
	}
	switch table.TableStatus {
	case types.TableStatusActive, types.TableStatusUpdating:
		return true, nil
	case types.TableStatusDeleting:
		return false, nil
	}
	return false, fmt.Errorf("dynamo: table %s is %s: %w", p.table, table.TableStatus, errNotYet)
}

// errNotYet means that a table is being made.
var errNotYet = errors.New("dynamo: not ready")

// awaitLayout finds the layout at the start, waiting for tables that are being
// made.
func (s *Store) awaitLayout(ctx context.Context) error {
	for wait := pollFirst; ; wait = min(2*wait, pollMost) {
		_, err := s.lookAtLayout(ctx, searchStart)
		if !errors.Is(err, errNotYet) {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// states returns where rows of the coordinator's state are looked for, in this
// order, and where they are written.
func (s *Store) states(l layout) (read []place, write place) {
	switch {
	case l == layoutSingle:
		return []place{s.leases()}, s.leases()
	case l.single():
		return []place{s.legacyState(), s.leases()}, s.leases()
	}
	return []place{s.legacyState(), s.leases()}, s.legacyState()
}

// workerPlace returns where the own row of a worker is written.
func (s *Store) workerPlace(l layoutState) place {
	if l.single() || !l.workers {
		return s.leases()
	}
	return s.legacyWorkers()
}

// lockPlace returns where the leader lock is: the one thing that moves at once
// for all, at the end of the migration.
func (s *Store) lockPlace(l layout) place {
	if l == layoutSingle {
		return s.leases()
	}
	return s.legacyState()
}

// getFrom reads one item consistently, nil if there is none.
func (s *Store) getFrom(ctx context.Context, p place, key string) (item, error) {
	out, err := gated(ctx, s, reading, urgent, key, s.client.GetItem, &dynamodb.GetItemInput{
		TableName: &p.table, Key: p.keyOf(key), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, fmt.Errorf("dynamo: read %q of %s: %w", key, p.table, err)
	}
	return out.Item, nil
}

// scanAll calls f for every item of a table, as it is or was a moment ago.
func (s *Store) scanAll(ctx context.Context, table string, consistent bool, f func(item)) error {
	in := &dynamodb.ScanInput{TableName: &table}
	if consistent {
		in.ConsistentRead = aws.Bool(true)
	}
	for {
		out, err := gated(ctx, s, reading, patient, "", s.client.Scan, in)
		if err != nil {
			return fmt.Errorf("dynamo: scan %s: %w", table, err)
		}
		for _, it := range out.Items {
			f(it)
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}
