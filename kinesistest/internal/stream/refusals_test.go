package stream

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// with returns in with further members.
func with(in object, members ...any) object {
	out := maps.Clone(in)
	for i := 0; i < len(members); i += 2 {
		out[members[i].(string)] = members[i+1]
	}
	return out
}

// Every operation judges the members of its request. A stream "s" of two
// shards is there, and one record in each.
func TestRequestsAreJudged(t *testing.T) {
	s := object{"StreamName": "s"}
	arn := object{"StreamARN": arnOfS}
	resource := object{"ResourceARN": arnOfS}
	put := with(s, "PartitionKey", "k", "Data", data(1))
	iterator := with(s, "ShardId", shard0)
	key := with(s, "EncryptionType", "KMS", "KeyId", "alias/aws/kinesis")
	long := strings.Repeat("a", 129)
	const foreign = "49590338271490256608559692538361571095921575989136588898"
	inBubble(t, Options{Limits: Limits{RecordSizes: true, RecordsPerRequest: 500, BytesPerRequest: 10 << 20}}, func(c caller) {
		t := c.T
		c.create(2)
		for _, h := range []string{"0", middle} {
			c.must("PutRecord", with(put, "ExplicitHashKey", h))
		}
		own := c.must("PutRecord", put)["SequenceNumber"].(string)
		for _, tt := range []struct {
			op   string
			in   object
			code string // "" for success
		}{
			// How a stream is named.
			{"DescribeStream", object{}, badArgument},
			{"DescribeStream", object{"StreamName": nil, "StreamARN": nil}, badArgument},
			{"DescribeStream", with(s, "StreamARN", arnOfS), ""},
			{"DescribeStream", arn, ""},
			{"DescribeStream", with(arn, "StreamName", "t"), badArgument},
			{"DescribeStream", object{"StreamName": "t"}, missing},
			{"DescribeStream", object{"StreamName": ""}, badRequest},
			{"DescribeStream", object{"StreamName": long}, badRequest},
			{"DescribeStream", object{"StreamName": long[1:]}, missing},
			{"DescribeStream", object{"StreamName": "a/b"}, badRequest},
			{"DescribeStream", object{"StreamARN": "s"}, badRequest},
			{"DescribeStream", object{"StreamARN": strings.Replace(arnOfS, "us-east-1", "eu-west-1", 1)}, missing},
			{"DescribeStream", object{"StreamARN": strings.Replace(arnOfS, "123456789012", "210987654321", 1)}, missing},
			{"DescribeStream", object{"StreamARN": strings.Replace(arnOfS, ":kinesis:", ":dynamodb:", 1)}, badRequest},
			{"DescribeStream", with(s, "StreamId", "abcdefghij0123456789-abc"), ""},
			{"DescribeStream", with(s, "StreamId", "abc"), badRequest},
			{"DescribeStream", object{"StreamId": "abcdefghij0123456789-abc"}, badArgument},
			{"PutRecord", with(put, "StreamId", "x"), badRequest},

			// Types.
			{"DescribeStream", object{"StreamName": 1}, "SerializationException"},
			{"UpdateShardCount", with(s, "TargetShardCount", "2", "ScalingType", "UNIFORM_SCALING"), "SerializationException"},
			{"CreateStream", object{"StreamName": "n", "ShardCount": 1.5}, "SerializationException"},

			// Pages.
			{"DescribeStream", with(s, "Limit", 0), badRequest},
			{"DescribeStream", with(s, "Limit", 10_001), badRequest},
			{"DescribeStream", with(s, "Limit", 10_000), ""},
			{"ListStreams", object{"Limit": 0}, badRequest},
			{"ListStreams", object{"Limit": 10_001}, badRequest},
			{"ListStreams", object{"NextToken": "x"}, badArgument},
			{"ListShards", with(s, "MaxResults", 0), badRequest},
			{"ListShards", with(s, "MaxResults", 10_001), badRequest},
			{"ListShards", with(s, "MaxResults", 10_000), ""},
			{"ListShards", with(s, "NextToken", "x"), badArgument},
			{"ListShards", object{"NextToken": "x", "StreamCreationTimestamp": 1}, badArgument},
			{"ListShards", object{"NextToken": "x", "ExclusiveStartShardId": shard0}, badArgument},
			{"ListShards", object{"NextToken": "x", "ShardFilter": object{"Type": "AT_LATEST"}}, badArgument},
			{"ListShards", object{}, badArgument},
			{"ListShards", with(s, "StreamCreationTimestamp", 1), missing},
			{"ListShards", with(s, "ShardFilter", object{}), badRequest},
			{"ListShards", with(s, "ShardFilter", object{"Type": "LATEST"}), badRequest},
			{"ListShards", with(s, "ShardFilter", object{"Type": "AT_TIMESTAMP"}), badArgument},
			{"ListShards", with(s, "ShardFilter", object{"Type": "FROM_TIMESTAMP"}), badArgument},
			{"ListShards", with(s, "ShardFilter", object{"Type": "AFTER_SHARD_ID"}), badArgument},
			{"ListShards", with(s, "ShardFilter", object{"Type": "AFTER_SHARD_ID", "ShardId": shard0}, "ExclusiveStartShardId", shard0), badArgument},
			{"ListTagsForStream", with(s, "Limit", 0), badRequest},
			{"ListTagsForStream", with(s, "Limit", 51), badRequest},

			// Creation.
			{"CreateStream", object{"ShardCount": 1}, badRequest},
			{"CreateStream", object{"StreamName": "n"}, badRequest},
			{"CreateStream", object{"StreamName": "n", "ShardCount": 0}, badRequest},
			{"CreateStream", object{"StreamName": "n", "ShardCount": -1}, badRequest},
			{"CreateStream", object{"StreamName": "n!", "ShardCount": 1}, badRequest},
			{"CreateStream", object{"StreamName": "s", "ShardCount": 1}, busy},
			{"CreateStream", object{"StreamName": "n", "ShardCount": 1, "MaxRecordSizeInKiB": 1023}, badRequest},
			{"CreateStream", object{"StreamName": "n", "ShardCount": 1, "MaxRecordSizeInKiB": 10241}, badRequest},
			{"CreateStream", object{"StreamName": "n", "StreamModeDetails": object{}}, badRequest},
			{"CreateStream", object{"StreamName": "n", "StreamModeDetails": object{"StreamMode": "OTHER"}}, badRequest},
			{"CreateStream", object{"StreamName": "n", "ShardCount": 1, "RecordDistributionStrategy": "OTHER"}, badRequest},
			{"CreateStream", object{"StreamName": "n", "ShardCount": 1, "WarmThroughputMiBps": 1}, badRequest},
			{"CreateStream", object{"StreamName": "n", "ShardCount": 1, "Tags": object{"aws:x": ""}}, badArgument},
			{"DeleteStream", object{"StreamName": "n"}, missing},

			// Puts.
			{"PutRecord", with(s, "PartitionKey", "k"), badRequest},
			{"PutRecord", with(s, "Data", ""), badRequest},
			{"PutRecord", with(put, "Data", ""), ""},
			{"PutRecord", with(put, "PartitionKey", ""), badRequest},
			{"PutRecord", with(put, "PartitionKey", strings.Repeat("𝄞", 256)), ""},
			{"PutRecord", with(put, "PartitionKey", strings.Repeat("a", 257)), badRequest},
			{"PutRecord", with(put, "ExplicitHashKey", ""), badRequest},
			{"PutRecord", with(put, "ExplicitHashKey", "01"), badRequest},
			{"PutRecord", with(put, "ExplicitHashKey", "-1"), badRequest},
			{"PutRecord", with(put, "ExplicitHashKey", "340282366920938463463374607431768211455"), ""},
			{"PutRecord", with(put, "ExplicitHashKey", "340282366920938463463374607431768211456"), badArgument},
			{"PutRecord", with(put, "ExplicitHashKey", "1"+strings.Repeat("0", 39)), badRequest},
			{"PutRecord", with(put, "SequenceNumberForOrdering", own), ""},
			{"PutRecord", with(put, "SequenceNumberForOrdering", "0"), badArgument},
			{"PutRecord", with(put, "DryRun", true), "DryRunOperationException"},
			{"PutRecord", with(put, "DryRun", true, "PartitionKey", ""), badRequest},
			{"PutRecord", with(put, "DryRun", true, "StreamName", "n"), missing},
			{"PutRecords", s, badRequest},
			{"PutRecords", with(s, "Records", []object{}), badRequest},
			{"PutRecords", with(s, "Records", []object{{"PartitionKey": "k", "Data": ""}, {"Data": ""}}), badRequest},
			{"PutRecords", with(s, "Records", []object{{"PartitionKey": "k", "Data": data(1 << 20)}}), badArgument},
			{"PutRecords", with(s, "Records", []object{{"PartitionKey": "k", "Data": data(1<<20 - 1)}}), ""},
			{"PutRecords", with(s, "Records", []object{{"PartitionKey": "k", "Data": ""}}, "DryRun", true), "DryRunOperationException"},

			// Iterators.
			{"GetShardIterator", iterator, badRequest},
			{"GetShardIterator", with(s, "ShardIteratorType", "LATEST"), badRequest},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "OLDEST"), badRequest},
			{"GetShardIterator", with(s, "ShardIteratorType", "LATEST", "ShardId", "shardId-000000000009"), missing},
			{"GetShardIterator", with(s, "ShardIteratorType", "LATEST", "ShardId", "nonsense"), missing},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "AT_SEQUENCE_NUMBER"), badArgument},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "AT_SEQUENCE_NUMBER", "StartingSequenceNumber", foreign), badArgument},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "TRIM_HORIZON", "StartingSequenceNumber", own), badArgument},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "AT_TIMESTAMP"), badArgument},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "AT_TIMESTAMP", "Timestamp", time.Now().Unix()+1), badArgument},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "AT_TIMESTAMP", "Timestamp", time.Now().Unix()), ""},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "AT_TIMESTAMP", "Timestamp", 0), ""},
			{"GetShardIterator", with(iterator, "ShardIteratorType", "LATEST", "DryRun", true), "DryRunOperationException"},
			{"GetRecords", object{}, badRequest},
			{"GetRecords", object{"ShardIterator": ""}, badRequest},
			{"GetRecords", object{"ShardIterator": "x"}, badArgument},
			{"GetRecords", object{"ShardIterator": strings.Repeat("x", 513)}, badRequest},
			{"GetRecords", object{"ShardIterator": c.iterator(shard0, "LATEST"), "Limit": 0}, badRequest},
			{"GetRecords", object{"ShardIterator": c.iterator(shard0, "LATEST"), "Limit": 10_001}, badArgument},
			{"GetRecords", object{"ShardIterator": c.iterator(shard0, "LATEST"), "Limit": 10_000}, ""},
			{"GetRecords", object{"ShardIterator": c.iterator(shard0, "LATEST"), "StreamARN": arnOfS}, ""},
			{"GetRecords", object{"ShardIterator": c.iterator(shard0, "LATEST"), "StreamARN": arnOfS + "x"}, badArgument},
			{"GetRecords", object{"ShardIterator": c.iterator(shard0, "LATEST"), "DryRun": true}, "DryRunOperationException"},

			// Shards.
			{"SplitShard", with(s, "ShardToSplit", shard0), badRequest},
			{"SplitShard", with(s, "ShardToSplit", shard0, "NewStartingHashKey", "1"), badArgument},
			{"SplitShard", with(s, "ShardToSplit", shard0, "NewStartingHashKey", middle), badArgument},
			{"SplitShard", with(s, "ShardToSplit", "shardId-000000000009", "NewStartingHashKey", "5"), missing},
			{"MergeShards", with(s, "ShardToMerge", shard0), badRequest},
			{"MergeShards", with(s, "ShardToMerge", shard0, "AdjacentShardToMerge", shard0), badArgument},

			// Retention.
			{"IncreaseStreamRetentionPeriod", s, badRequest},
			{"IncreaseStreamRetentionPeriod", with(s, "RetentionPeriodHours", 23), badArgument},
			{"IncreaseStreamRetentionPeriod", with(s, "RetentionPeriodHours", 8761), badArgument},
			{"IncreaseStreamRetentionPeriod", with(s, "RetentionPeriodHours", 24), ""},
			{"IncreaseStreamRetentionPeriod", with(s, "RetentionPeriodHours", 8760), ""},
			{"IncreaseStreamRetentionPeriod", with(s, "RetentionPeriodHours", 48), badArgument},
			{"DecreaseStreamRetentionPeriod", with(s, "RetentionPeriodHours", 23), badArgument},
			{"DecreaseStreamRetentionPeriod", with(s, "RetentionPeriodHours", 24), ""},
			{"DecreaseStreamRetentionPeriod", with(s, "RetentionPeriodHours", 48), badArgument},

			// Encryption.
			{"StartStreamEncryption", with(s, "EncryptionType", "KMS"), badRequest},
			{"StartStreamEncryption", with(s, "KeyId", "k"), badRequest},
			{"StartStreamEncryption", with(key, "KeyId", ""), badRequest},
			{"StartStreamEncryption", with(key, "KeyId", strings.Repeat("k", 2049)), badRequest},
			{"StartStreamEncryption", with(key, "EncryptionType", "AES"), badRequest},
			{"StartStreamEncryption", with(key, "EncryptionType", "NONE"), badArgument},
			{"StartStreamEncryption", with(key, "StreamName", "n"), missing},
			{"StopStreamEncryption", with(key, "EncryptionType", "NONE"), badArgument},
			{"StopStreamEncryption", key, ""},

			// Monitoring.
			{"EnableEnhancedMonitoring", s, badRequest},
			{"EnableEnhancedMonitoring", with(s, "ShardLevelMetrics", []string{}), badRequest},
			{"EnableEnhancedMonitoring", with(s, "ShardLevelMetrics", []string{"Everything"}), badRequest},
			{"DisableEnhancedMonitoring", with(s, "ShardLevelMetrics", []string{"ALL"}), ""},

			// Tags.
			{"AddTagsToStream", s, badRequest},
			{"AddTagsToStream", with(s, "Tags", object{}), badRequest},
			{"AddTagsToStream", with(s, "Tags", object{"": "v"}), badRequest},
			{"AddTagsToStream", with(s, "Tags", object{long: "v"}), badRequest},
			{"AddTagsToStream", with(s, "Tags", object{long[1:]: strings.Repeat("v", 256)}), ""},
			{"AddTagsToStream", with(s, "Tags", object{"k": strings.Repeat("v", 257)}), badRequest},
			{"AddTagsToStream", with(s, "Tags", object{"k!": "v"}), badArgument},
			{"AddTagsToStream", with(s, "Tags", object{"AWS:k": "v"}), badArgument},
			{"AddTagsToStream", with(s, "Tags", object{"Größe 1_.:/=+-@%": "é"}), ""},
			{"RemoveTagsFromStream", s, badRequest},
			{"RemoveTagsFromStream", with(s, "TagKeys", []string{}), badRequest},
			{"RemoveTagsFromStream", with(s, "TagKeys", []string{"never there"}), ""},
			{"TagResource", object{"Tags": object{"k": "v"}}, badRequest},
			{"TagResource", object{"ResourceARN": "x", "Tags": object{"k": "v"}}, badRequest},
			{"TagResource", with(resource, "Tags", object{"k": "v"}), ""},
			{"TagResource", object{"ResourceARN": arnOfS + "/consumer/c:1", "Tags": object{"k": "v"}}, missing},
			{"UntagResource", resource, badRequest},
			{"ListTagsForResource", object{}, badRequest},
			{"ListTagsForResource", object{"ResourceARN": arnOfS + "x"}, missing},

			// Policies.
			{"PutResourcePolicy", resource, badRequest},
			{"PutResourcePolicy", with(resource, "Policy", "x"), badArgument},
			{"PutResourcePolicy", with(resource, "Policy", "{}"), badArgument},
			{"PutResourcePolicy", with(resource, "Policy", `{"Statement":["`+strings.Repeat("x", 20<<10)+`"]}`), badArgument},
			{"DeleteResourcePolicy", resource, missing},
			{"GetResourcePolicy", object{"ResourceARN": arnOfS + "x"}, missing},

			// The account.
			{"UpdateAccountSettings", object{}, badRequest},
			{"UpdateAccountSettings", object{"MinimumThroughputBillingCommitment": object{}}, badRequest},
			{"UpdateAccountSettings", object{"MinimumThroughputBillingCommitment": object{"Status": "ON"}}, badRequest},
			{"CreateChannel", object{}, "UnknownOperationException"},
			{"describestream", s, "UnknownOperationException"},
		} {
			c.wants(tt.code, tt.op, tt.in)
		}
		if records := c.Shards("s")[0].Records + c.Shards("s")[1].Records; records != 8 {
			t.Errorf("%d records are stored", records)
		}
	})
}

