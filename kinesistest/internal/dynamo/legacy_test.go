package dynamo_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

func putValue(v types.AttributeValue) types.AttributeValueUpdate {
	return types.AttributeValueUpdate{Action: types.AttributeActionPut, Value: v}
}

// TestLegacyLease sends a renewal and an assignment in the form of the Java
// KCL: Expected and AttributeUpdates.
func TestLegacyLease(t *testing.T) {
	t.Parallel()
	var conditions []string
	c, s := newClient(t, func(o *dynamo.Options) {
		o.Applied = func(a dynamo.Applied) { conditions = append(conditions, a.Condition) }
	})
	leaseTable(t, c, "leases")
	putLease(t, c, newLease("shard-0", "worker-A", 4))
	ctx, table, key := t.Context(), aws.String("leases"), item{"leaseKey": str("shard-0")}
	absent := types.ExpectedAttributeValue{Exists: aws.Bool(false)}
	renew := func(seen, next string) error {
		_, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: table, Key: key, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
			Expected:         map[string]types.ExpectedAttributeValue{"leaseCounter": {Value: num(seen)}, "checkpointOwner": absent},
			AttributeUpdates: map[string]types.AttributeValueUpdate{"leaseCounter": putValue(num(next)), "throughputKBps": putValue(num("1.623668"))},
		})
		return err
	}
	if err := renew("4", "5"); err != nil {
		t.Fatal(err)
	}
	if err := renew("4", "5"); code(err) != "ConditionalCheckFailedException" {
		t.Errorf("stale renewal = %v, want ConditionalCheckFailedException", err)
	}
	out, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: table, Key: key, ReturnValues: types.ReturnValueAllNew,
		Expected: map[string]types.ExpectedAttributeValue{
			"leaseKey": {Value: str("shard-0"), Exists: aws.Bool(true)}, "leaseOwner": {Value: str("worker-A")}, "checkpointOwner": absent,
		},
		AttributeUpdates: map[string]types.AttributeValueUpdate{
			"leaseOwner": putValue(str("worker-B")), "checkpointOwner": {Action: types.AttributeActionDelete},
			"leaseCounter":                 {Action: types.AttributeActionAdd, Value: num("1")},
			"ownerSwitchesSinceCheckpoint": {Action: types.AttributeActionAdd, Value: num("1")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := newLease("shard-0", "worker-B", 6)
	want["ownerSwitchesSinceCheckpoint"], want["throughputKBps"] = num("1"), num("1.623668")
	if diff := cmp.Diff(want, out.Attributes, ignoreUnexported); diff != "" {
		t.Errorf("row after the assignment (-want +got):\n%s", diff)
	}
	_, err = c.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key,
		Expected: map[string]types.ExpectedAttributeValue{"leaseOwner": {Value: str("worker-A")}}})
	if code(err) != "ConditionalCheckFailedException" {
		t.Errorf("delete of another's lease = %v, want ConditionalCheckFailedException", err)
	}
	if items, err := s.Items("leases"); err != nil || len(items) != 1 {
		t.Errorf("%d rows, %v, want 1", len(items), err)
	}
	if diff := cmp.Diff([]string{
		"", `attribute_not_exists(checkpointOwner) AND leaseCounter = {"N":"4"}`,
		`attribute_not_exists(checkpointOwner) AND leaseKey = {"S":"shard-0"} AND leaseOwner = {"S":"worker-A"}`,
	}, conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

// TestLegacyComparisons holds every ComparisonOperator to a verdict.
func TestLegacyComparisons(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	mustCall(t, s, "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"},"n":{"N":"5"},"s":{"S":"abc"},"ss":{"SS":["a","b"]}}}`)
	tests := []struct{ expected, want string }{
		{`{"n":{"ComparisonOperator":"EQ","AttributeValueList":[{"N":"5.0"}]}}`, ""},
		{`{"n":{"ComparisonOperator":"EQ","Value":{"N":"5"}}}`, ""},
		{`{"n":{"ComparisonOperator":"NE","AttributeValueList":[{"N":"5"}]}}`, "refused"},
		{`{"nope":{"ComparisonOperator":"NE","AttributeValueList":[{"N":"5"}]}}`, ""},
		{`{"n":{"ComparisonOperator":"LT","AttributeValueList":[{"N":"6"}]}}`, ""},
		{`{"n":{"ComparisonOperator":"LE","AttributeValueList":[{"N":"4"}]}}`, "refused"},
		{`{"n":{"ComparisonOperator":"GT","AttributeValueList":[{"N":"4"}]}}`, ""},
		{`{"n":{"ComparisonOperator":"GE","AttributeValueList":[{"N":"6"}]}}`, "refused"},
		{`{"n":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"4"},{"N":"5"}]}}`, ""},
		{`{"n":{"ComparisonOperator":"IN","AttributeValueList":[{"N":"4"},{"N":"6"}]}}`, "refused"},
		{`{"n":{"ComparisonOperator":"NULL"}}`, "refused"},
		{`{"n":{"ComparisonOperator":"NOT_NULL"}}`, ""},
		{`{"s":{"ComparisonOperator":"BEGINS_WITH","AttributeValueList":[{"S":"ab"}]}}`, ""},
		{`{"s":{"ComparisonOperator":"CONTAINS","AttributeValueList":[{"S":"x"}]}}`, "refused"},
		{`{"ss":{"ComparisonOperator":"CONTAINS","AttributeValueList":[{"S":"b"}]}}`, ""},
		{`{"ss":{"ComparisonOperator":"NOT_CONTAINS","AttributeValueList":[{"S":"b"}]}}`, "refused"},
		{`{"n":{"Exists":true}}`, "Value must be provided when Exists is true for Attribute: n"},
		{`{"n":{}}`, "Value must be provided when Exists is null for Attribute: n"},
		{`{"n":{"Exists":false,"Value":{"N":"1"}}}`, "Value cannot be used when Exists is false for Attribute: n"},
		{`{"n":{"Exists":true,"ComparisonOperator":"EQ","AttributeValueList":[{"N":"1"}]}}`, "Exists and ComparisonOperator cannot be used together for Attribute: n"},
		{`{"n":{"Value":{"N":"1"},"ComparisonOperator":"EQ","AttributeValueList":[{"N":"1"}]}}`, "Value and AttributeValueList cannot be used together for Attribute: n"},
		{`{"n":{"AttributeValueList":[{"N":"1"}]}}`, "AttributeValueList can only be used with a ComparisonOperator for Attribute: n"},
		{`{"n":{"ComparisonOperator":"LT"}}`, "Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: n"},
		{`{"n":{"ComparisonOperator":"LT","AttributeValueList":[{"SS":["a"]}]}}`, "ComparisonOperator LT is not valid for SS AttributeValue type"},
		{`{"n":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"}]}}`, "Invalid number of argument(s) for the BETWEEN ComparisonOperator"},
		{`{"n":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"2"},{"N":"1"}]}}`, "the lower bound is greater than the upper bound"},
		{`{"n":{"ComparisonOperator":"IN","AttributeValueList":[{"N":"2"},{"S":"1"}]}}`, "AttributeValues inside AttributeValueList must be of same type"},
		{`{"n":{"ComparisonOperator":"LIKE","AttributeValueList":[{"N":"2"}]}}`, "Value 'LIKE' at 'expected.n.member.comparisonOperator'"},
		{`{"n":{"Value":{"N":"5"},"Whatever":1}}`, "not implemented by this server: Whatever"},
		{`{"n":{"Value":{"N":"5"}}},"ConditionExpression":"n = n"`, "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"},
		{`{"n":{"Value":{"N":"5"}},"s":{"Value":{"S":"x"}}}`, "refused"},
		{`{"n":{"Value":{"N":"5"}},"s":{"Value":{"S":"x"}}},"ConditionalOperator":"OR"`, ""},
		{`{"n":{"Value":{"N":"5"}}},"ConditionalOperator":"OR"`, "ConditionalOperator can only be used when Filter or Expected has two or more elements"},
	}
	for _, tt := range tests {
		_, failure := call(t, s, "UpdateItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"Expected":`+tt.expected+`}`)
		got := ""
		if failure != nil {
			got = failure.Message
		}
		want := strings.Replace(tt.want, "refused", "The conditional request failed", 1)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("Expected %s = %q, want %q", tt.expected, got, want)
		}
	}
}

