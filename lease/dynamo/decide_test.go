package dynamo

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kinesis-go/kinesis/lease"
)

// The table of the KCL: what its row of the migration says and what the worker is
// configured to decide where rows are looked for and written.
func TestLayoutIsDecidedAsTheKCLDoes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		tm      string
		legacy  bool
		migrate bool
		want    layout
		refused bool // at the start
	}{
		{"", false, false, layoutSingle, false},
		{"", false, true, layoutSingle, false},
		{"", true, false, layoutInit, false},
		{"", true, true, layoutInit, true},
		{tableInit, true, false, layoutInit, false},
		{tableInit, true, true, layoutInit, true},
		{tableDeployed, true, false, layoutDeployed, false},
		{tableDeployed, true, true, layoutPending, false},
		{tablePending, true, false, layoutDeployed, false},
		{tablePending, true, true, layoutPending, false},
		{tableComplete, true, false, layoutSingle, false},
		{tableComplete, true, true, layoutSingle, false},
	}
	for _, tt := range tests {
		got, err := decideLayout(tt.legacy, tt.tm, tt.migrate, false)
		if got != tt.want || err != nil {
			t.Errorf("%q, tables %v, migrate %v: %v, %v, want %v", tt.tm, tt.legacy, tt.migrate, got, err, tt.want)
		}
		if _, err := decideLayout(tt.legacy, tt.tm, tt.migrate, true); errors.Is(err, errNotReady) != tt.refused {
			t.Errorf("%q, tables %v, migrate %v: start gives %v, want refused %v", tt.tm, tt.legacy, tt.migrate, err, tt.refused)
		}
	}
	if _, err := decideLayout(true, "TABLE_MIGRATION_STATUS_LATER", false, false); err == nil {
		t.Error("a status that nobody knows gives no error")
	}
}

func TestRowsOfEachKindHaveTheirPlace(t *testing.T) {
	t.Parallel()
	s := &Store{application: "app", table: "leases"}
	for l, want := range map[layout]string{
		layoutSingle:   "[leases] leases, lock leases, worker leases",
		layoutPending:  "[app-CoordinatorState leases] leases, lock app-CoordinatorState, worker leases",
		layoutDeployed: "[app-CoordinatorState leases] app-CoordinatorState, lock app-CoordinatorState, worker app-WorkerMetricStats",
		layoutInit:     "[app-CoordinatorState leases] app-CoordinatorState, lock app-CoordinatorState, worker app-WorkerMetricStats",
	} {
		read, write := s.states(l)
		var from []string
		for _, p := range read {
			from = append(from, p.table)
		}
		got := fmt.Sprintf("%v %s, lock %s, worker %s", from, write.table, s.lockPlace(l).table, s.workerPlace(layoutState{layout: l, workers: true}).table)
		if got != want {
			t.Errorf("%v: %s, want %s", l, got, want)
		}
	}
}

func TestVersionGoesOnAsTheKCLs(t *testing.T) {
	t.Parallel()
	const minute, never = time.Minute, time.Duration(0)
	tests := []struct {
		name       string
		cv, speaks string
		want       Version
		led, ready time.Duration
		next       string
	}{
		{"nobody marks before it led for a minute", "", version3X, VersionFound, minute - 1, never, ""},
		{"a new application", "", version3X, VersionFound, minute, never, version3X},
		{"one of 2.x stays", "", versionInit, VersionFound, time.Hour, never, ""},
		{"one of 2.x stays, its row says so", versionInit, versionInit, VersionFound, time.Hour, never, versionInit},
		{"one of 2.x moves on", "", versionInit, Version2XTo3X, minute, never, versionUpgrade},
		{"one of 2.x jumps", "", version3X, Version3X, minute, never, version3X},
		{"not ready", versionUpgrade, versionUpgrade, Version2XTo3X, time.Hour, never, versionUpgrade},
		{"not ready for long", versionUpgrade, versionUpgrade, VersionFound, time.Hour, readyFor - 1, versionUpgrade},
		{"ready for long", versionUpgrade, versionUpgrade, VersionFound, time.Hour, readyFor, version3XBack},
		{"no way back only when told", version3XBack, version3XBack, Version2XTo3X, time.Hour, never, version3XBack},
		{"no way back", version3XBack, version3XBack, Version3X, minute, never, version3X},
		{"rolled back stays", version2X, version2X, Version3X, time.Hour, time.Hour, version2X},
		{"the last one", version3X, version3X, Version2XTo3X, time.Hour, time.Hour, version3X},
	}
	for _, tt := range tests {
		if got := nextVersion(tt.cv, tt.speaks, tt.want, tt.led, tt.ready); got != tt.next {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.next)
		}
	}
	for cv, want := range map[string]lease.Phase{
		versionInit:    {Assign: lease.AssignByTaking, Elect: lease.ElectByShuffle, Quiet: true},
		version2X:      {Assign: lease.AssignByTaking, Elect: lease.ElectByShuffle, Quiet: true},
		versionUpgrade: {Assign: lease.AssignByTaking, Elect: lease.ElectByShuffle},
		version3XBack:  {}, version3X: {},
	} {
		if got, err := phaseOf(cv); got != want || err != nil {
			t.Errorf("phaseOf(%s) = %+v, %v, want %+v", cv, got, err, want)
		}
	}
	if _, err := phaseOf("CLIENT_VERSION_4X"); !errors.Is(err, lease.ErrUnsupported) {
		t.Errorf("phaseOf() of a later version = %v, want ErrUnsupported", err)
	}
}

