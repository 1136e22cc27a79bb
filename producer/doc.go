// Package producer puts records into a Kinesis stream: many small ones as few
// large ones, at the pace its shards allow, again when something fails, and
// with a result for each. It does the job of the Kinesis Producer Library (KPL)
// and writes its format, without a child process.
//
//	p, err := producer.New(kinesis.NewFromConfig(cfg), "clicks")
//	if err != nil {
//		return err
//	}
//	defer p.Close(ctx)
//
//	// Wait for the record to be stored:
//	res, err := p.Put(ctx, producer.Record{PartitionKey: "user-7", Data: data})
//
//	// Or go on, and be told:
//	err = p.PutAsync(ctx, producer.Record{PartitionKey: "user-7", Data: data}, func(r producer.Result) {
//		if r.Err != nil {
//			log.Print(r.Err)
//		}
//	})
//
// A record is routed by the hash of its partition key to the lane of the shard
// that owns it, and written into the lane's open aggregate (see package
// aggregation). The aggregate leaves when it is full or when its oldest record
// has waited for [Options.RecordMaxBufferedTime]; aggregates of many shards
// share one PutRecords call.
//
// # Guarantees
//
// Every accepted record ends exactly once, in one [Outcome], within
// [Options.RecordTTL] of its Put:
//
//   - [Stored]: it is in the stream, where its [Result] says.
//   - [NotStored]: it is not in the stream and will not be. Its error says why.
//   - [Unknown]: it may be in the stream. An attempt ended without an answer (a
//     timeout, a broken connection, an internal failure of the service), and no
//     other was confirmed.
//
// Records may be repeated: an attempt without an answer may have stored the
// record, and it is tried again all the same. When the stream is resharded an
// aggregate can land on a shard that does not hold all of its records. Readers
// with the Kinesis Client Library (KCL) drop such an aggregate whole, so all
// its records are sent again; a reader that does not look at hash ranges sees
// them twice.
//
// Order: without faults, and as long as a shard answers within
// RecordMaxBufferedTime, one goroutine's records of one partition key are sent
// in the order of their Puts, one call at a time for each shard. Retries,
// reshards and slower answers can change it, and Kinesis promises no order
// among the records of one call.
//
// A shard that throttles delays no other shard, and cannot use up the buffer.
// Memory is bounded by [Options.MaxBufferedBytes].
//
// # Concurrency and shutdown
//
// A [Producer] is safe for concurrent use. [New] starts its flusher, the one
// goroutine that decides what is sent when. The flusher starts one goroutine
// for callbacks, one for each call under way, at most [Options.MaxInFlight],
// and one to look at the stream's shards when it has to. The shards are looked
// at before the first record is sent, and again when an answer shows that they
// have changed; an idle producer makes no calls.
//
// [Producer.Close] sends what is buffered and returns when all of these have
// ended; after it no callback runs. Until the first map of the shards has come,
// records wait for it; if it cannot be had, for example because the permission
// kinesis:ListShards is missing, they are sent one by one, since a reader could
// not use aggregates that are packed without it.
//
// The permissions needed are kinesis:PutRecords, kinesis:ListShards and
// kinesis:DescribeStreamSummary. Without the last, records are taken to be at
// most 1 MiB and distributed by partition key.
//
// # Errors
//
// Put, PutAsync and TryPut return a [*RecordError] for a record that Kinesis
// would refuse, [ErrClosed] after Close, [ErrFull] (TryPut alone), or the cause
// of the caller's context. What goes wrong later is a [*PutError], which wraps
// the reason, [ErrExpired] or [ErrClosed] or the service's error, and the error
// of the last attempt:
//
//	var notFound *types.ResourceNotFoundException
//	if errors.As(res.Err, &notFound) { … }
//
// Errors that no retry can heal (no such stream, no permission, a disabled key)
// end records at once. If the service refuses a call because of one record in
// it, the others are sent without that one.
//
// # Limits
//
// A shard takes 1 MiB and 1,000 records a second, a call 500 records and 10 MiB,
// a record 1 MiB, or up to 10 MiB where the stream allows it
// (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html).
// On a stream whose RecordDistributionStrategy is AUTO nothing is aggregated and
// explicit hash keys have no effect.
package producer
