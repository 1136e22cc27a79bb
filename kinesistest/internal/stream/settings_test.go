package stream

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

func TestEncryption(t *testing.T) {
	inBubble(t, Options{Updating: time.Second, Limits: Limits{KeyChanges: 3}}, func(c caller) {
		t, client, name := c.T, c.client(), aws.String("s")
		c.create(1)
		start := func(key string) error {
			_, err := client.StartStreamEncryption(t.Context(), &kinesis.StartStreamEncryptionInput{StreamName: name, EncryptionType: "KMS", KeyId: &key})
			return err
		}
		stop := func() error {
			_, err := client.StopStreamEncryption(t.Context(), &kinesis.StopStreamEncryptionInput{StreamName: name, EncryptionType: "KMS", KeyId: aws.String("k1")})
			return err
		}
		put := func(want types.EncryptionType) {
			t.Helper()
			one, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String("k"), Data: []byte("x"), ExplicitHashKey: aws.String("340282366920938463463374607431768211455")})
			if err != nil || one.EncryptionType != want {
				t.Errorf("PutRecord says %q, %v, want %q", one.EncryptionType, err, want)
			}
			many, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: name, Records: []types.PutRecordsRequestEntry{{PartitionKey: aws.String("k"), Data: []byte("x")}}})
			if err != nil || many.EncryptionType != want {
				t.Errorf("PutRecords says %q, %v, want %q", many.EncryptionType, err, want)
			}
		}
		check := func(kind types.EncryptionType, key string) {
			t.Helper()
			if d := c.summary(); d.EncryptionType != kind || aws.ToString(d.KeyId) != key {
				t.Errorf("summary: %s with %v, want %s with %q", d.EncryptionType, d.KeyId, kind, key)
			}
			d, err := client.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: name})
			if err != nil || d.StreamDescription.EncryptionType != kind || aws.ToString(d.StreamDescription.KeyId) != key {
				t.Errorf("description: %+v, %v", d, err)
			}
		}
		check("NONE", "")
		put("")
		fails(t, "start", start("k1"), "")
		check("NONE", "") // not before the window ends
		put("")
		fails(t, "start while UPDATING", start("k2"), busy)
		time.Sleep(time.Second)
		check("KMS", "k1")
		put("KMS")
		fails(t, "the same key", start("k1"), "")
		if got := c.summary().StreamStatus; got != "ACTIVE" {
			t.Errorf("after no change the stream is %s", got)
		}
		fails(t, "another key", start("k2"), "")
		time.Sleep(time.Second)
		check("KMS", "k2")
		fails(t, "stop", stop(), "")
		time.Sleep(time.Second)
		check("NONE", "")
		put("")
		fails(t, "start again", start("k1"), "")
		time.Sleep(time.Second)
		fails(t, "a fourth key in a day", start("k2"), limited)
		time.Sleep(24 * time.Hour)

		page, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String(c.iterator(shard0, "LATEST").(string))})
		if err != nil || len(page.Records) != 0 {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

// Records keep the encryption under which they were stored, and all they have
// beside it.
func TestRecordsKeepTheirEncryption(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		t, name := c.T, "s"
		c.create(1)
		put := func(key, hash string) {
			c.must("PutRecord", object{"StreamName": name, "PartitionKey": key, "Data": data(3), "ExplicitHashKey": hash})
		}
		const last = "340282366920938463463374607431768211455"
		put("a", last)
		c.must("StartStreamEncryption", object{"StreamName": name, "EncryptionType": "KMS", "KeyId": "k"})
		put("b", last)
		put("c", "0")
		c.must("StopStreamEncryption", object{"StreamName": name, "EncryptionType": "KMS", "KeyId": "k"})
		put("d", "7")
		var got []string
		for _, r := range c.must("GetRecords", object{"ShardIterator": c.iterator(shard0, "TRIM_HORIZON")})["Records"].([]any) {
			r := r.(object)
			got = append(got, fmt.Sprint(r["PartitionKey"], " ", r["EncryptionType"], " ", r["Data"] == data(3)))
		}
		if want := []string{"a <nil> true", "b KMS true", "c KMS true", "d <nil> true"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		var hashes []string
		for _, r := range c.Records(name, shard0) {
			hashes = append(hashes, string(r.ExplicitHashKey))
		}
		if want := []string{last, last, "0", "7"}; !slices.Equal(hashes, want) {
			t.Errorf("%q, want %q", hashes, want)
		}
	})
}

func TestTags(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		t, client, name, arn := c.T, c.client(), aws.String("s"), aws.String(arnOfS)
		_, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1), Tags: map[string]string{"b": "2", "a": "1"}})
		fails(t, "create", err, "")
		list := func() string {
			t.Helper()
			out, err := client.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamARN: arn})
			if err != nil || *out.HasMoreTags {
				t.Fatalf("%+v, %v", out, err)
			}
			return tagText(out.Tags)
		}
		if got := list(); got != "a=1 b=2" {
			t.Errorf("created with %q", got)
		}
		_, err = client.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"b": "3", "c": ""}})
		fails(t, "add", err, "")
		_, err = client.TagResource(t.Context(), &kinesis.TagResourceInput{ResourceARN: arn, Tags: map[string]string{"d": "4"}})
		fails(t, "tag", err, "")
		_, err = client.RemoveTagsFromStream(t.Context(), &kinesis.RemoveTagsFromStreamInput{StreamName: name, TagKeys: []string{"a", "none"}})
		fails(t, "remove", err, "")
		if got := list(); got != "b=3 c= d=4" {
			t.Errorf("then %q", got)
		}
		_, err = client.UntagResource(t.Context(), &kinesis.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"c"}})
		fails(t, "untag", err, "")
		out, err := client.ListTagsForResource(t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: arn})
		if err != nil || tagText(out.Tags) != "b=3 d=4" {
			t.Errorf("%+v, %v", out, err)
		}

		more := map[string]string{}
		for i := range 48 {
			more[fmt.Sprintf("t%02d", i)] = "x"
		}
		_, err = client.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{StreamName: name, Tags: more})
		fails(t, "50 tags", err, "")
		_, err = client.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"b": "9"}})
		fails(t, "another value", err, "")
		_, err = client.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"e": ""}})
		fails(t, "51 tags", err, badArgument)
		var keys []string
		in := &kinesis.ListTagsForStreamInput{StreamName: name, Limit: aws.Int32(20)}
		for pages := 1; ; pages++ {
			out, err := client.ListTagsForStream(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, tag := range out.Tags {
				keys = append(keys, *tag.Key)
			}
			if !*out.HasMoreTags {
				if pages != 3 {
					t.Errorf("%d pages of 20", pages)
				}
				break
			}
			in.ExclusiveStartTagKey = out.Tags[len(out.Tags)-1].Key
		}
		if len(keys) != 50 || !slices.IsSorted(keys) {
			t.Errorf("%d tags: %v", len(keys), keys)
		}
	})
}

