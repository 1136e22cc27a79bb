package contract

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var pageChecks = []Check{
	{ID: "D.query.range", Source: ddb("Query"),
		Says: "a query picks rows by conditions on the range key, numbers in their order, either way round",
		Run:  queryRange},
	{ID: "D.query.refused", Source: ddb("Query"),
		Says: "a query names the whole hash key, one condition for the range key, and filters by neither",
		Run:  queryRefused},
	{ID: "D.query.lastpage", Source: ddb("Query"),
		Says: "a page that Limit ends has a LastEvaluatedKey, also if nothing is behind it; the empty page then has none",
		Run:  queryLastPage},
	{ID: "D.query.count", Source: ddb("Query"),
		Says: "Select COUNT counts what passes the filter, and ScannedCount what was read",
		Run:  queryCount},
	{ID: "D.scan.1MB", Source: ddb("Scan"),
		Says: "a page ends at 1 MB of rows, before the filter",
		Run:  scanMegabyte},
	{ID: "D.scan.segment_refused", Source: ddb("Scan"),
		Says: "Segment is below TotalSegments, and neither is there without the other",
		Run:  scanSegmentRefused},
	{ID: "D.item.size", Source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html",
		Says: "a row has 400 KB with the names of its attributes, its hash key 2048 bytes and at least one",
		Run:  itemSize},
	{ID: "D.capacity", Source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html",
		Says: "a unit writes 1 KB or reads 4 KB, 8 KB where the read may be stale; transactions use twice that",
		Run:  capacity},
}

// ranged makes a table with a hash key h and a range key r, a number, and the
// rows r = 0 to n-1 of h = a. Every other one is odd.
func (e *Env) ranged(ctx context.Context, n int) (string, error) {
	name := e.name()
	_, err := e.DynamoDB.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attribute("h"), {AttributeName: aws.String("r"), AttributeType: types.ScalarAttributeTypeN}},
		KeySchema:            []types.KeySchemaElement{hashKey("h"), rangeKey("r")},
	})
	if err != nil {
		return "", fmt.Errorf("CreateTable: %w", err)
	}
	if err := e.tableActive(ctx, name); err != nil {
		return "", err
	}
	for i := range n {
		if err := e.putRow(ctx, name, attributes{"h": str("a"), "r": num(fmt.Sprint(i)), "odd": num(fmt.Sprint(i % 2))}); err != nil {
			return "", err
		}
	}
	return name, nil
}

// query reads the rows that condition picks.
func (e *Env) query(ctx context.Context, table, condition string, values attributes, optFns ...func(*dynamodb.QueryInput)) (*dynamodb.QueryOutput, error) {
	in := &dynamodb.QueryInput{TableName: &table, ConsistentRead: aws.Bool(true), KeyConditionExpression: &condition, ExpressionAttributeValues: values}
	for _, fn := range optFns {
		fn(in)
	}
	return e.DynamoDB.Query(ctx, in)
}

// ranges returns the range keys of rows in their order.
func ranges(rows []attributes) string {
	var out []string
	for _, r := range rows {
		if n, ok := r["r"].(*types.AttributeValueMemberN); ok {
			out = append(out, n.Value)
		}
	}
	return strings.Join(out, " ")
}

func queryRange(ctx context.Context, e *Env) error {
	table, err := e.ranged(ctx, 12)
	if err != nil {
		return err
	}
	backward := func(in *dynamodb.QueryInput) { in.ScanIndexForward = aws.Bool(false) }
	for _, tt := range []struct {
		condition string
		values    attributes
		opts      []func(*dynamodb.QueryInput)
		want      string
	}{
		{"h = :h", attributes{":h": str("a")}, nil, "0 1 2 3 4 5 6 7 8 9 10 11"},
		{"h = :h AND r = :x", attributes{":h": str("a"), ":x": num("7.0")}, nil, "7"},
		{"h = :h AND r < :x", attributes{":h": str("a"), ":x": num("2")}, nil, "0 1"},
		{"r >= :x AND h = :h", attributes{":h": str("a"), ":x": num("9")}, nil, "9 10 11"},
		{"h = :h AND r BETWEEN :x AND :y", attributes{":h": str("a"), ":x": num("8"), ":y": num("10")}, []func(*dynamodb.QueryInput){backward}, "10 9 8"},
		{"h = :h", attributes{":h": str("b")}, nil, ""},
	} {
		out, err := e.query(ctx, table, tt.condition, tt.values, tt.opts...)
		if err != nil {
			return fmt.Errorf("%s: %w", tt.condition, err)
		}
		if got := ranges(out.Items); got != tt.want || len(out.LastEvaluatedKey) != 0 {
			return fmt.Errorf("%s = %q with LastEvaluatedKey %v, want %q and none", tt.condition, got, out.LastEvaluatedKey, tt.want)
		}
	}
	return nil
}

