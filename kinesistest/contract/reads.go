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

var iteratorChecks = []Check{
	{ID: "K.iter.trim_horizon", Source: api("GetShardIterator"),
		Says: "TRIM_HORIZON reads from the oldest record",
		Run:  iterates(types.ShardIteratorTypeTrimHorizon, -1, 0)},
	{ID: "K.iter.at_seq", Source: api("GetShardIterator"),
		Says: "AT_SEQUENCE_NUMBER reads from a record on",
		Run:  iterates(types.ShardIteratorTypeAtSequenceNumber, 3, 3)},
	{ID: "K.iter.after_seq", Source: api("GetShardIterator"),
		Says: "AFTER_SEQUENCE_NUMBER reads from behind a record on",
		Run:  iterates(types.ShardIteratorTypeAfterSequenceNumber, 3, 4)},
	{ID: "K.iter.after_last", Source: api("GetShardIterator"),
		Says: "AFTER_SEQUENCE_NUMBER of the last record reads nothing",
		Run:  iterates(types.ShardIteratorTypeAfterSequenceNumber, 9, 10)},
	{ID: "K.iter.at_timestamp", Source: api("GetShardIterator"),
		Says: "AT_TIMESTAMP reads from the first record at or after a time",
		Run:  iterAtTimestamp},
	{ID: "K.iter.at_timestamp_old", Source: api("GetShardIterator"),
		Says: "AT_TIMESTAMP before the trim horizon reads from the oldest record",
		Run:  iterAtTimestampOld},
	{ID: "K.iter.latest", Source: api("GetShardIterator"),
		Says: "LATEST reads what is put after the iterator was made",
		Run:  iterLatest},
	{ID: "K.iter.at_shard_start_seq", Source: api("GetShardIterator"),
		Says: "a shard's starting number is a position to read from",
		Run:  iterAtShardStart},
	{ID: "K.iter.at_shard_end_seq", Source: api("GetShardIterator"),
		Says: "behind a closed shard's ending number there is nothing, and its children are named",
		Run:  iterAtShardEnd},
	{ID: "K.iter.errors", Source: api("GetShardIterator"),
		Says: "a position that makes no sense, a future time and an unknown shard are refused",
		Run:  iterErrors},
	{ID: "K.iter.expiry", Source: api("GetShardIterator"),
		Says: "an iterator is good for 5 minutes, then ExpiredIteratorException",
		Run:  iterExpiry, Slow: true},
}

var readChecks = []Check{
	{ID: "K.get.reuse+paging", Source: api("GetRecords"),
		Says: "an iterator can be used again; Limit bounds a page, NextShardIterator goes on behind it",
		Run:  getReuseAndPaging},
	{ID: "K.get.millisbehind", Source: api("GetRecords"),
		Says: "MillisBehindLatest tells how old the next record is, 0 at the tip",
		Run:  getMillisBehind},
	{ID: "K.get.recordfields", Source: api("Record"),
		Says: "a record comes back with its key, its bytes and its arrival in milliseconds",
		Run:  getRecordFields},
	{ID: "K.get.limit10001", Source: api("GetRecords"),
		Says: "Limit is 1 to 10,000",
		Run:  getLimit},
	{ID: "K.get.10MiBcap", Source: api("GetRecords"),
		Says: "a page has at most 10 MiB",
		Run:  getTenMiBCap, Slow: true},
	{ID: "K.get.emptypage", Source: api("GetRecords"),
		Says: "an empty page of an open shard has a next iterator and MillisBehindLatest, and no children",
		Run:  getEmptyPage},
	{ID: "K.dryrun", Source: api("PutRecords"),
		Says: "DryRun answers DryRunOperationException and does nothing",
		Run:  dryRun},
}

// iterates checks an iterator type on a shard of ten records: with the number
// of record at (none if negative) reading starts at record from.
func iterates(kind types.ShardIteratorType, at, from int) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		name, numbers, err := e.filled(ctx, 10)
		if err != nil {
			return err
		}
		in := &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0), ShardIteratorType: kind}
		if at >= 0 {
			in.StartingSequenceNumber = &numbers[at]
		}
		records, _, err := e.read(ctx, in)
		if err != nil {
			return err
		}
		return sameNumbers(string(kind), records, numbers[from:])
	}
}

