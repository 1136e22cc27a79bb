package dynamo_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

// call sends a body as it is.
func call(t *testing.T, s *dynamo.Service, op, body string) (string, *api.Error) {
	t.Helper()
	out, failure := s.Call(t.Context(), op, []byte(body))
	return string(out), failure
}

// mustCall sends a body that must succeed.
func mustCall(t *testing.T, s *dynamo.Service, op, body string) string {
	t.Helper()
	out, failure := call(t, s, op, body)
	if failure != nil {
		t.Fatalf("%s %s: %v", op, body, failure)
	}
	return out
}

// newTables returns a service with table "leases" (hash leaseKey, index on
// leaseOwner) and table "events" (hash id S, range at N).
func newTables(t *testing.T, optFns ...func(*dynamo.Options)) *dynamo.Service {
	t.Helper()
	c, s := newClient(t, optFns...)
	leaseTable(t, c, "leases")
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("events"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attrS("id"), attrN("at")},
		KeySchema:            []types.KeySchemaElement{hash("id"), rng("at")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sameJSON(t *testing.T, got, want string) string {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	return cmp.Diff(w, g)
}

// TestReturnValues holds every form of an answer to a write.
func TestReturnValues(t *testing.T) {
	t.Parallel()
	const row = `{"leaseKey":{"S":"k"},"a":{"N":"1"},"m":{"M":{"x":{"N":"1"},"y":{"N":"2"}}},"l":{"L":[{"N":"0"},{"N":"1"}]}}`
	const change = `"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"SET a = :v, m.x = :v, l[1] = :v, n = :v","ExpressionAttributeValues":{":v":{"N":"9"}}`
	tests := []struct{ name, op, body, want string }{
		{"put none", "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}}}`, `{}`},
		{"put old", "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}},"ReturnValues":"ALL_OLD"}`, `{"Attributes":` + row + `}`},
		{"put new row", "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"other"}},"ReturnValues":"ALL_OLD"}`, `{}`},
		{"delete old", "DeleteItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"ReturnValues":"ALL_OLD"}`, `{"Attributes":` + row + `}`},
		{"delete nothing", "DeleteItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"other"}},"ReturnValues":"ALL_OLD"}`, `{}`},
		{"update none", "UpdateItem", `{` + change + `}`, `{}`},
		{"update all old", "UpdateItem", `{` + change + `,"ReturnValues":"ALL_OLD"}`, `{"Attributes":` + row + `}`},
		{"update all new", "UpdateItem", `{` + change + `,"ReturnValues":"ALL_NEW"}`,
			`{"Attributes":{"leaseKey":{"S":"k"},"a":{"N":"9"},"n":{"N":"9"},"m":{"M":{"x":{"N":"9"},"y":{"N":"2"}}},"l":{"L":[{"N":"0"},{"N":"9"}]}}}`},
		{"update updated old", "UpdateItem", `{` + change + `,"ReturnValues":"UPDATED_OLD"}`,
			`{"Attributes":{"a":{"N":"1"},"m":{"M":{"x":{"N":"1"}}},"l":{"L":[{"N":"1"}]}}}`},
		{"update updated new", "UpdateItem", `{` + change + `,"ReturnValues":"UPDATED_NEW"}`,
			`{"Attributes":{"a":{"N":"9"},"n":{"N":"9"},"m":{"M":{"x":{"N":"9"}}},"l":{"L":[{"N":"9"}]}}}`},
		{"update without expression", "UpdateItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"new"}},"ReturnValues":"ALL_NEW"}`, `{"Attributes":{"leaseKey":{"S":"new"}}}`},
		{"capacity", "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}},"ReturnConsumedCapacity":"TOTAL"}`, `{"ConsumedCapacity":{"TableName":"leases","CapacityUnits":1}}`},
		{"get", "GetItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}}}`, `{"Item":` + row + `}`},
		{"get part", "GetItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"ProjectionExpression":"a, m.#y","ExpressionAttributeNames":{"#y":"y"},"ConsistentRead":true}`, `{"Item":{"a":{"N":"1"},"m":{"M":{"y":{"N":"2"}}}}}`},
		{"get nothing of it", "GetItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"ProjectionExpression":"nope"}`, `{"Item":{}}`},
		{"get missing", "GetItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"other"}}}`, `{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTables(t)
			mustCall(t, s, "PutItem", `{"TableName":"leases","Item":`+row+`}`)
			if diff := sameJSON(t, mustCall(t, s, tt.op, tt.body), tt.want); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusedWritesChangeNothing asks for the row in a refusal, of every
// write, and looks at the row afterwards.
func TestRefusedWritesChangeNothing(t *testing.T) {
	t.Parallel()
	const row = `{"leaseKey":{"S":"k"},"leaseOwner":{"S":"worker-A"},"leaseCounter":{"N":"1"}}`
	const cond = `"ConditionExpression":"leaseOwner = :b","ExpressionAttributeValues":{":b":{"S":"worker-B"}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"`
	writes := 0
	s := newTables(t, func(o *dynamo.Options) { o.Applied = func(dynamo.Applied) { writes++ } })
	mustCall(t, s, "PutItem", `{"TableName":"leases","Item":`+row+`}`)
	for op, body := range map[string]string{
		"PutItem":    `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}},` + cond + `}`,
		"DeleteItem": `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},` + cond + `}`,
		"UpdateItem": `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"REMOVE leaseOwner",` + cond + `}`,
	} {
		_, failure := call(t, s, op, body)
		if failure == nil || failure.Code != "ConditionalCheckFailedException" || failure.Message != "The conditional request failed" {
			t.Fatalf("%s = %v, want ConditionalCheckFailedException", op, failure)
		}
		item, err := json.Marshal(failure.Fields["Item"])
		if err != nil {
			t.Fatal(err)
		}
		if diff := sameJSON(t, string(item), row); diff != "" {
			t.Errorf("%s: row in the refusal (-want +got):\n%s", op, diff)
		}
		// Without a row there is nothing to return.
		_, failure = call(t, s, op, strings.ReplaceAll(body, `{"S":"k"}`, `{"S":"missing"}`))
		if failure == nil || failure.Code != "ConditionalCheckFailedException" || failure.Fields != nil {
			t.Errorf("%s of a missing row = %v with %v, want a bare refusal", op, failure, failure.Fields)
		}
	}
	if diff := sameJSON(t, mustCall(t, s, "GetItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}}}`), `{"Item":`+row+`}`); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if items, err := s.Items("leases"); err != nil || len(items) != 1 || writes != 1 {
		t.Errorf("%d rows, %d applied writes, %v, want 1 and 1", len(items), writes, err)
	}
}

// A refusal is a request and AWS's answer to it.
type refusal struct{ name, op, body, code, text string }

func refusals() []refusal {
	long := func(n int) string { return strings.Repeat("x", n) }
	const v = "ValidationException"
	put := func(item string) string { return `{"TableName":"leases","Item":` + item + `}` }
	upd := func(rest string) string { return `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},` + rest + `}` }
	event := func(id, at string) string {
		return `{"TableName":"events","Item":{"id":` + id + `,"at":` + at + `}}`
	}
	return []refusal{
		{"unknown operation", "DropTable", `{}`, "UnknownOperationException", ""},
		{"no JSON", "PutItem", `{`, "SerializationException", "not valid JSON"},
		{"no object", "PutItem", `[]`, "SerializationException", "Start of structure"},
		{"missing table", "PutItem", `{"TableName":"missing","Item":{}}`, "ResourceNotFoundException", "Requested resource not found"},
		{"no table name", "PutItem", `{"Item":{}}`, v, "Value null at 'tableName' failed to satisfy constraint: Member must not be null"},
		{"table name of a wrong type", "PutItem", `{"TableName":1,"Item":{}}`, "SerializationException", "TableName"},
		{"no item", "PutItem", `{"TableName":"leases"}`, v, "Value null at 'item'"},
		{"unknown member", "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}},"Whatever":1}`, v, "PutItem: not implemented by this server: Whatever"},
		{"member in wrong case", "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}},"conditionExpression":"x"}`, v, "conditionExpression"},
		{"bad enum", "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}},"ReturnValues":"SOME"}`, v, "Value 'SOME' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set"},
		{"put with ALL_NEW", "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}},"ReturnValues":"ALL_NEW"}`, v, "ReturnValues can only be ALL_OLD or NONE"},
		{"missing key", "PutItem", put(`{"a":{"S":"k"}}`), v, "One or more parameter values were invalid: Missing the key leaseKey in the item"},
		{"key of a wrong type", "PutItem", put(`{"leaseKey":{"N":"1"}}`), v, "Type mismatch for key leaseKey expected: S actual: N"},
		{"empty key", "PutItem", put(`{"leaseKey":{"S":""}}`), v, "The AttributeValue for a key attribute cannot contain an empty string value. Key: leaseKey"},
		{"index key of a wrong type", "PutItem", put(`{"leaseKey":{"S":"k"},"leaseOwner":{"N":"1"}}`), v, "Type mismatch for Index Key leaseOwner Expected: S Actual: N IndexName: LeaseOwnerToLeaseKeyIndex"},
		{"empty index key", "PutItem", put(`{"leaseKey":{"S":"k"},"leaseOwner":{"S":""}}`), v, "IndexName: LeaseOwnerToLeaseKeyIndex, IndexKey: leaseOwner"},
		{"long key", "PutItem", put(`{"leaseKey":{"S":"` + long(2049) + `"}}`), v, "Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		{"big item", "PutItem", put(`{"leaseKey":{"S":"k"},"a":{"S":"` + long(400<<10) + `"}}`), v, "Item size has exceeded the maximum allowed size"},
		{"39 digits", "PutItem", put(`{"leaseKey":{"S":"k"},"a":{"N":"` + strings.Repeat("1", 39) + `"}}`), v, "more than 38 significant digits"},
		{"key too much", "GetItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"},"a":{"S":"k"}}}`, v, "The provided key element does not match the schema"},
		{"key too little", "GetItem", `{"TableName":"events","Key":{"id":{"S":"k"}}}`, v, "The provided key element does not match the schema"},
		{"range key type", "PutItem", event(`{"S":"a"}`, `{"S":"1"}`), v, "Type mismatch for key at expected: N actual: S"},
		{"update of the key", "UpdateItem", upd(`"UpdateExpression":"SET leaseKey = :v","ExpressionAttributeValues":{":v":{"S":"k"}}`), v, "Cannot update attribute leaseKey. This attribute is part of the key"},
		{"update into an index key", "UpdateItem", upd(`"UpdateExpression":"SET leaseOwner.a = :v","ExpressionAttributeValues":{":v":{"S":"k"}}`), v, "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: leaseOwner"},
		{"update to a wrong index key", "UpdateItem", upd(`"UpdateExpression":"SET leaseOwner = :v","ExpressionAttributeValues":{":v":{"N":"1"}}`), v, "The update expression attempted to update the secondary index key to unsupported type"},
		{"update to a big item", "UpdateItem", upd(`"UpdateExpression":"SET a = :v","ExpressionAttributeValues":{":v":{"S":"` + long(400<<10) + `"}}`), v, "Item size to update has exceeded the maximum allowed size"},
		{"empty expression", "UpdateItem", upd(`"UpdateExpression":""`), v, "Invalid UpdateExpression: The expression can not be empty;"},
		{"syntax", "UpdateItem", upd(`"UpdateExpression":"SET x = = :x","ExpressionAttributeValues":{":x":{"S":"k"}}`), v, `Invalid UpdateExpression: Syntax error; token: "=", near: "= = :x"`},
		{"long expression", "UpdateItem", upd(`"UpdateExpression":"SET a = ` + long(4096) + `"`), v, "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size; expression size: 4104"},
		{"unused value", "UpdateItem", upd(`"UpdateExpression":"REMOVE a","ExpressionAttributeValues":{":x":{"S":"k"},":a":{"S":"k"}}`), v, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a, :x}"},
		{"unused name", "UpdateItem", upd(`"UpdateExpression":"REMOVE a","ExpressionAttributeNames":{"#b":"b"}`), v, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}"},
		{"no values", "UpdateItem", upd(`"UpdateExpression":"REMOVE a","ExpressionAttributeValues":{}`), v, "ExpressionAttributeValues must not be empty"},
		{"no names", "UpdateItem", upd(`"UpdateExpression":"REMOVE a","ExpressionAttributeNames":{}`), v, "ExpressionAttributeNames must not be empty"},
		{"bad value key", "UpdateItem", upd(`"UpdateExpression":"REMOVE a","ExpressionAttributeValues":{"x":{"S":"k"}}`), v, `ExpressionAttributeValues contains invalid key: Syntax error; key: "x"`},
		{"bad name key", "UpdateItem", upd(`"UpdateExpression":"REMOVE a","ExpressionAttributeNames":{"#":"k"}`), v, `ExpressionAttributeNames contains invalid key: Syntax error; key: "#"`},
		{"bad value", "UpdateItem", upd(`"UpdateExpression":"SET a = :x","ExpressionAttributeValues":{":x":{}}`), v, "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :x"},
		{"empty set value", "UpdateItem", upd(`"UpdateExpression":"SET a = :x","ExpressionAttributeValues":{":x":{"SS":[]}}`), v, "ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: An string set  may not be empty for key :x"},
		{"names without expression", "DeleteItem", upd(`"ExpressionAttributeNames":{"#a":"b"}`), v, "ExpressionAttributeNames can only be specified when using expressions"},
		{"values without expression", "DeleteItem", upd(`"ExpressionAttributeValues":{":a":{"S":"b"}}`), v, "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"},
		{"values without update", "UpdateItem", upd(`"ExpressionAttributeValues":{":a":{"S":"b"}}`), v, "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null"},
		{"foreign ARN", "GetItem", `{"TableName":"arn:aws:dynamodb:us-east-1:999999999999:table/leases","Key":{"leaseKey":{"S":"k"}}}`, v, "tableName"},
	}
}

// TestRefusals sends what must not be accepted, and finds nothing stored.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	for _, tt := range refusals() {
		t.Run(tt.name, func(t *testing.T) {
			out, failure := call(t, s, tt.op, tt.body)
			if failure == nil {
				t.Fatalf("accepted: %s", out)
			}
			if failure.Code != tt.code || !strings.Contains(failure.Message, tt.text) {
				t.Errorf("error = %v, want %s with %q", failure, tt.code, tt.text)
			}
		})
	}
	for _, table := range s.Tables() {
		if items, err := s.Items(table); err != nil || len(items) != 0 {
			t.Errorf("%s holds %v, %v, want nothing", table, items, err)
		}
	}
}

// TestLimitsCanBeLifted sends what AWS refuses to a service without limits.
func TestLimitsCanBeLifted(t *testing.T) {
	t.Parallel()
	s := newTables(t, func(o *dynamo.Options) {
		o.Limits = dynamo.Limits{ItemBytes: -1, HashKeyBytes: -1, RangeKeyBytes: -1, ExpressionBytes: -1, PageBytes: -1, BatchWrites: -1, BatchGets: -1}
	})
	big := strings.Repeat("x", 1<<20)
	mustCall(t, s, "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"`+big+`"},"a":{"S":"`+big+`"}}}`)
	mustCall(t, s, "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"`+big[1:]+`"},"a":{"S":"`+big+`"}}}`)
	mustCall(t, s, "UpdateItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"SET a = if_not_exists(`+big[:8192]+`, :v)","ExpressionAttributeValues":{":v":{"N":"1"}}}`)
	var page struct{ Count int }
	if err := json.Unmarshal([]byte(mustCall(t, s, "Scan", `{"TableName":"leases"}`)), &page); err != nil || page.Count != 3 {
		t.Errorf("one page holds %d rows, %v, want 3", page.Count, err)
	}
}

// TestStoredItemsDoNotChange keeps what inspection and the record of writes
// handed out and writes on.
func TestStoredItemsDoNotChange(t *testing.T) {
	t.Parallel()
	var applied []dynamo.Applied
	s := newTables(t, func(o *dynamo.Options) { o.Applied = func(a dynamo.Applied) { applied = append(applied, a) } })
	mustCall(t, s, "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"},"m":{"M":{"l":{"L":[{"N":"1"}]}}},"ss":{"SS":["a"]}}}`)
	items, err := s.Items("leases")
	if err != nil {
		t.Fatal(err)
	}
	before := string(items[0].Append(nil))
	mustCall(t, s, "UpdateItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"SET m.l[0] = :n, m.x = :n ADD ss :s","ExpressionAttributeValues":{":n":{"N":"2"},":s":{"SS":["b"]}}}`)
	mustCall(t, s, "UpdateItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"REMOVE m.l[0] DELETE ss :s","ExpressionAttributeValues":{":s":{"SS":["a"]}}}`)
	mustCall(t, s, "DeleteItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}}}`)
	if got := string(items[0].Append(nil)); got != before {
		t.Errorf("item of the inspection = %s, want %s", got, before)
	}
	for i, a := range applied[1:] {
		if string(a.Before.Append(nil)) != string(applied[i].After.Append(nil)) {
			t.Errorf("write %d: before = %s, want what write %d left: %s", i+1, a.Before.Append(nil), i, applied[i].After.Append(nil))
		}
	}
	if last := applied[3]; last.Op != "DeleteItem" || last.After != nil || last.Condition != "" {
		t.Errorf("record of the delete = %+v", last)
	}
}
