package consumer_test

import (
	"testing"
	"unsafe"

	"github.com/kinesis-go/kinesis/consumer"
)

// The package comment says what the records of a batch cost beside their bytes.
func TestRecordsCostAsMuchAsIsSaid(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(consumer.Record{}); size < 140 || size > 160 {
		t.Errorf("a Record has %d bytes, the package comment says about 150", size)
	}
}
