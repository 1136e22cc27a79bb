package stream

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// A caller calls a Service with and gets JSON.
type caller struct {
	*testing.T
	*Service
}

// inBubble runs f on a Service in a synctest bubble.
func inBubble(t *testing.T, opts Options, f func(c caller)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts.Identity = api.Identity{Partition: "aws", Region: "us-east-1", AccountID: "123456789012"}
		f(caller{t, New(opts)})
	})
}

type object = map[string]any

// try calls op and returns its output or the code of its error.
func (c caller) try(op string, in object) (object, string) {
	c.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		c.Fatal(err)
	}
	out, e := c.Call(op, body, nil)
	if e != nil {
		return nil, e.Code
	}
	var decoded object
	if len(out) > 0 {
		if err := json.Unmarshal(out, &decoded); err != nil {
			c.Fatalf("%s answers %q: %v", op, out, err)
		}
	}
	return decoded, ""
}

// must is try for what must succeed.
func (c caller) must(op string, in object) object {
	c.Helper()
	out, code := c.try(op, in)
	if code != "" {
		c.Fatalf("%s %v: %s", op, in, code)
	}
	return out
}

// wants fails unless a call ends with a code, "" for success.
func (c caller) wants(code, op string, in object) {
	c.Helper()
	if _, got := c.try(op, in); got != code {
		c.Errorf("%s %.200v: %q, want %q", op, in, got, code)
	}
}

func data(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

func (c caller) iterator(shard, kind string) any {
	c.Helper()
	return c.must("GetShardIterator", object{"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind})["ShardIterator"]
}

const (
	throughput = "ProvisionedThroughputExceededException"
	limited    = "LimitExceededException"
	shard0     = "shardId-000000000000"
	middle     = "170141183460469231731687303715884105728"
)

// In a bubble many things happen at one instant. No record may be passed by
// for it.
func TestOneInstant(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		for range 2 {
			c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": data(1)})
		}
		page := c.must("GetRecords", object{"ShardIterator": c.iterator(shard0, "TRIM_HORIZON"), "Limit": 1})
		if page["MillisBehindLatest"].(float64) <= 0 {
			t.Error("a record is unread and MillisBehindLatest is 0")
		}
		c.must("SplitShard", object{"StreamName": "s", "ShardToSplit": shard0, "NewStartingHashKey": middle})
		c.must("SplitShard", object{"StreamName": "s", "ShardToSplit": "shardId-000000000001", "NewStartingHashKey": "1000"})
		now := float64(time.Now().UnixMilli()) / 1000
		for _, tt := range []struct {
			filter object
			want   string
		}{
			{object{"Type": "AT_TRIM_HORIZON"}, "0"},
			{object{"Type": "AT_TIMESTAMP", "Timestamp": now}, "0"},
			{object{"Type": "FROM_TIMESTAMP", "Timestamp": now}, "0 1 2 3 4"},
			{object{"Type": "AT_LATEST"}, "2 3 4"},
			{object{"Type": "AT_TIMESTAMP", "Timestamp": now + 1}, "2 3 4"},
		} {
			var got []string
			for _, sh := range c.must("ListShards", object{"StreamName": "s", "ShardFilter": tt.filter})["Shards"].([]any) {
				got = append(got, strings.TrimLeft(strings.TrimPrefix(sh.(object)["ShardId"].(string), "shardId-"), "0"))
			}
			if got := strings.Join(got, " "); strings.TrimSpace(got) != strings.TrimSpace(strings.Replace(tt.want, "0", "", 1)) {
				t.Errorf("%v shows %q, want %q", tt.filter, got, tt.want)
			}
		}
		for _, sh := range c.Shards("s")[1:] {
			if parent := c.Shards("s")[0]; sh.StartingSequenceNumber <= parent.EndingSequenceNumber {
				t.Errorf("%s starts at %s, its ancestor ends at %s", sh.ID, sh.StartingSequenceNumber, parent.EndingSequenceNumber)
			}
		}
	})
}

// A name that is used again has other sequence numbers, even at once.
func TestRecreatedAtOnce(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		last := ""
		for range 3 {
			c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
			it := c.iterator(shard0, "TRIM_HORIZON")
			n := c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": data(1)})["SequenceNumber"].(string)
			if n <= last {
				t.Errorf("%s comes after %s", n, last)
			}
			last = n
			c.must("DeleteStream", object{"StreamName": "s"})
			c.wants("ResourceNotFoundException", "GetRecords", object{"ShardIterator": it})
		}
	})
}

