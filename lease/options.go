package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Options configure a [Coordinator]. [New] fills in the defaults before the
// option functions run.
type Options struct {
	// WorkerID names this worker among all of the application; no two may run at
	// a time with the same ([ErrSameID]). Default: random. A worker that restarts
	// with its former id goes on with the leases it had, half a failover time after
	// its start: it makes sure first that nobody renews them. 1 to 256 bytes; not the key of
	// another kind of row ("Leader", "Migration3.0", the stream's name).
	WorkerID string

	// FailoverTime is how long a lease may stay without a renewal before others
	// take its owner for dead. Every worker of an application, of the KCL too,
	// must use the same. A lease is renewed 2.5 times in it, and no handler notices
	// when the store fails for up to 0.47 of it. Default 10s, the KCL's; range 1s to
	// 1h.
	FailoverTime time.Duration

	// DrainTimeout is how long the work in hand may go on when [Coordinator.Run]
	// ends or a lease is handed over, in the latter case never longer than 30s,
	// after which the others count on it. Then the work context ends. Default 30s,
	// the KCL's; 0 ends it at once; at most 1h.
	DrainTimeout time.Duration

	// MaxLeases bounds the leases this worker gives to one worker while it leads.
	// Default: no bound; at least 1.
	MaxLeases int

	// MaxThroughput bounds the traffic, in KiB/s, of the leases this worker gives to
	// one worker while it leads. A busy lease beyond it stays free. Default 0: no
	// bound.
	MaxThroughput float64

	// BalanceThreshold is the part of the mean by which the load of a worker may
	// differ from it before this worker, while it leads, moves busy leases. Default
	// 0.1, the KCL's; range 0.01 to 1.
	BalanceThreshold float64

	// Load measures how busy the machine is: the percentage of its processor used
	// since the last call, 0 to 100; what the first call returns is not used. It is
	// called every 30 seconds, and the leader gives a worker on a slower machine
	// less to read. Default nil: leases are balanced by their throughput and number
	// alone.
	Load func(ctx context.Context) (percent float64, err error)

	// MaxLoad is the end of this worker's operating range: while Load is above it
	// the leader takes leases away. Default 100, the KCL's; range 1 to 100.
	MaxLoad float64

	// FormerStreams is how long the leases of a stream stay, and go on being read,
	// that [Source] names no longer, before this worker removes them while it leads.
	// Those of a stream that was created again under its name go at once. Default 1h;
	// 0 removes them when it is noticed, within a minute; at most 10000h.
	FormerStreams time.Duration

	// Logger receives state changes and failures that pass. Default: none.
	Logger *slog.Logger

	// Events are called as things happen.
	Events Events
}

func defaults() Options {
	return Options{
		WorkerID:     rand.Text(),
		FailoverTime: 10 * time.Second,
		DrainTimeout: 30 * time.Second,
		MaxLeases:    math.MaxInt32,
		MaxLoad:      maxPercent,

		BalanceThreshold: 0.1,
		FormerStreams:    time.Hour,

		Logger: slog.New(slog.DiscardHandler),
	}
}

const maxWorkerID = 256

func (o *Options) validate() error {
	checks := []struct {
		bad         bool
		field, want string
		value       any
	}{
		{o.WorkerID == "" || len(o.WorkerID) > maxWorkerID, "WorkerID", fmt.Sprintf("1 to %d bytes", maxWorkerID), clip(o.WorkerID)},
		{reservedKey(o.WorkerID), "WorkerID", "not the key of a row of another kind", o.WorkerID},
		{o.FailoverTime < time.Second || o.FailoverTime > time.Hour, "FailoverTime", "1s to 1h", o.FailoverTime},
		{o.DrainTimeout < 0 || o.DrainTimeout > time.Hour, "DrainTimeout", "0 to 1h", o.DrainTimeout},
		{o.MaxLeases < 1, "MaxLeases", "at least 1", o.MaxLeases},
		{!(o.MaxThroughput >= 0), "MaxThroughput", "at least 0", o.MaxThroughput},
		{!(o.BalanceThreshold >= 0.01 && o.BalanceThreshold <= 1), "BalanceThreshold", "0.01 to 1", o.BalanceThreshold},
		{!(o.MaxLoad >= 1 && o.MaxLoad <= maxPercent), "MaxLoad", "1 to 100", o.MaxLoad},
		{o.FormerStreams < 0 || o.FormerStreams > 10000*time.Hour, "FormerStreams", "0 to 10000h", o.FormerStreams},
		{o.Logger == nil, "Logger", "a logger, or slog.New(slog.DiscardHandler)", "nil"},
	}
	var errs []error
	for _, c := range checks {
		if c.bad {
			errs = append(errs, fmt.Errorf("lease: %s: %v, want %s", c.field, c.value, c.want))
		}
	}
	return errors.Join(errs...)
}

