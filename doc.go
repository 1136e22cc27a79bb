// Package kinesis is the root of a Go client for Amazon Kinesis Data Streams that
// does the work of the Kinesis Producer Library (KPL) and of the Kinesis Client
// Library (KCL) in Go, speaks their formats, and needs no JVM. The package itself
// holds nothing but this map:
//
//   - [github.com/kinesis-go/kinesis/producer] puts records: it packs them by
//     shard, batches, paces and retries, and tells what became of each.
//   - [github.com/kinesis-go/kinesis/consumer] reads a stream with a fleet of
//     workers, in order per partition key, at least once.
//   - [github.com/kinesis-go/kinesis/lease] shares shards among workers;
//     [github.com/kinesis-go/kinesis/lease/dynamo] keeps the leases in the KCL's
//     DynamoDB table, and [github.com/kinesis-go/kinesis/lease/leasetest] tests a
//     store of your own.
//   - [github.com/kinesis-go/kinesis/checkpoint] says how far a shard was read.
//   - [github.com/kinesis-go/kinesis/aggregation] is the KPL's aggregated format,
//     alone.
//   - [github.com/kinesis-go/kinesis/kinesistest] is Kinesis and DynamoDB inside
//     your test's process.
//
// Producer and consumer do not import each other: a program that only writes
// links neither leases nor DynamoDB. Both take the AWS clients that the program
// has made and never load configuration or credentials.
//
// To see all of it at work without an AWS account:
//
//	git clone https://github.com/kinesis-go/kinesis && cd kinesis
//	go run ./examples/quickstart
package kinesis
