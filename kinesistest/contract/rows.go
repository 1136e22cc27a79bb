package contract

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var rowChecks = []Check{
	{ID: "D.put.ifnotexists", Source: ddb("PutItem"),
		Says: "attribute_not_exists(key) lets one put through",
		Run:  putIfNotExists},
	{ID: "D.update.renew", Source: ddb("UpdateItem"),
		Says: "a condition on the counter lets one update through",
		Run:  updateRenew},
	{ID: "D.update.assign", Source: ddb("UpdateItem"),
		Says: "SET, REMOVE and ADD of one update see the row before it; ALL_NEW gives the one after",
		Run:  updateAssign},
	{ID: "D.update.missing_row", Source: ddb("UpdateItem"),
		Says: "an update of no row makes one, a conditional update does not",
		Run:  updateMissingRow},
	{ID: "D.delete.cond", Source: ddb("DeleteItem"),
		Says: "a condition that fails keeps the row",
		Run:  deleteConditional},
	{ID: "D.rvccf", Source: ddb("PutItem"),
		Says: "ReturnValuesOnConditionCheckFailure ALL_OLD puts the row into the error",
		Run:  valuesOnFailure},
	{ID: "D.returnvalues", Source: ddb("UpdateItem"),
		Says: "ReturnValues gives the row before or after, or what changed",
		Run:  returnValues},
	{ID: "D.validation", Source: ddb("UpdateItem"),
		Says: "an expression that is none is a ValidationException",
		Run:  rowValidation},
	{ID: "D.types", Source: ddb("AttributeValue"),
		Says: "every type of attribute comes back as it was put, numbers with 38 digits",
		Run:  rowTypes},
	{ID: "D.batch", Source: ddb("BatchWriteItem"),
		Says: "BatchWriteItem takes 25 writes to different rows",
		Run:  batchWrite},
}

type attributes = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }

// row makes attributes from names and values; a value of digits is a number
// except for the key.
func row(pairs ...string) attributes {
	out := attributes{}
	for i := 0; i < len(pairs); i += 2 {
		name, v := pairs[i], pairs[i+1]
		if name != "leaseKey" && v != "" && strings.Trim(v, "0123456789") == "" {
			out[name] = num(v)
		} else {
			out[name] = str(v)
		}
	}
	return out
}

func (e *Env) putRow(ctx context.Context, table string, it attributes) error {
	_, err := e.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: it})
	return err
}

func (e *Env) getRow(ctx context.Context, table, key string) (attributes, error) {
	out, err := e.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: row("leaseKey", key), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// is fails unless a row is as wanted.
func (e *Env) is(ctx context.Context, table, key string, want attributes) error {
	got, err := e.getRow(ctx, table, key)
	if err != nil {
		return err
	}
	return same("row "+key, got, want)
}

func same(what string, got, want attributes) error {
	if len(got) == 0 && len(want) == 0 || reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("%s: %s, want %s", what, show(got), show(want))
}

func show(it attributes) string {
	var b strings.Builder
	for name, v := range it {
		fmt.Fprintf(&b, "%s=%v ", name, reflect.ValueOf(v).Elem().Field(0))
	}
	return "{" + b.String() + "}"
}

const conditionFailed = "ConditionalCheckFailedException"

func putIfNotExists(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	put := func(owner string) error {
		_, err := e.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: row("leaseKey", "a", "leaseOwner", owner),
			ConditionExpression: aws.String("attribute_not_exists(leaseKey)")})
		return err
	}
	if err := put("one"); err != nil {
		return err
	}
	if err := refused("the second", put("two"), conditionFailed); err != nil {
		return err
	}
	return e.is(ctx, table, "a", row("leaseKey", "a", "leaseOwner", "one"))
}

func updateRenew(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "a", "leaseOwner", "w", "leaseCounter", "7")); err != nil {
		return err
	}
	renew := func() error {
		_, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
			ConditionExpression:       aws.String("leaseCounter = :old AND leaseOwner = :w"),
			UpdateExpression:          aws.String("SET leaseCounter = :new"),
			ExpressionAttributeValues: attributes{":old": num("7"), ":new": num("8"), ":w": str("w")}})
		return err
	}
	if err := renew(); err != nil {
		return err
	}
	if err := refused("with a counter that is past", renew(), conditionFailed); err != nil {
		return err
	}
	return e.is(ctx, table, "a", row("leaseKey", "a", "leaseOwner", "w", "leaseCounter", "8"))
}

