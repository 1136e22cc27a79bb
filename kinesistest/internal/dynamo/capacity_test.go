package dynamo_test

import (
	"strings"
	"testing"
)

// TestCapacityByTableAndIndex compares what writes and reads report with what
// AWS counts: a write for each index whose part of the row changes, two where
// its key does.
func TestCapacityByTableAndIndex(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	mustCall(t, s, "CreateTable", `{"TableName":"both","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"b","AttributeType":"S"},{"AttributeName":"c","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"b","KeyType":"RANGE"}],
		"LocalSecondaryIndexes":[{"IndexName":"local","KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"Projection":{"ProjectionType":"ALL"}}],
		"GlobalSecondaryIndexes":[{"IndexName":"keys","KeySchema":[{"AttributeName":"c","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}]}`)
	units := func(table, keys, local string) string {
		parts := []string{}
		sum := map[string]string{"1 1 1": "3", "1  ": "1", "2  2": "4", "2 2 4": "8", "2 1 2": "5"}[table+" "+keys+" "+local]
		if keys != "" {
			parts = append(parts, `"GlobalSecondaryIndexes":{"keys":{"CapacityUnits":`+keys+`}}`)
		}
		if local != "" {
			parts = append(parts, `"LocalSecondaryIndexes":{"local":{"CapacityUnits":`+local+`}}`)
		}
		parts = append(parts, `"Table":{"CapacityUnits":`+table+`}`, `"TableName":"both"`)
		return `{"ConsumedCapacity":{"CapacityUnits":` + sum + `,` + strings.Join(parts, ",") + `}}`
	}
	large := strings.Repeat("x", 1500)
	for _, step := range []struct{ op, body, want string }{
		{"PutItem", `"Item":{"a":{"S":"1"},"b":{"S":"1"}}`, units("1", "", "")},
		{"PutItem", `"Item":{"a":{"S":"1"},"b":{"S":"1"},"c":{"S":"x"}}`, units("1", "1", "1")},
		{"PutItem", `"Item":{"a":{"S":"1"},"b":{"S":"1"},"c":{"S":"x"}}`, units("1", "", "")},
		{"PutItem", `"Item":{"a":{"S":"1"},"b":{"S":"1"},"c":{"S":"x"},"d":{"S":"` + large + `"}}`, units("2", "", "2")},
		{"PutItem", `"Item":{"a":{"S":"1"},"b":{"S":"1"},"c":{"S":"y"},"d":{"S":"` + large + `"}}`, units("2", "2", "4")},
		{"DeleteItem", `"Key":{"a":{"S":"1"},"b":{"S":"1"}}`, units("2", "1", "2")},
		{"DeleteItem", `"Key":{"a":{"S":"1"},"b":{"S":"1"}}`, units("1", "", "")},
	} {
		got := mustCall(t, s, step.op, `{"TableName":"both","ReturnConsumedCapacity":"INDEXES",`+step.body+`}`)
		if diff := sameJSON(t, got, step.want); diff != "" {
			t.Errorf("%s %.60s:\n%s", step.op, step.body, diff)
		}
	}
}

func TestCapacityOfReadsAndTransactions(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	mustCall(t, s, "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"},"leaseOwner":{"S":"w"},"d":{"S":"`+strings.Repeat("x", 5000)+`"}}}`)
	const write = `{"TransactItems":[{"Update":{"TableName":"leases","Key":{"leaseKey":{"S":"n"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"1"}}}}],"ClientRequestToken":"t","ReturnConsumedCapacity":"TOTAL"}`
	const key = `"TableName":"leases","Key":{"leaseKey":{"S":"k"}}`
	for _, step := range []struct{ op, body, want string }{
		{"GetItem", `{` + key + `,"ProjectionExpression":"nope","ReturnConsumedCapacity":"TOTAL"}`, `{"Item":{},"ConsumedCapacity":{"CapacityUnits":1,"TableName":"leases"}}`},
		{"GetItem", `{` + key + `,"ProjectionExpression":"nope","ConsistentRead":true,"ReturnConsumedCapacity":"INDEXES"}`, `{"Item":{},"ConsumedCapacity":{"CapacityUnits":2,"Table":{"CapacityUnits":2},"TableName":"leases"}}`},
		{"Scan", `{"TableName":"leases","IndexName":"LeaseOwnerToLeaseKeyIndex","Select":"COUNT","ReturnConsumedCapacity":"INDEXES"}`,
			`{"Count":1,"ScannedCount":1,"ConsumedCapacity":{"CapacityUnits":0.5,"Table":{"CapacityUnits":0},"GlobalSecondaryIndexes":{"LeaseOwnerToLeaseKeyIndex":{"CapacityUnits":0.5}},"TableName":"leases"}}`},
		{"TransactGetItems", `{"TransactItems":[{"Get":{` + key + `,"ProjectionExpression":"nope"}}],"ReturnConsumedCapacity":"TOTAL"}`,
			`{"Responses":[{"Item":{}}],"ConsumedCapacity":[{"CapacityUnits":4,"ReadCapacityUnits":4,"TableName":"leases"}]}`},
		{"TransactWriteItems", write, `{"ConsumedCapacity":[{"CapacityUnits":2,"WriteCapacityUnits":2,"TableName":"leases"}]}`},
		{"TransactWriteItems", write, `{"ConsumedCapacity":[{"CapacityUnits":2,"ReadCapacityUnits":2,"TableName":"leases"}]}`}, // done already
	} {
		if diff := sameJSON(t, mustCall(t, s, step.op, step.body), step.want); diff != "" {
			t.Errorf("%s %.60s:\n%s", step.op, step.body, diff)
		}
	}
}

func TestItemCollectionMetrics(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	mustCall(t, s, "CreateTable", `{"TableName":"grouped","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"b","AttributeType":"S"},{"AttributeName":"c","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"b","KeyType":"RANGE"}],
		"LocalSecondaryIndexes":[{"IndexName":"local","KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"Projection":{"ProjectionType":"ALL"}}]}`)
	const one = `{"ItemCollectionKey":{"a":{"S":"1"}},"SizeEstimateRangeGB":[0,1]}`
	const put = `"Item":{"a":{"S":"1"},"b":{"S":"1"}}`
	for _, step := range []struct{ op, body, want string }{
		{"PutItem", `{"TableName":"grouped",` + put + `,"ReturnItemCollectionMetrics":"SIZE"}`, `{"ItemCollectionMetrics":` + one + `}`},
		{"PutItem", `{"TableName":"grouped",` + put + `}`, `{}`},
		{"PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"}},"ReturnItemCollectionMetrics":"SIZE"}`, `{}`},
		{"BatchWriteItem", `{"RequestItems":{"grouped":[{"PutRequest":{` + put + `}}]},"ReturnItemCollectionMetrics":"SIZE"}`, `{"UnprocessedItems":{},"ItemCollectionMetrics":{"grouped":[` + one + `]}}`},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"grouped",` + put + `}}],"ReturnItemCollectionMetrics":"SIZE"}`, `{"ItemCollectionMetrics":{"grouped":[` + one + `]}}`},
	} {
		if diff := sameJSON(t, mustCall(t, s, step.op, step.body), step.want); diff != "" {
			t.Errorf("%s %.60s:\n%s", step.op, step.body, diff)
		}
	}
}
