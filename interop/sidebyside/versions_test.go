//go:build java

package sidebyside

import "testing"

// beside34 is a fleet of three versions, on the three tables that 3.4 made.
func beside34(t *testing.T, s *scenario) {
	w := newWorld(t, 6)
	w.produce(60)
	old := w.java(kcl34, "java-34")
	w.holding(old, 6, joins)
	go1 := w.ours("go-1")
	w.holding(go1, 2, joins)
	w.reads(go1, soon)
	java35 := w.java(kcl35, "java-35")
	w.holding(java35, 1, joins)
	w.reads(java35, soon)
	w.kill(old)
	w.all(6, go1, java35)
	w.stop(java35)
	w.all(6, go1)
	w.finish(s)
}

// all awaits that these workers hold n leases together.
func (w *world) all(n int, workers ...*worker) {
	w.t.Helper()
	w.await("all leases are with the living", joins, func() bool {
		held := 0
		for _, k := range workers {
			held += len(w.held[k.name])
		}
		return held >= n
	})
}

// beside27 is a fleet whose workers take leases for themselves.
func beside27(t *testing.T, s *scenario) {
	s.steals = true // it knows no other way
	w := newWorld(t, 4)
	w.produce(40)
	java1 := w.java(kcl27, "java-1")
	w.holding(java1, 4, joins)
	go1 := w.ours("go-1")
	w.holding(go1, 2, joins)
	w.reads(go1, soon)
	w.split(w.one(java1))
	w.split(w.one(go1))
	w.begunShards(8)
	w.kill(java1)
	w.all(6, go1)
	java2 := w.java(kcl27, "java-2")
	w.holding(java2, 2, joins)
	w.reads(java2, soon)
	w.kill(go1)
	w.all(6, java2)
	w.finish(s)
}

// rolling goes from KCL 2.7 to ours, to 3.5 in its first phase, and all the way
// back; somebody reads all the time.
func rolling(t *testing.T, s *scenario) {
	s.steals = true
	w := newWorld(t, 4)
	w.produce(40)
	java1 := w.java(kcl27, "java-1")
	w.holding(java1, 4, joins)
	go1 := w.ours("go-1")
	w.holding(go1, 2, joins)
	w.stop(java1)
	w.all(4, go1)
	java2 := w.java(kcl35, "java-2", "--client-version=CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X_PHASE1")
	w.holding(java2, 2, joins)
	w.stop(go1)
	w.all(4, java2)
	go2 := w.ours("go-2")
	w.holding(go2, 2, joins)
	w.stop(java2)
	w.all(4, go2)
	java3 := w.java(kcl27, "java-3")
	w.holding(java3, 2, joins)
	w.stop(go2)
	w.all(4, java3)
	w.finish(s)
}
