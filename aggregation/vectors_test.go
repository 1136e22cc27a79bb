package aggregation_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kinesis-go/kinesis/aggregation"
)

// The vectors are what the KPL writes and the KCL reads, checked against the
// KPL's own code.
type vectorFile struct {
	Vectors []struct {
		vector
		Note         string
		ProducerEmit bool `json:"producer_emits"`
		Input        []vectorRecord
		Outer        *outerKeys
		Estimated    int `json:"estimated_size"`
		Accurate     int `json:"accurate_size"`
	}
	RangeFilter []struct {
		vector
		Starting string `json:"starting_hash_key"`
		Ending   string `json:"ending_hash_key"`
	} `json:"range_filter"`
	HashKeys []struct {
		PartitionKey string `json:"partition_key"`
		HashKey      string `json:"hash_key"`
	} `json:"hash_keys"`
	SingleSends []struct {
		Input vectorRecord
		Put   struct {
			outerKeys
			Data hexBytes `json:"data_hex"`
		}
	} `json:"single_sends"`
	Batching []batchingScenario
}

type vector struct {
	Name   string
	Hex    hexBytes
	Expect struct {
		Outcome string
		Records []vectorRecord
	}
}

type outerKeys struct {
	PartitionKey    string `json:"partition_key"`
	ExplicitHashKey string `json:"explicit_hash_key"`
}

type vectorRecord struct {
	Sub             int      `json:"sub_sequence_number"`
	PartitionKey    string   `json:"partition_key"`
	ExplicitHashKey *string  `json:"explicit_hash_key"`
	Data            hexBytes `json:"data_hex"`
	Tags            [][2]*string
}

// record returns the record as a producer would append it.
func (v vectorRecord) record(tb testing.TB) aggregation.Record {
	tb.Helper()
	r := aggregation.Record{PartitionKey: v.PartitionKey, Data: v.Data}
	if v.ExplicitHashKey != nil {
		var err error
		if r.ExplicitHashKey, err = aggregation.NormalizeHashKey(*v.ExplicitHashKey); err != nil {
			tb.Fatal(err)
		}
	}
	var tags []aggregation.Tag
	for _, t := range v.Tags {
		tag := aggregation.Tag{Key: *t[0]}
		if tag.HasValue = t[1] != nil; tag.HasValue {
			tag.Value = *t[1]
		}
		tags = append(tags, tag)
	}
	var err error
	if r.Tags, err = aggregation.NewTags(tags...); err != nil {
		tb.Fatal(err)
	}
	return r
}

func records(tb testing.TB, in []vectorRecord) []aggregation.Record {
	tb.Helper()
	var out []aggregation.Record
	for _, v := range in {
		out = append(out, v.record(tb))
	}
	return out
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

func readVectors(tb testing.TB) *vectorFile {
	tb.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var v vectorFile
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatal(err)
	}
	if len(v.Vectors) != 34 || len(v.RangeFilter) != 4 || len(v.HashKeys) != 6 ||
		len(v.SingleSends) != 3 || len(v.Batching) != 6 {
		tb.Fatal("vectors are missing")
	}
	return &v
}

// collect returns the aggregate's records; their numbers must be 0, 1, 2….
func collect(tb testing.TB, a aggregation.Aggregate) []aggregation.Record {
	tb.Helper()
	var out []aggregation.Record
	for sub, r := range a.Records() {
		if sub != len(out) {
			tb.Errorf("record %d has subsequence number %d", len(out), sub)
		}
		out = append(out, r)
	}
	if len(out) != a.Len() {
		tb.Errorf("%d records, Len = %d", len(out), a.Len())
	}
	return out
}

