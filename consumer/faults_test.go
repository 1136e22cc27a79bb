package consumer_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// fault is a call that is answered with an error code.
func fault(op, code string) kinesistest.Fault {
	return kinesistest.Fault{Operation: op, Error: &kinesistest.Error{Status: 400, Code: code, Message: "by a fault"}}
}

// Run says at once what waiting cannot mend, and makes no table for a stream
// that is not there.
func TestRunEndsWhenTheWorkCannotBegin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault kinesistest.Fault
		want  string
	}{
		{"no such stream", kinesistest.Fault{}, "ResourceNotFoundException"},
		{"stream not allowed", fault("ListShards", "AccessDeniedException"), "AccessDeniedException"},
		{"wrong credentials", fault("ListShards", "UnrecognizedClientException"), "UnrecognizedClientException"},
		{"table not allowed", fault("DescribeTable", "AccessDeniedException"), "AccessDeniedException"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := kinesistest.NewServer(kinesistest.Unthrottled)
				defer srv.Close()
				if tt.fault.Operation != "" {
					if err := srv.CreateStream(stream, 1); err != nil {
						t.Fatal(err)
					}
					srv.Inject(tt.fault)
				}
				db := dynamodb.NewFromConfig(srv.Config())
				store, err := dynamo.New(db, app)
				if err != nil {
					t.Fatal(err)
				}
				c, err := consumer.New(kinesis.NewFromConfig(srv.Config()), store, stream)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begun := time.Now()
				err = c.Run(ctx, consumer.EachRecord(func(context.Context, *consumer.Record) error { return nil }))
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Run = %v, want an error with %s", err, tt.want)
				}
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("Run said so after %v", took)
				}
				out, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
				if err != nil || len(out.TableNames) > 0 {
					t.Errorf("tables %v, %v; want none", out, err)
				}
			})
		})
	}
}

// What passes by itself is waited for, also at the start.
func TestRunWaitsForWhatPasses(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"LimitExceededException", "InternalFailure", "ResourceInUseException"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				w.puts(10)
				heal := w.srv.Inject(fault("ListShards", code))
				stop := w.run(w.worker("w1"), w.handler("w1"))
				time.Sleep(time.Minute)
				heal()
				w.settle(30 * time.Second)
				if err := stop(); err != nil {
					t.Errorf("Run = %v", err)
				}
			})
		})
	}
}

// A handler that calls runtime.Goexit, as t.FailNow does, ends like one that
// panics: the shard is taken up again and Run can end.
func TestGoexitOfAHandlerIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(10)
		var failed error
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.HandlerFailed = func(i consumer.HandlerFailedInfo) { failed = i.Err }
		})
		calls := 0
		stop := w.run(c, func(ctx context.Context, s *consumer.Shard) error {
			if calls++; calls == 1 {
				runtime.Goexit()
			}
			return w.handler("w1")(ctx, s)
		})
		w.settle(10 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if !errors.Is(failed, consumer.ErrExited) {
			t.Errorf("reported %v, want ErrExited", failed)
		}
	})
}