func iterAtTimestamp(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 1100*time.Millisecond); err != nil {
		return err
	}
	at := time.Now()
	if err := sleep(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	numbers, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	records, _, err := e.read(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0),
		ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &at})
	if err != nil {
		return err
	}
	return sameNumbers("from between two groups", records, numbers)
}

func iterAtTimestampOld(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	for _, at := range []time.Time{time.Now().Add(-time.Hour), time.Unix(1, 0)} {
		records, _, err := e.read(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0),
			ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &at})
		if err != nil {
			return err
		}
		if err := sameNumbers(fmt.Sprint("from ", at), records, numbers); err != nil {
			return err
		}
	}
	return nil
}

func iterLatest(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	it, err := e.tip(ctx, name)
	if err != nil {
		return err
	}
	numbers, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
	if err != nil {
		return err
	}
	return sameNumbers("LATEST taken before two puts", page.Records, numbers)
}

func iterAtShardStart(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 10)
	if err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return err
	}
	records, _, err := e.read(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0),
		ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: shards[0].SequenceNumberRange.StartingSequenceNumber})
	if err != nil {
		return err
	}
	return sameNumbers("from the shard's starting number", records, numbers)
}

func iterAtShardEnd(ctx context.Context, e *Env) error {
	name, _, err := e.splitFilled(ctx, 3)
	if err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return err
	}
	records, last, err := e.read(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0),
		ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: shards[0].SequenceNumberRange.EndingSequenceNumber})
	if err != nil {
		return err
	}
	if err := sameNumbers("behind a closed shard's ending number", records, nil); err != nil {
		return err
	}
	return childShards(last, []string{shard0}, 2)
}

func iterErrors(ctx context.Context, e *Env) error {
	name, numbers, err := e.splitFilled(ctx, 1)
	if err != nil {
		return err
	}
	for _, tt := range []struct {
		what string
		in   kinesis.GetShardIteratorInput
		code string
	}{
		{"a future time", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(time.Hour))}, invalidArgument},
		{"no time", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp}, invalidArgument},
		{"no number", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber}, invalidArgument},
		{"a bad number", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: aws.String("123")}, invalidArgument},
		{"text as a number", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: aws.String("abc")}, invalidArgument},
		{"another shard's number", kinesis.GetShardIteratorInput{ShardId: aws.String("shardId-000000000001"), ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &numbers[0]}, invalidArgument},
		{"a number with TRIM_HORIZON", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon, StartingSequenceNumber: &numbers[0]}, invalidArgument},
		{"an unknown type", kinesis.GetShardIteratorInput{ShardIteratorType: "SOMEWHERE"}, validation},
		{"an unknown shard", kinesis.GetShardIteratorInput{ShardId: aws.String("shardId-000000000099"), ShardIteratorType: types.ShardIteratorTypeLatest}, notFound},
		{"an unknown stream", kinesis.GetShardIteratorInput{StreamName: aws.String(e.name()), ShardIteratorType: types.ShardIteratorTypeLatest}, notFound},
	} {
		in := tt.in
		if in.ShardId == nil {
			in.ShardId = aws.String(shard0)
		}
		if in.StreamName == nil {
			in.StreamName = &name
		}
		_, err := e.iterator(ctx, &in)
		if err := refused(tt.what, err, tt.code); err != nil {
			return err
		}
	}
	for _, it := range []string{"garbage", "AAAAAAAAAAE=", text(600)} {
		_, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: &it})
		if err := refused(fmt.Sprintf("iterator %.10q", it), err, invalidArgument, validation); err != nil {
			return err
		}
	}
	return nil
}

func iterExpiry(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	it, err := e.tip(ctx, name)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 299*time.Second); err != nil {
		return err
	}
	page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
	if err != nil {
		return fmt.Errorf("after 299 s: %w", err)
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	_, err = e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
	if err := refused("after 301 s", err, "ExpiredIteratorException"); err != nil {
		return err
	}
	_, err = e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator})
	return err
}

func getReuseAndPaging(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 10)
	if err != nil {
		return err
	}
	it, err := e.oldest(ctx, name)
	if err != nil {
		return err
	}
	for range 2 {
		page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(4)})
		if err != nil {
			return err
		}
		if err := sameNumbers("the first page of 4, also when asked for again", page.Records, numbers[:4]); err != nil {
			return err
		}
		next, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator})
		if err != nil {
			return err
		}
		if err := sameNumbers("the rest", next.Records, numbers[4:]); err != nil {
			return err
		}
	}
	return nil
}

