package dynamo_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

func fill(t *testing.T, c *dynamodb.Client, n int) {
	t.Helper()
	for i := range n {
		owner := fmt.Sprint("worker-", i%3)
		if i%5 == 4 {
			owner = ""
		}
		putLease(t, c, newLease(fmt.Sprintf("shard-%03d", i), owner, i))
	}
}

func keysOf(items []item) []string {
	var keys []string
	for _, it := range items {
		keys = append(keys, it["leaseKey"].(*types.AttributeValueMemberS).Value)
	}
	return keys
}

func TestScanPages(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	fill(t, c, 57)
	var keys []string
	pages := 0
	for p := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: aws.String("leases"), Limit: aws.Int32(10)}); p.HasMorePages(); pages++ {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, keysOf(out.Items)...)
	}
	if slices.IsSorted(keys) {
		t.Error("a scan is sorted by key: nobody should come to rely on that")
	}
	slices.Sort(keys)
	if n := len(slices.Compact(keys)); n != 57 || len(keys) != 57 || pages != 6 {
		t.Errorf("%d keys, %d distinct, %d pages, want 57, 57, 6", len(keys), n, pages)
	}
}

// TestScanSurvivesDeletion deletes every row a page showed, the last one of
// the page included, before it asks for the next page.
func TestScanSurvivesDeletion(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	fill(t, c, 30)
	seen := map[string]bool{}
	for p := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: aws.String("leases"), Limit: aws.Int32(7)}); p.HasMorePages(); {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keysOf(out.Items) {
			seen[k] = true
			if _, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("leases"), Key: item{"leaseKey": str(k)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(seen) != 30 {
		t.Errorf("%d rows seen, want 30", len(seen))
	}
}

func TestLimitComesBeforeFilter(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	fill(t, c, 30)
	out, err := c.Scan(t.Context(), &dynamodb.ScanInput{
		TableName: aws.String("leases"), Limit: aws.Int32(10), FilterExpression: aws.String("attribute_not_exists(leaseOwner)"),
	})
	if err != nil || out.ScannedCount != 10 || out.Count >= 10 || int(out.Count) != len(out.Items) || out.LastEvaluatedKey == nil {
		t.Errorf("page = %d of %d, %v, want fewer than 10 of 10 and a key to go on", out.Count, out.ScannedCount, err)
	}
	count, err := c.Scan(t.Context(), &dynamodb.ScanInput{
		TableName: aws.String("leases"), Select: types.SelectCount, FilterExpression: aws.String("attribute_not_exists(leaseOwner)"),
	})
	if err != nil || count.Count != 6 || count.ScannedCount != 30 || count.Items != nil {
		t.Errorf("count = %d of %d with %d items, %v, want 6 of 30 with none", count.Count, count.ScannedCount, len(count.Items), err)
	}
}

func TestScanSegmentsPartTheTable(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	fill(t, c, 100)
	for _, total := range []int32{1, 4, 32, 1_000_000} {
		var keys []string
		for segment := range min(total, 64) {
			if total == 1_000_000 {
				segment *= total / 64
			}
			in := &dynamodb.ScanInput{TableName: aws.String("leases"), Segment: &segment, TotalSegments: &total, Limit: aws.Int32(3)}
			for p := dynamodb.NewScanPaginator(c, in); p.HasMorePages(); {
				out, err := p.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, keysOf(out.Items)...)
			}
		}
		if total == 1_000_000 {
			continue // a sample: no error is all that is asked
		}
		slices.Sort(keys)
		if n := len(slices.Compact(slices.Clone(keys))); n != 100 || len(keys) != 100 {
			t.Errorf("%d segments: %d rows, %d distinct, want 100", total, len(keys), n)
		}
	}
}

// TestPageBytes fills pages of 1 MiB.
func TestPageBytes(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	for i := range 10 {
		it := newLease(fmt.Sprint("shard-", i), "worker-A", i)
		it["pad"] = str(strings.Repeat("x", 300<<10))
		putLease(t, c, it)
	}
	var sizes []int32
	for p := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: aws.String("leases")}); p.HasMorePages(); {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, out.Count)
	}
	if diff := cmp.Diff([]int32{3, 3, 3, 1}, sizes); diff != "" {
		t.Errorf("rows in pages (-want +got):\n%s", diff)
	}
	// The index holds keys only: all of its rows fit one page.
	out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("leases"), IndexName: aws.String(ownerIndexName)})
	if err != nil || out.Count != 10 || out.LastEvaluatedKey != nil {
		t.Errorf("index = %d rows, %v, want 10", out.Count, err)
	}
}