func queryRefused(ctx context.Context, e *Env) error {
	table, err := e.ranged(ctx, 0)
	if err != nil {
		return err
	}
	filter := func(in *dynamodb.QueryInput) { in.FilterExpression = aws.String("r = :x") }
	var errs []error
	for _, tt := range []struct {
		condition string
		values    attributes
		opts      []func(*dynamodb.QueryInput)
	}{
		{"r = :x", attributes{":x": num("1")}, nil},
		{"h > :h", attributes{":h": str("a")}, nil},
		{"h = :h", attributes{":h": num("1")}, nil},
		{"h = :h", attributes{":h": str("")}, nil},
		{"h = :h OR r = :x", attributes{":h": str("a"), ":x": num("1")}, nil},
		{"h = :h AND r <> :x", attributes{":h": str("a"), ":x": num("1")}, nil},
		{"h = :h AND odd = :x", attributes{":h": str("a"), ":x": num("1")}, nil},
		{"h = :h AND r > :x AND r < :y", attributes{":h": str("a"), ":x": num("1"), ":y": num("2")}, nil},
		{"h = :h", attributes{":h": str("a"), ":x": num("1")}, []func(*dynamodb.QueryInput){filter}},
		{"h = :h", attributes{":h": str("a")}, []func(*dynamodb.QueryInput){func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(0) }}},
		{"h = :h", attributes{":h": str("a")}, []func(*dynamodb.QueryInput){func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = attributes{"h": str("a")} }}},
	} {
		_, err := e.query(ctx, table, tt.condition, tt.values, tt.opts...)
		errs = append(errs, refused(fmt.Sprintf("%s of %v", tt.condition, tt.values), err, "ValidationException"))
	}
	return errors.Join(errs...)
}

func queryLastPage(ctx context.Context, e *Env) error {
	table, err := e.ranged(ctx, 4)
	if err != nil {
		return err
	}
	four := func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(4) }
	out, err := e.query(ctx, table, "h = :h", attributes{":h": str("a")}, four)
	if err != nil {
		return err
	}
	if err := same("LastEvaluatedKey of the only rows", out.LastEvaluatedKey, attributes{"h": str("a"), "r": num("3")}); err != nil {
		return err
	}
	out, err = e.query(ctx, table, "h = :h", attributes{":h": str("a")}, four, func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = out.LastEvaluatedKey })
	if err != nil {
		return err
	}
	if out.Count != 0 || len(out.LastEvaluatedKey) != 0 {
		return fmt.Errorf("behind the last row: %d rows, LastEvaluatedKey %v", out.Count, out.LastEvaluatedKey)
	}
	return nil
}

func queryCount(ctx context.Context, e *Env) error {
	table, err := e.ranged(ctx, 7)
	if err != nil {
		return err
	}
	out, err := e.query(ctx, table, "h = :h", attributes{":h": str("a"), ":one": num("1")}, func(in *dynamodb.QueryInput) {
		in.Select, in.FilterExpression = types.SelectCount, aws.String("odd = :one")
	})
	if err != nil {
		return err
	}
	if out.Count != 3 || out.ScannedCount != 7 || len(out.Items) != 0 {
		return fmt.Errorf("count %d of %d with %d rows, want 3 of 7 and none", out.Count, out.ScannedCount, len(out.Items))
	}
	return nil
}

// scanMegabyte reads 1.5 MB of rows, none of which passes the filter.
func scanMegabyte(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	for i := range 5 {
		if err := e.putRow(ctx, table, row("leaseKey", fmt.Sprint("k", i), "filler", text(300_000))); err != nil {
			return err
		}
	}
	in := &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true), FilterExpression: aws.String("attribute_not_exists(filler)")}
	var scanned []int32
	for {
		out, err := e.DynamoDB.Scan(ctx, in)
		if err != nil {
			return err
		}
		if out.Count != 0 {
			return fmt.Errorf("%d rows passed the filter", out.Count)
		}
		scanned = append(scanned, out.ScannedCount)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(out.LastEvaluatedKey) == 0 {
			break
		}
	}
	// AWS does not say whether the row that crosses the line belongs to the page.
	if got := fmt.Sprint(scanned); got != "[3 2]" && got != "[4 1]" {
		return fmt.Errorf("pages of %v rows of 300,000 bytes, want two of 1 MB", scanned)
	}
	return nil
}

