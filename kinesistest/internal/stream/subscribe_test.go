package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// event is the JSON of a SubscribeToShardEvent.
type event struct {
	ContinuationSequenceNumber string
	MillisBehindLatest         int64
	Records                    []struct{ SequenceNumber, Data string }
	ChildShards                []struct {
		ShardId      string
		ParentShards []string
	}
}

// subscribe subscribes to the first shard of the stream "s", or returns the
// code of the error.
func (c caller) subscribe(arn, shard string, from object, more ...string) (*Subscription, string) {
	c.Helper()
	in := object{"ConsumerARN": arn, "ShardId": shard, "StartingPosition": from}
	for _, m := range more {
		in[m] = true
	}
	body, err := json.Marshal(in)
	if err != nil {
		c.Fatal(err)
	}
	sub, e := c.Subscribe(body)
	if e != nil {
		return nil, e.Code
	}
	return sub, ""
}

// next waits for an event or for the code of an exception.
func (c caller) next(sub *Subscription) (e event, code string) {
	c.Helper()
	got, err := sub.Next(c.Context(), nil)
	switch {
	case errors.Is(err, io.EOF):
		return e, "EOF"
	case err != nil:
		c.Fatal(err)
	case got.Err != nil:
		return e, got.Err.Code
	}
	if err := json.Unmarshal(got.Payload, &e); err != nil {
		c.Fatalf("%q: %v", got.Payload, err)
	}
	return e, ""
}

const first = "shardId-000000000000"

func position(kind string) object { return object{"Type": kind} }

func TestSubscribeRefuses(t *testing.T) {
	limits := Limits{FanOutCallsPerShard: 5, SubscriptionGap: 5 * time.Second}
	inBubble(t, Options{ConsumerCreating: time.Second, ConsumerDeleting: time.Second, Limits: limits}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 2})
		arn := c.register("c")
		tests := []struct {
			arn, shard string
			from       any
			code       string
		}{
			{arn, "shardId-000000000002", position("LATEST"), missing},
			{arn, "nonsense", position("LATEST"), missing},
			{arn, "not a name", position("LATEST"), badRequest},
			{arn + "0", first, position("LATEST"), missing},
			{"c", first, position("LATEST"), badRequest},
			{arnOfS, first, position("LATEST"), badRequest},
			{arn, first, object{}, badRequest},
			{arn, first, position("NEVER"), badRequest},
			{arn, first, position("AT_TIMESTAMP"), badArgument},
			{arn, first, object{"Type": "AT_TIMESTAMP", "Timestamp": time.Now().Add(time.Hour).Unix()}, badArgument},
			{arn, first, position("AT_SEQUENCE_NUMBER"), badArgument},
			{arn, first, object{"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "x"}, badArgument},
			{arn, first, object{"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": strings.Repeat("9", 56)}, badArgument},
			{arn, first, object{"Type": "TRIM_HORIZON", "SequenceNumber": "1"}, badArgument},
		}
		if _, code := c.subscribe(arn, first, position("LATEST")); code != busy {
			c.Errorf("while CREATING: %q", code)
		}
		time.Sleep(time.Second)
		for _, tt := range tests {
			from, _ := tt.from.(object)
			if _, code := c.subscribe(tt.arn, tt.shard, from); code != tt.code {
				c.Errorf("%s %s %v: %q, want %q", tt.arn, tt.shard, tt.from, code, tt.code)
			}
		}
		for body, want := range map[string]string{"": badRequest, "{}": badRequest, "[": "SerializationException", `{"ShardId":7}`: "SerializationException"} {
			if _, e := c.Subscribe([]byte(body)); e == nil || e.Code != want {
				c.Errorf("%q: %v, want %s", body, e, want)
			}
		}
		// A dry run opens nothing, and those refused for what they ask cost nothing.
		if _, code := c.subscribe(arn, first, position("LATEST"), "DryRun"); code != "DryRunOperationException" {
			c.Errorf("a dry run: %q", code)
		}
		for i, want := range []string{"", busy, busy, busy, "LimitExceededException"} {
			if _, code := c.subscribe(arn, first, position("LATEST")); code != want {
				c.Errorf("call %d within a second: %q, want %q", i, code, want)
			}
		}
		c.must("DeregisterStreamConsumer", object{"ConsumerARN": arn})
		time.Sleep(time.Second - 1)
		if _, code := c.subscribe(arn, "shardId-000000000001", position("LATEST")); code != busy {
			c.Errorf("while DELETING: %q", code)
		}
	})
}

