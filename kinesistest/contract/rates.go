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

var rateChecks = []Check{
	{ID: "K.throttle.per_shard", Source: limits,
		Says: "a shard that gets too much is throttled alone",
		Run:  throttlePerShard},
	{ID: "K.throttle.put_refills", Source: limits,
		Says: "a shard that was throttled takes records again a second later",
		Run:  throttleRefills},
	{ID: "K.throttle.read_bytes", Source: api("GetRecords"),
		Says: "a shard gives 2 MiB a second; after a page of more the next calls are throttled until that is paid",
		Run:  throttleReadBytes, Slow: true},
	{ID: "K.throttle.control", Source: limits,
		Says: "ListStreams is called 5 times a second, what is above is a LimitExceededException",
		Run:  throttleControl, Rates: true},
	{ID: "K.describe.page100", Source: api("DescribeStream"),
		Says: "a page of DescribeStream has at most 100 shards",
		Run:  describePage100, Slow: true},
	{ID: "K.listshards.page1000", Source: api("ListShards"),
		Says: "MaxResults up to 10,000 is taken, more is not, and a page has at most 1,000 shards",
		Run:  listShardsPage1000, Slow: true},
	{ID: "K.shard.ids", Source: api("Shard"),
		Says: "shard ids are shardId- and twelve digits, and grow with time",
		Run:  shardIDsGrow},
	{ID: "K.iter.length", Source: api("GetShardIterator"),
		Says: "an iterator has 1 to 512 characters",
		Run:  iterLength},
	{ID: "K.iter.latest_again", Source: api("GetShardIterator"),
		Says: "LATEST means the tip at each call: what was put between two is not read by the second",
		Run:  iterLatestAgain},
	{ID: "K.iter.paged_tip", Source: api("GetRecords"),
		Says: "the iterator behind the tip reads on when records come, and repeats none",
		Run:  iterPagedTip},
	{ID: "K.get.default10000", Source: api("GetRecords"),
		Says: "a page without a Limit has at most 10,000 records",
		Run:  getDefaultLimit, Slow: true},
	{ID: "K.get.children_last", Source: api("GetRecords"),
		Says: "only the last page of a closed shard names children",
		Run:  getChildrenLast},
	{ID: "K.get.arn_of_another", Source: api("GetRecords"),
		Says: "a page is refused with the StreamARN of another stream",
		Run:  getARNOfAnother},
}

func throttlePerShard(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 2)
	if err != nil {
		return err
	}
	failed, start := map[string]int{}, time.Now()
	for range 4 {
		var entries []types.PutRecordsRequestEntry
		for i := range 500 {
			hash := "0"
			if i%100 == 0 {
				hash = half
			}
			entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), ExplicitHashKey: &hash, Data: []byte("x")})
		}
		out, err := e.Kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &name, Records: entries})
		if err != nil {
			return err
		}
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				failed[*entries[i].ExplicitHashKey]++
			}
		}
	}
	if failed["0"] == 0 || failed[half] > 0 {
		return above(start, 1980, 1000, fmt.Errorf("of 1,980 records for one shard %d failed, of 20 for the other %d", failed["0"], failed[half]))
	}
	return nil
}

func throttleRefills(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	failed, start := 0, time.Now()
	for range 4 {
		out, err := e.putMany(ctx, name, 500, 1)
		if err != nil && code(err) != throughput {
			return err
		}
		if err != nil || aws.ToInt32(out.FailedRecordCount) > 0 {
			failed++
		}
	}
	if failed == 0 {
		return above(start, 2000, 1000, errors.New("2,000 records at once were taken"))
	}
	if err := sleep(ctx, 1100*time.Millisecond); err != nil {
		return err
	}
	out, err := e.putMany(ctx, name, 500, 1)
	if err != nil || aws.ToInt32(out.FailedRecordCount) > 0 {
		return fmt.Errorf("a second later: %+v, %v", out, err)
	}
	return nil
}

func throttleReadBytes(ctx context.Context, e *Env) error {
	it, err := e.mebibytes(ctx, 6)
	if err != nil {
		return err
	}
	if page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it}); err != nil || len(page.Records) != 6 {
		return fmt.Errorf("a page of 6 MiB: %v", err)
	}
	_, err = e.Kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
	if err := refused("the next call", err, throughput); err != nil {
		return err
	}
	if err := sleep(ctx, 4*time.Second); err != nil {
		return err
	}
	_, err = e.Kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
	return err
}

func throttleControl(ctx context.Context, e *Env) error {
	throttled, start := 0, time.Now()
	for range 15 {
		_, err := e.Kinesis.ListStreams(ctx, &kinesis.ListStreamsInput{})
		if code(err) == limitExceeded {
			throttled++
		} else if err != nil {
			return err
		}
	}
	if throttled == 0 {
		return above(start, 15, 5, errors.New("15 ListStreams at once were all answered"))
	}
	return nil
}