func updateAssign(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "a", "leaseOwner", "w", "leaseCounter", "7", "checkpointOwner", "v", "kept", "k")); err != nil {
		return err
	}
	out, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
		ConditionExpression:       aws.String("#c = :old AND attribute_exists(checkpointOwner)"),
		UpdateExpression:          aws.String("SET leaseOwner = :x REMOVE checkpointOwner, nothing ADD #c :one"),
		ExpressionAttributeNames:  map[string]string{"#c": "leaseCounter"},
		ExpressionAttributeValues: attributes{":old": num("7"), ":one": num("1"), ":x": str("x")},
		ReturnValues:              types.ReturnValueAllNew})
	if err != nil {
		return err
	}
	want := row("leaseKey", "a", "leaseOwner", "x", "leaseCounter", "8", "kept", "k")
	if err := same("ALL_NEW", out.Attributes, want); err != nil {
		return err
	}
	return e.is(ctx, table, "a", want)
}

func updateMissingRow(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	_, err = e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
		ConditionExpression: aws.String("leaseCounter = :old"), UpdateExpression: aws.String("SET leaseOwner = :w"),
		ExpressionAttributeValues: attributes{":old": num("7"), ":w": str("w")}})
	if err := refused("a conditional update of no row", err, conditionFailed); err != nil {
		return err
	}
	if err := e.is(ctx, table, "a", nil); err != nil {
		return err
	}
	_, err = e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
		UpdateExpression: aws.String("SET leaseOwner = :w"), ExpressionAttributeValues: attributes{":w": str("w")}})
	if err != nil {
		return err
	}
	return e.is(ctx, table, "a", row("leaseKey", "a", "leaseOwner", "w"))
}

func deleteConditional(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "a", "leaseOwner", "w")); err != nil {
		return err
	}
	del := func(owner string) error {
		_, err := e.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: row("leaseKey", "a"),
			ConditionExpression: aws.String("leaseOwner = :w"), ExpressionAttributeValues: attributes{":w": str(owner)}})
		return err
	}
	if err := refused("the wrong owner", del("x"), conditionFailed); err != nil {
		return err
	}
	if err := del("w"); err != nil {
		return err
	}
	return e.is(ctx, table, "a", nil)
}

// valuesOnFailure: a failed condition returns the row it failed on, if asked.
func valuesOnFailure(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	want := row("leaseKey", "a", "leaseOwner", "w", "leaseCounter", "7")
	if err := e.putRow(ctx, table, want); err != nil {
		return err
	}
	cond, values, key := aws.String("leaseOwner = :x"), attributes{":x": str("x")}, row("leaseKey", "a")
	const old = types.ReturnValuesOnConditionCheckFailureAllOld
	_, put := e.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: key, ConditionExpression: cond,
		ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: old})
	_, update := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: key, ConditionExpression: cond,
		UpdateExpression: aws.String("SET y = :x"), ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: old})
	_, del := e.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: key, ConditionExpression: cond,
		ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: old})
	for what, err := range map[string]error{"PutItem": put, "UpdateItem": update, "DeleteItem": del} {
		var failed *types.ConditionalCheckFailedException
		if !errors.As(err, &failed) {
			return fmt.Errorf("%s: %w, want %s", what, err, conditionFailed)
		}
		if err := same(what+": the row in the error", failed.Item, want); err != nil {
			return err
		}
	}
	_, err = e.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: key, ConditionExpression: cond, ExpressionAttributeValues: values})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || len(failed.Item) != 0 {
		return fmt.Errorf("not asked for the row: %v with %d attributes", err, len(failed.Item))
	}
	return nil
}

func returnValues(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	before, after := row("leaseKey", "a", "n", "1", "x", "same"), row("leaseKey", "a", "n", "2", "x", "same")
	for _, tt := range []struct {
		want types.ReturnValue
		is   attributes
	}{
		{types.ReturnValueNone, nil},
		{types.ReturnValueAllOld, before},
		{types.ReturnValueAllNew, after},
		{types.ReturnValueUpdatedOld, row("n", "1")},
		{types.ReturnValueUpdatedNew, row("n", "2")},
	} {
		if err := e.putRow(ctx, table, before); err != nil {
			return err
		}
		out, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"), ReturnValues: tt.want,
			UpdateExpression: aws.String("SET n = n + :one"), ExpressionAttributeValues: attributes{":one": num("1")}})
		if err != nil {
			return err
		}
		if err := same(string(tt.want), out.Attributes, tt.is); err != nil {
			return err
		}
	}
	put, err := e.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: before, ReturnValues: types.ReturnValueAllOld})
	if err != nil {
		return err
	}
	if err := same("PutItem ALL_OLD", put.Attributes, after); err != nil {
		return err
	}
	del, err := e.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: row("leaseKey", "a"), ReturnValues: types.ReturnValueAllOld})
	if err != nil {
		return err
	}
	return same("DeleteItem ALL_OLD", del.Attributes, before)
}

