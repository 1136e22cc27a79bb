package contract

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var putChecks = []Check{
	{ID: "K.route.md5", Source: api("PutRecords"),
		Says: "a record goes to the shard that holds the MD5 of its partition key's UTF-8 bytes",
		Run:  routeMD5},
	{ID: "K.route.explicit", Source: api("PutRecord"),
		Says: "ExplicitHashKey, a decimal number below 2^128, takes the place of the hash; ranges include both ends",
		Run:  routeExplicit},
	{ID: "K.seq.shape", Source: "https://github.com/awslabs/amazon-kinesis-client, SequenceNumberValidator",
		Says: "sequence numbers rise, are 186 bits and have the layout that the KCL knows",
		Run:  seqShape},
	{ID: "K.seq.forordering", Source: api("PutRecord"),
		Says: "with SequenceNumberForOrdering a number is above the one given",
		Run:  seqForOrdering},
	{ID: "K.put.order", Source: api("PutRecords"),
		Says: "PutRecords answers with one entry per record, in their order",
		Run:  putOrder},
	{ID: "K.limit.501records", Source: limits,
		Says: "PutRecords takes at most 500 records",
		Run:  limit501Records},
	{ID: "K.limit.0records", Source: api("PutRecords"),
		Says: "PutRecords takes at least one record",
		Run:  limit0Records},
	{ID: "K.limit.key256", Source: api("PutRecord"),
		Says: "a partition key has 1 to 256 Unicode characters",
		Run:  limitKey256},
	{ID: "K.limit.emptydata", Source: api("PutRecord"),
		Says: "a record may have no data",
		Run:  limitEmptyData},
	{ID: "K.limit.record1MiB", Source: limits,
		Says: "data and partition key have at most 1 MiB together, unless the stream takes more",
		Run:  limitRecord1MiB},
	{ID: "K.limit.record10MiB_create", Source: guide("large-records"),
		Says: "a stream can take records of up to 10 MiB",
		Run:  limitRecord10MiB},
	{ID: "K.limit.request6MiB", Source: limits,
		Says: "PutRecords takes more than 5 MiB",
		Run:  limitRequest6MiB},
	{ID: "K.limit.request11MiB", Source: limits,
		Says: "PutRecords takes at most 10 MiB, partition keys included",
		Run:  limitRequest11MiB},
}

var limitChecks = []Check{
	{ID: "K.throttle.put_records_per_s", Source: limits,
		Says: "a shard takes 1,000 records a second; the others of a request fail one by one, naming stream and shard",
		Run:  throttlePutRecords},
	{ID: "K.throttle.put_bytes_per_s", Source: limits,
		Says: "a shard takes 1 MiB a second",
		Run:  throttlePutBytes},
	{ID: "K.throttle.read_5_per_s", Source: limits,
		Says: "a shard gives 5 pages a second",
		Run:  throttleReads},
	{ID: "K.throttle.iterators_5_per_s", Source: limits,
		Says: "a shard gives 5 iterators a second",
		Run:  throttleIterators},
	{ID: "K.throttle.read_10MiB_5s", Source: api("GetRecords"),
		Says: "after a page of 10 MiB a shard gives none for 5 seconds",
		Run:  throttleFullPage, Slow: true},
}

// owner returns the open shard whose range holds a hash key.
func owner(shards []types.Shard, key *big.Int) string {
	for _, sh := range shards {
		start, _ := new(big.Int).SetString(*sh.HashKeyRange.StartingHashKey, 10)
		end, _ := new(big.Int).SetString(*sh.HashKeyRange.EndingHashKey, 10)
		if start.Cmp(key) <= 0 && key.Cmp(end) <= 0 && sh.SequenceNumberRange.EndingSequenceNumber == nil {
			return *sh.ShardId
		}
	}
	return ""
}

func routeMD5(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 7)
	if err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return err
	}
	var entries []types.PutRecordsRequestEntry
	for i := range 300 {
		key := fmt.Sprintf("%s %d", []string{"key", "Schlüssel", "鍵", "🔑"}[i%4], i)
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &key, Data: []byte("x")})
	}
	out, err := e.Kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &name, Records: entries})
	if err != nil || aws.ToInt32(out.FailedRecordCount) != 0 || len(out.Records) != len(entries) {
		return fmt.Errorf("PutRecords = %+v, %v", out, err)
	}
	for i, r := range out.Records {
		sum := md5.Sum([]byte(*entries[i].PartitionKey))
		if want := owner(shards, new(big.Int).SetBytes(sum[:])); *r.ShardId != want {
			return fmt.Errorf("key %q went to %s, want %s", *entries[i].PartitionKey, *r.ShardId, want)
		}
	}
	return nil
}

