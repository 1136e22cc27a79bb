//go:build java

package sidebyside

import (
	"fmt"
	"testing"
)

// On our server alone: what another language sees of it.

func javaPollsCBOR(t *testing.T, s *scenario) { javaAlone(t, s, false) }
func javaPollsJSON(t *testing.T, s *scenario) { javaAlone(t, s, false, "-Daws.cborEnabled=false") }
func javaFansOut(t *testing.T, s *scenario)   { javaAlone(t, s, true, "--retrieval=fanout") }
func javaFansOutJSON(t *testing.T, s *scenario) {
	javaAlone(t, s, true, "--retrieval=fanout", "-Daws.cborEnabled=false")
}

func javaAlone(t *testing.T, s *scenario, overTLS bool, flags ...string) {
	w := newWorld(t, 2)
	url := w.url
	if overTLS {
		url = w.tls
	}
	w.alone(s, w.javaOn(url, kcl35, "java-1", flags...))
}

// oursAlone is javaAlone with ours, for the figures.
func oursAlone(t *testing.T, s *scenario) {
	w := newWorld(t, 2)
	w.alone(s, w.ours("go-1"))
}

// alone lets one worker read a stream through a split and a merge.
func (w *world) alone(s *scenario, k *worker) {
	w.t.Helper()
	w.produce(40)
	w.holding(k, 2, joins)
	w.firstRecord(k, "new application")
	w.split("shardId-000000000000")
	w.begunShards(4)
	w.figureChildren("shardId-000000000000", "parent with "+k.side()+" alone")
	w.merge("shardId-000000000001", "shardId-000000000003")
	w.begunShards(5)
	w.finish(s)
}

// javaOld reads with one of the older KCLs alone.
func javaOld(version string) func(*testing.T, *scenario) {
	return func(t *testing.T, s *scenario) {
		w := newWorld(t, 2)
		w.produce(40)
		java1 := w.java(version, "java-1")
		w.holding(java1, 2, joins)
		w.split("shardId-000000000000")
		w.begunShards(4)
		w.finish(s)
		s.row.parts = fmt.Sprint("KCL ", version)
	}
}