func rowValidation(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "a", "n", "1", "s", "text")); err != nil {
		return err
	}
	update := func(expression string, values attributes) func() error {
		return func() error {
			_, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
				UpdateExpression: &expression, ExpressionAttributeValues: values})
			return err
		}
	}
	x := attributes{":x": num("1")}
	for what, f := range map[string]func() error{
		"a syntax error":         update("SET x = = :x", x),
		"a value not given":      update("SET x = :y", nil),
		"a value not used":       update("SET x = :x", attributes{":x": num("1"), ":y": num("2")}),
		"a name not given":       update("SET #n = :x", x),
		"a reserved word":        update("SET name = :x", x),
		"the key":                update("SET leaseKey = :x", attributes{":x": str("b")}),
		"overlapping paths":      update("SET x = :x, x.y = :x", x),
		"SET twice":              update("SET x = :x SET y = :x", x),
		"adding to text":         update("ADD s :x", x),
		"a sum with nothing":     update("SET z = nothing + :x", x),
		"a number as index key":  update("SET leaseOwner = :x", x),
		"an empty index key":     update("SET leaseOwner = :x", attributes{":x": str("")}),
		"an empty set":           update("SET x = :x", attributes{":x": &types.AttributeValueMemberSS{}}),
		"no key":                 func() error { return e.putRow(ctx, table, row("n", "1")) },
		"a key of another type":  func() error { return e.putRow(ctx, table, attributes{"leaseKey": num("1")}) },
		"an empty key":           func() error { return e.putRow(ctx, table, row("leaseKey", "")) },
		"a number of 39 digits":  func() error { return e.putRow(ctx, table, row("leaseKey", "b", "n", strings.Repeat("1", 39))) },
		"text as a number":       func() error { return e.putRow(ctx, table, attributes{"leaseKey": str("b"), "n": num("one")}) },
		"an item of over 400 KB": func() error { return e.putRow(ctx, table, row("leaseKey", "b", "s", text(400<<10))) },
		"a read with two keys": func() error {
			_, err := e.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: row("leaseKey", "a", "n", "1")})
			return err
		},
	} {
		if err := refused(what, f(), validation); err != nil {
			return err
		}
	}
	return e.is(ctx, table, "a", row("leaseKey", "a", "n", "1", "s", "text"))
}

func rowTypes(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	it := attributes{
		"leaseKey": str("a"),
		"digits":   num("12345678901234567890123456789012345678"),
		"small":    num("-0.000001"),
		"bytes":    &types.AttributeValueMemberB{Value: []byte{0, 255, 1}},
		"yes":      &types.AttributeValueMemberBOOL{Value: true},
		"none":     &types.AttributeValueMemberNULL{Value: true},
		"empty":    str(""),
		"set":      &types.AttributeValueMemberSS{Value: []string{"a"}},
		"numbers":  &types.AttributeValueMemberNS{Value: []string{"7"}},
		"list":     &types.AttributeValueMemberL{Value: []types.AttributeValue{str("x"), num("1")}},
		"map":      &types.AttributeValueMemberM{Value: attributes{"deep": str("€")}},
	}
	if err := e.putRow(ctx, table, it); err != nil {
		return err
	}
	if err := e.is(ctx, table, "a", it); err != nil {
		return err
	}
	if err := e.putRow(ctx, table, attributes{"leaseKey": str("a"), "n": num("1.50"), "m": num("1e2")}); err != nil {
		return err
	}
	return e.is(ctx, table, "a", attributes{"leaseKey": str("a"), "n": num("1.5"), "m": num("100")})
}

func batchWrite(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	write := func(n int) error {
		var requests []types.WriteRequest
		for i := range n {
			requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: row("leaseKey", fmt.Sprint(i))}})
		}
		out, err := e.DynamoDB.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: requests}})
		if err == nil && len(out.UnprocessedItems) > 0 {
			return fmt.Errorf("%d unprocessed", len(out.UnprocessedItems))
		}
		return err
	}
	if err := write(25); err != nil {
		return fmt.Errorf("25 items: %w", err)
	}
	if err := refused("26 items", write(26), validation); err != nil {
		return err
	}
	rows, err := e.scan(ctx, &dynamodb.ScanInput{TableName: &table})
	if err != nil || len(rows) != 25 {
		return fmt.Errorf("%d rows, %v, want 25", len(rows), err)
	}
	return nil
}
