package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/lease"
)

// A Version is how far a worker takes the application on the way from KCL 2.x to
// 3.x, which its workers go together: each of them acts by what the row
// Migration3.0 says, and the leader writes it. The constants have their
// counterparts in the KCL's ClientVersionConfig.
type Version int

// The versions. With any of them a worker runs beside those of any other, but for
// one: a worker of KCL 2.x cannot read a lease table with rows that are no leases,
// so that it is to be gone when the first worker has Version2XTo3X or Version3X,
// unless these rows have tables of their own because KCL 3.0 to 3.4 has run.
const (
	// VersionFound leaves the application as it is. One of 2.x is known by an owner
	// of a lease who has no row of its own, or by a table with leases that has neither
	// the index nor rows of another kind: the workers take leases for themselves, and
	// none writes a row that 2.x could not read (the KCL's COMPATIBLE_WITH_2X_PHASE1).
	// A new application is one of 3.5.
	VersionFound Version = iota

	// Version2XTo3X moves an application of 2.x on to 3.x once every worker that
	// holds a lease has shown for ten minutes that it can, and is as VersionFound
	// afterwards. One can go back, with the KCL's migration tool
	// (COMPATIBLE_WITH_2X).
	Version2XTo3X

	// Version3X ends that: there is no way back (3X, the KCL's default).
	Version3X

	numVersions
)

// The row that says which version of the protocol the workers speak.
const (
	versionKey     = "Migration3.0"
	attrVersion    = "cv"
	versionInit    = "CLIENT_VERSION_INIT"
	versionUpgrade = "CLIENT_VERSION_UPGRADE_FROM_2X"
	version2X      = "CLIENT_VERSION_2X"
	version3XBack  = "CLIENT_VERSION_3X_WITH_ROLLBACK"
	version3X      = "CLIENT_VERSION_3X"
)

// Attributes of rows with a history, those of both migrations.
const (
	attrBy      = "mb"
	attrAt      = "mts" // epoch milliseconds
	attrHistory = "h"   // newest first
	maxHistory  = 10
)

// The periods of the migrations.
const (
	phaseAgain       = time.Minute      // between looks at a version that can change
	guessAgain       = 20 * time.Second // while nothing says which it is
	moveAgain        = 30 * time.Second
	leadBeforeMarked = time.Minute
	readyFor         = 10 * time.Minute // until the fleet goes on to 3.x
	indexAfter       = time.Minute      // from the write of the version to that of the index
	workerFresh      = time.Minute      // of a worker's row
	supportFresh     = 90 * time.Second // of what it says it supports
)

// Phase implements [lease.Store]. The leader's call also takes the migrations on:
// that of the version, and that to one table. As leader of a new application it
// marks it as one of version 3 after one to two minutes.
func (s *Store) Phase(ctx context.Context, f lease.Facts) (lease.Phase, error) {
	l, err := s.lookAtLayout(ctx, searchTables)
	if err != nil {
		return lease.Phase{}, err
	}
	cv, err := s.version(ctx, f, l.layout)
	if err != nil {
		return lease.Phase{}, err
	}
	phase, err := phaseOf(cv)
	if err != nil {
		return lease.Phase{}, fmt.Errorf("dynamo: table %s: %w", s.table, err)
	}
	if err := s.tendIndex(ctx, cv); err != nil {
		return lease.Phase{}, err
	}
	phase.Again = phaseAgain
	if cv == versionInit {
		phase.Again = guessAgain
	}
	if l.layout != layoutSingle {
		phase.Again = moveAgain
		if f.Led > 0 && phase.Elect == lease.ElectByLock {
			if l, err = s.migrateTables(ctx, f, l); err != nil {
				return lease.Phase{}, err
			}
		}
	}
	if cv == version3X && l.final {
		phase.Again = 0
	}
	phase.Name = cv + ", " + l.String()
	return phase, nil
}

// phaseOf says how workers live together that speak a version.
func phaseOf(cv string) (lease.Phase, error) {
	taking := lease.Phase{Assign: lease.AssignByTaking, Elect: lease.ElectByShuffle}
	switch cv {
	case version3X, version3XBack:
		return lease.Phase{}, nil
	case versionUpgrade:
		return taking, nil
	case versionInit, version2X:
		taking.Quiet = true
		return taking, nil
	}
	return lease.Phase{}, fmt.Errorf("its workers speak %.60q, which this library does not: %w", cv, lease.ErrUnsupported)
}

