package producer_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

func tags(t *testing.T, pairs ...string) aggregation.Tags {
	t.Helper()
	var list []aggregation.Tag
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, aggregation.Tag{Key: pairs[i], Value: pairs[i+1]})
	}
	out, err := aggregation.NewTags(list...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tagged returns the tags of each record in the stream, by its data. What was
// sent bare has none.
func (w *world) tagged() map[string]string {
	w.Helper()
	out := make(map[string]string)
	for r := range w.srv.Records(stream) {
		agg, err := aggregation.Decode(r.Data)
		if errors.Is(err, aggregation.ErrNotAggregated) {
			out[string(r.Data)] = "bare"
			continue
		}
		if err != nil {
			w.Fatal(err)
		}
		for _, u := range agg.Records() {
			var b strings.Builder
			for tag := range u.Tags.All() {
				fmt.Fprintf(&b, "%s=%s;", tag.Key, tag.Value)
			}
			out[string(u.Data)] = b.String()
		}
	}
	return out
}

type traceKey struct{}

// Tags come with the record, from the function for it, and as its ID; alone or
// in company they arrive.
func TestTagsTravel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(o *producer.Options) {
			o.Tags = func(ctx context.Context, r producer.Record) aggregation.Tags {
				if trace, ok := ctx.Value(traceKey{}).(string); ok {
					return tags(t, "trace", trace+"/"+r.PartitionKey)
				}
				return aggregation.Tags{}
			}
		})
		traced := context.WithValue(t.Context(), traceKey{}, "7")
		put := func(ctx context.Context, r producer.Record) {
			r.PartitionKey = "k"
			if err := w.sendRecord(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		put(t.Context(), producer.Record{Data: []byte("alone and plain")})
		time.Sleep(time.Second)
		put(t.Context(), producer.Record{Data: []byte("alone"), ID: "x"})
		time.Sleep(time.Second)
		put(traced, producer.Record{Data: []byte("both"), ID: "y", Tags: tags(t, "a", "1", "b", "2")})
		put(t.Context(), producer.Record{Data: []byte("plain")})
		put(t.Context(), producer.Record{Data: []byte("again"), Tags: tags(t, producer.IDTag, "z")})
		if err := w.TryPut(producer.Record{PartitionKey: "k", Data: []byte("no context")}, nil); err != nil {
			t.Fatal(err)
		}
		w.close()
		want := map[string]string{
			"alone and plain": "bare", "alone": "record-id=x;", "both": "a=1;b=2;trace=7/k;record-id=y;", "plain": "", "again": "record-id=z;", "no context": "",
		}
		if got := w.tagged(); !maps.Equal(got, want) {
			t.Errorf("tags %q, want %q", got, want)
		}
		for data, id := range map[string]string{"alone": "x", "both": "y", "plain": "", "again": "z"} {
			r := w.results[data][0].Record
			if r.ID != id || id != "" && !strings.Contains(fmt.Sprint(slices.Collect(r.Tags.All())), id) {
				t.Errorf("the result of %q has the record %+v, want ID %q", data, r, id)
			}
		}
	})
}

// Retries, reshards and a map that comes late leave tags as they are.
func TestTagsSurvive(t *testing.T) {
	t.Parallel()
	for _, order := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2, func(o *producer.Options) { o.Ordered, o.AggregationMaxBytes = order, 600 })
			w.srv.Inject(kinesistest.Fault{Operation: "ListShards", DelayAfter: 50 * time.Millisecond})
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled, Probability: 0.3, DelayAfter: 20 * time.Millisecond})
			want := make(map[string]string)
			for i := range 500 {
				data, id := fmt.Sprint("data-", i), fmt.Sprint("id-", i)
				if err := w.sendRecord(t.Context(), producer.Record{PartitionKey: fmt.Sprint(i), Data: []byte(data), ID: id}); err != nil {
					t.Fatal(err)
				}
				want[data] = "record-id=" + id + ";"
				time.Sleep(time.Millisecond)
				if i%100 == 99 {
					w.reshard()
				}
			}
			w.close()
			if got := w.check(); got[producer.Stored] != 500 {
				t.Errorf("outcomes %v", got)
			}
			if got := w.tagged(); !maps.Equal(got, want) {
				t.Errorf("tags %q, want %q", got, want)
			}
		})
	}
}

