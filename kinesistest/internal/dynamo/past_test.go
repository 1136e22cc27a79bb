package dynamo_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

func TestIndexLags(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, func(o *dynamo.Options) { o.IndexLag = time.Second })
		leaseTable(t, c, "leases")
		want := func(owner string, keys ...string) {
			t.Helper()
			if diff := cmp.Diff(keys, leasesOf(t, c, owner)); diff != "" {
				t.Errorf("leases of %s (-want +got):\n%s", owner, diff)
			}
		}
		putLease(t, c, newLease("a", "worker-A", 0))
		want("worker-A")
		time.Sleep(600 * time.Millisecond)
		putLease(t, c, newLease("a", "worker-B", 1))
		putLease(t, c, newLease("b", "worker-A", 1))
		time.Sleep(600 * time.Millisecond)
		want("worker-A", "a")
		want("worker-B")
		time.Sleep(600 * time.Millisecond)
		want("worker-A", "b")
		want("worker-B", "a")
		// The table is as fresh as ever.
		putLease(t, c, newLease("c", "worker-A", 0))
		out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("leases")})
		if err != nil || out.Count != 3 {
			t.Errorf("scan = %v, %v, want 3 rows", out, err)
		}
		// An index that is made later has what the table held, at once.
		if _, err := c.UpdateTable(t.Context(), addIndex("later", "checkpoint")); err != nil {
			t.Fatal(err)
		}
		if out, err = c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("leases"), IndexName: aws.String("later")}); err != nil || out.Count != 3 {
			t.Errorf("scan of the new index = %v, %v, want 3 rows", out, err)
		}
	})
}

func TestReadsShowThePast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, func(o *dynamo.Options) { o.ReadLag, o.ReadLagProbability = time.Second, 1 })
		leaseTable(t, c, "leases")
		putLease(t, c, newLease("a", "worker-A", 0))
		putLease(t, c, newLease("b", "worker-A", 0))
		time.Sleep(2 * time.Second)
		putLease(t, c, newLease("a", "worker-A", 1))
		time.Sleep(500 * time.Millisecond)
		putLease(t, c, newLease("a", "worker-A", 2))
		putLease(t, c, newLease("c", "worker-A", 2))
		if _, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("leases"), Key: item{"leaseKey": str("b")}}); err != nil {
			t.Fatal(err)
		}
		wantRows(t, c, true, "a:2 c:2")
		wantRows(t, c, false, "a:0 b:0")
		time.Sleep(600 * time.Millisecond)
		wantRows(t, c, false, "a:1 b:0")
		time.Sleep(500 * time.Millisecond)
		wantRows(t, c, false, "a:2 c:2")
	})
}

// wantRows reads the rows in four ways and compares them with key:counter.
func wantRows(t *testing.T, c *dynamodb.Client, consistent bool, want string) {
	t.Helper()
	got := map[string]string{}
	add := func(way string, it item) {
		if it != nil {
			got[way] += fmt.Sprintf(" %s:%s", it["leaseKey"].(*types.AttributeValueMemberS).Value, it["leaseCounter"].(*types.AttributeValueMemberN).Value)
		}
	}
	ctx, table := t.Context(), aws.String("leases")
	for _, k := range []string{"a", "b", "c"} {
		out := must(c.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: item{"leaseKey": str(k)}, ConsistentRead: &consistent}))
		add("get", out.Item)
		query := must(c.Query(ctx, &dynamodb.QueryInput{TableName: table, KeyConditionExpression: aws.String("leaseKey = :k"), ExpressionAttributeValues: item{":k": str(k)}, ConsistentRead: &consistent}))
		for _, it := range query.Items {
			add("query", it)
		}
		batch := must(c.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"leases": {Keys: []item{{"leaseKey": str(k)}}, ConsistentRead: &consistent}}}))
		for _, it := range batch.Responses["leases"] {
			add("batch", it)
		}
	}
	scan := must(c.Scan(ctx, &dynamodb.ScanInput{TableName: table, ConsistentRead: &consistent}))
	byKey := map[string]item{}
	for _, it := range scan.Items {
		byKey[it["leaseKey"].(*types.AttributeValueMemberS).Value] = it
	}
	for _, k := range []string{"a", "b", "c"} {
		add("scan", byKey[k])
	}
	for _, way := range []string{"get", "query", "batch", "scan"} {
		if got[way] != " "+want {
			t.Errorf("consistent %t, %s = %q, want %q", consistent, way, got[way], " "+want)
		}
	}
}

// TestSomeReadsShowThePast checks that chance follows the probability and
// repeats with the seed.
func TestSomeReadsShowThePast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		run := func(seed uint64) (stale string, n int) {
			c, _ := newClient(t, func(o *dynamo.Options) {
				o.ReadLag, o.ReadLagProbability, o.ReadLagSeed = time.Minute, 0.25, seed
			})
			leaseTable(t, c, "leases")
			putLease(t, c, newLease("a", "worker-A", 0))
			for range 400 {
				out := must(c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("leases"), Key: item{"leaseKey": str("a")}}))
				if out.Item == nil {
					stale, n = stale+"x", n+1
				} else {
					stale += "."
				}
			}
			return stale, n
		}
		first, n := run(7)
		again, _ := run(7)
		other, _ := run(8)
		if n < 70 || n > 130 {
			t.Errorf("%d of 400 reads show the past, want about 100", n)
		}
		if first != again || first == other {
			t.Error("reads do not repeat with the seed, or do not depend on it")
		}
	})
}