// version returns the version that the workers speak, and as leader takes it on.
func (s *Store) version(ctx context.Context, f lease.Facts, l layout) (string, error) {
	s.mu.Lock()
	known := s.version3X
	s.mu.Unlock()
	if known {
		return version3X, nil // for good
	}
	at, it, err := s.versionRow(ctx, l)
	if err != nil {
		return "", err
	}
	cv, _ := text(it, attrVersion)
	if len(it) == 0 {
		cv = ""
	}
	speaks := cv
	if cv == "" || cv == versionInit {
		if speaks, err = s.firstVersion(ctx); err != nil {
			return "", err
		}
	}
	next := nextVersion(cv, speaks, s.options.Version, f.Led, 0)
	if cv == versionUpgrade {
		ready, err := s.readySince(ctx, f, it)
		if err != nil {
			return "", err
		}
		next = nextVersion(cv, speaks, s.options.Version, f.Led, ready)
	}
	if next != cv {
		made, err := s.writeHistory(ctx, at, versionKey, typeVersion, attrVersion, it, next, f.Worker)
		if err != nil {
			return "", err
		}
		if !made {
			return s.versionAgain(ctx, l, speaks)
		}
		speaks = next
	}
	if speaks == version3X && next == version3X {
		s.mu.Lock()
		s.version3X = true
		s.mu.Unlock()
	}
	return speaks, nil
}

// versionAgain reads the version after another worker was faster to write it.
func (s *Store) versionAgain(ctx context.Context, l layout, spoke string) (string, error) {
	_, it, err := s.versionRow(ctx, l)
	if err != nil {
		return "", err
	}
	if cv, _ := text(it, attrVersion); cv != "" && cv != versionInit {
		return cv, nil
	}
	return spoke, nil
}

// versionRow returns the row of the version, and where it is or is to be.
func (s *Store) versionRow(ctx context.Context, l layout) (place, item, error) {
	read, write := s.states(l)
	for _, p := range read {
		it, err := s.getFrom(ctx, p, versionKey)
		if err != nil || len(it) > 0 {
			return p, it, err
		}
	}
	return write, nil, nil
}

// nextVersion returns what the row of the version is to say. Cv is what it says,
// empty if there is none; speaks what the workers speak then. Only a leader of a
// minute writes it: a worker of the KCL that starts at the same moment and finds
// it written under its hands does not survive that. Ready is for how long the
// fleet could have gone on.
func nextVersion(cv, speaks string, want Version, led, ready time.Duration) string {
	if led < leadBeforeMarked {
		return cv
	}
	switch cv {
	case "", versionInit:
		if speaks == version3X {
			return version3X
		}
		if want == Version2XTo3X {
			return versionUpgrade
		}
	case versionUpgrade:
		if ready >= readyFor {
			return version3XBack
		}
	case version3XBack:
		if want == Version3X {
			return version3X
		}
	}
	return cv
}

// firstVersion returns what the workers speak that have not agreed on anything.
func (s *Store) firstVersion(ctx context.Context) (string, error) {
	switch s.options.Version {
	case Version3X:
		return version3X, nil
	case Version2XTo3X:
		return versionInit, nil // until the leader has written that they agree
	}
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	index := s.index.present
	s.mu.Unlock()
	return recognise(&snap, index), nil
}

// recognise tells an application of KCL 2.x from one in which the row of the
// version was not written yet: a new one of this library, since a worker of KCL 3
// writes it before anything else. Workers of this library have a row each, unless
// they have recognised 2.x themselves, and make every table with an index. A guess
// made while a worker comes or goes is made again in a moment.
func recognise(snap *lease.Snapshot, index bool) string {
	shown := make(map[string]bool, len(snap.Workers))
	for _, w := range snap.Workers {
		shown[w.ID] = true
	}
	for i := range snap.Rows {
		r := &snap.Rows[i]
		if id := r.Reader(); id != "" && !shown[id] {
			return versionInit
		}
	}
	if len(snap.Rows) > 0 && !index && len(snap.Workers) == 0 && snap.Lock.Version == "" {
		return versionInit
	}
	return version3X
}

