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
// RecordMaxBufferedTime, one goroutine's records of one partition key are stored
// in the order of their Puts. Retries, reshards and slower answers can change
// it. With [Options.Ordered] they cannot; see below.
//
// A shard that throttles delays no other shard, and cannot use up the buffer.
// Memory is bounded by [Options.MaxBufferedBytes], or by an [Options.Budget] for
// several producers together.
//
// # Order
//
// With [Options.Ordered], take the records of one partition key, put one after
// another (each Put or PutAsync has returned before the next begins) and found
// in one shard or, after a reshard, in its descendants, as the KCL reads them,
// parents first. Then, of those that are stored:
//
//   - Their first copies stand in the order of the Puts, and so do their last.
//   - A repeat is the repeat of a whole run. If an aggregate with records 4 and 5
//     gets no answer it is sent again, before record 6 leaves: 4 5 4 5 6 may
//     stand there, 4 6 5 may not. (What has expired meanwhile is not sent again: 4
//     5 5 6.) Who takes the last value of a key ends with the
//     right one, and who drops repeats by [Record.ID] sees 4 5 6.
//   - Without Aggregate a run is one record: 4 4 5 may stand there, 4 5 4 may not.
//   - A record that ends NotStored, because its time was over, is missing; those
//     after it go on. One that is Unknown may be missing.
//
// What can break this is beyond a producer's reach: a call that was given up
// after [Options.RequestTimeout] and that the service carries out later still,
// after its records were stored by another call. Records of one key that differ
// in their ExplicitHashKey may be in different shards, whose order nobody can
// compare.
//
// The price: each shard has one call under way at a time, and a call carries a
// key's records in one aggregate only, or one of them without Aggregate. An
// unanswered call stops its shards for RequestTimeout. So a shard takes at most
// as much per round trip to the service as one call may carry of it: with one
// hot key, and 20 ms for a round trip, 50 aggregates of AggregationMaxBytes a
// second (2.4 MiB, above the shard's own limit) or, without Aggregate, 50
// records. And a record may leave later than RecordMaxBufferedTime by a round
// trip.
//
// # Tags and record ids
//
// A record may carry tags ([Record.Tags], [Options.Tags]) and an ID, which is
// the tag [IDTag] ([Record.ID], [Options.RecordIDs]). They travel inside
// aggregates, where readers made with the KCL do not see them and package
// consumer does. A record without company goes bare, which costs the least; with
// tags it goes as an aggregate of one instead, at about 30 bytes and its key, and
// a reader has to take it apart. Where nothing is aggregated tags are lost:
// without Aggregate, on an AUTO stream, while no shards are known, for records
// that would be larger with them than the stream takes, and for those that were
// sent bare because three aggregates with them have landed in wrong shards.
//
// # Concurrency and shutdown
//
// A [Producer] is safe for concurrent use. [New] starts its flusher, the one
// goroutine that decides what is sent when. The flusher starts one goroutine
// for callbacks, one for each call under way, at most [Options.MaxInFlight],
// and two to look at the stream when it has to: before the first record is sent,
// when an answer shows that the shards have changed, with the first call after
// [Options.RefreshInterval], and for a record that is larger than the stream was
// known to take. While nothing is put nothing happens, no call and no timer, but
// for looks at the stream that have failed and are tried again.
//
// [Producer.Flush] waits for what was put before it. [Producer.Close] sends what
// is buffered and returns when all goroutines have ended; after it no callback
// runs, and every record that was accepted has its result. Until the first map
// of the shards has come, records wait for it; if it cannot be had, for example
// because the permission kinesis:ListShards is missing, they are sent one by one,
// since a reader could not use aggregates that are packed without it. Then, as on
// an AUTO stream, the pace is that of all shards together, and one that throttles
// slows all records down.
//
// The permissions needed are kinesis:PutRecords, kinesis:ListShards and
// kinesis:DescribeStreamSummary. Without the last, records are taken to be at
// most 1 MiB and distributed by partition key, and without the last two nothing
// is paced: records that are throttled are tried again with a back-off, no more.
//
// # Tuning
//
// The defaults suit a service that puts thousands of small records a second.
//
//   - RecordMaxBufferedTime is the trade between delay and cost: the longer, the
//     more records share an aggregate. 0 sends each at once.
//   - AggregationMaxBytes of 25 KiB (25,600) fills one payload unit of what
//     Kinesis bills on provisioned streams; more saves nothing there, but does on
//     records per second.
//   - MaxBufferedBytes over the rate of the records is how long an outage may last
//     before Put waits. RecordTTL should be no shorter, or records expire first.
//   - RateLimit 100 uses a shard fully. The pace falls below it when the shard
//     throttles, because others write to it, and climbs back: several producers on
//     one stream need no agreement.
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
// Errors that no retry can heal (no such stream, no permission, a KMS key that is
// disabled, not found, not allowed) end records at once. Throttling, also by KMS,
// is retried. If the service refuses a call because of one record in it, the
// others are sent without that one.
//
// # Limits
//
// A shard takes 1 MiB and 1,000 records a second, a call 500 records and 10 MiB,
// a record 1 MiB, or up to 10 MiB where the stream allows it
// (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html).
// On a stream whose RecordDistributionStrategy is AUTO nothing is aggregated and
// explicit hash keys have no effect.
//
// # Options of the KPL
//
// What became of each setting of the Kinesis Producer Library. "Client" means
// that the setting is the SDK's: it belongs to the *kinesis.Client given to
// [New].
//
//	KPL                                  here
//	AggregationEnabled                   Options.Aggregate
//	AggregationMaxCount                  Options.AggregationMaxRecords
//	AggregationMaxSize                   Options.AggregationMaxBytes
//	CollectionMaxCount                   Options.CollectionMaxRecords
//	CollectionMaxSize                    Options.CollectionMaxBytes
//	MaxUserRecordSize                    none: the stream's own MaxRecordSizeInKiB is asked for and kept to
//	RecordMaxBufferedTime                Options.RecordMaxBufferedTime; collecting calls adds nothing to it
//	RecordTtl                            Options.RecordTTL; it bounds attempts under way too
//	RateLimit                            Options.RateLimit: default 100, not 150; it holds without aggregation too
//	FailIfThrottled                      Options.FailIfThrottled
//	MaxConnections                       Options.MaxInFlight for calls; connections: Client, HTTPClient
//	MinConnections                       none: the KPL does not use it either
//	ConnectTimeout                       Client: HTTPClient, awshttp.BuildableClient.WithDialerOptions
//	RequestTimeout                       Options.RequestTimeout, for the whole of a call
//	ThreadingModel, ThreadPoolSize       none: a call costs a goroutine, at most MaxInFlight of them
//	Region                               Client: Region
//	KinesisEndpoint, KinesisPort         Client: BaseEndpoint
//	CloudwatchEndpoint, CloudwatchPort   none: no metrics are uploaded; export Events and Stats to where yours are
//	StsEndpoint, StsPort                 Client: Credentials
//	VerifyCertificate                    Client: HTTPClient, tls.Config
//	CaCertPath, CaCertFile               Client: HTTPClient, tls.Config.RootCAs
//	ProxyHost, ProxyPort                 Client: HTTPClient, http.Transport.Proxy
//	ProxyUserName, ProxyPassword         Client: HTTPClient, in the URL of the proxy
//	CredentialsProvider                  Client: Credentials
//	CredentialsRefreshDelay              Client: aws.CredentialsCache renews them in time
//	MetricsCredentialsProvider           none, as CloudwatchEndpoint
//	LogLevel                             Options.Logger, whose handler decides
//	MetricsLevel, MetricsGranularity     none: Stats, ShardStats and Events give all, the exporter chooses
//	MetricsNamespace, MetricsUploadDelay none: they are the exporter's
//	addAdditionalMetricsDimension        none: they are the exporter's
//	UserRecordTimeoutInMillis            the context of Put; Options.RecordTTL
//	EnableOldestFutureTracker            none: the age of a record is bounded by Options.RecordTTL
//	getOutstandingRecordsCount           Stats.Pending; Options.MaxBufferedBytes bounds it by itself
//	getOldestRecordTimeInMillis          none: the age of a record is bounded by Options.RecordTTL
//	getMetrics                           Stats, ShardStats
//	setStreamId                          none: the service has no use for it yet
//	ReturnUserRecordOnFailure            none: every Result has its Record
//	EnableDaemonHealthCheck              none: there is no child process
//	DaemonHealthCheckTimeoutMs           none: there is no child process
//	EnableCoreDumps                      none: there is no child process
//	NativeExecutable, TempDirectory      none: there is no child process
//	GlueSchemaRegistryPropertiesFilePath none: encode Data before Put
//	GlueSchemaRegistryConfiguration      none: encode Data before Put
//	RecordDistributionStrategyDefault    none: the stream is asked; until it has answered, USER_PARTITION_KEY is taken
//	DescribeStreamSummaryIntervalMs      Options.RefreshInterval
//
// # Metrics of the KPL
//
// Those that it measures per shard are in [ShardStats] too.
//
//	KPL                                  here
//	UserRecordsReceived                  Stats.Accepted
//	UserRecordsPending                   Stats.Pending
//	UserRecordsPut                       Stats.Stored, NotStored and Unknown; Events.Failed
//	UserRecordsDataPut                   Stats.StoredBytes
//	KinesisRecordsPut                    Stats.KinesisRecords; Events.Entry
//	KinesisRecordsDataPut                Stats.Bytes; EntryInfo.Bytes
//	ErrorsByCode                         EntryInfo.Code per Kinesis record, RequestInfo.Err per call
//	AllErrors                            Stats.Errors
//	RetriesPerRecord                     Stats.Retries; Result.Attempts
//	UserRecordExpired                    Stats.Expired
//	BufferingTime                        Stats.BufferingTime; EntryInfo.Buffered
//	RequestTime                          Stats.RequestTime; RequestInfo.Duration
//	UserRecordsPerKinesisRecord          EntryInfo.UserRecords; Stats.Stored / KinesisRecords
//	KinesisRecordsPerPutRecordsRequest   RequestInfo.Records
//	UserRecordsPerPutRecordsRequest      RequestInfo.UserRecords
//	UnhealthyDaemon                      none: there is no child process
package producer
