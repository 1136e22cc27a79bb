//go:build unix

package consumer_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// What a worker costs that has nothing to read, default settings, the server in
// the same process: an iteration is a second. By fan-out it is the renewals of the
// leases and the looks at the table; polling adds a call a second and shard.
func BenchmarkIdle(b *testing.B) {
	for _, shards := range []int{1, 8} {
		b.Run(fmt.Sprintf("polling/%dshards", shards), func(b *testing.B) { benchmarkIdle(b, shards) })
		b.Run(fmt.Sprintf("fan-out/%dshards", shards), func(b *testing.B) { benchmarkIdle(b, shards, fanOut) })
	}
}

func benchmarkIdle(b *testing.B, shards int, optFns ...func(*consumer.Options)) {
	srv := kinesistest.NewServer()
	defer srv.Close()
	if err := srv.CreateStream(stream, shards); err != nil {
		b.Fatal(err)
	}
	store, err := dynamo.New(dynamodb.NewFromConfig(srv.Config()), app)
	if err != nil {
		b.Fatal(err)
	}
	c, err := consumer.New(kinesis.NewFromConfig(srv.Config()), store, stream, optFns...)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Run(ctx, consumer.EachRecord(func(context.Context, *consumer.Record) error { return nil }))
	}()
	<-time.After(10 * time.Second) // it has begun
	before, seconds := cpuTime(b), 0
	for b.Loop() {
		<-time.After(time.Second)
		seconds++
	}
	used := cpuTime(b) - before
	stop()
	if err := <-done; err != nil {
		b.Error(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(used.Seconds()*1000/float64(seconds), "cpu-ms/s")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
