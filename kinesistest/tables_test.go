package kinesistest_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/kinesistest"
)

type row = map[string]types.AttributeValue

func rowText(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// newTable makes a table with the key id, and returns a client that does not
// try again.
func newTable(t *testing.T, srv *kinesistest.Server, name string, fns ...func(*dynamodb.CreateTableInput)) *dynamodb.Client {
	t.Helper()
	cfg := srv.ConfigFor("writer")
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	c := dynamodb.NewFromConfig(cfg)
	in := &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest, KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
	}
	for _, fn := range fns {
		fn(in)
	}
	if _, err := c.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return c
}

func putRow(t *testing.T, c *dynamodb.Client, table string, r row) error {
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: r})
	return err
}

// codeOf returns the error code that AWS's client saw, "" for none.
func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestFaultKeyIsTheKeyOfTheTable(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	c := newTable(t, srv, "rows")
	newTable(t, srv, "others")
	srv.Inject(kinesistest.Fault{Table: "rows", Key: "hot", Error: kinesistest.Throttled})
	write := func(table, id string) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: &table, Item: row{"id": rowText(id)}}}
	}
	const want = "ProvisionedThroughputExceededException"
	if err := putRow(t, c, "rows", row{"id": rowText("cold"), "name": rowText("hot")}); err != nil {
		t.Errorf("put of another row with the text = %v, want none", err)
	}
	if err := putRow(t, c, "others", row{"id": rowText("hot")}); err != nil {
		t.Errorf("put into another table = %v, want none", err)
	}
	if err := putRow(t, c, "rows", row{"id": rowText("hot")}); codeOf(err) != want {
		t.Errorf("put = %v, want %s", err, want)
	}
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{write("others", "a"), write("rows", "hot")}})
	if codeOf(err) != want {
		t.Errorf("transaction = %v, want %s", err, want)
	}
	_, err = c.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		"others": {Keys: []row{{"id": rowText("a")}}}, "rows": {Keys: []row{{"id": rowText("hot")}, {"id": rowText("cold")}}}}})
	if codeOf(err) != want {
		t.Errorf("batch = %v, want %s", err, want)
	}
}

func TestFaultsOfTransactions(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	c := newTable(t, srv, "rows")
	transact := func() error {
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
			{Put: &types.Put{TableName: aws.String("rows"), Item: row{"id": rowText("a")}}}, {Put: &types.Put{TableName: aws.String("rows"), Item: row{"id": rowText("b")}}}}})
		return err
	}
	remove := srv.Inject(kinesistest.Fault{Operation: "TransactWriteItems", Error: kinesistest.TransactionCanceled("None", "TransactionConflict")})
	var cancelled *types.TransactionCanceledException
	if err := transact(); !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != 2 || *cancelled.CancellationReasons[1].Code != "TransactionConflict" {
		t.Errorf("transaction = %v, want it canceled for a conflict of the second", err)
	}
	remove()
	for _, e := range []*kinesistest.Error{kinesistest.RequestLimitExceeded, kinesistest.TransactionConflict, kinesistest.TransactionInProgress} {
		remove := srv.Inject(kinesistest.Fault{Service: kinesistest.DynamoDB, Error: e})
		if err := transact(); codeOf(err) != e.Code {
			t.Errorf("transaction = %v, want %s", err, e.Code)
		}
		remove()
	}
	if rows := srv.Rows("rows"); len(rows) != 0 {
		t.Errorf("rows = %v, want none", rows)
	}
}

func TestProvisionedThroughputHolds(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"by default": 300, "unthrottled": 600} {
		synctest.Test(t, func(t *testing.T) {
			srv := kinesistest.NewServer(func(o *kinesistest.Options) {
				if name == "unthrottled" {
					kinesistest.Unthrottled(o)
				}
			})
			defer srv.Close()
			c := newTable(t, srv, "slow", func(in *dynamodb.CreateTableInput) {
				in.BillingMode, in.ProvisionedThroughput = "", &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(1), WriteCapacityUnits: aws.Int64(1)}
			})
			got := 0
			for i := range 600 {
				if putRow(t, c, "slow", row{"id": rowText(fmt.Sprint(i))}) == nil {
					got++
				}
			}
			if got != want {
				t.Errorf("%s %d of 600 writes passed, want %d", name, got, want)
			}
		})
	}
}

// TestOptionsOfTablesReachThem sets each lag and looks for its effect.
func TestOptionsOfTablesReachThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer(func(o *kinesistest.Options) {
			o.Tables.IndexLag, o.Tables.ReadLag, o.Tables.ExpiryLag = 3*time.Second, 2*time.Second, time.Hour
			o.Tables.KeyWriteUnits, o.Tables.OnDemandWriteUnits = 1, 2
		})
		defer srv.Close()
		c := newTable(t, srv, "rows", func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{IndexName: aws.String("again"), KeySchema: in.KeySchema, Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll}}}
		})
		_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("rows"), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("end"), Enabled: aws.Bool(true)}})
		if err != nil {
			t.Fatal(err)
		}
		writes := 0
		for ; err == nil; writes++ {
			err = putRow(t, c, "rows", row{"id": rowText("a"), "end": &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().Unix())}})
		}
		if writes != 6 || codeOf(err) != "ThrottlingException" {
			t.Errorf("write %d = %v, want the 6th to find no units of its key", writes, err)
		}
		for writes = 0; codeOf(err) != "ThrottlingException" || writes == 0; writes++ {
			err = putRow(t, c, "rows", row{"id": rowText(fmt.Sprint(writes))})
		}
		if writes != 6 {
			t.Errorf("write %d = %v, want the 6th to find no units of the table", writes, err)
		}
		count := func(index *string) int32 {
			out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("rows"), IndexName: index})
			if err != nil {
				t.Fatal(err)
			}
			return out.Count
		}
		var got []string
		for range 4 {
			got = append(got, fmt.Sprint(count(nil), " ", count(aws.String("again"))))
			time.Sleep(time.Second)
		}
		if diff := cmp.Diff([]string{"0 0", "0 0", "6 0", "6 6"}, got); diff != "" {
			t.Errorf("rows read by a scan of the table and of the index, second by second (-want +got):\n%s", diff)
		}
		time.Sleep(time.Hour)
		if rows := srv.Rows("rows"); len(rows) != 5 {
			t.Errorf("%d rows after an hour, want 5", len(rows))
		}
		j := srv.Journal()
		if first, last := j[0].Write, j[len(j)-1].Write; first.Client != "writer" || last.Client != "" || last.Operation != "TimeToLive" || last.After != nil {
			t.Errorf("journal = %+v ... %+v, want a write of writer and an expiry", first, last)
		}
	})
}

func TestBadOptionsOfTablesAreNamed(t *testing.T) {
	t.Parallel()
	defer func() {
		got := fmt.Sprint(recover())
		for _, want := range []string{"Tables.IndexLag -1", "Tables.KeyReadUnits -2", "Tables.ReadLagProbability NaN"} {
			if !strings.Contains(got, want) {
				t.Errorf("panic = %s, want it to name %s", got, want)
			}
		}
	}()
	kinesistest.NewServer(func(o *kinesistest.Options) {
		o.Tables.IndexLag, o.Tables.KeyReadUnits, o.Tables.ReadLagProbability = -1, -2, math.NaN()
	})
}
