package contract

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var wireChecks = []Check{
	{ID: "K.wire.errors", Source: guide("kinesis-api-errors"),
		Says: "an error is status 400 with __type and message in JSON, and has a request id",
		Run:  wireErrors},
	{ID: "K.wire.unknown", Source: "https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html",
		Says: "an unknown operation, an unknown target and a body that is no JSON are refused, members that are unknown are not",
		Run:  wireUnknown},
	{ID: "K.wire.base64", Source: "https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html",
		Says: "data is base64, times are seconds with a fraction, absent members are absent",
		Run:  wireBase64},
	{ID: "K.wire.empty", Source: api("GetRecords"),
		Says: "a list that is required and empty is there, and nothing is null",
		Run:  wireEmpty},
	{ID: "D.wire.empty", Source: ddb("ListTables"),
		Says: "a list that is empty is there where AWS has one, and nothing is null",
		Run:  dynamoWireEmpty},
	{ID: "K.cbor.put_get", Source: "https://github.com/aws/aws-sdk-java-v2/issues/4661",
		Says: "in CBOR data is a byte string both ways and a time is tag 1 with milliseconds",
		Run:  cborPutGet},
	{ID: "K.cbor.error", Source: "https://github.com/localstack/localstack/issues/11071",
		Says: "a request in CBOR gets its error in CBOR, with __type and message",
		Run:  cborError},
}

// A reply is an HTTP response.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// A way is how a client reaches its service.
type way struct {
	service     string // as it is signed for
	endpoint    *string
	region      string
	http        aws.HTTPClient
	credentials aws.CredentialsProvider
}

// send posts a body to Kinesis as it stands.
func (e *Env) send(ctx context.Context, target, contentType string, body []byte) (*reply, error) {
	o := e.Kinesis.Options()
	return way{"kinesis", o.BaseEndpoint, o.Region, o.HTTPClient, o.Credentials}.send(ctx, target, contentType, body)
}

// sendDynamoDB is send for the other service.
func (e *Env) sendDynamoDB(ctx context.Context, op, body string) (*reply, error) {
	o := e.DynamoDB.Options()
	return way{"dynamodb", o.BaseEndpoint, o.Region, o.HTTPClient, o.Credentials}.send(ctx, "DynamoDB_20120810."+op, "application/x-amz-json-1.0", []byte(body))
}

// send posts a body, signed as the SDK signs.
func (w way) send(ctx context.Context, target, contentType string, body []byte) (*reply, error) {
	if w.endpoint == nil {
		return nil, errors.New("the check needs a client with a BaseEndpoint")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, *w.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", contentType)
	credentials, err := w.credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), w.service, w.region, time.Now()); err != nil {
		return nil, err
	}
	resp, err := w.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return &reply{resp.StatusCode, resp.Header, answer}, err
}

const (
	prefix   = "Kinesis_20131202."
	typeJSON = "application/x-amz-json-1.1"
	typeCBOR = "application/x-amz-cbor-1.1"
)

func wireErrors(ctx context.Context, e *Env) error {
	got, err := e.send(ctx, prefix+"DescribeStreamSummary", typeJSON, fmt.Appendf(nil, `{"StreamName":%q}`, e.name()))
	if err != nil {
		return err
	}
	var out map[string]any
	if err := json.Unmarshal(got.body, &out); err != nil {
		return fmt.Errorf("body %.200q: %w", got.body, err)
	}
	message, _ := out["message"].(string)
	kind, _ := out["__type"].(string)
	id := got.header.Get("X-Amzn-Requestid")
	if got.status != 400 || !strings.HasSuffix(kind, notFound) || message == "" || len(id) < 30 {
		return fmt.Errorf("status %d, __type %q, message %q, request id %q", got.status, kind, message, id)
	}
	return nil
}

