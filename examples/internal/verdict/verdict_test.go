package verdict

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	put := func(seq string, sub int, key, data string) func(*Verdict) {
		return func(v *Verdict) { v.Put("s", seq, sub, key, []byte(data)) }
	}
	get := func(seq string, sub int, key, data string) func(*Verdict) {
		return func(v *Verdict) { v.Delivered("s", seq, sub, key, []byte(data)) }
	}
	unknown := func(key, data string) func(*Verdict) {
		return func(v *Verdict) { v.Unknown(key, []byte(data)) }
	}
	tests := []struct {
		name  string
		steps []func(*Verdict)
		want  Summary
	}{
		{"nothing", nil, Summary{}},
		{"put and delivered", []func(*Verdict){put("1", 0, "k", "a"), get("1", 0, "k", "a")}, Summary{Put: 1, Delivered: 1}},
		{"delivered before its put was reported", []func(*Verdict){get("1", 0, "k", "a"), put("1", 0, "k", "a")}, Summary{Put: 1, Delivered: 1}},
		{"lost", []func(*Verdict){put("1", 0, "k", "a"), put("1", 1, "k", "b"), get("1", 1, "k", "b")}, Summary{Put: 2, Delivered: 1, Lost: 1}},
		{"delivered three times", []func(*Verdict){get("1", 0, "k", "a"), get("1", 0, "k", "a"), put("1", 0, "k", "a"), get("1", 0, "k", "a")}, Summary{Put: 1, Delivered: 1, Duplicated: 2}},
		{"leading zeros", []func(*Verdict){put("0012", 0, "k", "a"), get("12", 0, "k", "a")}, Summary{Put: 1, Delivered: 1}},
		{"stored twice by a retry", []func(*Verdict){get("1", 0, "k", "a"), get("5", 0, "k", "a"), put("5", 0, "k", "a")}, Summary{Put: 1, Delivered: 1, Duplicated: 1}},
		{"the copy was delivered and the record was not", []func(*Verdict){get("1", 0, "k", "a"), put("5", 0, "k", "a")}, Summary{Put: 1, Lost: 1, Duplicated: 1}},
		{"foreign", []func(*Verdict){put("1", 0, "k", "a"), get("1", 0, "k", "a"), get("2", 0, "k", "x"), get("2", 0, "k", "x")}, Summary{Put: 1, Delivered: 1, Foreign: 1, Duplicated: 1}},
		{"corrupted data", []func(*Verdict){put("1", 0, "k", "a"), get("1", 0, "k", "x")}, Summary{Put: 1, Lost: 1, Foreign: 1}},
		{"corrupted key", []func(*Verdict){get("1", 0, "kk", "a"), put("1", 0, "k", "a")}, Summary{Put: 1, Lost: 1, Foreign: 1}},
		{"key and data divided elsewhere", []func(*Verdict){put("1", 0, "k", "xa"), get("1", 0, "kx", "a")}, Summary{Put: 1, Lost: 1, Foreign: 1}},
		{"corrupted once, then whole", []func(*Verdict){put("1", 0, "k", "a"), get("1", 0, "k", "x"), get("1", 0, "k", "a")}, Summary{Put: 1, Delivered: 1, Foreign: 1}},
		{"corrupted before its put was reported, then whole", []func(*Verdict){get("1", 0, "k", "x"), put("1", 0, "k", "a"), get("1", 0, "k", "x"), get("1", 0, "k", "a")}, Summary{Put: 1, Delivered: 1, Foreign: 1, Duplicated: 1}},
		{"two at one position", []func(*Verdict){put("1", 0, "k", "a"), put("1", 0, "k", "b"), get("1", 0, "k", "a")}, Summary{Put: 2, Delivered: 1, Lost: 1}},
		{"two alike at one position", []func(*Verdict){put("1", 0, "k", "a"), put("1", 0, "k", "a"), get("1", 0, "k", "a")}, Summary{Put: 2, Delivered: 1, Lost: 1}},
		{"unknown and delivered", []func(*Verdict){unknown("k", "a"), get("1", 0, "k", "a")}, Summary{Put: 1, Delivered: 1}},
		{"unknown and never delivered", []func(*Verdict){unknown("k", "a")}, Summary{}},
		{"unknown and stored twice", []func(*Verdict){get("1", 0, "k", "a"), get("2", 0, "k", "a"), unknown("k", "a")}, Summary{Put: 1, Delivered: 1, Duplicated: 1}},
		{"order of sequence numbers is numeric", []func(*Verdict){get("9", 0, "k", "a"), get("10", 0, "k", "b")}, Summary{Foreign: 2}},
		{"out of order", []func(*Verdict){get("10", 0, "k", "a"), get("9", 0, "k", "b"), get("11", 0, "k", "c")}, Summary{Foreign: 3, OutOfOrder: 1}},
		{"out of order inside an aggregate", []func(*Verdict){get("1", 64, "k", "a"), get("1", 3, "k", "b"), get("1", 3, "k", "b")}, Summary{Foreign: 2, OutOfOrder: 1, Duplicated: 1}},
		{"another key may overtake", []func(*Verdict){get("10", 0, "k", "a"), get("9", 0, "l", "b")}, Summary{Foreign: 2}},
		{"delivered again from an earlier position", []func(*Verdict){get("1", 0, "k", "a"), get("2", 0, "k", "b"), get("1", 0, "k", "a"), get("2", 0, "k", "b")}, Summary{Foreign: 2, Duplicated: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := New()
			for _, step := range tt.steps {
				step(v)
			}
			if got := v.Summary(); got != tt.want {
				t.Errorf("Summary = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOrderFollowsTheLineage(t *testing.T) {
	t.Parallel()
	lineage := map[string][]string{"a": nil, "b": nil, "c": {"a"}, "d": {"c", "b"}, "e": {"gone"}, "x": {"y"}, "y": {"x"}}
	tests := []struct {
		name           string
		shard1, seq1   string
		shard2, seq2   string
		lineage        map[string][]string
		wantOutOfOrder int64
	}{
		{"child after parent, though its number is lower", "a", "9", "c", "3", lineage, 0},
		{"parent after child, though its number is higher", "c", "3", "a", "9", lineage, 1},
		{"after a merge the longer line counts", "d", "3", "c", "9", lineage, 1},
		{"a parent that was trimmed", "e", "1", "gone", "9", map[string][]string{"e": {"gone"}, "gone": nil}, 1},
		{"without a lineage numbers decide", "c", "3", "a", "9", nil, 0},
		{"one of two unknown: numbers decide", "c", "3", "a", "9", map[string][]string{"c": {"a"}}, 0},
		{"a circle ends", "x", "3", "y", "2", lineage, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := New()
			v.Lineage(tt.lineage)
			v.Delivered(tt.shard1, tt.seq1, 0, "k", []byte("1"))
			v.Delivered(tt.shard2, tt.seq2, 0, "k", []byte("2"))
			if got := v.Summary().OutOfOrder; got != tt.wantOutOfOrder {
				t.Errorf("out of order %d, want %d", got, tt.wantOutOfOrder)
			}
		})
	}
}

func TestNumbersAreComparedAsNumbers(t *testing.T) {
	t.Parallel()
	rising := []string{
		"", "1", "9", "10", "18446744073709551615", "18446744073709551616",
		"49590338271490256608559692538361571095921575989136588898",
		"49590338271490256608559692538361571095921575989136588899",
		"149590338271490256608559692538361571095921575989136588898",
		"6277101735386680763835789423207666416102355444464034512894", // 2^192 - 2
		"6277101735386680763835789423207666416102355444464034512895",
	}
	for i, a := range rising {
		for j, b := range rising {
			if got, want := parse(a).compare(parse("00"+b)), i-j; got > 0 != (want > 0) || got < 0 != (want < 0) {
				t.Errorf("compare(%s, %s) = %d, want the sign of %d", a, b, got, want)
			}
		}
	}
	if parse("6277101735386680763835789423207666416102355444464034512896") != parse(rising[len(rising)-1]) {
		t.Error("2^192 is not the greatest number")
	}
}

// naive keeps every event and compares them the plain way.
type naive struct {
	lineage map[string][]string
	puts    []event
	unknown []string
	gets    []event
}

type event struct {
	shard    string
	seq, sub int
	key      string
	data     string
}

func (e event) position() string { return fmt.Sprint(e.shard, "/", e.seq, "/", e.sub) }
func (e event) content() string  { return e.key + "\x00" + e.data }

func (n *naive) depth(shard string) int {
	d := 0
	for _, p := range n.lineage[shard] {
		d = max(d, 1+n.depth(p))
	}
	return d
}

func (n *naive) after(a, b event) bool {
	if da, db := n.depth(a.shard), n.depth(b.shard); da != db {
		return da > db
	}
	return a.seq > b.seq || a.seq == b.seq && a.sub > b.sub
}

func (n *naive) summary() Summary {
	s := Summary{Put: int64(len(n.puts))}
	putAt, known := map[string]string{}, map[string]bool{}
	for _, p := range n.puts {
		putAt[p.position()] = p.content()
		known[p.content()] = true
	}
	delivered, seen := map[string]bool{}, map[string]bool{}
	strange := map[string]int64{}
	for i, g := range n.gets {
		id := g.position() + "\x00" + g.content()
		if delivered[id] {
			s.Duplicated++
			continue
		}
		delivered[id] = true
		if putAt[g.position()] == g.content() {
			s.Delivered++
		} else {
			strange[g.content()]++
		}
		if seen[g.position()] {
			continue
		}
		seen[g.position()] = true
		for _, earlier := range n.gets[:i] {
			if earlier.key == g.key && n.after(earlier, g) {
				s.OutOfOrder++
				break
			}
		}
	}
	for _, u := range n.unknown {
		known[u] = true
		if strange[u] > 0 {
			strange[u]--
			s.Put++
			s.Delivered++
		}
	}
	for content, count := range strange {
		if known[content] {
			s.Duplicated += count
		} else {
			s.Foreign += count
		}
	}
	s.Lost = s.Put - s.Delivered
	return s
}

// run plays a random history: records that are put, unknown, lost, copied,
// foreign or corrupted, reported and delivered in any order and any number of times.
func (n *naive) play(rng *rand.Rand, v *Verdict) {
	n.lineage = map[string][]string{"s0": nil, "s1": nil, "s2": {"s0"}, "s3": {"s0"}, "s4": {"s3", "s1"}}
	v.Lineage(n.lineage)
	var steps []func()
	get := func(e event, times int) {
		for range times {
			steps = append(steps, func() {
				n.gets = append(n.gets, e)
				v.Delivered(e.shard, strconv.Itoa(e.seq), e.sub, e.key, []byte(e.data))
			})
		}
	}
	used := map[string]bool{}
	for range 1 + rng.IntN(150) {
		e := event{
			shard: "s" + strconv.Itoa(rng.IntN(5)), seq: rng.IntN(30), sub: rng.IntN(200) * rng.IntN(2),
			key: "k" + strconv.Itoa(rng.IntN(4)), data: strconv.Itoa(rng.IntN(40)),
		}
		if used[e.position()] {
			continue
		}
		used[e.position()] = true
		times := rng.IntN(4)
		switch rng.IntN(8) {
		case 0: // foreign, or the copy of another, as its content says
			get(e, times)
		case 1:
			steps = append(steps, func() {
				n.unknown = append(n.unknown, e.content())
				v.Unknown(e.key, []byte(e.data))
			})
			get(e, times)
		case 2: // corrupted for ever; a key of its own, as its order is undefined
			e.key = e.position()
			bad := e
			bad.data += "!"
			get(bad, times)
			fallthrough
		default:
			steps = append(steps, func() {
				n.puts = append(n.puts, e)
				v.Put(e.shard, strconv.Itoa(e.seq), e.sub, e.key, []byte(e.data))
			})
			if e.key != e.position() {
				get(e, times)
			}
		}
	}
	if rng.IntN(2) == 0 {
		rng.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	}
	for _, step := range steps {
		step()
	}
}

func TestSummaryAgreesWithANaiveModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(600) {
		var n naive
		v := New()
		n.play(rand.New(rand.NewPCG(seed, 1)), v)
		if got, want := v.Summary(), n.summary(); got != want {
			t.Fatalf("seed %d: Summary = %+v, want %+v", seed, got, want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 5000
	v := New()
	data := []byte("some data")
	var wg sync.WaitGroup
	for w := range workers {
		shard := "s" + strconv.Itoa(w%3)
		for _, report := range []func(string, string, int, string, []byte){v.Put, v.Delivered} {
			wg.Go(func() {
				for i := range each {
					report(shard, strconv.Itoa(w*each+i/100), i%100, "k"+strconv.Itoa(w), data)
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				v.Lineage(map[string][]string{"s1": {"s0"}, "s2": {"s1"}})
				v.Progress()
			}
		})
	}
	wg.Wait()
	if put, delivered := v.Progress(); put != workers*each || delivered != workers*each {
		t.Errorf("Progress = %d, %d, want %d of each", put, delivered, workers*each)
	}
	if got, want := v.Summary(), (Summary{Put: workers * each, Delivered: workers * each}); got != want {
		t.Errorf("Summary = %+v, want %+v", got, want)
	}
}

// TestMemory is not parallel: it measures the heap of the process.
func TestMemory(t *testing.T) {
	const aggregate = 480
	tests := []struct {
		name     string
		records  int
		keys     int
		maxBytes float64 // per record
	}{
		{"few keys", 200_000, 1000, 20},
		{"every record its own key", 200_000, 200_000, 50},
	}
	for _, tt := range tests {
		before := liveBytes()
		v := New()
		data := make([]byte, 100)
		for i := range tt.records {
			key := strconv.Itoa(i % tt.keys)
			v.Put("shardId-000000000000", seq(i/aggregate), i%aggregate, key, data)
			v.Delivered("shardId-000000000000", seq(i/aggregate), i%aggregate, key, data)
		}
		per := float64(liveBytes()-before) / float64(tt.records)
		t.Logf("%s: %.1f bytes per record", tt.name, per)
		if per > tt.maxBytes {
			t.Errorf("%s: %.1f bytes per record, want at most %v", tt.name, per, tt.maxBytes)
		}
		if got := v.Summary(); got != (Summary{Put: int64(tt.records), Delivered: int64(tt.records)}) {
			t.Errorf("%s: Summary = %+v", tt.name, got)
		}
	}
}

func liveBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func seq(i int) string { return fmt.Sprintf("4959033827149025660855969253836157109592%016d", i) }

func BenchmarkPutAndDelivered(b *testing.B) {
	v := New()
	data := make([]byte, 100)
	seqs := make([]string, 1000)
	for i := range seqs {
		seqs[i] = seq(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s, sub := seqs[i/480%len(seqs)], i%480
		v.Put("shardId-000000000000", s, sub, "AMZN", data)
		v.Delivered("shardId-000000000000", s, sub, "AMZN", data)
		i++
	}
}
