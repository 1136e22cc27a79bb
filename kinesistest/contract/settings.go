package contract

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var settingChecks = []Check{
	{ID: "K.mode.switch", Source: api("UpdateStreamMode"),
		Says: "a stream changes its mode while UPDATING, keeps its shards, and takes and gives records meanwhile",
		Run:  modeSwitch},
	{ID: "K.mode.twice_a_day", Source: api("UpdateStreamMode"),
		Says: "a stream changes its mode twice in 24 hours",
		Run:  modeTwice, Slow: true},
	{ID: "K.mode.ondemand_no_reshard", Source: api("UpdateShardCount"),
		Says: "a stream on demand cannot be resharded by its users",
		Run:  modeNoReshard},
	{ID: "K.auto.switch", Source: guide("service-managed-pk-how-it-works"),
		Says: "the distribution of records changes at once both ways; back at the user's keys a record without one is refused",
		Run:  autoSwitch},
	{ID: "K.auto.keys", Source: guide("service-managed-pk-how-it-works"),
		Says: "a distributed record is read with the key it was sent with, or with none; an explicit hash key is ignored",
		Run:  autoKeys},
	{ID: "K.auto.provisioned", Source: api("UpdateStreamRecordDistributionStrategy"),
		Says: "a provisioned stream does not distribute records itself",
		Run:  autoProvisioned},
	{ID: "K.recordsize.update", Source: api("UpdateMaxRecordSize"),
		Says: "the largest record of a stream can be set from 1,024 to 10,240 KiB, and the summary says it",
		Run:  recordSizeUpdate},
	{ID: "K.recordsize.bounds", Source: api("UpdateMaxRecordSize"),
		Says: "a largest record below 1,024 or above 10,240 KiB is refused",
		Run:  recordSizeBounds},
	{ID: "K.recordsize.debt", Source: guide("large-records"),
		Says: "after a record of several MiB its shard takes nothing until that is paid at 1 MiB a second, other shards do",
		Run:  recordSizeDebt, Slow: true},
	{ID: "K.encryption.toggle", Source: api("StartStreamEncryption"),
		Says: "encryption is switched on and off on a live stream; summary, puts and records say KMS while it is on",
		Run:  encryptionToggle},
	{ID: "K.tags.create", Source: api("CreateStream"),
		Says: "tags given at the creation of a stream are listed",
		Run:  tagsAtCreation},
	{ID: "K.tags.change", Source: api("AddTagsToStream"),
		Says: "tags are added, replaced and removed",
		Run:  tagsChange},
	{ID: "K.tags.limit50", Source: api("AddTagsToStream"),
		Says: "a stream has at most 50 tags",
		Run:  tagsLimit},
	{ID: "K.monitoring", Source: api("EnableEnhancedMonitoring"),
		Says: "metrics by shard are switched on and off and stand in the description",
		Run:  monitoring},
	{ID: "K.describelimits", Source: api("DescribeLimits"),
		Says: "the limit of shards and the open ones of the account are told",
		Run:  describeLimits},
}

