package dynamo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

type item = map[string]types.AttributeValue

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func n(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }

// open returns an open store of the application "app", and its client.
func open(t *testing.T, srv *kinesistest.Server) (*dynamo.Store, *dynamodb.Client) {
	t.Helper()
	client := dynamodb.NewFromConfig(srv.Config())
	store, err := dynamo.New(client, "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store, client
}

func put(t *testing.T, client *dynamodb.Client, table string, it item) {
	t.Helper()
	if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: it}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, client *dynamodb.Client, key string) item {
	t.Helper()
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String("app"), Key: item{"leaseKey": s(key)}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

func TestTableIsTheKCLs(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	_, client := open(t, srv)
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("app")})
	if err != nil {
		t.Fatal(err)
	}
	index := out.Table.GlobalSecondaryIndexes
	if len(index) != 1 || *index[0].IndexName != "LeaseOwnerToLeaseKeyIndex" ||
		*index[0].KeySchema[0].AttributeName != "leaseOwner" || *index[0].KeySchema[1].AttributeName != "leaseKey" ||
		index[0].Projection.ProjectionType != types.ProjectionTypeKeysOnly {
		t.Errorf("indexes %+v", index)
	}
	if out.Table.BillingModeSummary == nil || out.Table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest {
		t.Errorf("billing %+v, want on demand", out.Table.BillingModeSummary)
	}
}

// What this library does not know stays as it is, in rows of leases and beside
// them.
func TestNeighboursAreLeftAlone(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	store, client := open(t, srv)
	foreign := item{"leaseKey": s("other"), "entityType": s("SOMETHING_NEW"), "data": &types.AttributeValueMemberB{Value: []byte{1, 2}}}
	broken := item{"leaseKey": s("broken"), "leaseCounter": s("three")}
	put(t, client, "app", foreign)
	put(t, client, "app", broken)
	put(t, client, "app", item{
		"leaseKey": s("shard"), "leaseCounter": n("1"), "checkpoint": s("TRIM_HORIZON"), "ownerSwitchesSinceCheckpoint": n("0"),
		"future": &types.AttributeValueMemberM{Value: item{"a": n("1.50")}}, "leaseOwner": s("a"),
	})
	ctx := t.Context()
	row, err := store.Row(ctx, "shard")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []lease.Write{
		{Op: lease.Renew}, {Op: lease.Checkpoint, Checkpoint: checkpoint.At("5")}, {Op: lease.Handoff, Owner: "b"},
		{Op: lease.Release}, {Op: lease.Assign, Owner: "c"}, {Op: lease.Take, Owner: "d"}, {Op: lease.Release},
	} {
		w.Seen = row
		if row, err = store.Write(ctx, w); err != nil {
			t.Fatalf("%v: %v", w.Op, err)
		}
	}
	want := item{
		"leaseKey": s("shard"), "leaseCounter": n("7"), "checkpoint": s("5"), "checkpointSubSequenceNumber": n("0"),
		"ownerSwitchesSinceCheckpoint": n("2"), "future": &types.AttributeValueMemberM{Value: item{"a": n("1.5")}},
	}
	got := get(t, client, "shard")
	if f, ok := got["future"].(*types.AttributeValueMemberM); !ok || len(f.Value) != 1 {
		t.Errorf("the unknown attribute is %#v", got["future"])
	}
	delete(got, "future")
	delete(want, "future")
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(types.AttributeValueMemberS{}, types.AttributeValueMemberN{})); diff != "" {
		t.Error(diff)
	}

	snap, err := store.Snapshot(ctx)
	if err != nil || len(snap.Rows) != 1 || len(snap.Bad) != 1 || snap.Bad[0].Key != "broken" {
		t.Errorf("Snapshot() = %+v, %v", snap, err)
	}
	var bad *lease.RowError
	if _, err := store.Row(ctx, "broken"); !errors.As(err, &bad) {
		t.Errorf("Row() of a broken row = %v, want a *RowError", err)
	}
	if _, err := store.Row(ctx, "other"); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Row() of a row of another kind = %v, want ErrNotFound", err)
	}
	for _, w := range []lease.Write{
		{Op: lease.SetChildren, Children: []string{"x"}}, {Op: lease.Assign, Owner: "a"}, {Op: lease.Delete},
		{Op: lease.Handoff, Owner: "b", Seen: lease.Row{Owner: "a"}},
	} {
		w.Seen.Key, w.Seen.Checkpoint = "other", checkpoint.TrimHorizon
		if _, err := store.Write(ctx, w); err == nil {
			t.Errorf("%v of a row of another kind gave no error", w.Op)
		}
	}
	opts := cmp.AllowUnexported(types.AttributeValueMemberS{}, types.AttributeValueMemberB{})
	if diff := cmp.Diff(foreign, get(t, client, "other"), opts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(broken, get(t, client, "broken"), opts); diff != "" {
		t.Error(diff)
	}
}

