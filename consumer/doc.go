// Package consumer reads Kinesis streams with a fleet of workers, each record
// at least once and those of a partition key in order.
//
// Workers of one application, in one process or many, share the stream's shards
// through leases in a table. Each shard is read by the worker that holds its
// lease and handed to one function; how far it got is checkpointed in the same
// table, so that another worker goes on from there. Shards that split or merge
// are followed, parents before children. Records that a producer aggregated (see
// package aggregation) are taken out of their aggregates.
//
// The table and the protocol are those of the Kinesis Client Library (KCL) 3.5
// for Java: its workers and these can be one fleet.
//
//	store, err := dynamo.New(dynamodb.NewFromConfig(cfg), "clicks-app")
//	if err != nil { … }
//	c, err := consumer.New(kinesis.NewFromConfig(cfg), store, "clicks")
//	if err != nil { … }
//	err = c.Run(ctx, consumer.EachRecord(func(ctx context.Context, r *consumer.Record) error {
//		fmt.Println(r.PartitionKey, string(r.Data))
//		return nil
//	}))
//
// [EachRecord] and [EachBatch] keep the checkpoints. What fails is tried again in
// place until it succeeds; a [FailurePolicy] says otherwise: how often, what to do
// then, and whether other keys go on meanwhile. [EachOptions] also has several
// records of a shard handled at a time, those of a key in order, batches joined by
// count, bytes or age, and repetitions of a record left out.
//
// Beneath them is a [Handler], which is called once for each shard held and ranges
// over its batches:
//
//	err = c.Run(ctx, func(ctx context.Context, s *consumer.Shard) error {
//		for batch, err := range s.Batches(ctx) {
//			if err != nil {
//				return err
//			}
//			… work …
//			if err := s.Checkpoint(ctx, batch.Last()); err != nil {
//				return err
//			}
//		}
//		return nil
//	})
//
// A handler that works on many records at a time begins them in order and
// finishes them in any: [Shard.Completions] keeps its checkpoints. One that writes
// to another system announces a position first, with [Shard.Prepare].
//
// Records are polled for, or pushed by enhanced fan-out; see [Options.Retrieval].
//
// [Rewind] sets an application back to an earlier place while it runs, and
// [Consumer.Fleet] shows who reads what, why, and how far behind.
//
// Without a table, [ReadShard] reads one shard from a position that the program
// keeps itself, and [Tail] a whole stream from now on.
//
// State per shard is a local variable of the handler. A handler is tested without
// a server by calling it with [NewShard]; package kinesistest is the server for
// everything larger.
//
// # Many streams
//
// [NewMulti] makes a consumer of many streams, which a function names: in any
// region and of any account, each with a start of its own, some of them new and
// others gone while the workers run. All share the workers of one application.
// [Shard.StreamID], "account:name:epoch", tells streams apart, also one that was
// created again from the one that had its name; it names the stream in events, logs
// and the keys of the rows, which are those of the KCL.
//
// # Guarantees
//
// At least once: a record that was put and acknowledged, lies at or behind the
// application's [Start] and is still retained when its turn comes, is handed to
// the handler, whatever crashes. It is handed over again if a worker ends
// between handling it and storing a checkpoint at or behind it. An error never
// skips a record: it is repeated, or a dead-letter function has taken it.
//
// In order: within a shard in the order of the stream, and a child shard never
// before its parents are finished and that is stored. The records of a partition
// key therefore arrive in the order of the stream also across splits and merges,
// but for repetitions. With [EachOptions].Concurrency the order is that of each key
// alone.
//
// One at a time: the context of a handler ends before its lease can expire, and
// no checkpoint of it is stored once another worker has the lease. A worker that
// was frozen meanwhile is told at its next batch. [Shard.Epoch] lets a system
// downstream refuse what such a worker still had in hand.
//
// Nothing in silence: records that are not delivered (out of retention, or a
// copy that belongs to another shard) are reported by [Events.Skipped], records
// that only look aggregated are delivered as they are and reported by
// [Events.Malformed]. One thing Kinesis does not tell: that retention overtook a
// reader between two pages.
//
// # Concurrency and shutdown
//
// [New] starts nothing. [Consumer.Run] starts one goroutine per shard held for
// the handler and one that fetches, at most one page ahead, beside those of
// package lease, and with fan-out those of the SDK, three for each subscription,
// and one for each stream that looks after the fan-out consumer. It returns when
// all have ended. Handlers of different shards run at the same time. Keyed
// concurrency adds as many goroutines per shard as it has calls at a time.
//
// When Run's context ends, no batch is handed out any more; a handler may finish
// the one in hand and store a last checkpoint within lease.Options.DrainTimeout.
// Then its context ends, the leases are given back, and another worker goes on at
// once. A handler that ignores its context keeps Run from returning.
//
// # Errors
//
// A call to Kinesis that fails is repeated with back-off and reported by
// [Events.ReadFailed]. A shard that does not answer for [Options.StallTimeout] is
// given up; see [Consumer.Health]. A shard whose subscription is refused or breaks
// off is polled for a while; see [Events.RetrievalChanged]. A checkpoint that fails is tried
// again by [EachRecord] and [EachBatch] and reported by [Events.CheckpointFailed].
// A function of EachRecord or EachBatch that fails is called again with the same
// records, a handler from the last checkpoint; [Events.HandlerFailed] tells of
// both. A record given up without a dead-letter function is a [*RecordError].
//
// # Limits
//
// A shard answers 5 GetRecords calls a second and 2 MiB a second, to all
// applications together; a call returns at most 10,000 records and 10 MiB
// (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html).
// Enhanced fan-out pushes 2 MiB a second and shard to each of at most 20 consumers
// of a stream (50 with On-demand Advantage).
//
// Memory for records is bounded by [Options.MaxBufferedBytes] for all shards
// together, also what waits for its batch or its key. Beside it there are the [Record]
// values of one batch for each shard, about 150 bytes each; while a page arrives 64
// KiB of its text, or that of its largest record, and while an event does the text
// of all of it; and for a subscription that is not read up to 512 KiB that the
// connection has taken in.
package consumer
