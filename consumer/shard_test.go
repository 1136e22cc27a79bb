package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
)

// batch makes records with sequence numbers from-to.
func batch(from, to int) *consumer.Batch {
	b := &consumer.Batch{}
	for n := from; n <= to; n++ {
		b.Records = append(b.Records, consumer.Record{
			Data: fmt.Appendf(nil, "%d", n), PartitionKey: "k", Position: checkpoint.At(fmt.Sprint(n)),
		})
	}
	return b
}

// store remembers the positions a shard stored.
type store struct {
	positions []string
	fail      error
}

func (s *store) put(_ context.Context, p checkpoint.Position) error {
	if s.fail != nil {
		return s.fail
	}
	s.positions = append(s.positions, p.String())
	return nil
}

func TestHandlerSeesTheEndItIsGiven(t *testing.T) {
	t.Parallel()
	cause := errors.New("gone")
	for _, end := range []error{nil, consumer.ErrStopping, cause} {
		s := consumer.NewShard("clicks", "shardId-000000000000", []*consumer.Batch{batch(1, 2), batch(3, 3)}, end, nil)
		var got []string
		var last error
		for b, err := range s.Batches(t.Context()) {
			if last = err; err != nil {
				break
			}
			got = append(got, b.Last().String())
		}
		if !slices.Equal(got, []string{"2", "3"}) || !errors.Is(last, end) {
			t.Errorf("end %v: batches ended at %v with %v", end, got, last)
		}
		for range s.Batches(t.Context()) {
			if end == nil {
				t.Error("a shard that has ended yields again")
			}
			break
		}
	}
}

func TestBatchesGoOnAfterABreak(t *testing.T) {
	t.Parallel()
	s := consumer.NewShard("clicks", "shardId-000000000000", []*consumer.Batch{batch(1, 1), batch(2, 2)}, nil, nil)
	var got []string
	for range 2 {
		for b := range s.Batches(t.Context()) {
			got = append(got, b.Last().String())
			break
		}
	}
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %v, want 1 and 2", got)
	}
}

func TestCheckpointTakesOnlyWhatWasDelivered(t *testing.T) {
	t.Parallel()
	st := &store{}
	s := consumer.NewShard("clicks", "shardId-000000000007", []*consumer.Batch{batch(10, 20), batch(21, 30)}, nil, st.put)
	if err := s.Checkpoint(t.Context(), checkpoint.At("10")); err == nil {
		t.Error("a checkpoint before the first batch was accepted")
	}
	for range s.Batches(t.Context()) {
		break
	}
	tests := []struct {
		p      checkpoint.Position
		reason string // "" if accepted
	}{
		{checkpoint.At("15"), ""},
		{checkpoint.At("15"), ""}, // again: nothing to store
		{checkpoint.At("14"), "moves back"},
		{checkpoint.At("21"), "not delivered yet"},
		{checkpoint.At("20"), ""},
		{checkpoint.ShardEnd, "not a record"},
		{checkpoint.TrimHorizon, "not a record"},
		{checkpoint.Position{}, "not a record"},
	}
	for _, tt := range tests {
		err := s.Checkpoint(t.Context(), tt.p)
		var ce *consumer.CheckpointError
		switch {
		case tt.reason == "" && err != nil:
			t.Errorf("Checkpoint(%v) = %v, want nil", tt.p, err)
		case tt.reason != "" && (!errors.As(err, &ce) || ce.Reason != tt.reason || ce.ShardID != "shardId-000000000007"):
			t.Errorf("Checkpoint(%v) = %v, want a CheckpointError %q", tt.p, err, tt.reason)
		}
	}
	if want := []string{"15", "20"}; !slices.Equal(st.positions, want) {
		t.Errorf("stored %v, want %v", st.positions, want)
	}
	if got := s.Checkpointed(); got != checkpoint.At("20") {
		t.Errorf("Checkpointed() = %v, want 20", got)
	}
}

