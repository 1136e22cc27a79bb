package dynamo_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const writers = 16

// A swap is a conditional renewal of one counter: it asks for seen, and
// either stores seen+1 or learns the counter that it met.
type swap struct{ seen int }

type swapped struct {
	won bool
	met int
}

var counter = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		n, in, out := state.(int), input.(swap), output.(swapped)
		if out.won {
			return n == in.seen, n + 1
		}
		return n != in.seen && n == out.met, n
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("swap(%d) = %+v", in.(swap).seen, out.(swapped))
	},
}

func try(t *testing.T, c *dynamodb.Client, s swap) swapped {
	_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("leases"), Key: item{"leaseKey": str("shard-0")},
		ConditionExpression: aws.String("leaseCounter = :n"), UpdateExpression: aws.String("ADD leaseCounter :one"),
		ExpressionAttributeValues:           item{":n": num(strconv.Itoa(s.seen)), ":one": num("1")},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var refused *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return swapped{won: true}
	case !errors.As(err, &refused):
		t.Error(err)
		return swapped{}
	}
	met, err := strconv.Atoi(refused.Item["leaseCounter"].(*types.AttributeValueMemberN).Value)
	if err != nil {
		t.Error(err)
	}
	return swapped{met: met}
}

// TestOneWinnerPerState lets 16 writers ask for the same state of one row, in
// 60 rounds: each round has one winner.
func TestOneWinnerPerState(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	putLease(t, c, newLease("shard-0", "worker-A", 0))
	for round := range 60 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range writers {
			wg.Go(func() {
				out := try(t, c, swap{round})
				mu.Lock()
				defer mu.Unlock()
				if out.won {
					won++
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("round %d: %d winners, want 1", round, won)
		}
	}
}

// TestCounterIsLinearizable lets 16 writers chase one counter and checks the
// history of what each was told.
func TestCounterIsLinearizable(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	putLease(t, c, newLease("shard-0", "worker-A", 0))
	start := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			seen := 0
			for range 40 {
				op := porcupine.Operation{ClientId: w, Input: swap{seen}, Call: time.Since(start).Nanoseconds()}
				out := try(t, c, swap{seen})
				op.Output, op.Return = out, time.Since(start).Nanoseconds()
				if seen = out.met; out.won {
					seen = op.Input.(swap).seen + 1
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if result := porcupine.CheckOperationsTimeout(counter, history, time.Minute); result != porcupine.Ok {
		t.Errorf("history of %d swaps: %v, want Ok", len(history), result)
	}
}

// TestEveryAddCounts adds to one counter from 16 goroutines.
func TestEveryAddCounts(t *testing.T) {
	t.Parallel()
	c, s := newClient(t)
	leaseTable(t, c, "leases")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range 40 {
				_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: aws.String("leases"), Key: item{"leaseKey": str("n")},
					UpdateExpression: aws.String("ADD n :one"), ExpressionAttributeValues: item{":one": num("1")},
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	items, err := s.Items("leases")
	if err != nil || len(items) != 1 || items[0]["n"].Text() != "640" {
		t.Errorf("Items = %v, %v, want one with n 640", items, err)
	}
}

func putLease(t *testing.T, c *dynamodb.Client, lease item) {
	t.Helper()
	if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("leases"), Item: lease}); err != nil {
		t.Fatal(err)
	}
}