// An operation that changes a stream is refused while another one is under
// way, and makes it UPDATING itself, but for those that take effect at once.
func TestChangesTakeTurns(t *testing.T) {
	s := object{"StreamName": "s"}
	changes := map[string]object{
		"SplitShard":                    with(s, "ShardToSplit", shard0, "NewStartingHashKey", "1000"),
		"MergeShards":                   with(s, "ShardToMerge", shard0, "AdjacentShardToMerge", "shardId-000000000001"),
		"UpdateShardCount":              with(s, "TargetShardCount", 3, "ScalingType", "UNIFORM_SCALING"),
		"UpdateStreamMode":              {"StreamARN": arnOfS, "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}},
		"UpdateMaxRecordSize":           {"StreamARN": arnOfS, "MaxRecordSizeInKiB": 2000},
		"IncreaseStreamRetentionPeriod": with(s, "RetentionPeriodHours", 48),
		"DecreaseStreamRetentionPeriod": with(s, "RetentionPeriodHours", 24),
		"StartStreamEncryption":         with(s, "EncryptionType", "KMS", "KeyId", "alias/aws/kinesis"),
		"EnableEnhancedMonitoring":      with(s, "ShardLevelMetrics", []string{"ALL"}),
		"DisableEnhancedMonitoring":     with(s, "ShardLevelMetrics", []string{"ALL"}),
		"AddTagsToStream":               with(s, "Tags", object{"k": "v"}),
		"RemoveTagsFromStream":          with(s, "TagKeys", []string{"k"}),
		"TagResource":                   {"ResourceARN": arnOfS, "Tags": object{"k": "v"}},
		"UntagResource":                 {"ResourceARN": arnOfS, "TagKeys": []string{"k"}},
		"PutResourcePolicy":             {"ResourceARN": arnOfS, "Policy": `{"Statement":[]}`},
		"DeleteStream":                  s,
	}
	atOnce := "AddTagsToStream RemoveTagsFromStream TagResource UntagResource PutResourcePolicy"
	for op, in := range changes {
		t.Run(op, func(t *testing.T) {
			inBubble(t, Options{Creating: time.Second, Updating: time.Second, Deleting: time.Second}, func(c caller) {
				c.create(2)
				c.wants(busy, op, in)
				time.Sleep(time.Second)
				c.must(op, in)
				want := "UPDATING"
				switch {
				case strings.Contains(atOnce, op):
					want = "ACTIVE"
				case op == "DeleteStream":
					want = "DELETING"
				}
				if got := fmt.Sprint(c.summary().StreamStatus); got != want {
					c.Errorf("the stream is %s, want %s", got, want)
				}
				if want == "ACTIVE" {
					return
				}
				for other, in := range changes {
					c.wants(busy, other, in)
				}
				time.Sleep(time.Second)
				if op != "DeleteStream" && c.summary().StreamStatus != "ACTIVE" {
					c.Error("the stream does not become ACTIVE again")
				}
			})
		})
	}
}

// Clients in other languages know the members of a request, not our types.
func TestWrongTypesAreToldByMember(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		for _, tt := range []struct{ op, body, want string }{
			{"CreateStream", `{"StreamName":"s","ShardCount":1.5}`, "ShardCount: unexpected number 1.5"},
			{"CreateStream", `{"StreamName":"s","ShardCount":"1"}`, "ShardCount: unexpected string"},
			{"CreateStream", `{"StreamName":["s"],"ShardCount":1}`, "StreamName: unexpected array"},
			{"CreateStream", `{"StreamName":"s","StreamModeDetails":{"StreamMode":{}}}`, "StreamMode: unexpected object"},
			{"DescribeStream", `{"StreamName":7}`, "StreamName: unexpected number"},
			{"UpdateStreamMode", `{"StreamARN":true}`, "StreamARN: unexpected bool"},
			{"GetShardIterator", `{"Timestamp":"now"}`, "Timestamp: unexpected string"},
		} {
			_, e := c.Call(tt.op, []byte(tt.body), nil)
			if e == nil || e.Code != "SerializationException" || e.Message != tt.want {
				c.Errorf("%s %s: %v, want %q", tt.op, tt.body, e, tt.want)
			}
		}
	})
}
