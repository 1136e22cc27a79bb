package kinesistest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Options configure a [Server]. [NewServer] fills in the defaults before the
// caller's functions see them, so a zero set by a function means zero.
type Options struct {
	// Region is what ARNs and [Server.Config] say; default us-east-1.
	Region string

	// AccountID is the account in ARNs and error texts, 12 digits; default
	// 123456789012.
	AccountID string

	// StreamCreating, StreamUpdating and StreamDeleting are how long a stream
	// stays in the states CREATING, UPDATING and DELETING; default 0, at once.
	// On AWS it is seconds to minutes. While a stream is UPDATING its shards are
	// those of before, and it takes and gives records.
	StreamCreating, StreamUpdating, StreamDeleting time.Duration

	// ConsumerCreating and ConsumerDeleting are the same for a registered
	// consumer; default 0. Its subscriptions end when its deletion begins.
	ConsumerCreating, ConsumerDeleting time.Duration

	// OnDemandScaling is how long a shard of an on-demand stream takes more than
	// 500 KB or 500 records a second before the server splits it, as AWS does
	// without being asked; default 5 minutes, 0 never. Shards are not merged again.
	OnDemandScaling time.Duration

	// TableCreating, TableDeleting and IndexCreating are the same for DynamoDB
	// tables and their indexes; default 0.
	TableCreating, TableDeleting, IndexCreating time.Duration

	// Tables are the lags and the capacity of DynamoDB's tables.
	Tables TableOptions

	// ClockOffset is how far the server's clock is ahead of that of the machine
	// or the bubble, behind if negative; default 0. Arrival and creation times,
	// positions by time, expiry and the Date of answers follow it. If it is not
	// 0, requests whose signature is more than 5 minutes off are refused with
	// InvalidSignatureException, as by AWS; the SDK then corrects its clock by
	// that Date and tries again.
	ClockOffset time.Duration

	// Limits are the quotas the services enforce; default AWS's own. See
	// [Unthrottled].
	Limits Limits

	// KeepTrimmed keeps records in memory, for [Server.Records], after retention
	// has made them unreadable; default false.
	KeepTrimmed bool

	// JournalEntries is how many changes [Server.Journal] remembers, the latest;
	// default 16384, 0 none.
	JournalEntries int
}

// Limits are the quotas of Kinesis. A field of 0 is no limit. Those a second
// are token buckets that hold one second's worth, filled by time.Now. What the
// service asks of the form of a request, such as 1 to 256 characters of
// partition key, always holds.
//
// AWS lists its quotas at
// https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html.
type Limits struct {
	// WriteBytesPerShard is the bytes of data and partition keys a shard takes
	// in a second; default 1 MiB. What is above fails with
	// ProvisionedThroughputExceededException, in PutRecords record by record. A
	// record larger than a second's worth is taken when nothing else was, and
	// leaves a debt, but not on an on-demand stream.
	WriteBytesPerShard int

	// WriteRecordsPerShard is the records a shard takes in a second; default
	// 1000.
	WriteRecordsPerShard int

	// ReadBytesPerShard is the bytes GetRecords gives of a shard in a second;
	// default 2 MiB. A page may exceed it, and then no other is given before
	// the debt is paid, after a full page of 10 MiB not for 5 seconds.
	ReadBytesPerShard int

	// ReadCallsPerShard is the calls of GetRecords a second and shard; default 5.
	ReadCallsPerShard int

	// IteratorCallsPerShard is the calls of GetShardIterator a second and shard;
	// default 5.
	IteratorCallsPerShard int

	// ListShardsPerStream is the calls of ListShards a second and stream;
	// default 1000.
	ListShardsPerStream int

	// ControlCalls is the calls a second of each operation of the control plane,
	// by the operation's name, such as "ListStreams"; default AWS's own, from 1
	// for DescribeLimits to 20 for DescribeStreamSummary. Those that AWS counts
	// by stream (resharding, encryption, consumers, ...) are counted by stream,
	// the others by account. An operation without an entry has no limit. What is
	// above fails with LimitExceededException.
	ControlCalls map[string]int

	// RecordsPerRequest is the records in a PutRecords; default 500.
	RecordsPerRequest int

	// BytesPerRequest is the bytes of data and partition keys in a PutRecords;
	// default 10 MiB. It also bounds how much of a request's body is read.
	BytesPerRequest int

	// RecordSizes refuses a record whose data and partition key together are
	// larger than the stream's MaxRecordSizeInKiB; default true.
	RecordSizes bool

	// BytesPerPage is the bytes of data and partition keys in a page of
	// GetRecords; default 10 MiB. A single record may exceed it.
	BytesPerPage int

	// FullPagePause is how long a shard gives no other page after one of
	// BytesPerPage bytes; default 5 seconds.
	FullPagePause time.Duration

	// ShardsPerAccount is the open shards of all streams; default 20,000.
	ShardsPerAccount int

	// ShardsPerStream is the shards that UpdateShardCount may bring a stream to;
	// default 10,000.
	ShardsPerStream int

	// ScaleFactor is by how much UpdateShardCount may multiply or divide the
	// number of open shards; default 2.
	ScaleFactor int

	// ShardCountUpdates is the UpdateShardCount of a stream in 24 hours;
	// default 10.
	ShardCountUpdates int

	// ModeSwitches is the changes of a stream's capacity mode in 24 hours;
	// default 2.
	ModeSwitches int

	// KeyChanges is how often a stream may start encryption or change its key in
	// 24 hours, and how often stop it; default 25.
	KeyChanges int

	// CreatingStreams is the streams that may be CREATING at once; default 5.
	CreatingStreams int

	// OnDemandStreams is the streams in on-demand mode; default 50.
	OnDemandStreams int

	// IteratorLife is how long a shard iterator is good; default 5 minutes.
	IteratorLife time.Duration

	// TokenLife is how long a NextToken is good; default 300 seconds.
	TokenLife time.Duration

	// ConsumersPerStream is the consumers registered with a stream; default 20. An
	// on-demand stream has 50 at least once UpdateAccountSettings has enabled
	// MinimumThroughputBillingCommitment.
	ConsumersPerStream int

	// CreatingConsumers is the consumers of a stream that may be CREATING at
	// once; default 5.
	CreatingConsumers int

	// FanOutBytesPerShard is the bytes of data and partition keys that a shard
	// pushes to each of its consumers in a second; default 2 MiB. What is above
	// waits, and MillisBehindLatest grows.
	FanOutBytesPerShard int

	// FanOutCallsPerShard is the calls of SubscribeToShard a second, consumer
	// and shard, those refused because of SubscriptionGap included; default 5,
	// what is above fails with LimitExceededException. AWS has documented 5 and
	// documents 1, which SubscriptionGap makes hard to see.
	FanOutCallsPerShard int

	// SubscriptionLife is how long a subscription lives; default 5 minutes. Then
	// it ends well.
	SubscriptionLife time.Duration

	// SubscriptionGap is how long after a SubscribeToShard that succeeded a
	// further one of the same consumer and shard fails with
	// ResourceInUseException; default 5 seconds. Later ones take over.
	SubscriptionGap time.Duration
}

