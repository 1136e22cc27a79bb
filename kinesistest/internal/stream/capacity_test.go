package stream

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

func mode(m types.StreamMode) *types.StreamModeDetails {
	return &types.StreamModeDetails{StreamMode: m}
}

func (c caller) summary() *types.StreamDescriptionSummary {
	c.Helper()
	out, err := c.client().DescribeStreamSummary(c.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("s")})
	if err != nil {
		c.Fatal(err)
	}
	return out.StreamDescriptionSummary
}

func TestUpdateStreamMode(t *testing.T) {
	limits := Limits{ModeSwitches: 2, OnDemandStreams: 1}
	inBubble(t, Options{Limits: limits, Updating: time.Second}, func(c caller) {
		t := c.T
		client := c.client()
		to := func(m types.StreamMode) error {
			_, err := client.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: aws.String(arnOfS), StreamModeDetails: mode(m)})
			return err
		}
		fails(t, "no stream", to(types.StreamModeOnDemand), missing)
		c.create(3)
		fails(t, "another mode", to("OTHER"), badRequest)
		fails(t, "the mode it has", to(types.StreamModeProvisioned), "")
		if got := c.summary().StreamStatus; got != types.StreamStatusActive {
			t.Errorf("after no change the stream is %s", got)
		}
		fails(t, "to on-demand", to(types.StreamModeOnDemand), "")
		if d := c.summary(); d.StreamStatus != types.StreamStatusUpdating || d.StreamModeDetails.StreamMode != types.StreamModeProvisioned {
			t.Errorf("at once: %s, %s", d.StreamStatus, d.StreamModeDetails.StreamMode)
		}
		fails(t, "while UPDATING", to(types.StreamModeProvisioned), busy)
		c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": ""})
		time.Sleep(time.Second)
		if d := c.summary(); *d.OpenShardCount != 3 || d.StreamModeDetails.StreamMode != types.StreamModeOnDemand ||
			d.RecordDistributionStrategy != types.RecordDistributionStrategyUserPartitionKey {
			t.Errorf("on-demand: %d shards, %s, %s", *d.OpenShardCount, d.StreamModeDetails.StreamMode, d.RecordDistributionStrategy)
		}
		for op, in := range map[string]object{
			"SplitShard":       {"ShardToSplit": shard0, "NewStartingHashKey": "1000"},
			"MergeShards":      {"ShardToMerge": shard0, "AdjacentShardToMerge": "shardId-000000000001"},
			"UpdateShardCount": {"TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"},
		} {
			in["StreamName"] = "s"
			c.wants(badRequest, op, in)
		}
		c.wants(limited, "CreateStream", object{"StreamName": "t", "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}})
		c.must("CreateStream", object{"StreamName": "t", "ShardCount": 1})
		c.wants(limited, "UpdateStreamMode", object{"StreamARN": arnOfS[:len(arnOfS)-1] + "t", "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}})
		fails(t, "back", to(types.StreamModeProvisioned), "")
		time.Sleep(time.Second)
		if d := c.summary(); d.RecordDistributionStrategy != "" {
			t.Errorf("provisioned, with strategy %s", d.RecordDistributionStrategy)
		}
		fails(t, "a third switch in a day", to(types.StreamModeOnDemand), limited)
		time.Sleep(24*time.Hour - 2*time.Second)
		fails(t, "a day later", to(types.StreamModeOnDemand), "")
		_, err := client.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: aws.String("s"), StreamModeDetails: mode("ON_DEMAND")})
		fails(t, "an ARN that is none", err, badRequest)
	})
}

