// Package dynamo keeps leases in the DynamoDB tables that the Java Kinesis Client
// Library (KCL) uses, so that its workers, of every version from 2.x on, and this
// library's can share the shards of an application.
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
//	TABLE_MIGRATION            that the application had more tables once
//
// # Tables of older versions
//
// An application that the KCL has made is joined as it is, and what its workers
// agree on is followed while it changes.
//
// KCL 3.0 to 3.4 keeps the rows of workers in <application>-WorkerMetricStats and
// the rest in <application>-CoordinatorState. Where these exist and their row
// TableMigration3.5 does not say that they are history, this library uses them, and
// as leader takes the migration to one table on like KCL 3.5
// ([Options.MigrateTables]). Should a worker of such a version make these tables
// later, beside one that is in use, the workers of this library follow within a
// minute.
//
// KCL 2.x has nothing but leases, and no worker can read a lease table with other
// rows: each takes leases for itself. An application of that kind is recognised
// ([VersionFound]), no other row is written, and the workers of this library take
// leases by the same rule. [Options.Version] moves it on to 3.x.
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
// that the table is no lease table, that its workers have agreed on something this
// version does not know, or that Options.MigrateTables comes too early.
//
// # Limits
//
// The caller needs, on the table and its index, the permissions DescribeTable,
// GetItem, PutItem, UpdateItem, DeleteItem, Query and Scan; DescribeTable on
// <application>-CoordinatorState and <application>-WorkerMetricStats, which need not
// exist, and where they do the former permissions and ConditionCheckItem on them
// too; and, unless Options.MustExist, CreateTable (with TagResource for tags), UpdateTable for a
// table without the index, and UpdateContinuousBackups for backups. A tool that
// looks needs DescribeTable, GetItem and Scan.
package dynamo
