package interop

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
)

// A capture is what a KPL made of records. The files are written by
//
//	go test -tags java ./sidebyside -full -run 'TestScenarios/KPL.*case' -update
type capture struct {
	KPL       string
	Aggregate bool
	In        []struct {
		Key, HashKey string
		Data         []byte
	}
	Kinesis []struct {
		Key  string
		Data []byte
	}
}

// TestGoldenKPL hands our reader what real KPLs have sent and expects exactly what
// they were given.
func TestGoldenKPL(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/kpl-*/*.json*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			c := load(t, file)
			synctest.Test(t, func(t *testing.T) { c.check(t) })
		})
	}
}

// load reads a golden file; the large ones are compressed.
func load(t *testing.T, name string) (c capture) {
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var text io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if text, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.NewDecoder(text).Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *capture) check(t *testing.T) {
	srv := kinesistest.NewServer(kinesistest.Unthrottled)
	defer srv.Close()
	client := kinesis.NewFromConfig(srv.Config())
	if err := srv.CreateStream("s", 1); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Kinesis {
		if _, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: &r.Key, Data: r.Data}); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for _, r := range c.In {
		if !c.Aggregate {
			r.HashKey = "" // Kinesis does not hand it out
		}
		want = append(want, fmt.Sprintf("%q %s %x", r.Key, r.HashKey, r.Data))
	}
	got := read(t, client, len(want))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d records, want %d", len(got), len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("record %d is %s, want %s", i, got[i], want[i])
			}
		}
	}
}

var errEnough = errors.New("enough")

// read returns n records of the stream.
func read(t *testing.T, client consumer.KinesisAPI, n int) (got []string) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	c, err := consumer.New(client, lease.NewMemoryStore(), "s", func(o *consumer.Options) {
		o.Events.Malformed = func(i consumer.MalformedInfo) { t.Logf("taken for a record as it is: %v", i.Err) }
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(ctx, consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
		if got = append(got, fmt.Sprintf("%q %s %x", r.PartitionKey, r.ExplicitHashKey, r.Data)); len(got) == n {
			cancel(errEnough)
		}
		return nil
	}))
	if err != nil {
		t.Error(err)
	}
	return got
}