// A Shard is of no use once its handler has returned: what a goroutine left
// behind stores then would be a claim about records that are delivered again.
func TestCheckpointAfterTheHandlerReturnedIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(10)
		var left *consumer.Shard
		var last checkpoint.Position
		stop := w.run(w.worker("w1"), func(ctx context.Context, s *consumer.Shard) error {
			if left == nil {
				for b := range s.Batches(ctx) {
					left, last = s, b.Last()
					return errors.New("record 0 cannot be handled")
				}
			}
			err := left.Checkpoint(ctx, last)
			var ce *consumer.CheckpointError
			if !errors.As(err, &ce) || ce.Reason != "handler has returned" {
				t.Errorf("Checkpoint of a former handler = %v, want a refusal", err)
			}
			for _, err := range left.Batches(ctx) {
				if err == nil {
					t.Error("a former handler is still given batches")
				}
				break
			}
			return w.handler("w1")(ctx, s)
		})
		w.settle(10 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A table that refuses checkpoints for a while costs neither the adapters'
// handler nor a repetition: the position is stored when the table takes it.
func TestFailedCheckpointIsNoFailureOfTheHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		var handlerFailed, checkpointFailed atomic.Int64
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.HandlerFailed = func(i consumer.HandlerFailedInfo) { handlerFailed.Add(1) }
			o.Events.CheckpointFailed = func(i consumer.CheckpointFailedInfo) {
				if i.ShardID != id(0) || i.Err == nil || !i.Position.IsRecord() {
					t.Errorf("reported %+v", i)
				}
				checkpointFailed.Add(1)
			}
		})
		stop := w.run(c, w.handler("w1"))
		w.puts(10)
		w.settle(10 * time.Second)
		time.Sleep(time.Second)
		// Checkpoints fail, renewals get through.
		heal := w.srv.Inject(kinesistest.Fault{
			Service: kinesistest.DynamoDB, Operation: "UpdateItem",
			Error: &kinesistest.Error{Status: 400, Code: "AccessDeniedException", Message: "by a fault"}, // not retried by the SDK

			Match: func(c *kinesistest.Call) bool { return strings.Contains(string(c.Body), "checkpointSubSequenceNumber") },
		})
		for range 20 {
			w.puts(10)
			time.Sleep(time.Second)
		}
		heal()
		w.settle(10 * time.Second)
		time.Sleep(10 * time.Second)
		want := w.delivered[len(w.delivered)-1].position
		if err := stop(); err != nil {
			t.Error(err)
		}
		if handlerFailed.Load() > 0 || checkpointFailed.Load() == 0 || w.repeated() > 0 {
			t.Errorf("%d failures of the handler, %d of checkpoints, %d records repeated; want 0, some, 0",
				handlerFailed.Load(), checkpointFailed.Load(), w.repeated())
		}
		if got := w.row(id(0))["checkpoint"]; got != want.SequenceNumber {
			t.Errorf("the row holds %v, want %v", got, want)
		}
	})
}

// row returns a row of the lease table.
func (w *world) row(key string) kinesistest.Row {
	w.t.Helper()
	for _, r := range w.srv.Rows(app) {
		if r["leaseKey"] == key {
			return r
		}
	}
	w.t.Fatalf("no row %s", key)
	return nil
}

// At most one page lies ahead of the one in hand, however long a handler takes.
func TestOnePageIsFetchedAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.puts(10)
		var calls atomic.Int64
		w.srv.Inject(kinesistest.Fault{Operation: "GetRecords", Match: func(*kinesistest.Call) bool { calls.Add(1); return false }})
		blocked := make(chan struct{})
		stop := w.run(w.worker("w1"), func(ctx context.Context, s *consumer.Shard) error {
			for range s.Batches(ctx) {
				<-blocked
			}
			return consumer.ErrStopping
		})
		time.Sleep(time.Hour)
		if n := calls.Load(); n != 2 {
			t.Errorf("%d pages were fetched while the handler had the first, want 2", n)
		}
		close(blocked)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// The end of Run's context is the end for every handler at once: one that gives
// up because of it has not failed.
func TestHandlerThatCancelsRunHasNotFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.puts(1000)
		var failed atomic.Int64
		c := w.worker("w1", func(o *consumer.Options) {
			o.Events.HandlerFailed = func(consumer.HandlerFailedInfo) { failed.Add(1) }
		})
		ctx, cancel := context.WithCancel(t.Context())
		var n, after atomic.Int64
		enough := errors.New("enough")
		err := c.Run(ctx, consumer.EachRecord(func(context.Context, *consumer.Record) error {
			if ctx.Err() != nil {
				after.Add(1)
			}
			if n.Add(1) >= 100 {
				cancel()
				return enough
			}
			return nil
		}))
		if err != nil || failed.Load() > 0 {
			t.Errorf("Run = %v, %d failed handlers; want nil, 0", err, failed.Load())
		}
		if after.Load() > 3 { // each shard may have been between its check and its call
			t.Errorf("%d records were handled after Run's context ended", after.Load())
		}
	})
}

func TestEachNeedsAFunction(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]consumer.Handler{"EachRecord": consumer.EachRecord(nil), "EachBatch": consumer.EachBatch(nil)} {
		err := h(t.Context(), consumer.NewShard("s", "shard", nil, nil, nil))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s(nil) = %v, want an error that names it", name, err)
		}
	}
}
