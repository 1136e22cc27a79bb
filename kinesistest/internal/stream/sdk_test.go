package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
)

// A caller's httpClient serves the SDK's requests from its Service.
type httpClient struct{ *Service }

func (c httpClient) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	out, e := c.Call(op, body, nil)
	status := http.StatusOK
	if e != nil {
		status = max(e.Status, 400)
		out, err = json.Marshal(map[string]string{"__type": e.Code, "message": e.Message})
		if err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body:       io.NopCloser(bytes.NewReader(out)),
		Request:    r,
	}, nil
}

// client returns a client of the SDK, unmodified but for its retries.
func (c caller) client() *kinesis.Client {
	return kinesis.NewFromConfig(aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://kinesis.invalid"),
		HTTPClient:   httpClient{c.Service},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "S"}, nil
		}),
	})
}

// fails fails the test unless err is the service's with a code.
func fails(t *testing.T, what string, err error, code string) {
	t.Helper()
	var e smithy.APIError
	switch {
	case code == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case code == "":
	case err == nil:
		t.Errorf("%s is accepted, want %s", what, code)
	case !errors.As(err, &e) || e.ErrorCode() != code:
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

const (
	badArgument = "InvalidArgumentException"
	badRequest  = "ValidationException"
	missing     = "ResourceNotFoundException"
	busy        = "ResourceInUseException"
	arnOfS      = "arn:aws:kinesis:us-east-1:123456789012:stream/s"
)
