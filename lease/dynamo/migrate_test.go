package dynamo_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

func migrate(o *dynamo.Options)    { o.MigrateTables = true }
func from2XTo3X(o *dynamo.Options) { o.Version = dynamo.Version2XTo3X }
func to3X(o *dynamo.Options)       { o.Version = dynamo.Version3X }

// inTown runs a test of a fleet.
func inTown(t *testing.T, shards int, f func(*town)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := newTown(t, shards)
		defer tn.end()
		f(tn)
	})
}

func (f *town) status() string {
	return strings.TrimPrefix(f.row(stateTable, "key", "TableMigration3.5", "tm"), "TABLE_MIGRATION_STATUS_")
}

func (f *town) wantStatus(want string) {
	f.Helper()
	if got := f.status(); got != want {
		f.Errorf("the migration is at %q, want %q", got, want)
	}
}

func (f *town) wantRows(table, key string, want ...string) {
	f.Helper()
	if diff := cmp.Diff(append([]string{}, want...), f.rows(table, key)); diff != "" {
		f.Errorf("rows of %s:\n%s", table, diff)
	}
}

// A fleet joins the three tables of KCL 3.0 to 3.4 as they are and goes the whole
// way to one, with a worker that crashes in each state, the leader too.
func TestThreeTablesBecomeOne(t *testing.T) {
	inTown(t, 6, func(f *town) {
		f.makeLegacy()
		put(f.T, f.client, stateTable, item{"key": s("1:clicks:2"), "entityType": s("STREAM"), "streamId": s("id")})
		f.start("a")
		f.start("b")
		f.wait(2 * time.Minute)
		f.want("a", "b")
		f.wantStatus("INIT")
		f.wantRows("app", "leaseKey")
		f.wantRows(stateTable, "key", "1:clicks:2", "Leader", "Migration3.0", "TableMigration3.5")
		f.wantRows(workersTable, "wid", "a", "b")

		f.crash(f.row(stateTable, "key", "Leader", "ownerName")) // the leader, in INIT
		f.start("c")
		f.wait(2 * time.Minute)
		f.backdate(stateTable, "key", "TableMigration3.5", 61*time.Minute)
		f.wait(time.Minute)
		f.wantStatus("DEPLOYED")

		// One after the other is restarted with the new setting.
		old := slices.Sorted(func(yield func(string) bool) {
			for id := range f.counts() {
				if !yield(id) {
					return
				}
			}
		})
		f.leave(old[0])
		f.start("d", migrate)
		f.wait(90 * time.Second)
		f.wantStatus("DEPLOYED")
		f.want(old[1], "d")
		f.crash(old[1])
		f.start("e", migrate)
		f.wait(3 * time.Minute)
		f.wantStatus("PENDING")
		f.want("d", "e")
		f.wantRows(stateTable, "key", "Leader", "TableMigration3.5")
		f.wantRows("app", "leaseKey", "1:clicks:2", "Migration3.0", "d", "e")

		f.crash(f.row(stateTable, "key", "Leader", "ownerName")) // in PENDING
		f.start("f", migrate)
		f.wait(2 * time.Minute)
		f.backdate(stateTable, "key", "TableMigration3.5", 25*time.Hour)
		f.wait(time.Minute)
		f.wantStatus("COMPLETE")
		f.wantRows(stateTable, "key", "TableMigration3.5")
		if got := f.row("app", "leaseKey", "TableMigration3.5", "tm"); got != "TABLE_MIGRATION_STATUS_COMPLETE" {
			f.Errorf("the lease table says %q", got)
		}
		f.start("g") // it is over, whatever a worker is told
		f.wait(2 * time.Minute)
		f.want(keysOf(f.workers)...)
		f.crash(f.row("app", "leaseKey", "Leader", "ownerName"))
		f.wait(time.Minute)
		f.want(keysOf(f.workers)...)
	})
}

