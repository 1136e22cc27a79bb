// Package lease lets a fleet of workers share the shards of one stream or many: each
// shard is read by one worker at a time, a dead worker's shards go to others,
// and how far a shard has been read is never forgotten.
//
// A [Row] in a [Store] is the lease on one shard. A [Coordinator] is one worker;
// it acquires leases, keeps them, and calls a function for each:
//
//	c, err := lease.New(store, source)
//	…
//	err = c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
//		for record := range read(fetch, h.Shard().ID, h.Position()) {
//			… work …
//			if err := h.Checkpoint(work, record.Position); err != nil {
//				return err
//			}
//		}
//		return nil
//	})
//
// Package consumer builds on it to read Kinesis. Package lease itself knows no
// AWS: stores and streams are behind [Store] and [Source].
//
// # The life of a lease
//
// The protocol is that of the Java Kinesis Client Library (KCL) 3.5, whose
// workers may share a table with these. Every state is in the row:
//
//	            Create
//	              │
//	              ▼   Assign (leader)
//	┌────────── free ───────────────────┐
//	│             ▲                     ▼
//	│             │ Release        ┌─ owned by A ◄──┐ Renew, Checkpoint
//	│             └────────────────┤    │       └───┘ (counter + 1)
//	│                              │    │ Handoff (leader)
//	│   Take (leader, counter      │    ▼
//	│   unchanged for the failover │  owned by B, A leaving ◄──┐ Renew, Checkpoint by A
//	│   time: A is dead)           │    │                  └───┘ (counter + 1)
//	│                              ▼    ▼ Release (A) or Take (A is dead)
//	│                           owned by B
//	│
//	└── Checkpoint SHARD_END by the owner: finished; Delete when its children need it no more
//
// One worker, the leader, decides who gets which lease; it is the one that holds
// the lock row. Every worker writes a row of its own every 30 seconds, without
// which the leader gives it nothing, and looks for leases given to it ten times
// in the failover time, at least every second. In a fleet at rest it looks every
// third of the failover time, or every 3.5 s if that is sooner: when for two minutes
// no record was read, no lease moved and no worker came or went. What is being moved
// is looked for every second again.
//
// Busy leases are balanced by load: their throughput, times what a KiB/s was seen
// to cost each worker in CPU ([Options.Load]). Idle ones are balanced by number.
// A lease moves only if that is worth it although measurements are noisy, and a
// live worker hands it over: it finishes the work in hand, stores its position,
// then the next one begins. Each move has a [Reason], in [Events.Assigned], in the
// log and in the row.
//
// That is the way of KCL 3. A [Store] whose table belongs to an older version says
// so ([Phase]), at any time: then each worker takes leases for itself until it has
// its part, also from live ones, which find out at their next renewal, and
// leads if a shuffle with a fixed seed puts it first.
//
// Nobody compares clocks. A lease is taken for dead if its counter was seen
// unchanged for the failover time F on the clock of the one who looks, and
// time in which that one could not look does not count. The owner for its part
// stops work at 9/10 F after it issued its last successful renewal, by its own
// monotonic clock. A clock that runs 10 % wrong breaks nothing.
//
// No work ends while the store fails for less than 9/10 F - 2/5 F - F/40, 4.75 s by
// default, whenever that begins, if the store then answers at once: what takes time
// to answer takes it off. Of an outage that begins just after a renewal it is 7/8 F.
// A longer one ends the work in time, and it begins again when the store is back.
//
// # Many streams
//
// A [Source] may name several streams, each by a [StreamID] that is in the keys of
// its rows. The leader asks for them every minute, makes the rows of a new one, and
// deletes those of one that is named no longer, after [Options.FormerStreams]; that
// is how its readers are told. A stream created again under its name is another
// stream: its id has another time in it. Leases are shared as if all were of one
// stream.
//
// # Guarantees
//
// Every write of a row is conditional on what its writer saw ([Write.Apply]).
// While the leader is of this library, and leads by the lock, two workers never both believe that they
// hold a lease: it takes a lease only if the counter is still the one that did
// not change. Other leaders may take one without waiting; then the former
// owner finds out at its next renewal, at most 2/5 F later. In every case no
// checkpoint of the former owner is stored afterwards. That holds for two workers
// that run under one id by mistake as well: the second does not start while the
// first renews leases, and one of two that get past that ends with [ErrSameID].
//
// A stored position never moves backwards, except by [Rewind]. A shard is not
// held before all its parents are finished. A shard's end is stored only after
// the rows of its children are there.
//
// With every worker of this library, a crashed worker's shards are held by
// others within 3/2 F, also if it led. Once the fleet is stable no lease moves.
//
// # Concurrency and shutdown
//
// [Coordinator.Run] owns all goroutines it starts and returns when they have
// ended. When its context ends it stops fetching, lets the work in hand finish,
// and gives each lease to the least loaded other worker.
//
// # Errors
//
// [ErrLost], [ErrStopping] and [ErrDrainTimeout] are the causes of the contexts
// that hold is given. A [*BackwardsError] refuses a checkpoint. Errors of the
// store that may pass are logged and the call is made again. Run ends with an
// error that wraps [ErrUnsupported] if the table is of another kind, [ErrSameID]
// if another worker has the id, [ErrRecreated] if the stream, where it is the only
// one, is not the one that the leases were made for; [Held.Verify] finds that out at
// once.
//
// # Limits
//
// All workers of an application must use the same failover time, and an application
// of one stream cannot become one of many: the keys of its rows would be others.
package lease
