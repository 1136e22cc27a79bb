//go:build unix && (amd64 || arm64)

package aggregation

import (
	"errors"
	"syscall"
	"testing"
)

// More than a protobuf message can hold is refused, before it is looked at: the
// bytes here cannot be read.
func TestMoreThanAMessageHolds(t *testing.T) {
	t.Parallel()
	huge, err := syscall.Mmap(-1, 0, maxMessage+1, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(huge) }()

	_, err = scan(huge)
	var bad *MalformedError
	if !errors.As(err, &bad) || bad.Reason != ReasonSyntax {
		t.Errorf("scan: %v", err)
	}
	e := NewEncoder(maxMessage)
	if err := e.Append(Record{Data: huge}); err == nil || errors.Is(err, ErrFull) || e.Len() != 0 {
		t.Errorf("Append to an empty Encoder: %v", err)
	}
	if err := e.Append(Record{PartitionKey: "p"}); err != nil {
		t.Fatal(err)
	}
	if err := e.Append(Record{Data: huge}); err != ErrFull {
		t.Errorf("Append to one with a record: %v", err)
	}
}
