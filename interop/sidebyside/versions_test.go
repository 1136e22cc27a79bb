//go:build java

package sidebyside

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// beside34 is a fleet of three versions, on the three tables that 3.4 made.
func beside34(t *testing.T, s *scenario) {
	w := newWorld(t, 6)
	w.produce(60)
	old := w.java(kcl34, "java-34")
	w.holding(old, 6, joins)
	go1 := w.ours("go-1")
	w.holding(go1, 2, joins)
	w.reads(go1, soon)
	java35 := w.java(kcl35, "java-35")
	w.holding(java35, 1, joins)
	w.reads(java35, soon)
	w.kill(old)
	w.all(6, go1, java35)
	w.stop(java35)
	w.all(6, go1)
	w.finish(s)
}

// all awaits that these workers hold n leases together.
func (w *world) all(n int, workers ...*worker) {
	w.t.Helper()
	w.await("all leases are with the living", joins, func() bool {
		held := 0
		for _, k := range workers {
			held += len(w.held[k.name])
		}
		return held >= n
	})
}

// beside27 is a fleet whose workers take leases for themselves.
func beside27(t *testing.T, s *scenario) {
	s.steals = true // it knows no other way
	w := newWorld(t, 4)
	w.produce(40)
	java1 := w.java(kcl27, "java-1")
	w.holding(java1, 4, joins)
	go1 := w.ours("go-1")
	w.holding(go1, 2, joins)
	w.reads(go1, soon)
	w.split(w.one(java1))
	w.split(w.one(go1))
	w.begunShards(8)
	w.kill(java1)
	w.all(6, go1)
	java2 := w.java(kcl27, "java-2")
	w.holding(java2, 2, joins)
	w.reads(java2, soon)
	w.kill(go1)
	w.all(6, java2)
	w.finish(s)
}

// rolling goes from KCL 2.7 to ours, to 3.5 in its first phase, and all the way
// back; somebody reads all the time.
func rolling(t *testing.T, s *scenario) {
	s.steals = true
	w := newWorld(t, 4)
	w.produce(40)
	last := w.java(kcl27, "java-1")
	w.holding(last, 4, joins)
	for _, begin := range []func() *worker{
		func() *worker { return w.ours("go-1") },
		func() *worker {
			return w.java(kcl35, "java-2", "--client-version=CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X_PHASE1")
		},
		func() *worker { return w.ours("go-2") },
		func() *worker { return w.java(kcl27, "java-3") },
	} {
		next := begin()
		w.holding(next, 2, joins)
		w.stop(last)
		w.all(4, next)
		last = next
	}
	w.finish(s)
}

// flip takes an application of 2.x on to 3.x as the KCL's manual has it, back with
// its tool, and forward again: all of it with ours present. A worker of Java leads
// by its name, and looks for ten minutes on whether the others are ready, which no
// row shortens: it remembers when it began.
func flip(t *testing.T, s *scenario) {
	s.steals = true
	w := newWorld(t, 4)
	w.produce(20)
	old := w.java(kcl27, "java-27")
	w.holding(old, 4, joins)
	go1 := w.ours("ours-1")
	w.holding(go1, 1, joins)
	java1 := w.java(kcl35, "java-1", "--client-version=CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X_PHASE1")
	w.holding(java1, 1, joins)
	w.stop(old)
	w.all(4, go1, java1)
	java2 := w.java(kcl35, "java-2", "--client-version=CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X")
	w.holding(java2, 1, joins) // it does not survive an index that somebody else makes at the same time
	go2 := w.ours("ours-2", "-version", "COMPATIBLE_WITH_2X")
	w.holding(go2, 1, joins)
	w.stop(go1)
	w.stop(java1)
	w.all(4, java2, go2)
	w.clientVersion("UPGRADE_FROM_2X", joins)
	took := w.clientVersion("3X_WITH_ROLLBACK", 5*joins)
	results.measured("both ready for 3.x to the flip", "Java leads", "%.0f s", took.Seconds())

	queries := func(k *worker) int { k.wire.mu.Lock(); defer k.wire.mu.Unlock(); return k.wire.calls["Query"] }
	java, ours := queries(java2), queries(go2)
	w.await("one leads by the lock, and both look for leases they were given", joins, func() bool {
		return w.rows(t.Context())["Leader"] != nil && queries(java2) > java+1 && queries(go2) > ours+1
	})
	w.tool("2X", "rollback")
	w.await("nobody leads by the lock, and both show themselves no longer", joins, func() bool {
		rows := w.rows(t.Context())
		return rows["Leader"] == nil && shownFor(rows, go2) < 0 && shownFor(rows, java2) > 45*time.Second
	})
	w.tool("UPGRADE_FROM_2X", "rollforward")
	w.await("both show themselves again", joins, func() bool {
		rows := w.rows(t.Context())
		return shownFor(rows, go2) >= 0 && shownFor(rows, java2) < 45*time.Second
	})
	w.all(4, java2, go2)
	w.kill(java2)
	w.all(4, go2)
	w.finish(s)
}

