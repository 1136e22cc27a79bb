package lease

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
)

// A member is one run of a Coordinator.
//
// Its loop goroutine fetches, decides and acts, one thing after the other: it
// alone uses the fields above mu that change. Each lease has a goroutine that
// tends it and one that renews it. The guard ends what outlives its deadline.
type member struct {
	id      string
	store   Store
	source  Source
	options Options
	events  Events
	log     *slog.Logger
	timing  timing
	hold    func(fetch, work context.Context, h *Held) error

	catalogue catalogue
	verifier  verifier
	observer  *observer
	lead      leadership
	phase     Phase
	due       schedule
	ticks     uint64          // counts the uses of jitter
	runID     string          // of this run
	oldRuns   map[string]bool // former runs under the id; not changed once leases are acquired
	reporter  reporter
	foreign   bool // the table has leases of another kind of application
	rival     rival
	skipped   map[string]bool // keys of rows told of in RowSkipped

	loopWake, guardWake chan struct{}

	// over is closed when Run's context ends, which hold may know before the loop.
	over <-chan struct{}

	leases sync.WaitGroup // goroutines that tend leases
	duties sync.WaitGroup // the guard and the leader's long jobs

	successors successors

	mu       sync.Mutex // guards what follows
	stopping bool
	held     map[string]*Held
	done     map[string]chan struct{} // by lease; closed when this worker finishes that shard
	syncs    map[string]*syncResult   // by stream
	syncing  int                      // goroutines of syncShards
	lookNow  bool                     // the table has changed: look at it
	showNow  bool                     // a lease was lost: show that we are alive

	failure error // ends the run
}

// schedule says when each thing is due next; the zero time is at once.
type schedule struct {
	report, watch, beat, discover, phase, steal time.Time
}

func newMember(c *Coordinator, hold func(fetch, work context.Context, h *Held) error) *member {
	t := timingOf(&c.options)
	return &member{
		id: c.options.WorkerID, store: c.store, source: c.source, options: c.options,
		events: c.options.Events, log: c.options.Logger.With("worker", c.options.WorkerID),
		runID: newRun(c.options.WorkerID, time.Now()), timing: t, hold: hold, observer: newObserver(t, c.options.WorkerID),
		skipped: make(map[string]bool), oldRuns: make(map[string]bool),
		loopWake: make(chan struct{}, 1), guardWake: make(chan struct{}, 1),
		successors: successors{ready: make(chan struct{})},
		held:       make(map[string]*Held), done: make(map[string]chan struct{}),
		syncs:     make(map[string]*syncResult),
		catalogue: catalogue{source: c.source}, verifier: newVerifier(),
	}
}

func (m *member) run(ctx context.Context) error {
	m.over = ctx.Done()
	if err := m.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	base := context.WithoutCancel(ctx) // leases outlive ctx until they are given up
	guard, stopGuard := context.WithCancel(base)
	defer stopGuard()
	m.duties.Go(func() { m.guard(guard) })

	running, stop := context.WithCancel(ctx)
	err := m.loop(running, base)
	stop()
	m.leave(base)
	m.leases.Wait()
	stopGuard()
	m.duties.Wait()
	return err
}

// open makes the store and the source ready.
func (m *member) open(ctx context.Context) error {
	if err := m.store.Open(ctx); err != nil {
		return fmt.Errorf("lease: open the store: %w", err)
	}
	phase, err := m.store.Phase(ctx, Facts{Worker: m.id})
	if err != nil {
		return fmt.Errorf("lease: ask the store for its phase: %w", err)
	}
	m.enter(ctx, phase)
	if err := m.catalogue.open(ctx, m.id); err != nil {
		return err
	}
	snap, err := m.firstLook(ctx)
	if err != nil {
		return err
	}
	if err := m.checkStreams(ctx, snap.Rows); err != nil {
		return err
	}
	return m.awaitOldRun(ctx, snap)
}

// fail makes the run end with err.
func (m *member) fail(err error) {
	m.mu.Lock()
	if m.failure == nil {
		m.failure = err
	}
	m.mu.Unlock()
	m.wakeLoop()
}

func (m *member) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure
}

func nextPhase(p Phase) time.Time {
	if p.Again <= 0 {
		return time.Time{}
	}
	return time.Now().Add(p.Again)
}