func wireUnknown(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	for _, tt := range []struct{ target, body string }{
		{prefix + "FlyToTheMoon", "{}"},
		{"Cinema_20131202.ListStreams", "{}"},
		{"", "{}"},
		{prefix + "ListStreams", "not JSON"},
		{prefix + "ListStreams", "[1]"},
		{prefix + "DescribeStream", `{"StreamName":7}`},
		{prefix + "PutRecord", fmt.Sprintf(`{"StreamName":%q,"PartitionKey":"k","Data":"no base64!"}`, name)},
	} {
		got, err := e.send(ctx, tt.target, typeJSON, []byte(tt.body))
		if err != nil {
			return fmt.Errorf("%s of %s: %w", tt.target, tt.body, err)
		}
		if got.status < 400 || got.status >= 500 {
			return fmt.Errorf("%s of %s: status %d, want a refusal: %.200s", tt.target, tt.body, got.status, got.body)
		}
	}
	got, err := e.send(ctx, prefix+"PutRecord", typeJSON, fmt.Appendf(nil, `{"StreamName":%q,"PartitionKey":"k","Data":"eA==","Colour":{"Of":["the",1]}}`, name))
	if err != nil || got.status != 200 {
		return fmt.Errorf("with a member that is unknown: %+v, %v", got, err)
	}
	return nil
}

func wireBase64(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	got, err := e.send(ctx, prefix+"PutRecord", typeJSON, fmt.Appendf(nil, `{"StreamName":%q,"PartitionKey":"k","Data":"AP8BeA=="}`, name))
	if err != nil || got.status != 200 {
		return fmt.Errorf("PutRecord = %+v, %v", got, err)
	}
	it, err := e.oldest(ctx, name)
	if err != nil {
		return err
	}
	if got, err = e.send(ctx, prefix+"GetRecords", typeJSON, fmt.Appendf(nil, `{"ShardIterator":%q}`, *it)); err != nil || got.status != 200 {
		return fmt.Errorf("GetRecords = %+v, %v", got, err)
	}
	var page struct{ Records []map[string]any }
	if err := json.Unmarshal(got.body, &page); err != nil || len(page.Records) != 1 {
		return fmt.Errorf("page %s, %v", got.body, err)
	}
	r := page.Records[0]
	seconds, _ := r["ApproximateArrivalTimestamp"].(float64)
	if r["Data"] != "AP8BeA==" || time.Since(time.UnixMilli(int64(seconds*1000))).Abs() > time.Minute {
		return fmt.Errorf("record %v", r)
	}
	if _, there := r["EncryptionType"]; there && r["EncryptionType"] != "NONE" {
		return fmt.Errorf("record %v of a stream in the clear", r)
	}
	if ct := got.header.Get("Content-Type"); ct != typeJSON {
		return fmt.Errorf("Content-Type %q, want %q", ct, typeJSON)
	}
	return nil
}

// has fails unless a reply is an object with a member, and without nulls.
func (r *reply) has(what, member string) error {
	var out map[string]any
	if err := json.Unmarshal(r.body, &out); err != nil || r.status != 200 {
		return fmt.Errorf("%s: status %d, body %.300q, %v", what, r.status, r.body, err)
	}
	if _, ok := out[member]; !ok || bytes.Contains(r.body, []byte(":null")) {
		return fmt.Errorf("%s: %.300s, want %s, and no null", what, r.body, member)
	}
	return nil
}

func wireEmpty(ctx context.Context, e *Env) error {
	name, arn, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	it, err := e.tip(ctx, name)
	if err != nil {
		return err
	}
	for _, tt := range []struct{ op, body, member string }{
		{"GetRecords", fmt.Sprintf(`{"ShardIterator":%q}`, *it), "Records"},
		{"ListTagsForStream", fmt.Sprintf(`{"StreamName":%q}`, name), "Tags"},
		{"ListStreamConsumers", fmt.Sprintf(`{"StreamARN":%q}`, *arn), "Consumers"},
		{"ListShards", fmt.Sprintf(`{"StreamName":%q,"ExclusiveStartShardId":"shardId-000000000000"}`, name), "Shards"},
		{"DescribeStreamSummary", fmt.Sprintf(`{"StreamName":%q}`, name), "StreamDescriptionSummary"},
		{"DescribeStream", fmt.Sprintf(`{"StreamName":%q}`, name), "StreamDescription"},
	} {
		got, err := e.send(ctx, prefix+tt.op, typeJSON, []byte(tt.body))
		if err != nil {
			return err
		}
		if err := got.has(tt.op, tt.member); err != nil {
			return err
		}
	}
	return nil
}

