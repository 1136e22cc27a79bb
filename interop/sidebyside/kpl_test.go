//go:build java

package sidebyside

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var update = flag.Bool("update", false, "keep what the KPL sends as ../testdata/kpl-VERSION")

// An input is a record for the KPL, and what a reader has to get.
type input struct {
	Key     string
	HashKey string `json:",omitempty"` // canonical, in aggregates
	Data    []byte
	given   string // the explicit hash key as given, if it is not canonical
}

// A capture is what a KPL made of records: golden files have this form.
type capture struct {
	KPL       string
	Aggregate bool
	In        []input
	Kinesis   []stored
}

// stored is a record as Kinesis keeps it.
type stored struct {
	Key  string
	Data []byte
}

// A kplCase is put by one run of the KPL.
type kplCase struct {
	name      string
	aggregate bool
	in        []input
}

// kplAll is everything in two runs.
var kplAll = []kplCase{
	{"aggregated", true, slices.Concat(plain(400), explicit(), unicode(), empty(), sizes())},
	{"single", false, slices.Concat(plain(40), explicit(), unicode(), empty())},
}

// kplCases are records that are easy to get wrong.
var kplCases = []kplCase{
	{"single", false, plain(40)},
	{"aggregated", true, plain(400)},
	{"explicit", true, explicit()},
	{"explicit-single", false, explicit()},
	{"unicode", true, unicode()},
	{"unicode-single", false, unicode()},
	{"empty", true, empty()},
	{"empty-single", false, empty()},
	{"sizes", true, sizes()},
}

func plain(n int) (in []input) {
	for i := range n {
		in = append(in, input{Key: fmt.Sprint("key ", i%7), Data: fmt.Appendf(nil, "record %d", i)})
	}
	return in
}

func explicit() (in []input) {
	const top = "340282366920938463463374607431768211455"
	for i := range 60 {
		for _, k := range []struct{ canonical, given string }{{"0", ""}, {"42", " 0042 "}, {top, ""}, {"170141183460469231731687303715884105728", ""}, {"", ""}, {"7", "+7"}} {
			in = append(in, input{Key: fmt.Sprint("key ", i%3), HashKey: k.canonical, given: k.given, Data: fmt.Appendf(nil, "%d at %s", i, k.canonical)})
		}
	}
	return in
}

func unicode() (in []input) {
	keys := []string{"ключ", "鍵", "clé\tà part", `"quoted\key"`, "😀", strings.Repeat("鍵", 256), strings.Repeat("k", 256), "\u2028", "\x7f"}
	for i := range 90 {
		in = append(in, input{Key: keys[i%len(keys)], Data: []byte{0xf3, 0x89, 0x9a, 0xc2, byte(i)}}) // begins like an aggregate
	}
	return in
}

func empty() (in []input) {
	for i := range 50 {
		in = append(in, input{Key: fmt.Sprint("key ", i), Data: []byte{}})
	}
	return in
}

// sizes are around AggregationMaxSize, and the largest that the KPL takes.
func sizes() (in []input) {
	for _, n := range []int{51_100, 51_199, 51_200, 51_201, 25_600, 25_600, 25_500, 100, 1<<20 - len("key of the largest")} {
		key := fmt.Sprint("key of ", n)
		if n > 1<<19 {
			key = "key of the largest" // which counts, of 1 MiB
		}
		in = append(in, input{Key: key, Data: bytes.Repeat([]byte{byte(n)}, n)})
	}
	return append(in, plain(20)...)
}

