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

// Attempts that a result does not keep were told as they happened, with their
// codes.
func TestEventsTellEveryAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls, entries = 20, 30
		var requests []producer.RequestInfo
		var attempts []producer.EntryInfo
		w := newWorld(t, 1, func(o *producer.Options) {
			o.RecordTTL = time.Hour
			o.Events.Request = func(r producer.RequestInfo) { requests = append(requests, r) } // one call at a time
			o.Events.Entry = func(e producer.EntryInfo) { attempts = append(attempts, e) }
		})
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.ServiceUnavailable, Times: calls})
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled, Times: entries, Entries: func(int, string, string) bool { return true }})
		res, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"})
		if w.close(); err != nil || len(res.Attempts) != 32 {
			t.Fatalf("Put = %d attempts kept, %v", len(res.Attempts), err)
		}
		if len(requests) != calls+entries+1 || len(attempts) != entries+1 {
			t.Fatalf("%d calls and %d answers for the record were told, want %d and %d", len(requests), len(attempts), calls+entries+1, entries+1)
		}
		for i, r := range requests {
			if (i < calls) != (r.Err != nil) || r.Start.IsZero() {
				t.Errorf("call %d was told as %+v", i, r)
			}
		}
		for i, e := range attempts {
			want := "ProvisionedThroughputExceededException"
			if i == entries {
				want = ""
			}
			if e.Code != want || e.Attempt != calls+1+i {
				t.Errorf("answer %d was told as %+v, want attempt %d with code %q", i, e, calls+1+i, want)
			}
		}
	})
}

// The call that is under way when a record's time is over is one of its attempts.
func TestAttemptUnderWayIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(o *producer.Options) { o.RecordTTL, o.RequestTimeout = 2*time.Second, time.Minute })
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled, Times: 2})
		w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Hang: true})
		begin := time.Now()
		res, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"})
		var failed *producer.PutError
		if res.Outcome != producer.Unknown || !errors.As(err, &failed) || failed.Attempts != 3 || len(res.Attempts) != 3 {
			t.Fatalf("Put = %+v, %v, want three attempts", res, err)
		}
		a := res.Attempts[2]
		if end := a.Start.Add(a.Duration).Sub(begin); a.Code != "" || a.Message == "" || end < 1990*time.Millisecond || end > 2*time.Second {
			t.Errorf("the last attempt is %+v and ends after %v", a, end)
		}
		closeNow(t, w.Producer)
	})
}