func TestRecordDistribution(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		t := c.T
		client := c.client()
		name := aws.String("s")
		_, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1), RecordDistributionStrategy: "AUTO"})
		fails(t, "AUTO on a provisioned stream", err, badArgument)
		_, err = client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, StreamModeDetails: mode("ON_DEMAND"), RecordDistributionStrategy: "AUTO"})
		fails(t, "AUTO", err, "")
		if got := c.summary().RecordDistributionStrategy; got != "AUTO" {
			t.Errorf("strategy %q", got)
		}
		shards := map[string]int{}
		for range 40 {
			out, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, Data: []byte("x")})
			if err != nil {
				t.Fatal(err)
			}
			shards[*out.ShardId]++
		}
		out, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, Data: []byte("x"), PartitionKey: aws.String("kept"), ExplicitHashKey: aws.String("0")})
		if err != nil {
			t.Fatal(err)
		}
		for id, n := range shards {
			if n != 10 {
				t.Errorf("%d of 40 records without a key go to %s", n, id)
			}
			page, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String(c.iterator(id, "TRIM_HORIZON").(string))})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				if want := *r.SequenceNumber == *out.SequenceNumber; want != (aws.ToString(r.PartitionKey) == "kept") || !want && r.PartitionKey != nil {
					t.Errorf("record %s has the key %v", *r.SequenceNumber, r.PartitionKey)
				}
			}
		}
		_, err = client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, Data: []byte("x"), PartitionKey: aws.String("k"), SequenceNumberForOrdering: out.SequenceNumber})
		fails(t, "ordering on an AUTO stream", err, badArgument)
		_, err = client.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: aws.String(arnOfS), StreamModeDetails: mode("PROVISIONED")})
		fails(t, "provisioned while AUTO", err, badArgument)

		set := func(strategy types.RecordDistributionStrategy) error {
			_, err := client.UpdateStreamRecordDistributionStrategy(t.Context(), &kinesis.UpdateStreamRecordDistributionStrategyInput{
				StreamARN: aws.String(arnOfS), RecordDistributionStrategy: strategy})
			return err
		}
		fails(t, "a strategy that is none", set("X"), badRequest)
		fails(t, "back to keys", set("USER_PARTITION_KEY"), "")
		_, err = client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: name, Records: []types.PutRecordsRequestEntry{{Data: []byte("x")}}})
		fails(t, "no key", err, badRequest)
		first, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, Data: []byte("x"), PartitionKey: aws.String("k")})
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			out, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, Data: []byte("x"), PartitionKey: aws.String("k"), SequenceNumberForOrdering: first.SequenceNumber})
			if err != nil || *out.ShardId != *first.ShardId || *out.SequenceNumber <= *first.SequenceNumber {
				t.Fatalf("%+v after %+v: %v", out, first, err)
			}
			first = out
		}
		fails(t, "AUTO again", set("AUTO"), "")
		c.must("DeleteStream", object{"StreamName": "s"})
		c.create(1)
		fails(t, "AUTO of a provisioned stream", set("AUTO"), badArgument)
	})
}

