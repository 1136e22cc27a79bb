package dynamo_test

import (
	"context"
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

func describe(t *testing.T, c *dynamodb.Client, name string) *types.TableDescription {
	t.Helper()
	out, err := c.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return out.Table
}

func TestCreateTableWithIndex(t *testing.T) {
	t.Parallel()
	c, s := newClient(t)
	out, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("leases"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions:   []types.AttributeDefinition{attrS("leaseKey"), attrS("leaseOwner")},
		KeySchema:              []types.KeySchemaElement{hash("leaseKey")},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{ownerIndex()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := out.TableDescription.TableStatus; got != types.TableStatusCreating {
		t.Errorf("status in the reply = %s, want CREATING", got)
	}
	d := describe(t, c, "leases")
	if d.TableStatus != types.TableStatusActive || d.GlobalSecondaryIndexes[0].IndexStatus != types.IndexStatusActive {
		t.Errorf("status = %s, index %s, want ACTIVE", d.TableStatus, d.GlobalSecondaryIndexes[0].IndexStatus)
	}
	const arn = "arn:aws:dynamodb:us-east-1:123456789012:table/leases"
	if got := *d.TableArn; got != arn {
		t.Errorf("TableArn = %s, want %s", got, arn)
	}
	if got, want := *d.GlobalSecondaryIndexes[0].IndexArn, arn+"/index/"+ownerIndexName; got != want {
		t.Errorf("IndexArn = %s, want %s", got, want)
	}
	if d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || *d.ItemCount != 0 || *d.TableSizeBytes != 0 {
		t.Errorf("description = %+v", d)
	}
	putLease(t, c, newLease("shard-0", "", 0))
	if d := describe(t, c, arn); *d.ItemCount != 1 || *d.TableSizeBytes == 0 || *d.GlobalSecondaryIndexes[0].ItemCount != 0 {
		t.Errorf("after a put: %d items, %d bytes, %d in the index", *d.ItemCount, *d.TableSizeBytes, *d.GlobalSecondaryIndexes[0].ItemCount)
	}
	if diff := cmp.Diff([]string{"leases"}, s.Tables()); diff != "" {
		t.Errorf("Tables (-want +got):\n%s", diff)
	}
}

// TestTableStates walks through every window on a fake clock.
func TestTableStates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := newClient(t, func(o *dynamo.Options) {
			o.CreateTable, o.CreateIndex, o.DeleteTable = 5*time.Second, 30*time.Second, 2*time.Second
		})
		ctx, table := t.Context(), aws.String("leases")
		leaseTable(t, c, "leases")
		wantStatus(t, c, types.TableStatusCreating)
		_, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: item{"leaseKey": str("x")}})
		if got := code(err); got != "ResourceNotFoundException" {
			t.Errorf("GetItem while CREATING = %q, want ResourceNotFoundException", got)
		}
		_, err = c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table})
		if got := code(err); got != "ResourceInUseException" {
			t.Errorf("DeleteTable while CREATING = %q, want ResourceInUseException", got)
		}
		arn := describe(t, c, "leases").TableArn
		_, err = c.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
		if got, want := message(err), "Requested resource not found: ResourcArn: "+*arn+" not found"; got != want {
			t.Errorf("TagResource while CREATING = %q, want %q", got, want)
		}
		time.Sleep(5 * time.Second)
		wantStatus(t, c, types.TableStatusActive)
		putLease(t, c, newLease("shard-0", "worker-A", 0))

		indexStates(t, c)

		if _, err := c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table}); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, c, types.TableStatusDeleting)
		_, err = c.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: newLease("x", "", 0)})
		if got := code(err); got != "ResourceNotFoundException" {
			t.Errorf("PutItem while DELETING = %q, want ResourceNotFoundException", got)
		}
		_, err = c.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: table, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{attrS("leaseKey")}, KeySchema: []types.KeySchemaElement{hash("leaseKey")},
		})
		if got, want := message(err), "Attempt to change a resource which is still in use: Table is being deleted: leases"; got != want {
			t.Errorf("CreateTable while DELETING = %q, want %q", got, want)
		}
		time.Sleep(2 * time.Second)
		_, err = c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: table})
		if got := code(err); got != "ResourceNotFoundException" || len(s.Tables()) != 0 {
			t.Errorf("DescribeTable at the end = %q, tables %v, want ResourceNotFoundException and none", got, s.Tables())
		}
		leaseTable(t, c, "leases") // the name is free again
	})
}

