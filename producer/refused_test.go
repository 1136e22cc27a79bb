package producer_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// An aggregate that is refused is taken apart: its records stand or fall alone.
func TestRefusedAggregateIsTakenApart(t *testing.T) {
	t.Parallel()
	for _, order := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2, func(o *producer.Options) { o.Ordered = order })
			w.srv.Inject(kinesistest.Fault{
				Operation: "PutRecords",
				Match: func(c *kinesistest.Call) bool {
					for _, r := range c.Records() {
						if r.PartitionKey == "a" || r.PartitionKey == "key-7" {
							return true
						}
					}
					return false
				},
				Error: &kinesistest.Error{Code: "InvalidArgumentException", Message: "no"},
			})
			w.sendMany(100)
			w.close()
			if got := w.check(); got != [3]int{producer.Stored: 99, producer.NotStored: 1} {
				t.Errorf("outcomes %v, want 99 stored and 1 not", got)
			}
			if r := w.results["data-7"]; len(r) != 1 || r[0].Outcome != producer.NotStored || len(r[0].Attempts) < 3 {
				t.Errorf("the result of the one refused is %+v", r)
			}
			if n := w.duplicates(); n > 0 {
				t.Errorf("%d duplicates", n)
			}
		})
	}
}

// The largest record a stream takes becomes smaller while records wait for it.
func TestSmallerRecordsAreLearntOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 1)
		arn := aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/" + stream)
		limit := func(kib int32) {
			if _, err := w.client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{StreamARN: arn, MaxRecordSizeInKiB: &kib}); err != nil {
				t.Fatal(err)
			}
		}
		limit(10240)
		p, err := producer.New(w.client, stream, func(o *producer.Options) { o.AggregationMaxBytes, o.RecordTTL = 3<<20, time.Hour })
		if err != nil {
			t.Fatal(err)
		}
		w.Producer = p
		if _, err := p.Put(t.Context(), producer.Record{PartitionKey: "k", Data: make([]byte, 2<<20)}); err != nil {
			t.Fatal(err)
		}
		w.close()
		p, err = producer.New(w.client, stream, func(o *producer.Options) { o.AggregationMaxBytes, o.RecordTTL = 3<<20, time.Hour })
		if err != nil {
			t.Fatal(err)
		}
		w.Producer = p
		if _, err := p.Put(t.Context(), producer.Record{PartitionKey: "k", Data: []byte("warm")}); err != nil {
			t.Fatal(err)
		}
		limit(1024)
		for i := range 30 {
			if err := w.send("k", fmt.Sprintf("%02d%0100000d", i, 0)); err != nil {
				t.Fatal(err)
			}
		}
		w.close()
		for data, r := range w.results {
			if r[0].Err != nil {
				t.Errorf("%.2s: %v", data, r[0].Err)
			}
		}
		if len(w.results) != 30 {
			t.Errorf("%d results", len(w.results))
		}
	})
}

// FailIfThrottled ends what is throttled with the service's error, alone or in a
// call that is refused as a whole, and nothing else.
func TestFailIfThrottled(t *testing.T) {
	t.Parallel()
	for _, fault := range []kinesistest.Fault{
		{Shard: "shardId-000000000001", Error: kinesistest.Throttled},
		{Error: kinesistest.Throttled, Times: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2, func(o *producer.Options) { o.FailIfThrottled = true })
			fault.Operation = "PutRecords"
			w.srv.Inject(fault)
			w.sendMany(100)
			w.close()
			got := w.check()
			if got[producer.NotStored] == 0 || got[producer.Unknown] > 0 || fault.Shard != "" && got[producer.Stored] == 0 {
				t.Errorf("outcomes %v", got)
			}
			for _, r := range w.results {
				if a := r[0].Attempts; r[0].Err != nil && (len(a) != 1 || a[0].Code != "ProvisionedThroughputExceededException") {
					t.Errorf("attempts %+v", a)
				}
			}
		})
	}
}

// A cause that no retry heals ends a record at once, also when the service says
// so of single records.
func TestHopelessEntriesEndAtOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"KMSDisabledException", "KMSAccessDeniedException", "KMSInvalidStateException", "KMSNotFoundException", "KMSOptInRequired", "AccessDeniedException"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			w.srv.Inject(kinesistest.Fault{
				Operation: "PutRecords", Entries: func(int, string, string) bool { return true },
				Error: &kinesistest.Error{Code: code, Message: "because"},
			})
			start := time.Now()
			res, err := w.Put(t.Context(), producer.Record{PartitionKey: "k"})
			var entry *producer.EntryError
			if res.Outcome != producer.NotStored || !errors.As(err, &entry) || entry.Code != code || len(res.Attempts) != 1 || time.Since(start) > time.Second {
				t.Errorf("%s: Put = %+v, %v", code, res, err)
			}
			w.close()
		})
	}
}

// Records of a call that was refused, and is sent again in parts, end when their
// time is over although no part may be sent.
func TestRefusedRecordsExpireInTime(t *testing.T) {
	t.Parallel()
	for _, aggregate := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const ttl = 2 * time.Second
			w := newWorld(t, 4, func(o *producer.Options) {
				o.Aggregate, o.MaxInFlight, o.RecordTTL, o.RequestTimeout = aggregate, 1, ttl, time.Minute
				o.RecordMaxBufferedTime = ttl / 2
			})
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Times: 1, Error: &kinesistest.Error{Code: "InvalidArgumentException", Message: "no"}})
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Hang: true})
			for i := range 40 {
				if err := w.send(fmt.Sprint("key-", i), fmt.Sprint("data-", i)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(ttl)
			if n := w.ended(); n != 40 {
				t.Errorf("%d of 40 records have a result when their time is over", n)
			}
			w.close()
			got := w.check()
			if got[producer.NotStored] == 0 || got[producer.Unknown] == 0 {
				t.Errorf("outcomes %v, want some that were under way and some that were not", got)
			}
			for data, took := range w.took {
				if took > ttl {
					t.Errorf("%s has its result after %v", data, took)
				}
			}
		})
	}
}
