//go:build java

package sidebyside

import (
	"syscall"
	"testing"
	"time"
)

// scenarios in the order of the table, and in that in which they begin: the two that
// take a quarter of an hour come first.
var scenarios = []scenario{
	{name: "2.7.2, then 3.5.1 and ours to 3.x, back, and forward again", run: flip},
	{name: "two KCL 3.5.1 alone: join, rest, two are killed, split", run: life("Java", javaByDefault)},
	{name: "ours leads, Java joins, each gives way", run: oursFirst},
	{name: "Java leads, ours joins, Java gives way", run: javaFirst},
	{name: "both start together", run: together},
	{name: "Java is killed as leader and as follower", run: javaKilled},
	{name: "ours is killed as leader and as follower", run: oursKilled},
	{name: "leaders freeze and come back", run: frozen},
	{name: "ours leads: split, merge, cleanup, then killed", core: true, run: reshardOursLeads},
	{name: "Java leads: split, merge, cleanup", run: reshardJavaLeads},
	{name: "many streams, ours leads: one comes, one goes, ours is killed", run: manyOursLeads},
	{name: "many streams, Java leads: one comes, one goes, Java is killed", run: manyJavaLeads},
	{name: "ours leads, CPU shown by both: a busy shard", run: busyShard(false)},
	{name: "Java leads, CPU shown by both: a busy shard", run: busyShard(true)},
	{name: "ours leads, CPU shown by both: Java on a slow machine", run: slowMachine(false)},
	{name: "Java leads, CPU shown by both: ours on a slow machine", run: slowMachine(true)},
	{name: "Java stops inside an aggregate, ours goes on", run: insideJava},
	{name: "ours stops inside an aggregate, Java goes on", core: true, run: insideOurs},
	{name: "Java prepares a checkpoint and dies", run: preparedJava},
	{name: "ours prepares a checkpoint and dies", run: preparedOurs},
	{name: "KPL 1.1.1 to ours, all in two runs", core: true, run: kplToUs(kpl11, kplAll)},
	{name: "KPL 1.1.1 to ours, case by case", run: kplToUs(kpl11, kplCases)},
	{name: "KPL 1.0.7 to ours, case by case", run: kplToUs(kpl10, kplCases)},
	{name: "KPL through a split and a merge", core: true, run: kplReshards},
	{name: "KPL through a split and a merge to both", run: kplFleet},
	{name: "KPL into an AUTO stream", core: true, run: kplAuto},
	{name: "KCL alone on our server: polling, CBOR", run: javaPollsCBOR},
	{name: "KCL alone on our server: polling, JSON", run: javaPollsJSON},
	{name: "KCL alone on our server: fan-out, CBOR", run: javaFansOut},
	{name: "KCL alone on our server: fan-out, JSON", run: javaFansOutJSON},
	{name: "ours alone on our server", run: oursAlone},
	{name: "KCL 3.4.2 leads, ours joins, 3.5.1 joins, 3.4.2 is killed", run: beside34},
	{name: "KCL 2.7.2, ours joins, reshard, each is killed", run: beside27},
	{name: "rolling 2.7.2, ours, 3.5.1 PHASE1, ours, 2.7.2", run: rolling},
	{name: "from three tables to one, with 3.5.1 and ours", run: oneTable},
	{name: "two of ours alone: join, rest, two are killed, split", run: life("ours", oursByDefault)},
	{name: "KCL 3.4.2 alone on our server", run: javaOld(kcl34)},
	{name: "KCL 2.7.2 alone on our server", run: javaOld(kcl27)},
}

// Times within which things have to happen. A JVM on a busy machine needs half a
// minute to begin, and the KCL waits for up to 30 s on an empty table.
const (
	joins = 3 * time.Minute
	soon  = time.Minute
)

