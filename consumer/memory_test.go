package consumer

import "testing"

func TestMemoryIsFreedByItsLastUser(t *testing.T) {
	t.Parallel()
	freed := 0
	m := newMemory(func() { freed++ })
	second := m.retain()
	m.release()
	if freed != 0 {
		t.Fatal("freed while it had a user")
	}
	second.release()
	if freed != 1 {
		t.Fatalf("freed %d times, want once", freed)
	}
	var none *memory
	none.retain().release() // is of nothing
}