func defaults() Options {
	return Options{
		Region:         "us-east-1",
		AccountID:      "123456789012",
		JournalEntries: 1 << 14,

		OnDemandScaling: 5 * time.Minute,
		Tables:          tableDefaults(),
		Limits: Limits{
			WriteBytesPerShard:    1 << 20,
			WriteRecordsPerShard:  1000,
			ReadBytesPerShard:     2 << 20,
			ReadCallsPerShard:     5,
			IteratorCallsPerShard: 5,
			ListShardsPerStream:   1000,
			ControlCalls:          controlCalls(),
			RecordsPerRequest:     500,
			BytesPerRequest:       10 << 20,
			RecordSizes:           true,
			BytesPerPage:          10 << 20,
			FullPagePause:         5 * time.Second,
			ShardsPerAccount:      20_000,
			ShardsPerStream:       10_000,
			ScaleFactor:           2,
			ShardCountUpdates:     10,
			ModeSwitches:          2,
			KeyChanges:            25,
			CreatingStreams:       5,
			OnDemandStreams:       50,
			IteratorLife:          5 * time.Minute,
			TokenLife:             300 * time.Second,
			ConsumersPerStream:    20,
			CreatingConsumers:     5,
			FanOutBytesPerShard:   2 << 20,
			FanOutCallsPerShard:   5,
			SubscriptionLife:      5 * time.Minute,
			SubscriptionGap:       5 * time.Second,
		},
	}
}

// Unthrottled is an option function for [NewServer] that lifts the limits per
// second and leaves those of a request, so that a program runs as fast as the
// machine does.
func Unthrottled(o *Options) {
	l := &o.Limits
	l.WriteBytesPerShard, l.WriteRecordsPerShard = 0, 0
	l.ReadBytesPerShard, l.ReadCallsPerShard, l.FullPagePause = 0, 0, 0
	l.IteratorCallsPerShard, l.ListShardsPerStream = 0, 0
	l.ControlCalls = nil
	l.FanOutBytesPerShard, l.FanOutCallsPerShard = 0, 0
	o.Tables.unthrottle()
}

