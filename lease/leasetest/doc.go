// Package leasetest tests implementations of [lease.Store].
//
//	func TestMyStore(t *testing.T) {
//		leasetest.TestStore(t, func(t *testing.T) lease.Store { return mystore.New(…) })
//	}
//
// A store that passes does what [lease.Write.Apply] says for every operation, in
// any order, also when several writers race and when an answer was lost. What
// becomes of attributes that only the store's table knows, and of rows that it
// cannot understand, is the store's own to test.
//
// # Concurrency and shutdown
//
// The subtests run one after the other; one of them starts goroutines and waits
// for them.
package leasetest
