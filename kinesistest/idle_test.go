package kinesistest_test

import (
	"math/big"
	"runtime"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// Ten thousand shards that each have a record fit in 100 MB. The test measures
// the heap, so it runs while no other does.
func TestTenThousandIdleShardsAreSmall(t *testing.T) {
	const shards, most = 10_000, 100 << 20
	before := heap()
	srv := kinesistest.NewServer(kinesistest.Unthrottled)
	defer srv.Close()
	mustCreate(t, srv, "s", shards)
	client := newClient(srv)
	step := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(shards))
	middle := new(big.Int).Rsh(step, 1)
	for range shards / 500 {
		in := &kinesis.PutRecordsInput{StreamName: aws.String("s")}
		for range 500 {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("key"), ExplicitHashKey: aws.String(middle.String()), Data: []byte("data")})
			middle.Add(middle, step)
		}
		if out, err := client.PutRecords(t.Context(), in); err != nil || *out.FailedRecordCount > 0 {
			t.Fatal(out, err)
		}
	}
	if used := heap() - before; used > most {
		t.Errorf("%d shards take %d bytes, want at most %d", shards, used, most)
	} else {
		t.Logf("%d bytes a shard", used/shards)
	}
	for _, sh := range srv.Shards("s") {
		if sh.Records != 1 {
			t.Fatalf("%s has %d records, want 1", sh.ID, sh.Records)
		}
	}
}

// heap returns the bytes that are in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what a finalizer or a pool held on to
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
