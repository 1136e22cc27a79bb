package producer_test

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// What never reached the network is certainly not stored; what did and got no
// answer may be. The errors come through the SDK, which wraps both alike.
func TestOutcomeOfARequestWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		cause error
		want  producer.Outcome
	}{
		{"connection refused", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, producer.NotStored},
		{"no such host", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "kinesis"}}, producer.NotStored},
		{"connection reset", &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}, producer.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := kinesistest.NewServer()
				defer srv.Close()
				cfg := srv.Config()
				cfg.HTTPClient = smithyhttp.ClientDoFunc(func(*http.Request) (*http.Response, error) { return nil, tt.cause })
				p, err := producer.New(kinesis.NewFromConfig(cfg), "clicks", func(o *producer.Options) { o.RecordTTL = 5 * time.Second })
				if err != nil {
					t.Fatal(err)
				}
				result, err := p.Put(t.Context(), producer.Record{PartitionKey: "k", Data: []byte("x")})
				if result.Outcome != tt.want || err == nil || len(result.Attempts) == 0 {
					t.Errorf("Put = %v after %d attempts, %v; want %v", result.Outcome, len(result.Attempts), err, tt.want)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
