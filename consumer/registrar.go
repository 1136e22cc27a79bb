package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/internal/pace"
)

const (
	// registerPoll is how often a consumer that is being created is looked at.
	registerPoll = time.Second

	// registerRetry is how long to wait after a refusal that does not pass by
	// itself, so that a permission given meanwhile is noticed.
	registerRetry = time.Minute
)

// registerBackoff spaces the attempts to find or to register the consumer, which
// all workers of an application make at the same time when it is deployed.
var registerBackoff = pace.Backoff{Base: time.Second, Max: 15 * time.Second}

var errNotActive = errors.New("consumer: the fan-out consumer is not ACTIVE yet")

// A registrar finds the fan-out consumer of one stream or registers it, and waits
// until it is ACTIVE. Run is its goroutine; the rest is safe for concurrent use.
type registrar struct {
	client   FanOutAPI
	stream   streamRef
	given    string // name or ARN
	identity string

	mu      sync.Mutex
	state   registration
	changed chan struct{} // closed when state changes
}

// A registration is what is known of the consumer.
type registration struct {
	arn   string // "" unless it is ACTIVE
	err   error  // why not
	fatal bool   // err does not pass by itself
	known bool   // there was an answer
}

func newRegistrar(client FanOutAPI, stream streamRef, given, identity string) *registrar {
	return &registrar{
		client: client, stream: stream, given: given, identity: identity,
		changed: make(chan struct{}), state: registration{err: errNotActive},
	}
}

// now returns what is known, and what is closed when that changes.
func (r *registrar) now() (registration, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.changed
}

// doubt says that the service does not know arn.
func (r *registrar) doubt(arn string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.arn == arn {
		r.set(registration{err: errNotActive, known: true})
	}
}

// set changes the state. mu is held.
func (r *registrar) set(s registration) {
	r.state = s
	close(r.changed)
	r.changed = make(chan struct{})
}

// run looks after the consumer until ctx ends, or nobody wants it while it is not
// there.
func (r *registrar) run(ctx context.Context, wanted func() bool) {
	active := false // ever: what was there once may come again
	for failures := 0; ; {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		arn, status, err := r.find(call)
		cancel()
		if ctx.Err() != nil {
			return
		}
		next, pause := registration{known: true}, registerPoll
		switch {
		case err == nil && status == types.ConsumerStatusActive:
			next.arn, failures, active = arn, 0, true
		case err == nil:
			next.err, failures = fmt.Errorf("%w: it is %s", errNotActive, status), 0
		case refusedForGood(err):
			next.err, next.fatal, pause = err, !active, registerRetry
		default:
			next.err = err
			pause = registerPoll/4 + registerBackoff.Delay(r.identity, "register", r.stream.name, failures)
			failures++
		}
		r.mu.Lock()
		r.set(next)
		changed := r.changed
		r.mu.Unlock()
		if next.arn != "" {
			select {
			case <-changed: // by doubt
			case <-ctx.Done():
				return
			}
			continue
		}
		if sleep(ctx, pause) != nil || !wanted() {
			return
		}
	}
}

// refusedForGood reports whether err needs somebody to do something.
func refusedForGood(err error) bool {
	return isCode(err, "AccessDeniedException", "InvalidArgumentException", "ValidationException", "UnrecognizedClientException",
		"ResourceNotFoundException", "UnknownOperationException")
}

// find returns the consumer, registered if it was not there.
func (r *registrar) find(ctx context.Context) (arn string, status types.ConsumerStatus, err error) {
	if strings.HasPrefix(r.given, "arn:") {
		out, err := r.client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: &r.given}, noRetries)
		if err != nil {
			return "", "", r.failed("describe", err)
		}
		return r.given, out.ConsumerDescription.ConsumerStatus, nil
	}
	stream, err := r.streamARN(ctx)
	if err != nil {
		return "", "", err
	}
	out, err := r.client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: &stream, ConsumerName: &r.given}, noRetries)
	if err == nil {
		return aws.ToString(out.ConsumerDescription.ConsumerARN), out.ConsumerDescription.ConsumerStatus, nil
	}
	if !isCode(err, "ResourceNotFoundException") {
		return "", "", r.failed("describe", err)
	}
	reg, err := r.client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: &stream, ConsumerName: &r.given}, noRetries)
	if err != nil { // ResourceInUse: another worker was faster
		return "", "", r.failed("register", err)
	}
	return aws.ToString(reg.Consumer.ConsumerARN), reg.Consumer.ConsumerStatus, nil
}

// streamARN returns the stream's ARN, which is asked for if the caller gave a
// name.
func (r *registrar) streamARN(ctx context.Context) (string, error) {
	if r.stream.arn != "" {
		return r.stream.arn, nil
	}
	out, err := r.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: r.stream.nameOnly()}, noRetries)
	if err != nil {
		return "", fmt.Errorf("consumer: describe stream %s: %w", r.stream.name, err)
	}
	return aws.ToString(out.StreamDescriptionSummary.StreamARN), nil
}

func (r *registrar) failed(what string, err error) error {
	return fmt.Errorf("consumer: %s fan-out consumer %s of stream %s: %w", what, clip(r.given), r.stream.name, err)
}

// deregister removes the consumer. That it is not there is as well.
func (r *registrar) deregister(ctx context.Context) error {
	in := &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &r.given}
	if !strings.HasPrefix(r.given, "arn:") {
		stream, err := r.streamARN(ctx)
		if err != nil {
			return err
		}
		in = &kinesis.DeregisterStreamConsumerInput{StreamARN: &stream, ConsumerName: &r.given}
	}
	for n := 0; ; n++ {
		_, err := r.client.DeregisterStreamConsumer(ctx, in, noRetries)
		switch {
		case err == nil || isCode(err, "ResourceNotFoundException"):
			return nil
		case ctx.Err() != nil || refusedForGood(err):
			return r.failed("deregister", err)
		}
		if err := sleep(ctx, registerPoll/4+registerBackoff.Delay(r.identity, "deregister", r.stream.name, n)); err != nil {
			return r.failed("deregister", err)
		}
	}
}