// diff says how two lists of records differ, if they do.
func diff(want, got []aggregation.Record) string {
	if slices.EqualFunc(want, got, func(a, b aggregation.Record) bool {
		return a.PartitionKey == b.PartitionKey && a.ExplicitHashKey == b.ExplicitHashKey &&
			bytes.Equal(a.Data, b.Data) && a.Tags.Equal(b.Tags)
	}) {
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

// newAggregate encodes records without a limit of size.
func newAggregate(tb testing.TB, records ...aggregation.Record) []byte {
	tb.Helper()
	enc := aggregation.NewEncoder(math.MaxInt)
	for i, r := range records {
		if err := enc.Append(r); err != nil {
			tb.Fatalf("record %d: %v", i, err)
		}
	}
	data, err := enc.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestDecodeVectors(t *testing.T) {
	t.Parallel()
	// Why a vector is no aggregate. The rest of those that pass unchanged do not
	// begin like one.
	reasons := map[string]aggregation.Reason{
		"bad_md5":                aggregation.ReasonDigest,
		"body_corrupt":           aggregation.ReasonDigest,
		"truncated_blob":         aggregation.ReasonDigest,
		"trailing_garbage":       aggregation.ReasonDigest,
		"magic_plus_one":         aggregation.ReasonDigest,
		"truncated_protobuf":     aggregation.ReasonSyntax,
		"bad_wire_type":          aggregation.ReasonGroup,
		"missing_data_field":     aggregation.ReasonMissingField,
		"missing_pk_index":       aggregation.ReasonMissingField,
		"pk_index_out_of_range":  aggregation.ReasonIndex,
		"ehk_index_out_of_range": aggregation.ReasonIndex,
		"ehk_index_no_table":     aggregation.ReasonIndex,
		"empty_message":          aggregation.ReasonTooShort,
		"magic_only":             aggregation.ReasonTooShort,
		"magic_short":            aggregation.ReasonTooShort,
	}
	var d aggregation.Decoder // one for all: nothing of one record is left for the next
	for _, v := range readVectors(t).Vectors {
		before := string(v.Hex)
		a, err := d.Decode(v.Hex)
		switch v.Expect.Outcome {
		case "records":
			if err != nil {
				t.Errorf("%s: %v", v.Name, err)
				continue
			}
			if d := diff(records(t, v.Expect.Records), collect(t, a)); d != "" {
				t.Errorf("%s: records (-want +got):\n%s", v.Name, d)
			}
		case "passthrough", "index_error": // the KCL loses records at a bad index
			var bad *aggregation.MalformedError
			want := reasons[v.Name]
			delete(reasons, v.Name)
			switch {
			case want == "" && err != aggregation.ErrNotAggregated:
				t.Errorf("%s: error %v, want ErrNotAggregated", v.Name, err)
			case want != "" && (!errors.As(err, &bad) || bad.Reason != want):
				t.Errorf("%s: error %v, want reason %q", v.Name, err, want)
			}
			if n := len(collect(t, a)); n != 0 {
				t.Errorf("%s: %d records beside the error", v.Name, n)
			}
		default:
			t.Errorf("%s: unknown outcome %q", v.Name, v.Expect.Outcome)
		}
		if string(v.Hex) != before {
			t.Errorf("%s: Decode changed its input", v.Name)
		}
	}
	if len(reasons) != 0 {
		t.Errorf("no vectors for %v", reasons)
	}
}

func TestEncodeVectors(t *testing.T) {
	t.Parallel()
	emitted := 0
	enc := aggregation.NewEncoder(math.MaxInt)
	for _, v := range readVectors(t).Vectors {
		if !v.ProducerEmit {
			continue
		}
		emitted++
		enc.Reset()
		for _, r := range records(t, v.Input) {
			size := enc.SizeWith(r)
			if err := enc.Append(r); err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			if enc.Size() != size {
				t.Errorf("%s: SizeWith = %d, then Size = %d", v.Name, size, enc.Size())
			}
		}
		data, err := enc.Seal()
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if string(data) != string(v.Hex) {
			t.Errorf("%s: encoded %x, want %x", v.Name, data, []byte(v.Hex))
		}
		if enc.Size() != v.Accurate || len(data) != v.Accurate || enc.Len() != len(v.Input) {
			t.Errorf("%s: Size = %d, Len = %d, want %d and %d", v.Name, enc.Size(), enc.Len(), v.Accurate, len(v.Input))
		}
		if got := estimate(records(t, v.Input)).size(); got != v.Estimated {
			t.Errorf("%s: the KPL's estimate = %d, want %d", v.Name, got, v.Estimated)
		}
		hash, err := enc.First().HashKey()
		outer := outerKeys{aggregation.OuterPartitionKey, hash.String()}
		if err != nil || outer != *v.Outer {
			t.Errorf("%s: outer keys %v, %v, want %v", v.Name, outer, err, *v.Outer)
		}
	}
	if emitted == 0 {
		t.Error("no vectors")
	}
}

// What the KPL does not write but the format allows is written alike where it is
// canonical: tags, and an aggregate of one.
func TestEncodeVectorsOfOthers(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Vectors {
		if v.Name != "tags_present" && v.Name != "single_record_aggregate" {
			continue
		}
		if got := newAggregate(t, records(t, v.Expect.Records)...); string(got) != string(v.Hex) {
			t.Errorf("%s: encoded %x, want %x", v.Name, got, []byte(v.Hex))
		}
	}
}

func TestRangeFilterVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).RangeFilter {
		r, err := aggregation.ParseHashRange(v.Starting, v.Ending)
		if err != nil {
			t.Fatal(err)
		}
		a, err := aggregation.Decode(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		in, err := a.InRange(r)
		if err != nil || in != (len(v.Expect.Records) > 0) {
			t.Errorf("%s: InRange = %v, %v", v.Name, in, err)
		}
		if in {
			if d := diff(records(t, v.Expect.Records), collect(t, a)); d != "" {
				t.Errorf("%s: records (-want +got):\n%s", v.Name, d)
			}
		}
	}
}

func TestHashKeyVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).HashKeys {
		k, err := aggregation.Record{PartitionKey: v.PartitionKey}.HashKey()
		if err != nil || k.String() != v.HashKey {
			t.Errorf("hash key of %.20q = %v, %v, want %s", v.PartitionKey, k, err, v.HashKey)
		}
	}
}