// A subscription that comes too late begins at what is left, one that outlives
// its closed shard's records is told so.
func TestSubscribeToWhatIsTrimmed(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		arn := c.register("c")
		var numbers []string
		for i := range 4 {
			out := c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": fmt.Sprintf("AAA%d", i)})
			numbers = append(numbers, out["SequenceNumber"].(string))
		}
		if e := c.Trim("s", first, numbers[2]); e != nil {
			c.Fatal(e)
		}
		for _, from := range []object{
			position("TRIM_HORIZON"),
			{"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[0]},
			{"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[0]},
			{"Type": "AT_TIMESTAMP", "Timestamp": 0},
		} {
			sub, code := c.subscribe(arn, first, from)
			if code != "" {
				c.Fatalf("%v: %s", from, code)
			}
			if e, code := c.next(sub); code != "" || len(e.Records) != 2 || e.Records[0].SequenceNumber != numbers[2] {
				c.Errorf("%v: %+v, %q", from, e, code)
			}
			sub.Close()
		}
		sub, _ := c.subscribe(arn, first, position("LATEST"))
		c.must("SplitShard", object{"StreamName": "s", "ShardToSplit": first, "NewStartingHashKey": "100"})
		time.Sleep(25 * time.Hour)
		if _, code := c.next(sub); code != missing {
			c.Errorf("an expired shard ends with %q", code)
		}
		if _, code := c.next(sub); code != "EOF" {
			c.Errorf("and then %q", code)
		}
	})
}

func TestChildrenOfAMerge(t *testing.T) {
	inBubble(t, Options{Updating: 10 * time.Second}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 2})
		arn := c.register("c")
		a, _ := c.subscribe(arn, first, position("LATEST"))
		b, _ := c.subscribe(arn, "shardId-000000000001", position("LATEST"))
		c.must("MergeShards", object{"StreamName": "s", "ShardToMerge": first, "AdjacentShardToMerge": "shardId-000000000001"})
		for _, sub := range []*Subscription{a, b} {
			for {
				e, code := c.next(sub)
				if code != "" {
					c.Fatal(code)
				}
				if e.ContinuationSequenceNumber != "" {
					continue // a heartbeat
				}
				if len(e.ChildShards) != 1 || !slices.Equal(e.ChildShards[0].ParentShards, []string{first, "shardId-000000000001"}) || e.MillisBehindLatest != 0 {
					c.Errorf("%+v", e)
				}
				break
			}
			if _, code := c.next(sub); code != "EOF" {
				c.Errorf("and then %q", code)
			}
		}
	})
}

func TestNextEndsWithItsCaller(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		sub, _ := c.subscribe(c.register("c"), first, position("LATEST"))
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(c.Context(), time.Second, cause)
		defer cancel()
		if _, err := sub.Next(ctx, nil); !errors.Is(err, cause) {
			c.Errorf("when the context ends: %v", err)
		}
		stop := make(chan struct{})
		close(stop)
		if _, err := sub.Next(c.Context(), stop); !errors.Is(err, ErrStopped) {
			c.Errorf("when it is stopped: %v", err)
		}
		sub.Close()
		if _, code := c.next(sub); code != "EOF" {
			c.Errorf("when it is closed: %q", code)
		}
	})
}

// Many shards and consumers, readers that come and go, reshards: each record
// comes to each consumer once and in order.
func TestEveryRecordReachesEveryConsumer(t *testing.T) {
	inBubble(t, Options{Updating: time.Second}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		arns := []string{c.register("a"), c.register("b"), c.register("c")}
		done := make(chan []string)
		for _, arn := range arns {
			go func() { done <- c.follow(arn, first, position("TRIM_HORIZON")) }()
		}
		var want []string
		for i := range 300 {
			data := fmt.Sprintf("%04d", i)
			c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": data})
			want = append(want, data)
			time.Sleep(173 * time.Millisecond)
		}
		c.must("SplitShard", object{"StreamName": "s", "ShardToSplit": first, "NewStartingHashKey": "100"})
		for range arns {
			if got := <-done; !slices.Equal(got, want) {
				c.Errorf("a consumer has %d records, %v, want %d", len(got), got, len(want))
			}
		}
	})
}

