package dynamo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

func provisioned(o *dynamo.Options) { o.Limits.Provisioned = true }

// slowTable makes a table of the given units for both directions.
func slowTable(t *testing.T, c *dynamodb.Client, name string, units int64) {
	t.Helper()
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, AttributeDefinitions: []types.AttributeDefinition{attrS("id")}, KeySchema: []types.KeySchemaElement{hash("id")},
		ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: &units, WriteCapacityUnits: &units},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func putID(t *testing.T, c *dynamodb.Client, table, id string) error {
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item{"id": str(id)}})
	return err
}

// passed counts the puts of n that are not throttled.
func passed(t *testing.T, c *dynamodb.Client, table string, n int) int {
	t.Helper()
	ok := 0
	for i := range n {
		err := putID(t, c, table, fmt.Sprint("k", i))
		switch code(err) {
		case "":
			ok++
		case "ProvisionedThroughputExceededException":
		default:
			t.Fatal(err)
		}
	}
	return ok
}

func TestProvisionedTableThrottles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, provisioned)
		slowTable(t, c, "slow", 1)
		if got := passed(t, c, "slow", 600); got != 300 {
			t.Errorf("at once %d writes passed, want the burst of 300", got)
		}
		time.Sleep(10 * time.Second)
		if got := passed(t, c, "slow", 100); got != 10 {
			t.Errorf("after 10 s %d writes passed, want 10", got)
		}
		var refused *types.ProvisionedThroughputExceededException
		err := putID(t, c, "slow", "x")
		if !errors.As(err, &refused) {
			t.Fatalf("error = %v, want ProvisionedThroughputExceededException", err)
		}
		if got, want := refused.ErrorMessage(), "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API."; got != want {
			t.Errorf("message = %q, want %q", got, want)
		}
		if r := refused.ThrottlingReasons; len(r) != 1 || *r[0].Reason != "TableWriteProvisionedThroughputExceeded" || !strings.HasSuffix(*r[0].Resource, ":table/slow") {
			t.Errorf("reasons = %+v, want TableWriteProvisionedThroughputExceeded of the table", r)
		}
		// Reads have units of their own, and a table with more of them recovers.
		if _, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("slow"), Key: item{"id": str("k0")}}); err != nil {
			t.Errorf("read of a table without write units = %v", err)
		}
		_, err = c.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("slow"), BillingMode: types.BillingModePayPerRequest})
		if err != nil {
			t.Fatal(err)
		}
		if got := passed(t, c, "slow", 1000); got != 1000 {
			t.Errorf("on demand %d writes of 1000 passed", got)
		}
	})
}

func TestReadsOfProvisionedTableThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, provisioned)
		slowTable(t, c, "slow", 1)
		read := func() error {
			_, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("slow"), ConsistentRead: aws.Bool(true)})
			return err
		}
		for range 300 {
			if err := read(); err != nil {
				t.Fatal(err)
			}
		}
		if err := read(); code(err) != "ProvisionedThroughputExceededException" {
			t.Errorf("scan above the burst = %v, want ProvisionedThroughputExceededException", err)
		}
		out, err := c.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"slow": {Keys: []item{{"id": str("a")}}}}})
		if code(err) != "ProvisionedThroughputExceededException" {
			t.Errorf("batch of which nothing is read = %v, %v, want ProvisionedThroughputExceededException", out, err)
		}
	})
}

func TestThrottlingIsSwitchedOff(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	slowTable(t, c, "slow", 1)
	if got := passed(t, c, "slow", 600); got != 600 {
		t.Errorf("%d writes passed, want all 600", got)
	}
}

func TestHotKeyThrottles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, func(o *dynamo.Options) { o.Limits.KeyReadUnits, o.Limits.KeyWriteUnits = 3000, 1000 })
		leaseTable(t, c, "leases")
		put := func(key string) error {
			_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("leases"), Item: item{"leaseKey": str(key), "x": str(strings.Repeat("x", 100<<10))}})
			return err
		}
		n := 0
		var err error
		for ; err == nil && n < 100; n++ {
			err = put("hot")
		}
		if n != 51 || code(err) != "ThrottlingException" { // 101 units each, 5000 at once
			t.Errorf("write %d = %v, want ThrottlingException at the 51st", n, err)
		}
		if err := put("cold"); err != nil {
			t.Errorf("write of another key = %v", err)
		}
		time.Sleep(time.Second)
		if err := put("hot"); err != nil {
			t.Errorf("write after a second = %v", err)
		}
	})
}

