package contract

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var consumerChecks = []Check{
	{ID: "K.consumer.lifecycle", Source: api("RegisterStreamConsumer"),
		Says: "a new consumer is CREATING, then ACTIVE; a name in use is refused; a deregistered one is unknown",
		Run:  consumerLifecycle},
	{ID: "K.consumer.newarn", Source: api("Consumer"),
		Says: "a consumer registered again under the same name has another ARN",
		Run:  consumerNewARN},
	{ID: "K.consumer.describe", Source: api("DescribeStreamConsumer"),
		Says: "a consumer is described by its ARN, or by its name and its stream, but not by half of that",
		Run:  consumerDescribe},
	{ID: "K.consumer.paging", Source: api("ListStreamConsumers"),
		Says: "MaxResults pages the consumers of a stream",
		Run:  consumerPaging},
	{ID: "K.consumer.creating5", Source: api("RegisterStreamConsumer"),
		Says: "at most 5 consumers of a stream are CREATING at once",
		Run:  consumerCreating, Rates: true},
	{ID: "K.consumer.limit20", Source: limits,
		Says: "a stream has at most 20 consumers",
		Run:  consumerLimit, Slow: true},
	{ID: "K.consumer.missing", Source: api("RegisterStreamConsumer"),
		Says: "an unknown stream or consumer is a ResourceNotFoundException",
		Run:  consumerMissing},
	{ID: "K.consumer.token_expiry", Source: api("ListStreamConsumers"),
		Says: "a NextToken of consumers is good for 300 seconds",
		Run:  consumerTokenExpiry, Slow: true},
}

func (e *Env) register(ctx context.Context, streamARN *string, name string) (*types.Consumer, error) {
	var out *kinesis.RegisterStreamConsumerOutput
	err := calm(ctx, func() (err error) {
		out, err = e.Kinesis.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: streamARN, ConsumerName: &name})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("RegisterStreamConsumer: %w", err)
	}
	return out.Consumer, nil
}

// consumer registers a consumer, waits until it is ACTIVE and returns its ARN.
func (e *Env) consumer(ctx context.Context, stream, name string) (*string, error) {
	arn, err := e.arn(ctx, stream)
	if err != nil {
		return nil, err
	}
	c, err := e.register(ctx, arn, name)
	if err != nil {
		return nil, err
	}
	return c.ConsumerARN, e.consumerIs(ctx, c.ConsumerARN, types.ConsumerStatusActive)
}

// registered makes a stream of one shard and registers a consumer with it.
func (e *Env) registered(ctx context.Context) (stream string, consumer *string, err error) {
	if stream, err = e.stream(ctx, 1); err != nil {
		return "", nil, err
	}
	consumer, err = e.consumer(ctx, stream, "reader")
	return stream, consumer, err
}

// consumerIs waits until a consumer is in a state, "" for gone.
func (e *Env) consumerIs(ctx context.Context, arn *string, want types.ConsumerStatus) error {
	return until(ctx, "consumer "+string(want), func() (bool, error) {
		out, err := e.Kinesis.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: arn})
		if code(err) == notFound && want == "" {
			return true, nil
		}
		return err == nil && out.ConsumerDescription.ConsumerStatus == want, err
	})
}

func (e *Env) deregister(ctx context.Context, arn *string) error {
	return calm(ctx, func() error {
		_, err := e.Kinesis.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: arn})
		return err
	})
}

// streamARN makes a stream and returns its name and its ARN.
func (e *Env) streamARN(ctx context.Context, shards int32) (name string, arn *string, err error) {
	if name, err = e.stream(ctx, shards); err != nil {
		return "", nil, err
	}
	arn, err = e.arn(ctx, name)
	return name, arn, err
}

func consumerLifecycle(ctx context.Context, e *Env) error {
	_, stream, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	c, err := e.register(ctx, stream, "reader")
	if err != nil {
		return err
	}
	if c.ConsumerStatus != types.ConsumerStatusCreating || aws.ToString(c.ConsumerName) != "reader" || c.ConsumerARN == nil || c.ConsumerCreationTimestamp == nil {
		return fmt.Errorf("just registered: %+v, want CREATING", c)
	}
	if err := e.consumerIs(ctx, c.ConsumerARN, types.ConsumerStatusActive); err != nil {
		return err
	}
	_, err = e.register(ctx, stream, "reader")
	if err := refused("registering it again", err, inUse); err != nil {
		return err
	}
	if err := e.deregister(ctx, c.ConsumerARN); err != nil {
		return err
	}
	return e.consumerIs(ctx, c.ConsumerARN, "")
}

func consumerNewARN(ctx context.Context, e *Env) error {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return err
	}
	first, err := e.consumer(ctx, name, "reader")
	if err != nil {
		return err
	}
	if err := e.deregister(ctx, first); err != nil {
		return err
	}
	if err := e.consumerIs(ctx, first, ""); err != nil {
		return err
	}
	if err := sleep(ctx, 1100*time.Millisecond); err != nil {
		return err
	}
	second, err := e.consumer(ctx, name, "reader")
	if err != nil {
		return err
	}
	if *first == *second {
		return fmt.Errorf("both have the ARN %s", *first)
	}
	return nil
}