// follow reads a shard to its end, in subscriptions of a few events each.
func (c caller) follow(arn, shard string, from object) (data []string) {
	for {
		sub, code := c.subscribe(arn, shard, from)
		if code != "" {
			c.Errorf("subscribing: %s", code)
			return data
		}
		for range 7 {
			e, code := c.next(sub)
			if code != "" {
				c.Errorf("reading: %s", code)
				return data
			}
			for _, r := range e.Records {
				data = append(data, r.Data)
			}
			if e.ContinuationSequenceNumber == "" {
				return data
			}
			from = object{"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": e.ContinuationSequenceNumber}
		}
		sub.Close()
	}
}

// Whatever happens at once, no subscription hangs and none is left in a shard.
func TestSubscriptionsInAThrong(t *testing.T) {
	inBubble(t, Options{Limits: Limits{FanOutBytesPerShard: 1000}}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		names := []string{"a", "b", "c"}
		ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() { // a reader that others take over
				for ctx.Err() == nil {
					arn, code := "", ""
					if out, failed := c.try("DescribeStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": names[i%3]}); failed == "" {
						arn = out["ConsumerDescription"].(object)["ConsumerARN"].(string)
					}
					var sub *Subscription
					if sub, code = c.subscribe(arn, first, position("TRIM_HORIZON")); code == "" {
						for n := 0; n < 5+i; n++ {
							if e, err := sub.Next(ctx, nil); err != nil || e.Err != nil {
								break
							}
						}
						sub.Close()
					}
					time.Sleep(time.Duration(i+1) * 37 * time.Millisecond)
				}
			})
		}
		for i, name := range names {
			all.Go(func() { // a consumer that comes and goes
				for ctx.Err() == nil {
					c.try("RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": name})
					time.Sleep(time.Duration(i+2) * time.Second)
					c.try("DeregisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": name})
					time.Sleep(time.Second)
				}
			})
		}
		all.Go(func() {
			for ctx.Err() == nil {
				c.try("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "Data": strings.Repeat("AAAA", 50)})
				time.Sleep(29 * time.Millisecond)
			}
		})
		all.Wait()
		st := c.streams["s"]
		if n := len(st.shards[0].subscriptions); n != 0 {
			c.Errorf("%d subscriptions are left", n)
		}
	})
}

// Texts of the service that stand in other people's logs, which is where a
// reader of ours looks for them.
func TestTextsOfRefusals(t *testing.T) {
	inBubble(t, Options{ConsumerCreating: time.Second, Limits: Limits{SubscriptionGap: 5 * time.Second}}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 2})
		put := c.must("PutRecord", object{"StreamName": "s", "PartitionKey": "k", "ExplicitHashKey": "0", "Data": data(1)})
		arn := c.register("c")
		refused := func(shard, from, want string) {
			t.Helper()
			_, e := c.Subscribe(fmt.Appendf(nil, `{"ConsumerARN":%q,"ShardId":%q,"StartingPosition":%s}`, arn, shard, from))
			if e == nil || e.Message != want {
				t.Errorf("%v, want %q", e, want)
			}
		}
		latest := `{"Type":"LATEST"}`
		// awslabs/kinesis-hot-shard-advisor#37
		refused(first, latest, fmt.Sprintf("Consumer c with creation timestamp %d under stream: s, account 123456789012 is not in ACTIVE status.", time.Now().Unix()))
		time.Sleep(time.Second)
		// boto/boto3#1478
		refused("shardId-000000000001", fmt.Sprintf(`{"Type":"AT_SEQUENCE_NUMBER","SequenceNumber":%q}`, put["SequenceNumber"]),
			"Invalid StartingSequenceNumber. It encodes shardId-000000000000, while it was used in a call to a shard with shardId-000000000001")
		sub, e := c.Subscribe(fmt.Appendf(nil, `{"ConsumerARN":%q,"ShardId":%q,"StartingPosition":%s}`, arn, first, latest))
		if e != nil {
			t.Fatal(e)
		}
		defer sub.Close()
		// awslabs/amazon-kinesis-client#391
		refused(first, latest, "Another active subscription exists for this consumer: 123456789012:s:shardId-000000000000:c")
	})
}
