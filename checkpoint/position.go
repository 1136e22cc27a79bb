package checkpoint

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// A Position is a place in a shard: a record, or one of the sentinels
// [TrimHorizon], [Latest], [AtTimestamp] and [ShardEnd]. The zero value is no
// position at all; it sorts before every other.
//
// Two positions of the same place are equal under ==, provided their sequence
// numbers are written alike, as those of one stream are.
type Position struct {
	// SequenceNumber is the decimal sequence number Kinesis gave the record, or
	// a sentinel's name.
	SequenceNumber string

	// SubSequenceNumber counts the user records inside an aggregated record, from
	// 0. It is 0 for a record that is not aggregated and for a sentinel.
	SubSequenceNumber int64
}

// The sentinels, in order: AtTimestamp < TrimHorizon < Latest < every sequence
// number < ShardEnd. The first three say where an application that has stored
// nothing starts.
var (
	// AtTimestamp starts at the time the application is configured with; the
	// position itself does not carry it.
	AtTimestamp = Position{SequenceNumber: "AT_TIMESTAMP"}

	// TrimHorizon starts at the oldest record the shard still has.
	TrimHorizon = Position{SequenceNumber: "TRIM_HORIZON"}

	// Latest starts behind the newest record.
	Latest = Position{SequenceNumber: "LATEST"}

	// ShardEnd says that the shard is closed and everything in it is done.
	ShardEnd = Position{SequenceNumber: "SHARD_END"}
)

// MaxSequenceDigits is the length of the longest sequence number Kinesis
// documents.
const MaxSequenceDigits = 129

// At returns the position of a record that is not aggregated.
func At(sequenceNumber string) Position { return Position{SequenceNumber: sequenceNumber} }

// IsZero reports whether p is no position.
func (p Position) IsZero() bool { return p == Position{} }

// IsSentinel reports whether p is one of the four sentinels.
func (p Position) IsSentinel() bool {
	switch p.SequenceNumber {
	case TrimHorizon.SequenceNumber, Latest.SequenceNumber, AtTimestamp.SequenceNumber, ShardEnd.SequenceNumber:
		return true
	}
	return false
}

// IsRecord reports whether p is the position of a record: its sequence number
// consists of digits. [Position.Validate] also judges their count.
func (p Position) IsRecord() bool { return digits(p.SequenceNumber) }

// Validate returns an error if p is neither the position of a record nor a
// sentinel.
func (p Position) Validate() error {
	switch {
	case p.IsSentinel():
		return nil
	case !p.IsRecord():
		return fmt.Errorf("checkpoint: sequence number %s: neither decimal digits nor a sentinel", quote(p.SequenceNumber))
	case len(p.SequenceNumber) > MaxSequenceDigits:
		return fmt.Errorf("checkpoint: sequence number %s: %d digits, at most %d allowed",
			quote(p.SequenceNumber), len(p.SequenceNumber), MaxSequenceDigits)
	case p.SubSequenceNumber < 0:
		return fmt.Errorf("checkpoint: subsequence number %d of %s: below 0", p.SubSequenceNumber, p.SequenceNumber)
	}
	return nil
}

// Compare returns -1, 0 or +1 as p lies before, at or after q. Sequence numbers
// are compared as integers of any size, then subsequence numbers; the
// subsequence number of a sentinel does not count.
func (p Position) Compare(q Position) int {
	a, b := p.rank(), q.rank()
	if c := cmp.Compare(a, b); c != 0 || a != rankRecord {
		return c
	}
	if c := compareDigits(p.SequenceNumber, q.SequenceNumber); c != 0 {
		return c
	}
	return cmp.Compare(p.SubSequenceNumber, q.SubSequenceNumber)
}

// String returns the sequence number, and "+n" behind it if the subsequence
// number n is not 0. It is for people; nothing parses it.
func (p Position) String() string {
	if p.SubSequenceNumber == 0 {
		return p.SequenceNumber
	}
	return p.SequenceNumber + "+" + strconv.FormatInt(p.SubSequenceNumber, 10)
}

const rankRecord = 4

func (p Position) rank() int {
	switch p.SequenceNumber {
	case "":
		return 0
	case AtTimestamp.SequenceNumber:
		return 1
	case TrimHorizon.SequenceNumber:
		return 2
	case Latest.SequenceNumber:
		return 3
	case ShardEnd.SequenceNumber:
		return rankRecord + 1
	}
	return rankRecord
}

// compareDigits compares decimal strings as integers. Some servers pad theirs
// with zeros, so leading zeros do not count.
func compareDigits(a, b string) int {
	if len(a) != len(b) {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if c := cmp.Compare(len(a), len(b)); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != ""
}

// quote bounds what a hostile table can put into an error text.
func quote(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strconv.Quote(s)
}
