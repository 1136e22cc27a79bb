// Package checkpoint says how far a reader has got in a shard.
//
// A [Position] is a sequence number and, inside a record that holds several
// (see package aggregation), a subsequence number; or one of the four sentinels
// that stand for a place no record has. Positions are ordered. A [Tracker] turns
// completions that arrive in any order into the one position that is safe to
// store.
//
//	var t checkpoint.Tracker
//	a, err := t.Begin(posA) // in the order of the shard
//	b, err := t.Begin(posB)
//	t.Done(b)               // in any order
//	t.Watermark()           // nothing yet: a is not done
//	t.Done(a)
//	t.Watermark()           // posB
//
// Positions are stored in rows of a lease table, which package lease writes; the
// text of the sentinels and the split into two attributes are those of the Java
// Kinesis Client Library (KCL), so both can read each other's.
//
// # Guarantees
//
// [Tracker.Watermark] never moves backwards and never passes a position whose
// work is not done. After a crash a reader resumes just after the stored
// position: what was done but not stored is delivered again, nothing is skipped.
//
// # Concurrency and shutdown
//
// Positions are values. A Tracker belongs to one goroutine. Nothing here starts
// a goroutine or waits.
//
// # Errors
//
// [Position.Validate] reports text that is no position. Comparing positions that
// are not valid gives an order, never a panic, but one without meaning.
//
// # Limits
//
// A sequence number has at most 129 decimal digits, the bound Kinesis documents
// for its parameters.
package checkpoint
