// Package dynamo keeps leases in the DynamoDB table that the Java Kinesis Client
// Library (KCL) 3.5 uses, so that its workers and this library's can share the
// shards of an application.
//
//	store, err := dynamo.New(dynamodb.NewFromConfig(cfg), "clicks-app")
//	c, err := consumer.New(kinesisClient, store, "clicks")
//
// # The table
//
// One table holds everything; its name is the application's. Its key is
// leaseKey, and the index LeaseOwnerToLeaseKeyIndex finds a worker's leases. The
// attribute entityType tells the kinds of rows apart:
//
//	LEASE, or none             one shard: leaseOwner, leaseCounter, checkpoint, …
//	WORKER_METRIC_STATS        one worker: that it is there, and its load
//	LEADER                     who leads
//	CLIENT_VERSION_MIGRATION   which protocol the workers speak
//
// # Guarantees
//
// Rows and attributes that this library does not know stay as they are: a lease
// row that exists is only ever updated, in the attributes that change. Every
// write of a lease is conditional, with the conditions of [lease.Write.Apply]. A
// row that cannot be understood becomes a [*lease.RowError] and disturbs no
// other.
//
// The row that says which protocol the workers speak is written only after this
// worker has led for a minute: a KCL worker that starts at the same moment and
// finds it written under its hands does not survive that.
//
// While the table is throttled what keeps a lease goes first, then checkpoints,
// then looks at the whole table: those wait in single file, at a pace that adapts
// to what the table takes, and end with an error when their time is over. Throttled
// requests are repeated here and not by the client, whose retries do not know what
// is urgent; its other retries apply.
//
// # Concurrency and shutdown
//
// A [Store] may be used from several goroutines and starts none.
//
// # Errors
//
// Errors of the client are wrapped. One that wraps [lease.ErrUnsupported] says
// that the table belongs to an older version of the KCL: one that keeps its
// coordination in the tables <application>-CoordinatorState and
// <application>-WorkerMetricStats (3.0 to 3.4), or one that works without a
// leader (2.x).
//
// # Limits
//
// The caller needs, on the table and its index, the permissions DescribeTable,
// GetItem, PutItem, UpdateItem, DeleteItem, Query and Scan; DescribeTable and
// GetItem on <application>-CoordinatorState, which need not exist; and, unless
// Options.MustExist, CreateTable (with TagResource for tags), UpdateTable for a
// table without the index, and UpdateContinuousBackups for backups. A tool that
// looks needs DescribeTable, GetItem and Scan.
package dynamo
