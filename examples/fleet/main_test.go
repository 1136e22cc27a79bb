package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

func TestPrintsTheFleet(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	store, err := dynamo.New(dynamodb.NewFromConfig(srv.Config()), "clicks-app")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"shardId-000000000000", "shardId-000000000001"} {
		row := lease.Row{Key: id, Shard: id, Checkpoint: checkpoint.TrimHorizon}
		if row, err = store.Write(t.Context(), lease.Write{Op: lease.Create, Row: row}); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(id, "1") {
			if _, err := store.Write(t.Context(), lease.Write{Op: lease.Assign, Seen: row, Owner: "w1"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	viewer, err := lease.NewViewer(store)
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := viewer.Fleet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := show(&out, &fleet); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"shardId-000000000000  free", "shardId-000000000001  held   w1", "no worker shows life"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed\n%s\nwant %q in it", out.String(), want)
		}
	}
}

func TestTableThatIsNotThereIsNotMade(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), []string{"-app", "x"}, &bytes.Buffer{}); err == nil {
		t.Error("an application of one letter gave no error")
	}
}
