package kinesistest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// A reader that does not ask for consistency may see what a table was a moment
// ago, and a test can make sure that it does.
func ExampleTableOptions() {
	srv := kinesistest.NewServer(func(o *kinesistest.Options) { o.Tables.ReadLag = time.Minute })
	defer srv.Close()
	ctx, db := context.Background(), dynamodb.NewFromConfig(srv.Config())

	_, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("users"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "7"}}
	if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("users"), Item: key}); err != nil {
		fmt.Println(err)
		return
	}
	for _, consistent := range []bool{false, true} {
		out, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("users"), Key: key, ConsistentRead: &consistent})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("consistent:", consistent, "found:", out.Item != nil)
	}
	// Output:
	// consistent: false found: false
	// consistent: true found: true
}
