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

// refusals makes n calls at once and returns how many are refused with a code.
func (c caller) refusals(n int, code, op string, in object) int {
	c.Helper()
	refused := 0
	for range n {
		if _, got := c.try(op, in); got == code {
			refused++
		}
	}
	return refused
}

// The quotas a second: each holds alone, lets through what it says, refuses the
// rest and has recovered a second later.
func TestQuotasASecond(t *testing.T) {
	s := object{"StreamName": "s"}
	for _, tt := range []struct {
		name   string
		limits Limits
		op     string
		in     func(c caller) object
		code   string
		let    int
	}{
		{"records", Limits{WriteRecordsPerShard: 7}, "PutRecord", func(caller) object { return with(s, "PartitionKey", "k", "Data", "") }, throughput, 7},
		{"bytes, keys included", Limits{WriteBytesPerShard: 1000}, "PutRecord", func(caller) object { return with(s, "PartitionKey", "0123456789", "Data", data(90)) }, throughput, 10},
		{"reads", Limits{ReadCallsPerShard: 5}, "GetRecords", func(c caller) object { return object{"ShardIterator": c.iterator(shard0, "LATEST")} }, throughput, 5},
		{"iterators", Limits{IteratorCallsPerShard: 5}, "GetShardIterator", func(caller) object { return with(s, "ShardId", shard0, "ShardIteratorType", "LATEST") }, throughput, 5},
		{"shard listings", Limits{ListShardsPerStream: 9}, "ListShards", func(caller) object { return s }, limited, 9},
		{"a call by account", Limits{ControlCalls: map[string]int{"DescribeLimits": 1}}, "DescribeLimits", func(caller) object { return object{} }, limited, 1},
		{"a call by stream", Limits{ControlCalls: map[string]int{"UpdateMaxRecordSize": 5}}, "UpdateMaxRecordSize",
			func(caller) object { return object{"StreamARN": arnOfS, "MaxRecordSizeInKiB": 1024} }, limited, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{Limits: tt.limits}, func(c caller) {
				c.create(1)
				in := tt.in(c)
				for range 2 {
					if got := c.refusals(20, tt.code, tt.op, in); got != 20-tt.let {
						c.Errorf("of 20 calls %d are refused, want %d", got, 20-tt.let)
					}
					time.Sleep(time.Second)
				}
				// Spread over the second, as many pass.
				if got := func() (n int) {
					for range tt.let {
						n += c.refusals(1, tt.code, tt.op, in)
						time.Sleep(time.Second / time.Duration(tt.let))
					}
					return n
				}(); got != 0 {
					c.Errorf("spread over a second %d are refused", got)
				}
			})
		})
		t.Run(tt.name+", lifted", func(t *testing.T) {
			inBubble(t, Options{}, func(c caller) {
				c.create(1)
				if got := c.refusals(50, tt.code, tt.op, tt.in(c)); got != 0 {
					c.Errorf("without the limit %d are refused", got)
				}
			})
		})
	}
}

// Streams and shards have their own budgets, operations too.
func TestQuotasAreApart(t *testing.T) {
	limits := Limits{
		WriteRecordsPerShard: 3, ReadCallsPerShard: 3, ListShardsPerStream: 3,
		ControlCalls: map[string]int{"UpdateMaxRecordSize": 3, "ListStreams": 3, "DescribeStream": 3},
	}
	inBubble(t, Options{Limits: limits}, func(c caller) {
		c.create(2)
		c.must("CreateStream", object{"StreamName": "t", "ShardCount": 1})
		for _, name := range []string{"s", "t"} {
			if got := c.refusals(5, limited, "ListShards", object{"StreamName": name}); got != 2 {
				c.Errorf("%s: %d of 5 listings refused", name, got)
			}
			arn := arnOfS[:len(arnOfS)-1] + name
			if got := c.refusals(5, limited, "UpdateMaxRecordSize", object{"StreamARN": arn, "MaxRecordSizeInKiB": 1024}); got != 2 {
				c.Errorf("%s: %d of 5 updates refused", name, got)
			}
		}
		for _, h := range []string{"0", middle} {
			if got := c.refusals(5, throughput, "PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": "", "ExplicitHashKey": h}); got != 2 {
				c.Errorf("hash key %s: %d of 5 puts refused", h, got)
			}
		}
		if got := c.refusals(5, limited, "ListStreams", object{}); got != 2 {
			c.Errorf("%d of 5 listings refused", got)
		}
		// By account: what one stream takes another one has not.
		if got := c.refusals(3, limited, "DescribeStream", object{"StreamName": "s"}) + c.refusals(2, limited, "DescribeStream", object{"StreamName": "t"}); got != 2 {
			c.Errorf("%d of 5 descriptions refused", got)
		}
		// A name that nothing has leaves no trace.
		for i := range 100 {
			c.wants(missing, "IncreaseStreamRetentionPeriod", object{"StreamName": fmt.Sprint("none", i), "RetentionPeriodHours": 24})
		}
	})
}

