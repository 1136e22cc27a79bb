package producer

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// An idle producer has no timer running: before the first record, and after the
// last, whatever happened in between.
func TestIdleProducerHasNoTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer()
		defer srv.Close()
		client := kinesis.NewFromConfig(srv.Config())
		if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(3)}); err != nil {
			t.Fatal(err)
		}
		p, err := New(client, "s", func(o *Options) { o.RefreshInterval = time.Second })
		if err != nil {
			t.Fatal(err)
		}
		idle := func(when string) {
			synctest.Wait() // what the flusher did is visible from here
			if wake := p.nextWake(); wake != never {
				t.Errorf("%s the flusher means to wake after %v", when, time.Duration(wake-p.now()))
			}
		}
		idle("before the first record")
		for i, fault := range []kinesistest.Fault{{}, {Error: kinesistest.Throttled, Times: 5}, {Lose: kinesistest.LoseResponse, Times: 2}} {
			fault.Operation = "PutRecords"
			srv.Inject(fault)
			for j := range 100 {
				if err := p.PutAsync(t.Context(), Record{PartitionKey: fmt.Sprint(i, j)}, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			idle(fmt.Sprint("after fault ", i))
		}
		if _, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("7")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		idle("after an hour")
		if err := p.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
}
