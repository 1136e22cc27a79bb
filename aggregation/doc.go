// Package aggregation packs many user records into one Kinesis record and
// takes them apart again, in the format of the Kinesis Producer Library (KPL).
//
// Kinesis charges and limits by the record, so a producer of small records
// sends many of them as one. Readers that know the format, the Kinesis Client
// Library (KCL) and package consumer among them, hand out the user records;
// this package is the part they share, usable alone wherever record data
// arrives, in a Lambda function for example:
//
//	agg, err := aggregation.Decode(data)
//	if err != nil {
//		return handle(data) // not an aggregate: the record is its own payload
//	}
//	for sub, r := range agg.Records() {
//		… r.PartitionKey, r.Data; sub is the subsequence number …
//	}
//
// and the other way round:
//
//	enc := aggregation.NewEncoder(50 << 10)
//	err := enc.Append(aggregation.Record{PartitionKey: "user-7", Data: payload})
//	data, err := enc.Seal()
//
// # Format
//
// An aggregate is a 4-byte magic, a protobuf (proto2) message and the MD5
// digest of that message:
//
//	offset  bytes  content
//	0       4      magic F3 89 9A C2
//	4       n      message AggregatedRecord, n > 0
//	4+n     16     MD5 of the n message bytes
//
//	message           field                    no.  type           on the wire
//	AggregatedRecord  partition_key_table      1    repeated string  0A
//	                  explicit_hash_key_table  2    repeated string  12
//	                  records                  3    repeated Record  1A
//	Record            partition_key_index      1    required uint64  08
//	                  explicit_hash_key_index  2    optional uint64  10
//	                  data                     3    required bytes   1A
//	                  tags                     4    repeated Tag     22
//	Tag               key                      1    required string  0A
//	                  value                    2    optional string  12
//
// Keys stand once in a table, in the order of their first use, and records
// name them by index, counted from zero. Two records with the partition key
// "pk1" and the payloads "hello" and "world" are
//
//	F3899AC2                             magic
//	0A 03 706B31                         partition key 0: "pk1"
//	1A 09  08 00  1A 05 68656C6C6F       record 0: key 0, "hello"
//	1A 09  08 00  1A 05 776F726C64       record 1: key 0, "world"
//	F5FB92B07D5DC986BB5915E9657557AA     digest
//
// The Kinesis record around an aggregate carries the partition key
// [OuterPartitionKey] and, as its explicit hash key, the hash key of the first
// user record ([Record.HashKey]). A lone record is not wrapped: it is sent as
// it is, with its own keys. Readers accept an aggregate of one all the same.
//
// # Guarantees
//
//   - [Encoder] writes byte for byte what the KPL writes for the same records.
//   - [Decode] takes an aggregate whole or not at all. Magic, digest, syntax,
//     required fields and every index are checked before the first user record
//     is handed out, so no record is lost because its neighbour is damaged. On
//     any error the caller still holds the Kinesis record and delivers it
//     unchanged, and the error says what was wrong.
//   - Payloads are not copied on the way out, and once on the way in. Records
//     alias the bytes they were decoded from.
//   - Bytes from anyone are safe: no panic, no recursion, and at most twice the
//     input's size of memory, whatever it claims to contain. Records are read
//     from the input as they are asked for.
//
// The verdict is that of the KCL with three corrections, all towards losing
// nothing. An index outside its table leaves the Kinesis record unchanged, where
// the KCL delivers the user records before it and drops the rest. So does a
// protobuf group, which the format has no use for, even a well-formed one. And
// key strings keep their bytes where they are not valid UTF-8; Java puts U+FFFD
// in their place. A payload that is itself an aggregate is left as it is.
//
// # Shard ranges
//
// A producer predicts the shard of every user record and packs by it. When a
// reshard makes the prediction wrong, the KPL sends the records again, and the
// KCL drops an aggregate whole if any record in it does not belong to the shard
// it was read from. [Aggregate.InRange] is that test, a separate step, because
// only a reader knows its shard, and because it would lose the aggregates of
// producers that pack without predicting.
//
// # Concurrency and shutdown
//
// An [Encoder] and a [Decoder] belong to one goroutine at a time. An
// [Aggregate] and its records may be read by many. Nothing here starts a
// goroutine, blocks or needs closing.
//
// # Errors
//
// [ErrNotAggregated] says that data is an ordinary record; it is the common
// case of a mixed stream and worth no report. A [*MalformedError] says that
// data began like an aggregate and why it is none: worth a report, since its
// writer is broken or its bytes were damaged. [ErrFull] says that a record does
// not fit the open aggregate.
//
// Where the process may not compute MD5 (GODEBUG=fips140=only), [Decode] and
// [Encoder.Seal] fail and say so.
//
// # Limits
//
// The format has none but protobuf's 2 GiB for a message. Kinesis takes records
// of up to 1 MiB, or 10 MiB where the stream allows it
// (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html);
// the KPL packs 50 KiB by default. A mebibyte can hold 174,756 empty records;
// [Aggregate.Len] tells before they are handed out.
package aggregation
