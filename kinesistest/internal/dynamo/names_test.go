package dynamo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

func TestNamesAreTablesAndKeys(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	leases, events := []string{"leases"}, []string{"events"}
	tests := []struct {
		op, body     string
		tables, keys []string
	}{
		{"PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"},"leaseOwner":{"S":"w"}}}`, leases, []string{"k"}},
		{"GetItem", `{"TableName":"arn:aws:dynamodb:us-east-1:123456789012:table/leases","Key":{"leaseKey":{"S":"k"}}}`, leases, []string{"k"}},
		{"PutItem", `{"TableName":"events","Item":{"id":{"S":"k"},"at":{"N":"7"},"x":{"S":"y"}}}`, events, []string{"7", "k"}},
		{"PutItem", `{"TableName":"missing","Item":{"a":{"S":"k"}}}`, []string{"missing"}, nil},
		{"Query", `{"TableName":"leases","IndexName":"LeaseOwnerToLeaseKeyIndex","KeyConditionExpression":"leaseOwner = :o","ExpressionAttributeValues":{":o":{"S":"w"}}}`, leases, []string{"w"}},
		{"Query", `{"TableName":"events","KeyConditionExpression":"#i = :i AND #a > :a","ExpressionAttributeNames":{"#i":"id","#a":"at"},"ExpressionAttributeValues":{":i":{"S":"e"},":a":{"N":"1"}}}`, events, []string{"e"}},
		{"Query", `{"TableName":"leases","KeyConditionExpression":"leaseKey"}`, leases, nil},
		{"Scan", `{"TableName":"leases"}`, leases, nil},
		{"BatchGetItem", `{"RequestItems":{"leases":{"Keys":[{"leaseKey":{"S":"a"}},{"leaseKey":{"S":"b"}}]},"events":{"Keys":[{"id":{"S":"c"},"at":{"N":"1"}}]}}}`, []string{"events", "leases"}, []string{"1", "a", "b", "c"}},
		{"BatchWriteItem", `{"RequestItems":{"leases":[{"PutRequest":{"Item":{"leaseKey":{"S":"a"},"x":{"S":"y"}}}},{"DeleteRequest":{"Key":{"leaseKey":{"S":"b"}}}}]}}`, leases, []string{"a", "b"}},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"leases","Item":{"leaseKey":{"S":"a"},"x":{"S":"y"}}}},{"ConditionCheck":{"TableName":"leases","Key":{"leaseKey":{"S":"b"}}}}]}`, leases, []string{"a", "b"}},
		{"GetItem", `{"TableName":1,"Key":[]}`, nil, nil},
		{"BatchGetItem", `{"RequestItems":{"leases":[1,{"PutRequest":2}]}}`, leases, nil},
		{"TransactWriteItems", `{"TransactItems":[1,{"Put":1}]}`, nil, nil},
		{"GetItem", `nonsense`, nil, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(dynamo.Names{Tables: tt.tables, Keys: tt.keys}, s.Names(tt.op, []byte(tt.body))); diff != "" {
			t.Errorf("Names(%s %s) (-want +got):\n%s", tt.op, tt.body, diff)
		}
	}
}