// A record that is alone is sent bare, so what an Encoder returns as its first
// must be all of it.
func TestSingleSendVectors(t *testing.T) {
	t.Parallel()
	for i, v := range readVectors(t).SingleSends {
		enc := aggregation.NewEncoder(0)
		if err := enc.Append(v.Input.record(t)); err != nil {
			t.Fatal(err)
		}
		r := enc.First()
		hash, err := r.HashKey()
		if err != nil {
			t.Fatal(err)
		}
		if got := (outerKeys{r.PartitionKey, hash.String()}); got != v.Put.outerKeys || string(r.Data) != string(v.Put.Data) {
			t.Errorf("single %d: %v %x, want %v %x", i, got, r.Data, v.Put.outerKeys, []byte(v.Put.Data))
		}
	}
}

// A kplEstimate is the cheap size that makes the KPL flush.
type kplEstimate struct {
	records, first, sum int
	seen                map[string]bool
}

func (e *kplEstimate) add(r aggregation.Record) {
	if e.records++; e.records == 1 {
		*e = kplEstimate{records: 1, first: len(r.Data), seen: map[string]bool{}}
	}
	e.sum += len(r.Data) + 3 + 2 + e.entry("pk", r.PartitionKey)
	if r.ExplicitHashKey != "" {
		e.sum += 2 + e.entry("ehk", r.ExplicitHashKey)
	}
}

func (e *kplEstimate) entry(table, key string) int {
	if e.seen[table+key] {
		return 0
	}
	e.seen[table+key] = true
	return len(key) + 3
}

func (e *kplEstimate) size() int {
	if e.records <= 1 {
		return e.first
	}
	return e.sum
}

func estimate(records []aggregation.Record) *kplEstimate {
	e := new(kplEstimate)
	for _, r := range records {
		e.add(r)
	}
	return e
}

type batchingScenario struct {
	Name  string
	Shape []struct {
		Repeat       int
		PartitionKey string `json:"partition_key"`
		KeyFormat    string `json:"partition_key_format"`
		HashKeyMod   int    `json:"explicit_hash_key_mod"`
		DataLen      int    `json:"data_len"`
	}
	MaxSize  int   `json:"aggregation_max_size"`
	MaxCount int64 `json:"aggregation_max_count"`
	Inputs   int
	Flushes  []kplFlush
	AtEnd    int `json:"buffered_at_end"`
}

