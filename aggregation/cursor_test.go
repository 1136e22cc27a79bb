package aggregation_test

import (
	"fmt"
	"testing"

	"github.com/kinesis-go/kinesis/aggregation"
)

func TestCursorVisitsWhatRecordsYields(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Vectors {
		a, err := aggregation.Decode(v.Hex)
		if err != nil {
			continue
		}
		var got []aggregation.Record
		c := a.Cursor()
		for {
			if want := a.Len() - len(got); c.Left() != want {
				t.Errorf("%s: Left = %d before record %d, want %d", v.Name, c.Left(), len(got), want)
			}
			sub, r, ok := c.Next()
			if !ok {
				break
			}
			if sub != len(got) {
				t.Errorf("%s: record %d has subsequence number %d", v.Name, len(got), sub)
			}
			got = append(got, r)
		}
		if d := diff(collect(t, a), got); d != "" {
			t.Errorf("%s: (-Records +Cursor):\n%s", v.Name, d)
		}
		if sub, r, ok := c.Next(); ok || sub != 0 || r.PartitionKey != "" {
			t.Errorf("%s: Next behind the end = %d, %v, %v", v.Name, sub, r, ok)
		}
	}
}

func TestCursorCopyGoesItsOwnWay(t *testing.T) {
	t.Parallel()
	var records []aggregation.Record
	for i := range 5 {
		records = append(records, aggregation.Record{PartitionKey: fmt.Sprint(i)})
	}
	a, err := aggregation.Decode(newAggregate(t, records...))
	if err != nil {
		t.Fatal(err)
	}
	c := a.Cursor()
	c.Next()
	c.Next()
	mark := c
	c.Next()
	if sub, r, _ := mark.Next(); sub != 2 || r.PartitionKey != "2" {
		t.Errorf("copy goes on at %d, %q", sub, r.PartitionKey)
	}
	if sub, r, _ := c.Next(); sub != 3 || r.PartitionKey != "3" {
		t.Errorf("original goes on at %d, %q", sub, r.PartitionKey)
	}
	if sub, _, ok := (&aggregation.Cursor{}).Next(); ok || sub != 0 {
		t.Error("the zero Cursor has a record")
	}
}