func (e *Env) summary(ctx context.Context, name string) (*types.StreamDescriptionSummary, error) {
	var out *kinesis.DescribeStreamSummaryOutput
	err := calm(ctx, func() (err error) {
		out, err = e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("DescribeStreamSummary: %w", err)
	}
	return out.StreamDescriptionSummary, nil
}

func (e *Env) setMode(ctx context.Context, arn *string, mode types.StreamMode) error {
	_, err := e.Kinesis.UpdateStreamMode(ctx, &kinesis.UpdateStreamModeInput{StreamARN: arn, StreamModeDetails: &types.StreamModeDetails{StreamMode: mode}})
	return err
}

func modeSwitch(ctx context.Context, e *Env) error {
	name, arn, err := e.streamARN(ctx, 3)
	if err != nil {
		return err
	}
	if err := e.setMode(ctx, arn, types.StreamModeOnDemand); err != nil {
		return fmt.Errorf("UpdateStreamMode: %w", err)
	}
	start := time.Now()
	if st, err := e.status(ctx, name); err != nil || st != types.StreamStatusUpdating {
		return within(start, time.Second, fmt.Errorf("just switched: %v, %v, want UPDATING", st, err))
	}
	if _, err := e.put(ctx, name, "key", "x"); err != nil {
		return fmt.Errorf("while UPDATING: %w", err)
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	d, err := e.summary(ctx, name)
	if err != nil {
		return err
	}
	if d.StreamModeDetails == nil || d.StreamModeDetails.StreamMode != types.StreamModeOnDemand || aws.ToInt32(d.OpenShardCount) != 3 {
		return fmt.Errorf("mode %+v with %d shards, want ON_DEMAND with 3", d.StreamModeDetails, aws.ToInt32(d.OpenShardCount))
	}
	return nil
}

func modeTwice(ctx context.Context, e *Env) error {
	name, arn, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	for _, mode := range []types.StreamMode{types.StreamModeOnDemand, types.StreamModeProvisioned} {
		if err := e.setMode(ctx, arn, mode); err != nil {
			return err
		}
		if err := e.active(ctx, name); err != nil {
			return err
		}
	}
	if err := refused("a third switch", e.setMode(ctx, arn, types.StreamModeOnDemand), limitExceeded); err != nil {
		return err
	}
	if err := sleep(ctx, 25*time.Hour); err != nil {
		return err
	}
	return e.setMode(ctx, arn, types.StreamModeOnDemand)
}

// onDemand makes a stream on demand and returns its name and ARN.
func (e *Env) onDemand(ctx context.Context) (name string, arn *string, err error) {
	name = e.name()
	mode := &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
	if _, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, StreamModeDetails: mode}); err != nil {
		return "", nil, fmt.Errorf("CreateStream: %w", err)
	}
	if err := e.active(ctx, name); err != nil {
		return "", nil, err
	}
	arn, err = e.arn(ctx, name)
	return name, arn, err
}

func modeNoReshard(ctx context.Context, e *Env) error {
	name, _, err := e.onDemand(ctx)
	if err != nil {
		return err
	}
	_, split := e.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String("1000")})
	_, merge := e.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: &name, ShardToMerge: aws.String(shard0), AdjacentShardToMerge: aws.String("shardId-000000000001")})
	_, scale := e.Kinesis.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: &name, TargetShardCount: aws.Int32(8), ScalingType: types.ScalingTypeUniformScaling})
	return errors.Join(
		refused("SplitShard", split, validation, invalidArgument),
		refused("MergeShards", merge, validation, invalidArgument),
		refused("UpdateShardCount", scale, validation, invalidArgument))
}

func (e *Env) distribute(ctx context.Context, arn *string, strategy types.RecordDistributionStrategy) error {
	_, err := e.Kinesis.UpdateStreamRecordDistributionStrategy(ctx, &kinesis.UpdateStreamRecordDistributionStrategyInput{StreamARN: arn, RecordDistributionStrategy: strategy})
	return err
}

func (e *Env) putKeyless(ctx context.Context, name string) (*kinesis.PutRecordOutput, error) {
	return e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, Data: []byte("no key")})
}

func autoSwitch(ctx context.Context, e *Env) error {
	name, arn, err := e.onDemand(ctx)
	if err != nil {
		return err
	}
	_, err = e.putKeyless(ctx, name)
	if err := refused("no key at first", err, validation, invalidArgument); err != nil {
		return err
	}
	if err := e.distribute(ctx, arn, types.RecordDistributionStrategyAuto); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	if d, err := e.summary(ctx, name); err != nil || d.RecordDistributionStrategy != types.RecordDistributionStrategyAuto {
		return fmt.Errorf("summary %+v, %v, want AUTO", d, err)
	}
	if _, err := e.putKeyless(ctx, name); err != nil {
		return fmt.Errorf("no key with AUTO: %w", err)
	}
	if err := e.distribute(ctx, arn, types.RecordDistributionStrategyUserPartitionKey); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	_, err = e.putKeyless(ctx, name)
	return refused("no key afterwards", err, validation, invalidArgument)
}

func autoKeys(ctx context.Context, e *Env) error {
	name, arn, err := e.onDemand(ctx)
	if err != nil {
		return err
	}
	if err := e.distribute(ctx, arn, types.RecordDistributionStrategyAuto); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	keys, shards := map[string]bool{}, map[string]bool{}
	for i := range 30 {
		in := &kinesis.PutRecordInput{StreamName: &name, Data: []byte("keyless")}
		if i%2 == 0 {
			in.PartitionKey, in.ExplicitHashKey, in.Data = aws.String("the key"), aws.String("0"), []byte("with key")
		}
		out, err := e.Kinesis.PutRecord(ctx, in)
		if err != nil {
			return err
		}
		shards[*out.ShardId] = true
	}
	if len(shards) < 2 {
		return errors.New("30 records, half of them with hash key 0, went to one shard")
	}
	for id := range shards {
		records, _, err := e.readAll(ctx, name, id)
		if err != nil {
			return err
		}
		for _, r := range records {
			key := aws.ToString(r.PartitionKey)
			keys[key] = true
			if (string(r.Data) == "with key") != (key == "the key") {
				return fmt.Errorf("record %q is read with key %q", r.Data, key)
			}
		}
	}
	if len(keys) != 2 {
		return fmt.Errorf("keys %v were read, want one and none", keys)
	}
	return nil
}

