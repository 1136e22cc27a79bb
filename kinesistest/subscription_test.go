package kinesistest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// A fan is a consumer of the stream "s" in a bubble.
type fan struct {
	*testing.T
	srv    *kinesistest.Server
	client *kinesis.Client
	arn    string
}

// withFan runs f with a consumer of a stream of n shards.
func withFan(t *testing.T, n int, f func(c *fan), optFns ...func(*kinesistest.Options)) {
	t.Helper()
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", n)
		f(newFan(t, srv, newClient(srv)))
	}, optFns...)
}

// newFan registers a consumer.
func newFan(t *testing.T, srv *kinesistest.Server, client *kinesis.Client) *fan {
	t.Helper()
	out, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/s"), ConsumerName: aws.String("c")})
	if err != nil {
		t.Fatal(err)
	}
	return &fan{t, srv, client, *out.Consumer.ConsumerARN}
}

func (c *fan) put(data ...string) []string {
	c.Helper()
	var numbers []string
	for _, d := range data {
		out, err := c.client.PutRecord(c.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0"), Data: []byte(d)})
		if err != nil {
			c.Fatal(err)
		}
		numbers = append(numbers, *out.SequenceNumber)
	}
	return numbers
}

var latest = types.StartingPosition{Type: types.ShardIteratorTypeLatest}
var horizon = types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}

func (c *fan) try(shard string, from types.StartingPosition) (*kinesis.SubscribeToShardEventStream, error) {
	out, err := c.client.SubscribeToShard(c.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: &c.arn, ShardId: &shard, StartingPosition: &from}, oneProtocol)
	if err != nil {
		return nil, err
	}
	return out.GetStream(), nil
}

// oneProtocol gives a call its own decoder: those of one client share one, which
// the race detector reports of two subscriptions (smithy-go#714).
func oneProtocol(o *kinesis.Options) { o.Protocol = awsjson.New11(schemas.Kinesis_20131202) }

// subscribe opens a subscription, which the caller closes.
func (c *fan) subscribe(shard string, from types.StartingPosition) *kinesis.SubscribeToShardEventStream {
	c.Helper()
	s, err := c.try(shard, from)
	if err != nil {
		c.Fatal(err)
	}
	return s
}

// next waits for an event; nil at the end.
func next(s *kinesis.SubscribeToShardEventStream) *types.SubscribeToShardEvent {
	switch e := (<-s.Events()).(type) {
	case *types.SubscribeToShardEventStreamMemberSubscribeToShardEvent:
		return &e.Value
	case nil:
		return nil
	default:
		panic(fmt.Sprintf("event of type %T", e))
	}
}

func dataOf(records []types.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.Data))
	}
	return strings.Join(all, " ")
}

// read reads events until n records have come, and returns their data and the
// last event.
func read(t *testing.T, s *kinesis.SubscribeToShardEventStream, n int) (string, *types.SubscribeToShardEvent) {
	t.Helper()
	var records []types.Record
	var last *types.SubscribeToShardEvent
	for len(records) < n {
		e := next(s)
		if e == nil {
			t.Fatalf("the stream ended after %q: %v", dataOf(records), s.Err())
		}
		records, last = append(records, e.Records...), e
	}
	return dataOf(records), last
}

