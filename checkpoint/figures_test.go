package checkpoint

import (
	"testing"
	"unsafe"
)

// Package consumer says that a record that was begun costs about 48 bytes: a slot,
// and what the slice of them has in reserve.
func TestSlotIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(slot{}); size > 40 {
		t.Errorf("a slot has %d bytes", size)
	}
}