// A store that fails leaves the position as it was, so that the next checkpoint
// is made and not taken for a repetition (KCL#1354).
func TestFailedCheckpointCanBeRepeated(t *testing.T) {
	t.Parallel()
	st := &store{fail: errors.New("throttled")}
	s := consumer.NewShard("clicks", "shardId-000000000000", []*consumer.Batch{batch(1, 5)}, nil, st.put)
	for range s.Batches(t.Context()) {
		break
	}
	if err := s.Checkpoint(t.Context(), checkpoint.At("5")); !errors.Is(err, st.fail) {
		t.Fatalf("Checkpoint = %v, want the store's error", err)
	}
	if got := s.Checkpointed(); got != checkpoint.TrimHorizon {
		t.Errorf("Checkpointed() = %v after a failed store", got)
	}
	st.fail = nil
	if err := s.Checkpoint(t.Context(), checkpoint.At("5")); err != nil || len(st.positions) != 1 {
		t.Errorf("the repetition: %v, stored %v", err, st.positions)
	}
}

func TestEachRecordKeepsTheCheckpointPace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts func(*consumer.EachOptions)
		want []string
	}{
		{"every record", func(o *consumer.EachOptions) { o.CheckpointInterval = 0 }, []string{"1", "2", "3", "4", "5", "6", "7"}},
		{"every three", func(o *consumer.EachOptions) { o.CheckpointEvery = 3 }, []string{"3", "6", "7"}},
		{"every 2.5 s", func(o *consumer.EachOptions) { o.CheckpointInterval = 2500 * time.Millisecond }, []string{"4", "7"}},
		{"default", func(o *consumer.EachOptions) {}, []string{"6", "7"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := &store{}
				h := consumer.EachRecord(func(context.Context, *consumer.Record) error {
					time.Sleep(time.Second)
					return nil
				}, tt.opts)
				s := consumer.NewShard("s", "shard", []*consumer.Batch{batch(1, 4), batch(5, 7)}, consumer.ErrStopping, st.put)
				if err := h(t.Context(), s); !errors.Is(err, consumer.ErrStopping) {
					t.Errorf("handler returned %v, want ErrStopping", err)
				}
				if !slices.Equal(st.positions, tt.want) {
					t.Errorf("stored %v, want %v", st.positions, tt.want)
				}
			})
		})
	}
}

// A lost lease must not look like a clean end because its checkpoint failed too.
func TestEachReportsTheLossAndTheFailedCheckpoint(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	st := &store{fail: errors.New("refused")}
	h := consumer.EachRecord(func(context.Context, *consumer.Record) error { return nil })
	err := h(t.Context(), consumer.NewShard("s", "shard", []*consumer.Batch{batch(1, 1)}, lost, st.put))
	if !errors.Is(err, lost) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("handler returned %v, want the loss with the refusal beside it", err)
	}
}

func TestEachStopsBetweenRecordsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	cause := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	h := consumer.EachRecord(func(context.Context, *consumer.Record) error {
		if n++; n == 2 {
			cancel(cause)
		}
		return nil
	})
	err := h(ctx, consumer.NewShard("s", "shard", []*consumer.Batch{batch(1, 100)}, nil, nil))
	if n != 2 || !errors.Is(err, cause) {
		t.Errorf("%d records handled, error %v; want 2 and the cause", n, err)
	}
}

func TestEachOptionsAreJudgedTogether(t *testing.T) {
	t.Parallel()
	h := consumer.EachBatch(nil, func(o *consumer.EachOptions) { o.CheckpointEvery, o.CheckpointInterval = -1, 2*time.Hour })
	err := h(t.Context(), consumer.NewShard("s", "shard", nil, nil, nil))
	if err == nil || !strings.Contains(err.Error(), "CheckpointEvery is -1") || !strings.Contains(err.Error(), "CheckpointInterval is 2h0m0s") {
		t.Errorf("got %v, want an error that names both options", err)
	}
}
