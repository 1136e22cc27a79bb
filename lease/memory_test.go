package lease_test

import (
	"testing"

	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/leasetest"
)

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	leasetest.TestStore(t, func(*testing.T) lease.Store { return lease.NewMemoryStore() })
}
