package consumer

import "sync/atomic"

// A memory is the bytes of one page, which stay accounted for until everything
// that was made of the page has let go of it: the unpacker while it works through
// it, and each batch until the next one is asked for or, if an adapter of this
// package works on records of several batches at a time, until the last of them
// is done. A nil memory is of nothing.
type memory struct {
	users atomic.Int64
	free  func() // called once, by the last user
}

// newMemory returns a memory with one user, the caller.
func newMemory(free func()) *memory {
	m := &memory{free: free}
	m.users.Store(1)
	return m
}

// retain adds a user. The caller is one already.
func (m *memory) retain() *memory {
	if m != nil {
		m.users.Add(1)
	}
	return m
}

// release takes a user away.
func (m *memory) release() {
	if m != nil && m.users.Add(-1) == 0 {
		m.free()
	}
}
