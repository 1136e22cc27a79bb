package contract

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var tableChecks = []Check{
	{ID: "D.create.gsi", Source: ddb("CreateTable"),
		Says: "a table is described with its keys, index, billing mode, ARN and size",
		Run:  tableWithIndex},
	{ID: "D.create.states", Source: ddb("CreateTable"),
		Says: "a new table is CREATING",
		Run:  tableStates},
	{ID: "D.create.duplicate", Source: ddb("CreateTable"),
		Says: "a name in use is a ResourceInUseException, an unknown table a ResourceNotFoundException",
		Run:  tableDuplicate},
	{ID: "D.create.refused", Source: ddb("CreateTable"),
		Says: "a table whose keys and attributes do not fit is refused",
		Run:  tableRefused},
	{ID: "D.delete.table", Source: ddb("DeleteTable"),
		Says: "a deleted table is unknown",
		Run:  tableDelete},
	{ID: "D.listtables.paging", Source: ddb("ListTables"),
		Says: "Limit pages the tables, LastEvaluatedTableName goes on",
		Run:  listTablesPaging},
	{ID: "D.updatetable.addgsi", Source: ddb("UpdateTable"),
		Says: "an index added to a table holds the rows that are there, and can be dropped",
		Run:  addIndex},
}

// byOwner is the index of the tables that the checks make: owners are sparse.
const byOwner = "OwnerIndex"

func attribute(name string) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
}

func hashKey(name string) types.KeySchemaElement {
	return types.KeySchemaElement{AttributeName: &name, KeyType: types.KeyTypeHash}
}

func rangeKey(name string) types.KeySchemaElement {
	return types.KeySchemaElement{AttributeName: &name, KeyType: types.KeyTypeRange}
}

// tableInput describes a table like a lease table, with an index.
func tableInput(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName:            &name,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attribute("leaseKey"), attribute("leaseOwner")},
		KeySchema:            []types.KeySchemaElement{hashKey("leaseKey")},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String(byOwner),
			KeySchema:  []types.KeySchemaElement{hashKey("leaseOwner"), rangeKey("leaseKey")},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	}
}

// table makes an active table and returns its name.
func (e *Env) table(ctx context.Context) (string, error) {
	name := e.name()
	if _, err := e.DynamoDB.CreateTable(ctx, tableInput(name)); err != nil {
		return "", fmt.Errorf("CreateTable: %w", err)
	}
	return name, e.tableActive(ctx, name)
}

// tableActive waits until a table and its indexes are ACTIVE.
func (e *Env) tableActive(ctx context.Context, name string) error {
	return until(ctx, "table ACTIVE", func() (bool, error) {
		out, err := e.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return false, err
		}
		for _, x := range out.Table.GlobalSecondaryIndexes {
			if x.IndexStatus != types.IndexStatusActive {
				return false, nil
			}
		}
		return out.Table.TableStatus == types.TableStatusActive, nil
	})
}

func tableWithIndex(ctx context.Context, e *Env) error {
	name, err := e.table(ctx)
	if err != nil {
		return err
	}
	out, err := e.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		return err
	}
	d := out.Table
	switch {
	case aws.ToString(d.TableName) != name || d.TableArn == nil || d.TableSizeBytes == nil || d.ItemCount == nil || d.CreationDateTime == nil:
		return fmt.Errorf("name, ARN, size, count or creation time is missing: %+v", d)
	case d.BillingModeSummary == nil || d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest:
		return fmt.Errorf("billing mode %+v", d.BillingModeSummary)
	case len(d.KeySchema) != 1 || aws.ToString(d.KeySchema[0].AttributeName) != "leaseKey":
		return fmt.Errorf("key schema %+v", d.KeySchema)
	case len(d.GlobalSecondaryIndexes) != 1:
		return fmt.Errorf("%d indexes", len(d.GlobalSecondaryIndexes))
	}
	x := d.GlobalSecondaryIndexes[0]
	if aws.ToString(x.IndexName) != byOwner || x.IndexArn == nil || x.Projection == nil || x.Projection.ProjectionType != types.ProjectionTypeKeysOnly {
		return fmt.Errorf("index %+v", x)
	}
	return nil
}

func tableStates(ctx context.Context, e *Env) error {
	name := e.name()
	out, err := e.DynamoDB.CreateTable(ctx, tableInput(name))
	if err != nil {
		return err
	}
	if st := out.TableDescription.TableStatus; st != types.TableStatusCreating {
		return fmt.Errorf("the reply to CreateTable says %s, want CREATING", st)
	}
	return e.tableActive(ctx, name)
}