// TestQueryOrder reads a partition with a number as range key both ways.
func TestQueryOrder(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	for _, at := range []string{"10", "9", "-1.5", "-20", "0", "100", "1e10", "0.001", "9.5"} {
		mustCall(t, s, "PutItem", `{"TableName":"events","Item":{"id":{"S":"a"},"at":{"N":"`+at+`"},"v":{"N":"`+at+`"}}}`)
		mustCall(t, s, "PutItem", `{"TableName":"events","Item":{"id":{"S":"b"},"at":{"N":"`+at+`"}}}`)
	}
	query := func(extra string) (ats []string) {
		t.Helper()
		var start string
		for {
			out := mustCall(t, s, "Query", `{"TableName":"events","ExpressionAttributeNames":{"#at":"at"},`+extra+start+`}`)
			var page struct {
				Items            []map[string]map[string]string
				LastEvaluatedKey json.RawMessage
			}
			if err := json.Unmarshal([]byte(out), &page); err != nil {
				t.Fatal(err)
			}
			for _, it := range page.Items {
				ats = append(ats, it["at"]["N"])
			}
			if page.LastEvaluatedKey == nil {
				return ats
			}
			start = `,"ExclusiveStartKey":` + string(page.LastEvaluatedKey)
		}
	}
	all := []string{"-20", "-1.5", "0", "0.001", "9", "9.5", "10", "100", "10000000000"}
	backward := slices.Clone(all)
	slices.Reverse(backward)
	tests := []struct {
		name, extra string
		want        []string
	}{
		{"forward", `"KeyConditionExpression":"id = :a AND #at > :n","ExpressionAttributeValues":{":a":{"S":"a"},":n":{"N":"-100"}}`, all},
		{"forward by pages", `"KeyConditionExpression":"id = :a AND #at > :n","ExpressionAttributeValues":{":a":{"S":"a"},":n":{"N":"-100"}},"Limit":2`, all},
		{"backward by pages", `"KeyConditionExpression":"id = :a AND #at > :n","ExpressionAttributeValues":{":a":{"S":"a"},":n":{"N":"-100"}},"Limit":4,"ScanIndexForward":false`, backward},
		{"between", `"KeyConditionExpression":"id = :a AND #at BETWEEN :n AND :m","ExpressionAttributeValues":{":a":{"S":"a"},":n":{"N":"0"},":m":{"N":"9.50"}},"Limit":1`, all[2:6]},
		{"exactly", `"KeyConditionExpression":"id = :a AND #at = :n","ExpressionAttributeValues":{":a":{"S":"a"},":n":{"N":"9.0"}}`, []string{"9"}},
		{"filtered", `"KeyConditionExpression":"id = :a AND #at >= :n","FilterExpression":"v <> :ten","ExpressionAttributeValues":{":a":{"S":"a"},":n":{"N":"9"},":ten":{"N":"10"}},"Limit":1`, []string{"9", "9.5", "100", "10000000000"}},
		{"nobody", `"KeyConditionExpression":"id = :a AND #at > :n","ExpressionAttributeValues":{":a":{"S":"c"},":n":{"N":"0"}}`, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, query(tt.extra)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestIndexQueryPages pages through an index whose keys repeat.
func TestIndexQueryPages(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	fill(t, c, 40)
	in := &dynamodb.QueryInput{
		TableName: aws.String("leases"), IndexName: aws.String(ownerIndexName), Limit: aws.Int32(3),
		KeyConditionExpression: aws.String("leaseOwner = :o AND begins_with(leaseKey, :s)"), ExpressionAttributeValues: item{":o": str("worker-1"), ":s": str("shard-0")},
	}
	var keys []string
	for p := dynamodb.NewQueryPaginator(c, in); p.HasMorePages(); {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, keysOf(out.Items)...)
	}
	var want []string
	for i := range 40 {
		if i%3 == 1 && i%5 != 4 {
			want = append(want, fmt.Sprintf("shard-%03d", i))
		}
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("leases of worker-1 (-want +got):\n%s", diff)
	}
}

func TestReadRefusals(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	mustCall(t, s, "PutItem", `{"TableName":"leases","Item":{"leaseKey":{"S":"k"},"leaseOwner":{"S":"w"}}}`)
	const owner = `"ExpressionAttributeValues":{":o":{"S":"w"}},"KeyConditionExpression":"leaseOwner = :o","IndexName":"LeaseOwnerToLeaseKeyIndex"`
	const key = `"ExpressionAttributeValues":{":o":{"S":"w"}},"KeyConditionExpression":"leaseKey = :o"`
	tests := []struct{ name, op, rest, text string }{
		{"missing index", "Scan", `"IndexName":"whatever"`, "The table does not have the specified index: whatever"},
		{"consistent index", "Query", owner + `,"ConsistentRead":true`, "Consistent reads are not supported on global secondary indexes"},
		{"all of an index of keys", "Query", owner + `,"Select":"ALL_ATTRIBUTES"`, "Select type ALL_ATTRIBUTES is not supported for global secondary index LeaseOwnerToLeaseKeyIndex because its projection type is not ALL"},
		{"not projected", "Query", owner + `,"ProjectionExpression":"checkpoint"`, "Global secondary index LeaseOwnerToLeaseKeyIndex does not project [checkpoint]"},
		{"projected without index", "Scan", `"Select":"ALL_PROJECTED_ATTRIBUTES"`, "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"},
		{"specific without projection", "Scan", `"Select":"SPECIFIC_ATTRIBUTES"`, "Must specify the ProjectionExpression"},
		{"count with projection", "Scan", `"Select":"COUNT","ProjectionExpression":"a"`, "Cannot specify the ProjectionExpression when choosing to get COUNT"},
		{"count with attributes", "Scan", `"Select":"COUNT","AttributesToGet":["a"]`, "Cannot specify the AttributesToGet when choosing to get COUNT"},
		{"limit 0", "Scan", `"Limit":0`, "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"segment alone", "Scan", `"Segment":0`, "The TotalSegments parameter is required"},
		{"total alone", "Scan", `"TotalSegments":2`, "The Segment parameter is required"},
		{"segment too high", "Scan", `"Segment":2,"TotalSegments":2`, "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2"},
		{"start of a wrong shape", "Scan", `"ExclusiveStartKey":{"a":{"S":"x"}}`, "The provided starting key is invalid"},
		{"start too big", "Scan", `"ExclusiveStartKey":{"leaseKey":{"S":"k"},"leaseOwner":{"S":"w"}}`, "The provided starting key is invalid"},
		{"start outside the query", "Query", key + `,"ExclusiveStartKey":{"leaseKey":{"S":"other"}}`, "The provided starting key is outside query boundaries based on provided conditions"},
		{"start of another segment", "Scan", `"Segment":%d,"TotalSegments":2,"ExclusiveStartKey":{"leaseKey":{"S":"k"}}`, "Please use ExclusiveStartKey with correct Segment."},
		{"no condition", "Query", `"Limit":1`, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."},
		{"filter on the key", "Query", key + `,"FilterExpression":"leaseKey <> :o"`, "Filter Expression can only contain non-primary key attributes: Primary key attribute: leaseKey"},
		{"wrong key", "Query", `"ExpressionAttributeValues":{":o":{"S":"w"}},"KeyConditionExpression":"leaseOwner = :o"`, "Query condition missed key schema element: leaseKey"},
		{"wrong type", "Query", `"ExpressionAttributeValues":{":o":{"N":"1"}},"KeyConditionExpression":"leaseKey = :o"`, "Condition parameter type does not match schema type"},
		{"values without expression", "Scan", `"ExpressionAttributeValues":{":o":{"N":"1"}}`, "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null"},
		{"unknown member", "Scan", `"Whatever":["a"]`, "Scan: not implemented by this server: Whatever"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rests := []string{tt.rest}
			if strings.Contains(tt.rest, "%d") { // the key lies in one of the two
				rests = []string{fmt.Sprintf(tt.rest, 0), fmt.Sprintf(tt.rest, 1)}
			}
			var texts []string
			for _, rest := range rests {
				if _, failure := call(t, s, tt.op, `{"TableName":"leases",`+rest+`}`); failure != nil && failure.Code == "ValidationException" {
					texts = append(texts, failure.Message)
				}
			}
			if len(texts) != 1 || !strings.Contains(texts[0], tt.text) {
				t.Errorf("errors = %q, want one with %q", texts, tt.text)
			}
		})
	}
}

func TestLocalIndex(t *testing.T) {
	t.Parallel()
	c, s := newClient(t)
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("local"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attrS("id"), attrN("at"), attrS("tag")},
		KeySchema:            []types.KeySchemaElement{hash("id"), rng("at")},
		LocalSecondaryIndexes: []types.LocalSecondaryIndex{{
			IndexName: aws.String("byTag"), KeySchema: []types.KeySchemaElement{hash("id"), rng("tag")},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"x"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range []string{
		`{"id":{"S":"a"},"at":{"N":"1"},"tag":{"S":"z"},"x":{"N":"1"},"y":{"N":"1"}}`,
		`{"id":{"S":"a"},"at":{"N":"2"},"tag":{"S":"b"},"x":{"N":"2"},"y":{"N":"2"}}`,
		`{"id":{"S":"a"},"at":{"N":"3"},"x":{"N":"3"}}`,
	} {
		mustCall(t, s, "PutItem", `{"TableName":"local","Item":`+it+`}`)
	}
	got := mustCall(t, s, "Query", `{"TableName":"local","IndexName":"byTag","ConsistentRead":true,"KeyConditionExpression":"id = :a","ExpressionAttributeValues":{":a":{"S":"a"}}}`)
	want := `{"Count":2,"ScannedCount":2,"Items":[{"id":{"S":"a"},"at":{"N":"2"},"tag":{"S":"b"},"x":{"N":"2"}},{"id":{"S":"a"},"at":{"N":"1"},"tag":{"S":"z"},"x":{"N":"1"}}]}`
	if diff := sameJSON(t, got, want); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	got = mustCall(t, s, "Query", `{"TableName":"local","IndexName":"byTag","Select":"ALL_ATTRIBUTES","Limit":1,"KeyConditionExpression":"id = :a","ExpressionAttributeValues":{":a":{"S":"a"}}}`)
	want = `{"Count":1,"ScannedCount":1,"Items":[{"id":{"S":"a"},"at":{"N":"2"},"tag":{"S":"b"},"x":{"N":"2"},"y":{"N":"2"}}],"LastEvaluatedKey":{"id":{"S":"a"},"at":{"N":"2"},"tag":{"S":"b"}}}`
	if diff := sameJSON(t, got, want); diff != "" {
		t.Errorf("query of all (-want +got):\n%s", diff)
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	var ops []string
	c, s := newClient(t, func(o *dynamo.Options) { o.Applied = func(a dynamo.Applied) { ops = append(ops, a.Op) } })
	leaseTable(t, c, "leases")
	batch := func(n int) error {
		var reqs []types.WriteRequest
		for i := range n {
			reqs = append(reqs, types.WriteRequest{PutRequest: &types.PutRequest{Item: newLease(fmt.Sprintf("shard-%03d", i), "", i)}})
		}
		out, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"leases": reqs}})
		if err == nil && len(out.UnprocessedItems) != 0 {
			t.Errorf("unprocessed: %v", out.UnprocessedItems)
		}
		return err
	}
	if err := batch(26); code(err) != "ValidationException" {
		t.Errorf("26 writes = %v, want ValidationException", err)
	}
	if err := batch(25); err != nil {
		t.Fatal(err)
	}
	for name, reqs := range map[string]string{
		"one row twice":      `[{"PutRequest":{"Item":{"leaseKey":{"S":"a"}}}},{"DeleteRequest":{"Key":{"leaseKey":{"S":"a"}}}}]`,
		"a bad row":          `[{"PutRequest":{"Item":{"leaseKey":{"S":"a"}}}},{"PutRequest":{"Item":{"x":{"S":"a"}}}}]`,
		"neither":            `[{}]`,
		"both":               `[{"PutRequest":{"Item":{"leaseKey":{"S":"a"}}},"DeleteRequest":{"Key":{"leaseKey":{"S":"b"}}}}]`,
		"a condition":        `[{"PutRequest":{"Item":{"leaseKey":{"S":"a"}},"ConditionExpression":"attribute_exists(a)"}}]`,
		"an unknown request": `[{"UpdateRequest":{"Key":{"leaseKey":{"S":"a"}}}}]`,
		"nothing":            `[]`,
	} {
		if out, failure := call(t, s, "BatchWriteItem", `{"RequestItems":{"leases":`+reqs+`}}`); failure == nil || failure.Code != "ValidationException" {
			t.Errorf("%s = %s, %v, want ValidationException", name, out, failure)
		}
	}
	if len(ops) != 25 || ops[0] != "BatchWriteItem" {
		t.Errorf("%d applied writes, want 25 BatchWriteItem: a refused batch changes nothing", len(ops))
	}
	got := mustCall(t, s, "BatchGetItem", `{"RequestItems":{"leases":{"Keys":[{"leaseKey":{"S":"shard-001"}},{"leaseKey":{"S":"missing"}}],"ProjectionExpression":"leaseCounter","ConsistentRead":true}}}`)
	if diff := sameJSON(t, got, `{"Responses":{"leases":[{"leaseCounter":{"N":"1"}}]},"UnprocessedKeys":{}}`); diff != "" {
		t.Errorf("batch get (-want +got):\n%s", diff)
	}
	mustCall(t, s, "BatchWriteItem", `{"RequestItems":{"leases":[{"DeleteRequest":{"Key":{"leaseKey":{"S":"shard-001"}}}}]}}`)
	if items, err := s.Items("leases"); err != nil || len(items) != 24 {
		t.Errorf("%d rows, %v, want 24", len(items), err)
	}
}
