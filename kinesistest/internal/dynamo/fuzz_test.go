package dynamo_test

import (
	"encoding/json"
	"testing"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

// FuzzCall sends any body to any operation: the answer is JSON, or an error
// of the client's.
func FuzzCall(f *testing.F) {
	for op, body := range map[string]string{
		"CreateTable":        `{"TableName":"t-2","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"N"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`,
		"UpdateTable":        `{"TableName":"leases","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"N"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"abc","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}]}`,
		"PutItem":            `{"TableName":"leases","Item":{"leaseKey":{"S":"k"},"l":{"L":[{"M":{"x":{"SS":["a"]}}}]}},"ConditionExpression":"#a < :b OR NOT size(l[0].x) IN (:b)","ExpressionAttributeNames":{"#a":"a"},"ExpressionAttributeValues":{":b":{"N":"1e5"}}}`,
		"UpdateItem":         `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"SET a = if_not_exists(b, :c) + :c, l[3] = :c REMOVE d[0], e ADD f :c DELETE g :h","ExpressionAttributeValues":{":c":{"N":"-1.5"},":h":{"SS":["a"]}},"ReturnValues":"UPDATED_NEW"}`,
		"DeleteItem":         `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"Expected":{"a":{"Exists":false}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`,
		"GetItem":            `{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"ProjectionExpression":"a.b[1], c"}`,
		"Query":              `{"TableName":"events","KeyConditionExpression":"id = :a AND begins_with(x, :a)","ExpressionAttributeValues":{":a":{"S":"k"}},"ExclusiveStartKey":{"id":{"S":"k"},"at":{"N":"1"}},"ScanIndexForward":false}`,
		"Scan":               `{"TableName":"leases","Segment":1,"TotalSegments":3,"Limit":2,"ExclusiveStartKey":{"leaseKey":{"S":"k"}}}`,
		"BatchWriteItem":     `{"RequestItems":{"leases":[{"PutRequest":{"Item":{"leaseKey":{"S":"a"}}}}]}}`,
		"BatchGetItem":       `{"RequestItems":{"leases":{"Keys":[{"leaseKey":{"S":"a"}}]}}}`,
		"TransactWriteItems": `{"TransactItems":[{"Put":{"TableName":"leases","Item":{"leaseKey":{"S":"a"}}}}],"ClientRequestToken":"x"}`,
		"DescribeTable":      `{"TableName":"leases"}`,
		"TransactGetItems":   `{"TransactItems":[{"Get":{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"ProjectionExpression":"l[0].x"}}]}`,
		"UpdateTimeToLive":   `{"TableName":"leases","TimeToLiveSpecification":{"AttributeName":"a","Enabled":true}}`,
		"TagResource":        `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/leases","Tags":[{"Key":"a","Value":"b"}]}`,
	} {
		f.Add(op, []byte(body))
	}
	f.Add("UpdateItem", []byte(`{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"AttributeUpdates":{"a":{"Action":"ADD","Value":{"N":"1"}},"l":{"Action":"DELETE"}},"Expected":{"a":{"ComparisonOperator":"IN","AttributeValueList":[{"N":"1"}]},"b":{"Exists":false}},"ConditionalOperator":"OR"}`))
	f.Add("Query", []byte(`{"TableName":"leases","KeyConditions":{"leaseKey":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"k"}]}},"QueryFilter":{"a":{"ComparisonOperator":"NOT_NULL"}},"AttributesToGet":["a"]}`))
	f.Fuzz(func(t *testing.T, op string, body []byte) {
		s := newTables(t)
		if _, failure := s.Call(t.Context(), "PutItem", []byte(`{"TableName":"leases","Item":{"leaseKey":{"S":"k"},"a":{"N":"1"},"l":{"L":[{"M":{"x":{"S":"y"}}}]}}}`)); failure != nil {
			t.Fatal(failure)
		}
		s.Names(op, body)
		out, failure := s.Call(t.Context(), op, body)
		switch {
		case failure != nil && (failure.Status != 400 || failure.Code == ""):
			t.Errorf("failure = %d %v, want 400 and a code", failure.Status, failure)
		case failure == nil && !json.Valid(out):
			t.Errorf("response is no JSON: %s", out)
		}
		checkIndexes(t, s)
	})
}

// checkIndexes compares what a scan of the leases' index shows with the table.
func checkIndexes(t *testing.T, s *dynamo.Service) {
	items, err := s.Items("leases")
	if err != nil {
		return // deleted
	}
	want := 0
	for _, it := range items {
		if it["leaseOwner"].Kind() == "S" {
			want++
		}
	}
	out, failure := s.Call(t.Context(), "Scan", []byte(`{"TableName":"leases","IndexName":"LeaseOwnerToLeaseKeyIndex","Select":"COUNT"}`))
	var page struct{ Count int }
	if failure != nil {
		return // the index was dropped
	}
	if err := json.Unmarshal(out, &page); err != nil || page.Count != want {
		t.Errorf("index holds %d rows, want %d", page.Count, want)
	}
}
