package consumer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// frozen starts a reader of two pages of two records, and returns it with what
// freezes it: from then on the lease has expired and no context knows it yet.
func frozen(t *testing.T) (r *reader, freeze func()) {
	t.Helper()
	s := &scripted{begun: time.Now(), get: []func(string) (*kinesis.GetRecordsOutput, error){gives("a", 0, 1, 2), gives("b", 0, 3, 4), gives("c", 0)}}
	o := defaults()
	p := &poller{interval: time.Second, place: &place{client: s, shardID: "shardId-000000000000", opts: &o, from: checkpoint.TrimHorizon}}
	lost := false
	alive := func() error {
		if lost {
			return fmt.Errorf("%w: shardId-000000000000", lease.ErrLost)
		}
		return nil
	}
	r = startReader(t.Context(), t.Context(), alive, p, nil, unpacker{opts: &o, observe: func(int) {}})
	t.Cleanup(r.stop)
	return r, func() { lost = true }
}

// G4: a worker that was frozen is handed nothing more, though its contexts have
// not ended yet and a page lies ready.
func TestFrozenWorkerIsHandedNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, freeze := frozen(t)
		defer r.stop()
		s := &Shard{id: "shardId-000000000000", source: r}
		n := 0
		for b, err := range s.Batches(t.Context()) {
			if n++; n == 2 {
				if !errors.Is(err, lease.ErrLost) {
					t.Errorf("after the freeze: %v, %v; want lease.ErrLost", b, err)
				}
				break
			}
			time.Sleep(time.Minute) // the next page is there
			freeze()
		}
	})
}

// The same for the records of a batch in hand.
func TestFrozenWorkerStopsBetweenRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, freeze := frozen(t)
		defer r.stop()
		opts := defaults()
		s := &Shard{
			id: "shardId-000000000000", source: r, failed: func(CheckpointFailedInfo) {}, opts: &opts,
			store: func(context.Context, checkpoint.Position) error { return r.err() },
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n := 0
		err := EachRecord(func(context.Context, *Record) error {
			n++
			freeze()
			return nil
		})(ctx, s)
		if n != 1 || !errors.Is(err, lease.ErrLost) {
			t.Errorf("%d records handled, error %v; want 1 and lease.ErrLost", n, err)
		}
	})
}
