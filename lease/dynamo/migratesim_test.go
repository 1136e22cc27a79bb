package dynamo_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kinesis-go/kinesis/internal/sim"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// A journey is a fleet that goes through both migrations, to and fro, by a schedule
// made from a seed: workers are restarted with other options, crash, are throttled
// and cut off, the operator changes his mind, time passes. In the end everything
// heals: every shard is held, positions have never gone back, one worker leads.
type journey struct {
	*town
	seed sim.Seed
	n    uint64
	born int
}

func (j *journey) roll(limit int, site string) int {
	j.n++
	return j.seed.IntN(limit, site, "", j.n)
}

func TestSimulationOfMigrations(t *testing.T) {
	t.Parallel()
	sim.Run(t, 1, func(t *testing.T, seed sim.Seed) {
		j := &journey{town: newTown(t, 3), seed: seed}
		j.byShuffle = true // not judged while workers disagree; checkEnd does
		defer j.end()
		j.settle()
		for range 2 {
			j.join()
		}
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
			j.wait(time.Duration(2+j.roll(40, "pause")) * time.Second)
			j.disturb()
		}
		j.wait(3 * time.Minute)
		j.checkEnd()
	})
}

// settle makes what was there before the first worker.
func (j *journey) settle() {
	kind := j.roll(5, "tables")
	if kind == 0 {
		return // a new application
	}
	j.makeTable("app", "leaseKey")
	for i := range j.shards {
		put(j.T, j.client, "app", item{
			"leaseKey": s(fmt.Sprintf("shardId-%012d", i)), "leaseCounter": n("7"), "checkpoint": s("TRIM_HORIZON"),
			"checkpointSubSequenceNumber": n("0"), "ownerSwitchesSinceCheckpoint": n("0"), "leaseOwner": s("java"),
		})
	}
	if kind == 1 {
		return // of KCL 2.x
	}
	j.makeTable(stateTable, "key")
	j.makeTable(workersTable, "wid")
	cv := []string{"3X", "UPGRADE_FROM_2X", "3X_WITH_ROLLBACK"}[kind-2]
	put(j.T, j.client, stateTable, item{"key": s("Migration3.0"), "cv": s("CLIENT_VERSION_" + cv), "mb": s("old"), "mts": n("1")})
}

// join starts a worker with options by chance.
func (j *journey) join() {
	j.born++
	j.start(fmt.Sprintf("w%d", j.born), func(o *dynamo.Options) {
		o.Version = dynamo.Version(j.roll(3, "version"))
		o.MigrateTables = j.roll(3, "migrate") > 0 && (!j.three() || j.status() == "DEPLOYED" || j.status() == "PENDING")
	})
}

// three reports whether there are three tables.
func (j *journey) three() bool {
	out, err := j.client.ListTables(j.Context(), nil)
	if err != nil {
		j.Fatal(err)
	}
	return slices.Contains(out.TableNames, stateTable)
}

func (j *journey) disturb() {
	ids := keysOf(j.workers)
	id := ids[j.roll(len(ids), "who")]
	switch j.roll(10, "what") {
	case 0, 1:
		j.crash(id)
		j.join()
	case 2, 3, 4:
		j.leave(id)
		j.join()
	case 5:
		j.srv.Inject(kinesistest.Fault{Client: id, Error: kinesistest.Throttled, Probability: 0.5, Seed: j.n, For: 20 * time.Second})
	case 6:
		j.srv.Inject(kinesistest.Fault{Client: id, Lose: kinesistest.LoseResponse, Probability: 0.3, Seed: j.n, For: 20 * time.Second})
	case 7, 8:
		if j.three() && j.status() != "" {
			j.backdate(stateTable, "key", "TableMigration3.5", 25*time.Hour)
		}
	case 9:
		j.rollBack()
	}
}

// rollBack does what the KCL's tool does, back or forward, where it may.
func (j *journey) rollBack() {
	table, key := "app", "leaseKey"
	if j.three() && j.row(stateTable, "key", "Migration3.0", "cv") != "" {
		table, key = stateTable, "key"
	}
	next := map[string]string{
		"CLIENT_VERSION_UPGRADE_FROM_2X": "CLIENT_VERSION_2X", "CLIENT_VERSION_3X_WITH_ROLLBACK": "CLIENT_VERSION_2X",
		"CLIENT_VERSION_2X": "CLIENT_VERSION_UPGRADE_FROM_2X",
	}[j.row(table, key, "Migration3.0", "cv")]
	if next != "" {
		put(j.T, j.client, table, item{key: s("Migration3.0"), "entityType": s("CLIENT_VERSION_MIGRATION"), "cv": s(next), "mb": s("tool"), "mts": n("1")})
	}
}

func (j *journey) checkEnd() {
	j.want(keysOf(j.workers)...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.leaders) != 1 {
		j.Errorf("%v lead", keysOf(j.leaders))
	}
	for id, w := range j.workers {
		select {
		case err := <-w.done:
			j.Errorf("%s ended: %v", id, err)
			w.done <- err
		default:
		}
	}
}
