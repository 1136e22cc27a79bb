//go:build java

package sidebyside

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// newManyWorld is newWorld for an application that reads many streams: two at
// first, with two shards each.
func newManyWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 2)
	w.list = filepath.Join(w.dir, "streams")
	w.named(w.stream)
	w.put(&flow{perSecond: 30})
	w.add("returns", 1_000_000)
	return w
}

// add makes a stream with two shards, which the application is to read and a
// producer puts into.
func (w *world) add(stream string, first int) *flow {
	w.t.Helper()
	if _, err := w.kinesis.CreateStream(w.t.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(2)}); err != nil {
		w.t.Fatal(err)
	}
	if err := kinesis.NewStreamExistsWaiter(w.kinesis).Wait(w.t.Context(), &kinesis.DescribeStreamInput{StreamName: &stream}, time.Minute); err != nil {
		w.t.Fatal(err)
	}
	w.streams = append(w.streams, stream)
	w.named(w.streams...)
	return w.put(&flow{stream: stream, perSecond: 20, first: first})
}

// named says which streams the application is to read, by the ids that the KCL
// wants.
func (w *world) named(streams ...string) {
	w.t.Helper()
	var text strings.Builder
	for _, stream := range streams {
		out, err := w.kinesis.DescribeStreamSummary(w.t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
		if err != nil {
			w.t.Fatal(err)
		}
		d := out.StreamDescriptionSummary
		fmt.Fprintf(&text, "%s:%s:%d\n", strings.Split(*d.StreamARN, ":")[4], stream, d.StreamCreationTimestamp.Unix())
	}
	if err := os.WriteFile(w.list+".new", []byte(text.String()), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.list+".new", w.list); err != nil { // a worker may read it now
		w.t.Fatal(err)
	}
}

// read awaits that somebody reads all open shards of a stream.
func (w *world) read(stream string) {
	w.t.Helper()
	shards := w.open(stream)
	w.await("all of "+stream+" is read", joins, func() bool {
		for _, s := range shards {
			if w.owner(w.label(stream, *s.ShardId)) == "" {
				return false
			}
		}
		return true
	})
}

// comeAndGo adds a stream while all workers run, reshards one, and takes the first
// away again when all of it was read: then its rows have to go, and nobody may
// hold any of it.
func (w *world) comeAndGo() {
	w.t.Helper()
	for _, stream := range w.streams {
		w.read(stream)
	}
	begun := time.Now()
	refunds := w.add("refunds", 2_000_000)
	w.read("refunds")
	results.measured("a stream is named to the begin of its last shard, the leader looking every minute", w.leader(), "%.1f s", time.Since(begun).Seconds())
	w.split("orders:shardId-000000000000")
	w.begunShards(8)
	refunds.end()
	left := map[position]string{}
	w.handedOut("refunds", left, map[position]string{})
	w.delivered("all of refunds", left, joins)
	var rows []string
	for _, s := range w.shards("refunds") {
		for key := range w.rows(w.t.Context()) {
			if strings.HasSuffix(key, ":"+*s.ShardId) && strings.Contains(key, ":refunds:") {
				rows = append(rows, key)
			}
		}
	}
	if len(rows) != 2 {
		w.t.Errorf("rows of refunds: %v, want 2", rows)
	}
	begun = time.Now()
	w.named("orders", "returns")
	w.cleaned(rows...)
	results.measured("a stream is named no longer to the end of its rows, the leader looking every minute", w.leader(), "%.1f s", time.Since(begun).Seconds())
	w.await("nobody holds any of refunds", soon, func() bool {
		return w.owner("refunds:shardId-000000000000") == "" && w.owner("refunds:shardId-000000000001") == ""
	})
}

// leader says which side has the leader lock.
func (w *world) leader() string {
	w.t.Helper()
	owner := str(w.rows(w.t.Context())["Leader"]["ownerName"])
	if k := w.workers[owner]; k != nil {
		return k.side() + " leads"
	}
	w.t.Errorf("%q leads, which is no worker", owner)
	return ""
}

func manyOursLeads(t *testing.T, s *scenario) {
	w := newManyWorld(t)
	go1 := w.ours("go-1")
	w.holding(go1, 4, soon)
	java1 := w.java(kcl35, "java-1")
	w.holding(java1, 2, joins)
	w.reads(java1, soon)
	w.comeAndGo()
	w.kill(go1)
	w.holding(java1, 5, joins)
	w.finish(s)
}

func manyJavaLeads(t *testing.T, s *scenario) {
	w := newManyWorld(t)
	java1 := w.java(kcl35, "java-1")
	w.holding(java1, 4, joins)
	go1 := w.ours("go-1")
	w.holding(go1, 2, joins)
	w.reads(go1, soon)
	w.comeAndGo()
	w.kill(java1)
	w.holding(go1, 5, joins)
	w.finish(s)
}
