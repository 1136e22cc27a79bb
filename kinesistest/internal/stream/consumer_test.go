package stream

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// register registers a consumer of the stream "s" and returns its ARN.
func (c caller) register(name string) string {
	c.Helper()
	return c.must("RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": name})["Consumer"].(object)["ConsumerARN"].(string)
}

// status is what DescribeStreamConsumer says, or the code of its error.
func (c caller) status(in object) string {
	c.Helper()
	out, code := c.try("DescribeStreamConsumer", in)
	if code != "" {
		return code
	}
	return out["ConsumerDescription"].(object)["ConsumerStatus"].(string)
}

func TestConsumerLives(t *testing.T) {
	inBubble(t, Options{ConsumerCreating: 3 * time.Second, ConsumerDeleting: 2 * time.Second}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		now := time.Now()
		got := c.must("RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": "a.b_c-1", "Tags": object{"k": "v"}})["Consumer"].(object)
		arn := fmt.Sprint(arnOfS, "/consumer/a.b_c-1:", now.Unix())
		if got["ConsumerARN"] != arn || got["ConsumerName"] != "a.b_c-1" || got["ConsumerStatus"] != "CREATING" ||
			got["ConsumerCreationTimestamp"] != float64(now.Unix()) || got["StreamARN"] != nil {
			c.Errorf("registered %v", got)
		}
		byName := object{"StreamARN": arnOfS, "ConsumerName": "a.b_c-1"}
		byARN := object{"ConsumerARN": arn}
		for _, step := range []struct {
			wait time.Duration
			op   string
			in   object
			code string // of op
			want string // status afterwards
		}{
			{0, "", nil, "", "CREATING"},
			{3*time.Second - 1, "RegisterStreamConsumer", byName, "ResourceInUseException", "CREATING"},
			{1, "", nil, "", "ACTIVE"},
			{0, "RegisterStreamConsumer", byName, "ResourceInUseException", "ACTIVE"},
			{0, "DeregisterStreamConsumer", byARN, "", "DELETING"},
			{0, "DeregisterStreamConsumer", byName, "", "DELETING"},
			{0, "RegisterStreamConsumer", byName, "ResourceInUseException", "DELETING"},
			{2*time.Second - 1, "", nil, "", "DELETING"},
			{1, "DeregisterStreamConsumer", byARN, "ResourceNotFoundException", "ResourceNotFoundException"},
			{0, "DeregisterStreamConsumer", byName, "ResourceNotFoundException", "ResourceNotFoundException"},
		} {
			time.Sleep(step.wait)
			if step.op != "" {
				if _, code := c.try(step.op, step.in); code != step.code {
					c.Errorf("%s while %s: %q, want %q", step.op, step.want, code, step.code)
				}
			}
			for _, in := range []object{byName, byARN, {"StreamARN": arnOfS, "ConsumerName": "a.b_c-1", "ConsumerARN": arn}} {
				if got := c.status(in); got != step.want {
					c.Errorf("after %s %v is %s, want %s", step.op, in, got, step.want)
				}
			}
		}
		if got := c.must("DescribeStreamSummary", object{"StreamName": "s"})["StreamDescriptionSummary"].(object)["ConsumerCount"]; got != 0.0 {
			c.Errorf("ConsumerCount %v, want 0", got)
		}
	})
}

func TestAConsumerThatComesBackIsAnother(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		first := c.register("c")
		c.must("DeregisterStreamConsumer", object{"ConsumerARN": first})
		second := c.register("c")
		if first == second {
			c.Errorf("both are %s", first)
		}
		if got := c.status(object{"ConsumerARN": first}); got != "ResourceNotFoundException" {
			c.Errorf("the first is %s", got)
		}
		if got := c.status(object{"ConsumerARN": second}); got != "ACTIVE" {
			c.Errorf("the second is %s", got)
		}
	})
}

