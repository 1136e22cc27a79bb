package dynamo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// readItem reads an item in DynamoDB's JSON. What is no attribute becomes NULL.
func readItem(raw map[string]map[string]json.RawMessage) item {
	it := make(item, len(raw))
	for name, typed := range raw {
		it[name] = readValue(typed)
	}
	return it
}

func readValue(typed map[string]json.RawMessage) types.AttributeValue {
	for kind, raw := range typed {
		var s string
		var list []string
		var maps map[string]map[string]json.RawMessage
		var values []map[string]json.RawMessage
		switch kind {
		case "S":
			if json.Unmarshal(raw, &s) == nil {
				return str(s)
			}
		case "N":
			if json.Unmarshal(raw, &s) == nil {
				return &types.AttributeValueMemberN{Value: s}
			}
		case "B":
			if json.Unmarshal(raw, &s) == nil {
				b, _ := base64.StdEncoding.DecodeString(s)
				return &types.AttributeValueMemberB{Value: b}
			}
		case "SS":
			if json.Unmarshal(raw, &list) == nil {
				return set(list)
			}
		case "M":
			if json.Unmarshal(raw, &maps) == nil {
				return &types.AttributeValueMemberM{Value: readItem(maps)}
			}
		case "L":
			if json.Unmarshal(raw, &values) == nil {
				l := &types.AttributeValueMemberL{}
				for _, v := range values {
					l.Value = append(l.Value, readValue(v))
				}
				return l
			}
		}
	}
	return &types.AttributeValueMemberNULL{Value: true}
}

func readItems(t testing.TB, file string) []item {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Items []map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var out []item
	for _, raw := range doc.Items {
		out = append(out, readItem(raw))
	}
	return out
}

func hashRange(t *testing.T, start, end string) *lease.HashRange {
	r, err := lease.ParseHashRange(start, end)
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestReadsATableOfTheKCL(t *testing.T) {
	t.Parallel()
	var snap lease.Snapshot
	for _, it := range readItems(t, "testdata/kcl-v351-reshard-12s.json") {
		addItem(&snap, it)
	}
	sortSnapshot(&snap)
	if len(snap.Bad) > 0 {
		t.Fatalf("rows not understood: %v", snap.Bad)
	}
	if want := (lease.Lock{Owner: "da", Version: "434c2734-7aaa-4b96-b482-d27af3445276", Duration: 2 * time.Minute}); snap.Lock != want {
		t.Errorf("lock %+v, want %+v", snap.Lock, want)
	}
	if len(snap.Workers) != 3 || snap.Workers[0].ID != "da" || snap.Workers[0].Support != 1 || snap.Workers[0].Updated.Unix() != 1795329213 {
		t.Errorf("workers %+v", snap.Workers)
	}
	if len(snap.Rows) != 7 {
		t.Fatalf("%d leases, want 7", len(snap.Rows))
	}
	rate := 2.401928
	want := lease.Row{
		Key: "shardId-000000000000", Shard: "shardId-000000000000", Owner: "dc", Counter: 285, Throughput: &rate,
		Checkpoint: checkpoint.At("49680452013870858774228674999523644217457799985580998658"),
		Range:      hashRange(t, "0", "85070591730234615865843651857942052862"),
	}
	if diff := cmp.Diff(want, snap.Rows[0]); diff != "" {
		t.Error(diff)
	}
	merged := snap.Rows[6]
	if !slices.Equal(merged.Parents, []string{"shardId-000000000002", "shardId-000000000003"}) || merged.Checkpoint != checkpoint.TrimHorizon {
		t.Errorf("merged shard %+v", merged)
	}
	if finished := snap.Rows[1]; !finished.Finished() || len(finished.Children) != 2 {
		t.Errorf("finished shard %+v", finished)
	}
}

func TestReadsATableOfManyStreams(t *testing.T) {
	t.Parallel()
	var snap lease.Snapshot
	for _, it := range readItems(t, "testdata/kcl-v351-multistream.json") {
		addItem(&snap, it)
	}
	if len(snap.Bad) > 0 || len(snap.Rows) != 4 {
		t.Fatalf("%d rows, bad %v", len(snap.Rows), snap.Bad)
	}
	for _, r := range snap.Rows {
		if r.Stream == "" || r.Key != r.Stream+":"+r.Shard {
			t.Errorf("row %+v", r)
		}
	}
}

// The rows of KCL 2.7 are read as they are: those of an older layout differ in
// what is beside them.
func TestReadsTheRowsOfKCL2(t *testing.T) {
	t.Parallel()
	var snap lease.Snapshot
	for _, it := range readItems(t, "testdata/kcl-v272-2workers.json") {
		addItem(&snap, it)
	}
	if len(snap.Bad) > 0 || len(snap.Rows) != 4 || len(snap.Workers) > 0 {
		t.Fatalf("%d rows, bad %v", len(snap.Rows), snap.Bad)
	}
	for _, r := range snap.Rows {
		if r.Owner == "" || r.Counter == 0 || r.Range == nil || !r.Checkpoint.IsRecord() {
			t.Errorf("row %+v", r)
		}
	}
}

// The rows created here are those that the KCL creates, to the attribute.
func TestCreatedRowsAreThoseOfTheKCL(t *testing.T) {
	t.Parallel()
	var java item
	for _, it := range readItems(t, "testdata/kcl-v351-reshard-12s.json") {
		if key, _ := text(it, attrKey); key == "shardId-000000000006" {
			java = it
		}
	}
	row := lease.Row{
		Key: "shardId-000000000006", Shard: "shardId-000000000006", Checkpoint: checkpoint.TrimHorizon,
		Parents: []string{"shardId-000000000002", "shardId-000000000003"},
		Range:   hashRange(t, "170141183460469231731687303715884105726", "340282366920938463463374607431768211455"),
	}
	// The captured row had been assigned once.
	delete(java, attrOwner)
	java[attrCounter] = num(0)
	if diff := cmp.Diff(java, encodeRow(row), cmp.Comparer(sameValue)); diff != "" {
		t.Error(diff)
	}
}

func sameValue(a, b types.AttributeValue) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) }