// newFleet begins a world of two workers with four shards under load, which have
// shared them, the leader named first.
func newFleet(t *testing.T, javaLeads bool) (w *world, go1, java1 *worker) {
	t.Helper()
	w = newWorld(t, 4)
	w.produce(40)
	java := func() *worker { java1 = w.java(kcl35, "java-1"); return java1 }
	ours := func() *worker { go1 = w.ours("go-1"); return go1 }
	first, second := ours, java
	if javaLeads {
		first, second = java, ours
	}
	leader := first()
	w.holding(leader, 4, joins)
	w.firstRecord(leader, "new application")
	w.joined(second())
	return w, go1, java1
}

// joined awaits that a worker has its share of four leases, and reads.
func (w *world) joined(k *worker) {
	w.t.Helper()
	w.balanced(k)
	w.firstRecord(k, "joining")
}

func oursFirst(t *testing.T, s *scenario) {
	w, go1, java1 := newFleet(t, false)
	w.stop(go1)
	w.holding(java1, 4, joins)
	w.joined(w.ours("go-2"))
	w.finish(s)
	w.figureHandoffs("a lease being handed over, failover "+failover.String(), "ours and Java, whoever leads")
}

func javaFirst(t *testing.T, s *scenario) {
	w, go1, java1 := newFleet(t, true)
	w.stop(java1)
	w.holding(go1, 4, joins)
	w.finish(s)
	w.figureHandoffs("a lease being handed over, failover "+failover.String(), "ours and Java, whoever leads")
}

// together: ours must do nothing that a KCL worker in its first start does not
// survive.
func together(t *testing.T, s *scenario) {
	w := newWorld(t, 4)
	w.produce(40)
	java1, go1 := w.java(kcl35, "java-1"), w.ours("go-1")
	w.holding(go1, 2, joins)
	w.holding(java1, 2, joins)
	w.reads(java1, soon)
	w.finish(s)
}

// takeOver kills a worker and awaits that another has so many leases.
func (w *world) takeOver(dead, heir *worker, leases int) time.Duration {
	w.t.Helper()
	w.kill(dead)
	return w.holding(heir, leases, 2*joins)
}

// killing kills a worker and awaits that another has all leases.
func (w *world) killing(dead, heir *worker, what string) {
	w.t.Helper()
	took := w.takeOver(dead, heir, 4)
	results.measured("kill -9 to the last lease elsewhere, failover "+failover.String(), what, "%.1f s", took.Seconds())
}

func javaKilled(t *testing.T, s *scenario) {
	w, go1, java1 := newFleet(t, true)
	w.killing(java1, go1, "Java leader, ours takes over")
	java2 := w.java(kcl35, "java-2")
	w.joined(java2)
	w.killing(java2, go1, "Java follower, ours leads")
	w.finish(s)
}

func oursKilled(t *testing.T, s *scenario) {
	w, go1, java1 := newFleet(t, false)
	w.killing(go1, java1, "our leader, Java takes over")
	go2 := w.ours("go-2")
	w.joined(go2)
	w.killing(go2, java1, "our follower, Java leads")
	w.finish(s)
}

// frozen: what a worker does that was away for four failover times disturbs
// nobody.
func frozen(t *testing.T, s *scenario) {
	s.steals = true                                     // the batch in hand when it froze
	s.failures = anyOf("Acquire operation took longer") // all timers of a JVM fire as it thaws
	w, go1, java1 := newFleet(t, true)
	java1.signal(syscall.SIGSTOP)
	w.holding(go1, 4, joins)
	java1.signal(syscall.SIGCONT)
	w.await("Java has lost its leases and has some again", joins, func() bool {
		return w.tenures["java-1 shardId-000000000000"]+w.tenures["java-1 shardId-000000000001"]+w.tenures["java-1 shardId-000000000002"]+w.tenures["java-1 shardId-000000000003"] >= 6
	})
	go1.signal(syscall.SIGSTOP)
	w.holding(java1, 4, joins)
	go1.signal(syscall.SIGCONT)
	w.reads(go1, joins)
	w.finish(s)
}