type kplFlush struct {
	AfterInput int `json:"after_input"`
	Records    int
	Size       int `json:"accurate_size"`
	LeftOver   int `json:"left_over"`
}

func (s *batchingScenario) inputs() []aggregation.Record {
	var out []aggregation.Record
	for _, shape := range s.Shape {
		for range shape.Repeat {
			r := aggregation.Record{PartitionKey: shape.PartitionKey, Data: make([]byte, shape.DataLen)}
			if shape.KeyFormat != "" {
				r.PartitionKey = fmt.Sprintf("%016d", len(out))
			}
			if shape.HashKeyMod != 0 {
				r.ExplicitHashKey = fmt.Sprint(len(out) % shape.HashKeyMod)
			}
			out = append(out, r)
		}
	}
	return out
}

// kplSize is the size that the KPL compares with its limit: a record that is
// alone goes bare.
func kplSize(enc *aggregation.Encoder) int {
	if enc.Len() == 1 {
		return len(enc.First().Data)
	}
	return enc.Size()
}

// The KPL's batching, rebuilt on an Encoder: whatever it flushes, the Encoder
// gives the same sizes, before and after records are taken off the end again.
func TestBatchingVectors(t *testing.T) {
	t.Parallel()
	for _, s := range readVectors(t).Batching {
		var flushes []kplFlush
		var buffer []aggregation.Record
		enc := aggregation.NewEncoder(math.MaxInt)
		cheap := estimate(nil)
		for i, r := range s.inputs() {
			buffer = append(buffer, r)
			if cheap.add(r); int64(len(buffer)) < s.MaxCount && cheap.size() < s.MaxSize {
				continue
			}
			enc.Reset()
			for _, r := range buffer {
				if err := enc.Append(r); err != nil {
					t.Fatal(err)
				}
			}
			for (int64(enc.Len()) > s.MaxCount || kplSize(enc) > s.MaxSize) && enc.Len() > 1 {
				enc.Truncate(enc.Len() - 1)
			}
			n := enc.Len()
			flushes = append(flushes, kplFlush{i + 1, n, kplSize(enc), len(buffer) - n})
			data, err := enc.Seal()
			if err != nil {
				t.Fatal(err)
			}
			if string(data) != string(newAggregate(t, buffer[:n]...)) {
				t.Errorf("%s: truncated aggregate differs from one of the same records", s.Name)
			}
			buffer = append(buffer[:0], buffer[n:]...)
			cheap = estimate(buffer)
		}
		if d := cmp.Diff(s.Flushes, flushes); d != "" {
			t.Errorf("%s: flushes (-want +got):\n%s", s.Name, d)
		}
		if len(buffer) != s.AtEnd {
			t.Errorf("%s: %d records left, want %d", s.Name, len(buffer), s.AtEnd)
		}
	}
}

// Filling by exact size needs no more Kinesis records than the KPL's estimate
// does, and never exceeds the limit with more than one record.
func TestExactPackingIsNotWorseThanTheKPL(t *testing.T) {
	t.Parallel()
	for _, s := range readVectors(t).Batching {
		sent := 0
		for _, f := range s.Flushes {
			sent += f.Records
		}
		enc := aggregation.NewEncoder(s.MaxSize)
		flushes := 0
		for _, r := range s.inputs()[:sent] {
			err := enc.Append(r)
			if err == aggregation.ErrFull || int64(enc.Len()) > s.MaxCount {
				enc.Truncate(int(min(int64(enc.Len()), s.MaxCount)))
				if kplSize(enc) > s.MaxSize && enc.Len() > 1 {
					t.Errorf("%s: %d records take %d bytes", s.Name, enc.Len(), enc.Size())
				}
				flushes++
				enc.Reset()
				err = enc.Append(r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if flushes++; flushes > len(s.Flushes) {
			t.Errorf("%s: %d aggregates, the KPL needs %d", s.Name, flushes, len(s.Flushes))
		}
	}
}
