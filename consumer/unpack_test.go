package consumer

import (
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

var arrived = time.UnixMilli(1_790_000_000_123)

func wireRecord(seq, key string, data []byte) types.Record {
	return types.Record{SequenceNumber: &seq, PartitionKey: &key, Data: data, ApproximateArrivalTimestamp: aws.Time(arrived)}
}

// aggregate packs n records with keys k0, k1, … and data 0, 1, ….
func aggregate(t *testing.T, seq string, n int) types.Record {
	t.Helper()
	e := aggregation.NewEncoder(1 << 20)
	for i := range n {
		if err := e.Append(aggregation.Record{PartitionKey: fmt.Sprint("k", i), Data: fmt.Appendf(nil, "%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	data, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return wireRecord(seq, aggregation.OuterPartitionKey, slices.Clone(data))
}

// unpackAll returns the positions of each batch of a page.
func unpackAll(u *unpacker, records ...types.Record) (batches [][]string) {
	u.load(page{records: records, behind: time.Second})
	defer func() {
		if b := u.batch(); b != nil {
			batches = append(batches, []string{"a batch behind the last"})
		}
	}()
	for b := u.batch(); b != nil; b = u.batch() {
		var positions []string
		for _, r := range b.Records {
			positions = append(positions, r.Position.String())
		}
		batches = append(batches, positions)
	}
	return batches
}

func testUnpacker(o Options) (*unpacker, *int) {
	bytes := new(int)
	if o.MaxBatchRecords == 0 {
		o.MaxBatchRecords = 10_000
	}
	o.Logger = defaults().Logger
	return &unpacker{stream: "clicks", shardID: "shardId-000000000000", opts: &o, observe: func(n int) { *bytes += n }}, bytes
}

func TestUnpackTakesAggregatesApart(t *testing.T) {
	t.Parallel()
	u, bytes := testUnpacker(Options{Deaggregate: true})
	u.load(page{behind: 3 * time.Second, records: []types.Record{
		wireRecord("10", "plain", []byte("x")),
		aggregate(t, "11", 3),
		{SequenceNumber: aws.String("12")}, // no key, no data: as a stream without keys gives an empty record
	}})
	b := u.batch()
	if b == nil || u.batch() != nil {
		t.Fatal("want one batch")
	}
	from := &Origin{Stream: "clicks", ShardID: "shardId-000000000000"}
	want := []Record{
		{Data: []byte("x"), PartitionKey: "plain", Position: checkpoint.At("10"), Arrived: arrived},
		{Data: []byte("0"), PartitionKey: "k0", Position: checkpoint.Position{SequenceNumber: "11"}, Arrived: arrived, Aggregated: true},
		{Data: []byte("1"), PartitionKey: "k1", Position: checkpoint.Position{SequenceNumber: "11", SubSequenceNumber: 1}, Arrived: arrived, Aggregated: true},
		{Data: []byte("2"), PartitionKey: "k2", Position: checkpoint.Position{SequenceNumber: "11", SubSequenceNumber: 2}, Arrived: arrived, Aggregated: true},
		{Data: []byte{}, Position: checkpoint.At("12")},
	}
	for i := range want {
		want[i].Origin = from
	}
	if diff := cmp.Diff(want, b.Records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if len(b.Records) != len(want) || b.Behind != 3*time.Second || *bytes != 4 {
		t.Errorf("%d records, behind %v, %d bytes; want %d, 3s, 4", len(b.Records), b.Behind, *bytes, len(want))
	}
}

// What a producer attaches to a record reaches the handler, and what the service
// says of it.
func TestUnpackTellsAllThereIsToARecord(t *testing.T) {
	t.Parallel()
	tags, err := aggregation.NewTags(aggregation.Tag{Key: "trace", Value: "7"}, aggregation.Tag{Key: aggregation.IDTag, Value: "order-1"})
	if err != nil {
		t.Fatal(err)
	}
	e := aggregation.NewEncoder(1 << 20)
	for _, r := range []aggregation.Record{{PartitionKey: "a", ExplicitHashKey: "42", Tags: tags}, {PartitionKey: "b"}} {
		if err := e.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	data, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	raw, clear, silent := wireRecord("1", "a", data), wireRecord("2", "p", nil), wireRecord("3", "p", nil)
	raw.EncryptionType, clear.EncryptionType = types.EncryptionTypeKms, types.EncryptionTypeNone
	u, _ := testUnpacker(Options{Deaggregate: true})
	u.load(page{records: []types.Record{raw, clear, silent}})
	got := u.batch().Records

	if r := got[0]; r.ID != "order-1" || !r.Tags.Equal(tags) || r.ExplicitHashKey != "42" {
		t.Errorf("id %q, tags %v, explicit hash key %q; want order-1, both tags, 42", r.ID, slices.Collect(r.Tags.All()), r.ExplicitHashKey)
	}
	if r := got[1]; r.ID != "" || r.Tags != (aggregation.Tags{}) || r.ExplicitHashKey != "" {
		t.Errorf("the record without tags has the id %q, tags %v, explicit hash key %q", r.ID, slices.Collect(r.Tags.All()), r.ExplicitHashKey)
	}
	for i, want := range []types.EncryptionType{"KMS", "KMS", "NONE", ""} {
		if r := got[i]; r.Stream != "clicks" || r.ShardID != "shardId-000000000000" || r.EncryptionType != want {
			t.Errorf("record %d comes from %+v, want encryption %q", i, *r.Origin, want)
		}
	}
}

func TestUnpackBoundsBatches(t *testing.T) {
	t.Parallel()
	u, _ := testUnpacker(Options{Deaggregate: true, MaxBatchRecords: 3})
	none := wireRecord("3", "a", appendDigest([]byte(aggregation.Magic+"\x0a\x01k"))) // an aggregate without records
	got := unpackAll(u, aggregate(t, "1", 4), wireRecord("2", "p", nil), none, aggregate(t, "4", 2))
	want := [][]string{{"1", "1+1", "1+2"}, {"1+3", "2", "4"}, {"4+1"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A position inside an aggregate leaves out what lies before it, and nothing
// else: not the rest of the aggregate, not what follows.
func TestUnpackResumesInsideAnAggregate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		after checkpoint.Position
		want  string
	}{
		{checkpoint.TrimHorizon, "[[5 6 6+1 6+2 7]]"},
		{checkpoint.At("4"), "[[5 6 6+1 6+2 7]]"},
		{checkpoint.At("5"), "[[6 6+1 6+2 7]]"},
		{checkpoint.At("6"), "[[6+1 6+2 7]]"},
		{checkpoint.Position{SequenceNumber: "6", SubSequenceNumber: 1}, "[[6+2 7]]"},
		{checkpoint.Position{SequenceNumber: "6", SubSequenceNumber: 99}, "[[7]]"},
		{checkpoint.At("7"), "[]"},
	} {
		u, _ := testUnpacker(Options{Deaggregate: true})
		u.after = tt.after
		if got := fmt.Sprint(unpackAll(u, wireRecord("5", "p", nil), aggregate(t, "6", 3), wireRecord("7", "p", nil))); got != tt.want {
			t.Errorf("after %v: got %v, want %v", tt.after, got, tt.want)
		}
	}
}

// An application that stops taking aggregates apart does not lose the rest of one
// of which it had done a part, and can store that it has done it.
func TestUnpackDeliversTheRestOfAnAggregateWhole(t *testing.T) {
	t.Parallel()
	in6 := func(sub int64) checkpoint.Position {
		return checkpoint.Position{SequenceNumber: "6", SubSequenceNumber: sub}
	}
	for _, tt := range []struct {
		after checkpoint.Position
		want  string
	}{
		{checkpoint.At("5"), "[[6+2 7]]"},
		{in6(0), "[[6+2 7]]"},
		{in6(1), "[[6+2 7]]"},
		{in6(2), "[[7]]"},
		{in6(99), "[[7]]"},
	} {
		u, _ := testUnpacker(Options{})
		u.after = tt.after
		if got := fmt.Sprint(unpackAll(u, wireRecord("5", "p", nil), aggregate(t, "6", 3), wireRecord("7", "p", nil))); got != tt.want {
			t.Errorf("after %v: got %v, want %v", tt.after, got, tt.want)
		}
	}
}

func TestUnpackReportsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	var skipped []SkippedInfo
	events := Events{Skipped: func(i SkippedInfo) { skipped = append(skipped, i) }}
	low := shardmap.Split(1000)[0] // k0 to k2 hash elsewhere

	u, _ := testUnpacker(Options{Deaggregate: true, Events: events})
	u.hashes = &low
	if got := fmt.Sprint(unpackAll(u, wireRecord("1", "p", nil), aggregate(t, "2", 3), wireRecord("3", "p", nil))); got != "[[1 3]]" {
		t.Errorf("got %s, want the aggregate of another shard left out", got)
	}
	want := SkippedInfo{
		Stream: "clicks", ShardID: "shardId-000000000000", Reason: SkippedOutOfRange, Records: 3,
		From: checkpoint.At("2"), To: checkpoint.Position{SequenceNumber: "2", SubSequenceNumber: 2},
	}
	if len(skipped) != 1 || skipped[0] != want {
		t.Errorf("reported %+v, want %+v", skipped, want)
	}

	skipped = nil
	u, _ = testUnpacker(Options{Deaggregate: true, Events: events, DeliverOutOfRange: true})
	u.hashes = &low
	u.load(page{records: []types.Record{aggregate(t, "2", 3)}})
	if b := u.batch(); b == nil || len(b.Records) != 3 || !b.Records[2].OutOfRange || skipped != nil {
		t.Errorf("DeliverOutOfRange: got %+v, reported %v", b, skipped)
	}
}

func TestUnpackDeliversMalformedAggregatesWhole(t *testing.T) {
	t.Parallel()
	broken := aggregate(t, "2", 3)
	broken.Data[len(broken.Data)-1] ^= 1
	var reported []error
	u, _ := testUnpacker(Options{Deaggregate: true, Events: Events{Malformed: func(i MalformedInfo) { reported = append(reported, i.Err) }}})
	u.load(page{records: []types.Record{wireRecord("1", "p", nil), broken, aggregate(t, "3", 1)}})
	b := u.batch()
	if len(b.Records) != 3 || string(b.Records[1].Data) != string(broken.Data) || b.Records[1].Aggregated {
		t.Errorf("got %+v, want the broken aggregate as it is between its neighbours", b.Records)
	}
	var me *aggregation.MalformedError
	if len(reported) != 1 || !errors.As(reported[0], &me) || me.Reason != aggregation.ReasonDigest {
		t.Errorf("reported %v, want one digest mismatch", reported)
	}
	if u, _ := testUnpacker(Options{}); fmt.Sprint(unpackAll(u, aggregate(t, "3", 2))) != "[[3+1]]" {
		t.Error("Deaggregate=false took an aggregate apart")
	}
}

// A page of empty records is the worst there is for the size of Record values:
// they come in batches, and a batch that was handled can be freed.
func TestUnpackHoldsOneBatchOfABomb(t *testing.T) {
	t.Parallel()
	// 170,000 empty records in 1 MiB.
	data := []byte(aggregation.Magic + "\x0a\x00" + strings.Repeat("\x1a\x04\x08\x00\x1a\x00", 170_000))
	data = appendDigest(data)
	u, _ := testUnpacker(Options{Deaggregate: true})
	u.load(page{records: []types.Record{wireRecord("1", "a", data)}})
	n := 0
	for b := u.batch(); b != nil; b = u.batch() {
		if n += len(b.Records); len(b.Records) > 10_000 {
			t.Fatalf("a batch of %d records", len(b.Records))
		}
	}
	if n != 170_000 {
		t.Errorf("%d records, want 170000", n)
	}
}

func appendDigest(data []byte) []byte {
	sum := md5.Sum(data[len(aggregation.Magic):])
	return append(data, sum[:]...)
}
