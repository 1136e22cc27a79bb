package dynamo_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

// benchTable returns a service whose lease table has n rows.
func benchTable(b *testing.B, n int) *dynamo.Service {
	b.Helper()
	s := dynamo.New(dynamo.Options{Identity: identity})
	send(b, s, "CreateTable", []byte(`{"TableName":"leases","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"leaseKey","AttributeType":"S"},{"AttributeName":"leaseOwner","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"leaseKey","KeyType":"HASH"}],"GlobalSecondaryIndexes":[{"IndexName":"owner","KeySchema":[{"AttributeName":"leaseOwner","KeyType":"HASH"},{"AttributeName":"leaseKey","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}]}`))
	for i := range n {
		send(b, s, "PutItem", fmt.Appendf(nil, `{"TableName":"leases","Item":{"leaseKey":{"S":"shardId-%012d"},"leaseOwner":{"S":"worker-%d"},"leaseCounter":{"N":"0"},"ownerSwitchesSinceCheckpoint":{"N":"0"},
			"checkpoint":{"S":"49590338271490256608559692538361571095921575989136588898"},"checkpointSubSequenceNumber":{"N":"7"},"parentShardId":{"SS":["shardId-000000000000"]},
			"startingHashKey":{"S":"0"},"endingHashKey":{"S":"170141183460469231731687303715884105727"},"throughputKBps":{"N":"118.25"},"entityType":{"S":"LEASE"}}}`, i, i%10))
	}
	return s
}

func send(b *testing.B, s *dynamo.Service, op string, body []byte) {
	if _, failure := s.Call(b.Context(), op, body); failure != nil {
		b.Fatal(failure)
	}
}

// BenchmarkRenew is one lease renewal in a table of 1,000.
func BenchmarkRenew(b *testing.B) {
	s := benchTable(b, 1000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		send(b, s, "UpdateItem", []byte(`{"TableName":"leases","Key":{"leaseKey":{"S":"shardId-000000000500"}},"ConditionExpression":"leaseCounter = :seen AND attribute_not_exists(checkpointOwner)",`+
			`"UpdateExpression":"SET leaseCounter = :next, throughputKBps = :kb","ExpressionAttributeValues":{":seen":{"N":"`+strconv.Itoa(n)+`"},":next":{"N":"`+strconv.Itoa(n+1)+`"},":kb":{"N":"118.25"}},`+
			`"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`))
	}
}

// BenchmarkScan is a scan of 1,000 leases.
func BenchmarkScan(b *testing.B) {
	s := benchTable(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		send(b, s, "Scan", []byte(`{"TableName":"leases"}`))
	}
}

// BenchmarkQueryIndex is a query for the 100 leases of one worker.
func BenchmarkQueryIndex(b *testing.B) {
	s := benchTable(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		send(b, s, "Query", []byte(`{"TableName":"leases","IndexName":"owner","KeyConditionExpression":"leaseOwner = :o","ExpressionAttributeValues":{":o":{"S":"worker-3"}}}`))
	}
}