func routeExplicit(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 3)
	if err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return err
	}
	for _, sh := range shards {
		for _, key := range []string{*sh.HashKeyRange.StartingHashKey, *sh.HashKeyRange.EndingHashKey} {
			out, err := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), ExplicitHashKey: &key, Data: []byte("x")})
			if err != nil || *out.ShardId != *sh.ShardId {
				return fmt.Errorf("hash key %s went to %+v, %v, want %s", key, out, err, *sh.ShardId)
			}
		}
	}
	for _, key := range []string{"340282366920938463463374607431768211456", "-1", "x", "", "007", strings.Repeat("9", 60)} {
		_, err := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), ExplicitHashKey: &key, Data: []byte("x")})
		if err := refused("hash key "+key, err, invalidArgument, validation); err != nil {
			return err
		}
	}
	return nil
}

// AWS calls sequence numbers opaque. Their known layout is what the KCL checks
// before it trusts a checkpoint to belong to a shard.
func seqShape(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 5)
	if err != nil {
		return err
	}
	for i, n := range numbers {
		if len(n) != 56 || i > 0 && n <= numbers[i-1] {
			return fmt.Errorf("number %d is %s, after %s", i, n, numbers[max(i-1, 0)])
		}
		v, ok := new(big.Int).SetString(n, 10)
		if !ok || v.BitLen() != 186 {
			return fmt.Errorf("number %s has not 186 bits", n)
		}
		field := func(low, bits uint) int64 {
			f := new(big.Int).Rsh(v, low)
			return f.And(f, new(big.Int).SetUint64(1<<bits-1)).Int64()
		}
		if version, shard, at := field(0, 4), field(4, 32), field(36, 36); version != 2 || shard != 0 || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
			return fmt.Errorf("number %s says version %d, shard %d, time %v", n, version, shard, time.Unix(at, 0))
		}
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return err
	}
	if start := *shards[0].SequenceNumberRange.StartingSequenceNumber; !less(start, numbers[0]) {
		return fmt.Errorf("the shard starts at %s, its first record is %s", start, numbers[0])
	}
	return nil
}

func seqForOrdering(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 1)
	if err != nil {
		return err
	}
	last := numbers[0]
	for range 5 {
		out, err := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("key"), Data: []byte("x"), SequenceNumberForOrdering: &last})
		if err != nil {
			return err
		}
		if !less(last, *out.SequenceNumber) {
			return fmt.Errorf("%s does not follow %s", *out.SequenceNumber, last)
		}
		last = *out.SequenceNumber
	}
	_, err = e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("key"), Data: []byte("x"), SequenceNumberForOrdering: aws.String("nonsense")})
	return refused("ordering by nonsense", err, invalidArgument, validation)
}

// One entry of output for each of input, in its order.
func putOrder(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 4)
	if err != nil {
		return err
	}
	var entries []types.PutRecordsRequestEntry
	for i := range 100 {
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("key ", i)), Data: fmt.Append(nil, "data ", i)})
	}
	out, err := e.Kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &name, Records: entries})
	if err != nil {
		return err
	}
	want := map[string]string{}
	for i, r := range out.Records {
		want[*r.ShardId+*r.SequenceNumber] = string(entries[i].Data)
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return err
	}
	for _, sh := range shards {
		records, _, err := e.readAll(ctx, name, *sh.ShardId)
		if err != nil {
			return err
		}
		for _, r := range records {
			if id := *sh.ShardId + *r.SequenceNumber; want[id] != string(r.Data) {
				return fmt.Errorf("record %s is %q, its put was %q", id, r.Data, want[id])
			} else {
				delete(want, id)
			}
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("%d of 100 records are not in their shards", len(want))
	}
	return nil
}

func (e *Env) putMany(ctx context.Context, name string, n, size int) (*kinesis.PutRecordsOutput, error) {
	entries := make([]types.PutRecordsRequestEntry, n)
	for i := range entries {
		entries[i] = types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("key ", i)), Data: []byte(text(size))}
	}
	return e.Kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &name, Records: entries})
}

func limit501Records(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	_, err = e.putMany(ctx, name, 501, 1)
	if err := refused("501 records", err, validation, invalidArgument); err != nil {
		return err
	}
	out, err := e.putMany(ctx, name, 500, 1)
	if err != nil || aws.ToInt32(out.FailedRecordCount) != 0 {
		return fmt.Errorf("500 records: %+v, %v", out, err)
	}
	return nil
}

func limit0Records(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	_, err = e.putMany(ctx, name, 0, 0)
	return refused("no records", err, validation, invalidArgument)
}

func limitKey256(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	for _, key := range []string{text(256), strings.Repeat("€", 256), "k"} {
		if _, err := e.put(ctx, name, key, "x"); err != nil {
			return fmt.Errorf("a key of %d bytes: %w", len(key), err)
		}
	}
	for _, key := range []string{text(257), strings.Repeat("€", 257), ""} {
		_, err := e.put(ctx, name, key, "x")
		if err := refused(fmt.Sprintf("a key of %d bytes", len(key)), err, validation, invalidArgument); err != nil {
			return err
		}
	}
	return nil
}