func TestUpdateMaxRecordSize(t *testing.T) {
	inBubble(t, Options{Updating: time.Second, Limits: Limits{RecordSizes: true, BytesPerRequest: 3 << 20, BytesPerPage: 3 << 20}}, func(c caller) {
		t := c.T
		client := c.client()
		c.create(1)
		set := func(kib int32) error {
			_, err := client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{StreamARN: aws.String(arnOfS), MaxRecordSizeInKiB: &kib})
			return err
		}
		put := func(n int) error {
			_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: aws.String("key"), Data: make([]byte, n-3)})
			return err
		}
		fails(t, "1023", set(1023), badRequest)
		fails(t, "10241", set(10241), badRequest)
		_, err := client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{MaxRecordSizeInKiB: aws.Int32(2048)})
		fails(t, "no ARN", err, badArgument)
		fails(t, "1 MiB", put(1<<20), "")
		fails(t, "a byte more", put(1<<20+1), badArgument)
		fails(t, "10240", set(10240), "")
		time.Sleep(time.Second)
		if got := *c.summary().MaxRecordSizeInKiB; got != 10240 {
			t.Errorf("MaxRecordSizeInKiB %d", got)
		}
		fails(t, "2 MiB", put(2<<20), "")
		fails(t, "1536", set(1536), "")
		fails(t, "2 MiB while UPDATING", put(2<<20), "")
		fails(t, "while UPDATING", set(1024), busy)
		time.Sleep(time.Second)
		fails(t, "1.5 MiB", put(3<<19), "")
		fails(t, "a byte more", put(3<<19+1), badArgument)
		entries := []types.PutRecordsRequestEntry{{PartitionKey: aws.String("k"), Data: make([]byte, 3<<19-1)}, {PartitionKey: aws.String("k"), Data: make([]byte, 3<<19-1)}}
		_, err = client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: entries})
		fails(t, "3 MiB together, as much as a request may have", err, "")
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String("k")})
		entries[2].Data = []byte{}
		_, err = client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: entries})
		fails(t, "a byte more together", err, badArgument)
		it := c.iterator(shard0, "TRIM_HORIZON").(string)
		for _, want := range []int{2, 1, 2, 1} { // a page takes what is whole within 3 MiB
			page, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: &it})
			if err != nil || len(page.Records) != want {
				t.Fatalf("%d records, %v, want %d", len(page.Records), err, want)
			}
			it = *page.NextShardIterator
		}
		fails(t, "back to 1024", set(1024), "")
		time.Sleep(time.Second)
		fails(t, "1.5 MiB", put(3<<19), badArgument)
	})
}

func TestWarmThroughput(t *testing.T) {
	inBubble(t, Options{Updating: time.Second}, func(c caller) {
		t := c.T
		client := c.client()
		status := func(s types.MinimumThroughputBillingCommitmentInputStatus) *types.MinimumThroughputBillingCommitmentOutput {
			t.Helper()
			out, err := client.UpdateAccountSettings(t.Context(), &kinesis.UpdateAccountSettingsInput{
				MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: s}})
			if err != nil {
				t.Fatal(err)
			}
			return out.MinimumThroughputBillingCommitment
		}
		create := &kinesis.CreateStreamInput{StreamName: aws.String("s"), StreamModeDetails: mode("ON_DEMAND"), WarmThroughputMiBps: aws.Int32(10)}
		_, err := client.CreateStream(t.Context(), create)
		fails(t, "without a commitment", err, badRequest)
		if got := status("DISABLED"); got.Status != "DISABLED" || got.StartedAt != nil {
			t.Errorf("never enabled: %+v", got)
		}
		got := status("ENABLED")
		if got.Status != "ENABLED" || !got.EarliestAllowedEndAt.Equal(got.StartedAt.Add(24*time.Hour)) || got.EndedAt != nil {
			t.Errorf("enabled: %+v", got)
		}
		_, err = client.CreateStream(t.Context(), create)
		fails(t, "warm", err, "")
		if d := c.summary(); *d.OpenShardCount != 10 || d.WarmThroughput == nil || *d.WarmThroughput.TargetMiBps != 10 || *d.WarmThroughput.CurrentMiBps != 10 {
			t.Errorf("%d shards, %+v", *d.OpenShardCount, d.WarmThroughput)
		}
		warm := func(n int32) (*kinesis.UpdateStreamWarmThroughputOutput, error) {
			return client.UpdateStreamWarmThroughput(t.Context(), &kinesis.UpdateStreamWarmThroughputInput{StreamName: aws.String("s"), WarmThroughputMiBps: &n})
		}
		out, err := warm(25)
		if err != nil || *out.WarmThroughput.TargetMiBps != 25 || *out.WarmThroughput.CurrentMiBps != 10 || *out.StreamARN != arnOfS {
			t.Errorf("%+v, %v", out, err)
		}
		if d := c.summary(); d.StreamStatus != "UPDATING" || *d.WarmThroughput.TargetMiBps != 25 || *d.WarmThroughput.CurrentMiBps != 10 {
			t.Errorf("%s, %+v", d.StreamStatus, d.WarmThroughput)
		}
		time.Sleep(time.Second)
		if d := c.summary(); *d.OpenShardCount != 25 || *d.WarmThroughput.CurrentMiBps != 25 {
			t.Errorf("%d shards, %+v", *d.OpenShardCount, d.WarmThroughput)
		}
		_, err = warm(10241)
		fails(t, "more than 10 GiB", err, limited)
		_, err = warm(-1)
		fails(t, "negative", err, badRequest)
		_, err = warm(2)
		fails(t, "less", err, "")
		time.Sleep(time.Second)
		if d := c.summary(); *d.OpenShardCount != onDemandShards {
			t.Errorf("%d shards", *d.OpenShardCount)
		}

		if got := status("DISABLED"); got.Status != "ENABLED_UNTIL_EARLIEST_ALLOWED_END" {
			t.Errorf("disabled within a day: %+v", got)
		}
		if _, err = warm(5); err != nil {
			t.Error(err)
		}
		time.Sleep(24 * time.Hour)
		described, err := client.DescribeAccountSettings(t.Context(), &kinesis.DescribeAccountSettingsInput{})
		if err != nil || described.MinimumThroughputBillingCommitment.Status != "DISABLED" || described.MinimumThroughputBillingCommitment.EndedAt == nil {
			t.Errorf("%+v, %v", described.MinimumThroughputBillingCommitment, err)
		}
		_, err = warm(6)
		fails(t, "without a commitment", err, badRequest)
		c.must("CreateStream", object{"StreamName": "p", "ShardCount": 1})
		status("ENABLED")
		_, err = client.UpdateStreamWarmThroughput(t.Context(), &kinesis.UpdateStreamWarmThroughputInput{StreamName: aws.String("p"), WarmThroughputMiBps: aws.Int32(1)})
		fails(t, "of a provisioned stream", err, badRequest)
		_, err = client.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: aws.String(arnOfS[:len(arnOfS)-1] + "p"),
			StreamModeDetails: mode("ON_DEMAND"), WarmThroughputMiBps: aws.Int32(8)})
		fails(t, "to warm on-demand", err, "")
		time.Sleep(time.Second)
		if got := len(c.Shards("p")); got != 15 { // 1, and those on the way to 8
			t.Errorf("%d shards", got)
		}
	})
}