func scanSegmentRefused(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for what, in := range map[string]*dynamodb.ScanInput{
		"segment 2 of 2":      {Segment: aws.Int32(2), TotalSegments: aws.Int32(2)},
		"segment -1":          {Segment: aws.Int32(-1), TotalSegments: aws.Int32(2)},
		"segment alone":       {Segment: aws.Int32(0)},
		"total alone":         {TotalSegments: aws.Int32(2)},
		"more than 1,000,000": {Segment: aws.Int32(0), TotalSegments: aws.Int32(1_000_001)},
	} {
		in.TableName = &table
		_, err := e.DynamoDB.Scan(ctx, in)
		errs = append(errs, refused(what, err, "ValidationException"))
	}
	return errors.Join(errs...)
}

func itemSize(ctx context.Context, e *Env) error {
	table, err := e.ranged(ctx, 0)
	if err != nil {
		return err
	}
	// The number of the range key has a size that AWS tells roughly, so the rows
	// are 100 bytes off the line.
	most := 400<<10 - len("h"+"a"+"r"+"x")
	sized := func(n int) attributes { return attributes{"h": str("a"), "r": num("1"), "x": str(text(n))} }
	keyed := func(n int) attributes { return attributes{"h": str(text(n)), "r": num("1")} }
	for _, it := range []attributes{sized(most - 100), keyed(2048)} {
		if err := e.putRow(ctx, table, it); err != nil {
			return fmt.Errorf("the largest: %w", err)
		}
	}
	_, err = e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: attributes{"h": str("a"), "r": num("1")},
		UpdateExpression: aws.String("SET y = :y"), ExpressionAttributeValues: attributes{":y": str(text(100))}})
	return errors.Join(
		refused("an update beyond 400 KB", err, "ValidationException"),
		refused("a row beyond 400 KB", e.putRow(ctx, table, sized(most+1)), "ValidationException"),
		refused("a key of 2049 bytes", e.putRow(ctx, table, keyed(2049)), "ValidationException"),
		refused("an empty key", e.putRow(ctx, table, keyed(0)), "ValidationException"))
}

func capacity(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	const total = types.ReturnConsumedCapacityTotal
	used := func(c ...types.ConsumedCapacity) float64 {
		sum := 0.0
		for i := range c {
			sum += aws.ToFloat64(c[i].CapacityUnits)
		}
		return sum
	}
	key := row("leaseKey", "a")
	put, err := e.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: row("leaseKey", "a", "x", text(5000)), ReturnConsumedCapacity: total})
	if err != nil {
		return err
	}
	stale, err := e.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ReturnConsumedCapacity: total})
	if err != nil {
		return err
	}
	fresh, err := e.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: total})
	if err != nil {
		return err
	}
	missing, err := e.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: row("leaseKey", "none"), ReturnConsumedCapacity: total})
	if err != nil {
		return err
	}
	read, err := e.DynamoDB.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{ReturnConsumedCapacity: total,
		TransactItems: []types.TransactGetItem{{Get: &types.Get{TableName: &table, Key: key}}}})
	if err != nil {
		return err
	}
	wrote, err := e.DynamoDB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{ReturnConsumedCapacity: total,
		TransactItems: []types.TransactWriteItem{txPut(table, row("leaseKey", "b"), "")}})
	if err != nil {
		return err
	}
	if put.ConsumedCapacity == nil || stale.ConsumedCapacity == nil || fresh.ConsumedCapacity == nil || missing.ConsumedCapacity == nil {
		return errors.New("no ConsumedCapacity")
	}
	got := []float64{used(*put.ConsumedCapacity), used(*stale.ConsumedCapacity), used(*fresh.ConsumedCapacity), used(*missing.ConsumedCapacity),
		used(read.ConsumedCapacity...), used(wrote.ConsumedCapacity...)}
	if fmt.Sprint(got) != "[5 1 2 0.5 4 2]" {
		return fmt.Errorf("units %v, want 5 to put 5,012 bytes, 1 to read them, 2 with a consistent read, 0.5 for no row, 4 in a transaction, and 2 to put a small row there", got)
	}
	return nil
}