// The ARN of a consumer has the second of its registration in it. A stream that
// is made anew within a second must not bring back the consumers of the old one.
func TestConsumersOfARecreatedStreamAreOthers(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		seen := map[string]bool{}
		for range 3 {
			c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
			for _, name := range []string{"a", "b"} {
				arn := c.register(name)
				if seen[arn] {
					c.Errorf("%s was the consumer of a stream that is gone", arn)
				}
				seen[arn] = true
			}
			c.must("DeleteStream", object{"StreamName": "s", "EnforceConsumerDeletion": true})
			for arn := range seen {
				if got := c.status(object{"ConsumerARN": arn}); got != missing {
					c.Errorf("%s of a deleted stream is %s", arn, got)
				}
			}
		}
	})
}

func TestWrongRequestsForConsumers(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		c.must("CreateStream", object{"StreamName": "other", "ShardCount": 1})
		arn := c.register("c")
		other := strings.Replace(arnOfS, "/s", "/other", 1)
		none := strings.Replace(arnOfS, "/s", "/none", 1)
		foreign := strings.Replace(arnOfS, "123456789012", "210987654321", 1)
		for _, tt := range []struct {
			op   string
			in   object
			code string
		}{
			{"RegisterStreamConsumer", object{"StreamARN": arnOfS}, "ValidationException"},
			{"RegisterStreamConsumer", object{"ConsumerName": "d"}, "ValidationException"},
			{"RegisterStreamConsumer", object{"StreamARN": "s", "ConsumerName": "d"}, "ValidationException"},
			{"RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": ""}, "ValidationException"},
			{"RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": "d!"}, "ValidationException"},
			{"RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": strings.Repeat("d", 129)}, "ValidationException"},
			{"RegisterStreamConsumer", object{"StreamARN": none, "ConsumerName": "d"}, "ResourceNotFoundException"},
			{"RegisterStreamConsumer", object{"StreamARN": foreign, "ConsumerName": "d"}, "ResourceNotFoundException"},
			{"RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": strings.Repeat("d", 128)}, ""},
			{"DescribeStreamConsumer", object{}, "InvalidArgumentException"},
			{"DescribeStreamConsumer", object{"ConsumerName": "c"}, "InvalidArgumentException"},
			{"DescribeStreamConsumer", object{"StreamARN": arnOfS}, "InvalidArgumentException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": arn, "ConsumerName": "d"}, "InvalidArgumentException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": arn, "StreamARN": other}, "InvalidArgumentException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": arn, "StreamARN": arnOfS}, ""},
			{"DescribeStreamConsumer", object{"ConsumerARN": arn + "1"}, "ResourceNotFoundException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": other + "/consumer/c:1"}, "ResourceNotFoundException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": none + "/consumer/c:1"}, "ResourceNotFoundException"},
			{"DescribeStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": "d"}, "ResourceNotFoundException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": arnOfS}, "ValidationException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": arnOfS + "/consumer/c"}, "ValidationException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": arnOfS + "/consumer/c:x"}, "ValidationException"},
			{"DescribeStreamConsumer", object{"ConsumerARN": arnOfS + "/consumer/:1"}, "ValidationException"},
			{"DeregisterStreamConsumer", object{}, "InvalidArgumentException"},
			{"DeregisterStreamConsumer", object{"ConsumerName": "c", "StreamARN": other}, "ResourceNotFoundException"},
			{"ListStreamConsumers", object{}, "ValidationException"},
			{"ListStreamConsumers", object{"StreamARN": none}, "ResourceNotFoundException"},
			{"ListStreamConsumers", object{"StreamARN": arnOfS, "MaxResults": 0}, "ValidationException"},
			{"ListStreamConsumers", object{"StreamARN": arnOfS, "NextToken": "x"}, "InvalidArgumentException"},
			{"ListStreamConsumers", object{"StreamARN": arnOfS, "StreamCreationTimestamp": 12}, "ResourceNotFoundException"},
			{"ListStreamConsumers", object{"StreamARN": arnOfS, "StreamCreationTimestamp": time.Now().Unix()}, ""},
			{"DeleteStream", object{"StreamName": "s"}, "ResourceInUseException"},
			{"DeleteStream", object{"StreamName": "s", "EnforceConsumerDeletion": false}, "ResourceInUseException"},
			{"DeleteStream", object{"StreamName": "s", "EnforceConsumerDeletion": true}, ""},
			{"DeleteStream", object{"StreamName": "other"}, ""},
			{"DescribeStreamConsumer", object{"ConsumerARN": arn}, "ResourceNotFoundException"},
		} {
			if _, code := c.try(tt.op, tt.in); code != tt.code {
				c.Errorf("%s %v: %q, want %q", tt.op, tt.in, code, tt.code)
			}
		}
	})
}