// reservedKey reports whether key belongs to a row that is neither a lease nor
// a worker.
func reservedKey(key string) bool {
	return key == "Leader" || key == "Migration3.0" || key == "TableMigration3.5"
}

// timing holds the periods that follow from the failover time F.
//
// A lease is renewed every 2/5 F, and its work context ends 9/10 F after the issue
// of the last renewal that succeeded. A try that fails is made again, the sooner
// the less time is left (try, again): in the end every F/40. So an outage is at its
// worst when it begins just before a renewal is due, and even then one that is
// shorter than 9/10 F - 2/5 F - F/40 is not noticed by any handler; one that begins
// just after a renewal, if it is shorter than 9/10 F - F/40. The tenth of F between
// the end of the work and the earliest expiry is for clocks: some are made to run up
// to 8 % fast or slow while they are corrected (chrony's maxslewrate).
//
// An observer reads the table every F/3 while nothing changes, so that the counter
// of a dead owner was seen at most F/3 after its last renewal; it is judged at
// 4/3 F, and the new owner learns of it within F/10: less than 3/2 F in all. The
// leader lock follows the same course.
//
// DynamoDB is billed by these numbers. With a renewal every third of F, as the
// KCL has it, there would be nothing to pay the quick discovery with; every 3/8 F,
// small fleets already cost more than the bound of their test (484 units of 465 for
// two workers with four leases).
type timing struct {
	failover time.Duration
	renew    time.Duration // between renewals of a lease
	retry    time.Duration // after a renewal of the lock that failed
	call     time.Duration // bound of one call of the store
	least    time.Duration // bound and pace of the last tries to renew a lease
	fence    time.Duration // from the issue of a renewal to the end of the work context
	scan     time.Duration // between snapshots while nothing changes
	step     time.Duration // between steps while something does
	discover time.Duration // between discoveries, unless at rest: a lease given to us starts within a second
	lock     time.Duration // duration written into the leader lock
	beat     time.Duration // between renewals of the lock
	handoff  time.Duration // for which a handover may take
}

// Periods that the KCL fixes for a whole fleet.
const (
	reportEvery  = 30 * time.Second // worker rows are written
	workerFresh  = 60 * time.Second // worker rows count as alive
	workerStale  = 24 * time.Hour   // worker rows are removed
	handoffBound = 30 * time.Second
)

func timingOf(o *Options) timing {
	f := o.FailoverTime
	return timing{
		failover: f,
		renew:    f * 2 / 5,
		retry:    f / 5,
		call:     f / 5,
		least:    f / 40,
		fence:    f * 9 / 10,
		scan:     f / 3,
		step:     min(time.Second, f/10),
		discover: min(time.Second, f/10) * 9 / 10,
		lock:     f,
		beat:     f * 9 / 16, // and twice more, should it fail, before the lock is free
		handoff:  max(handoffBound, o.DrainTimeout) + f,
	}
}

// try returns how long to wait for the answer to a write of a held lease when its
// work context ends after left: a slow table gets its time first, a table that
// swallows requests and comes back late is still asked in time.
func (t *timing) try(left time.Duration) time.Duration {
	return min(t.call, max(left*2/5, t.least))
}

// again returns when to renew after a try that failed was issued.
func (t *timing) again(left time.Duration) time.Duration {
	return max(left/5, t.least)
}

func (o *Options) bounds() planBounds {
	return planBounds{leases: o.MaxLeases, rate: o.MaxThroughput, threshold: o.BalanceThreshold}
}
