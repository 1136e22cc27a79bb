// Package endpoint configures clients of the AWS SDK for a server on this machine.
package endpoint

import (
	"context"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Config returns the configuration of clients of the server at url. It asks for no
// particular credentials.
func Config(url string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: &url,
		HTTPClient:   client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}
}

// client is shared, so that connections are.
var client = withoutWriterTo{awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
	t.MaxIdleConnsPerHost = t.MaxIdleConns
})}

// withoutWriterTo hides WriteTo of a request's body, which over plain HTTP/1.1
// breaks responses that come before all of the body is sent (aws-sdk-go-v2#1825).
type withoutWriterTo struct{ aws.HTTPClient }

func (c withoutWriterTo) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.HTTPClient.Do(r)
}
