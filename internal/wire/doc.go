// Package wire encodes and decodes the calls that carry records, in place of
// the SDK's own serializers, which spend most of a client's time on them:
// PutRecords, GetRecords and the events of SubscribeToShard.
//
// # How it plugs in
//
// The SDK leaves its wire protocol to an interface, kinesis.Options.Protocol,
// which can be set for a single call. A [Codec] sets one that writes and reads
// the calls above and hands everything else to the protocol it found there: other
// operations, and all errors. Signing, endpoints, credentials, retries,
// interceptors, request ids and server times are the SDK's: nothing of its
// middleware is replaced. One step is added before that which computes the
// payload's SHA-256, so that it need not read the body piece by piece. A client
// whose protocol is not JSON 1.1 keeps its own.
//
//	out, err := wire.Call(ctx, codec, client.GetRecords, in, noRetries) // PutRecords the same
//	out, err := client.SubscribeToShard(ctx, in, codec.Events)
//
// # Formats
//
// [JSON] writes what the SDK writes, byte for byte, and takes from an answer what
// the SDK takes. [CBOR] is application/x-amz-cbor-1.1, which the SDK for Java
// speaks with Kinesis: a quarter fewer bytes, and no base64. It has not been
// tried from here against the real service. A server that does not understand it
// is spoken to in JSON from then on; see [Codec]. Events are always JSON.
//
// What does not fit into bounds is an error, unlike with the SDK: 64 MiB for a
// body or an event, 10,000 records, and 1,000 shards that follow a shard, all of
// them beyond what the service answers. An event stream cut off within an event
// ends with an error; the SDK takes that for its end. Where the SDK panics there is
// an error, too.
//
// # Memory
//
// An answer is decoded while it arrives, from a window of 64 KiB that is used
// again for another answer: the text is never in memory as a whole, and what is
// decoded is still in the processor's cache. The data of its records go into
// blocks of 64 KiB, larger ones into memory of their own, which are theirs alone
// and never used again: whoever keeps the Data of one record keeps one block. Keys,
// sequence numbers and other strings are copied into blocks of 4 KiB, so that
// keeping one of those, a checkpoint, keeps little. An event is in memory as a
// whole until its checksum is known, and is decoded in the same way.
//
// A request's body is built in a buffer that is used again for another request,
// when [Call] has returned and nothing can read it any more.
package wire
