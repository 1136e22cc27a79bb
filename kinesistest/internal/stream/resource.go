package stream

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// A resourceRef is how requests name what may be a stream or a consumer.
type resourceRef struct {
	ResourceARN *string
	StreamId    *string
}

// A reach finds the stream or the consumer of a request and runs f on it with
// the stream locked; c is nil for a stream.
type reach func(f func(st *stream, c *consumer, now time.Time) *api.Error) *api.Error

func (s *Service) byRef(r ref) reach {
	return func(f func(*stream, *consumer, time.Time) *api.Error) *api.Error {
		return s.with(r, func(st *stream, now time.Time) *api.Error { return f(st, nil, now) })
	}
}

func (s *Service) byARN(r resourceRef) reach {
	return func(f func(*stream, *consumer, time.Time) *api.Error) *api.Error {
		var v violations
		v.notNil("resourceARN", r.ResourceARN != nil)
		v.streamID(r.StreamId)
		if e := v.err(); e != nil {
			return e
		}
		if strings.Contains(*r.ResourceARN, "/consumer/") {
			return s.consumer(consumerRef{ConsumerARN: r.ResourceARN}, f)
		}
		return s.byRef(ref{StreamARN: r.ResourceARN})(f)
	}
}

// longestPolicy is the bytes of a policy.
const longestPolicy = 20 << 10

type putPolicyInput struct {
	resourceRef
	Policy *string
}

func (s *Service) putResourcePolicy(in *putPolicyInput) (any, *api.Error) {
	var v violations
	v.notNil("policy", in.Policy != nil)
	if e := v.err(); e != nil {
		return nil, e
	}
	var object map[string]json.RawMessage
	switch {
	case len(*in.Policy) > longestPolicy:
		return nil, invalid("The policy has %d bytes, more than %d.", len(*in.Policy), longestPolicy)
	case json.Unmarshal([]byte(*in.Policy), &object) != nil || object["Statement"] == nil:
		return nil, invalid("The policy is not a JSON object with a Statement.")
	}
	return nil, s.policy(in.resourceRef, true, func(policy *string, _ string) *api.Error {
		*policy = *in.Policy
		return nil
	})
}

func (s *Service) getResourcePolicy(in *resourceRef) (any, *api.Error) {
	var out struct{ Policy string }
	e := s.policy(*in, false, func(policy *string, _ string) *api.Error {
		if out.Policy = *policy; out.Policy == "" {
			out.Policy = "{}"
		}
		return nil
	})
	return out, e
}

func (s *Service) deleteResourcePolicy(in *resourceRef) (any, *api.Error) {
	return nil, s.policy(*in, true, func(policy *string, arn string) *api.Error {
		if *policy == "" {
			return api.Errorf("ResourceNotFoundException", "No resource policy found for resource ARN %s.", arn)
		}
		*policy = ""
		return nil
	})
}

// policy runs f on the policy of a resource.
func (s *Service) policy(r resourceRef, change bool, f func(policy *string, arn string) *api.Error) *api.Error {
	return s.byARN(r)(func(st *stream, c *consumer, _ time.Time) *api.Error {
		if change {
			if e := st.idle(s.opts.Identity.AccountID); e != nil {
				return e
			}
		}
		if c != nil {
			return f(&c.policy, c.arn)
		}
		return f(&st.policy, st.arn)
	})
}