// clientVersion awaits a state of the migration of the client version.
func (w *world) clientVersion(state string, within time.Duration) time.Duration {
	w.t.Helper()
	return w.await("the client version is "+state, within, func() bool {
		return str(w.rows(w.t.Context())["Migration3.0"]["cv"]) == "CLIENT_VERSION_"+state
	})
}

// shownFor returns how old a worker's row is, less than 0 without one.
func shownFor(rows map[string]item, k *worker) time.Duration {
	at, err := strconv.ParseInt(str(rows[k.name]["lut"]), 10, 64)
	if err != nil {
		return -1
	}
	return time.Since(time.Unix(at, 0))
}

// tool writes the client version as the KCL's migration tool does.
func (w *world) tool(state, by string) {
	w.t.Helper()
	if _, err := w.dynamodb.UpdateItem(w.t.Context(), &dynamodb.UpdateItemInput{
		TableName: &w.app, Key: item{"leaseKey": &types.AttributeValueMemberS{Value: "Migration3.0"}},
		UpdateExpression:    aws.String("SET cv = :cv, mb = :mb, mts = :mts"),
		ConditionExpression: aws.String("attribute_exists(cv)"),
		ExpressionAttributeValues: item{
			":cv":  &types.AttributeValueMemberS{Value: "CLIENT_VERSION_" + state},
			":mb":  &types.AttributeValueMemberS{Value: "KclMigrationTool-" + by},
			":mts": &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().UnixMilli())},
		},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// oneTable takes an application of 3.4 on to one table. The waits of the
// migration, an hour and a day, count from a stored time, which is made older.
func oneTable(t *testing.T, s *scenario) {
	w := newWorld(t, 4)
	w.produce(40)
	old := w.java(kcl34, "java-34")
	w.holding(old, 4, joins)
	go1 := w.ours("go-1")
	w.holding(go1, 2, joins)
	w.stop(old)
	java1 := w.java(kcl35, "java-1")
	w.holding(java1, 2, joins)
	w.migration("INIT")
	w.backdate()
	w.migration("DEPLOYED")

	w.stop(go1)
	go2 := w.ours("go-2", "-migrate-tables")
	w.holding(go2, 2, joins)
	w.stop(java1)
	java2 := w.java(kcl35, "java-2", "--migrate-tables=true")
	w.holding(java2, 2, joins)
	w.migration("PENDING")
	w.backdate()
	w.migration("COMPLETE")
	w.reads(java2, soon)
	w.reads(go2, soon)
	w.all(4, go2, java2)
	w.finish(s)
}

// migration awaits a state of the migration to one table.
func (w *world) migration(state string) {
	w.t.Helper()
	w.await("the migration is "+state, 2*joins, func() bool {
		out, err := w.dynamodb.GetItem(w.t.Context(), &dynamodb.GetItemInput{
			TableName: aws.String(w.app + "-CoordinatorState"), Key: migrationKey, ConsistentRead: aws.Bool(true),
		})
		return err == nil && str(out.Item["tm"]) == "TABLE_MIGRATION_STATUS_"+state
	})
}

var migrationKey = item{"key": &types.AttributeValueMemberS{Value: "TableMigration3.5"}}

// backdate makes the migration's state two days old.
func (w *world) backdate() {
	w.t.Helper()
	if _, err := w.dynamodb.UpdateItem(w.t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String(w.app + "-CoordinatorState"), Key: migrationKey,
		UpdateExpression:          aws.String("SET mts = :t"),
		ConditionExpression:       aws.String("attribute_exists(mts)"),
		ExpressionAttributeValues: item{":t": &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().Add(-48 * time.Hour).UnixMilli())}},
	}); err != nil {
		w.t.Fatal(err)
	}
}