func tagText(tags []types.Tag) string {
	var out []string
	for _, tag := range tags {
		out = append(out, *tag.Key+"="+aws.ToString(tag.Value))
	}
	return strings.Join(out, " ")
}

// What can be said of a stream can be said of a consumer too.
func TestResourcesAreStreamsAndConsumers(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		t, client := c.T, c.client()
		c.create(1)
		registered, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
			StreamARN: aws.String(arnOfS), ConsumerName: aws.String("app"), Tags: map[string]string{"of": "the consumer"}})
		if err != nil {
			t.Fatal(err)
		}
		c.must("AddTagsToStream", object{"StreamName": "s", "Tags": object{"of": "the stream"}})
		for _, tt := range []struct{ arn, of string }{{arnOfS, "the stream"}, {*registered.Consumer.ConsumerARN, "the consumer"}} {
			tags, err := client.ListTagsForResource(t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: &tt.arn})
			if err != nil || tagText(tags.Tags) != "of="+tt.of {
				t.Errorf("%s: %+v, %v", tt.arn, tags, err)
			}
			get := func() string {
				out, err := client.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: &tt.arn})
				if err != nil {
					t.Fatal(err)
				}
				return *out.Policy
			}
			remove := func() error {
				_, err := client.DeleteResourcePolicy(t.Context(), &kinesis.DeleteResourcePolicyInput{ResourceARN: &tt.arn})
				return err
			}
			if got := get(); got != "{}" {
				t.Errorf("before: %s", got)
			}
			fails(t, "none to delete", remove(), missing)
			for _, policy := range []string{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]}`, `{"Statement":[]}`} {
				_, err := client.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{ResourceARN: &tt.arn, Policy: &policy})
				if fails(t, "put", err, ""); get() != policy {
					t.Errorf("%s, want %s", get(), policy)
				}
			}
			fails(t, "delete", remove(), "")
		}
		_, err = client.UntagResource(t.Context(), &kinesis.UntagResourceInput{ResourceARN: registered.Consumer.ConsumerARN, TagKeys: []string{"of"}})
		fails(t, "untag the consumer", err, "")
		if out := c.must("ListTagsForStream", object{"StreamName": "s"}); len(out["Tags"].([]any)) != 1 {
			t.Errorf("the stream has the tags %v", out)
		}
	})
}

func TestEnhancedMonitoring(t *testing.T) {
	inBubble(t, Options{Updating: time.Second}, func(c caller) {
		t, client, name := c.T, c.client(), aws.String("s")
		c.create(1)
		enable := func(metrics ...types.MetricsName) (current, desired int) {
			out, err := client.EnableEnhancedMonitoring(t.Context(), &kinesis.EnableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: metrics})
			if err != nil || *out.StreamName != "s" || *out.StreamARN != arnOfS {
				t.Fatalf("%+v, %v", out, err)
			}
			time.Sleep(time.Second)
			return len(out.CurrentShardLevelMetrics), len(out.DesiredShardLevelMetrics)
		}
		if now, then := enable("IncomingBytes", "OutgoingBytes"); now != 0 || then != 2 {
			t.Errorf("from %d to %d metrics, want 0 and 2", now, then)
		}
		if got := c.summary().EnhancedMonitoring; len(got) != 1 || fmt.Sprint(got[0].ShardLevelMetrics) != "[IncomingBytes OutgoingBytes]" {
			t.Errorf("%+v", got)
		}
		if now, then := enable("ALL"); now != 2 || then != 7 {
			t.Errorf("from %d to %d metrics, want 2 and 7", now, then)
		}
		out, err := client.DisableEnhancedMonitoring(t.Context(), &kinesis.DisableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: []types.MetricsName{"IncomingBytes"}})
		if err != nil || len(out.CurrentShardLevelMetrics) != 7 || len(out.DesiredShardLevelMetrics) != 6 || c.summary().StreamStatus != "UPDATING" {
			t.Errorf("%+v, %v", out, err)
		}
		time.Sleep(time.Second)
		if d, err := client.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: name}); err != nil || len(d.StreamDescription.EnhancedMonitoring[0].ShardLevelMetrics) != 6 {
			t.Errorf("%+v, %v", d, err)
		}
		c.must("DisableEnhancedMonitoring", object{"StreamName": "s", "ShardLevelMetrics": []string{"ALL"}})
		time.Sleep(time.Second)
		if got := c.summary().EnhancedMonitoring; len(got) != 1 || len(got[0].ShardLevelMetrics) != 0 {
			t.Errorf("%+v", got)
		}
	})
}