func dynamoWireEmpty(ctx context.Context, e *Env) error {
	got, err := e.sendDynamoDB(ctx, "ListTables", `{"ExclusiveStartTableName":"zzzzzzzzzz"}`)
	if err != nil {
		return err
	}
	if err := got.has("ListTables before there is one", "TableNames"); err != nil {
		return err
	}
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	for _, tt := range []struct{ op, body, member string }{
		{"Scan", fmt.Sprintf(`{"TableName":%q}`, table), "Items"},
		{"Query", fmt.Sprintf(`{"TableName":%q,"KeyConditionExpression":"leaseKey = :k","ExpressionAttributeValues":{":k":{"S":"a"}}}`, table), "Items"},
		{"BatchGetItem", fmt.Sprintf(`{"RequestItems":{%q:{"Keys":[{"leaseKey":{"S":"a"}}]}}}`, table), "UnprocessedKeys"},
		{"BatchWriteItem", fmt.Sprintf(`{"RequestItems":{%q:[{"PutRequest":{"Item":{"leaseKey":{"S":"a"}}}}]}}`, table), "UnprocessedItems"},
		{"DescribeTable", fmt.Sprintf(`{"TableName":%q}`, table), "Table"},
	} {
		got, err := e.sendDynamoDB(ctx, tt.op, tt.body)
		if err != nil {
			return err
		}
		if err := got.has(tt.op, tt.member); err != nil {
			return err
		}
	}
	return nil
}

// cborMap writes a map of indefinite length, as the SDK for Java does, from
// names and values: a string is a text, a []byte a byte string.
func cborMap(pairs ...any) []byte {
	out := []byte{0xbf}
	for _, v := range pairs {
		switch v := v.(type) {
		case string:
			out = append(cborHead(out, 3, len(v)), v...)
		case []byte:
			out = append(cborHead(out, 2, len(v)), v...)
		}
	}
	return append(out, 0xff)
}

func cborHead(dst []byte, major byte, n int) []byte {
	switch {
	case n < 24:
		return append(dst, major<<5|byte(n))
	case n < 256:
		return append(dst, major<<5|24, byte(n))
	}
	return append(dst, major<<5|25, byte(n>>8), byte(n))
}

// cborText is a text as it stands in CBOR.
func cborText(s string) []byte { return append(cborHead(nil, 3, len(s)), s...) }

func cborPutGet(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	data := []byte("\x00\xffdata")
	got, err := e.send(ctx, prefix+"PutRecord", typeCBOR, cborMap("StreamName", name, "PartitionKey", "k", "Data", data))
	if err != nil || got.status != 200 || !bytes.Contains(got.body, cborText("SequenceNumber")) {
		return fmt.Errorf("PutRecord = %+v, %v", got, err)
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil || len(records) != 1 || !bytes.Equal(records[0].Data, data) {
		return fmt.Errorf("records %+v, %v, want data %q", records, err, data)
	}
	it, err := e.oldest(ctx, name)
	if err != nil {
		return err
	}
	if got, err = e.send(ctx, prefix+"GetRecords", typeCBOR, cborMap("ShardIterator", *it)); err != nil || got.status != 200 {
		return fmt.Errorf("GetRecords = %+v, %v", got, err)
	}
	if ct := got.header.Get("Content-Type"); ct != typeCBOR {
		return fmt.Errorf("Content-Type %q, want %q", ct, typeCBOR)
	}
	if want := append(cborText("Data"), append(cborHead(nil, 2, len(data)), data...)...); !bytes.Contains(got.body, want) {
		return fmt.Errorf("the page %x has no byte string %q for Data", got.body, data)
	}
	// Tag 1, and eight bytes of an integer.
	_, at, found := bytes.Cut(got.body, append(cborText("ApproximateArrivalTimestamp"), 0xc1, 0x1b))
	if !found || len(at) < 8 {
		return fmt.Errorf("the page %x has no time of tag 1 in an integer", got.body)
	}
	var ms int64
	for _, b := range at[:8] {
		ms = ms<<8 | int64(b)
	}
	if time.Since(time.UnixMilli(ms)).Abs() > time.Minute {
		return fmt.Errorf("arrived at %d, which are not milliseconds of now", ms)
	}
	return nil
}

func cborError(ctx context.Context, e *Env) error {
	got, err := e.send(ctx, prefix+"DescribeStreamSummary", typeCBOR, cborMap("StreamName", e.name()))
	if err != nil {
		return err
	}
	if got.status != 400 || got.header.Get("Content-Type") != typeCBOR || !bytes.Contains(got.body, append(cborText("__type"), cborText(notFound)...)) ||
		!bytes.Contains(got.body, []byte("message")) {
		return fmt.Errorf("status %d, Content-Type %q, body %q", got.status, got.header.Get("Content-Type"), got.body)
	}
	return nil
}