func (o *Options) validate() error {
	var errs []error
	if o.Region == "" || strings.Contains(o.Region, ":") {
		errs = append(errs, fmt.Errorf("kinesistest: Region %q: want a region name", o.Region))
	}
	if len(o.AccountID) != 12 || strings.Trim(o.AccountID, "0123456789") != "" {
		errs = append(errs, fmt.Errorf("kinesistest: AccountID %q: want 12 digits", o.AccountID))
	}
	for _, f := range append(o.Limits.quantities(), []quantity{
		{"StreamCreating", int64(o.StreamCreating)},
		{"StreamUpdating", int64(o.StreamUpdating)},
		{"StreamDeleting", int64(o.StreamDeleting)},
		{"OnDemandScaling", int64(o.OnDemandScaling)},
		{"ConsumerCreating", int64(o.ConsumerCreating)},
		{"ConsumerDeleting", int64(o.ConsumerDeleting)},
		{"TableCreating", int64(o.TableCreating)},
		{"TableDeleting", int64(o.TableDeleting)},
		{"IndexCreating", int64(o.IndexCreating)},
		{"JournalEntries", int64(o.JournalEntries)},
	}...) {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("kinesistest: %s %d: want 0 or more", f.name, f.value))
		}
	}
	for _, op := range slices.Sorted(maps.Keys(o.Limits.ControlCalls)) {
		if n := o.Limits.ControlCalls[op]; n < 0 {
			errs = append(errs, fmt.Errorf("kinesistest: Limits.ControlCalls[%q] %d: want 0 or more", op, n))
		}
	}
	errs = append(errs, o.Tables.validate())
	return errors.Join(errs...)
}

// A quantity is an option that may not be negative.
type quantity struct {
	name  string
	value int64
}

func (l *Limits) quantities() []quantity {
	return []quantity{
		{"Limits.WriteBytesPerShard", int64(l.WriteBytesPerShard)},
		{"Limits.WriteRecordsPerShard", int64(l.WriteRecordsPerShard)},
		{"Limits.ReadBytesPerShard", int64(l.ReadBytesPerShard)},
		{"Limits.ReadCallsPerShard", int64(l.ReadCallsPerShard)},
		{"Limits.IteratorCallsPerShard", int64(l.IteratorCallsPerShard)},
		{"Limits.ListShardsPerStream", int64(l.ListShardsPerStream)},
		{"Limits.RecordsPerRequest", int64(l.RecordsPerRequest)},
		{"Limits.BytesPerRequest", int64(l.BytesPerRequest)},
		{"Limits.BytesPerPage", int64(l.BytesPerPage)},
		{"Limits.FullPagePause", int64(l.FullPagePause)},
		{"Limits.ShardsPerAccount", int64(l.ShardsPerAccount)},
		{"Limits.ShardsPerStream", int64(l.ShardsPerStream)},
		{"Limits.ScaleFactor", int64(l.ScaleFactor)},
		{"Limits.ShardCountUpdates", int64(l.ShardCountUpdates)},
		{"Limits.ModeSwitches", int64(l.ModeSwitches)},
		{"Limits.KeyChanges", int64(l.KeyChanges)},
		{"Limits.CreatingStreams", int64(l.CreatingStreams)},
		{"Limits.OnDemandStreams", int64(l.OnDemandStreams)},
		{"Limits.IteratorLife", int64(l.IteratorLife)},
		{"Limits.TokenLife", int64(l.TokenLife)},
		{"Limits.ConsumersPerStream", int64(l.ConsumersPerStream)},
		{"Limits.CreatingConsumers", int64(l.CreatingConsumers)},
		{"Limits.FanOutBytesPerShard", int64(l.FanOutBytesPerShard)},
		{"Limits.FanOutCallsPerShard", int64(l.FanOutCallsPerShard)},
		{"Limits.SubscriptionLife", int64(l.SubscriptionLife)},
		{"Limits.SubscriptionGap", int64(l.SubscriptionGap)},
	}
}

// controlCalls returns AWS's call rates, a map of the caller's own.
func controlCalls() map[string]int {
	calls := map[string]int{
		"DescribeLimits":        1,
		"DescribeStream":        10,
		"UpdateShardCount":      10,
		"DescribeStreamSummary": 20, "DescribeStreamConsumer": 20,
	}
	for _, op := range []string{
		"CreateStream", "DeleteStream", "ListStreams", "SplitShard", "MergeShards",
		"UpdateStreamMode", "UpdateStreamWarmThroughput", "UpdateStreamRecordDistributionStrategy", "UpdateMaxRecordSize",
		"IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod",
		"StartStreamEncryption", "StopStreamEncryption", "EnableEnhancedMonitoring", "DisableEnhancedMonitoring",
		"AddTagsToStream", "RemoveTagsFromStream", "ListTagsForStream", "TagResource", "UntagResource", "ListTagsForResource",
		"PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy", "DescribeAccountSettings", "UpdateAccountSettings",
		"RegisterStreamConsumer", "DeregisterStreamConsumer", "ListStreamConsumers",
	} {
		calls[op] = 5
	}
	return calls
}
