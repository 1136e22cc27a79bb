package producer

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrClosed is the answer to a Put after Close, and the reason of records
	// that Close gave up because its context ended.
	ErrClosed = errors.New("producer: closed")

	// ErrFull is TryPut's answer when MaxBufferedBytes is used up, or when it would
	// have to wait for the stream to be looked at.
	ErrFull = errors.New("producer: buffer is full")

	// ErrExpired is the reason of a record that was not stored within RecordTTL.
	ErrExpired = errors.New("producer: record expired")
)

// A RecordError says why a record was not accepted. Nothing of it was sent.
type RecordError struct {
	Field string // of Record
	Value string // what it is, shortened
	Bound string // what it must be
}

// Error names the field, its value and the bound.
func (e *RecordError) Error() string {
	return "producer: record not accepted: " + e.Field + ": " + e.Value + ": " + e.Bound
}

// A PutError says why an accepted record was not stored, or why nobody knows.
type PutError struct {
	// Outcome is NotStored or Unknown. Putting the record again is safe after
	// NotStored and may repeat it after Unknown.
	Outcome Outcome

	// Attempts is the number of calls that carried the record, the one under way
	// when it expired included.
	Attempts int

	// Reason is what ended the record: [ErrExpired], [ErrClosed], the cause of
	// the context given to Put, or the error that is not worth a retry.
	Reason error

	// Last is the error of the last attempt that has ended, nil if there was none
	// or if it is the Reason.
	Last error
}

// Error says what is known of the record and why.
func (e *PutError) Error() string {
	var b strings.Builder
	if e.Outcome == NotStored {
		b.WriteString("producer: record not stored")
	} else {
		b.WriteString("producer: record may or may not be stored")
	}
	switch e.Attempts {
	case 0:
	case 1:
		b.WriteString(" (1 attempt)")
	default:
		fmt.Fprintf(&b, " (%d attempts)", e.Attempts)
	}
	fmt.Fprintf(&b, ": %s", strings.TrimPrefix(e.Reason.Error(), "producer: "))
	if e.Last != nil {
		fmt.Fprintf(&b, "; last attempt: %v", e.Last)
	}
	return b.String()
}

// Unwrap returns the reason and the error of the last attempt.
func (e *PutError) Unwrap() []error {
	if e.Last == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Last}
}

// An EntryError is how the service refused one record of a PutRecords call that
// it answered.
type EntryError struct{ Code, Message string }

// Error returns the service's code and message.
func (e *EntryError) Error() string { return e.Code + ": " + e.Message }
