package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease/dynamo"
	"github.com/kinesis-go/kinesis/producer"
)

// The bodies of put and consume are what README.md shows.

type click struct {
	User string
	JSON []byte
}

func put(ctx context.Context, clicks iter.Seq[click]) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	p, err := producer.New(kinesis.NewFromConfig(cfg), "clicks", func(o *producer.Options) {
		o.RecordMaxBufferedTime = 50 * time.Millisecond
	})
	if err != nil {
		return err
	}
	defer p.Close(ctx) // also when we leave early, every record gets its result
	for click := range clicks {
		err := p.PutAsync(ctx, producer.Record{PartitionKey: click.User, Data: click.JSON}, func(r producer.Result) {
			if r.Err != nil {
				slog.Error("click not stored", "user", r.Record.PartitionKey, "outcome", r.Outcome, "error", r.Err)
			}
		})
		if err != nil {
			return err
		}
	}
	return p.Close(ctx) // sends what is buffered and waits for every result
}

func consume(ctx context.Context, cfg aws.Config, count func(ctx context.Context, user string, click []byte) error) error {
	store, err := dynamo.New(dynamodb.NewFromConfig(cfg), "clicks-app") // the application's lease table
	if err != nil {
		return err
	}
	c, err := consumer.New(kinesis.NewFromConfig(cfg), store, "clicks")
	if err != nil {
		return err
	}
	return c.Run(ctx, consumer.EachRecord(func(ctx context.Context, r *consumer.Record) error {
		return count(ctx, r.PartitionKey, r.Data) // an error: the record comes again; nothing is skipped
	}))
}

// The server is found by the SDK's own means, as a container beside it would be.
func TestReadmeWorksAsItStands(t *testing.T) {
	srv := kinesistest.NewServer()
	defer srv.Close()
	url, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.CreateStream("clicks", 2); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1", "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
		"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere,
	} {
		t.Setenv(name, value)
	}

	const clicks = 1000
	if err := put(t.Context(), func(yield func(click) bool) {
		for i := range clicks {
			if !yield(click{User: fmt.Sprint("user-", i%7), JSON: fmt.Append(nil, i)}) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	seen := map[int]bool{}
	err = consume(ctx, cfg, func(_ context.Context, user string, data []byte) error {
		var i int
		if err := json.Unmarshal(data, &i); err != nil || user != fmt.Sprint("user-", i%7) {
			t.Errorf("%s of %s: %v", data, user, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[i] = true; len(seen) == clicks {
			stop()
		}
		return nil
	})
	if err != nil || len(seen) != clicks {
		t.Errorf("%d of %d clicks were read: %v", len(seen), clicks, err)
	}
}
