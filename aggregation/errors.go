package aggregation

import (
	"errors"
	"fmt"
)

// ErrNotAggregated says that data does not begin like an aggregate: it is an
// ordinary record.
var ErrNotAggregated = errors.New("aggregation: not an aggregate")

// ErrFull says that a record does not fit the open aggregate. Seal it and put
// the record into the next one.
var ErrFull = errors.New("aggregation: the aggregate is full")

// A Reason is why data that begins like an aggregate is none. The values are
// short and few, fit for a metric's label.
type Reason string

const (
	// ReasonTooShort: nothing but magic and at most a digest's length follows.
	ReasonTooShort Reason = "too short"
	// ReasonDigest: the digest is not that of the message, so bytes changed on
	// the way, or the magic is there by accident.
	ReasonDigest Reason = "digest mismatch"
	// ReasonSyntax: the message is not well-formed protobuf.
	ReasonSyntax Reason = "malformed protobuf"
	// ReasonGroup: the message holds a protobuf group. The format has none, and
	// nesting them is a known way to exhaust readers.
	ReasonGroup Reason = "protobuf group"
	// ReasonMissingField: a required field is missing.
	ReasonMissingField Reason = "missing required field"
	// ReasonIndex: a record names a key that its table does not hold.
	ReasonIndex Reason = "key index out of range"
)

// A MalformedError says why data that begins like an aggregate is none. The
// Kinesis record is then to be taken as it is. The error holds and prints no
// byte of the record.
type MalformedError struct {
	Reason Reason

	// Offset is where in the Kinesis record the fault lies, in bytes.
	Offset int

	// Record is the user record at fault, counted from 0, or -1 if the fault is
	// not inside one.
	Record int

	detail string
}

// Error describes the fault.
func (e *MalformedError) Error() string {
	s := "aggregation: malformed aggregate: " + string(e.Reason)
	if e.Record >= 0 {
		s += fmt.Sprintf(" in record %d", e.Record)
	}
	s += fmt.Sprintf(" at byte %d", e.Offset)
	if e.detail != "" {
		s += ": " + e.detail
	}
	return s
}

// faults says for each fault what the caller is told.
var faults = [...]struct {
	reason Reason
	detail string
}{
	faultTooLong:             {ReasonSyntax, "message of more than 2 GiB"},
	faultTruncated:           {ReasonSyntax, "field reaches past its message"},
	faultVarint:              {ReasonSyntax, "varint of more than 64 bits"},
	faultFieldNumber:         {ReasonSyntax, "field number outside 1 to 536870911"},
	faultWireType:            {ReasonSyntax, "unknown wire type"},
	faultEndGroup:            {ReasonSyntax, "end of a group that never began"},
	faultGroup:               {ReasonGroup, ""},
	faultNoPartitionKeyIndex: {ReasonMissingField, "partition key index"},
	faultNoData:              {ReasonMissingField, "data"},
	faultNoTagKey:            {ReasonMissingField, "tag key"},
}

// malformed makes the error for a fault at an offset of the message.
func malformed(f fault, offset, record int) error {
	return &MalformedError{
		Reason: faults[f].reason,
		Offset: len(Magic) + offset,
		Record: record,
		detail: faults[f].detail,
	}
}