func getMillisBehind(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 5)
	if err != nil {
		return err
	}
	it, err := e.oldest(ctx, name)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 1500*time.Millisecond); err != nil {
		return err
	}
	page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(2)})
	if err != nil {
		return err
	}
	if ms := aws.ToInt64(page.MillisBehindLatest); ms < 1000 || ms > 60_000 {
		return fmt.Errorf("1.5 s old records unread: MillisBehindLatest is %d", ms)
	}
	page, err = e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator})
	if err != nil {
		return err
	}
	if page.MillisBehindLatest == nil || *page.MillisBehindLatest != 0 || len(page.Records) != 3 {
		return fmt.Errorf("at the tip: %d records, MillisBehindLatest %v, want 3 and 0", len(page.Records), page.MillisBehindLatest)
	}
	return nil
}

func getRecordFields(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	key, data := `Gürtel "€" \ 𝄞`, "\x00\xff\xfedata\n"
	for range 3 { // one of three is not on a full second
		if err := sleep(ctx, 370*time.Millisecond); err != nil {
			return err
		}
		if _, err := e.put(ctx, name, key, data); err != nil {
			return err
		}
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil || len(records) != 3 {
		return fmt.Errorf("%d records, %v, want 3", len(records), err)
	}
	fraction := false
	for _, r := range records {
		if aws.ToString(r.PartitionKey) != key || string(r.Data) != data {
			return fmt.Errorf("key %q, data %q, want %q and %q", aws.ToString(r.PartitionKey), r.Data, key, data)
		}
		at := r.ApproximateArrivalTimestamp
		if at == nil || time.Since(*at).Abs() > time.Minute {
			return fmt.Errorf("arrived at %v", at)
		}
		fraction = fraction || at.Nanosecond() != 0
	}
	if !fraction {
		return errors.New("all arrivals are on full seconds")
	}
	return nil
}

func getLimit(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 1)
	if err != nil {
		return err
	}
	it, err := e.oldest(ctx, name)
	if err != nil {
		return err
	}
	for _, n := range []int32{10_001, 0, -1} {
		_, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: &n})
		if err := refused(fmt.Sprint("Limit ", n), err, invalidArgument, validation); err != nil {
			return err
		}
	}
	_, err = e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(10_000)})
	return err
}

func getTenMiBCap(ctx context.Context, e *Env) error {
	it, err := e.mebibytes(ctx, 12)
	if err != nil {
		return err
	}
	total, records := 0, 0
	for records < 12 {
		page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return err
		}
		size := 0
		for _, r := range page.Records {
			size += len(r.Data)
		}
		if size > 10<<20 || size == 0 {
			return fmt.Errorf("a page of %d bytes in %d records", size, len(page.Records))
		}
		total, records, it = total+size, records+len(page.Records), page.NextShardIterator
	}
	return nil
}

func getEmptyPage(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	records, page, err := e.readAll(ctx, name, shard0)
	if err != nil {
		return err
	}
	if len(records) != 0 || page.NextShardIterator == nil || page.MillisBehindLatest == nil || len(page.ChildShards) != 0 {
		return fmt.Errorf("an empty shard gives %+v", page)
	}
	return nil
}

func dryRun(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 1)
	if err != nil {
		return err
	}
	const done = "DryRunOperationException"
	entry := types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: []byte("x")}
	_, put := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), Data: []byte("x"), DryRun: aws.Bool(true)})
	_, puts := e.Kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &name, Records: []types.PutRecordsRequestEntry{entry}, DryRun: aws.Bool(true)})
	in := &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	it, err := e.iterator(ctx, in)
	if err != nil {
		return err
	}
	_, get := e.Kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it, DryRun: aws.Bool(true)})
	in.DryRun = aws.Bool(true)
	_, iterator := e.Kinesis.GetShardIterator(ctx, in)
	if err := errors.Join(
		refused("PutRecord", put, done), refused("PutRecords", puts, done),
		refused("GetRecords", get, done), refused("GetShardIterator", iterator, done),
	); err != nil {
		return err
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil || len(records) != 1 {
		return fmt.Errorf("%d records, %v: a dry run stored one", len(records), err)
	}
	return nil
}
