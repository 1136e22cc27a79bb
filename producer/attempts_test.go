package producer_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// An outage that lasts costs no memory for the attempts made in it: the first and
// the latest are kept, and all are counted.
func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	for _, order := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2, func(o *producer.Options) { o.RecordTTL, o.Ordered = 10*time.Minute, order })
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: &kinesistest.Error{Status: 500, Code: "InternalFailure"}, Times: 50})
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled})
			start := time.Now()
			res, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"})
			var putErr *producer.PutError
			if w.close(); !errors.As(err, &putErr) || putErr.Attempts < 100 || len(res.Attempts) != 32 {
				t.Fatalf("Put = %d attempts kept, %v", len(res.Attempts), err)
			}
			if !slices.IsSortedFunc(res.Attempts, func(a, b producer.Attempt) int { return a.Start.Compare(b.Start) }) {
				t.Error("attempts are out of order")
			}
			first, last := res.Attempts[0].Start.Sub(start), res.Attempts[31].Start.Sub(start)
			if first > time.Second || last < 9*time.Minute || res.Attempts[7].Code != "InternalFailure" || res.Attempts[8].Code == "InternalFailure" {
				t.Errorf("the first attempt kept was after %v, the last after %v", first, last)
			}
		})
	}
}
