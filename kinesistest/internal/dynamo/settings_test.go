package dynamo_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

func TestTagsAtCreateAndLater(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := t.Context()
	out, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("tagged"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attrS("a")}, KeySchema: []types.KeySchemaElement{hash("a")},
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("x")}, {Key: aws.String("gone"), Value: aws.String("y")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := out.TableDescription.TableArn
	if _, err := c.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("more"), Value: aws.String("z")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UntagResource(ctx, &dynamodb.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"gone"}}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: arn})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, tag := range list.Tags {
		got[*tag.Key] = *tag.Value
	}
	if diff := cmp.Diff(map[string]string{"team": "x", "more": "z"}, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	_, err = c.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: aws.String(*arn + "x")})
	if code(err) != "ResourceNotFoundException" {
		t.Errorf("tags of another table = %v, want ResourceNotFoundException", err)
	}
}

func TestRecoveryAndLifetimeReadBack(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	ctx, table := t.Context(), aws.String("leases")
	_, err := c.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
		TableName: table, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)}})
	if err != nil {
		t.Fatal(err)
	}
	backups, err := c.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: table})
	if err != nil || backups.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
		t.Errorf("recovery = %+v, %v, want ENABLED", backups, err)
	}
	lifetime := func(on bool) error {
		_, err := c.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
			TableName: table, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires"), Enabled: &on}})
		return err
	}
	if err := lifetime(true); err != nil {
		t.Fatal(err)
	}
	if err := lifetime(true); code(err) != "ValidationException" {
		t.Errorf("enabled twice = %v, want ValidationException", err)
	}
	d, err := c.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: table})
	if err != nil || d.TimeToLiveDescription.TimeToLiveStatus != types.TimeToLiveStatusEnabled || *d.TimeToLiveDescription.AttributeName != "expires" {
		t.Errorf("lifetime = %+v, %v, want ENABLED on expires", d, err)
	}
}

// TestSettingsRefuse holds operations on settings, and those of transactions
// and tables that AWS has words of its own for, to those words.
func TestSettingsRefuse(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	const arn = `"arn:aws:dynamodb:us-east-1:123456789012:table/`
	constraint := func(value, member, want string) string {
		return "ValidationException: 1 validation error detected: Value " + value + " at '" + member + "' failed to satisfy constraint: Member must " + want
	}
	for _, tt := range []struct{ op, body, want string }{
		{"TagResource", `{"ResourceArn":` + arn + `leases"}`, constraint("null", "tags", "not be null")},
		{"TagResource", `{"ResourceArn":` + arn + `leases","Tags":[{"Key":"k"}]}`, constraint("null", "tags.1.member.value", "not be null")},
		{"TagResource", `{"ResourceArn":` + arn + `leases","Tags":[{"Key":"aws:k","Value":"v"}]}`, "ValidationException: One or more parameter values were invalid: Tag keys cannot begin with aws: aws:k"},
		{"UntagResource", `{"ResourceArn":` + arn + `leases"}`, constraint("null", "tagKeys", "not be null")},
		{"ListTagsOfResource", `{"ResourceArn":"x"}`, "ValidationException: Invalid TableArn: Invalid ResourceArn provided as input x"},
		{"ListTagsOfResource", `{"ResourceArn":` + arn + `missing"}`, "ResourceNotFoundException: Requested resource not found: ResourcArn: arn:aws:dynamodb:us-east-1:123456789012:table/missing not found"},
		{"DescribeContinuousBackups", `{"TableName":"missing"}`, "TableNotFoundException: Table not found: missing"},
		{"UpdateContinuousBackups", `{"TableName":"leases","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true,"RecoveryPeriodInDays":36}}`,
			constraint("'36'", "pointInTimeRecoverySpecification.recoveryPeriodInDays", "have value less than or equal to 35")},
		{"TransactWriteItems", `{}`, constraint("null", "transactItems", "not be null")},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"leases"}}],"ClientRequestToken":"t"}`, constraint("null", "transactItems.1.member.put.item", "not be null")},
		{"TransactWriteItems", `{"TransactItems":[{"Delete":{"TableName":"leases","Key":{"leaseKey":{"S":"k"}},"Expected":{}}}]}`, "ValidationException: TransactWriteItems: not implemented by this server: Expected"},
		{"GetItem", `{}`, "ValidationException: 2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null; Value null at 'key' failed to satisfy constraint: Member must not be null"},
		{"DescribeTable", `{}`, "ValidationException: The parameter 'TableName' is required but was not present in the request"},
		{"DeleteTable", `{"TableName":"x"}`, "ValidationException: TableName must be at least 3 characters long and at most 255 characters long"},
		{"ExecuteStatement", `{}`, "UnknownOperationException: ExecuteStatement: not implemented by this server"},
	} {
		if out, failure := call(t, s, tt.op, tt.body); failure == nil || failure.Code+": "+failure.Message != tt.want {
			t.Errorf("%s %s = %s, %v, want %s", tt.op, tt.body, out, failure, tt.want)
		}
	}
	mustCall(t, s, "DescribeLimits", `{}`)
	mustCall(t, s, "DescribeEndpoints", `{}`)
}

// TestThroughputFalls lowers a table's throughput until AWS's daily allowance
// is used up, and waits for more.
func TestThroughputFalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t)
		slowTable(t, c, "slow", 10)
		set := func(units int64) error {
			_, err := c.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("slow"), ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: &units, WriteCapacityUnits: &units}})
			return err
		}
		if err := set(10); code(err) != "ValidationException" {
			t.Errorf("the same throughput = %v, want ValidationException", err)
		}
		for units := int64(9); units > 5; units-- {
			if err := set(units); err != nil {
				t.Fatal(err)
			}
		}
		if err := set(5); code(err) != "LimitExceededException" {
			t.Errorf("fifth decrease = %v, want LimitExceededException", err)
		}
		if err := set(20); err != nil {
			t.Errorf("increase = %v", err)
		}
		d := describe(t, c, "slow").ProvisionedThroughput
		if *d.NumberOfDecreasesToday != 4 || d.LastDecreaseDateTime == nil || d.LastIncreaseDateTime == nil {
			t.Errorf("throughput = %+v, want 4 decreases today and the times of the last changes", d)
		}
		time.Sleep(time.Hour)
		if err := set(5); err != nil {
			t.Errorf("decrease after an hour = %v", err)
		}
		time.Sleep(24 * time.Hour)
		for units := int64(4); units > 0; units-- {
			if err := set(units); err != nil {
				t.Errorf("decrease of the next day = %v", err)
			}
		}
	})
}
