package kinesistest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
	"github.com/kinesis-go/kinesis/producer"
)

// The tests of this file are the ones that docs/testing.md shows.

// clicks counts the clicks of each user. Its handler is what is tested.
type clicks struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *clicks) handle(_ context.Context, r *consumer.Record) error {
	if len(r.Data) == 0 {
		return errors.New("an empty click")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[r.PartitionKey]++
	return nil
}

func TestHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer()
		defer srv.Close()
		client := kinesis.NewFromConfig(srv.Config())
		if err := srv.CreateStream("clicks", 2); err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"ann", "bob", "ann"} {
			_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{
				StreamName: aws.String("clicks"), PartitionKey: &user, Data: []byte("home page"),
			})
			if err != nil {
				t.Fatal(err)
			}
		}

		handled := &clicks{count: map[string]int{}}
		c, err := consumer.New(client, lease.NewMemoryStore(), "clicks")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute) // which takes no time
		defer stop()
		if err := c.Run(ctx, consumer.EachRecord(handled.handle)); err != nil {
			t.Fatal(err)
		}
		if handled.count["ann"] != 2 || handled.count["bob"] != 1 {
			t.Errorf("counted %v, want 2 clicks of ann and 1 of bob", handled.count)
		}
	})
}

func TestReshard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer(func(o *kinesistest.Options) { o.StreamUpdating = 30 * time.Second })
		defer srv.Close()
		client := kinesis.NewFromConfig(srv.Config())
		if err := srv.CreateStream("clicks", 1); err != nil {
			t.Fatal(err)
		}

		var handled []string // in order: one key is handled one record at a time
		c, err := consumer.New(client, lease.NewMemoryStore(), "clicks")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			err := c.Run(ctx, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				handled = append(handled, string(r.Data))
				return nil
			}))
			if err != nil {
				t.Error(err)
			}
		})

		var want []string
		for i := range 120 { // two minutes
			if i == 60 { // the stream is split while it is written and read
				_, err := client.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{
					StreamName: aws.String("clicks"), TargetShardCount: aws.Int32(2), ScalingType: "UNIFORM_SCALING",
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			click := fmt.Sprint("click ", i)
			want = append(want, click)
			_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{
				StreamName: aws.String("clicks"), PartitionKey: aws.String("ann"), Data: []byte(click),
			})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		stop()
		running.Wait()

		if fmt.Sprint(handled) != fmt.Sprint(want) {
			t.Errorf("handled %q, want every click once and in order", handled)
		}
		for _, sh := range srv.Shards("clicks") { // what really happened
			t.Logf("%s, child of %q, has %d records", sh.ID, sh.ParentID, sh.Records)
		}
	})
}

func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer()
		defer srv.Close()
		if err := srv.CreateStream("clicks", 2); err != nil {
			t.Fatal(err)
		}
		// In the second and the third minute nothing answers. Then one call in ten
		// fails, and the others are as slow as on a bad day.
		srv.Inject(kinesistest.Fault{Hang: true, Start: time.Minute, For: 2 * time.Minute})
		srv.Inject(kinesistest.Fault{Error: kinesistest.ServiceUnavailable, Probability: 0.1, Seed: 1, Start: 3 * time.Minute})
		srv.Inject(kinesistest.Fault{DelayFrom: kinesistest.LongTail(20*time.Millisecond, 2*time.Second), Seed: 2, Start: 3 * time.Minute})

		store, err := dynamo.New(dynamodb.NewFromConfig(srv.ConfigFor("reader")), "clicks-app")
		if err != nil {
			t.Fatal(err)
		}
		c, err := consumer.New(kinesis.NewFromConfig(srv.ConfigFor("reader")), store, "clicks")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		handled := map[string]int{}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			err := c.Run(ctx, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
				mu.Lock()
				defer mu.Unlock()
				handled[string(r.Data)]++
				return nil
			}))
			if err != nil {
				t.Error(err)
			}
		})

		p, err := producer.New(kinesis.NewFromConfig(srv.ConfigFor("writer")), "clicks")
		if err != nil {
			t.Fatal(err)
		}
		outcomes := map[producer.Outcome]int{}
		stored := map[string]bool{}
		for i := range 6 * 60 { // six minutes, a click a second
			click := producer.Record{PartitionKey: fmt.Sprint("user-", i%10), Data: fmt.Append(nil, "click ", i)}
			err := p.PutAsync(t.Context(), click, func(r producer.Result) {
				outcomes[r.Outcome]++
				if r.Outcome == producer.Stored {
					stored[string(click.Data)] = true
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		stop()
		running.Wait()

		t.Log("the producer said", outcomes)
		for click := range stored {
			if handled[click] == 0 {
				t.Errorf("%s was stored and never handled", click)
			}
		}
		if len(stored) < 200 {
			t.Errorf("%d of 360 clicks were stored, want those of the four good minutes", len(stored))
		}
	})
}