// kpl puts records with a version of the KPL and returns its process.
func (w *world) kpl(version string, in []input, done func(lines []string), flags ...string) *process {
	w.t.Helper()
	var text strings.Builder
	for _, r := range in {
		hash := r.HashKey
		if r.given != "" {
			hash = r.given
		}
		fmt.Fprintf(&text, "%s\t%s\t%s\n", base64.StdEncoding.EncodeToString([]byte(r.Key)), base64.StdEncoding.EncodeToString(r.Data), hash)
	}
	file, tmp := filepath.Join(w.dir, "input"), filepath.Join(w.dir, "tmp")
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(w.tls)
	if err != nil {
		w.t.Fatal(err)
	}
	argv := append([]string{"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classpath("kpl", version), "interop.KplProducer",
		"--port=" + u.Port(), "--stream=" + w.stream, "--input=" + file, "--tmp=" + tmp}, flags...)
	if part := "KPL " + version; !slices.Contains(w.parts, part) {
		w.parts = append(w.parts, part)
	}
	var lines []string
	p := start(w.t, w.dir, "kpl", func(line []byte) {
		lines = append(lines, string(line))
		if len(lines) == len(in) {
			done(lines)
		}
	}, argv...)
	return p
}

// putAll runs the KPL to its end and fails on a record that it did not put.
func (w *world) putAll(version string, in []input, flags ...string) {
	w.t.Helper()
	var got []string
	p := w.kpl(version, in, func(lines []string) { got = lines }, flags...)
	p.ended(w.t, joins)
	if len(got) != len(in) {
		w.t.Fatalf("the KPL tells of %d records, want %d: %s", len(got), len(in), tail(p.log))
	}
	for i, line := range got {
		if strings.HasPrefix(line, "failed") {
			w.t.Errorf("record %d of %d bytes: %s", i, len(in[i].Data), line)
		}
	}
}

// raw returns what the stream holds.
func (w *world) raw() (all []stored) {
	w.t.Helper()
	w.eachRecord(w.stream, func(_ *types.Shard, r *types.Record) {
		all = append(all, stored{aws.ToString(r.PartitionKey), r.Data})
	})
	return all
}

// line is a record in a form that can be compared and sorted. A hash key counts
// only where Kinesis hands it out, which is in aggregates.
func line(key, hash string, data []byte) string {
	return fmt.Sprintf("%q %s %d %x", key, hash, len(data), data[:min(len(data), 40)])
}

// kplToUs puts each case into a stream of its own application and compares what
// our reader hands out.
func kplToUs(version string, cases []kplCase) func(*testing.T, *scenario) {
	return func(t *testing.T, s *scenario) {
		in, delivered, begun := 0, 0, time.Now()
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				w := newWorld(t, 4, "-limits=false")
				w.whole = true
				c.in = append([]input{{Key: "warm-up", Data: []byte("warm-up")}}, c.in...)
				w.putAll(version, c.in[1:], fmt.Sprint("--aggregate=", c.aggregate), "--buffered=1000")
				all := w.raw()
				if c.aggregate && len(c.in) > 30 && len(all) > len(c.in)/2 {
					t.Errorf("%d records in %d: the KPL did not aggregate", len(c.in), len(all))
				}
				w.readBack(c.in, c.aggregate)
				w.finish(s)
				in += len(c.in)
				delivered += s.row.delivered
				if *update && !t.Failed() && len(cases) == len(kplCases) {
					keep(t, c.name, capture{version, c.aggregate, c.in, all})
				}
			})
		}
		s.row.in, s.row.stored, s.row.delivered, s.row.repeated, s.row.seconds = in, in, delivered, 0, time.Since(begun).Seconds()
	}
}