func autoProvisioned(ctx context.Context, e *Env) error {
	_, arn, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	return refused("AUTO", e.distribute(ctx, arn, types.RecordDistributionStrategyAuto), validation, invalidArgument)
}

func (e *Env) setRecordSize(ctx context.Context, arn *string, kib int32) error {
	return calm(ctx, func() error {
		_, err := e.Kinesis.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{StreamARN: arn, MaxRecordSizeInKiB: &kib})
		return err
	})
}

func recordSizeUpdate(ctx context.Context, e *Env) error {
	name, arn, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	if err := e.setRecordSize(ctx, arn, 2048); err != nil {
		return fmt.Errorf("UpdateMaxRecordSize: %w", err)
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	if d, err := e.summary(ctx, name); err != nil || aws.ToInt32(d.MaxRecordSizeInKiB) != 2048 {
		return fmt.Errorf("summary %+v, %v, want 2048 KiB", d, err)
	}
	if _, err := e.put(ctx, name, "key", text(2<<20-3)); err != nil {
		return fmt.Errorf("a record of 2 MiB: %w", err)
	}
	_, err = e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("key"), Data: []byte(text(2<<20 - 2))})
	return refused("a record of 2 MiB + 1", err, invalidArgument, validation)
}

func recordSizeBounds(ctx context.Context, e *Env) error {
	_, arn, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	for _, kib := range []int32{1023, 10_241, 0, -1} {
		if err := refused(fmt.Sprint(kib, " KiB"), e.setRecordSize(ctx, arn, kib), validation, invalidArgument); err != nil {
			return err
		}
	}
	return nil
}

func recordSizeDebt(ctx context.Context, e *Env) error {
	name, arn, err := e.streamARN(ctx, 2)
	if err != nil {
		return err
	}
	if err := e.setRecordSize(ctx, arn, 10_240); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	put := func(hash string, size int) error {
		_, err := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), ExplicitHashKey: &hash, Data: []byte(text(size))})
		return err
	}
	if err := put("0", 8<<20); err != nil {
		return fmt.Errorf("8 MiB: %w", err)
	}
	if err := refused("the next to that shard", put("0", 1000), throughput); err != nil {
		return err
	}
	if err := put(half, 1000); err != nil {
		return fmt.Errorf("to the other shard: %w", err)
	}
	if err := sleep(ctx, 9*time.Second); err != nil {
		return err
	}
	return put("0", 1000)
}

