package contract

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var tableSettingChecks = []Check{
	{ID: "D.legacy.expected", Source: ddb("UpdateItem"),
		Says: "Expected and AttributeUpdates, the older forms, condition and change like expressions",
		Run:  legacyExpected},
	{ID: "D.batch.get", Source: ddb("BatchGetItem"),
		Says: "BatchGetItem gives the rows that are there, of up to 100 keys, none twice",
		Run:  batchGet},
	{ID: "D.ttl", Source: ddb("UpdateTimeToLive"),
		Says: "time to live is switched on and described",
		Run:  timeToLive},
	{ID: "D.pitr", Source: ddb("UpdateContinuousBackups"),
		Says: "point-in-time recovery is switched on and described",
		Run:  pointInTime},
	{ID: "D.tags", Source: ddb("TagResource"),
		Says: "a table has the tags of its creation and those added later",
		Run:  tableTags},
	{ID: "D.deletionprotection", Source: ddb("UpdateTable"),
		Says: "a protected table is not deleted until the protection is off",
		Run:  deletionProtection},
	{ID: "D.updatetable.index_creating_window", Source: ddb("UpdateTable"),
		Says: "a new index is CREATING first and cannot be queried",
		Run:  indexCreating},
	{ID: "D.throttle.provisioned", Source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/provisioned-capacity-mode.html",
		Says: "a table with a write unit a second throttles after its burst",
		Run:  throttleTable},
}

func legacyExpected(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "a", "leaseOwner", "w", "leaseCounter", "1")); err != nil {
		return err
	}
	update := func(expected types.AttributeValue) error {
		_, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
			Expected: map[string]types.ExpectedAttributeValue{"leaseCounter": {Value: expected}},
			AttributeUpdates: map[string]types.AttributeValueUpdate{
				"leaseCounter": {Action: types.AttributeActionAdd, Value: num("1")},
				"leaseOwner":   {Action: types.AttributeActionDelete},
				"checkpoint":   {Action: types.AttributeActionPut, Value: str("c")},
			}})
		return err
	}
	if err := refused("expecting what is not", update(num("7")), conditionFailed); err != nil {
		return err
	}
	if err := update(num("1")); err != nil {
		return err
	}
	want := row("leaseKey", "a", "leaseCounter", "2", "checkpoint", "c")
	if err := e.is(ctx, table, "a", want); err != nil {
		return err
	}
	_, err = e.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: row("leaseKey", "a"),
		Expected: map[string]types.ExpectedAttributeValue{"leaseOwner": {Exists: aws.Bool(true), Value: str("w")}}})
	if err := refused("deleting what is another's", err, conditionFailed); err != nil {
		return err
	}
	return e.is(ctx, table, "a", want)
}

func batchGet(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	var want []string
	for _, key := range []string{"a", "b", "c"} {
		if err := e.putRow(ctx, table, row("leaseKey", key)); err != nil {
			return err
		}
		want = append(want, key)
	}
	get := func(keys ...string) ([]attributes, error) {
		var in []attributes
		for _, key := range keys {
			in = append(in, row("leaseKey", key))
		}
		out, err := e.DynamoDB.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{table: {Keys: in, ConsistentRead: aws.Bool(true)}}})
		if err != nil {
			return nil, err
		}
		return out.Responses[table], nil
	}
	rows, err := get("a", "none", "b", "c")
	if err != nil {
		return err
	}
	if got := keys(rows); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		return fmt.Errorf("rows %v, want %v", got, want)
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	_, err = get(many...)
	if err := refused("101 keys", err, validation); err != nil {
		return err
	}
	_, err = get("a", "a")
	return refused("a key twice", err, validation)
}

func timeToLive(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if _, err := e.DynamoDB.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{TableName: &table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires"), Enabled: aws.Bool(true)}}); err != nil {
		return err
	}
	out, err := e.DynamoDB.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &table})
	if err != nil {
		return err
	}
	d := out.TimeToLiveDescription
	on := d != nil && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling)
	if !on || aws.ToString(d.AttributeName) != "expires" {
		return fmt.Errorf("described as %+v", d)
	}
	return nil
}