func keysOf[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Until the bake time is over one can go back, and forward again.
func TestTableMigrationGoesBackAndForward(t *testing.T) {
	inTown(t, 4, func(f *town) {
		f.makeLegacy()
		put(f.T, f.client, stateTable, item{
			"key": s("TableMigration3.5"), "entityType": s("TABLE_MIGRATION"), "tm": s("TABLE_MIGRATION_STATUS_DEPLOYED"), "mb": s("x"), "mts": n("1"),
		})
		f.start("a", migrate)
		f.start("b", migrate)
		f.wait(3 * time.Minute)
		f.wantStatus("PENDING")
		f.want("a", "b")

		f.leave("a")
		f.start("c")
		f.wait(3 * time.Minute)
		f.wantStatus("DEPLOYED")
		f.want("b", "c")
		f.leave("b")
		f.start("d")
		f.wait(2 * time.Minute)
		f.wantStatus("DEPLOYED")
		f.want("c", "d")
		f.wantRows(workersTable, "wid", "c", "d")

		f.leave("c")
		f.start("e", migrate)
		f.leave("d")
		f.start("g", migrate)
		f.wait(4 * time.Minute)
		f.wantStatus("PENDING")
		f.want("e", "g")
	})
}

// A worker that cannot do without the other tables keeps the migration from
// beginning, and takes it back.
func TestTableMigrationWaitsForTheLastWorker(t *testing.T) {
	inTown(t, 4, func(f *town) {
		f.makeLegacy()
		put(f.T, f.client, stateTable, item{"key": s("TableMigration3.5"), "tm": s("TABLE_MIGRATION_STATUS_INIT"), "mts": n("1"), "mb": s("x")})
		// A lease of a worker of 3.4, alive or not.
		put(f.T, f.client, "app", item{
			"leaseKey": s("shardId-000000000000"), "leaseCounter": n("1"), "checkpoint": s("TRIM_HORIZON"),
			"ownerSwitchesSinceCheckpoint": n("0"), "leaseOwner": s("old"),
		})
		f.start("a")
		f.wait(3 * time.Second)
		if got := f.status(); got != "" && got != "INIT" {
			f.Errorf("the migration is at %s", got)
		}
	})
}

// Whoever wants to migrate too early is told so, and before it has done anything.
func TestMigrateTablesIsRefusedBeforeTheFleetIsReady(t *testing.T) {
	inTown(t, 1, func(f *town) {
		f.makeLegacy()
		for _, tm := range []string{"", "TABLE_MIGRATION_STATUS_INIT", "TABLE_MIGRATION_STATUS_OF_LATER"} {
			if tm != "" {
				put(f.T, f.client, stateTable, item{"key": s("TableMigration3.5"), "tm": s(tm)})
			}
			store, err := dynamo.New(f.client, "app", migrate)
			if err != nil {
				f.Fatal(err)
			}
			if err := store.Open(f.Context()); !errors.Is(err, lease.ErrUnsupported) || !strings.Contains(err.Error(), stateTable) {
				f.Errorf("%q: Open() = %v, want ErrUnsupported and the table's name", tm, err)
			}
		}
	})
}

// A worker of KCL 3.4 that is started beside an application with one table makes
// its own tables and leads there. The others find out, and there is one leader.
func TestTablesMadeLaterAreFoundOut(t *testing.T) {
	inTown(t, 4, func(f *town) {
		f.start("a")
		f.start("b")
		f.wait(3 * time.Minute)
		f.want("a", "b")
		f.makeTable(stateTable, "key")
		f.makeTable(workersTable, "wid")
		f.wait(3 * time.Minute)
		f.want("a", "b")
		if leader := f.row(stateTable, "key", "Leader", "ownerName"); leader == "" {
			f.Error("nobody leads where the worker of KCL 3.4 looks")
		}
		if leader := f.row("app", "leaseKey", "Leader", "ownerName"); leader != "" {
			f.Errorf("%s leads in the lease table as well", leader)
		}
		if got := f.rows(workersTable, "wid"); !slices.Equal(got, []string{"a", "b"}) {
			f.Errorf("the worker of KCL 3.4 sees %v", got)
		}
	})
}

// The whole way from KCL 2.x to 3.x: nothing foreign is written before it is asked
// for, then the flip, back by what KclMigrationTool does, forward again, and the end.
func TestTheWayFrom2XTo3XAndBack(t *testing.T) {
	inTown(t, 4, func(f *town) {
		f.byShuffle = true
		f.makeTable("app", "leaseKey")
		for i := range 4 { // as a worker of 2.x leaves them
			put(f.T, f.client, "app", item{
				"leaseKey": s("shardId-00000000000" + string(rune('0'+i))), "leaseCounter": n("7"), "checkpoint": s("TRIM_HORIZON"),
				"checkpointSubSequenceNumber": n("0"), "ownerSwitchesSinceCheckpoint": n("0"), "leaseOwner": s("java"),
			})
		}
		f.start("a")
		f.start("b")
		f.wait(2 * time.Minute)
		f.want("a", "b")
		f.wantRows("app", "leaseKey") // nothing that 2.x could not read
		if got := indexes(f); got != 0 {
			f.Errorf("%d indexes", got)
		}

		f.leave("a")
		f.start("c", from2XTo3X)
		f.wait(time.Minute)
		f.leave("b")
		f.start("d", from2XTo3X)
		f.wait(3 * time.Minute)
		if got := f.version(); got != "UPGRADE_FROM_2X" {
			f.Fatalf("the version is %q", got)
		}
		f.want("c", "d")
		f.crash("c") // whoever leads now, the ten minutes begin anew or go on
		f.start("e", from2XTo3X)
		f.wait(13 * time.Minute)
		if got := f.version(); got != "3X_WITH_ROLLBACK" {
			f.Fatalf("the version is %q", got)
		}
		f.want("d", "e")

		f.write("CLIENT_VERSION_2X") // KclMigrationTool, rollback
		f.wait(3 * time.Minute)
		f.want("d", "e")
		f.wantRows("app", "leaseKey", "Migration3.0")
		f.write("CLIENT_VERSION_UPGRADE_FROM_2X") // rollforward
		f.wait(13 * time.Minute)
		if got := f.version(); got != "3X_WITH_ROLLBACK" {
			f.Fatalf("the version is %q", got)
		}
		f.want("d", "e")

		f.leave("d")
		f.start("g", to3X)
		f.leave("e")
		f.start("h", to3X)
		f.wait(3 * time.Minute)
		if got := f.version(); got != "3X" {
			f.Errorf("the version is %q", got)
		}
		f.want("g", "h")
		f.wantRows("app", "leaseKey", "Leader", "Migration3.0", "g", "h")
	})
}

// A worker of the KCL that takes an application on from 2.x writes the version, and
// then adds the index. If it is added under its hands it tries its start again, but
// never begins to look on whether the others are ready, so that its application
// stays where it is. Nobody of ours adds the index in the minute after the version
// changed.
func TestTheIndexIsLeftToTheOneThatWroteTheVersion(t *testing.T) {
	inTown(t, 4, func(f *town) {
		f.byShuffle = true
		f.makeTable("app", "leaseKey")
		for i := range 4 {
			put(f.T, f.client, "app", item{
				"leaseKey": s("shardId-00000000000" + string(rune('0'+i))), "leaseCounter": n("7"), "checkpoint": s("TRIM_HORIZON"),
				"checkpointSubSequenceNumber": n("0"), "ownerSwitchesSinceCheckpoint": n("0"), "leaseOwner": s("java"),
			})
		}
		f.start("a")
		f.start("b")
		f.wait(2 * time.Minute)
		put(f.T, f.client, "app", item{
			"leaseKey": s("Migration3.0"), "entityType": s("CLIENT_VERSION_MIGRATION"), "cv": s("CLIENT_VERSION_UPGRADE_FROM_2X"),
			"mb": s("java"), "mts": n(strconv.FormatInt(time.Now().UnixMilli(), 10)),
		})
		f.wait(55 * time.Second)
		f.wantRows("app", "leaseKey", "Migration3.0", "a", "b") // both have seen it
		if got := indexes(f); got != 0 {
			f.Error("the index was added within a minute")
		}
		f.wait(3 * time.Minute) // nobody else does
		if got := indexes(f); got != 1 {
			f.Errorf("%d indexes, want 1", got)
		}
		f.want("a", "b")
	})
}

func (f *town) version() string {
	f.Helper()
	return strings.TrimPrefix(f.row("app", "leaseKey", "Migration3.0", "cv"), "CLIENT_VERSION_")
}

// write changes the version as KclMigrationTool does.
func (f *town) write(cv string) {
	put(f.T, f.client, "app", item{"leaseKey": s("Migration3.0"), "entityType": s("CLIENT_VERSION_MIGRATION"), "cv": s(cv), "mb": s("tool"), "mts": n("1")})
}

func indexes(f *town) int { return len(describe(f.T, f.client).GlobalSecondaryIndexes) }

// In an application with three tables workers of 2.x are not disturbed by rows of
// others, and the version is where KCL 3.0 to 3.4 has it.
func TestTheWayFrom2XWithThreeTables(t *testing.T) {
	inTown(t, 4, func(f *town) {
		f.byShuffle = true
		f.makeTable("app", "leaseKey")
		f.makeTable(stateTable, "key")
		f.makeTable(workersTable, "wid")
		put(f.T, f.client, stateTable, item{"key": s("Migration3.0"), "cv": s("CLIENT_VERSION_UPGRADE_FROM_2X"), "mb": s("old"), "mts": n("1")})
		f.start("a")
		f.start("b")
		f.wait(13 * time.Minute)
		f.want("a", "b")
		if got := f.row(stateTable, "key", "Migration3.0", "cv"); got != "CLIENT_VERSION_3X_WITH_ROLLBACK" {
			f.Errorf("the version is %q", got)
		}
		f.wantRows("app", "leaseKey")
	})
}

// What merely has the name of a table of KCL 3.0 to 3.4, or is not ready, disturbs
// nobody who runs.
func TestTablesOfTheSameNameDisturbNobody(t *testing.T) {
	inTown(t, 2, func(f *town) {
		f.start("a")
		f.wait(time.Minute)
		f.makeTable(stateTable, "id")
		f.wait(2 * time.Minute)
		f.want("a")
		if leader := f.row("app", "leaseKey", "Leader", "ownerName"); leader != "a" {
			f.Errorf("%q leads", leader)
		}
		store, err := dynamo.New(f.client, "app")
		if err != nil {
			f.Fatal(err)
		}
		if err := store.Open(f.Context()); !errors.Is(err, lease.ErrUnsupported) {
			f.Errorf("Open() = %v, want ErrUnsupported", err)
		}
	})
}

// After the migration the other tables can be deleted under the workers.
func TestTablesCanBeDeletedAfterTheMigration(t *testing.T) {
	inTown(t, 2, func(f *town) {
		f.makeLegacy()
		put(f.T, f.client, "app", item{"leaseKey": s("Migration3.0"), "entityType": s("CLIENT_VERSION_MIGRATION"), "cv": s("CLIENT_VERSION_3X")})
		put(f.T, f.client, stateTable, item{"key": s("TableMigration3.5"), "tm": s("TABLE_MIGRATION_STATUS_COMPLETE"), "mts": n("1")})
		f.start("a")
		f.wait(time.Minute)
		f.want("a")
		for _, table := range []string{stateTable, workersTable} {
			if _, err := f.client.DeleteTable(f.Context(), &dynamodb.DeleteTableInput{TableName: &table}); err != nil {
				f.Fatal(err)
			}
		}
		f.start("b")
		f.wait(2 * time.Minute)
		f.want("a", "b")
	})
}