func limitEmptyData(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	if _, err := e.put(ctx, name, "key", ""); err != nil {
		return err
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil || len(records) != 1 || len(records[0].Data) != 0 {
		return fmt.Errorf("records %+v, %v, want one without data", records, err)
	}
	return nil
}

func limitRecord1MiB(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	if _, err := e.put(ctx, name, "0123456789", text(1<<20-10)); err != nil {
		return fmt.Errorf("data and key of 1 MiB: %w", err)
	}
	_, err = e.put(ctx, name, "0123456789", text(1<<20-9))
	if err := refused("data and key of 1 MiB + 1", err, invalidArgument, validation); err != nil {
		return err
	}
	_, err = e.putMany(ctx, name, 1, 1<<20)
	return refused("PutRecords of one", err, invalidArgument, validation)
}

func limitRecord10MiB(ctx context.Context, e *Env) error {
	name := e.name()
	if _, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10_240)}); err != nil {
		return err
	}
	if err := e.active(ctx, name); err != nil {
		return err
	}
	if _, err := e.put(ctx, name, "key", text(10<<20-3)); err != nil {
		return err
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil || len(records) != 1 || len(records[0].Data) != 10<<20-3 {
		return fmt.Errorf("%d records, %v", len(records), err)
	}
	_, err = e.put(ctx, name, "key", text(10<<20-2))
	return refused("10 MiB + 1", err, invalidArgument, validation)
}

func limitRequest6MiB(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 12)
	if err != nil {
		return err
	}
	out, err := e.putMany(ctx, name, 12, 512<<10)
	if err != nil {
		return err
	}
	stored := len(out.Records) - int(aws.ToInt32(out.FailedRecordCount))
	if len(out.Records) != 12 || stored < 6 {
		return fmt.Errorf("%d of %d records stored", stored, len(out.Records))
	}
	return nil
}

func limitRequest11MiB(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 12)
	if err != nil {
		return err
	}
	_, err = e.putMany(ctx, name, 22, 512<<10)
	return refused("11 MiB in 22 records", err, invalidArgument, validation)
}

func throttlePutRecords(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	stored, failed, start := 0, 0, time.Now()
	for range 8 {
		out, err := e.putMany(ctx, name, 500, 1)
		if code(err) == throughput {
			failed += 500 // a call of which nothing was stored may fail as a whole
			continue
		}
		if err != nil {
			return err
		}
		for _, r := range out.Records {
			if r.ErrorCode == nil {
				stored++
				continue
			}
			failed++
			if message := aws.ToString(r.ErrorMessage); *r.ErrorCode != throughput || !strings.Contains(message, shard0) || !strings.Contains(message, name) {
				return fmt.Errorf("an entry fails with %s: %s", *r.ErrorCode, message)
			}
			if r.SequenceNumber != nil || r.ShardId != nil {
				return errors.New("a failed entry has a sequence number or a shard")
			}
		}
	}
	if failed == 0 || stored < 1000 {
		return above(start, 4000, 1000, fmt.Errorf("of 4000 records at once %d were stored and %d throttled, want 1000 a second", stored, failed))
	}
	records, _, err := e.readAll(ctx, name, shard0)
	if err != nil || len(records) != stored {
		return fmt.Errorf("%d records can be read, %v, %d were stored", len(records), err, stored)
	}
	return nil
}

func throttlePutBytes(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	stored, start := 0, time.Now()
	for range 16 {
		_, err := e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), Data: []byte(text(256 << 10))})
		if err == nil {
			stored++
		} else if code(err) != throughput {
			return err
		}
	}
	if stored == 16 || stored < 3 {
		return above(start, 16, 4, fmt.Errorf("of 16 x 256 KiB at once %d were stored", stored))
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	_, err = e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), Data: []byte(text(256 << 10))})
	return err
}

// fiveASecond fails unless of 15 calls at once some pass, but no more than a rate of
// 5 a second lets.
func fiveASecond(operation string, call func() error) error {
	start, throttled := time.Now(), 0
	for range 15 {
		switch err := call(); {
		case code(err) == throughput:
			throttled++
		case err != nil:
			return above(start, 15, 5, fmt.Errorf("%s: %w", operation, err))
		}
	}
	if throttled == 0 || throttled > 10 {
		return above(start, 15, 5, fmt.Errorf("of 15 %s at once %d were throttled", operation, throttled))
	}
	return nil
}

func throttleReads(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 1)
	if err != nil {
		return err
	}
	it, err := e.oldest(ctx, name)
	if err != nil {
		return err
	}
	return fiveASecond("GetRecords", func() error {
		_, err := e.Kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		return err
	})
}

func throttleIterators(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	return fiveASecond("GetShardIterator", func() error {
		_, err := e.Kinesis.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeLatest})
		return err
	})
}

func throttleFullPage(ctx context.Context, e *Env) error {
	it, err := e.mebibytes(ctx, 11)
	if err != nil {
		return err
	}
	page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
	if err != nil || len(page.Records) != 10 {
		return fmt.Errorf("a first page of 10 MiB: %v", err)
	}
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	_, err = e.Kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator})
	if err := refused("3 s after a page of 10 MiB", err, throughput); err != nil {
		return err
	}
	if err := sleep(ctx, 2500*time.Millisecond); err != nil {
		return err
	}
	_, err = e.Kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator})
	return err
}
