//go:build java

package sidebyside

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A position is where a record stands.
type position struct {
	shard, seq string
	sub        int64
}

// finish drains the stream, stops the workers and judges what all of them did.
func (w *world) finish(s *scenario) {
	w.t.Helper()
	w.drain(2 * time.Minute)
	for _, k := range w.workers {
		select {
		case <-k.done:
		default:
			w.stop(k)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(w.events, func(a, b event) int { return int(a.Time - b.Time) })
	delivered, repeated := w.judgeRepeats(s)
	lost, strays := w.judgeStored(), w.judgeStrays()
	if delivered != len(w.stored)-lost+strays+repeated {
		w.t.Errorf("%d deliveries, want those of %d records, %d strays and %d repetitions", delivered, len(w.stored), strays, repeated)
	}
	w.judgeOrder()
	for key, fault := range w.badRows {
		w.t.Errorf("row %s %s", key, fault)
	}
	for _, e := range w.events {
		if e.Kind == "failed" && (s.failures == nil || !s.failures.MatchString(e.Error)) ||
			e.Kind == "refused" && !s.steals && !w.stalled(e.Worker, e.at(), e.at()) {
			w.t.Errorf("%s %s: %s", e.Worker, e.Shard, e.Error)
		}
	}
	for _, k := range w.workers {
		for _, fault := range k.wire.faults {
			w.t.Errorf("%s sent: %s", k.name, fault)
		}
		w.judgeLog(s, k)
	}
	s.row.parts = strings.Join(w.parts, " + ")
	s.row.in, s.row.stored, s.row.strays = len(w.sent), len(w.stored), strays
	s.row.delivered, s.row.repeated, s.row.lost = delivered, repeated, lost
	s.row.seconds = time.Since(w.begun).Seconds()
}

// judgeStored compares what was acknowledged with what stands in the streams, and
// that with what was delivered, record by record. It returns how many are lost.
func (w *world) judgeStored() (lost int) {
	copies := map[string][]position{}
	for at, name := range w.stored {
		copies[name] = append(copies[name], at)
		if w.got[at] == 0 {
			lost++
			w.t.Errorf("%s is lost: %v", name, at)
		}
	}
	for name := range w.sent {
		if len(copies[name]) == 0 {
			lost++
			w.t.Errorf("%s is lost: it stands in no stream", name)
		}
	}
	if len(w.sent) > 0 { // else nothing has an id
		w.judgeTwice(copies)
	}
	return lost
}

// judgeStrays counts the deliveries of records that readers are to drop. A KCL that
// has begun a child shard before it knows its range says so, and drops nothing.
func (w *world) judgeStrays() (strays int) {
	for _, e := range w.events {
		at := position{e.Shard, e.Seq, e.Sub}
		if _, ok := w.stored[at]; ok || e.Kind != "record" {
			continue
		}
		strays++
		k := w.workers[e.Worker]
		if _, ok := w.misled[at]; !ok || !k.java || !k.says("duplicate KPL user records in the event of resharding will not be dropped") {
			w.t.Errorf("%s was delivered by %s, which should have dropped it: %v", e.id, e.Worker, at)
		}
	}
	return strays
}

// says reports whether a worker has logged a text.
func (k *worker) says(text string) bool {
	log, err := os.ReadFile(k.log)
	return err == nil && strings.Contains(string(log), text)
}

// judgeTwice checks that a record stands in a stream twice only behind a reshard:
// that its producer has put it into a shard which it did not know.
func (w *world) judgeTwice(copies map[string][]position) {
	child := map[string]bool{}
	for _, stream := range w.streams {
		for _, s := range w.shards(stream) {
			child[w.label(stream, *s.ShardId)] = s.ParentShardId != nil
		}
	}
	told := 0
	for name, all := range copies {
		if len(all) < 2 {
			continue
		}
		slices.SortFunc(all, func(a, b position) int { return number(a.seq).Cmp(number(b.seq)) })
		if told++; told == 1 {
			w.t.Logf("%s stands in the stream at %v", name, all)
		}
		if !child[all[0].shard] && !w.stalled("", w.begun, time.Now()) { // else a request may have got no answer
			w.t.Errorf("%s stands in the stream more than once, and not for a reshard: %v", name, all)
		}
	}
}

// judgeRepeats counts deliveries. A record may come again only if its worker was
// killed, and it was in the last batch of that tenure; or, where leases are stolen,
// if one of the two has stored no position since, because the lease was the other's;
// or if the machine stood still.
func (w *world) judgeRepeats(s *scenario) (delivered, repeated int) {
	type tenure struct {
		worker, shard string
		n             int
	}
	last, stored := map[tenure]int64{}, map[tenure]int64{} // its last batch, and when it last stored a position
	for _, e := range w.events {
		t := tenure{e.Worker, e.Shard, e.tenure}
		switch e.Kind {
		case "record":
			last[t] = max(last[t], e.Batch)
		case "checkpoint":
			stored[t] = max(stored[t], e.Time)
		}
	}
	first := map[position]event{}
	excess := 0
	for _, e := range w.events {
		if e.Kind != "record" {
			continue
		}
		delivered++
		at := position{e.Shard, e.Seq, e.Sub}
		before, again := first[at]
		if !again {
			first[at] = e
			continue
		}
		repeated++
		had := tenure{before.Worker, before.Shard, before.tenure}
		killed := !w.workers[had.worker].killed.IsZero() && before.Batch == last[had]
		stolen := s.steals && (before.Time >= stored[had] || e.Time >= stored[tenure{e.Worker, e.Shard, e.tenure}])
		if !killed && !stolen && !w.stalled(before.Worker, before.at(), e.at()) {
			if excess++; excess <= 5 {
				w.t.Errorf("%s came to %s at %v and again to %s at %v", e.id, before.Worker, before.at(), e.Worker, e.at())
			}
		}
		first[at] = e
	}
	return delivered, repeated
}

// judgeOrder checks that no child was read before its parents' ends.
func (w *world) judgeOrder() {
	begins, ends, finished := map[string]int64{}, map[string]int64{}, map[string]bool{}
	for _, e := range w.events {
		switch e.Kind {
		case "record":
			if _, ok := begins[e.Shard]; !ok {
				begins[e.Shard] = e.Time
			}
			ends[e.Shard] = max(ends[e.Shard], e.Time)
		case "shardEnded":
			finished[e.Shard] = true
		}
	}
	for _, stream := range w.streams {
		for _, s := range w.shards(stream) {
			child := w.label(stream, *s.ShardId)
			for _, id := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
				parent := w.label(stream, aws.ToString(id))
				begin, read := begins[child]
				switch {
				case parent == "" || !read:
				case !finished[parent]:
					w.t.Errorf("%s was read and its parent %s is not finished", child, parent)
				case begin < ends[parent]:
					w.t.Errorf("%s was read %d ms before the last record of its parent %s", child, ends[parent]-begin, parent)
				}
			}
		}
	}
}

// judgeLog looks for what a worker of Java should not have to say.
func (w *world) judgeLog(s *scenario, k *worker) {
	if !k.java {
		return
	}
	file, err := os.Open(k.log)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer file.Close()
	shown := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if !strings.Contains(line, " ERROR ") || s.errors != nil && s.errors.MatchString(line) || w.excused(k, line) {
			continue
		}
		if shown++; shown <= 5 {
			w.t.Errorf("%s says %s", k.name, line)
		}
	}
}

// excused reports whether a line of Java's log was written when the worker, or all,
// stood still or just had: timers fire then that would not. At the end the test
// reads the streams too, of which a shard gives no more than 2 MiB a second.
func (w *world) excused(k *worker, line string) bool {
	clock, _, _ := strings.Cut(line, " ")
	at, err := time.ParseInLocation(time.DateOnly+" 15:04:05.000", w.begun.Format(time.DateOnly)+" "+clock, time.Local)
	if err != nil {
		return false
	}
	if at.Before(w.begun.Add(-time.Minute)) { // past midnight
		at = at.AddDate(0, 0, 1)
	}
	return w.stalled(k.name, at, at) ||
		!w.drained.IsZero() && at.After(w.drained) && strings.Contains(line, "ProvisionedThroughputExceededException")
}

// anyOf matches a line with one of the texts.
func anyOf(texts ...string) *regexp.Regexp {
	for i := range texts {
		texts[i] = regexp.QuoteMeta(texts[i])
	}
	return regexp.MustCompile(strings.Join(texts, "|"))
}
