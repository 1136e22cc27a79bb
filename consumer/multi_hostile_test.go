package consumer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/consumer"
)

// A stream with an id and a client of its own is read by a worker that learns of
// it by its lease.
func TestWorkerLearnsOfAStreamWithAnIDByItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t)
		first := a.create(0, "s1")
		a.name(consumer.Stream{Name: "s1"})
		one := a.run("w1")
		time.Sleep(20 * time.Second)
		two := a.run("w2")
		time.Sleep(time.Minute)
		a.create(1, "s2")
		a.puts(0, "s1", 10)
		a.puts(1, "s2", 10)
		second := accountIDs[1] + ":s2:1700000000"
		a.name(consumer.Stream{Name: "s1"}, consumer.Stream{Name: "s2", Client: a.kinesis(1), ID: second})
		time.Sleep(70 * time.Second)
		a.expect("a minute later", map[string]int{first: 10, second: 10})
		one()
		two()
	})
}

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