func wantStatus(t *testing.T, c *dynamodb.Client, want types.TableStatus) {
	t.Helper()
	if got := describe(t, c, "leases").TableStatus; got != want {
		t.Errorf("status = %s, want %s", got, want)
	}
}

// indexStates adds an index, which takes 30 seconds, to a table with one row.
func indexStates(t *testing.T, c *dynamodb.Client) {
	t.Helper()
	ctx, table := t.Context(), aws.String("leases")
	_, err := c.UpdateTable(ctx, addIndex("second", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, c, types.TableStatusUpdating)
	if ix := describe(t, c, "leases").GlobalSecondaryIndexes[1]; ix.IndexStatus != types.IndexStatusCreating || !*ix.Backfilling {
		t.Errorf("new index = %s, want CREATING and backfilling", ix.IndexStatus)
	}
	_, err = c.UpdateTable(ctx, addIndex("third", "checkpoint"))
	if got := code(err); got != "ResourceInUseException" {
		t.Errorf("UpdateTable while UPDATING = %q, want ResourceInUseException", got)
	}
	_, err = c.Scan(ctx, &dynamodb.ScanInput{TableName: table, IndexName: aws.String("second")})
	if got, want := message(err), "Cannot read from backfilling global secondary index: second"; got != want {
		t.Errorf("Scan of a new index = %q, want %q", got, want)
	}
	putLease(t, c, newLease("shard-1", "worker-A", 0)) // writes go on
	time.Sleep(30 * time.Second)
	wantStatus(t, c, types.TableStatusActive)
	out, err := c.Scan(ctx, &dynamodb.ScanInput{TableName: table, IndexName: aws.String("second")})
	if err != nil || out.Count != 2 {
		t.Errorf("Scan of the index = %v, %v, want the row of before and the row of meanwhile", out, err)
	}
	_, err = c.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: table, GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{
		{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("second")}}}})
	if err != nil {
		t.Fatal(err)
	}
	if ix := describe(t, c, "leases").GlobalSecondaryIndexes[1]; ix.IndexStatus != types.IndexStatusDeleting {
		t.Errorf("dropped index = %s, want DELETING", ix.IndexStatus)
	}
	_, err = c.Scan(ctx, &dynamodb.ScanInput{TableName: table, IndexName: aws.String("second")})
	if got, want := message(err), "The table does not have the specified index: second"; got != want {
		t.Errorf("Scan of a dropped index = %q, want %q", got, want)
	}
	time.Sleep(30 * time.Second)
}

func addIndex(name, attribute string) *dynamodb.UpdateTableInput {
	return &dynamodb.UpdateTableInput{
		TableName: aws.String("leases"), AttributeDefinitions: []types.AttributeDefinition{attrS(attribute), attrS("leaseKey")},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: &name, KeySchema: []types.KeySchemaElement{hash(attribute), rng("leaseKey")},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}}},
	}
}