func TestApplicationOf2XIsRecognised(t *testing.T) {
	t.Parallel()
	leased := func(owners ...string) []lease.Row {
		var rows []lease.Row
		for i, o := range owners {
			rows = append(rows, lease.Row{Key: fmt.Sprint(i), Owner: o})
		}
		return rows
	}
	shown := []lease.Worker{{ID: "a"}}
	tests := []struct {
		name  string
		snap  lease.Snapshot
		index bool
		want  string
	}{
		{"nothing at all", lease.Snapshot{}, false, version3X},
		{"new, with the index", lease.Snapshot{}, true, version3X},
		{"2.x runs", lease.Snapshot{Rows: leased("a", "b")}, false, versionInit},
		{"2.x runs on a table with the index", lease.Snapshot{Rows: leased("a")}, true, versionInit},
		{"2.x runs beside one that shows itself", lease.Snapshot{Rows: leased("a", "b"), Workers: shown}, true, versionInit},
		{"2.x was stopped", lease.Snapshot{Rows: leased("", "")}, false, versionInit},
		{"2.x hands over", lease.Snapshot{Rows: []lease.Row{{Key: "k", Owner: "a", Leaving: "b"}}, Workers: shown}, true, versionInit},
		{"this library runs", lease.Snapshot{Rows: leased("a", "a"), Workers: shown}, true, version3X},
		{"this library runs without the index", lease.Snapshot{Rows: leased("a", ""), Workers: shown}, false, version3X},
		{"this library was stopped", lease.Snapshot{Rows: leased("", "")}, true, version3X},
		{"this library leads without the index", lease.Snapshot{Rows: leased(""), Lock: lease.Lock{Version: "v"}}, false, version3X},
	}
	for _, tt := range tests {
		if got := recognise(&tt.snap, tt.index); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestFleetIsReadyWhenEveryOwnerShowsItself(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	fresh := lease.Worker{ID: "a", Updated: now.Add(-workerFresh + time.Second), Support: 1, SupportUpdated: now.Add(-supportFresh)}
	old := lease.Worker{ID: "b", Updated: now.Add(-workerFresh), Support: 1, SupportUpdated: now.Add(-supportFresh - time.Second)}
	mute := lease.Worker{ID: "c", Updated: now}
	tests := []struct {
		name            string
		owners          []string
		ready, supports bool
	}{
		{"one", []string{"a"}, true, true},
		{"an old row", []string{"a", "b"}, false, false},
		{"one without a row, its lease expired or not", []string{"a", "z"}, false, false},
		{"a lease that nobody owns", []string{"a", ""}, false, true},
		{"one that says nothing of tables", []string{"a", "c"}, true, false},
		{"no lease", nil, true, false},
	}
	for _, tt := range tests {
		snap := lease.Snapshot{Workers: []lease.Worker{fresh, old, mute}}
		for i, o := range tt.owners {
			snap.Rows = append(snap.Rows, lease.Row{Key: fmt.Sprint(i), Owner: o})
		}
		if got := fleetReady(now, &snap); got != tt.ready {
			t.Errorf("%s: ready %v", tt.name, got)
		}
		if got := fleetSupports(now, &snap); got != tt.supports {
			t.Errorf("%s: supports %v", tt.name, got)
		}
	}
}

func TestTableMigrationGoesStepByStep(t *testing.T) {
	t.Parallel()
	const bake = 24 * time.Hour
	tests := []struct {
		name  string
		facts tableFacts
		want  tableStep
	}{
		{"not every worker can", tableFacts{layout: layoutInit}, stepNone},
		{"not every worker can any more", tableFacts{layout: layoutInit, tm: tableInit, since: bake}, stepDrop},
		{"every worker can", tableFacts{layout: layoutInit, support: true}, stepInit},
		{"for less than an hour", tableFacts{layout: layoutInit, support: true, tm: tableInit, since: initFor - 1}, stepNone},
		{"for an hour", tableFacts{layout: layoutInit, support: true, tm: tableInit, since: initFor}, stepDeployed},
		{"waits for the operator", tableFacts{layout: layoutDeployed, tm: tableDeployed, since: bake}, stepNone},
		{"the operator goes back", tableFacts{layout: layoutDeployed, tm: tablePending, since: bake}, stepDeployed},
		{"the row was lost", tableFacts{layout: layoutPending}, stepDeployed},
		{"an owner shows itself nowhere", tableFacts{layout: layoutPending, tm: tableDeployed}, stepNone},
		{"a worker still writes to the old table", tableFacts{layout: layoutPending, tm: tableDeployed, shown: true, stray: true}, stepNone},
		{"all write to the lease table", tableFacts{layout: layoutPending, tm: tableDeployed, shown: true, left: true}, stepMove},
		{"moved, baking", tableFacts{layout: layoutPending, tm: tablePending, shown: true, since: bake - 1}, stepNone},
		{"moved, and one writes to the old table", tableFacts{layout: layoutPending, tm: tablePending, shown: true, since: bake, stray: true}, stepDeployed},
		{"moved, and there are rows again", tableFacts{layout: layoutPending, tm: tablePending, shown: true, since: bake, left: true}, stepDeployed},
		{"baked", tableFacts{layout: layoutPending, tm: tablePending, shown: true, since: bake}, stepComplete},
		{"over", tableFacts{layout: layoutSingle, tm: tableComplete, since: bake}, stepNone},
	}
	for _, tt := range tests {
		if got := nextStep(tt.facts, bake); got != tt.want {
			t.Errorf("%s: step %d, want %d", tt.name, got, tt.want)
		}
	}
}