func TestLegacyUpdates(t *testing.T) {
	t.Parallel()
	const row = `{"leaseKey":{"S":"k"},"n":{"N":"5"},"s":{"S":"abc"},"ss":{"SS":["a","b"]},"l":{"L":[{"N":"1"}]}}`
	tests := []struct{ key, updates, want string }{
		{"k", `{"n":{"Value":{"N":"7"}}}`, `{"n":{"N":"7"}}`},
		{"k", `{"n":{"Action":"ADD","Value":{"N":"-1"}}}`, `{"n":{"N":"4"}}`},
		{"k", `{"ss":{"Action":"ADD","Value":{"SS":["c"]}}}`, `{"ss":{"SS":["a","b","c"]}}`},
		{"k", `{"ss":{"Action":"DELETE","Value":{"SS":["a"]}}}`, `{"ss":{"SS":["b"]}}`},
		{"k", `{"l":{"Action":"ADD","Value":{"L":[{"N":"2"}]}}}`, `{"l":{"L":[{"N":"1"},{"N":"2"}]}}`},
		{"k", `{"s":{"Action":"DELETE"}}`, `{}`},
		{"new", `{"n":{"Action":"ADD","Value":{"N":"2"}}}`, `{"n":{"N":"2"}}`},
		{"new", `{"n":{"Action":"DELETE"}}`, ``},
		{"k", `{"n":{"Action":"PUT"}}`, "Only DELETE action is allowed when no attribute value is specified"},
		{"k", `{"n":{"Action":"ADD","Value":{"S":"x"}}}`, "ADD action is not supported for the type S"},
		{"k", `{"n":{"Action":"DELETE","Value":{"N":"5"}}}`, "DELETE action with value is not supported for the type N"},
		{"k", `{"s":{"Action":"ADD","Value":{"N":"5"}}}`, "Type mismatch for attribute to update"},
		{"k", `{"leaseKey":{"Value":{"S":"x"}}}`, "Cannot update attribute leaseKey. This attribute is part of the key"},
		{"k", `{"n":{"Value":{"N":"5"}}},"ExpressionAttributeNames":{"#a":"a"}`, "ExpressionAttributeNames can only be specified when using expressions"},
	}
	for _, tt := range tests {
		s := newTables(t)
		mustCall(t, s, "PutItem", `{"TableName":"leases","Item":`+row+`}`)
		out, failure := call(t, s, "UpdateItem", `{"TableName":"leases","Key":{"leaseKey":{"S":"`+tt.key+`"}},"ReturnValues":"UPDATED_NEW","AttributeUpdates":`+tt.updates+`}`)
		if failure != nil {
			if !strings.Contains(failure.Message, tt.want) || tt.want == "" {
				t.Errorf("%s = %v, want %s", tt.updates, failure, tt.want)
			}
			continue
		}
		want := `{"Attributes":` + tt.want + `}`
		if tt.want == "" || tt.want == "{}" {
			want = `{}`
		}
		if diff := sameJSON(t, out, want); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.updates, diff)
		}
		if items, err := s.Items("leases"); tt.want == "" && len(items) != 1 {
			t.Errorf("%s made a row: %v, %v", tt.updates, items, err)
		}
	}
}