// readBack reads with ours and expects exactly what went in.
func (w *world) readBack(in []input, hashKeys bool) {
	w.t.Helper()
	go1 := w.ours("go-1")
	var got []string
	w.await(fmt.Sprintf("%s reads %d records", go1.name, len(in)), joins, func() bool {
		got = got[:0]
		for _, e := range w.events {
			if e.Kind == "record" {
				hash := e.HashKey
				if hash == "" || !hashKeys {
					hash = "-"
				}
				got = append(got, line(e.Key, hash, e.Data))
			}
		}
		return len(got) >= len(in)
	})
	var want []string
	for _, r := range in {
		hash := r.HashKey
		if hash == "" || !hashKeys {
			hash = "-"
		}
		want = append(want, line(r.Key, hash, r.Data))
	}
	slices.Sort(got)
	slices.Sort(want)
	differ := 0
	for i := range min(len(got), len(want)) {
		// A record that went alone has lost its hash key on the way.
		if got[i] != want[i] {
			if differ++; differ <= 5 {
				w.t.Errorf("record %d is %s, want %s", i, got[i], want[i])
			}
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("%d records, want %d", len(got), len(want))
	}
}

// keep writes a golden file. One that is large, and says the same over and over, is
// compressed.
func keep(t *testing.T, name string, c capture) {
	t.Helper()
	slices.SortFunc(c.Kinesis, func(a, b stored) int { return bytes.Compare(a.Data, b.Data) })
	text, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text, name = append(text, '\n'), name+".json"
	if len(text) > 1<<20 {
		var small bytes.Buffer
		z, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		text, name = small.Bytes(), name+".gz"
	}
	dir := filepath.Join("../testdata", "kpl-"+c.KPL)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// ids returns records with ids, which have to be delivered, and the warm-up before
// them.
func (w *world) ids(n int, key func(i int) string, padding string) (in []input) {
	w.sent["warm-up"] = true
	for i := range n {
		name := fmt.Sprintf("id-%07d", i)
		in = append(in, input{Key: key(i), Data: []byte(name + padding)})
		w.sent[name] = true
	}
	return in
}

// kplThroughReshards puts for some seconds, through a split and a merge, while
// the workers read all shards.
func (w *world) kplThroughReshards(readers ...*worker) {
	w.t.Helper()
	in := w.ids(6000, func(i int) string { return fmt.Sprint("key ", i%1000) }, strings.Repeat(" x", 50))
	var got []string
	p := w.kpl(kpl11, in, func(lines []string) { got = lines }, "--pause=2000")
	for _, k := range readers {
		w.reads(k, joins)
	}
	w.split("shardId-000000000000")
	w.begunShards(4)
	w.merge("shardId-000000000001", "shardId-000000000003")
	w.begunShards(5)
	p.ended(w.t, joins)
	for i, line := range got {
		if strings.HasPrefix(line, "failed") {
			w.t.Errorf("record %d: %s", i, line)
		}
	}
	if len(got) != len(in) {
		w.t.Errorf("the KPL tells of %d records, want %d: %s", len(got), len(in), tail(p.log))
	}
}

func kplReshards(t *testing.T, s *scenario) {
	w := newWorld(t, 2)
	go1 := w.ours("go-1")
	w.holding(go1, 2, soon)
	w.kplThroughReshards(go1)
	w.finish(s)
}

// kplFleet is kplReshards with a KCL beside ours; each has a shard at first.
func kplFleet(t *testing.T, s *scenario) {
	w := newWorld(t, 2)
	go1 := w.ours("go-1")
	w.holding(go1, 2, soon)
	java1 := w.java(kcl35, "java-1")
	w.holding(java1, 1, joins)
	w.kplThroughReshards(go1, java1)
	w.finish(s)
}

// kplAuto puts into a stream that spreads the records itself.
func kplAuto(t *testing.T, s *scenario) {
	w := newWorld(t, 1)
	w.stream, w.streams = "auto", []string{"auto"}
	if _, err := w.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{
		StreamName: &w.stream, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
		RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
	}); err != nil {
		t.Fatal(err)
	}
	in := w.ids(400, func(int) string { return "one key for all" }, "")
	w.putAll(kpl11, in)
	if n := len(w.raw()); n != len(in)+1 {
		t.Errorf("%d records in %d: the KPL does not aggregate on such a stream", len(in), n)
	}
	go1 := w.ours("go-1")
	w.holding(go1, 4, soon)
	w.finish(s)
}