// TestBatchLeavesWhatIsThrottled fills a batch with rows of a hot key.
func TestBatchLeavesWhatIsThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := newClient(t, provisioned)
		slowTable(t, c, "slow", 1)
		passed(t, c, "slow", 290)
		var writes []types.WriteRequest
		for i := range 25 {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: item{"id": str(fmt.Sprintf("batch-%02d", i))}}})
		}
		in := &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"slow": writes}, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal}
		out, err := c.BatchWriteItem(t.Context(), in)
		if err != nil || len(out.UnprocessedItems["slow"]) != 15 || *out.ConsumedCapacity[0].CapacityUnits != 10 {
			t.Fatalf("batch = %+v, %v, want 15 of 25 unprocessed and 10 units", out, err)
		}
		if _, err := c.BatchWriteItem(t.Context(), in); code(err) != "ProvisionedThroughputExceededException" {
			t.Errorf("batch of which nothing is stored = %v, want ProvisionedThroughputExceededException", err)
		}
		time.Sleep(15 * time.Second)
		in.RequestItems = out.UnprocessedItems
		if out, err = c.BatchWriteItem(t.Context(), in); err != nil || len(out.UnprocessedItems) != 0 {
			t.Errorf("rest of the batch = %+v, %v, want it stored", out, err)
		}
		if items := must(s.Items("slow")); len(items) != 290+25 {
			t.Errorf("%d rows, want 315", len(items))
		}
	})
}

func TestThrottledTransactionIsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, provisioned)
		slowTable(t, c, "slow", 1)
		slowTable(t, c, "fast", 100)
		passed(t, c, "slow", 300)
		put := func(table string) types.TransactWriteItem {
			return types.TransactWriteItem{Put: &types.Put{TableName: &table, Item: item{"id": str("x")}}}
		}
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{put("fast"), put("slow")}})
		var cancelled *types.TransactionCanceledException
		if !errors.As(err, &cancelled) {
			t.Fatalf("error = %v, want TransactionCanceledException", err)
		}
		var codes []string
		for _, r := range cancelled.CancellationReasons {
			codes = append(codes, *r.Code)
		}
		if diff := cmp.Diff([]string{"None", "ProvisionedThroughputExceeded"}, codes); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
	})
}

// TestThrottledTransactionCostsNothing sends a transaction again and again, more
// often than there are units for it.
func TestThrottledTransactionCostsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, provisioned)
		slowTable(t, c, "slow", 1)
		passed(t, c, "slow", 300)
		in := &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Put: &types.Put{TableName: aws.String("slow"), Item: item{"id": str("x")}}}}}
		for range 20 {
			in.ClientRequestToken = nil
			if _, err := c.TransactWriteItems(t.Context(), in); code(err) != "TransactionCanceledException" {
				t.Fatalf("transaction without units = %v, want TransactionCanceledException", err)
			}
		}
		time.Sleep(time.Second)
		in.ClientRequestToken = nil
		if _, err := c.TransactWriteItems(t.Context(), in); err != nil {
			t.Errorf("transaction after a second = %v", err)
		}
	})
}

// TestReadsOfTransactionsCostTwice counts how many pass at once.
func TestReadsOfTransactionsCostTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, provisioned)
		slowTable(t, c, "slow", 1)
		n := 0
		for ; n < 400; n++ {
			_, err := c.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{{Get: &types.Get{TableName: aws.String("slow"), Key: item{"id": str("x")}}}}})
			if code(err) == "TransactionCanceledException" {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n != 150 {
			t.Errorf("at once %d reads passed, want 150, which use the burst of 300 units", n)
		}
	})
}

// TestIndexHoldsBackItsTable writes to a table whose index has fewer units.
func TestIndexHoldsBackItsTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, provisioned)
		units := func(n int64) *types.ProvisionedThroughput {
			return &types.ProvisionedThroughput{ReadCapacityUnits: &n, WriteCapacityUnits: &n}
		}
		ix := ownerIndex()
		ix.ProvisionedThroughput = units(1)
		_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String("leases"), ProvisionedThroughput: units(1000), KeySchema: []types.KeySchemaElement{hash("leaseKey")},
			AttributeDefinitions: []types.AttributeDefinition{attrS("leaseKey"), attrS("leaseOwner")}, GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{ix},
		})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; err == nil && n < 400; n++ {
			_, err = c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("leases"), Item: newLease(fmt.Sprint(n), "worker-A", 0)})
		}
		if n != 301 || !strings.Contains(message(err), "one or more global secondary indexes") {
			t.Errorf("put %d = %v, want the 301st to be held back by the index", n, err)
		}
	})
}

func TestOnDemandCeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t)
		out, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String("capped"), BillingMode: types.BillingModePayPerRequest, KeySchema: []types.KeySchemaElement{hash("id")},
			AttributeDefinitions: []types.AttributeDefinition{attrS("id")}, OnDemandThroughput: &types.OnDemandThroughput{MaxWriteRequestUnits: aws.Int64(10)},
		})
		if err != nil || *out.TableDescription.OnDemandThroughput.MaxWriteRequestUnits != 10 || *out.TableDescription.OnDemandThroughput.MaxReadRequestUnits != -1 {
			t.Fatalf("table = %+v, %v, want a ceiling of 10 write units", out, err)
		}
		n := 0
		for ; err == nil && n < 100; n++ {
			err = putID(t, c, "capped", fmt.Sprint(n))
		}
		var refused *types.ThrottlingException
		if n != 51 || !errors.As(err, &refused) || *refused.ThrottlingReasons[0].Reason != "TableWriteMaxOnDemandThroughputExceeded" {
			t.Errorf("put %d = %v, want ThrottlingException at the 51st", n, err)
		}
	})
}