func describePage100(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 101)
	if err != nil {
		return err
	}
	out, err := e.Kinesis.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: &name})
	if err != nil {
		return err
	}
	if d := out.StreamDescription; len(d.Shards) > 100 || !aws.ToBool(d.HasMoreShards) {
		return fmt.Errorf("a page has %d shards, more %v", len(d.Shards), aws.ToBool(d.HasMoreShards))
	}
	return nil
}

func listShardsPage1000(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1001)
	if err != nil {
		return err
	}
	_, err = e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &name, MaxResults: aws.Int32(10_001)})
	if err := refused("MaxResults 10,001", err, invalidArgument, validation); err != nil {
		return err
	}
	for _, most := range []*int32{nil, aws.Int32(10_000)} {
		out, err := e.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &name, MaxResults: most})
		if err != nil {
			return err
		}
		if len(out.Shards) > 1000 || out.NextToken == nil {
			return fmt.Errorf("a page has %d shards, token %q", len(out.Shards), aws.ToString(out.NextToken))
		}
	}
	return nil
}

func shardIDsGrow(ctx context.Context, e *Env) error {
	name, _, err := e.splitFilled(ctx, 1)
	if err != nil {
		return err
	}
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil || len(shards) != 3 {
		return fmt.Errorf("%d shards, %v", len(shards), err)
	}
	for i, sh := range shards {
		if want := fmt.Sprintf("shardId-%012d", i); *sh.ShardId != want {
			return fmt.Errorf("shard %d is %s, want %s", i, *sh.ShardId, want)
		}
	}
	return nil
}

func iterLength(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	it, err := e.tip(ctx, name)
	if err != nil {
		return err
	}
	page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
	if err != nil {
		return err
	}
	for _, s := range []*string{it, page.NextShardIterator} {
		if n := len(aws.ToString(s)); n < 1 || n > 512 {
			return fmt.Errorf("an iterator of %d characters", n)
		}
	}
	return nil
}

func iterLatestAgain(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	in := &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeLatest}
	first, err := e.iterator(ctx, in)
	if err != nil {
		return err
	}
	numbers, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	second, err := e.iterator(ctx, in)
	if err != nil {
		return err
	}
	for it, want := range map[*string][]string{first: numbers, second: nil} {
		page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return err
		}
		if err := sameNumbers("LATEST", page.Records, want); err != nil {
			return err
		}
	}
	return nil
}

func iterPagedTip(ctx context.Context, e *Env) error {
	name, numbers, err := e.filled(ctx, 3)
	if err != nil {
		return err
	}
	_, page, err := e.readAll(ctx, name, shard0)
	if err != nil {
		return err
	}
	if page, err = e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator}); err != nil {
		return err
	}
	more, err := e.fill(ctx, name, 2)
	if err != nil {
		return err
	}
	if page, err = e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator}); err != nil {
		return err
	}
	return sameNumbers(fmt.Sprintf("behind the tip after %d", len(numbers)), page.Records, more)
}

func getDefaultLimit(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	for range 21 {
		if out, err := e.putMany(ctx, name, 500, 1); err != nil || aws.ToInt32(out.FailedRecordCount) > 0 {
			return fmt.Errorf("PutRecords = %+v, %v", out, err)
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	it, err := e.oldest(ctx, name)
	if err != nil {
		return err
	}
	for _, want := range []int{10_000, 500} {
		page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return err
		}
		if len(page.Records) != want {
			return fmt.Errorf("a page of %d records, want %d", len(page.Records), want)
		}
		it = page.NextShardIterator
	}
	return nil
}

func getChildrenLast(ctx context.Context, e *Env) error {
	name, _, err := e.splitFilled(ctx, 4)
	if err != nil {
		return err
	}
	it, err := e.oldest(ctx, name)
	if err != nil {
		return err
	}
	for read := 0; it != nil; {
		page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(2)})
		if err != nil {
			return err
		}
		read += len(page.Records)
		if last := page.NextShardIterator == nil; last != (len(page.ChildShards) == 2) || last && read != 4 {
			return fmt.Errorf("after %d of 4 records: last page %v with %d children", read, last, len(page.ChildShards))
		}
		it = page.NextShardIterator
	}
	return nil
}

func getARNOfAnother(ctx context.Context, e *Env) error {
	name, _, err := e.filled(ctx, 1)
	if err != nil {
		return err
	}
	_, other, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	it, err := e.tip(ctx, name)
	if err != nil {
		return err
	}
	_, err = e.Kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it, StreamARN: other})
	return refused("another stream's ARN", err, invalidArgument, validation)
}
