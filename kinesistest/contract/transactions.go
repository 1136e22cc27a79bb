package contract

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var transactionChecks = []Check{
	{ID: "D.tx.write", Source: ddb("TransactWriteItems"),
		Says: "a transaction puts, updates, deletes and checks in one",
		Run:  txWrite},
	{ID: "D.tx.cancel", Source: ddb("TransactWriteItems"),
		Says: "a transaction of which a condition fails changes nothing, and tells the reason for each action with the row that was in the way",
		Run:  txCancel},
	{ID: "D.tx.token", Source: ddb("TransactWriteItems"),
		Says: "a transaction sent again with its token does nothing; another with that token is refused",
		Run:  txToken},
	{ID: "D.tx.limits", Source: ddb("TransactWriteItems"),
		Says: "a transaction takes 100 actions, not 101, and no row twice",
		Run:  txLimits},
	{ID: "D.tx.get", Source: ddb("TransactGetItems"),
		Says: "TransactGetItems answers in the order of the request, with nothing for a row that is not there",
		Run:  txGet},
	{ID: "D.race.tx", Source: ddb("TransactWriteItems"),
		Says: "of 16 transactions on the same two rows one wins, and the others change neither",
		Run:  raceTx},
}

const canceled = "TransactionCanceledException"

func txPut(table string, it attributes, condition string) types.TransactWriteItem {
	p := &types.Put{TableName: &table, Item: it, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
	if condition != "" {
		p.ConditionExpression = &condition
	}
	return types.TransactWriteItem{Put: p}
}

func (e *Env) transact(ctx context.Context, token *string, items ...types.TransactWriteItem) error {
	_, err := e.DynamoDB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items, ClientRequestToken: token})
	return err
}

func txWrite(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	for _, key := range []string{"updated", "deleted", "checked"} {
		if err := e.putRow(ctx, table, row("leaseKey", key, "leaseCounter", "1")); err != nil {
			return err
		}
	}
	one := attributes{":one": num("1")}
	if err := e.transact(ctx, nil,
		txPut(table, row("leaseKey", "put"), "attribute_not_exists(leaseKey)"),
		types.TransactWriteItem{Update: &types.Update{TableName: &table, Key: row("leaseKey", "updated"),
			UpdateExpression: aws.String("ADD leaseCounter :one"), ConditionExpression: aws.String("leaseCounter = :one"), ExpressionAttributeValues: one}},
		types.TransactWriteItem{Delete: &types.Delete{TableName: &table, Key: row("leaseKey", "deleted")}},
		types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: &table, Key: row("leaseKey", "checked"),
			ConditionExpression: aws.String("leaseCounter = :one"), ExpressionAttributeValues: one}},
	); err != nil {
		return err
	}
	return errors.Join(
		e.is(ctx, table, "put", row("leaseKey", "put")),
		e.is(ctx, table, "updated", row("leaseKey", "updated", "leaseCounter", "2")),
		e.is(ctx, table, "deleted", nil),
		e.is(ctx, table, "checked", row("leaseKey", "checked", "leaseCounter", "1")))
}

func txCancel(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	there := row("leaseKey", "b", "leaseOwner", "w")
	if err := e.putRow(ctx, table, there); err != nil {
		return err
	}
	err = e.transact(ctx, nil, txPut(table, row("leaseKey", "a"), ""), txPut(table, row("leaseKey", "b"), "attribute_not_exists(leaseKey)"))
	if err := refused("a transaction with a condition that fails", err, canceled); err != nil {
		return err
	}
	var reasons *types.TransactionCanceledException
	if !errors.As(err, &reasons) || len(reasons.CancellationReasons) != 2 {
		return fmt.Errorf("reasons: %+v", reasons)
	}
	if a, b := reasons.CancellationReasons[0], reasons.CancellationReasons[1]; aws.ToString(a.Code) != "None" || aws.ToString(b.Code) != "ConditionalCheckFailed" {
		return fmt.Errorf("reasons %q and %q", aws.ToString(a.Code), aws.ToString(b.Code))
	} else if err := same("the row in the reason", b.Item, there); err != nil {
		return err
	}
	return errors.Join(e.is(ctx, table, "a", nil), e.is(ctx, table, "b", there))
}

func txToken(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	token := aws.String("the-token-of-" + table[max(0, len(table)-20):])
	add := func(n string) types.TransactWriteItem {
		return types.TransactWriteItem{Update: &types.Update{TableName: &table, Key: row("leaseKey", "a"),
			UpdateExpression: aws.String("ADD leaseCounter :n"), ExpressionAttributeValues: attributes{":n": num(n)}}}
	}
	for range 2 {
		if err := e.transact(ctx, token, add("1")); err != nil {
			return err
		}
	}
	if err := e.is(ctx, table, "a", row("leaseKey", "a", "leaseCounter", "1")); err != nil {
		return fmt.Errorf("sent twice with one token: %w", err)
	}
	return refused("another request with that token", e.transact(ctx, token, add("2")), "IdempotentParameterMismatchException")
}

func txLimits(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	var items []types.TransactWriteItem
	for i := range 101 {
		items = append(items, txPut(table, row("leaseKey", fmt.Sprint(i)), ""))
	}
	if err := refused("101 actions", e.transact(ctx, nil, items...), validation); err != nil {
		return err
	}
	if err := e.transact(ctx, nil, items[:100]...); err != nil {
		return fmt.Errorf("100 actions: %w", err)
	}
	return refused("a row twice", e.transact(ctx, nil, items[0], items[0]), validation)
}

func txGet(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "b", "leaseOwner", "w")); err != nil {
		return err
	}
	get := func(key string) types.TransactGetItem {
		return types.TransactGetItem{Get: &types.Get{TableName: &table, Key: row("leaseKey", key)}}
	}
	out, err := e.DynamoDB.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{get("a"), get("b")}})
	if err != nil || len(out.Responses) != 2 {
		return fmt.Errorf("TransactGetItems = %+v, %v", out, err)
	}
	return errors.Join(
		same("the row that is not there", out.Responses[0].Item, nil),
		same("the row that is", out.Responses[1].Item, row("leaseKey", "b", "leaseOwner", "w")))
}

func raceTx(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	for round := range 10 {
		a, b := fmt.Sprint("a", round), fmt.Sprint("b", round)
		var won []int
		for w, err := range each(func(w int) error {
			owner := fmt.Sprint("w", w)
			return e.transact(ctx, nil,
				txPut(table, row("leaseKey", a, "leaseOwner", owner), "attribute_not_exists(leaseKey)"),
				txPut(table, row("leaseKey", b, "leaseOwner", owner), "attribute_not_exists(leaseKey)"))
		}) {
			if err == nil {
				won = append(won, w)
			} else if err := refused("a loser", err, canceled); err != nil {
				return err
			}
		}
		// A transaction that meets another is cancelled, so on AWS all may lose.
		if len(won) > 1 {
			return fmt.Errorf("round %d: %v won", round, won)
		}
		if len(won) == 0 {
			continue
		}
		owner := fmt.Sprint("w", won[0])
		if err := errors.Join(e.is(ctx, table, a, row("leaseKey", a, "leaseOwner", owner)), e.is(ctx, table, b, row("leaseKey", b, "leaseOwner", owner))); err != nil {
			return err
		}
	}
	return nil
}