func TestUpdateTableAddsAndDropsIndex(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx, table := t.Context(), aws.String("leases")
	_, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attrS("leaseKey")}, KeySchema: []types.KeySchemaElement{hash("leaseKey")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		owner := ""
		if i > 0 {
			owner = "worker-A"
		}
		putLease(t, c, newLease(fmt.Sprint("shard-", i), owner, i))
	}
	out, err := c.UpdateTable(ctx, addIndex(ownerIndexName, "leaseOwner"))
	if err != nil {
		t.Fatal(err)
	}
	if d := out.TableDescription; d.TableStatus != types.TableStatusUpdating || d.GlobalSecondaryIndexes[0].IndexStatus != types.IndexStatusCreating {
		t.Errorf("reply = %s, index %s, want UPDATING and CREATING", d.TableStatus, d.GlobalSecondaryIndexes[0].IndexStatus)
	}
	if got := len(leasesOf(t, c, "worker-A")); got != 3 {
		t.Errorf("leases of worker-A = %d, want 3 from the backfill", got)
	}
	_, err = c.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: table, GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{
		{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String(ownerIndexName)}}}})
	if err != nil {
		t.Fatal(err)
	}
	if d := describe(t, c, "leases"); len(d.GlobalSecondaryIndexes) != 0 || len(d.AttributeDefinitions) != 1 {
		t.Errorf("after the drop: %d indexes, %d definitions, want 0 and 1", len(d.GlobalSecondaryIndexes), len(d.AttributeDefinitions))
	}
}

func leasesOf(t *testing.T, c *dynamodb.Client, owner string) []string {
	t.Helper()
	out, err := c.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String("leases"), IndexName: aws.String(ownerIndexName), KeyConditionExpression: aws.String("leaseOwner = :o"),
		ExpressionAttributeValues: item{":o": str(owner)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, it := range out.Items {
		keys = append(keys, it["leaseKey"].(*types.AttributeValueMemberS).Value)
	}
	return keys
}

// TestIndexFollowsUpdates moves rows between owners and takes owners away.
func TestIndexFollowsUpdates(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	for i := range 3 {
		putLease(t, c, newLease(fmt.Sprint("shard-", i), "worker-A", i))
	}
	change := func(key, text string, values item) {
		t.Helper()
		_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String("leases"), Key: item{"leaseKey": str(key)}, UpdateExpression: &text, ExpressionAttributeValues: values,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change("shard-0", "SET leaseOwner = :b", item{":b": str("worker-B")})
	change("shard-1", "REMOVE leaseOwner", nil)
	if diff := cmp.Diff([]string{"shard-2"}, leasesOf(t, c, "worker-A")); diff != "" {
		t.Errorf("worker-A (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"shard-0"}, leasesOf(t, c, "worker-B")); diff != "" {
		t.Errorf("worker-B (-want +got):\n%s", diff)
	}
	_, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("leases"), Key: item{"leaseKey": str("shard-2")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := leasesOf(t, c, "worker-A"); got != nil {
		t.Errorf("worker-A after the delete = %v, want none", got)
	}
}

// A tableError is an operation on tables that AWS refuses, and its code.
type tableError struct {
	name, code string
	call       func() error
}

// createErrors are definitions of tables that are refused.
func createErrors(ctx context.Context, c *dynamodb.Client) []tableError {
	create := func(fn func(*dynamodb.CreateTableInput)) func() error {
		return func() error {
			in := &dynamodb.CreateTableInput{
				TableName: aws.String("other"), BillingMode: types.BillingModePayPerRequest,
				AttributeDefinitions: []types.AttributeDefinition{attrS("a")}, KeySchema: []types.KeySchemaElement{hash("a")},
			}
			fn(in)
			_, err := c.CreateTable(ctx, in)
			return err
		}
	}
	return []tableError{
		{"twice", "ResourceInUseException", create(func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("leases") })},
		{"short name", "ValidationException", create(func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("ab") })},
		{"bad name", "ValidationException", create(func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("a b c") })},
		{"undefined key", "ValidationException", create(func(in *dynamodb.CreateTableInput) { in.KeySchema[0] = hash("b") })},
		{"idle definition", "ValidationException", create(func(in *dynamodb.CreateTableInput) {
			in.AttributeDefinitions = append(in.AttributeDefinitions, attrS("b"))
		})},
		{"range first", "ValidationException", create(func(in *dynamodb.CreateTableInput) { in.KeySchema[0] = rng("a") })},
		{"same twice", "ValidationException", create(func(in *dynamodb.CreateTableInput) { in.KeySchema = append(in.KeySchema, rng("a")) })},
		{"no throughput", "ValidationException", create(func(in *dynamodb.CreateTableInput) { in.BillingMode = types.BillingModeProvisioned })},
		{"throughput on demand", "ValidationException", create(func(in *dynamodb.CreateTableInput) {
			in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(1), WriteCapacityUnits: aws.Int64(1)}
		})},
		{"stream", "ValidationException", create(func(in *dynamodb.CreateTableInput) {
			in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeKeysOnly}
		})},
		{"local index without range", "ValidationException", create(func(in *dynamodb.CreateTableInput) {
			in.LocalSecondaryIndexes = []types.LocalSecondaryIndex{{IndexName: aws.String("lsi"), KeySchema: in.KeySchema,
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll}}}
		})},
	}
}