func pointInTime(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if _, err := e.DynamoDB.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{TableName: &table,
		PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)}}); err != nil {
		return err
	}
	out, err := e.DynamoDB.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &table})
	if err != nil {
		return err
	}
	if d := out.ContinuousBackupsDescription; d == nil || d.PointInTimeRecoveryDescription == nil ||
		d.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
		return fmt.Errorf("described as %+v", d)
	}
	return nil
}

func tableTags(ctx context.Context, e *Env) error {
	in := tableInput(e.name())
	in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("data")}}
	out, err := e.DynamoDB.CreateTable(ctx, in)
	if err != nil {
		return err
	}
	if err := e.tableActive(ctx, *in.TableName); err != nil {
		return err
	}
	arn := out.TableDescription.TableArn
	if _, err := e.DynamoDB.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("later"), Value: aws.String("yes")}}}); err != nil {
		return err
	}
	list, err := e.DynamoDB.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: arn})
	if err != nil {
		return err
	}
	var got []string
	for _, tag := range list.Tags {
		got = append(got, *tag.Key+"="+*tag.Value)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"later=yes", "team=data"}) {
		return fmt.Errorf("tags %v", got)
	}
	return nil
}

func deletionProtection(ctx context.Context, e *Env) error {
	in := tableInput(e.name())
	in.DeletionProtectionEnabled = aws.Bool(true)
	if _, err := e.DynamoDB.CreateTable(ctx, in); err != nil {
		return err
	}
	if err := e.tableActive(ctx, *in.TableName); err != nil {
		return err
	}
	_, err := e.DynamoDB.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: in.TableName})
	if err := refused("deleting a protected table", err, validation); err != nil {
		return err
	}
	if _, err := e.DynamoDB.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: in.TableName, DeletionProtectionEnabled: aws.Bool(false)}); err != nil {
		return err
	}
	if err := e.tableActive(ctx, *in.TableName); err != nil {
		return err
	}
	_, err = e.DynamoDB.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: in.TableName})
	return err
}

func indexCreating(ctx context.Context, e *Env) error {
	in := tableInput(e.name())
	index := in.GlobalSecondaryIndexes[0]
	in.GlobalSecondaryIndexes, in.AttributeDefinitions = nil, in.AttributeDefinitions[:1]
	if _, err := e.DynamoDB.CreateTable(ctx, in); err != nil {
		return err
	}
	if err := e.tableActive(ctx, *in.TableName); err != nil {
		return err
	}
	out, err := e.DynamoDB.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName:            in.TableName,
		AttributeDefinitions: []types.AttributeDefinition{attribute("leaseKey"), attribute("leaseOwner")},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: index.IndexName, KeySchema: index.KeySchema, Projection: index.Projection,
		}}},
	})
	if err != nil {
		return err
	}
	if x := out.TableDescription.GlobalSecondaryIndexes; len(x) != 1 || x[0].IndexStatus != types.IndexStatusCreating {
		return fmt.Errorf("the reply has indexes %+v, want one CREATING", x)
	}
	_, err = e.owned(ctx, *in.TableName, "w")
	if err := refused("a query of it", err, validation, notFound); err != nil {
		return err
	}
	return e.tableActive(ctx, *in.TableName)
}

func throttleTable(ctx context.Context, e *Env) error {
	in := tableInput(e.name())
	in.GlobalSecondaryIndexes, in.AttributeDefinitions = nil, in.AttributeDefinitions[:1]
	in.BillingMode = types.BillingModeProvisioned
	in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(1), WriteCapacityUnits: aws.Int64(1)}
	if _, err := e.DynamoDB.CreateTable(ctx, in); err != nil {
		return err
	}
	if err := e.tableActive(ctx, *in.TableName); err != nil {
		return err
	}
	written := 0
	for range 600 {
		err := e.putRow(ctx, *in.TableName, row("leaseKey", "a"))
		if code(err) == throughput {
			return nil
		}
		if err != nil {
			return err
		}
		written++
	}
	return fmt.Errorf("%d writes at a unit a second were all taken", written)
}