func TestHostileRowsAreErrors(t *testing.T) {
	t.Parallel()
	good := func() item {
		return encodeRow(lease.Row{Key: "k", Shard: "k", Owner: "a", Counter: 3, Checkpoint: checkpoint.At("5")})
	}
	if _, err := decodeRow(good()); err != nil {
		t.Fatal(err)
	}
	many := make([]string, maxSet+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	n := func(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
	tests := []struct {
		attr string
		v    types.AttributeValue // nil: removed
	}{
		{attrCounter, nil}, {attrCounter, str("3")}, {attrCounter, n("-1")}, {attrCounter, n("1.5")},
		{attrCounter, n("9223372036854775807")}, {attrCounter, n("99999999999999999999999999999999999999")},
		{attrSwitches, n("x")}, {attrOwner, n("1")}, {attrLeaving, set([]string{"a"})},
		{attrCheckpoint, nil}, {attrCheckpoint, str("")}, {attrCheckpoint, str("shard_end")}, {attrCheckpoint, str("-5")},
		{attrCheckpoint, str(string(bytes.Repeat([]byte("9"), 1000)))}, {attrSub, n("-1")},
		{attrPending, str("x")}, {attrPending, n("5")}, {attrParents, str("shard")}, {attrParents, set(many)},
		{attrChildren, n("5")}, {attrStart, str("0")}, {attrStart, n("0")}, {attrEnd, str("5")},
		{attrThroughput, str("1")}, {attrThroughput, n("-1")}, {attrThroughput, n("NaN")}, {attrShard, n("1")},
	}
	for _, tt := range tests {
		it := good()
		if tt.v == nil {
			delete(it, tt.attr)
		} else {
			it[tt.attr] = tt.v
		}
		row, err := decodeRow(it)
		if err == nil {
			t.Errorf("%s = %#v gave %+v, want an error", tt.attr, tt.v, row)
		} else if len(err.Error()) > 300 {
			t.Errorf("%s: an error of %d bytes", tt.attr, len(err.Error()))
		}
	}
	ranges := good()
	ranges[attrStart], ranges[attrEnd] = str("10"), str("5")
	if _, err := decodeRow(ranges); err == nil {
		t.Error("a range that ends before it starts gave no error")
	}
}

func TestForeignRowsAreNotLeases(t *testing.T) {
	t.Parallel()
	row := encodeRow(lease.Row{Key: "k", Counter: 1, Checkpoint: checkpoint.TrimHorizon})
	for _, v := range []types.AttributeValue{str("STREAM"), str("lease"), str("SOMETHING_NEW"), num(1), str("")} {
		row[attrType] = v
		var snap lease.Snapshot
		addItem(&snap, row)
		if len(snap.Rows)+len(snap.Bad)+len(snap.Workers) > 0 {
			t.Errorf("entityType %#v: %+v, want it left alone", v, snap)
		}
	}
	delete(row, attrType)
	var snap lease.Snapshot
	addItem(&snap, row)
	if len(snap.Rows) != 1 {
		t.Error("a row without a type is not read as a lease")
	}
}

// FuzzDecode decodes whatever a table may hold: no panic, no neighbour lost, and
// what is read can be written and read again.
func FuzzDecode(f *testing.F) {
	for _, file := range []string{"testdata/kcl-v351-reshard-12s.json", "testdata/kcl-v351-multistream.json", "testdata/kcl-v272-2workers.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var doc struct{ Items []json.RawMessage }
		if err := json.Unmarshal(data, &doc); err != nil {
			f.Fatal(err)
		}
		for _, it := range doc.Items {
			f.Add([]byte(it))
		}
	}
	f.Add([]byte(`{"leaseKey":{"S":"x"},"entityType":{"S":"WORKER_METRIC_STATS"},"lut":{"N":"1"},"sts":{"M":{"C":{"L":[{"N":"1"},{"S":"2"}]}}},"opr":{"M":{"C":{"L":[]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw map[string]map[string]json.RawMessage
		if json.Unmarshal(data, &raw) != nil {
			return
		}
		it := readItem(raw)
		var snap lease.Snapshot
		addItem(&snap, it)
		for _, r := range snap.Rows {
			if again, err := decodeRow(encodeRow(r)); err != nil || !again.Equal(r) && (r.Stream != "" || r.Shard == r.Key) {
				t.Fatalf("%+v\nread again: %+v, %v", r, again, err)
			}
		}
		decodeLock(it)
	})
}