func encryptionToggle(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 1)
	if err != nil {
		return err
	}
	const key = "alias/aws/kinesis"
	if _, err := e.Kinesis.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: &name, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String(key)}); err != nil {
		return fmt.Errorf("StartStreamEncryption: %w", err)
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	if err := sleep(ctx, 5*time.Second); err != nil { // so long records may still be in the clear
		return err
	}
	out, err := e.put(ctx, name, "key", "x")
	if err != nil || out.EncryptionType != types.EncryptionTypeKms {
		return fmt.Errorf("a put says %q, %v, want KMS", out.EncryptionType, err)
	}
	d, err := e.summary(ctx, name)
	if err != nil || d.EncryptionType != types.EncryptionTypeKms || aws.ToString(d.KeyId) != key {
		return fmt.Errorf("summary %+v, %v, want KMS with the key", d, err)
	}
	if _, err := e.Kinesis.StopStreamEncryption(ctx, &kinesis.StopStreamEncryptionInput{StreamName: &name, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String(key)}); err != nil {
		return fmt.Errorf("StopStreamEncryption: %w", err)
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil || len(records) != 2 {
		return fmt.Errorf("%d records, %v, want 2", len(records), err)
	}
	if records[0].EncryptionType == types.EncryptionTypeKms || records[1].EncryptionType != types.EncryptionTypeKms {
		return fmt.Errorf("the records say %q and %q, want the second encrypted", records[0].EncryptionType, records[1].EncryptionType)
	}
	if d, err = e.summary(ctx, name); err != nil || d.EncryptionType != types.EncryptionTypeNone {
		return fmt.Errorf("summary %+v, %v, want NONE", d, err)
	}
	return nil
}

// tags returns the tags of a stream.
func (e *Env) tags(ctx context.Context, name string) (map[string]string, error) {
	in := &kinesis.ListTagsForStreamInput{StreamName: &name}
	tags := map[string]string{}
	for {
		var out *kinesis.ListTagsForStreamOutput
		if err := calm(ctx, func() (err error) {
			out, err = e.Kinesis.ListTagsForStream(ctx, in)
			return err
		}); err != nil {
			return nil, fmt.Errorf("ListTagsForStream: %w", err)
		}
		for _, tag := range out.Tags {
			tags[*tag.Key] = aws.ToString(tag.Value)
		}
		if !aws.ToBool(out.HasMoreTags) || len(out.Tags) == 0 {
			return tags, nil
		}
		in.ExclusiveStartTagKey = out.Tags[len(out.Tags)-1].Key
	}
}

// tagged fails unless a stream has just these tags.
func (e *Env) tagged(ctx context.Context, name string, want map[string]string) error {
	got, err := e.tags(ctx, name)
	if err != nil {
		return err
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("tags %v, want %v", got, want)
	}
	return nil
}

func tagsAtCreation(ctx context.Context, e *Env) error {
	name, want := e.name(), map[string]string{"team": "data", "empty": ""}
	if _, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1), Tags: want}); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	return e.tagged(ctx, name, want)
}

func (e *Env) addTags(ctx context.Context, name string, tags map[string]string) error {
	return calm(ctx, func() error {
		_, err := e.Kinesis.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: &name, Tags: tags})
		return err
	})
}

func tagsChange(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	if err := e.addTags(ctx, name, map[string]string{"a": "1", "b": "2"}); err != nil {
		return err
	}
	if err := e.addTags(ctx, name, map[string]string{"b": "3", "c": "4"}); err != nil {
		return err
	}
	if err := e.tagged(ctx, name, map[string]string{"a": "1", "b": "3", "c": "4"}); err != nil {
		return err
	}
	if err := calm(ctx, func() error {
		_, err := e.Kinesis.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: &name, TagKeys: []string{"a", "none"}})
		return err
	}); err != nil {
		return err
	}
	return e.tagged(ctx, name, map[string]string{"b": "3", "c": "4"})
}

func tagsLimit(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	for i := range 5 {
		tags := map[string]string{}
		for j := range 10 {
			tags[fmt.Sprint("tag", i*10+j)] = "x"
		}
		if err := e.addTags(ctx, name, tags); err != nil {
			return err
		}
	}
	_, err = e.Kinesis.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: &name, Tags: map[string]string{"one more": "x"}})
	return refused("a tag number 51", err, invalidArgument, validation, limitExceeded)
}

func monitoring(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	bytes := []types.MetricsName{types.MetricsNameIncomingBytes}
	on, err := e.Kinesis.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: &name, ShardLevelMetrics: bytes})
	if err != nil || len(on.DesiredShardLevelMetrics) != 1 {
		return fmt.Errorf("EnableEnhancedMonitoring = %+v, %v", on, err)
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	d, err := e.summary(ctx, name)
	if err != nil || len(d.EnhancedMonitoring) != 1 || len(d.EnhancedMonitoring[0].ShardLevelMetrics) != 1 {
		return fmt.Errorf("summary %+v, %v, want one metric", d, err)
	}
	_, err = e.Kinesis.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamName: &name, ShardLevelMetrics: bytes})
	return err
}

func describeLimits(ctx context.Context, e *Env) error {
	if _, err := e.stream(ctx, 2); err != nil {
		return err
	}
	var out *kinesis.DescribeLimitsOutput
	if err := calm(ctx, func() (err error) {
		out, err = e.Kinesis.DescribeLimits(ctx, &kinesis.DescribeLimitsInput{})
		return err
	}); err != nil {
		return err
	}
	if open, most := aws.ToInt32(out.OpenShardCount), aws.ToInt32(out.ShardLimit); open < 2 || most < open {
		return fmt.Errorf("%d open shards of at most %d", open, most)
	}
	return nil
}