// A server that was started anew has other records under the old counters: the
// iterators and tokens that were good before are those of a stranger.
func TestTokensOfAServiceBefore(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 2})
		it := c.iterator(shard0, "TRIM_HORIZON")
		token := c.must("ListShards", object{"StreamName": "s", "MaxResults": 1})["NextToken"]
		time.Sleep(time.Second)
		after := caller{c.T, New(c.opts)}
		after.must("CreateStream", object{"StreamName": "s", "ShardCount": 2})
		after.wants(badArgument, "GetRecords", object{"ShardIterator": it})
		after.wants(badArgument, "ListShards", object{"NextToken": token})
		c.must("GetRecords", object{"ShardIterator": it})
		c.must("ListShards", object{"NextToken": token})
	})
}

func TestWindows(t *testing.T) {
	const window = 10 * time.Second
	inBubble(t, Options{Creating: window, Updating: window, Deleting: window}, func(c caller) {
		status := func() string {
			out, code := c.try("DescribeStreamSummary", object{"StreamName": "s"})
			if code != "" {
				return code
			}
			return out["StreamDescriptionSummary"].(object)["StreamStatus"].(string)
		}
		passes := func(during, after string) {
			t.Helper()
			time.Sleep(window - time.Nanosecond)
			if got := status(); got != during {
				t.Errorf("status %s, want %s", got, during)
			}
			time.Sleep(time.Nanosecond)
			if got := status(); got != after {
				t.Errorf("status %s, want %s", got, after)
			}
		}
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		c.wants("ResourceInUseException", "ListShards", object{"StreamName": "s"})
		c.wants("ResourceInUseException", "DeleteStream", object{"StreamName": "s"})
		passes("CREATING", "ACTIVE")
		c.must("SplitShard", object{"StreamName": "s", "ShardToSplit": shard0, "NewStartingHashKey": middle})
		if got := c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": ""})["ShardId"]; got != shard0 {
			t.Errorf("while UPDATING a record goes to %v, want the parent", got)
		}
		passes("UPDATING", "ACTIVE")
		if got := c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": ""})["ShardId"]; got == shard0 {
			t.Error("after UPDATING a record goes to the parent")
		}
		c.must("DeleteStream", object{"StreamName": "s"})
		c.wants("ResourceNotFoundException", "PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": ""})
		c.wants("ResourceInUseException", "CreateStream", object{"StreamName": "s", "ShardCount": 1})
		passes("DELETING", "ResourceNotFoundException")
	})
}

func TestLargeRecordLeavesDebt(t *testing.T) {
	inBubble(t, Options{Limits: Limits{WriteBytesPerShard: 1 << 20}}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1, "MaxRecordSizeInKiB": 10240})
		put := func(n int) object {
			return object{"StreamName": "s", "PartitionKey": "k", "Data": data(n)}
		}
		c.must("PutRecord", put(5<<20))
		time.Sleep(4 * time.Second)
		c.wants(throughput, "PutRecord", put(1))
		time.Sleep(10 * time.Millisecond)
		c.wants("", "PutRecord", put(1))
		time.Sleep(2 * time.Second)
		c.wants("", "PutRecord", put(1<<20-1))
		c.wants(throughput, "PutRecord", put(1000))
	})
}

// An on-demand stream takes a large record without a debt.
func TestOnDemandTakesLargeRecords(t *testing.T) {
	inBubble(t, Options{Limits: Limits{WriteBytesPerShard: 1 << 20}}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}, "MaxRecordSizeInKiB": 10240})
		put := func(n int) object {
			return object{"StreamName": "s", "PartitionKey": "k", "Data": data(n)}
		}
		c.must("PutRecord", put(3<<20))
		c.wants(throughput, "PutRecord", put(1))
		time.Sleep(time.Second)
		c.wants("", "PutRecord", put(1))
	})
}

func TestReadDebt(t *testing.T) {
	inBubble(t, Options{Limits: Limits{ReadBytesPerShard: 2 << 20, BytesPerPage: 10 << 20}}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		for range 5 {
			c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": data(1<<20 - 1)})
		}
		it := c.iterator(shard0, "TRIM_HORIZON")
		c.must("GetRecords", object{"ShardIterator": it}) // 5 MiB: 3 more than a second has
		time.Sleep(1400 * time.Millisecond)
		c.wants(throughput, "GetRecords", object{"ShardIterator": it, "Limit": 1})
		time.Sleep(200 * time.Millisecond)
		c.wants("", "GetRecords", object{"ShardIterator": it, "Limit": 1})
	})
}

