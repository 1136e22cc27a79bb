package dynamo_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/pace"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// An outcome is what a writer was told: a row, a conflict, or neither.
type outcome struct {
	row      lease.Row
	conflict *lease.ConflictError
	unknown  bool // it may have been made, now or later
}

// rowModel says which answers about one row fit lease.Write.Apply.
func rowModel() porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{(*lease.Row)(nil)} },
		Step: func(state, input, output any) []any {
			cur, w, out := state.(*lease.Row), input.(lease.Write), output.(outcome)
			next, err := w.Apply(cur)
			var conflict *lease.ConflictError
			switch {
			case out.unknown && err == nil:
				return []any{cur, next}
			case out.unknown:
				return []any{cur}
			case out.conflict != nil:
				if errors.As(err, &conflict) && sameRow(out.conflict.Current, cur) {
					return []any{cur}
				}
			case err == nil && (next == nil && out.row.Key == "" || next != nil && next.Equal(out.row)):
				return []any{next}
			}
			return nil
		},
		Equal: func(a, b any) bool { return sameRow(a.(*lease.Row), b.(*lease.Row)) },
	}).ToModel()
}

func sameRow(a, b *lease.Row) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// G4: whatever order the writes of several workers take, through lost answers,
// delays and throttling, what each was told fits one order of writes, made by the
// rules of lease.Write.Apply.
func TestWritesOfARowAreLinearizable(t *testing.T) {
	t.Parallel()
	model := rowModel()
	for seed := range uint64(20) {
		var history []porcupine.Operation
		synctest.Test(t, func(t *testing.T) { history = contend(t, seed) })
		if result := porcupine.CheckOperationsTimeout(model, history, 20*time.Second); result == porcupine.Illegal {
			t.Fatalf("seed %d: %d writes fit no order", seed, len(history))
		}
	}
}

// contend lets workers write one row and returns what they were told.
func contend(t *testing.T, seed uint64) []porcupine.Operation {
	const workers, writes = 4, 8
	srv := kinesistest.NewServer()
	defer srv.Close()
	open(t, srv)
	for _, f := range []kinesistest.Fault{
		{Operation: "*Item", Probability: 0.2, Seed: seed, Lose: kinesistest.LoseResponse},
		{Operation: "*Item", Probability: 0.2, Seed: seed + 1, Error: kinesistest.Throttled},
		{Operation: "*Item", Probability: 0.5, Seed: seed + 2, Delay: 40 * time.Millisecond},
	} {
		f.Service = kinesistest.DynamoDB
		srv.Inject(f)
	}
	var mu sync.Mutex
	var history []porcupine.Operation
	begun := time.Now()
	var wg sync.WaitGroup
	for id := range workers {
		name := fmt.Sprint("w", id)
		client := dynamodb.NewFromConfig(srv.ConfigFor(name), func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
		store, err := dynamo.New(client, "app")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			var seen lease.Row
			for n := range writes {
				h := pace.Hash(name, "write", "", seed*1000+uint64(n))
				time.Sleep(time.Duration(h%37) * time.Millisecond)
				w := someWrite(name, h, seen, n)
				op := porcupine.Operation{ClientId: id, Input: w, Call: int64(time.Since(begun))}
				row, err := store.Write(t.Context(), w)
				op.Return = int64(time.Since(begun))
				var conflict *lease.ConflictError
				switch {
				case err == nil:
					op.Output, seen = outcome{row: row}, row
				case errors.As(err, &conflict):
					op.Output = outcome{conflict: conflict}
					if seen = (lease.Row{}); conflict.Current != nil {
						seen = *conflict.Current
					}
				default:
					op.Output, op.Return = outcome{unknown: true}, int64(time.Hour)
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return history
}

// someWrite returns a write by a worker that has seen that row last.
func someWrite(worker string, h uint64, seen lease.Row, n int) lease.Write {
	if seen.Key == "" {
		return lease.Write{Op: lease.Create, Row: lease.Row{Key: "k", Shard: "k", Checkpoint: checkpoint.TrimHorizon}}
	}
	w := lease.Write{Seen: seen, Owner: worker, Run: worker + "-1"}
	switch ops := []lease.Op{lease.Renew, lease.Take, lease.Assign, lease.Checkpoint, lease.Handoff, lease.Release, lease.Rewind, lease.Delete}; ops[(h>>8)%8] {
	case lease.Checkpoint:
		w.Op, w.Checkpoint = lease.Checkpoint, checkpoint.At(fmt.Sprint(n+1))
	case lease.Rewind:
		w.Op, w.Checkpoint = lease.Rewind, checkpoint.TrimHorizon
	case lease.Delete:
		w.Op = lease.Delete
	case lease.Handoff:
		if w.Op = lease.Handoff; seen.Owner == "" || seen.Owner == worker {
			w.Op = lease.Assign
		}
	default:
		w.Op = []lease.Op{lease.Renew, lease.Take, lease.Assign, lease.Release}[(h>>16)%4]
	}
	return w
}
