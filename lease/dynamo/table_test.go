package dynamo_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

func describe(t *testing.T, client *dynamodb.Client) *types.TableDescription {
	t.Helper()
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("app")})
	if err != nil {
		t.Fatal(err)
	}
	return out.Table
}

func recovery(t *testing.T, client *dynamodb.Client) types.PointInTimeRecoveryStatus {
	t.Helper()
	out, err := client.DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String("app")})
	if err != nil {
		t.Fatal(err)
	}
	return out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus
}

func TestTableIsCreatedAsTheOptionsSay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer(func(o *kinesistest.Options) { o.TableCreating = 3 * time.Second })
		defer srv.Close()
		client := dynamodb.NewFromConfig(srv.Config())
		store, err := dynamo.New(client, "app", func(o *dynamo.Options) {
			o.Provisioned = &dynamo.Capacity{Read: 7, Write: 9}
			o.DeletionProtection, o.PointInTimeRecovery = true, true
			o.KMSKey = "alias/aws/dynamodb"
			o.Tags = map[string]string{"team": "clicks", "env": "test"}
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second finds it
			if err := store.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		table := describe(t, client)
		for _, p := range []*types.ProvisionedThroughputDescription{table.ProvisionedThroughput, table.GlobalSecondaryIndexes[0].ProvisionedThroughput} {
			if *p.ReadCapacityUnits != 7 || *p.WriteCapacityUnits != 9 {
				t.Errorf("capacity %d, %d, want 7, 9", *p.ReadCapacityUnits, *p.WriteCapacityUnits)
			}
		}
		if !*table.DeletionProtectionEnabled {
			t.Error("the table can be deleted")
		}
		if table.SSEDescription == nil || table.SSEDescription.SSEType != types.SSETypeKms {
			t.Errorf("encryption %+v, want by KMS", table.SSEDescription)
		}
		if got := recovery(t, client); got != types.PointInTimeRecoveryStatusEnabled {
			t.Errorf("point-in-time recovery %v", got)
		}
		tags, err := client.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: table.TableArn})
		if err != nil || len(tags.Tags) != 2 {
			t.Errorf("tags %+v, %v, want 2", tags, err)
		}
	})
}

// A table that exists is taken as it is, except for its backups.
func TestTableThatExistsIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	_, client := open(t, srv)
	other, err := dynamo.New(client, "app", func(o *dynamo.Options) {
		o.Provisioned, o.DeletionProtection, o.PointInTimeRecovery = &dynamo.Capacity{Read: 1, Write: 1}, true, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	table := describe(t, client)
	if table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || *table.DeletionProtectionEnabled {
		t.Errorf("table %+v, want it as it was", table)
	}
	if got := recovery(t, client); got != types.PointInTimeRecoveryStatusEnabled {
		t.Errorf("point-in-time recovery %v", got)
	}
}

// A tool that looks creates nothing, and needs no permission to.
func TestTableThatMustExist(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	client := dynamodb.NewFromConfig(srv.Config())
	store, err := dynamo.New(client, "app", func(o *dynamo.Options) { o.MustExist, o.PointInTimeRecovery = true, true })
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Open(t.Context()); err == nil || !errors.Is(err, lease.ErrUnsupported) || !strings.Contains(err.Error(), "app") {
		t.Errorf("Open() without a table = %v", err)
	}
	if _, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{ // as KCL 2.x makes it
		TableName: aws.String("app"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"CreateTable", "UpdateTable", "UpdateContinuousBackups"} {
		srv.Inject(kinesistest.Fault{Operation: op, Error: &kinesistest.Error{Code: "AccessDeniedException"}})
	}
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	row, err := store.Write(t.Context(), lease.Write{Op: lease.Create, Row: lease.Row{Key: "k", Shard: "k", Checkpoint: checkpoint.Latest}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(t.Context(), lease.Write{Op: lease.Assign, Seen: row, Owner: "a"}); err != nil {
		t.Fatal(err)
	}
	if keys, err := store.Owned(t.Context(), "a"); err != nil || len(keys) != 1 {
		t.Errorf("Owned() without an index = %v, %v", keys, err)
	}
	// A worker that may not add the index does without it.
	worker, err := dynamo.New(client, "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Open(t.Context()); err != nil {
		t.Errorf("Open() without the permission UpdateTable = %v", err)
	}
}

func TestBadTableOptionsAreNamed(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	_, err := dynamo.New(dynamodb.NewFromConfig(srv.Config()), "app", func(o *dynamo.Options) {
		o.Provisioned = &dynamo.Capacity{}
		o.Tags = map[string]string{"aws:x": "", "": ""}
	})
	for _, want := range []string{"Provisioned.Read: 0", "Provisioned.Write: 0", `"aws:x"`, `""`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want it to name %s", err, want)
		}
	}
}