// readySince returns for how long the fleet could have gone on to 3.x, as the
// leader that looks. It adds the index, which no worker needs before, though not
// while the version is new: a worker of the KCL writes that first, and does not
// survive it if the index is added under its hands; it starts, but never goes on.
func (s *Store) readySince(ctx context.Context, f lease.Facts, it item) (time.Duration, error) {
	ready := false
	written := decoder{it: it}
	if f.Led > 0 && time.Since(written.millis(attrAt)) >= indexAfter {
		active, err := s.ensureIndex(ctx)
		if err != nil {
			return 0, err
		}
		if active {
			snap, err := s.Snapshot(ctx)
			if err != nil {
				return 0, err
			}
			ready = fleetReady(time.Now(), &snap)
		}
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ready {
		s.ready = time.Time{}
		return 0, nil
	}
	if s.ready.IsZero() {
		s.ready = now
	}
	return now.Sub(s.ready), nil
}

// fleetReady reports whether every lease has an owner with a fresh row of its own:
// a worker of 2.x has none. One that nobody owns could be about to be taken by one.
func fleetReady(now time.Time, snap *lease.Snapshot) bool {
	fresh := make(map[string]bool, len(snap.Workers))
	for _, w := range snap.Workers {
		fresh[w.ID] = w.Updated.Add(workerFresh).After(now)
	}
	for i := range snap.Rows {
		if !fresh[snap.Rows[i].Owner] {
			return false
		}
	}
	return true
}

// tendIndex adds the index for the version that uses it, where there is none.
func (s *Store) tendIndex(ctx context.Context, cv string) error {
	s.mu.Lock()
	tended := s.index.present || s.tended == cv
	s.tended = cv
	s.mu.Unlock()
	if tended || s.options.MustExist || cv != version3X {
		return nil
	}
	_, err := s.ensureIndex(ctx)
	return err
}

// writeHistory changes what a row of a migration says from what was seen, nil for
// no row, and keeps what it said before. It reports whether it did: false means
// that another worker has changed it.
func (s *Store) writeHistory(ctx context.Context, p place, key, kind, attr string, seen item, next, worker string) (bool, error) {
	now := time.Now()
	if len(seen) == 0 {
		_, err := gated(ctx, s, writing, normal, key, s.client.PutItem, createHistory(p, key, kind, attr, next, worker, now))
		return s.madeUnlessRefused(p, key, err)
	}
	x := newExpression()
	was, _ := text(seen, attr)
	x.require(x.text(attr, was))
	x.set(attr, str(next))
	x.set(attrBy, str(worker))
	x.set(attrAt, num(now.UnixMilli()))
	x.set(attrHistory, pastOf(seen, attr))
	_, err := gated(ctx, s, writing, normal, key, s.client.UpdateItem, &dynamodb.UpdateItemInput{
		TableName: &p.table, Key: p.keyOf(key), ConditionExpression: x.condition(), UpdateExpression: x.update(),
		ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
	})
	return s.madeUnlessRefused(p, key, err)
}

func (s *Store) madeUnlessRefused(p place, key string, err error) (bool, error) {
	switch {
	case refused(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("dynamo: write %q of %s: %w", key, p.table, err)
	}
	return true, nil
}

// createHistory returns the request that adds a row. Its history says that it was
// in the first state, as the KCL's does.
func createHistory(p place, key, kind, attr, state, worker string, now time.Time) *dynamodb.PutItemInput {
	x := newExpression()
	x.require(x.missing(p.key))
	first := versionInit
	if attr == attrTable {
		first = tableInit
	}
	at := num(now.UnixMilli())
	return &dynamodb.PutItemInput{
		TableName: &p.table, ConditionExpression: x.condition(), ExpressionAttributeNames: x.names,
		Item: item{
			p.key: str(key), attrType: str(kind), attr: str(state), attrBy: str(worker), attrAt: at,
			attrHistory: &types.AttributeValueMemberL{Value: []types.AttributeValue{
				&types.AttributeValueMemberM{Value: item{attr: str(first), attrBy: str(worker), attrAt: at}},
			}},
		},
	}
}

// pastOf returns the history of a row whose present is over.
func pastOf(seen item, attr string) types.AttributeValue {
	entry := make(item)
	for _, a := range []string{attr, attrBy, attrAt} {
		if v, ok := seen[a]; ok {
			entry[a] = v
		}
	}
	past := []types.AttributeValue{&types.AttributeValueMemberM{Value: entry}}
	if h, ok := seen[attrHistory].(*types.AttributeValueMemberL); ok {
		past = append(past, h.Value...)
	}
	return &types.AttributeValueMemberL{Value: past[:min(len(past), maxHistory)]}
}
