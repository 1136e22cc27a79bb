package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var documentChecks = []Check{
	{ID: "D.update.paths", Source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html",
		Says: "an update reaches into maps and lists, and UPDATED_NEW shows what it reached",
		Run:  updatePaths},
	{ID: "D.update.sets", Source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html",
		Says: "ADD and DELETE change sets, and a set without elements is gone",
		Run:  updateSets},
	{ID: "D.update.refused", Source: ddb("UpdateItem"),
		Says: "an update cannot change a key, two paths of it do not overlap, and what it reads is there",
		Run:  updateRefused},
	{ID: "D.legacy.updates", Source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.AttributeUpdates.html",
		Says: "AttributeUpdates puts, adds to and deletes attributes and elements of sets",
		Run:  legacyUpdates},
	{ID: "D.legacy.mixed", Source: ddb("UpdateItem"),
		Says: "a request has expressions or the members that they replaced, not both",
		Run:  legacyMixed},
	{ID: "D.tx.invalid", Source: ddb("TransactWriteItems"),
		Says: "an update that cannot be applied cancels its transaction with the reason ValidationError",
		Run:  txInvalid},
	{ID: "D.table.arn", Source: ddb("GetItem"),
		Says: "a table goes by its ARN where it goes by its name",
		Run:  tableByARN},
	{ID: "D.wire.error", Source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html",
		Says: "an error is JSON with __type and message, has a request id, and the CRC-32 of its body",
		Run:  rowErrors},
}

// update runs an update expression on the row a and returns the values asked
// for.
func (e *Env) update(ctx context.Context, table, expression string, values attributes, want types.ReturnValue) (attributes, error) {
	out, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
		UpdateExpression: &expression, ExpressionAttributeValues: values, ReturnValues: want})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	return out.Attributes, nil
}

func list(of ...types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: of}
}

func document(m attributes) types.AttributeValue { return &types.AttributeValueMemberM{Value: m} }

func set(of ...string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: of} }

func updatePaths(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, attributes{"leaseKey": str("a"), "m": document(row("x", "1", "y", "2")), "l": list(num("0"), num("1"), num("2"))}); err != nil {
		return err
	}
	got, err := e.update(ctx, table, "SET m.x = m.x + :one, m.z = if_not_exists(m.absent, :one), l[9] = :one REMOVE l[0]", attributes{":one": num("1")}, types.ReturnValueAllNew)
	if err != nil {
		return err
	}
	want := attributes{"leaseKey": str("a"), "m": document(row("x", "2", "y", "2", "z", "1")), "l": list(num("1"), num("2"), num("1"))}
	if err := same("the row", got, want); err != nil {
		return err
	}
	if got, err = e.update(ctx, table, "SET m.y = :five, l = list_append(:more, l)", attributes{":five": num("5"), ":more": list(num("7"))}, types.ReturnValueUpdatedNew); err != nil {
		return err
	}
	return same("UPDATED_NEW", got, attributes{"m": document(row("y", "5")), "l": list(num("7"), num("1"), num("2"), num("1"))})
}

func updateSets(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	for _, tt := range []struct {
		expression string
		by         types.AttributeValue
		want       types.AttributeValue
	}{
		{"ADD s :by", set("x"), set("x")},
		{"ADD s :by", set("x"), set("x")},
		{"DELETE s :by", set("z"), set("x")},
		{"DELETE s :by", set("x", "z"), nil},
		{"DELETE s :by", set("x"), nil},
	} {
		got, err := e.update(ctx, table, tt.expression, attributes{":by": tt.by}, types.ReturnValueAllNew)
		if err != nil {
			return err
		}
		want := row("leaseKey", "a")
		if tt.want != nil {
			want["s"] = tt.want
		}
		if err := same(tt.expression, got, want); err != nil {
			return err
		}
	}
	return nil
}

func updateRefused(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	before := attributes{"leaseKey": str("a"), "n": num("1"), "m": document(row("x", "1"))}
	if err := e.putRow(ctx, table, before); err != nil {
		return err
	}
	var errs []error
	for _, tt := range []struct {
		expression string
		value      types.AttributeValue
	}{
		{"SET leaseKey = :v", str("b")},
		{"SET n = :v, n = :v", num("2")},
		{"SET m = :v REMOVE m.x", num("2")},
		{"SET n = absent + :v", num("2")},
		{"SET n = n + :v", str("2")},
		{"SET absent.x = :v", num("2")},
		{"SET n.x = :v", num("2")},
		{"SET n = m + :v", num("2")},
		{"SET status = :v", num("2")}, // a reserved word
		{"SET n = :other", num("2")},
		{"SET leaseOwner = :v", num("2")}, // the key of an index
		{"SET leaseOwner = :v", str("")},
		{"ADD m :v", num("2")},
		{"DELETE n :v", set("2")},
	} {
		_, err := e.update(ctx, table, tt.expression, attributes{":v": tt.value}, types.ReturnValueNone)
		errs = append(errs, refused(tt.expression, err, "ValidationException"))
	}
	return errors.Join(append(errs, e.is(ctx, table, "a", before))...)
}

