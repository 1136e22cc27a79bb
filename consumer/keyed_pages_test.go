package consumer

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// distinct gives each record a key of its own.
func distinct(records []Record) []Record {
	for i := range records {
		records[i].PartitionKey = "k" + records[i].Position.SequenceNumber
	}
	return records
}

// The bytes of a batch stay accounted for until its last record is done, and not
// for longer; also when the handler is ended.
func TestKeyedHoldsPagesUntilTheirLastRecord(t *testing.T) {
	t.Parallel()
	for _, ends := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			src := &script{end: ErrStopping, steps: []step{
				{0, distinct(some(1, 3))}, {time.Second, distinct(some(4, 6))}, {time.Second, distinct(some(7, 9))}, {time.Hour, nil},
			}}
			var stored []string
			s := src.shard(&stored)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			stuck := make(chan struct{})
			time.AfterFunc(time.Minute, func() {
				if src.held.Load() != 1 {
					t.Errorf("%d batches are accounted for, want that of the record that is stuck", src.held.Load())
				}
				if ends {
					cancel(ErrStopping)
				}
				close(stuck)
			})
			time.AfterFunc(2*time.Minute, func() {
				if src.held.Load() != 0 {
					t.Errorf("%d batches are accounted for when all is done", src.held.Load())
				}
			})
			h := EachRecord(func(_ context.Context, r *Record) error {
				if r.Position.SequenceNumber == "2" {
					<-stuck
				}
				return nil
			}, func(o *EachOptions) { o.Concurrency = 3 })
			if err := h(ctx, s); !errors.Is(err, ErrStopping) {
				t.Error(err)
			}
			s.letGo()
			if src.held.Load() != 0 {
				t.Errorf("%d batches are accounted for after the end", src.held.Load())
			}
		})
	}
}

// A handler that is ended lets go of what it never began.
func TestKeyedLetsGoOfWhatItDidNotBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &script{end: ErrStopping, steps: []step{{0, some(1, 50)}, {0, some(51, 100)}, {time.Hour, nil}}}
		var stored []string
		s := src.shard(&stored)
		var calls atomic.Int64
		h := EachRecord(func(context.Context, *Record) error {
			calls.Add(1)
			time.Sleep(time.Second)
			return errors.New("no")
		}, func(o *EachOptions) { o.Concurrency, o.OnFailure.Attempts = 2, 1 })
		for i := range src.steps[:2] {
			distinct(src.steps[i].records)
		}
		var re *RecordError
		if err := h(t.Context(), s); !errors.As(err, &re) {
			t.Error(err)
		}
		s.letGo()
		if src.held.Load() != 0 || calls.Load() > 3 || len(stored) != 0 {
			t.Errorf("%d batches are accounted for, %d calls, stored %v", src.held.Load(), calls.Load(), stored)
		}
	})
}
