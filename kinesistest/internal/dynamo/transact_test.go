package dynamo_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

func TestTransactionOfAllKinds(t *testing.T) {
	t.Parallel()
	var ops []string
	c, s := newClient(t, func(o *dynamo.Options) {
		o.Applied = func(a dynamo.Applied) { ops = append(ops, a.Op+" "+a.Key["leaseKey"].Text()) }
	})
	leaseTable(t, c, "leases")
	for _, k := range []string{"a", "b", "c"} {
		putLease(t, c, newLease(k, "worker-A", 0))
	}
	table := aws.String("leases")
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{ConditionCheck: &types.ConditionCheck{TableName: table, Key: item{"leaseKey": str("a")}, ConditionExpression: aws.String("attribute_exists(leaseKey)")}},
		{Update: &types.Update{TableName: table, Key: item{"leaseKey": str("b")}, UpdateExpression: aws.String("ADD leaseCounter :one"), ExpressionAttributeValues: item{":one": num("1")}}},
		{Delete: &types.Delete{TableName: table, Key: item{"leaseKey": str("c")}}},
		{Put: &types.Put{TableName: table, Item: newLease("d", "", 0), ConditionExpression: aws.String("attribute_not_exists(leaseKey)")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"TransactWriteItems b", "TransactWriteItems c", "TransactWriteItems d"}, ops[3:]); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	items, err := s.Items("leases")
	if err != nil || len(items) != 3 || items[1]["leaseCounter"].Text() != "1" || items[2]["leaseKey"].Text() != "d" {
		t.Errorf("rows = %v, %v, want a, b with counter 1, d", items, err)
	}
	out, err := c.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
		{Get: &types.Get{TableName: table, Key: item{"leaseKey": str("b")}, ProjectionExpression: aws.String("leaseCounter")}},
		{Get: &types.Get{TableName: table, Key: item{"leaseKey": str("c")}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]item{{"leaseCounter": num("1")}, nil}, []item{out.Responses[0].Item, out.Responses[1].Item}, ignoreUnexported); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestCancelledTransactionChangesNothing(t *testing.T) {
	t.Parallel()
	c, s := newClient(t)
	leaseTable(t, c, "leases")
	putLease(t, c, newLease("a", "worker-A", 3))
	table := aws.String("leases")
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: table, Item: newLease("b", "", 0)}},
		{Update: &types.Update{TableName: table, Key: item{"leaseKey": str("a")}, UpdateExpression: aws.String("REMOVE leaseOwner"),
			ConditionExpression: aws.String("leaseOwner = :b"), ExpressionAttributeValues: item{":b": str("worker-B")},
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}},
	}})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		t.Fatalf("error = %v, want TransactionCanceledException", err)
	}
	if got, want := cancelled.ErrorMessage(), "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]"; got != want {
		t.Errorf("message = %q, want %q", got, want)
	}
	if diff := cmp.Diff(newLease("a", "worker-A", 3), cancelled.CancellationReasons[1].Item, ignoreUnexported); diff != "" {
		t.Errorf("row in the reasons (-want +got):\n%s", diff)
	}
	if items, err := s.Items("leases"); err != nil || len(items) != 1 || items[0]["leaseOwner"].Text() != "worker-A" {
		t.Errorf("rows = %v, %v, want a of worker-A alone", items, err)
	}
}

func TestTransactionToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := newClient(t)
		leaseTable(t, c, "leases")
		add := func(key string) error {
			_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
				ClientRequestToken: aws.String("token"), TransactItems: []types.TransactWriteItem{{Update: &types.Update{
					TableName: aws.String("leases"), Key: item{"leaseKey": str(key)}, UpdateExpression: aws.String("ADD n :one"), ExpressionAttributeValues: item{":one": num("1")}}}},
			})
			return err
		}
		want := func(n string) {
			t.Helper()
			if items, err := s.Items("leases"); err != nil || len(items) != 1 || items[0]["n"].Text() != n {
				t.Errorf("rows = %v, %v, want one with n %s", items, err, n)
			}
		}
		for range 3 {
			if err := add("a"); err != nil {
				t.Fatal(err)
			}
		}
		want("1")
		if err := add("b"); code(err) != "IdempotentParameterMismatchException" {
			t.Errorf("other request with the token = %v, want IdempotentParameterMismatchException", err)
		}
		time.Sleep(11 * time.Minute)
		if err := add("a"); err != nil {
			t.Fatal(err)
		}
		want("2")
	})
}