// loop does what is due, one thing after the other, until ctx ends or the store
// refuses to go on.
func (m *member) loop(ctx, base context.Context) error {
	for ctx.Err() == nil {
		if err := m.step(ctx, base); err != nil && ctx.Err() == nil {
			return err
		}
		next := earlier(m.due.report, m.due.watch)
		if m.lead.leading && m.byLock() {
			next = earlier(next, m.due.beat)
		}
		if m.discovers() {
			next = earlier(next, m.due.discover)
		}
		if !m.due.phase.IsZero() {
			next = earlier(next, m.due.phase)
		}
		pause(ctx, time.Until(next), m.loopWake)
	}
	return nil
}

// step does what is due now. The order is fixed: first show that we are here,
// then keep the lock, then look.
func (m *member) step(ctx, base context.Context) error {
	if err := m.failed(); err != nil {
		return err
	}
	if m.takeShowNow() {
		m.due.report = earlier(m.due.report, m.reporter.written.Updated.Add(time.Second))
	}
	if !time.Now().Before(m.due.report) {
		if err := m.report(ctx); err != nil {
			return err
		}
	}
	if m.lead.leading && m.byLock() && !time.Now().Before(m.due.beat) {
		m.heartbeat(ctx)
	}
	if m.takeLookNow() || !time.Now().Before(m.due.watch) {
		if err := m.watch(ctx, base); err != nil {
			return err
		}
	}
	if m.discovers() && !time.Now().Before(m.due.discover) {
		m.discover(ctx, base)
	}
	if !m.due.phase.IsZero() && !time.Now().Before(m.due.phase) {
		return m.askPhase(ctx)
	}
	return nil
}

func (m *member) takeLookNow() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	look := m.lookNow
	m.lookNow = false
	return look
}

// look reads the table, without the leases of another kind of application: they
// are left alone.
func (m *member) look(ctx context.Context) (Snapshot, error) {
	call, cancel := context.WithTimeout(ctx, m.timing.failover/2)
	defer cancel()
	snap, err := m.store.Snapshot(call)
	rows := len(snap.Rows)
	snap.Rows = slices.DeleteFunc(snap.Rows, func(r Row) bool { return !m.catalogue.ours(&r) })
	m.foreign = rows > len(snap.Rows)
	return snap, err
}

// watch reads the table and, as leader, acts on it. An error ends the run.
func (m *member) watch(ctx, base context.Context) error {
	began := time.Now()
	if !m.lead.leading && m.byLock() && !m.watches(began) {
		m.pollLock(ctx)
		m.due.watch = began.Add(m.jitter("watch", m.timing.scan))
		return nil
	}
	snap, err := m.look(ctx)
	if err != nil {
		m.log.Warn("table not read", "error", err)
		m.due.watch = began.Add(m.jitter("watch", m.timing.scan))
		if m.lead.leading && began.Sub(m.observer.last) > m.timing.failover {
			m.stepDown(ctx) // whoever can read it is to lead
		}
		return nil
	}
	if err := m.lookForRival(snap.Workers); err != nil {
		return err
	}
	now := time.Now()
	m.observer.observe(now, &snap)
	m.nextDiscovery(began)
	m.tellBad(snap.Bad)
	if m.byLock() {
		m.stand(ctx, now)
	} else {
		m.electByShuffle(snap.Rows)
	}
	m.findOwn(base, snap.Rows)
	settled := true
	if m.lead.leading {
		settled = m.rule(ctx, base, now, &snap)
	}
	if m.taking() {
		settled = m.takeLeases(ctx, base, now, &snap) && settled
	}
	// As leader the next look is when something can have to be done; a standby
	// looks as often, so that what it knows is as fresh when it takes over.
	m.due.watch = earlier(began.Add(m.jitter("watch", m.timing.scan)), m.observer.nextExpiry(now))
	if !settled {
		m.due.watch = earlier(m.due.watch, began.Add(m.jitter("watch", m.timing.step)))
	}
	return nil
}

// jitter shortens d by up to a thirty-second, so that workers started together do not
// stay in step. The loop goroutine calls it.
func (m *member) jitter(site string, d time.Duration) time.Duration {
	m.ticks++
	return d - time.Duration(pace.Hash(m.id, site, "", m.ticks)%uint64(d/32))
}

func (m *member) tellBad(bad []*RowError) {
	if len(bad) == 0 && len(m.skipped) == 0 {
		return
	}
	seen := make(map[string]bool, len(bad))
	for _, e := range bad {
		seen[e.Key] = true
		if !m.skipped[e.Key] {
			m.log.Warn("row skipped", "error", e)
			call(m.events.RowSkipped, RowSkippedInfo{Err: e})
		}
	}
	m.skipped = seen
}

func (m *member) heldByKey() map[string]*Held {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.held)
}

// full reports whether this worker holds as many leases as one may.
func (m *member) full() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopping || len(m.held) > m.options.MaxLeases // one of them is finished
}