func TestAccountLimits(t *testing.T) {
	inBubble(t, Options{Creating: time.Minute, Limits: Limits{ShardsPerAccount: 10, CreatingStreams: 2, OnDemandStreams: 1}}, func(c caller) {
		onDemand := object{"StreamMode": "ON_DEMAND"}
		c.must("CreateStream", object{"StreamName": "a", "ShardCount": 4})
		c.must("CreateStream", object{"StreamName": "b", "StreamModeDetails": onDemand})
		c.wants(limited, "CreateStream", object{"StreamName": "c", "ShardCount": 1}) // two are CREATING
		time.Sleep(time.Minute)
		c.wants(limited, "CreateStream", object{"StreamName": "c", "StreamModeDetails": onDemand})
		c.wants(limited, "CreateStream", object{"StreamName": "c", "ShardCount": 3})
		c.wants("", "CreateStream", object{"StreamName": "c", "ShardCount": 2})
		c.wants(limited, "SplitShard", object{"StreamName": "a", "ShardToSplit": shard0, "NewStartingHashKey": "1000"})
		c.wants("", "MergeShards", object{"StreamName": "a", "ShardToMerge": shard0, "AdjacentShardToMerge": "shardId-000000000001"})
		c.wants("", "SplitShard", object{"StreamName": "a", "ShardToSplit": "shardId-000000000004", "NewStartingHashKey": "1000"})
		c.wants("ValidationException", "SplitShard", object{"StreamName": "b", "ShardToSplit": shard0, "NewStartingHashKey": "1000"})
		c.wants("", "DeleteStream", object{"StreamName": "b"})
		time.Sleep(time.Minute)
		c.wants("", "CreateStream", object{"StreamName": "d", "StreamModeDetails": onDemand})
	})
}

func TestControlRates(t *testing.T) {
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			inBubble(t, Options{Limits: Limits{ControlCalls: map[bool]map[string]int{true: {"DescribeStream": 10, "DescribeStreamSummary": 20}}[on], ListShardsPerStream: map[bool]int{true: 3}[on]}}, func(c caller) {
				c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
				for op, rate := range map[string]int{"DescribeStream": 10, "DescribeStreamSummary": 20, "ListShards": 3} {
					refused := 0
					for range 30 {
						if _, code := c.try(op, object{"StreamName": "s"}); code == limited {
							refused++
						}
					}
					if want := map[bool]int{true: 30 - rate}[on]; refused != want {
						t.Errorf("of 30 %s at once %d are refused, want %d", op, refused, want)
					}
					time.Sleep(time.Second)
					c.wants("", op, object{"StreamName": "s"})
				}
			})
		})
	}
}

// Records that are routed while their shard is split go to where it is open.
func TestPutsRaceReshards(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		var puts sync.WaitGroup
		for w := range 4 {
			puts.Go(func() {
				for i := range 50 {
					c.must("PutRecords", object{"StreamName": "s", "Records": []object{
						{"PartitionKey": fmt.Sprint(w, " ", i), "Data": data(1)}, {"PartitionKey": fmt.Sprint(i, " ", w), "Data": data(1)}}})
				}
			})
		}
		for range 20 {
			for _, sh := range c.Shards("s") {
				if sh.EndingSequenceNumber == "" {
					at := sh.Range.Middle().String()
					c.must("SplitShard", object{"StreamName": "s", "ShardToSplit": sh.ID, "NewStartingHashKey": at})
					break
				}
			}
		}
		puts.Wait()
		total := 0
		for _, sh := range c.Shards("s") {
			for n, r := range c.Records("s", sh.ID) {
				total++
				if end := sh.EndingSequenceNumber; end != "" && n > end || n < sh.StartingSequenceNumber {
					t.Errorf("record %s is not within %s", n, sh.ID)
				}
				if r.Arrival == 0 {
					t.Error("no arrival")
				}
			}
		}
		if total != 400 {
			t.Errorf("%d records, want 400", total)
		}
	})
}

// Streams that nobody asks for again are forgotten with the next one made.
func TestDeletedStreamsAreForgotten(t *testing.T) {
	inBubble(t, Options{Deleting: time.Second}, func(c caller) {
		for i := range 50 {
			name := fmt.Sprint("s", i)
			c.must("CreateStream", object{"StreamName": name, "ShardCount": 1})
			c.must("DeleteStream", object{"StreamName": name})
			time.Sleep(time.Second)
		}
		if n, m := len(c.streams), len(c.byNumber); n > 1 || m > 1 {
			c.Errorf("%d and %d streams are kept", n, m)
		}
	})
}

