package dynamo_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// What a table can do instead of answering: for nine twentieths of the failover time no
// handler notices; for longer, the work ends before the lease can expire and begins
// again when the table is back, without a restart.
func TestOutageOfTheTable(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]kinesistest.Fault{
		"no answer":     {Hang: true},
		"unavailable":   {Error: kinesistest.ServiceUnavailable},
		"throttled":     {Error: kinesistest.Throttled},
		"answers lost":  {Lose: kinesistest.LoseResponse},
		"not permitted": {Error: &kinesistest.Error{Code: "AccessDeniedException"}}, // a policy is edited
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := kinesistest.NewServer()
				defer srv.Close()
				store, err := dynamo.New(dynamodb.NewFromConfig(srv.Config()), "app")
				if err != nil {
					t.Fatal(err)
				}
				var mu sync.Mutex
				working, begun, lost := 0, 0, 0
				state := func() (int, int, int) {
					mu.Lock()
					defer mu.Unlock()
					return working, begun, lost
				}
				c, err := lease.New(store, shards(3), func(o *lease.Options) {
					o.WorkerID = "w"
					o.Events.Lost = func(lease.LostInfo) { mu.Lock(); defer mu.Unlock(); lost++ }
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() {
					done <- c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error {
						mu.Lock()
						working, begun = working+1, begun+1
						mu.Unlock()
						defer func() { mu.Lock(); defer mu.Unlock(); working-- }()
						<-fetch.Done()
						return h.Checkpoint(work, checkpoint.At("5"))
					})
				}()
				time.Sleep(30 * time.Second)
				fault.Service, fault.For = kinesistest.DynamoDB, 4500*time.Millisecond
				srv.Inject(fault)
				time.Sleep(30 * time.Second)
				if w, b, l := state(); w != 3 || b != 3 || l != 0 {
					t.Errorf("after a short outage %d work, %d began, %d were lost; want 3, 3, 0", w, b, l)
				}
				if name == "answers lost" {
					// What arrives is made: no lease can expire, and none may be lost
					// for long; how often it is taken up again is not the point here.
					stop()
					if err := <-done; err != nil {
						t.Error(err)
					}
					return
				}
				fault.For = time.Minute
				srv.Inject(fault)
				time.Sleep(15 * time.Second)
				if w, _, l := state(); w != 0 || l != 3 {
					t.Errorf("15 s into an outage %d work, %d were lost; want 0, 3", w, l)
				}
				time.Sleep(time.Minute)
				if w, b, _ := state(); w != 3 || b != 6 {
					t.Errorf("15 s after an outage of a minute %d work, %d began; want 3, 6", w, b)
				}
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
