// Package kinesistest runs Kinesis and DynamoDB inside a test, in the manner of
// [net/http/httptest]: a [Server] holds the streams and tables of one region of
// one account, unmodified clients of the AWS SDK talk to it, and the test makes
// calls go wrong and looks at what was stored.
//
//	srv := kinesistest.NewServer()
//	defer srv.Close()
//	client := kinesis.NewFromConfig(srv.Config())
//	db := dynamodb.NewFromConfig(srv.Config())
//
// [Server.Config] needs no network: its HTTP client serves each request on the
// goroutine that makes it. So a whole fleet runs inside a [testing/synctest]
// bubble, where a day of retention, the five minutes of a subscription and the
// SDK's back-off take no time. For other processes there are [Server.Listen] and
// [Server.ListenTLS], and the command kinesis-local.
//
// A test makes calls fail, hang, come late or lose their answer, and
// subscriptions break, with [Server.Inject], for one client of several if each has a
// [Server.ConfigFor] of its own. Afterwards [Server.Records], [Server.Rows] and
// [Server.Journal] tell what really happened. The guide docs/testing.md of the
// repository tests a handler, a reshard and an outage.
//
// # Guarantees
//
// The server shares no code with the library it tests but the arithmetic of
// hash keys. What it does follows AWS's documents and is written down as
// checks, in [github.com/kinesis-go/kinesis/kinesistest/contract], that other
// servers can be held against.
//
// Records of a shard keep the order in which they were stored, their sequence
// numbers rise and those of a child shard are above its parents'. A write to a
// row is atomic. [Server.Journal] has the changes of both services in the order
// in which they became visible. Nothing is lost but by retention, by
// [Server.Trim] or with the process: the server stores nothing on disk.
//
// A subscription of enhanced fan-out pushes what is put at once, and nothing twice
// or out of order. The ContinuationSequenceNumber of an event lies between its
// last record and the next one, so that a reader comes back to the right place
// with AT_SEQUENCE_NUMBER and with AFTER_SEQUENCE_NUMBER. Nothing is kept for a
// reader that does not read: its records wait in the stream.
//
// Operations on streams, shards, consumers and records are there, and those on
// tables, rows and indexes. An operation or an expression that is not implemented is
// refused by name, never ignored. Clients speak JSON, and to Kinesis also CBOR,
// as the AWS SDK for Java does unless it is told not to. Over a network they
// speak HTTP/1.1 or HTTP/2, with TLS or without.
//
// # Concurrency and shutdown
//
// A Server is safe for concurrent use. [NewServer] starts no goroutine;
// [Server.Listen] and [Server.ListenTLS] do, and [Server.Close] ends them. A
// subscription of a client of [Server.Config] has none either: its events are
// made by the Read that waits for them, which ends with the request's context,
// with the closing of the body and with the server. Everything that takes
// time (windows like CREATING, retention, expiry, rates) is settled by time.Now
// when the next call looks, so a server that is not called does nothing.
//
// A server for a bubble must be made inside that bubble.
//
// # Errors
//
// Errors have AWS's codes, messages and HTTP status, and reach the caller as
// the SDK's own types. A call that a fault cuts off ends as a reset connection
// does, with an error that the SDK retries. After Close calls end with
// [ErrClosed].
//
// # Limits
//
// AWS's quotas hold by default, those a second in the time of the test: a shard
// takes 1 MiB and 1,000 records a second, gives 5 pages and 2 MiB, and pushes 2
// MiB to each consumer. Options change or lift each of them; [Unthrottled] lifts
// all that count by the second. Authentication is not checked: any credentials
// will do. Records cost 12 bytes of memory beside their keys and data.
package kinesistest
