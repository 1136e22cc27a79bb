package contract

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// patient returns a client that tries a call again while its rate is exceeded.
// In real time many checks share the rates of one account, and what they do to
// set a scene is not what they ask.
func patient(client *kinesis.Client) *kinesis.Client {
	return kinesis.New(client.Options(), func(o *kinesis.Options) { o.Retryer = patience{} })
}

// patience is a retryer for LimitExceededException alone. What is a limit and
// no rate is answered in the end, some seconds later.
type patience struct{}

func (patience) IsErrorRetryable(err error) bool { return code(err) == limitExceeded }

func (patience) MaxAttempts() int { return 20 }

func (patience) RetryDelay(int, error) (time.Duration, error) {
	return 200*time.Millisecond + rand.N(800*time.Millisecond), nil
}

func (patience) GetRetryToken(context.Context, error) (func(error) error, error) { return done, nil }

func (patience) GetInitialToken() func(error) error { return done }

func done(error) error { return nil }

var _ aws.Retryer = patience{}

// pollKey is the key of a context's value for how often until looks.
type pollKey struct{}

func pollEvery(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(pollKey{}).(time.Duration); ok {
		return d
	}
	return 200 * time.Millisecond
}