// guard ends the work on leases whose deadline has passed. A lease just acquired
// has most of the failover time left, so looking every quarter of it, and when
// the next deadline known comes, is often enough.
func (m *member) guard(ctx context.Context) {
	for ctx.Err() == nil {
		now := time.Now()
		next := now.Add(m.timing.failover / 4)
		held := m.heldByKey()
		var over []string
		for key, h := range held {
			at := h.deadline()
			switch {
			case at.IsZero():
			case !now.Before(at):
				over = append(over, key)
			default:
				next = earlier(next, at)
			}
		}
		slices.Sort(over)
		for _, key := range over {
			held[key].overdue(now)
		}
		pause(ctx, time.Until(next), m.guardWake)
	}
}

func (m *member) wakeGuard() { poke(m.guardWake) }
func (m *member) wakeLoop()  { poke(m.loopWake) }

// wakeWatch makes the loop look at the table now.
func (m *member) wakeWatch(changed bool) {
	m.mu.Lock()
	m.lookNow = m.lookNow || changed
	m.mu.Unlock()
	m.wakeLoop()
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// parentDone returns a channel that is closed when this worker finishes the shard
// of that lease.
func (m *member) parentDone(key string) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.done[key]
	if c == nil {
		c = make(chan struct{})
		m.done[key] = c
	}
	return c
}

func (m *member) announceDone(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.done[key]; c != nil {
		close(c)
		delete(m.done, key)
	}
}

// leave gives everything up: fetching ends at once, each lease goes to another
// worker when its hold returns, and nobody assigns to this worker any more.
func (m *member) leave(base context.Context) {
	m.mu.Lock()
	m.stopping = true
	held := maps.Clone(m.held)
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(held)) {
		held[key].leave(m.options.DrainTimeout)
	}
	ctx, cancel := context.WithTimeout(base, m.timing.failover/2)
	defer cancel()
	if !m.reporter.written.Updated.IsZero() {
		if err := m.store.DeleteWorker(ctx, m.reporter.written); err != nil {
			m.log.Warn("own worker row not removed", "error", err)
		}
	}
	m.successors.to = m.findSuccessors(ctx, held)
	close(m.successors.ready)
	m.stepDown(ctx)
}

// successors says who gets the leases of a worker that stops. To is written
// before ready is closed and not changed after.
type successors struct {
	ready chan struct{}
	to    map[string]string
}

// findSuccessors spreads the held leases over the other workers.
func (m *member) findSuccessors(ctx context.Context, held map[string]*Held) map[string]string {
	if len(held) == 0 || m.taking() {
		return nil // who takes leases does not look whether it was given some
	}
	snap, err := m.look(ctx)
	if err != nil {
		m.log.Warn("no successors found; the leader assigns the leases", "error", err)
		return nil
	}
	now := time.Now()
	m.observer.observe(now, &snap)
	return planLeave(now, m.observer, &snap, m.id, slices.Sorted(maps.Keys(held)))
}

// stops reports whether this worker stops, or is about to.
func (m *member) stops() bool {
	select {
	case <-m.over:
		return true
	default:
		return m.isStopping()
	}
}

// successor returns who is to have the lease when it is released: nobody unless
// this worker stops.
func (m *member) successor(key string) string {
	if !m.stops() {
		return ""
	}
	<-m.successors.ready
	return m.successors.to[key]
}

// row and write are the store's, bounded in time.
func (m *member) row(ctx context.Context, key string) (Row, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timing.call)
	defer cancel()
	return m.store.Row(ctx, key)
}

func (m *member) write(ctx context.Context, w Write) (Row, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timing.call)
	defer cancel()
	return m.store.Write(ctx, w)
}

// newRow returns the row to create for a shard.
func newRow(stream Stream, s Shard, at checkpoint.Position) Row {
	return Row{
		Key: stream.Key(s.ID), Stream: stream.ID, Shard: s.ID,
		Parents: sortedSet(s.Parents), Range: clonePtr(s.Range), Checkpoint: at,
	}
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// sortedSet returns list sorted, without duplicates and empty strings.
func sortedSet(list []string) []string {
	out := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
	slices.SortFunc(out, cmp.Compare[string])
	return slices.Compact(out)
}

func lists(shards []Shard, id string) bool {
	return slices.ContainsFunc(shards, func(s Shard) bool { return s.ID == id })
}

func indexRows(rows []Row) map[string]Row {
	out := make(map[string]Row, len(rows))
	for _, r := range rows {
		out[r.Key] = r
	}
	return out
}
