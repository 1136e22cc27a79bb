package awsclients

import (
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// bare is an environment in which nothing of AWS is configured.
func bare(t *testing.T) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_ENDPOINT_URL": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
	} {
		t.Setenv(name, value)
	}
}

// server answers every request with an empty object and counts them by target.
func server(t *testing.T) (url string, calls map[string]int, auth *string) {
	calls, auth = map[string]int{}, new(string)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls[r.Header.Get("X-Amz-Target")]++
		*auth = r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		io.WriteString(w, "{}")
	}))
	t.Cleanup(srv.Close)
	return srv.URL, calls, auth
}

func TestEndpointWorksWithNothingConfigured(t *testing.T) {
	bare(t)
	url, calls, auth := server(t)
	f := Flags{Endpoint: url}
	k, err := f.Kinesis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.ListStreams(t.Context(), &kinesis.ListStreamsInput{}); err != nil {
		t.Fatal(err)
	}
	d, err := f.DynamoDB(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Fatal(err)
	}
	if calls["Kinesis_20131202.ListStreams"] != 1 || calls["DynamoDB_20120810.ListTables"] != 1 {
		t.Errorf("calls = %v, want one of each service at the one endpoint", calls)
	}
	if !strings.Contains(*auth, "/us-east-1/") {
		t.Errorf("Authorization = %q, want region us-east-1", *auth)
	}
}

func TestDynamoDBMayBeElsewhere(t *testing.T) {
	bare(t)
	kinesisURL, kinesisCalls, _ := server(t)
	url, calls, auth := server(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDMINE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	f := Flags{Region: "eu-central-1", Endpoint: kinesisURL, DynamoDBEndpoint: url}
	d, err := f.DynamoDB(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Fatal(err)
	}
	if len(kinesisCalls) != 0 || calls["DynamoDB_20120810.ListTables"] != 1 {
		t.Errorf("calls = %v and %v, want one at the second server only", kinesisCalls, calls)
	}
	if !strings.Contains(*auth, "AKIDMINE/") || !strings.Contains(*auth, "/eu-central-1/") {
		t.Errorf("Authorization = %q, want the configured key and the flag's region", *auth)
	}
}

func TestAWSNeedsARegion(t *testing.T) {
	bare(t)
	var f Flags
	if _, err := f.Kinesis(t.Context()); err == nil || !strings.Contains(err.Error(), "-region") {
		t.Errorf("Kinesis = %v, want an error that names -region", err)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args, wrong string
	}{
		{"-endpoint http://127.0.0.1:4567", ""},
		{"-endpoint https://example.test -dynamodb-endpoint http://[::1]:8000", ""},
		{"-endpoint 127.0.0.1:4567", "-endpoint"},
		{"-endpoint localhost", "-endpoint"},
		{"-endpoint http://", "-endpoint"},
		{"-endpoint http://ok:1 -dynamodb-endpoint ftp://x", "-dynamodb-endpoint"},
	}
	for _, tt := range tests {
		var f Flags
		fs := flag.NewFlagSet("x", flag.ContinueOnError)
		f.Register(fs, true)
		if err := fs.Parse(strings.Fields(tt.args)); err != nil {
			t.Fatal(err)
		}
		err := f.Validate()
		if (err != nil) != (tt.wrong != "") || err != nil && !strings.HasPrefix(err.Error(), tt.wrong+" ") {
			t.Errorf("%s: Validate = %v, want an error that names %q", tt.args, err, tt.wrong)
		}
	}
}

func TestBodyHidesWriteTo(t *testing.T) {
	t.Parallel()
	var sent *http.Request
	c := plainHTTP{httpFunc(func(r *http.Request) (*http.Response, error) {
		sent = r
		return nil, io.EOF
	})}
	r := httptest.NewRequest(http.MethodPost, "/", struct {
		io.ReadCloser
		io.WriterTo
	}{ReadCloser: io.NopCloser(strings.NewReader("x"))})
	c.Do(r)
	if _, ok := sent.Body.(io.WriterTo); ok {
		t.Error("the transport sees WriteTo")
	}
	r = httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	c.Do(r)
	if sent.Body != http.NoBody {
		t.Error("an empty body does not stay http.NoBody")
	}
}

type httpFunc func(*http.Request) (*http.Response, error)

func (f httpFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

var _ aws.HTTPClient = plainHTTP{}