func tableDuplicate(ctx context.Context, e *Env) error {
	name, err := e.table(ctx)
	if err != nil {
		return err
	}
	_, err = e.DynamoDB.CreateTable(ctx, tableInput(name))
	if err := refused("creating it again", err, inUse); err != nil {
		return err
	}
	missing := e.name()
	_, err = e.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &missing})
	return refused("describing a missing one", err, notFound)
}

func tableRefused(ctx context.Context, e *Env) error {
	for what, change := range map[string]func(*dynamodb.CreateTableInput){
		"a bad name":                func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("no!") },
		"a short name":              func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("ab") },
		"a key that is not defined": func(in *dynamodb.CreateTableInput) { in.KeySchema[0].AttributeName = aws.String("other") },
		"an attribute that is no key": func(in *dynamodb.CreateTableInput) {
			in.AttributeDefinitions = append(in.AttributeDefinitions, attribute("x"))
		},
		"throughput not provisioned":    func(in *dynamodb.CreateTableInput) { in.BillingMode = types.BillingModeProvisioned },
		"an index on the unknown":       func(in *dynamodb.CreateTableInput) { in.GlobalSecondaryIndexes[0].KeySchema[0] = hashKey("other") },
		"a key schema of two hash keys": func(in *dynamodb.CreateTableInput) { in.KeySchema = append(in.KeySchema, hashKey("leaseOwner")) },
	} {
		in := tableInput(e.name())
		change(in)
		_, err := e.DynamoDB.CreateTable(ctx, in)
		if err := refused(what, err, validation); err != nil {
			return err
		}
	}
	return nil
}

func tableDelete(ctx context.Context, e *Env) error {
	name, err := e.table(ctx)
	if err != nil {
		return err
	}
	if _, err := e.DynamoDB.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
		return err
	}
	if err := until(ctx, "table gone", func() (bool, error) {
		_, err := e.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if code(err) == notFound {
			return true, nil
		}
		return false, err
	}); err != nil {
		return err
	}
	_, err = e.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &name, Item: row("leaseKey", "a")})
	if err := refused("PutItem", err, notFound); err != nil {
		return err
	}
	_, err = e.DynamoDB.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
	return refused("DeleteTable", err, notFound)
}

func listTablesPaging(ctx context.Context, e *Env) error {
	want := map[string]bool{}
	for range 3 {
		name, err := e.table(ctx)
		if err != nil {
			return err
		}
		want[name] = true
	}
	in := &dynamodb.ListTablesInput{Limit: aws.Int32(1)}
	for {
		out, err := e.DynamoDB.ListTables(ctx, in)
		if err != nil {
			return err
		}
		if len(out.TableNames) > 1 {
			return fmt.Errorf("a page of 1 has %v", out.TableNames)
		}
		for _, name := range out.TableNames {
			delete(want, name)
		}
		if in.ExclusiveStartTableName = out.LastEvaluatedTableName; in.ExclusiveStartTableName == nil {
			break
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("not listed: %v", want)
	}
	return nil
}

// An index that is added later holds the rows that are there.
func addIndex(ctx context.Context, e *Env) error {
	in := tableInput(e.name())
	index := in.GlobalSecondaryIndexes[0]
	in.GlobalSecondaryIndexes, in.AttributeDefinitions = nil, in.AttributeDefinitions[:1]
	if _, err := e.DynamoDB.CreateTable(ctx, in); err != nil {
		return err
	}
	name := *in.TableName
	if err := e.tableActive(ctx, name); err != nil {
		return err
	}
	for i := range 5 {
		if err := e.putRow(ctx, name, row("leaseKey", fmt.Sprint(i), "leaseOwner", "w")); err != nil {
			return err
		}
	}
	if _, err := e.DynamoDB.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName:            &name,
		AttributeDefinitions: []types.AttributeDefinition{attribute("leaseKey"), attribute("leaseOwner")},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: index.IndexName, KeySchema: index.KeySchema, Projection: index.Projection,
		}}},
	}); err != nil {
		return err
	}
	if err := e.tableActive(ctx, name); err != nil {
		return err
	}
	keys, err := e.owned(ctx, name, "w")
	if err != nil || !slices.Equal(keys, []string{"0", "1", "2", "3", "4"}) {
		return fmt.Errorf("the index has %v, %v", keys, err)
	}
	if _, err := e.DynamoDB.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &name,
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: index.IndexName}}},
	}); err != nil {
		return err
	}
	return until(ctx, "index gone", func() (bool, error) {
		out, err := e.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		return err == nil && len(out.Table.GlobalSecondaryIndexes) == 0, err
	})
}
