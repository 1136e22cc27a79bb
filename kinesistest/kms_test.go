package kinesistest_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// The key of an encrypted stream can fail it in the six ways of the service,
// and a stream beside it goes on.
func TestKeysFail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code string
		is   func(error) bool
	}{
		{"KMSAccessDeniedException", isA[*types.KMSAccessDeniedException]},
		{"KMSDisabledException", isA[*types.KMSDisabledException]},
		{"KMSInvalidStateException", isA[*types.KMSInvalidStateException]},
		{"KMSNotFoundException", isA[*types.KMSNotFoundException]},
		{"KMSOptInRequired", isA[*types.KMSOptInRequired]},
		{"KMSThrottlingException", isA[*types.KMSThrottlingException]},
	} {
		t.Run(tt.code, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := kinesistest.NewServer()
				defer srv.Close()
				client := kinesis.NewFromConfig(srv.Config(), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
				calls := func(stream string) (failed []error) {
					put := types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: []byte("x")}
					_, one := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: put.PartitionKey, Data: put.Data})
					_, many := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: &stream, Records: []types.PutRecordsRequestEntry{put}})
					it, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: &stream,
						ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "TRIM_HORIZON"})
					if err != nil {
						t.Fatal(err)
					}
					page, get := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
					for _, err := range []error{one, many, get} {
						if err != nil {
							failed = append(failed, err)
						}
					}
					if get == nil && (len(page.Records) != 2 || page.Records[0].EncryptionType != "KMS") {
						t.Errorf("%s: %d records", stream, len(page.Records))
					}
					return failed
				}
				for _, name := range []string{"orders", "other"} {
					if err := srv.CreateStream(name, 1); err != nil {
						t.Fatal(err)
					}
					if _, err := client.StartStreamEncryption(t.Context(), &kinesis.StartStreamEncryptionInput{StreamName: &name,
						EncryptionType: "KMS", KeyId: aws.String("alias/" + name)}); err != nil {
						t.Fatal(err)
					}
				}
				var remove []func()
				for _, op := range []string{"PutRecord", "PutRecords", "GetRecords"} {
					remove = append(remove, srv.Inject(kinesistest.Fault{Operation: op, Stream: "orders",
						Error: &kinesistest.Error{Code: tt.code, Message: "the key is not to be had"}}))
				}
				failed := calls("orders")
				if len(failed) != 3 {
					t.Errorf("%d of 3 calls fail", len(failed))
				}
				for _, err := range failed {
					var e smithy.APIError
					if !tt.is(err) || !errors.As(err, &e) || e.ErrorMessage() != "the key is not to be had" {
						t.Errorf("%v", err)
					}
				}
				if failed := calls("other"); failed != nil {
					t.Errorf("the other stream: %v", failed)
				}
				for _, f := range remove {
					f()
				}
				if failed := calls("orders"); failed != nil {
					t.Errorf("with its key again: %v", failed)
				}
			})
		})
	}
}

func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}
