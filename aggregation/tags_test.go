package aggregation_test

import (
	"slices"
	"testing"

	"github.com/kinesis-go/kinesis/aggregation"
)

func TestTagsRoundTrip(t *testing.T) {
	t.Parallel()
	lists := [][]aggregation.Tag{
		nil,
		{{Key: "k", Value: "v", HasValue: true}},
		{{Key: "k"}, {Key: "", Value: "", HasValue: true}, {Key: "k", Value: "é", HasValue: true}},
	}
	for _, list := range lists {
		tags := mustTags(t, list...)
		a, err := aggregation.Decode(newAggregate(t, aggregation.Record{Tags: tags, Data: []byte("d")}, aggregation.Record{}))
		if err != nil {
			t.Fatal(err)
		}
		got := collect(t, a)
		if decoded := slices.Collect(got[0].Tags.All()); !slices.Equal(decoded, list) {
			t.Errorf("tags %v, want %v", decoded, list)
		}
		if !got[0].Tags.Equal(tags) || !tags.Equal(got[0].Tags) {
			t.Errorf("decoded tags do not equal %v", list)
		}
		if n := len(slices.Collect(got[1].Tags.All())); n != 0 {
			t.Errorf("the record without tags has %d", n)
		}
	}
}

func TestTagsEqual(t *testing.T) {
	t.Parallel()
	a, b := aggregation.Tag{Key: "a"}, aggregation.Tag{Key: "a", HasValue: true}
	if mustTags(t, a).Equal(mustTags(t, b)) || mustTags(t, a).Equal(mustTags(t, a, a)) || mustTags(t, a).Equal(aggregation.Tags{}) {
		t.Error("different tags are equal")
	}
	if !mustTags(t, aggregation.Tag{Key: "a", Value: "v"}).Equal(mustTags(t, aggregation.Tag{Key: "a", Value: "v", HasValue: true})) {
		t.Error("a value does not imply HasValue")
	}
}

func TestTagsGet(t *testing.T) {
	t.Parallel()
	tags := mustTags(t, aggregation.Tag{Key: "a", Value: "1"}, aggregation.Tag{Key: "b"}, aggregation.Tag{Key: "a", Value: "2"})
	a, err := aggregation.Decode(newAggregate(t, aggregation.Record{PartitionKey: "a", Tags: tags, Data: []byte("d")}))
	if err != nil {
		t.Fatal(err)
	}
	for name, tags := range map[string]aggregation.Tags{"made": tags, "decoded": collect(t, a)[0].Tags} {
		if got, ok := tags.Get("a"); !ok || got.Value != "1" {
			t.Errorf("%s: a is %v, %t; want the first of two", name, got, ok)
		}
		if got, ok := tags.Get("b"); !ok || got.HasValue {
			t.Errorf("%s: b is %v, %t; want it without a value", name, got, ok)
		}
		if got, ok := tags.Get("c"); ok {
			t.Errorf("%s: c is %v, want none", name, got)
		}
	}
	if _, ok := (aggregation.Tags{}).Get(""); ok {
		t.Error("the empty list has a tag")
	}
}

func TestTagsStopEarly(t *testing.T) {
	t.Parallel()
	for tag := range mustTags(t, aggregation.Tag{Key: "a"}, aggregation.Tag{Key: "b"}).All() {
		if tag.Key != "a" {
			t.Errorf("first tag is %q", tag.Key)
		}
		break
	}
}

func TestNewTagsRefusesWhatIsNotUTF8(t *testing.T) {
	t.Parallel()
	for _, tag := range []aggregation.Tag{{Key: "\xff"}, {Key: "k", Value: "\xff"}} {
		if _, err := aggregation.NewTags(tag); err == nil {
			t.Errorf("tag %q=%q accepted", tag.Key, tag.Value)
		}
	}
}
