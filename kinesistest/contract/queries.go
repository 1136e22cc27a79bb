package contract

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var queryChecks = []Check{
	{ID: "D.consistentread", Source: ddb("GetItem"),
		Says: "a consistent read sees every write before it",
		Run:  consistentRead},
	{ID: "D.scan.paging", Source: ddb("Scan"),
		Says: "Limit pages a scan, LastEvaluatedKey goes on",
		Run:  scanPaging},
	{ID: "D.scan.filter", Source: ddb("Scan"),
		Says: "a filter applies behind the limit",
		Run:  scanFilter},
	{ID: "D.scan.segments", Source: ddb("Scan"),
		Says: "the segments of a scan are disjoint and complete",
		Run:  scanSegments},
	{ID: "D.scan.projection", Source: ddb("Scan"),
		Says: "a projection shows the attributes asked for",
		Run:  scanProjection},
	{ID: "D.query.gsi", Source: ddb("Query"),
		Says: "an index is sparse, shows what it projects, and takes no consistent read",
		Run:  queryIndex},
	{ID: "D.query.gsi_follows_update", Source: ddb("Query"),
		Says: "an index follows the rows",
		Run:  queryIndexFollows},
}

// scan reads all pages of a scan.
func (e *Env) scan(ctx context.Context, in *dynamodb.ScanInput) ([]attributes, error) {
	var all []attributes
	for {
		out, err := e.DynamoDB.Scan(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("Scan: %w", err)
		}
		all = append(all, out.Items...)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(out.LastEvaluatedKey) == 0 {
			return all, nil
		}
	}
}

// keys returns the keys of rows, sorted.
func keys(rows []attributes) []string {
	var out []string
	for _, r := range rows {
		if k, ok := r["leaseKey"].(*types.AttributeValueMemberS); ok {
			out = append(out, k.Value)
		}
	}
	slices.Sort(out)
	return out
}

// rows makes a table with n rows, key 00 and so on, n a counter.
func (e *Env) rows(ctx context.Context, n int) (table string, keys []string, err error) {
	if table, err = e.table(ctx); err != nil {
		return
	}
	for i := range n {
		key := fmt.Sprintf("%02d", i)
		keys = append(keys, key)
		if err = e.putRow(ctx, table, row("leaseKey", key, "n", fmt.Sprint(i))); err != nil {
			return
		}
	}
	return
}

func consistentRead(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	for i := range 100 {
		want := row("leaseKey", "a", "n", fmt.Sprint(i))
		if err := e.putRow(ctx, table, want); err != nil {
			return err
		}
		if err := e.is(ctx, table, "a", want); err != nil {
			return err
		}
	}
	return nil
}

func scanPaging(ctx context.Context, e *Env) error {
	table, want, err := e.rows(ctx, 57)
	if err != nil {
		return err
	}
	in := &dynamodb.ScanInput{TableName: &table, Limit: aws.Int32(10)}
	var all []attributes
	for page := range 8 {
		out, err := e.DynamoDB.Scan(ctx, in)
		if err != nil {
			return err
		}
		if len(out.Items) > 10 || page < 5 && len(out.Items) != 10 {
			return fmt.Errorf("page %d of 10 has %d rows", page, len(out.Items))
		}
		all = append(all, out.Items...)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(out.LastEvaluatedKey) == 0 {
			break
		}
	}
	if got := keys(all); !slices.Equal(got, want) {
		return fmt.Errorf("the pages have %v", got)
	}
	return nil
}

// The limit counts the rows read, not those the filter lets through.
func scanFilter(ctx context.Context, e *Env) error {
	table, _, err := e.rows(ctx, 20)
	if err != nil {
		return err
	}
	in := &dynamodb.ScanInput{TableName: &table, Limit: aws.Int32(5), FilterExpression: aws.String("n < :three"),
		ExpressionAttributeValues: attributes{":three": num("3")}}
	out, err := e.DynamoDB.Scan(ctx, in)
	if err != nil {
		return err
	}
	if out.ScannedCount != 5 || int(out.Count) != len(out.Items) || len(out.LastEvaluatedKey) == 0 {
		return fmt.Errorf("ScannedCount %d, Count %d of %d, last key %v", out.ScannedCount, out.Count, len(out.Items), out.LastEvaluatedKey)
	}
	all, err := e.scan(ctx, in)
	if got := keys(all); err != nil || !slices.Equal(got, []string{"00", "01", "02"}) {
		return fmt.Errorf("n < 3 gives %v, %v", got, err)
	}
	return nil
}