// In a PutRecords each record stands for itself: those over the limit fail with
// the shard's name, the others are stored, in the order of the request.
func TestPartialFailure(t *testing.T) {
	inBubble(t, Options{Limits: Limits{WriteRecordsPerShard: 5}}, func(c caller) {
		t := c.T
		c.create(2)
		var entries []types.PutRecordsRequestEntry
		for i := range 16 {
			entries = append(entries, types.PutRecordsRequestEntry{Data: []byte{byte(i)}, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String([]string{"0", middle}[i/8])})
		}
		out, err := c.client().PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamARN: aws.String(arnOfS), Records: entries})
		if err != nil || *out.FailedRecordCount != 6 || len(out.Records) != 16 {
			t.Fatalf("%+v, %v", out, err)
		}
		for i, r := range out.Records {
			shard := fmt.Sprintf("shardId-%012d", i/8)
			switch ok := i%8 < 5; {
			case ok && (aws.ToString(r.ShardId) != shard || r.SequenceNumber == nil || r.ErrorCode != nil):
				t.Errorf("record %d: %+v", i, r)
			case !ok && (aws.ToString(r.ErrorCode) != throughput || r.SequenceNumber != nil || r.ShardId != nil ||
				*r.ErrorMessage != "Rate exceeded for shard "+shard+" in stream s under account 123456789012."):
				t.Errorf("record %d: %v, %v", i, aws.ToString(r.ErrorCode), aws.ToString(r.ErrorMessage))
			}
		}
		if got := c.Shards("s"); got[0].Records != 5 || got[1].Records != 5 {
			t.Errorf("%d and %d records are stored", got[0].Records, got[1].Records)
		}
	})
}

// A page that is full, here of 100 KiB, ends reading for five seconds.
func TestFullPagePause(t *testing.T) {
	limits := Limits{BytesPerPage: 100 << 10, FullPagePause: 5 * time.Second}
	inBubble(t, Options{Limits: limits}, func(c caller) {
		c.create(1)
		for range 11 {
			c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": data(10<<10 - 1)})
		}
		page := c.must("GetRecords", object{"ShardIterator": c.iterator(shard0, "TRIM_HORIZON")})
		if got := len(page["Records"].([]any)); got != 10 {
			c.Fatalf("%d records of 10 KiB in a page", got)
		}
		next := object{"ShardIterator": page["NextShardIterator"]}
		c.wants(throughput, "GetRecords", next)
		time.Sleep(5*time.Second - time.Nanosecond)
		c.wants(throughput, "GetRecords", next)
		time.Sleep(time.Nanosecond)
		if got := len(c.must("GetRecords", next)["Records"].([]any)); got != 1 {
			c.Errorf("%d records after the pause", got)
		}
		c.must("GetRecords", next) // that page was not full
	})
}

// Limits of a request, each of which may be lifted alone.
func TestQuotasOfARequest(t *testing.T) {
	s := object{"StreamName": "s"}
	record := object{"PartitionKey": "k", "Data": data(99)}
	for _, tt := range []struct {
		name   string
		limits Limits
		in     object
		code   string
	}{
		{"records", Limits{RecordsPerRequest: 2}, with(s, "Records", []object{record, record, record}), badRequest},
		{"bytes, keys included", Limits{BytesPerRequest: 299}, with(s, "Records", []object{record, record, record}), badArgument},
		{"the size of a record", Limits{RecordSizes: true}, with(s, "Records", []object{{"PartitionKey": "k", "Data": data(1 << 20)}}), badArgument},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{Limits: tt.limits}, func(c caller) {
				c.create(1)
				c.wants(tt.code, "PutRecords", tt.in)
			})
		})
		t.Run(tt.name+", lifted", func(t *testing.T) {
			inBubble(t, Options{}, func(c caller) {
				c.create(1)
				c.wants("", "PutRecords", tt.in)
			})
		})
	}
}

func TestListings(t *testing.T) {
	inBubble(t, Options{Limits: Limits{TokenLife: 300 * time.Second}}, func(c caller) {
		t, client := c.T, c.client()
		var want []string
		for i := range 105 {
			name := fmt.Sprintf("n%03d", i)
			c.must("CreateStream", object{"StreamName": name, "ShardCount": 1})
			want = append(want, name)
		}
		for _, limit := range []int32{0, 1, 7, 100, 10_000} {
			in := &kinesis.ListStreamsInput{}
			if limit > 0 {
				in.Limit = &limit
			}
			var got []string
			for p := kinesis.NewListStreamsPaginator(client, in); p.HasMorePages(); {
				page, err := p.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if n := len(page.StreamNames); n > 100 || limit > 0 && n > int(limit) || n != len(page.StreamSummaries) || *page.HasMoreStreams != (page.NextToken != nil) {
					t.Errorf("limit %d: %d names, %d summaries, token %v", limit, n, len(page.StreamSummaries), page.NextToken)
				}
				got = append(got, page.StreamNames...)
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d: %v", limit, got)
			}
		}
		// The older way, and the newer one beginning in the middle.
		out, err := client.ListStreams(t.Context(), &kinesis.ListStreamsInput{ExclusiveStartStreamName: aws.String("n1"), Limit: aws.Int32(2)})
		if err != nil || fmt.Sprint(out.StreamNames) != "[n100 n101]" {
			t.Fatalf("%v, %v", out, err)
		}
		again := &kinesis.ListStreamsInput{ExclusiveStartStreamName: aws.String("n1"), NextToken: out.NextToken, Limit: aws.Int32(2)}
		if out, err := client.ListStreams(t.Context(), again); err != nil || fmt.Sprint(out.StreamNames) != "[n102 n103]" {
			t.Errorf("%v, %v", out, err)
		}
		time.Sleep(300*time.Second + time.Millisecond)
		_, err = client.ListStreams(t.Context(), again)
		fails(t, "an old token", err, "ExpiredNextTokenException")
	})
}

