package contract_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest/contract"
)

var (
	endpoint       = flag.String("endpoint", "", "`URL` of a server to check instead of kinesistest")
	dynamoEndpoint = flag.String("dynamodb-endpoint", "", "`URL` of its DynamoDB, if that is elsewhere; none if it has none")
	region         = flag.String("region", "us-east-1", "`region` to sign for")
	caFile         = flag.String("ca", "", "PEM `file` with the certificate of an https endpoint")
	tableFile      = flag.String("table", "", "JSON `file` with the server's name and how it deviates")
	answersFile    = flag.String("answers", "", "`file` to write the table of answers to; it is logged as well, see -v")
	slow           = flag.Bool("slow", false, "also the checks that wait for minutes, up to days")
)

// asked reports whether the flags name a server.
func asked() bool { return *endpoint != "" || *dynamoEndpoint != "" }

// TestContractAtEndpoint checks the server that -endpoint names, in real time:
//
//	go test ./kinesistest/contract -v -endpoint http://127.0.0.1:4567
//
// Credentials are those of the environment, made-up ones if there are none.
// Without the flag there is nothing to ask.
func TestContractAtEndpoint(t *testing.T) {
	t.Parallel()
	if !asked() {
		return
	}
	target := contract.Target{Name: cmp.Or(*endpoint, *dynamoEndpoint), Slow: *slow, Answers: func(a []contract.Answer) { logAnswers(t, a) }}
	if *tableFile != "" {
		text, err := os.ReadFile(*tableFile)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &struct {
			Name            *string
			Deviates, Never *map[string]string
		}{&target.Name, &target.Deviates, &target.Never}); err != nil {
			t.Fatalf("%s: %v", *tableFile, err)
		}
	}
	client := httpClient(t)
	target.Clients = func(*testing.T) (k *kinesis.Client, db *dynamodb.Client) {
		if *endpoint != "" {
			k, _ = clients(endpointConfig(*endpoint, client))
		}
		if url := cmp.Or(*dynamoEndpoint, *endpoint); url != "none" {
			_, db = clients(endpointConfig(url, client))
		}
		return k, db
	}
	contract.Run(t, target)
}

func logAnswers(t *testing.T, answers []contract.Answer) {
	var b bytes.Buffer
	contract.WriteAnswers(&b, answers)
	t.Logf("answers of %s:\n%s", cmp.Or(*endpoint, *dynamoEndpoint), b.Bytes())
	if *answersFile == "" {
		return
	}
	if err := os.WriteFile(*answersFile, b.Bytes(), 0o644); err != nil {
		t.Error(err)
	}
}

// httpClient is shared by all checks, so that connections are.
func httpClient(t *testing.T) aws.HTTPClient {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.MaxIdleConnsPerHost = 64 })
	if *caFile != "" {
		pem, err := os.ReadFile(*caFile)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			t.Fatalf("%s has no certificate", *caFile)
		}
		client = client.WithTransportOptions(func(tr *http.Transport) {
			tr.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		})
	}
	return withoutWriterTo{client}
}

// withoutWriterTo does to a request what readOnly does.
type withoutWriterTo struct{ aws.HTTPClient }

func (c withoutWriterTo) Do(r *http.Request) (*http.Response, error) {
	return readOnly{roundTripper(c.HTTPClient.Do)}.RoundTrip(r)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func endpointConfig(url string, client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region:       *region,
		BaseEndpoint: aws.String(url),
		HTTPClient:   client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
			if id == "" || secret == "" {
				return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
			}
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN")}, nil
		}),
	}
}

func ExampleWriteAnswers() {
	var b bytes.Buffer
	contract.WriteAnswers(&b, []contract.Answer{
		{Check: contract.Check{ID: "K.limit.0records", Says: "PutRecords takes 1 to 500 records"}, Verdict: contract.Holds},
		{Check: contract.Check{ID: "K.split.lineage", Says: "a split closes its shard and opens two"}, Verdict: contract.Deviates, Text: "2 shards, want 3"},
	})
	fmt.Print(b.String())
	// Output:
	// holds     K.limit.0records  PutRecords takes 1 to 500 records
	// deviates  K.split.lineage   a split closes its shard and opens two: 2 shards, want 3
	//
	// 2 checks: 1 holds, 1 deviates
}