func scanSegments(ctx context.Context, e *Env) error {
	table, want, err := e.rows(ctx, 40)
	if err != nil {
		return err
	}
	var all []attributes
	for i := range int32(4) {
		rows, err := e.scan(ctx, &dynamodb.ScanInput{TableName: &table, Segment: &i, TotalSegments: aws.Int32(4), Limit: aws.Int32(3)})
		if err != nil {
			return err
		}
		all = append(all, rows...)
	}
	if got := keys(all); !slices.Equal(got, want) {
		return fmt.Errorf("four segments have %v", got)
	}
	_, err = e.DynamoDB.Scan(ctx, &dynamodb.ScanInput{TableName: &table, Segment: aws.Int32(4), TotalSegments: aws.Int32(4)})
	return refused("segment 4 of 4", err, validation)
}

func scanProjection(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "a", "x", "1", "y", "2")); err != nil {
		return err
	}
	rows, err := e.scan(ctx, &dynamodb.ScanInput{TableName: &table, ProjectionExpression: aws.String("leaseKey, #y"),
		ExpressionAttributeNames: map[string]string{"#y": "y"}})
	if err != nil || len(rows) != 1 {
		return fmt.Errorf("%d rows, %v", len(rows), err)
	}
	return same("the projection", rows[0], row("leaseKey", "a", "y", "2"))
}

// owned returns the keys that the index has for an owner, in its order.
func (e *Env) owned(ctx context.Context, table, owner string) ([]string, error) {
	in := &dynamodb.QueryInput{TableName: &table, IndexName: aws.String(byOwner), KeyConditionExpression: aws.String("leaseOwner = :w"),
		ExpressionAttributeValues: attributes{":w": str(owner)}, Limit: aws.Int32(2)}
	var out []string
	for {
		page, err := e.DynamoDB.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("Query: %w", err)
		}
		for _, it := range page.Items {
			if len(it) != 2 {
				return nil, fmt.Errorf("an index of keys has %s", show(it))
			}
			out = append(out, keys([]attributes{it})...)
		}
		if in.ExclusiveStartKey = page.LastEvaluatedKey; len(page.LastEvaluatedKey) == 0 {
			return out, nil
		}
	}
}

// ownedAre waits until the index, which follows its table, has the keys.
func (e *Env) ownedAre(ctx context.Context, table, owner string, want ...string) error {
	var got []string
	err := until(ctx, "index", func() (ok bool, err error) {
		got, err = e.owned(ctx, table, owner)
		return slices.Equal(got, want), err
	})
	if err != nil {
		return fmt.Errorf("%w: %s owns %v, want %v", err, owner, got, want)
	}
	return nil
}

func queryIndex(ctx context.Context, e *Env) error {
	table, _, err := e.rows(ctx, 3) // without an owner: not in the index
	if err != nil {
		return err
	}
	var want []string
	for i := range 5 {
		key := fmt.Sprint("owned ", i)
		want = append(want, key)
		if err := e.putRow(ctx, table, row("leaseKey", key, "leaseOwner", "w", "n", "1")); err != nil {
			return err
		}
	}
	if err := e.putRow(ctx, table, row("leaseKey", "other", "leaseOwner", "v")); err != nil {
		return err
	}
	if err := e.ownedAre(ctx, table, "w", want...); err != nil {
		return err
	}
	in := &dynamodb.QueryInput{TableName: &table, IndexName: aws.String(byOwner), KeyConditionExpression: aws.String("leaseOwner = :w"),
		ExpressionAttributeValues: attributes{":w": str("w")}, ConsistentRead: aws.Bool(true)}
	_, err = e.DynamoDB.Query(ctx, in)
	if err := refused("ConsistentRead on an index", err, validation); err != nil {
		return err
	}
	in.ConsistentRead, in.IndexName = nil, aws.String("NoIndex")
	_, err = e.DynamoDB.Query(ctx, in)
	return refused("an index that is none", err, validation, notFound)
}

func queryIndexFollows(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	for _, key := range []string{"a", "b", "c"} {
		if err := e.putRow(ctx, table, row("leaseKey", key, "leaseOwner", "w")); err != nil {
			return err
		}
	}
	update := func(key, expression string, values attributes) error {
		_, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", key),
			UpdateExpression: &expression, ExpressionAttributeValues: values})
		return err
	}
	if err := update("a", "SET leaseOwner = :v", attributes{":v": str("v")}); err != nil {
		return err
	}
	if err := update("b", "REMOVE leaseOwner", nil); err != nil {
		return err
	}
	if err := e.ownedAre(ctx, table, "w", "c"); err != nil {
		return err
	}
	if err := e.ownedAre(ctx, table, "v", "a"); err != nil {
		return err
	}
	if _, err := e.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: row("leaseKey", "a")}); err != nil {
		return err
	}
	return e.ownedAre(ctx, table, "v")
}