func legacyUpdates(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	type updates = map[string]types.AttributeValueUpdate
	const put, add, del = types.AttributeActionPut, types.AttributeActionAdd, types.AttributeActionDelete
	change := func(u updates) (attributes, error) {
		out, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"), AttributeUpdates: u, ReturnValues: types.ReturnValueAllNew})
		if err != nil {
			return nil, err
		}
		return out.Attributes, nil
	}
	got, err := change(updates{"n": {Action: add, Value: num("1")}, "s": {Action: put, Value: set("x", "y")}, "t": {Value: str("t")}})
	if err != nil {
		return err
	}
	if err := same("a row that was not there", got, attributes{"leaseKey": str("a"), "n": num("1"), "s": set("x", "y"), "t": str("t")}); err != nil {
		return err
	}
	got, err = change(updates{"n": {Action: add, Value: num("-3")}, "s": {Action: del, Value: set("x")}, "t": {Action: del}, "none": {Action: del}})
	if err != nil {
		return err
	}
	_, key := change(updates{"leaseKey": {Value: str("b")}})
	_, kind := change(updates{"t": {Action: add, Value: str("b")}})
	_, nothing := change(updates{"t": {Action: put}})
	return errors.Join(
		same("a row that was there", got, attributes{"leaseKey": str("a"), "n": num("-2"), "s": set("y")}),
		refused("a key", key, "ValidationException"),
		refused("ADD of a string", kind, "ValidationException"),
		refused("PUT of nothing", nothing, "ValidationException"))
}

func legacyMixed(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	one := attributes{":one": num("1")}
	_, update := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
		Expected: map[string]types.ExpectedAttributeValue{"n": {Exists: aws.Bool(false)}}, UpdateExpression: aws.String("SET n = :one"), ExpressionAttributeValues: one})
	_, get := e.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: row("leaseKey", "a"),
		AttributesToGet: []string{"n"}, ProjectionExpression: aws.String("n")})
	_, scan := e.DynamoDB.Scan(ctx, &dynamodb.ScanInput{TableName: &table, AttributesToGet: []string{"n"}, FilterExpression: aws.String("n = :one"), ExpressionAttributeValues: one})
	return errors.Join(
		refused("Expected and UpdateExpression", update, "ValidationException"),
		refused("AttributesToGet and ProjectionExpression", get, "ValidationException"),
		refused("AttributesToGet and FilterExpression", scan, "ValidationException"),
		e.is(ctx, table, "a", nil))
}

func txInvalid(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "a")); err != nil {
		return err
	}
	err = e.transact(ctx, nil, txPut(table, row("leaseKey", "b"), ""),
		types.TransactWriteItem{Update: &types.Update{TableName: &table, Key: row("leaseKey", "a"),
			UpdateExpression: aws.String("SET n = absent + :one"), ExpressionAttributeValues: attributes{":one": num("1")}}})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return fmt.Errorf("error %w, want %s", err, canceled)
	}
	var reasons []string
	for _, r := range cancelled.CancellationReasons {
		reasons = append(reasons, aws.ToString(r.Code))
	}
	if got := strings.Join(reasons, " "); got != "None ValidationError" {
		return fmt.Errorf("reasons %q, want None and ValidationError", got)
	}
	return e.is(ctx, table, "b", nil)
}

func tableByARN(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	out, err := e.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		return err
	}
	arn := aws.ToString(out.Table.TableArn)
	if !strings.HasPrefix(arn, "arn:aws") {
		return fmt.Errorf("table with ARN %q", arn)
	}
	if err := e.putRow(ctx, arn, row("leaseKey", "a")); err != nil {
		return fmt.Errorf("put by ARN: %w", err)
	}
	if err := e.is(ctx, arn, "a", row("leaseKey", "a")); err != nil {
		return err
	}
	return e.is(ctx, table, "a", row("leaseKey", "a"))
}

func rowErrors(ctx context.Context, e *Env) error {
	for _, tt := range []struct{ op, body, kind string }{
		{"DescribeTable", fmt.Sprintf(`{"TableName":%q}`, e.name()), "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"},
		{"GetItem", fmt.Sprintf(`{"TableName":%q,"Key":{"k":{"S":""}},"ConsistentRead":true,"ProjectionExpression":"="}`, e.name()), "com.amazon.coral.validate#ValidationException"},
		{"GetItem", `{"TableName":`, "com.amazon.coral.service#SerializationException"},
		{"FlyToTheMoon", `{}`, "com.amazon.coral.service#UnknownOperationException"},
	} {
		got, err := e.sendDynamoDB(ctx, tt.op, tt.body)
		if err != nil {
			return err
		}
		var out map[string]any
		if err := json.Unmarshal(got.body, &out); err != nil {
			return fmt.Errorf("%s: body %.200q: %w", tt.op, got.body, err)
		}
		if got.status != 400 || out["__type"] != tt.kind || got.header.Get("X-Amzn-Requestid") == "" {
			return fmt.Errorf("%s: status %d, %.200s, request id %q, want __type %s", tt.op, got.status, got.body, got.header.Get("X-Amzn-Requestid"), tt.kind)
		}
		if sum := fmt.Sprint(crc32.ChecksumIEEE(got.body)); got.header.Get("X-Amz-Crc32") != sum {
			return fmt.Errorf("%s: X-Amz-Crc32 %q of a body with %s", tt.op, got.header.Get("X-Amz-Crc32"), sum)
		}
	}
	return nil
}