func TestDescribeLimits(t *testing.T) {
	inBubble(t, Options{Limits: Limits{ShardsPerAccount: 100}}, func(c caller) {
		t := c.T
		c.create(3)
		c.must("CreateStream", object{"StreamName": "o", "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}})
		d, err := c.client().DescribeLimits(t.Context(), &kinesis.DescribeLimitsInput{})
		if err != nil || *d.OpenShardCount != 7 || *d.ShardLimit != 100 || *d.OnDemandStreamCount != 1 || *d.OnDemandStreamCountLimit < 1000 {
			t.Errorf("%+v, %v", d, err)
		}
		c.must("SplitShard", object{"StreamName": "s", "ShardToSplit": shard0, "NewStartingHashKey": "1000"})
		c.must("DeleteStream", object{"StreamName": "o"})
		if d := c.must("DescribeLimits", object{}); fmt.Sprint(d["OpenShardCount"], d["OnDemandStreamCount"]) != "4 0" {
			t.Errorf("%v", d)
		}
	})
}

// An on-demand stream of an account with On-demand Advantage has 50 consumers
// instead of 20.
func TestAdvantageConsumers(t *testing.T) {
	inBubble(t, Options{Limits: Limits{ConsumersPerStream: 20}}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}})
		register := func(from, to int) {
			c.Helper()
			for i := from; i < to; i++ {
				c.must("RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": fmt.Sprint("c", i)})
			}
			c.wants(limited, "RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": "more"})
		}
		register(0, 20)
		c.must("UpdateAccountSettings", object{"MinimumThroughputBillingCommitment": object{"Status": "ENABLED"}})
		register(20, 50)
	})
}