func consumerDescribe(ctx context.Context, e *Env) error {
	name, stream, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	arn, err := e.consumer(ctx, name, "reader")
	if err != nil {
		return err
	}
	for _, in := range []*kinesis.DescribeStreamConsumerInput{
		{ConsumerARN: arn},
		{StreamARN: stream, ConsumerName: aws.String("reader")},
	} {
		out, err := e.Kinesis.DescribeStreamConsumer(ctx, in)
		if err != nil {
			return err
		}
		if d := out.ConsumerDescription; aws.ToString(d.ConsumerARN) != *arn || aws.ToString(d.ConsumerName) != "reader" || aws.ToString(d.StreamARN) != *stream {
			return fmt.Errorf("described as %+v", d)
		}
	}
	for _, in := range []*kinesis.DescribeStreamConsumerInput{{StreamARN: stream}, {ConsumerName: aws.String("reader")}, {}} {
		_, err := e.Kinesis.DescribeStreamConsumer(ctx, in)
		if err := refused("half of a consumer", err, invalidArgument, validation); err != nil {
			return err
		}
	}
	return nil
}

func consumerPaging(ctx context.Context, e *Env) error {
	name, stream, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	want := map[string]bool{"a": true, "b": true, "c": true}
	for id := range want {
		if _, err := e.consumer(ctx, name, id); err != nil {
			return err
		}
	}
	in := &kinesis.ListStreamConsumersInput{StreamARN: stream, MaxResults: aws.Int32(1)}
	for {
		var out *kinesis.ListStreamConsumersOutput
		if err := calm(ctx, func() (err error) {
			out, err = e.Kinesis.ListStreamConsumers(ctx, in)
			return err
		}); err != nil {
			return err
		}
		if len(out.Consumers) > 1 {
			return fmt.Errorf("a page of 1 has %d consumers", len(out.Consumers))
		}
		for _, c := range out.Consumers {
			delete(want, *c.ConsumerName)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("not listed: %v", want)
	}
	return nil
}

func consumerCreating(ctx context.Context, e *Env) error {
	_, stream, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	// Registered as fast as the rate of calls lets, which is 5 a second.
	start := time.Now()
	for i := range 5 {
		if _, err := e.Kinesis.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: aws.String(fmt.Sprint("c", i))}); err != nil {
			return fmt.Errorf("consumer %d: %w", i, err)
		}
	}
	_, err = e.Kinesis.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: aws.String("c5")})
	return within(start, time.Second, refused("a sixth at once", err, limitExceeded))
}

func consumerLimit(ctx context.Context, e *Env) error {
	name, stream, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	for i := range 20 {
		if _, err := e.consumer(ctx, name, fmt.Sprint("c", i)); err != nil {
			return fmt.Errorf("consumer %d: %w", i, err)
		}
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	_, err = e.Kinesis.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: aws.String("c20")})
	if err := refused("number 21", err, limitExceeded); err != nil {
		return err
	}
	out, err := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil || aws.ToInt32(out.StreamDescriptionSummary.ConsumerCount) != 20 {
		return fmt.Errorf("summary %+v, %v, want 20 consumers", out, err)
	}
	return nil
}

func consumerMissing(ctx context.Context, e *Env) error {
	name, stream, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	missing := aws.String(*stream + "-x")
	_, err = e.Kinesis.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: missing, ConsumerName: aws.String("reader")})
	if err := refused("registering at an unknown stream", err, notFound); err != nil {
		return err
	}
	_, err = e.Kinesis.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: stream, ConsumerName: aws.String("reader")})
	if err := refused("describing an unknown consumer", err, notFound); err != nil {
		return err
	}
	err = e.deregister(ctx, aws.String(*stream+"/consumer/reader:1"))
	if err := refused("deregistering an unknown consumer", err, notFound); err != nil {
		return err
	}
	_, err = e.consumer(ctx, name, "no name!")
	return refused("a bad name", err, invalidArgument, validation)
}

func consumerTokenExpiry(ctx context.Context, e *Env) error {
	name, stream, err := e.streamARN(ctx, 1)
	if err != nil {
		return err
	}
	for _, id := range []string{"a", "b"} {
		if _, err := e.consumer(ctx, name, id); err != nil {
			return err
		}
	}
	out, err := e.Kinesis.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: stream, MaxResults: aws.Int32(1)})
	if err != nil {
		return err
	}
	if err := sleep(ctx, 301*time.Second); err != nil {
		return err
	}
	_, err = e.Kinesis.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: stream, NextToken: out.NextToken})
	return refused("after 301 s", err, "ExpiredNextTokenException")
}