func TestTransactionLimits(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	puts := func(n int, same bool) string {
		var list []string
		for i := range n {
			if same {
				i = 0
			}
			list = append(list, fmt.Sprintf(`{"Put":{"TableName":"leases","Item":{"leaseKey":{"S":"k%d"}}}}`, i))
		}
		return `{"TransactItems":[` + strings.Join(list, ",") + `]}`
	}
	mustCall(t, s, "TransactWriteItems", puts(100, false))
	for name, body := range map[string]string{
		"101": puts(101, false), "same item": puts(2, true), "none": puts(0, false),
		"two kinds":          `{"TransactItems":[{"Put":{"TableName":"leases","Item":{"leaseKey":{"S":"x"}}},"Delete":{"TableName":"leases","Key":{"leaseKey":{"S":"x"}}}}]}`,
		"no kind":            `{"TransactItems":[{}]}`,
		"check of nothing":   `{"TransactItems":[{"ConditionCheck":{"TableName":"leases","Key":{"leaseKey":{"S":"x"}}}}]}`,
		"update of nothing":  `{"TransactItems":[{"Update":{"TableName":"leases","Key":{"leaseKey":{"S":"x"}}}}]}`,
		"unused value":       `{"TransactItems":[{"Delete":{"TableName":"leases","Key":{"leaseKey":{"S":"x"}},"ExpressionAttributeValues":{":a":{"S":"b"}}}}]}`,
		"an unknown member":  `{"TransactItems":[{"Delete":{"TableName":"leases","Key":{"leaseKey":{"S":"x"}},"Whatever":1}}]}`,
		"an unknown request": `{"TransactItems":[{"Get":{"TableName":"leases","Key":{"leaseKey":{"S":"x"}}}}]}`,
	} {
		if out, failure := call(t, s, "TransactWriteItems", body); failure == nil || failure.Code != "ValidationException" {
			t.Errorf("%s = %s, %v, want ValidationException", name, out, failure)
		}
	}
}

// TestTransactionTellsFaultOfExpression asks for actions whose expressions are
// there, and wrong.
func TestTransactionTellsFaultOfExpression(t *testing.T) {
	t.Parallel()
	s := newTables(t)
	for action, want := range map[string]string{
		`"Update":{"UpdateExpression":"SET status = :v","ExpressionAttributeValues":{":v":{"N":"1"}},`: "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: status",
		`"ConditionCheck":{"ConditionExpression":"a = = b",`:                                           `Invalid ConditionExpression: Syntax error; token: "=", near: "= = b"`,
	} {
		body := `{"TransactItems":[{` + action + `"TableName":"leases","Key":{"leaseKey":{"S":"x"}}}}]}`
		if out, failure := call(t, s, "TransactWriteItems", body); failure == nil || failure.Message != want {
			t.Errorf("%s = %s, %v, want %q", action, out, failure, want)
		}
	}
}