func isError[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

func TestSubscribePushesWhatIsPut(t *testing.T) {
	withFan(t, 1, func(c *fan) {
		c.put("a", "b")
		s := c.subscribe(shard0, horizon)
		defer s.Close()
		start := time.Now()
		got, e := read(c.T, s, 2)
		if got != "a b" || *e.MillisBehindLatest != 0 || e.ContinuationSequenceNumber == nil || len(e.ChildShards) > 0 {
			c.Errorf("first event %+v", e)
		}
		r := e.Records[0]
		if *r.PartitionKey != "k" || !r.ApproximateArrivalTimestamp.Equal(start) {
			c.Errorf("record %+v", r)
		}
		for i := range 3 {
			time.Sleep(time.Second)
			put := c.put(fmt.Sprint(i))
			if e := next(s); dataOf(e.Records) != fmt.Sprint(i) || *e.Records[0].SequenceNumber != put[0] {
				c.Errorf("pushed %+v, want %d", e, i)
			}
			if since := time.Since(start); since != time.Duration(i+1)*time.Second {
				c.Errorf("pushed after %v", since)
			}
		}
	})
}

func TestSubscribeStartsAtEveryPosition(t *testing.T) {
	withFan(t, 1, func(c *fan) {
		first := c.put("a", "b", "c")
		time.Sleep(10 * time.Second)
		between := time.Now()
		time.Sleep(10 * time.Second)
		c.put("d")
		future := time.Now().Add(time.Hour)
		number := func(typ types.ShardIteratorType, i int) types.StartingPosition {
			return types.StartingPosition{Type: typ, SequenceNumber: &first[i]}
		}
		at := func(at time.Time) types.StartingPosition {
			return types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: &at}
		}
		tests := []struct {
			name string
			from types.StartingPosition
			want string
		}{
			{"trim horizon", horizon, "a b c d"},
			{"latest", latest, ""},
			{"at a number", number(types.ShardIteratorTypeAtSequenceNumber, 1), "b c d"},
			{"after a number", number(types.ShardIteratorTypeAfterSequenceNumber, 1), "c d"},
			{"after the last of a group", number(types.ShardIteratorTypeAfterSequenceNumber, 2), "d"},
			{"at a time between", at(between), "d"},
			{"at a time before all", at(between.Add(-1000 * time.Hour)), "a b c d"},
			{"at a time after all", at(time.Now().Add(time.Millisecond)), ""},
		}
		for _, tt := range tests {
			time.Sleep(5 * time.Second)
			s := c.subscribe(shard0, tt.from)
			if got := dataOf(next(s).Records); got != tt.want {
				c.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
			s.Close()
		}
		time.Sleep(5 * time.Second)
		for _, from := range []types.StartingPosition{
			at(future),
			{Type: types.ShardIteratorTypeAtSequenceNumber},
			{Type: types.ShardIteratorTypeAtTimestamp},
			{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: aws.String("12")},
			{Type: types.ShardIteratorTypeAtSequenceNumber, SequenceNumber: aws.String("no")},
			{Type: types.ShardIteratorTypeLatest, SequenceNumber: &first[0]},
		} {
			if s, err := c.try(shard0, from); !isError[*types.InvalidArgumentException](err) {
				c.Errorf("%+v: %v, %v, want InvalidArgumentException", from, s, err)
			}
		}
	})
}

// A reader comes back where it was, by either kind of position, with or
// without records since.
func TestSubscribeContinues(t *testing.T) {
	for _, typ := range []types.ShardIteratorType{types.ShardIteratorTypeAfterSequenceNumber, types.ShardIteratorTypeAtSequenceNumber} {
		t.Run(string(typ), func(t *testing.T) {
			withFan(t, 1, func(c *fan) {
				c.put("a")
				from, last := latest, ""
				for i := range 5 {
					s := c.subscribe(shard0, from)
					e := next(s) // a heartbeat, or what was put while nobody read
					if want := map[bool]string{true: "", false: fmt.Sprint(i - 1)}[i == 0 || i == 3]; dataOf(e.Records) != want {
						c.Errorf("event %d has %q, want %q", i, dataOf(e.Records), want)
					}
					if *e.ContinuationSequenceNumber <= last {
						c.Errorf("continuation %s after %s", *e.ContinuationSequenceNumber, last)
					}
					last = *e.ContinuationSequenceNumber
					from = types.StartingPosition{Type: typ, SequenceNumber: &last}
					s.Close()
					if i != 2 {
						c.put(fmt.Sprint(i))
					}
					time.Sleep(5 * time.Second)
				}
			})
		})
	}
}

func TestHeartbeatsAndCleanEnd(t *testing.T) {
	withFan(t, 1, func(c *fan) {
		s := c.subscribe(shard0, latest)
		defer s.Close()
		start := time.Now()
		beats := 0
		for e := next(s); e != nil; e = next(s) {
			beats++
			if since := time.Since(start); len(e.Records) > 0 || since != time.Duration(beats)*5*time.Second || *e.MillisBehindLatest != 0 {
				c.Fatalf("beat %d after %v: %+v", beats, since, e)
			}
		}
		if since := time.Since(start); since != 5*time.Minute || beats != 59 || s.Err() != nil {
			c.Errorf("ended after %v and %d beats: %v", since, beats, s.Err())
		}
	})
}

// A second call within 5 seconds is refused, whatever became of the first; a
// later one takes over.
func TestTakeOver(t *testing.T) {
	withFan(t, 1, func(c *fan) {
		old := c.subscribe(shard0, latest)
		defer old.Close()
		time.Sleep(5*time.Second - time.Nanosecond)
		if _, err := c.try(shard0, latest); !isError[*types.ResourceInUseException](err) {
			c.Fatalf("within 5 seconds: %v, want ResourceInUseException", err)
		}
		time.Sleep(time.Nanosecond)
		s := c.subscribe(shard0, latest)
		for e := next(old); e != nil; e = next(old) {
			if len(e.Records) > 0 {
				c.Errorf("the old one has %+v", e)
			}
		}
		if err := old.Err(); !isError[*types.ResourceInUseException](err) {
			c.Errorf("the old one ended with %v, want ResourceInUseException", err)
		}
		c.put("x")
		if got, _ := read(c.T, s, 1); got != "x" {
			c.Errorf("the new one has %q", got)
		}
		s.Close()
		if _, err := c.try(shard0, latest); !isError[*types.ResourceInUseException](err) {
			c.Errorf("within 5 seconds, when the first is closed: %v, want ResourceInUseException", err)
		}
	})
}

// Consumers do not see each other, nor do the shards of one.
func TestConsumersAreIndependent(t *testing.T) {
	withFan(t, 2, func(c *fan) {
		other := *c
		out, err := c.client.RegisterStreamConsumer(c.Context(), &kinesis.RegisterStreamConsumerInput{
			StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/s"), ConsumerName: aws.String("other")})
		if err != nil {
			c.Fatal(err)
		}
		other.arn = *out.Consumer.ConsumerARN
		for _, s := range []*kinesis.SubscribeToShardEventStream{c.subscribe(shard0, horizon), other.subscribe(shard0, horizon)} {
			defer s.Close()
			c.put("x")
			if got, _ := read(c.T, s, 1); got != "x" && got != "x x" {
				c.Errorf("a consumer has %q", got)
			}
		}
		s := c.subscribe("shardId-000000000001", horizon)
		defer s.Close()
		if e := next(s); len(e.Records) > 0 {
			c.Errorf("another shard has %+v", e)
		}
	})
}

func TestSubscriptionEndsWithItsShard(t *testing.T) {
	withFan(t, 1, func(c *fan) {
		s := c.subscribe(shard0, horizon)
		defer s.Close()
		c.put("a")
		read(c.T, s, 1)
		split := &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String("1000")}
		if _, err := c.client.SplitShard(c.Context(), split); err != nil {
			c.Fatal(err)
		}
		start := time.Now()
		c.put("b") // while the stream is UPDATING, to the parent
		if got, e := read(c.T, s, 1); got != "b" || e.ContinuationSequenceNumber == nil {
			c.Errorf("while UPDATING: %+v", e)
		}
		e := next(s)
		if e == nil || e.ContinuationSequenceNumber != nil || len(e.ChildShards) != 2 || len(e.Records) > 0 || time.Since(start) != 3*time.Second {
			c.Fatalf("end of the shard after %v: %+v", time.Since(start), e)
		}
		if child := e.ChildShards[0]; *child.ShardId != "shardId-000000000001" || !slices.Equal(child.ParentShards, []string{shard0}) || *child.HashKeyRange.EndingHashKey != "999" {
			c.Errorf("child %+v", child)
		}
		if e := next(s); e != nil || s.Err() != nil {
			c.Errorf("behind the end: %+v, %v", e, s.Err())
		}
		time.Sleep(2 * time.Second)
		for from, want := range map[types.ShardIteratorType]string{horizon.Type: "a b", latest.Type: ""} {
			s := c.subscribe(shard0, types.StartingPosition{Type: from})
			e := next(s)
			if dataOf(e.Records) != want || e.ContinuationSequenceNumber != nil || len(e.ChildShards) != 2 {
				c.Errorf("a closed shard from %s: %+v", from, e)
			}
			if next(s) != nil || s.Err() != nil {
				c.Errorf("a closed shard from %s goes on, or ends with %v", from, s.Err())
			}
			s.Close()
			time.Sleep(5 * time.Second)
		}
	}, func(o *kinesistest.Options) { o.StreamUpdating = 3 * time.Second })
}

func TestSubscriptionEndsWithItsConsumerOrStream(t *testing.T) {
	for _, what := range []string{"consumer by ARN", "consumer by name", "stream"} {
		t.Run(what, func(t *testing.T) {
			withFan(t, 1, func(c *fan) {
				s := c.subscribe(shard0, horizon)
				defer s.Close()
				var err error
				switch what {
				case "consumer by ARN":
					_, err = c.client.DeregisterStreamConsumer(c.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &c.arn})
				case "consumer by name":
					_, err = c.client.DeregisterStreamConsumer(c.Context(), &kinesis.DeregisterStreamConsumerInput{
						StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/s"), ConsumerName: aws.String("c")})
				default:
					if _, err = c.client.DeleteStream(c.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("s")}); !isError[*types.ResourceInUseException](err) {
						c.Errorf("DeleteStream with a consumer: %v, want ResourceInUseException", err)
					}
					_, err = c.client.DeleteStream(c.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("s"), EnforceConsumerDeletion: aws.Bool(true)})
				}
				if err != nil {
					c.Fatal(err)
				}
				if e := next(s); e != nil || !isError[*types.ResourceNotFoundException](s.Err()) {
					c.Errorf("%+v, then %v, want ResourceNotFoundException", e, s.Err())
				}
				time.Sleep(5 * time.Second)
				if _, err := c.try(shard0, latest); !isError[*types.ResourceNotFoundException](err) {
					c.Errorf("afterwards: %v, want ResourceNotFoundException", err)
				}
			})
		})
	}
}

// A shard pushes 2 MiB a second to each consumer, and a reader that does not
// read leaves its records where they are.
func TestFanOutThroughput(t *testing.T) {
	withFan(t, 1, func(c *fan) {
		for range 10 {
			c.put(strings.Repeat("x", 1<<20-1))
		}
		s := c.subscribe(shard0, horizon)
		defer s.Close()
		start := time.Now()
		time.Sleep(time.Millisecond)
		_, e := read(c.T, s, 4)
		if since := time.Since(start); since < 900*time.Millisecond || since > 1100*time.Millisecond || *e.MillisBehindLatest == 0 {
			c.Errorf("4 MiB after %v, %d ms behind", since, *e.MillisBehindLatest)
		}
		read(c.T, s, 6)
		if since := time.Since(start); since < 3900*time.Millisecond || since > 4100*time.Millisecond {
			c.Errorf("10 MiB after %v, want 4s", since)
		}
	}, func(o *kinesistest.Options) { o.Limits.WriteBytesPerShard = 0 })
}

func TestSubscriptionThatNobodyReads(t *testing.T) {
	withFan(t, 1, func(c *fan) {
		s := c.subscribe(shard0, horizon)
		defer s.Close()
		for i := range 50 {
			c.put(fmt.Sprint(i))
			time.Sleep(5 * time.Second)
		}
		synctest.Wait()
		if got, _ := read(c.T, s, 50); !strings.HasPrefix(got, "0 1 2") || !strings.HasSuffix(got, "49") {
			c.Errorf("read %q", got)
		}
	})
}

// The largest record goes through, and the next one waits until it is paid for.
func TestLargestRecordIsPushed(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		client := newClient(srv)
		_, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10240)})
		if err != nil {
			t.Fatal(err)
		}
		c := newFan(t, srv, client)
		c.put(strings.Repeat("x", 10<<20-1))
		s := c.subscribe(shard0, horizon)
		defer s.Close()
		start := time.Now()
		got, _ := read(t, s, 1)
		time.Sleep(10 * time.Second) // the shard's own debt
		c.put(strings.Repeat("y", 1<<20))
		more, _ := read(t, s, 1)
		if len(got) != 10<<20-1 || len(more) != 1<<20 || time.Since(start) != 10*time.Second {
			t.Errorf("%d and %d bytes after %v", len(got), len(more), time.Since(start))
		}
	})
}