// A fault is told what a request is about, however that names it.
func TestNames(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.create(2)
		token := c.must("ListShards", object{"StreamName": "s", "MaxResults": 1})["NextToken"]
		for _, tt := range []struct {
			in   object
			want Names
		}{
			{object{"StreamName": "s", "ShardId": shard0}, Names{Stream: "s", Shard: shard0}},
			{object{"StreamARN": arnOfS, "PartitionKey": "k"}, Names{Stream: "s", PartitionKey: "k"}},
			{object{"ConsumerARN": arnOfS + "/consumer/app:1", "ShardId": shard0}, Names{Stream: "s", Shard: shard0}},
			{object{"ResourceARN": arnOfS}, Names{Stream: "s"}},
			{object{"ResourceARN": arnOfS + "/consumer/app:1"}, Names{Stream: "s"}},
			{object{"ShardIterator": c.iterator(shard0, "LATEST")}, Names{Stream: "s", Shard: shard0}},
			{object{"NextToken": token}, Names{Stream: "s"}},
			{object{"NextToken": "x", "ShardIterator": "y"}, Names{}},
			{object{"StreamName": "s", "ShardToMerge": shard0}, Names{Stream: "s", Shard: shard0}},
		} {
			body, err := json.Marshal(tt.in)
			if err != nil {
				c.Fatal(err)
			}
			if got := c.Names(body); got != tt.want {
				c.Errorf("%s is about %+v, want %+v", body, got, tt.want)
			}
		}
	})
}

// Whatever is changed about a stream meanwhile, a put is stored once or refused.
func TestPutsRaceChanges(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}})
		var puts sync.WaitGroup
		var stored atomic.Int64
		for range 3 {
			puts.Go(func() {
				for i := range 60 {
					record := object{"StreamName": "s", "Data": data(1)}
					if i%2 == 0 {
						record["PartitionKey"] = fmt.Sprint(i)
					}
					switch _, code := c.try("PutRecord", record); {
					case code == "":
						stored.Add(1)
					case code != badRequest || i%2 == 0: // without a key while keys count
						c.Errorf("record %d: %s", i, code)
					}
				}
			})
		}
		for i := range 20 {
			strategy := []string{"AUTO", "USER_PARTITION_KEY"}[i%2]
			c.must("UpdateStreamRecordDistributionStrategy", object{"StreamARN": arnOfS, "RecordDistributionStrategy": strategy})
			if i%4 != 3 {
				continue
			}
			c.must("UpdateStreamMode", object{"StreamARN": arnOfS, "StreamModeDetails": object{"StreamMode": "PROVISIONED"}})
			if _, code := c.updateShardCount(3 + i%5); code != "" {
				c.Error(code)
			}
			c.must("StartStreamEncryption", object{"StreamName": "s", "EncryptionType": "KMS", "KeyId": fmt.Sprint(i)})
			c.must("UpdateStreamMode", object{"StreamARN": arnOfS, "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}})
		}
		puts.Wait()
		total := 0
		for _, sh := range c.Shards("s") {
			total += sh.Records
		}
		if total != int(stored.Load()) {
			c.Errorf("%d records are there, %d puts succeeded", total, stored.Load())
		}
	})
}

func TestIdleShardsAreSmall(t *testing.T) { // not parallel: it reads the heap's size
	before := heapBytes()
	s := New(Options{})
	if e := s.CreateStream("s", 10_000); e != nil {
		t.Fatal(e)
	}
	if got := heapBytes() - before; got > 10<<20 {
		t.Errorf("10,000 idle shards take %d bytes", got)
	}
	if got := len(s.Shards("s")); got != 10_000 {
		t.Errorf("%d shards", got)
	}
}

func TestMillis(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		seconds float64
		want    int64
	}{{0, 0}, {1545084650.987, 1545084650987}, {1545084650.9879, 1545084650987}, {-0.5, -500}, {1e300, 1e15}, {-1e300, -1e15}} {
		if got := toMillis(tt.seconds); got != tt.want {
			t.Errorf("toMillis(%v) = %d, want %d", tt.seconds, got, tt.want)
		}
	}
	for ms := int64(1_763_798_400_000); ms < 1_763_798_402_000; ms++ {
		if got := toMillis(float64(ms) / 1000); got != ms {
			t.Fatalf("toMillis(%v) = %d, want %d", float64(ms)/1000, got, ms)
		}
		if got := string(millis(ms).append(nil)); got != fmt.Sprintf("%d.%03d", ms/1000, ms%1000) {
			t.Fatalf("%d is written %s", ms, got)
		}
	}
}
