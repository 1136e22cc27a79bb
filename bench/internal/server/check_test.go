package server

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

// The checker is what says that a contestant lost or misplaced nothing, so it has
// to be able to say the contrary.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	s, err := New(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	client := kinesis.NewFromConfig(s.Config())
	put := func(id int, key, hash string) {
		t.Helper()
		data := make([]byte, 100)
		contest.Fill(data, id, false)
		in := &kinesis.PutRecordInput{StreamName: aws.String(Stream), PartitionKey: &key, Data: data}
		if hash != "" {
			in.ExplicitHashKey = &hash
		}
		if _, err := client.PutRecord(context.Background(), in); err != nil {
			t.Fatal(err)
		}
	}
	put(0, "user-00000000", "")
	put(1, "user-00000001", "")
	put(1, "user-00000001", "")
	put(7, "user-00000001", "")
	put(4, "user-00000001", "") // too late
	put(3, "user-00000000", "")
	put(3, "user-00000000", "")
	for _, hash := range []string{"0", "340282366920938463463374607431768211455"} {
		put(5, "user-00000002", hash) // one of the two is wrong
	}
	put(6, "user-00000001", "") // not its key
	got, err := s.Check(0, 9, 3, false)
	if err != nil {
		t.Fatal(err)
	}
	want := Arrived{Lost: 2, Repeated: 3, WrongKey: 1, Misplaced: 1, Reordered: 1, Entries: 10, Payload: 1000}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
