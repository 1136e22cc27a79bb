// Package interop runs what the library assumes of Kinesis and DynamoDB against
// servers that others have written.
package interop

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/interop/endpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/kinesistest/contract"
)

var (
	kinesisURL  = flag.String("kinesis", "", "`URL` of the Kinesis server to check (default: kinesistest on a socket of its own)")
	dynamodbURL = flag.String("dynamodb", "", "`URL` of the DynamoDB server to check")
	table       = flag.String("table", "", "JSON `file` with the server's name and how it deviates: testdata/*.json")
	slow        = flag.Bool("slow", false, "also the checks that wait for minutes")
	learn       = flag.Bool("learn", false, "write the -table anew from what the server does, keeping all but Deviates")
)

// A deviations file says how a server differs from the services, check by check.
type deviations struct {
	Name     string            // with the version, on which all else depends
	Deviates map[string]string // check to what happens instead: it runs, and must fail
	Never    map[string]string // check to why it must not be sent
	AtOnce   int               `json:",omitempty"` // checks at a time, if it loses changes made at the same time
}

// TestContract checks the servers that the flags name. Without any it checks
// kinesistest as another language sees it, over plain HTTP/1.1.
func TestContract(t *testing.T) {
	t.Parallel()
	d := deviations{Name: "the server"}
	if *table != "" {
		text, err := os.ReadFile(*table)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", *table, err)
		}
	}
	clients := func(*testing.T) (*kinesis.Client, *dynamodb.Client) { return clientsOf(*kinesisURL, *dynamodbURL) }
	if *kinesisURL == "" && *dynamodbURL == "" {
		d.Name, clients = "kinesistest on a socket", embedded
	}
	target := contract.Target{Name: d.Name, Deviates: d.Deviates, Never: d.Never, AtOnce: d.AtOnce, Slow: *slow, Clients: clients}
	if *learn {
		target.Deviates = nil
		target.Answers = func(answers []contract.Answer) { write(t, d, answers) }
	}
	contract.Run(t, target)
}

// write keeps what a server does differently as its table.
func write(t *testing.T, d deviations, answers []contract.Answer) {
	d.Deviates = map[string]string{}
	for _, a := range answers {
		if a.Verdict == contract.Fails {
			what := strings.Join(strings.Fields(strings.TrimPrefix(a.Text, d.Name+": ")), " ")
			d.Deviates[a.Check.ID] = what[:min(len(what), 140)]
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*table, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// embedded returns clients of a server for one check, on which streams and tables
// take time to change, as on AWS.
func embedded(t *testing.T) (*kinesis.Client, *dynamodb.Client) {
	srv := kinesistest.NewServer(func(o *kinesistest.Options) {
		const window = 2 * time.Second
		o.StreamCreating, o.StreamUpdating, o.StreamDeleting = window, window, window
		o.ConsumerCreating, o.ConsumerDeleting = window, window
		o.TableCreating, o.TableDeleting, o.IndexCreating = window, window, window
	})
	t.Cleanup(srv.Close)
	url, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return clientsOf(url, url)
}

func clientsOf(kinesisURL, dynamodbURL string) (k *kinesis.Client, db *dynamodb.Client) {
	if kinesisURL != "" {
		k = kinesis.NewFromConfig(config(kinesisURL))
	}
	if dynamodbURL != "" {
		db = dynamodb.NewFromConfig(config(dynamodbURL))
	}
	return k, db
}

// config is that of a client which tries nothing again.
func config(url string) aws.Config {
	c := endpoint.Config(url)
	c.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return c
}
