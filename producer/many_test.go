package producer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

func TestPutManyAnswersInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		records := make([]producer.Record, 1000)
		for i := range records {
			records[i] = producer.Record{PartitionKey: fmt.Sprint(i), Data: fmt.Append(nil, i)}
		}
		results, err := w.PutMany(t.Context(), records)
		if err != nil || len(results) != 1000 {
			t.Fatalf("PutMany = %d results, %v", len(results), err)
		}
		found := w.stored()
		for i, r := range results {
			at := found[fmt.Sprint(i)]
			if r.Outcome != producer.Stored || r.Record.PartitionKey != fmt.Sprint(i) || len(at) != 1 || at[0].seq != r.SequenceNumber {
				t.Errorf("result %d is %+v, found %v", i, r, at)
			}
		}
		if results, err := w.PutMany(t.Context(), nil); len(results) != 0 || err != nil {
			t.Errorf("PutMany of nothing = %v, %v", results, err)
		}
		w.close()
	})
}

// A record that cannot be put does not stop the others, and the error speaks of
// the first.
func TestPutManyGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		results, err := w.PutMany(t.Context(), []producer.Record{{PartitionKey: "a"}, {}, {PartitionKey: "b"}, {PartitionKey: "c", ExplicitHashKey: "x"}})
		var refused *producer.RecordError
		if !errors.As(err, &refused) || refused.Field != "PartitionKey" || !strings.Contains(err.Error(), "2 of 4") {
			t.Errorf("PutMany = %v, want the error of the second record", err)
		}
		for i, want := range []producer.Outcome{producer.Stored, producer.NotStored, producer.Stored, producer.NotStored} {
			if results[i].Outcome != want || (results[i].Err == nil) != (want == producer.Stored) {
				t.Errorf("result %d = %+v, want %v", i, results[i], want)
			}
		}
		w.close()
	})
}

// If the context ends, what was accepted is unknown and the rest is not stored.
func TestPutManyContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(o *producer.Options) { o.MaxBufferedBytes = 64 << 10 })
		heal := w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Hang: true})
		records := make([]producer.Record, 100)
		for i := range records {
			records[i] = producer.Record{PartitionKey: "k", Data: make([]byte, 1000)}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		results, err := w.PutMany(ctx, records)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("PutMany = %v", err)
		}
		var got [3]int
		for _, r := range results {
			got[r.Outcome]++
			if !errors.Is(r.Err, context.DeadlineExceeded) {
				t.Errorf("result %+v", r)
			}
		}
		if got[producer.Unknown] != int(w.Stats().Accepted) || got[producer.NotStored] != 100-int(w.Stats().Accepted) {
			t.Errorf("outcomes %v with %d accepted", got, w.Stats().Accepted)
		}
		heal()
		w.close()
	})
}