func TestLegacyReads(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	for _, at := range []string{"1", "2", "3"} {
		mustCall(t, s, "PutItem", `{"TableName":"events","Item":{"id":{"S":"a"},"at":{"N":"`+at+`"},"v":{"N":"`+at+`"}}}`)
	}
	const key = `"KeyConditions":{"id":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]},"at":{"ComparisonOperator":"GT","AttributeValueList":[{"N":"1"}]}}`
	tests := []struct{ op, rest, want string }{
		{"Query", key + `,"AttributesToGet":["v"]`, `{"Count":2,"ScannedCount":2,"Items":[{"v":{"N":"2"}},{"v":{"N":"3"}}]}`},
		{"Query", key + `,"QueryFilter":{"v":{"ComparisonOperator":"NE","AttributeValueList":[{"N":"2"}]}},"Select":"COUNT"`, `{"Count":1,"ScannedCount":2}`},
		{"Scan", `"ScanFilter":{"v":{"ComparisonOperator":"LT","AttributeValueList":[{"N":"2"}]}},"AttributesToGet":["at"]`, `{"Count":1,"ScannedCount":3,"Items":[{"at":{"N":"1"}}]}`},
		{"GetItem", `"Key":{"id":{"S":"a"},"at":{"N":"2"}},"AttributesToGet":["v"]`, `{"Item":{"v":{"N":"2"}}}`},
	}
	for _, tt := range tests {
		if diff := sameJSON(t, mustCall(t, s, tt.op, `{"TableName":"events",`+tt.rest+`}`), tt.want); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.op, tt.rest, diff)
		}
	}
}
