package kinesistest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/internal/contract"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// withWindows makes the states of streams and tables last, as on AWS; over HTTP
// long enough for a busy machine to see them.
func withWindows(o *kinesistest.Options) {
	o.StreamCreating, o.StreamUpdating, o.StreamDeleting = time.Second, 500*time.Millisecond, 500*time.Millisecond
	o.TableCreating, o.TableDeleting, o.IndexCreating = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
}

func clients(cfg aws.Config) (*kinesis.Client, *dynamodb.Client) {
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return kinesis.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)
}

func TestContractInMemory(t *testing.T) {
	t.Parallel()
	contract.Run(t, contract.Target{
		Name:   "kinesistest in memory",
		Bubble: true,
		Clients: func(t *testing.T) (*kinesis.Client, *dynamodb.Client) {
			srv := kinesistest.NewServer(withWindows)
			t.Cleanup(srv.Close)
			return clients(srv.Config())
		},
	})
}

func TestContractOverHTTP(t *testing.T) {
	t.Parallel()
	contract.Run(t, contract.Target{
		Name: "kinesistest over HTTP/2",
		Clients: func(t *testing.T) (*kinesis.Client, *dynamodb.Client) {
			srv := kinesistest.NewServer(withWindows)
			t.Cleanup(srv.Close)
			url, err := srv.Listen("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetUnencryptedHTTP2(true)
			cfg := srv.Config()
			cfg.BaseEndpoint, cfg.HTTPClient = &url, &http.Client{Transport: transport}
			return clients(cfg)
		},
	})
}