func TestConsumersAreListedInPages(t *testing.T) {
	inBubble(t, Options{Limits: Limits{TokenLife: 300 * time.Second}}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		c.must("CreateStream", object{"StreamName": "other", "ShardCount": 1})
		var want, got []string
		for i := range 7 {
			name := fmt.Sprintf("c%d", i)
			c.register(name)
			want = append(want, name)
		}
		in, pages := object{"StreamARN": arnOfS, "MaxResults": 3}, 0
		for in != nil {
			out := c.must("ListStreamConsumers", in)
			for _, d := range out["Consumers"].([]any) {
				got = append(got, d.(object)["ConsumerName"].(string))
			}
			pages++
			token, more := out["NextToken"]
			if !more {
				break
			}
			in = object{"StreamARN": arnOfS, "MaxResults": 3, "NextToken": token}
		}
		if pages != 3 || !slices.Equal(got, want) {
			c.Errorf("%d pages with %v, want %v", pages, got, want)
		}
		for _, wrong := range []object{
			{"StreamARN": strings.Replace(arnOfS, "/s", "/other", 1), "NextToken": in["NextToken"]},
			{"StreamARN": arnOfS, "NextToken": in["NextToken"], "StreamCreationTimestamp": time.Now().Unix()},
		} {
			if _, code := c.try("ListStreamConsumers", wrong); code != "InvalidArgumentException" {
				c.Errorf("%v: %q, want InvalidArgumentException", wrong, code)
			}
		}
		time.Sleep(301 * time.Second)
		if _, code := c.try("ListStreamConsumers", in); code != "ExpiredNextTokenException" {
			c.Errorf("an old token: %q", code)
		}
	})
}

func TestConsumerLimits(t *testing.T) {
	inBubble(t, Options{ConsumerCreating: time.Second, Limits: Limits{ConsumersPerStream: 20, CreatingConsumers: 5}}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		for i := range 20 {
			if i > 0 && i%5 == 0 {
				if _, code := c.try("RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": "sixth"}); code != "LimitExceededException" {
					c.Errorf("a sixth in CREATING: %q", code)
				}
				time.Sleep(time.Second)
			}
			c.register(fmt.Sprint("c", i))
		}
		time.Sleep(time.Second)
		if _, code := c.try("RegisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": "more"}); code != "LimitExceededException" {
			c.Errorf("a 21st: %q", code)
		}
		c.must("DeregisterStreamConsumer", object{"StreamARN": arnOfS, "ConsumerName": "c7"})
		c.register("more")
	})
}

func TestStreamMustBeThereForAConsumer(t *testing.T) {
	inBubble(t, Options{Creating: time.Second, Deleting: time.Second}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "ShardCount": 1})
		in := object{"StreamARN": arnOfS, "ConsumerName": "c"}
		if _, code := c.try("RegisterStreamConsumer", in); code != "ResourceInUseException" {
			c.Errorf("while CREATING: %q", code)
		}
		time.Sleep(time.Second)
		c.must("RegisterStreamConsumer", in)
		c.must("DeleteStream", object{"StreamName": "s", "EnforceConsumerDeletion": true})
		if _, code := c.try("RegisterStreamConsumer", in); code != "ResourceInUseException" {
			c.Errorf("while DELETING: %q", code)
		}
	})
}
