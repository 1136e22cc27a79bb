package consumer

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
)

// An Origin is where records come from. Records share it, so it is not to be
// changed.
type Origin struct {
	// Stream is the stream's name, ShardID the shard's id.
	Stream, ShardID string

	// StreamID is that of [Shard.StreamID].
	StreamID string

	// EncryptionType is how Kinesis keeps the record: KMS, NONE, or empty if it
	// did not say. The data arrives decrypted.
	EncryptionType types.EncryptionType
}

// A Record is one user record: what the application put, taken out of its
// aggregate if it was in one.
//
// Its strings and bytes may share memory with the records beside it, up to 64 KiB
// or an aggregate together. That memory is never written again, so a record may be
// kept; it then keeps what it shares from being freed.
type Record struct {
	// Origin is set in every record that was read. A test that makes its own
	// records sets it where the code tested looks at it.
	*Origin

	// Data is the payload, never nil, at most 10 MiB.
	Data []byte

	// PartitionKey is the record's own key, also inside an aggregate. It is empty
	// on a stream that spreads records itself and let the producer leave it out.
	PartitionKey string

	// ExplicitHashKey is the decimal hash key the producer gave the record, empty
	// if it gave none. Kinesis tells it only for records inside an aggregate.
	ExplicitHashKey string

	// ID is what the producer named the record, to tell repeats of it from others:
	// the first of its tags [aggregation.IDTag]. Empty if it has none.
	ID string

	// Tags are what the producer attached to the record in its aggregate, that of
	// the ID among them. The producers of the KPL attach none.
	Tags aggregation.Tags

	// Position is where the record stands in its shard, for [Shard.Checkpoint].
	Position checkpoint.Position

	// Arrived is when Kinesis received the record, in milliseconds; it need not
	// rise from one record to the next. The records of an aggregate share it.
	Arrived time.Time

	// Aggregated says that the record came out of an aggregate.
	Aggregated bool

	// OutOfRange says that a Java reader would have dropped the record, because a
	// record of its aggregate, this one or another, belongs to another shard. It
	// appears only with [Options.DeliverOutOfRange].
	OutOfRange bool
}

// A Batch is consecutive user records of one shard, at least one unless it is a
// tick ([Shard.Tick], [EachOptions].Tick).
type Batch struct {
	Records []Record

	// Behind is how far the reader was behind the newest record of the shard when
	// the batch was fetched; 0 at the tip.
	Behind time.Duration

	mem *memory // what the records lie in
}

// Last returns the position of the batch's last record: checkpointing it says
// that the whole batch, and everything before it, is done. It is the zero
// position if the batch is empty.
func (b *Batch) Last() checkpoint.Position {
	if len(b.Records) == 0 {
		return checkpoint.Position{}
	}
	return b.Records[len(b.Records)-1].Position
}