// stingy answers a refused write without the row, as some servers do.
type stingy struct{ *dynamodb.Client }

func (c stingy) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, fns ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	out, err := c.Client.UpdateItem(ctx, in, fns...)
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		refused.Item = nil
	}
	return out, err
}

func TestConflictIsReadWhereTheServerDoesNotTellIt(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	_, client := open(t, srv)
	store, err := dynamo.New(stingy{client}, "app")
	if err != nil {
		t.Fatal(err)
	}
	row, err := store.Write(t.Context(), lease.Write{Op: lease.Create, Row: lease.Row{Key: "k", Shard: "k", Checkpoint: checkpoint.Latest}})
	if err != nil {
		t.Fatal(err)
	}
	seen := row
	seen.Counter = 7
	_, err = store.Write(t.Context(), lease.Write{Op: lease.Take, Seen: seen, Owner: "a"})
	var conflict *lease.ConflictError
	if !errors.As(err, &conflict) || conflict.Current == nil || !conflict.Current.Equal(row) {
		t.Errorf("Write() = %v, want a *ConflictError with the row", err)
	}
}

func TestVersionRowIsWrittenAfterAMinuteOfLeading(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	store, client := open(t, srv)
	for _, led := range []time.Duration{0, 59 * time.Second} {
		p, err := store.Phase(t.Context(), lease.Facts{Worker: "w", Led: led})
		if err != nil || p.Again == 0 {
			t.Fatalf("Phase() = %+v, %v, want to be asked again", p, err)
		}
	}
	if it := get(t, client, "Migration3.0"); it != nil {
		t.Fatalf("the row is there: %v", it)
	}
	p, err := store.Phase(t.Context(), lease.Facts{Worker: "w", Led: time.Minute})
	if err != nil || p.Assign != lease.AssignByLeader || p.Elect != lease.ElectByLock || p.Quiet {
		t.Fatalf("Phase() = %+v, %v, want that of KCL 3", p, err)
	}
	it := get(t, client, "Migration3.0")
	if it["cv"].(*types.AttributeValueMemberS).Value != "CLIENT_VERSION_3X" || it["mb"].(*types.AttributeValueMemberS).Value != "w" ||
		len(it["h"].(*types.AttributeValueMemberL).Value) != 1 {
		t.Errorf("row %v", it)
	}
}

// A table whose index is being built is used at once, by scans.
func TestOwnedScansUntilTheIndexIsActive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer(func(o *kinesistest.Options) {
			o.TableCreating, o.IndexCreating = 3*time.Second, time.Minute
		})
		defer srv.Close()
		client := dynamodb.NewFromConfig(srv.Config())
		table := "app"
		if _, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{ // as KCL 2.x makes it
			TableName: &table, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
		}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		store, _ := open(t, srv)
		if took := time.Since(began); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("open after %v, want when the table is active, not its index", took)
		}
		row, err := store.Write(t.Context(), lease.Write{Op: lease.Create, Row: lease.Row{Key: "k", Shard: "k", Checkpoint: checkpoint.Latest}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Write(t.Context(), lease.Write{Op: lease.Assign, Seen: row, Owner: "a"}); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			keys, err := store.Owned(t.Context(), "a")
			if err != nil || len(keys) != 1 {
				t.Fatalf("after %v Owned() = %v, %v", time.Since(began), keys, err)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

func TestForeignTableIsRefused(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	client := dynamodb.NewFromConfig(srv.Config())
	if _, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("app"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	store, err := dynamo.New(client, "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Open(t.Context()); !errors.Is(err, lease.ErrUnsupported) {
		t.Errorf("Open() = %v, want ErrUnsupported", err)
	}
}

func TestNewNamesEveryBadOption(t *testing.T) {
	t.Parallel()
	_, err := dynamo.New(nil, "", func(o *dynamo.Options) { o.TableName, o.CreateTimeout = "a b", 0 })
	for _, want := range []string{"client", "application", "TableName", "CreateTimeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want it to name %s", err, want)
		}
	}
}
