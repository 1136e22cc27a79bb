package consumer_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
)

// A stream that is named twice, by its name and by its ARN, is read once; if the
// two disagree on its start, the first holds and nothing else suffers.
func TestStreamNamedTwiceIsReadOnce(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]consumer.Start{"alike": {}, "with another start": consumer.FromLatest()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newAccounts(t)
				clicks, orders := a.create(0, "clicks"), a.create(0, "orders")
				arn := "arn:aws:kinesis:us-east-1:" + accountIDs[0] + ":stream/clicks"
				a.puts(0, "clicks", 10)
				a.puts(0, "orders", 10)
				a.name(consumer.Stream{Name: "clicks"}, consumer.Stream{Name: arn, Start: again}, consumer.Stream{Name: "clicks"}, consumer.Stream{Name: "orders"})
				stop := a.run("w1")
				time.Sleep(20 * time.Second)
				fresh := a.create(0, "fresh")
				a.puts(0, "fresh", 10)
				a.name(consumer.Stream{Name: "clicks"}, consumer.Stream{Name: arn, Start: again}, consumer.Stream{Name: "fresh"}, consumer.Stream{Name: "orders"})
				time.Sleep(90 * time.Second)
				a.expect("at the end", map[string]int{clicks: 10, orders: 10, fresh: 10})
				stop()
			})
		})
	}
}

// An application whose rows have an epoch of its own, as Java workers may make one
// up, is not read anew under another; with its id it goes on. The rows of a stream
// that was there before keep nobody from reading the one that is.
func TestStreamUnderAnotherIDIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		a.create(0, "clicks")
		id := accountIDs[0] + ":clicks:7"
		a.puts(0, "clicks", 10)
		a.name(consumer.Stream{Name: "clicks", ID: id})
		stop := a.run("w1")
		time.Sleep(20 * time.Second)
		stop()
		c, err := consumer.NewMulti(a.kinesis(0), a.store("w2"), consumer.Streams("clicks"))
		if err != nil {
			t.Fatal(err)
		}
		err = c.Run(t.Context(), consumer.EachRecord(func(context.Context, *consumer.Record) error {
			t.Error("a record was read again")
			return nil
		}))
		if err == nil || !strings.Contains(err.Error(), id) || a.rows()[id] != 2 {
			t.Errorf("Run() = %v with rows %v, want an error that names %s", err, a.rows(), id)
		}
		stop = a.run("w1")
		a.puts(0, "clicks", 10)
		time.Sleep(20 * time.Second)
		stop()
		a.expect("with its id", map[string]int{id: 20})

		if _, err := a.kinesis(0).DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("clicks")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		again := a.create(0, "clicks")
		a.puts(0, "clicks", 10)
		a.name(consumer.Stream{Name: "clicks"})
		stop = a.run("w3")
		time.Sleep(30 * time.Second)
		stop()
		a.expect("created again", map[string]int{id: 20, again: 10})
	})
}

// The same while the fleet runs: the stream that is named under another id is not
// read anew, nothing of the former is removed although its epoch is older, and what
// else is named is read.
func TestStreamNamedUnderAnotherIDInARunningFleetIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		a.create(0, "clicks")
		orders := a.create(0, "orders")
		id := accountIDs[0] + ":clicks:7"
		a.puts(0, "clicks", 10)
		a.name(consumer.Stream{Name: "clicks", ID: id})
		var log lockedBuilder
		stop := a.run("w1", func(o *consumer.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			was := o.Lease
			o.Lease = func(o *lease.Options) {
				was(o)
				o.FormerStreams = time.Minute
			}
		})
		defer func() { stop() }()
		time.Sleep(20 * time.Second)
		a.name(consumer.Stream{Name: "clicks"}, consumer.Stream{Name: "orders"})
		a.puts(0, "orders", 10)
		time.Sleep(5 * time.Minute)
		a.puts(0, "clicks", 10)
		time.Sleep(20 * time.Second)
		a.expect("under another id", map[string]int{id: 20, orders: 10})
		if rows := a.rows(); rows[id] != 2 || len(rows) != 2 {
			t.Errorf("rows %v, want two of %s and those of orders", rows, id)
		}
		if !strings.Contains(log.String(), "give the stream that id") {
			t.Error("nothing was logged of the stream under another id")
		}
		a.name(consumer.Stream{Name: "clicks", ID: id}, consumer.Stream{Name: "orders"})
		time.Sleep(2 * time.Minute)
		a.puts(0, "clicks", 10)
		time.Sleep(20 * time.Second)
		a.expect("with its id again", map[string]int{id: 30, orders: 10})
	})
}