// TestOneTransactionWins lets 16 transactions ask for the same state of two
// rows, in 20 rounds.
func TestOneTransactionWins(t *testing.T) {
	t.Parallel()
	c, s := newClient(t)
	leaseTable(t, c, "leases")
	putLease(t, c, newLease("a", "", 0))
	putLease(t, c, newLease("b", "", 0))
	for round := range 20 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range writers {
			wg.Go(func() {
				update := func(key string) types.TransactWriteItem {
					return types.TransactWriteItem{Update: &types.Update{
						TableName: aws.String("leases"), Key: item{"leaseKey": str(key)}, ConditionExpression: aws.String("leaseCounter = :n"),
						UpdateExpression: aws.String("ADD leaseCounter :one"), ExpressionAttributeValues: item{":n": num(fmt.Sprint(round)), ":one": num("1")}}}
				}
				_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{update("a"), update("b")}})
				if err != nil && code(err) != "TransactionCanceledException" {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("round %d: %d winners, want 1", round, won)
		}
	}
	for _, it := range must(s.Items("leases")) {
		if it["leaseCounter"].Text() != "20" {
			t.Errorf("row = %s, want counter 20", it.Append(nil))
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A history of two rows: transactions that swap both counters, swaps of one,
// and reads of both, by a transaction.
type twoSwap struct {
	a, b   int  // the counters it asks for; b is not asked for by one swap
	single bool // a swap of the first row alone
	read   bool
}

type twoSwapped struct {
	won  bool
	a, b int // what was read
}

var twoCounters = porcupine.Model{
	Init: func() any { return [2]int{} },
	Step: func(state, input, output any) (bool, any) {
		n, in, out := state.([2]int), input.(twoSwap), output.(twoSwapped)
		switch {
		case in.read:
			return n == [2]int{out.a, out.b}, n
		case in.single && out.won:
			return n[0] == in.a, [2]int{n[0] + 1, n[1]}
		case in.single:
			return n[0] != in.a, n
		case out.won:
			return n == [2]int{in.a, in.b}, [2]int{n[0] + 1, n[1] + 1}
		}
		return n != [2]int{in.a, in.b}, n
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v = %+v", in.(twoSwap), out.(twoSwapped))
	},
}

func counterUpdate(key string, seen int) *types.Update {
	return &types.Update{
		TableName: aws.String("leases"), Key: item{"leaseKey": str(key)}, ConditionExpression: aws.String("leaseCounter = :n"),
		UpdateExpression: aws.String("ADD leaseCounter :one"), ExpressionAttributeValues: item{":n": num(fmt.Sprint(seen)), ":one": num("1")},
	}
}

func doTwo(t *testing.T, c *dynamodb.Client, in twoSwap) (out twoSwapped) {
	var err error
	a, b := counterUpdate("a", in.a), counterUpdate("b", in.b)
	switch {
	case in.read:
		get := func(key string) types.TransactGetItem {
			return types.TransactGetItem{Get: &types.Get{TableName: aws.String("leases"), Key: item{"leaseKey": str(key)}}}
		}
		var rows *dynamodb.TransactGetItemsOutput
		rows, err = c.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{get("a"), get("b")}})
		if err == nil {
			out.a, out.b = counterOf(t, rows.Responses[0].Item), counterOf(t, rows.Responses[1].Item)
		}
	case in.single:
		_, err = c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: a.TableName, Key: a.Key,
			ConditionExpression: a.ConditionExpression, UpdateExpression: a.UpdateExpression, ExpressionAttributeValues: a.ExpressionAttributeValues})
	default:
		_, err = c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Update: a}, {Update: b}}})
	}
	switch code(err) {
	case "":
		out.won = true
	case "TransactionCanceledException", "ConditionalCheckFailedException":
	default:
		t.Error(err)
	}
	return out
}

func counterOf(t *testing.T, it item) int {
	n, err := strconv.Atoi(it["leaseCounter"].(*types.AttributeValueMemberN).Value)
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestTransactionsAreLinearizable lets 16 clients read and swap two rows, by
// transactions and one by one, and checks the history.
func TestTransactionsAreLinearizable(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	leaseTable(t, c, "leases")
	putLease(t, c, newLease("a", "", 0))
	putLease(t, c, newLease("b", "", 0))
	start := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var seen twoSwapped
			for i := range 24 {
				in := twoSwap{a: seen.a, b: seen.b, single: (i+w)%7 == 0, read: i%2 == 0}
				op := porcupine.Operation{ClientId: w, Input: in, Call: time.Since(start).Nanoseconds()}
				out := doTwo(t, c, in)
				op.Output, op.Return = out, time.Since(start).Nanoseconds()
				if in.read {
					seen = out
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if result := porcupine.CheckOperationsTimeout(twoCounters, history, time.Minute); result != porcupine.Ok {
		t.Errorf("history of %d operations: %v, want Ok", len(history), result)
	}
}
