//go:build java

package sidebyside

import (
	"fmt"
	"testing"
	"time"

	"github.com/kinesis-go/kinesis/producer"
)

// fill puts n small records in large aggregates.
func (w *world) fill(n int) {
	w.t.Helper()
	p, err := producer.New(w.kinesis, w.stream, func(o *producer.Options) { o.RecordMaxBufferedTime = time.Second })
	if err != nil {
		w.t.Fatal(err)
	}
	records := make([]producer.Record, n)
	for i := range records {
		name := fmt.Sprintf("id-%07d", i)
		records[i] = producer.Record{PartitionKey: fmt.Sprint("key ", i%100), Data: []byte(name + " and a little more")}
		w.sent[name] = true
	}
	results, err := p.PutMany(w.t.Context(), records)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
	}
	if err := p.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// halted awaits that a worker has ended by itself and left a position inside an
// aggregate.
func (w *world) halted(k *worker) {
	w.t.Helper()
	w.mu.Lock()
	k.over = true
	w.mu.Unlock()
	k.ended(w.t, joins)
	w.gone(k)
	for _, r := range w.rows(w.t.Context()) {
		if sub := str(r["checkpointSubSequenceNumber"]); sub != "0" && sub != "" && sub[len(sub)-1] == '5' {
			return
		}
	}
	w.t.Error("no position inside an aggregate is stored")
}

func insideJava(t *testing.T, s *scenario) {
	w := newWorld(t, 2)
	w.fill(3000)
	w.halted(w.java(kcl35, "java-1", "--halt-after=700"))
	go1 := w.ours("go-1")
	w.holding(go1, 2, joins)
	w.finish(s)
}

func insideOurs(t *testing.T, s *scenario) {
	w := newWorld(t, 2)
	w.fill(3000)
	w.halted(w.ours("go-1", "-halt-after", "700"))
	java1 := w.java(kcl35, "java-1")
	w.holding(java1, 2, joins)
	w.finish(s)
}

// announced awaits that a worker has prepared a checkpoint and hangs, kills it,
// and checks that the other finds what was announced.
func (w *world) announced(dead *worker, heir func() *worker) {
	w.t.Helper()
	var prepared event
	w.await(dead.name+" announces a position", joins, func() bool {
		for _, e := range w.events {
			if e.Worker == dead.name && e.Kind == "prepared" {
				prepared = e
				return true
			}
		}
		return false
	})
	w.kill(dead)
	next := heir()
	w.await(next.name+" finds the announced position", joins, func() bool {
		for _, e := range w.events {
			if e.Worker == next.name && e.Kind == "pending" && e.Shard == prepared.Shard {
				return e.Seq == prepared.Seq && e.Sub == prepared.Sub && e.State == "state of "+prepared.Seq
			}
		}
		return false
	})
}

func preparedJava(t *testing.T, s *scenario) {
	w := newWorld(t, 1)
	w.fill(3000)
	w.announced(w.java(kcl35, "java-1", "--hang-after=1"), func() *worker { return w.ours("go-1", "-prepare") })
	w.finish(s)
}

func preparedOurs(t *testing.T, s *scenario) {
	w := newWorld(t, 1)
	w.fill(3000)
	w.announced(w.ours("go-1", "-hang-after", "1"), func() *worker { return w.java(kcl35, "java-1", "--prepare=true") })
	w.finish(s)
}
