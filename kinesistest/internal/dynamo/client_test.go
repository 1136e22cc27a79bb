package dynamo_test

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
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

// A transport is an HTTP client that calls a Service on the caller's
// goroutine.
type transport struct{ service *dynamo.Service }

func (t transport) Do(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_, op, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	status := http.StatusOK
	out, failure := t.service.Call(req.Context(), op, body)
	if failure != nil {
		status, out = failure.Status, failureBody(failure)
	}
	return &http.Response{
		StatusCode: status, Request: req, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:   io.NopCloser(bytes.NewReader(out)), ContentLength: int64(len(out)),
	}, nil
}

func failureBody(e *api.Error) []byte {
	fields := map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + e.Code, "message": e.Message}
	for name, v := range e.Fields {
		fields[name] = v
	}
	out, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return out
}

var identity = api.Identity{Partition: "aws", Region: "us-east-1", AccountID: "123456789012"}

// newClient returns the real client of the SDK on a new service.
func newClient(t *testing.T, optFns ...func(*dynamo.Options)) (*dynamodb.Client, *dynamo.Service) {
	t.Helper()
	o := dynamo.Options{Identity: identity}
	for _, fn := range optFns {
		fn(&o)
	}
	s := dynamo.New(o)
	return dynamodb.New(dynamodb.Options{
		Region: "us-east-1", HTTPClient: transport{s}, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	}), s
}

// leaseTable makes a table as the KCL does, with its index.
func leaseTable(t *testing.T, c *dynamodb.Client, name string) {
	t.Helper()
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions:   []types.AttributeDefinition{attrS("leaseKey"), attrS("leaseOwner")},
		KeySchema:              []types.KeySchemaElement{hash("leaseKey")},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{ownerIndex()},
	})
	if err != nil {
		t.Fatal(err)
	}
}

const ownerIndexName = "LeaseOwnerToLeaseKeyIndex"

func ownerIndex() types.GlobalSecondaryIndex {
	return types.GlobalSecondaryIndex{
		IndexName: aws.String(ownerIndexName), KeySchema: []types.KeySchemaElement{hash("leaseOwner"), rng("leaseKey")},
		Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
	}
}

func attrS(name string) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
}

func attrN(name string) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeN}
}

func hash(name string) types.KeySchemaElement {
	return types.KeySchemaElement{AttributeName: &name, KeyType: types.KeyTypeHash}
}

func rng(name string) types.KeySchemaElement {
	return types.KeySchemaElement{AttributeName: &name, KeyType: types.KeyTypeRange}
}

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func num(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

// code returns the error code that AWS's client saw, "" for none.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return "not an API error: " + err.Error()
	}
	return ""
}

// message returns the error text that AWS's client saw.
func message(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorMessage()
	}
	return ""
}
