package dynamo_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

var ignoreUnexported = cmpopts.IgnoreUnexported(
	types.AttributeValueMemberS{}, types.AttributeValueMemberN{}, types.AttributeValueMemberL{},
	types.AttributeValueMemberM{}, types.AttributeValueMemberSS{}, types.AttributeValueMemberNS{},
	types.AttributeValueMemberB{}, types.AttributeValueMemberBOOL{}, types.AttributeValueMemberNULL{},
)

func newLease(shard, owner string, counter int) item {
	it := item{
		"leaseKey": str(shard), "leaseCounter": num(fmt.Sprint(counter)), "checkpoint": str("TRIM_HORIZON"),
		"ownerSwitchesSinceCheckpoint": num("0"), "entityType": str("LEASE"),
	}
	if owner != "" {
		it["leaseOwner"] = str(owner)
	}
	return it
}

// createLease makes the row of shard-0 if there is none.
func createLease(t *testing.T, c *dynamodb.Client) error {
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("leases"), Item: newLease("shard-0", "", 0), ConditionExpression: aws.String("attribute_not_exists(leaseKey)"),
	})
	return err
}

// renewLease raises the counter of shard-0 if it is the one seen.
func renewLease(t *testing.T, c *dynamodb.Client, seen string) error {
	_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("leases"), Key: item{"leaseKey": str("shard-0")},
		ConditionExpression:                 aws.String("leaseCounter = :n"),
		UpdateExpression:                    aws.String("SET leaseCounter = leaseCounter + :one"),
		ExpressionAttributeValues:           item{":n": num(seen), ":one": num("1")},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return err
}

// TestLeaseLife walks a lease row through the requests of a lease library.
func TestLeaseLife(t *testing.T) {
	t.Parallel()
	var applied []dynamo.Applied
	c, _ := newClient(t, func(o *dynamo.Options) { o.Applied = func(a dynamo.Applied) { applied = append(applied, a) } })
	leaseTable(t, c, "leases")
	ctx, table := t.Context(), aws.String("leases")

	if err := createLease(t, c); err != nil {
		t.Fatal(err)
	}
	if got := code(createLease(t, c)); got != "ConditionalCheckFailedException" {
		t.Errorf("second create = %q, want ConditionalCheckFailedException", got)
	}

	assign, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: table, Key: item{"leaseKey": str("shard-0")},
		ConditionExpression:       aws.String("leaseKey = :k AND attribute_not_exists(leaseOwner) AND attribute_not_exists(checkpointOwner)"),
		UpdateExpression:          aws.String("SET leaseOwner = :me REMOVE checkpointOwner ADD leaseCounter :one, ownerSwitchesSinceCheckpoint :one"),
		ExpressionAttributeValues: item{":k": str("shard-0"), ":me": str("worker-A"), ":one": num("1")},
		ReturnValues:              types.ReturnValueAllNew,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := newLease("shard-0", "worker-A", 1)
	want["ownerSwitchesSinceCheckpoint"] = num("1")
	if diff := cmp.Diff(want, assign.Attributes, ignoreUnexported); diff != "" {
		t.Errorf("row after assign (-want +got):\n%s", diff)
	}

	if err := renewLease(t, c, "1.0"); err != nil {
		t.Fatal(err)
	}
	var refused *types.ConditionalCheckFailedException
	if err := renewLease(t, c, "1"); !errors.As(err, &refused) {
		t.Fatalf("stale renew = %v, want ConditionalCheckFailedException", err)
	}
	if diff := cmp.Diff(num("2"), refused.Item["leaseCounter"], ignoreUnexported); diff != "" {
		t.Errorf("row in the refusal (-want +got):\n%s", diff)
	}

	if diff := cmp.Diff([]string{"shard-0"}, leasesOf(t, c, "worker-A")); diff != "" {
		t.Errorf("leases of worker-A (-want +got):\n%s", diff)
	}
	wantConditions := []string{
		"attribute_not_exists(leaseKey)",
		`leaseKey = {"S":"shard-0"} AND attribute_not_exists(leaseOwner) AND attribute_not_exists(checkpointOwner)`,
		`leaseCounter = {"N":"1"}`,
	}
	var conditions []string
	for _, a := range applied {
		conditions = append(conditions, a.Condition)
	}
	if diff := cmp.Diff(wantConditions, conditions); diff != "" {
		t.Errorf("conditions of applied writes (-want +got):\n%s", diff)
	}
}