// Generated IDs are all different, also those of another producer of the same
// name.
func TestRecordIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 2)
		seen := make(map[string]bool)
		for range 2 {
			p, err := producer.New(w.client, stream, func(o *producer.Options) { o.RecordIDs, o.ProducerID = true, "same" })
			if err != nil {
				t.Fatal(err)
			}
			records := make([]producer.Record, 100)
			for i := range records {
				records[i] = producer.Record{PartitionKey: fmt.Sprint(i)}
			}
			results, err := p.PutMany(t.Context(), records)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Record.ID == "" || seen[r.Record.ID] {
					t.Errorf("ID %q is empty or was seen before", r.Record.ID)
				}
				seen[r.Record.ID] = true
			}
			if records[0].ID != "" {
				t.Error("PutMany wrote to the caller's slice")
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What a tag and an id cost: an aggregate of one in place of a bare record, and a
// generated id in its record.
func TestTagsCostWhatIsSaid(t *testing.T) {
	t.Parallel()
	size := func(records int, attached aggregation.Tags, ids bool) (total int) {
		synctest.Test(t, func(t *testing.T) {
			w := newServer(t, 1)
			p, err := producer.New(w.client, stream, func(o *producer.Options) { o.RecordIDs = ids })
			if err != nil {
				t.Fatal(err)
			}
			for range records {
				err := p.PutAsync(t.Context(), producer.Record{PartitionKey: "user-7", Data: []byte("clicked"), Tags: attached}, nil)
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for r := range w.srv.Records(stream) {
				total += len(r.Data)
			}
		})
		return total
	}
	none, one := aggregation.Tags{}, tags(t, "a", "b")
	const itself = len("a") + len("b")
	if more := size(1, one, false) - size(1, none, false) - itself - len("user-7"); more < 25 || more > 45 {
		t.Errorf("a tag has a lone record cost %d bytes and its key more, the package comment says about 30", more)
	}
	if more := (size(100, none, true) - size(100, none, false)) / 100; more < 40 || more > 60 {
		t.Errorf("an id costs %d bytes in an aggregate, Options.RecordIDs says about 50", more)
	}
}

// What cannot carry tags loses them: records of a producer that does not
// aggregate, and those as large as the stream takes.
func TestBareRecordsLoseTags(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		large := strings.Repeat("x", 1<<20-1)
		if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k", Data: []byte(large), ID: "large"}); err != nil {
			t.Error(err)
		}
		if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "k", Data: []byte(large[:1<<20-100]), ID: "fits"}); err != nil {
			t.Error(err)
		}
		w.close()
		p, err := producer.New(w.client, stream, func(o *producer.Options) { o.Aggregate = false })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Put(t.Context(), producer.Record{PartitionKey: "k", Data: []byte("single"), ID: "single"}); err != nil {
			t.Error(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := w.tagged()
		if got[large] != "bare" || got[large[:1<<20-100]] != "record-id=fits;" || got["single"] != "bare" {
			t.Errorf("tags of %d records are wrong", len(got))
		}
	})
}

// brokenTags is an aggregate of one record with a tag that is not UTF-8.
var brokenTags = func() []byte {
	message := []byte("\x0a\x01k\x1a\x09\x08\x00\x1a\x00\x22\x03\x0a\x01\xff")
	sum := md5.Sum(message)
	return slices.Concat([]byte(aggregation.Magic), message, sum[:])
}()

func TestBadTagsAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		// Tags that were read from a stream may hold anything.
		broken, err := aggregation.Decode(brokenTags)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range broken.Records() {
			for field, r := range map[string]producer.Record{
				"ID":   {PartitionKey: "k", ID: "\xff"},
				"ID ":  {PartitionKey: "k", ID: strings.Repeat("x", 257)},
				"Tags": {PartitionKey: "k", Tags: u.Tags},
			} {
				var refused *producer.RecordError
				if _, err := w.Put(t.Context(), r); !errors.As(err, &refused) || refused.Field != strings.TrimSpace(field) {
					t.Errorf("Put with a bad %s = %v, want it refused", field, err)
				}
			}
		}
		w.close()
	})
}
