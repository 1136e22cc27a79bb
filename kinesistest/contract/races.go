package contract

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

var raceChecks = []Check{
	{ID: "D.race.one_winner", Source: ddb("UpdateItem"),
		Says: "of 16 writers with one condition one wins",
		Run:  raceOneWinner},
	{ID: "D.race.add", Source: ddb("UpdateItem"),
		Says: "ADDs of 16 writers are all counted",
		Run:  raceAdd},
}

const writers = 16

// each calls f on every writer at once and returns the errors.
func each(f func(writer int) error) []error {
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { errs[w] = f(w) })
	}
	wg.Wait()
	return errs
}

// Of writers that all ask for the same counter exactly one succeeds.
func raceOneWinner(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if err := e.putRow(ctx, table, row("leaseKey", "a", "leaseCounter", "0")); err != nil {
		return err
	}
	for round := range 60 {
		winners := 0
		for w, err := range each(func(w int) error {
			_, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
				ConditionExpression: aws.String("leaseCounter = :old"), UpdateExpression: aws.String("SET leaseCounter = :new, leaseOwner = :w"),
				ExpressionAttributeValues: attributes{":old": num(fmt.Sprint(round)), ":new": num(fmt.Sprint(round + 1)), ":w": str(fmt.Sprint("w", w))}})
			return err
		}) {
			if err == nil {
				winners++
				if err := e.is(ctx, table, "a", row("leaseKey", "a", "leaseCounter", fmt.Sprint(round+1), "leaseOwner", fmt.Sprint("w", w))); err != nil {
					return fmt.Errorf("round %d, won by %d: %w", round, w, err)
				}
			} else if err := refused("a loser", err, conditionFailed); err != nil {
				return err
			}
		}
		if winners != 1 {
			return fmt.Errorf("round %d has %d winners", round, winners)
		}
	}
	return nil
}

func raceAdd(ctx context.Context, e *Env) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	for _, err := range each(func(int) error {
		for range 40 {
			if _, err := e.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: row("leaseKey", "a"),
				UpdateExpression: aws.String("ADD n :one"), ExpressionAttributeValues: attributes{":one": num("1")}}); err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			return err
		}
	}
	return e.is(ctx, table, "a", row("leaseKey", "a", "n", fmt.Sprint(writers*40)))
}