// changeErrors are operations on a table "leases" that are refused.
func changeErrors(ctx context.Context, c *dynamodb.Client) []tableError {
	return []tableError{
		{"describe missing", "ResourceNotFoundException", func() error {
			_, err := c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("missing")})
			return err
		}},
		{"delete missing", "ResourceNotFoundException", func() error {
			_, err := c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String("missing")})
			return err
		}},
		{"add index twice", "ValidationException", func() error {
			_, err := c.UpdateTable(ctx, addIndex(ownerIndexName, "leaseOwner"))
			return err
		}},
		{"drop missing index", "ResourceNotFoundException", func() error {
			_, err := c.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: aws.String("leases"), GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{
				{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("missing")}}}})
			return err
		}},
		{"empty update", "ValidationException", func() error {
			_, err := c.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: aws.String("leases")})
			return err
		}},
		{"two indexes at once", "LimitExceededException", func() error {
			in := addIndex("second", "checkpoint")
			in.GlobalSecondaryIndexUpdates = append(in.GlobalSecondaryIndexUpdates, addIndex("third", "checkpoint").GlobalSecondaryIndexUpdates...)
			_, err := c.UpdateTable(ctx, in)
			return err
		}},
	}
}

func TestTableErrors(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	for _, tt := range append(createErrors(t.Context(), c), changeErrors(t.Context(), c)...) {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.call(); code(err) != tt.code {
				t.Errorf("error = %v, want %s", err, tt.code)
			}
		})
	}
	if d := describe(t, c, "leases"); d.TableStatus != types.TableStatusActive || len(d.GlobalSecondaryIndexes) != 1 {
		t.Errorf("table after the refusals = %s with %d indexes, want ACTIVE with 1", d.TableStatus, len(d.GlobalSecondaryIndexes))
	}
}

func TestListTablesPages(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("table-%d", i))
		leaseTable(t, c, want[i])
	}
	var got []string
	pages := 0
	for p := dynamodb.NewListTablesPaginator(c, &dynamodb.ListTablesInput{Limit: aws.Int32(3)}); p.HasMorePages(); pages++ {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out.TableNames...)
	}
	if diff := cmp.Diff(want, got); diff != "" || pages != 3 {
		t.Errorf("%d pages, want 3 (-want +got):\n%s", pages, diff)
	}
}

func TestDeletionProtection(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	ctx, table := t.Context(), aws.String("leases")
	protect := func(on bool) {
		t.Helper()
		if _, err := c.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: table, DeletionProtectionEnabled: &on}); err != nil {
			t.Fatal(err)
		}
	}
	protect(true)
	if _, err := c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table}); code(err) != "ValidationException" {
		t.Errorf("delete of a protected table = %v, want ValidationException", err)
	}
	if !*describe(t, c, "leases").DeletionProtectionEnabled {
		t.Error("description does not show the protection")
	}
	protect(false)
	out, err := c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table})
	if err != nil || out.TableDescription.TableStatus != types.TableStatusDeleting {
		t.Errorf("delete = %v, %v, want DELETING", out, err)
	}
}