// The fan-out consumers of many streams are removed by the last worker that ends,
// in each account, also if one of the streams is not there any more.
func TestLastWorkerOfManyStreamsDeregisters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		clicks, orders, theirs := a.create(0, "clicks"), a.create(0, "orders"), a.create(1, "clicks")
		a.name(consumer.Stream{Name: "clicks"}, consumer.Stream{Name: "orders"}, consumer.Stream{Name: "clicks", Client: a.kinesis(1)})
		dereg := func(o *consumer.Options) { fanOut(o); o.Deregister = true }
		stop1, stop2 := a.run("w1", dereg), a.run("w2", dereg)
		time.Sleep(time.Minute)
		for account, streams := range [][]string{{"clicks", "orders"}, {"clicks"}} {
			for _, name := range streams {
				a.puts(account, name, 10)
				if n := len(a.srvs[account].Consumers(name)); n != 1 {
					t.Errorf("%s of account %d has %d consumers, want 1", name, account, n)
				}
			}
		}
		time.Sleep(10 * time.Second)
		a.expect("by fan-out", map[string]int{clicks: 10, orders: 10, theirs: 10})
		stop1()
		if n := len(a.srvs[0].Consumers("clicks")); n != 1 {
			t.Errorf("%d consumers of clicks are left by the first worker to end, want 1", n)
		}
		force := &kinesis.DeleteStreamInput{StreamName: aws.String("orders"), EnforceConsumerDeletion: aws.Bool(true)}
		if _, err := a.kinesis(0).DeleteStream(t.Context(), force); err != nil {
			t.Fatal(err)
		}
		stop2()
		for account := range accountIDs {
			if n := len(a.srvs[account].Consumers("clicks")); n != 0 {
				t.Errorf("%d consumers of clicks are left in account %d", n, account)
			}
		}
	})
}

// Of a stream that is gone, and whose leases are, nothing is asked any more; one that
// is there goes on to be read, and one that comes back is.
func TestFanOutConsumerOfAFormerStreamIsNotLookedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		clicks, orders := a.create(0, "clicks"), a.create(0, "orders")
		a.name(consumer.Stream{Name: "clicks"}, consumer.Stream{Name: "orders"})
		stop := a.run("w1", fanOut, func(o *consumer.Options) {
			was := o.Lease
			o.Lease = func(l *lease.Options) { was(l); l.FormerStreams = 2 * time.Minute }
		})
		defer func() { stop() }()
		time.Sleep(time.Minute)
		force := &kinesis.DeleteStreamInput{StreamName: aws.String("orders"), EnforceConsumerDeletion: aws.Bool(true)}
		if _, err := a.kinesis(0).DeleteStream(t.Context(), force); err != nil {
			t.Fatal(err)
		}
		a.name(consumer.Stream{Name: "clicks"})
		time.Sleep(4 * time.Minute)
		var calls atomic.Int64
		for _, op := range []string{"DescribeStreamConsumer", "RegisterStreamConsumer"} {
			a.srvs[0].Inject(kinesistest.Fault{Operation: op, Match: func(*kinesistest.Call) bool { calls.Add(1); return false }})
		}
		a.puts(0, "clicks", 10)
		time.Sleep(5 * time.Minute)
		a.expect("after the stream was deleted", map[string]int{clicks: 10, orders: 0})
		if n := calls.Load(); n != 0 {
			t.Errorf("%d calls in five minutes to find or register a consumer, want none", n)
		}
		again := a.create(0, "orders")
		a.puts(0, "orders", 10)
		a.name(consumer.Stream{Name: "clicks"}, consumer.Stream{Name: "orders"})
		time.Sleep(2 * time.Minute)
		a.expect("created again", map[string]int{clicks: 10, again: 10})
	})
}