func TestShardPages(t *testing.T) {
	inBubble(t, Options{Limits: Limits{TokenLife: 300 * time.Second}}, func(c caller) {
		t, client := c.T, c.client()
		c.create(2345)
		in := &kinesis.ListShardsInput{StreamARN: aws.String(arnOfS), MaxResults: aws.Int32(10_000)}
		total, sizes := 0, []int{}
		for {
			page, err := client.ListShards(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, sh := range page.Shards {
				if want := shardID(uint32(total)); *sh.ShardId != want {
					t.Fatalf("%s, want %s", *sh.ShardId, want)
				}
				total++
			}
			sizes = append(sizes, len(page.Shards))
			if page.NextToken == nil {
				break
			}
			in = &kinesis.ListShardsInput{NextToken: page.NextToken, MaxResults: aws.Int32(10_000)}
			_, err = client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamARN: aws.String(arnOfS), NextToken: page.NextToken})
			fails(t, "a token with the stream's ARN", err, badArgument)
		}
		if fmt.Sprint(sizes) != "[1000 1000 345]" {
			t.Errorf("pages of %v", sizes)
		}
		described := 0
		for p := kinesis.NewDescribeStreamPaginator(client, &kinesis.DescribeStreamInput{StreamName: aws.String("s"), Limit: aws.Int32(10_000)}); p.HasMorePages(); {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(page.StreamDescription.Shards); n > 100 {
				t.Errorf("%d shards in a description", n)
			}
			described += len(page.StreamDescription.Shards)
		}
		if described != 2345 {
			t.Errorf("%d shards described", described)
		}
		token := *in.NextToken
		c.must("DeleteStream", object{"StreamName": "s"})
		c.create(1)
		_, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: &token})
		fails(t, "a token of a stream that is gone", err, missing)
	})
}

// What is older than the retention period is gone when that ends, and does not
// come back with a longer one.
func TestRetention(t *testing.T) {
	inBubble(t, Options{Updating: time.Second}, func(c caller) {
		c.create(1)
		hours := func(op string, n int) {
			c.Helper()
			c.must(op, object{"StreamName": "s", "RetentionPeriodHours": n})
			time.Sleep(time.Second)
		}
		readable := func() string {
			c.Helper()
			var keys []string
			for _, r := range c.must("GetRecords", object{"ShardIterator": c.iterator(shard0, "TRIM_HORIZON")})["Records"].([]any) {
				keys = append(keys, r.(object)["PartitionKey"].(string))
			}
			return strings.Join(keys, " ")
		}
		hours("IncreaseStreamRetentionPeriod", 72)
		for _, key := range []string{"a", "b", "c"} {
			c.must("PutRecord", object{"StreamName": "s", "PartitionKey": key, "Data": data(1)})
			time.Sleep(24 * time.Hour)
		}
		if got := readable(); got != "b c" { // the first is 72 hours old
			c.Errorf("of 72 hours: %q", got)
		}
		hours("IncreaseStreamRetentionPeriod", 8760)
		if got := readable(); got != "b c" {
			c.Errorf("of a year: %q", got)
		}
		hours("DecreaseStreamRetentionPeriod", 30)
		if got := readable(); got != "c" {
			c.Errorf("of 30 hours: %q", got)
		}
		hours("IncreaseStreamRetentionPeriod", 8760)
		if got := readable(); got != "c" {
			c.Errorf("of a year again: %q", got)
		}
		hours("DecreaseStreamRetentionPeriod", 24)
		c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "d", "Data": data(1)})
		time.Sleep(24*time.Hour - time.Millisecond)
		hours("IncreaseStreamRetentionPeriod", 8760) // the record goes while it is UPDATING
		if got := readable(); got != "" {
			c.Errorf("what goes before the longer period begins is there: %q", got)
		}
		if got := c.summary(); *got.RetentionPeriodHours != 8760 {
			c.Errorf("retention %d", *got.RetentionPeriodHours)
		}
	})
}
