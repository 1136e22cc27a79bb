// Package awsclients builds the AWS clients of the example programs from the
// three flags they share: -region, -endpoint and -dynamodb-endpoint.
package awsclients

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Flags are the values of the shared flags. The zero value means AWS, with the
// region and the credentials that the environment and ~/.aws name.
type Flags struct {
	Region           string // empty: the configured one, or us-east-1 with an endpoint
	Endpoint         string // of Kinesis; empty: AWS
	DynamoDBEndpoint string // empty: Endpoint, whose server often speaks both
}

// Register adds -region and -endpoint to fs, and -dynamodb-endpoint if the
// program keeps a lease table.
func (f *Flags) Register(fs *flag.FlagSet, leases bool) {
	fs.StringVar(&f.Region, "region", "", "AWS region (default: the configured one)")
	fs.StringVar(&f.Endpoint, "endpoint", "", "`URL` of a Kinesis server to use instead of AWS")
	if leases {
		fs.StringVar(&f.DynamoDBEndpoint, "dynamodb-endpoint", "", "`URL` of a DynamoDB server to use instead of AWS (default: the value of -endpoint)")
	}
}

// Validate reports every bad value, each with the name of its flag.
func (f *Flags) Validate() error {
	return errors.Join(checkURL("-endpoint", f.Endpoint), checkURL("-dynamodb-endpoint", f.DynamoDBEndpoint))
}

func checkURL(name, value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%s %q is no address of the form http://host:port", name, value)
	}
	return nil
}

// Kinesis returns a client of the stream's server. It reads the AWS
// configuration, but makes no request to Kinesis.
func (f *Flags) Kinesis(ctx context.Context) (*kinesis.Client, error) {
	cfg, err := load(ctx, f.Region, f.Endpoint)
	if err != nil {
		return nil, err
	}
	return kinesis.NewFromConfig(cfg), nil
}

// DynamoDB returns a client of the lease table's server. It reads the AWS
// configuration, but makes no request to DynamoDB.
func (f *Flags) DynamoDB(ctx context.Context) (*dynamodb.Client, error) {
	endpoint := f.DynamoDBEndpoint
	if endpoint == "" {
		endpoint = f.Endpoint
	}
	cfg, err := load(ctx, f.Region, endpoint)
	if err != nil {
		return nil, err
	}
	return dynamodb.NewFromConfig(cfg), nil
}

// load reads the shared AWS configuration. A server of one's own seldom checks
// credentials, but the SDK refuses to sign without any: with an endpoint, made-up
// ones stand in where none are configured.
func load(ctx context.Context, region, endpoint string) (aws.Config, error) {
	var opts []func(*config.LoadOptions) error
	if region != "" {
		opts = append(opts, config.WithRegion(region))
	}
	if endpoint != "" {
		// Nobody waits for the metadata service of a machine that is not in AWS.
		opts = append(opts, config.WithDefaultRegion("us-east-1"), config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("awsclients: read the AWS configuration: %w", err)
	}
	if endpoint == "" {
		if cfg.Region == "" {
			return aws.Config{}, errors.New("awsclients: no region is configured: set -region or AWS_REGION")
		}
		return cfg, nil
	}
	cfg.BaseEndpoint = aws.String(endpoint)
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		cfg.Credentials = credentials.NewStaticCredentialsProvider("local", "local", "")
	}
	if strings.HasPrefix(endpoint, "http:") {
		cfg.HTTPClient = newPlainHTTP()
	}
	return cfg, nil
}

// plainHTTP sends requests over unencrypted HTTP/1.1 with a body of which only
// Read and Close can be seen. The SDK's body also has WriteTo, which fails once
// the response has begun; net/http then closes the connection under the response
// ("use of closed network connection", aws-sdk-go-v2#1825).
type plainHTTP struct{ client aws.HTTPClient }

// newPlainHTTP keeps a connection open for every request that a program has in
// flight: HTTP/1.1 carries one at a time, and the SDK keeps only ten.
func newPlainHTTP() plainHTTP {
	return plainHTTP{awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = t.MaxIdleConns
	})}
}

// Do sends r.
func (c plainHTTP) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = readCloser{r.Body}
	}
	return c.client.Do(r)
}

// readCloser hides every method of a body but Read and Close.
type readCloser struct{ io.ReadCloser }
