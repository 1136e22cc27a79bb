package stream

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// A fanOut is what a stream knows of its registered consumers.
type fanOut struct {
	consumers map[string]*consumer // by name
	stamp     int64                // the latest second in a consumer's ARN
}

// A consumer reads a stream by enhanced fan-out.
type consumer struct {
	name    string
	arn     string
	created time.Time
	status  string
	until   time.Time // when status ends, zero if it does not
	tags    map[string]string
	policy  string // JSON, "" for none
	lanes   map[*shard]*lane
}

// A lane is a consumer at one shard.
type lane struct {
	opened int64         // Unix nanoseconds of the last SubscribeToShard that succeeded
	calls  bucket        // SubscribeToShard
	bytes  bucket        // of the events
	active *Subscription // nil if there is none
}

const consumersPage = 100

// settleConsumers brings the consumers of st to now. st is locked.
func (st *stream) settleConsumers(now time.Time) {
	for name, c := range st.fanOut.consumers {
		if c.until.IsZero() || now.Before(c.until) {
			continue
		}
		c.until = time.Time{}
		if c.status == deleting {
			delete(st.fanOut.consumers, name)
			continue
		}
		c.status = active
	}
}

// consumerCount returns how many consumers st has, those in CREATING and
// DELETING included. st is locked.
func (st *stream) consumerCount(now time.Time) int {
	st.settleConsumers(now)
	return len(st.fanOut.consumers)
}

// remove deletes c, which takes a window. Its subscriptions end with the
// beginning of that. st is locked.
func (c *consumer) remove(st *stream, window time.Duration, now time.Time) {
	c.status, c.until = deleting, now.Add(window)
	for _, l := range c.lanes {
		if l.active != nil {
			l.active.end(noConsumer(c.arn))
		}
	}
	st.settleConsumers(now)
}

// A consumerDescription is a consumer as the operations show it.
type consumerDescription struct {
	ConsumerName, ConsumerARN, ConsumerStatus string
	ConsumerCreationTimestamp                 millis
	StreamARN                                 string `json:",omitempty"` // DescribeStreamConsumer alone
}

func (c *consumer) describe() consumerDescription {
	return consumerDescription{
		ConsumerName:              c.name,
		ConsumerARN:               c.arn,
		ConsumerStatus:            c.status,
		ConsumerCreationTimestamp: millis(c.created.UnixMilli()),
	}
}

func noConsumer(arn string) *api.Error {
	return api.Errorf("ResourceNotFoundException", "Consumer %.2048s not found.", arn)
}

type registerInput struct {
	StreamARN    *string
	ConsumerName *string
	Tags         map[string]string
}

func (s *Service) registerStreamConsumer(in *registerInput) (any, *api.Error) {
	var v violations
	v.required("consumerName", in.ConsumerName)
	v.requiredARN(in.StreamARN)
	v.tags(in.Tags)
	if e := v.err(); e != nil {
		return nil, e
	}
	if e := checkTags(in.Tags, "consumer "+*in.ConsumerName); e != nil {
		return nil, e
	}
	var out struct{ Consumer consumerDescription }
	advantage := s.advantage()
	e := s.with(ref{StreamARN: in.StreamARN}, func(st *stream, now time.Time) *api.Error {
		f := &st.fanOut
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		st.settleConsumers(now)
		if c := f.consumers[*in.ConsumerName]; c != nil {
			return api.Errorf("ResourceInUseException", "Consumer %s of stream %s under account %s already exists, in state %s.",
				c.name, st.name, s.opts.Identity.AccountID, c.status)
		}
		if e := s.consumerRoom(st, advantage); e != nil {
			return e
		}
		// A name that comes back within a second has another ARN all the same.
		f.stamp = max(f.stamp+1, now.Unix())
		c := &consumer{
			name:    *in.ConsumerName,
			arn:     st.arn + "/consumer/" + *in.ConsumerName + ":" + strconv.FormatInt(f.stamp, 10),
			created: now,
			tags:    maps.Clone(in.Tags),
			lanes:   map[*shard]*lane{},
		}
		if f.consumers == nil {
			f.consumers = map[string]*consumer{}
		}
		f.consumers[c.name] = c
		c.status, c.until = creating, now.Add(s.opts.ConsumerCreating)
		// The answer says CREATING also where there is no such window, as it
		// does on AWS.
		out.Consumer = c.describe()
		st.settleConsumers(now)
		return nil
	})
	return out, e
}

// advantageConsumers is how many consumers an on-demand stream may have in an
// account with On-demand Advantage.
const advantageConsumers = 50

// consumerRoom fails if st may not have a further consumer. st is locked.
func (s *Service) consumerRoom(st *stream, advantage bool) *api.Error {
	l, account := s.opts.Limits, s.opts.Identity.AccountID
	if advantage && st.mode == onDemand && l.ConsumersPerStream > 0 {
		l.ConsumersPerStream = max(l.ConsumersPerStream, advantageConsumers)
	}
	n, inCreation := len(st.fanOut.consumers), 0
	for _, c := range st.fanOut.consumers {
		if c.status == creating {
			inCreation++
		}
	}
	switch {
	case l.ConsumersPerStream > 0 && n >= l.ConsumersPerStream:
		return api.Errorf("LimitExceededException", "Stream %s under account %s has %d consumers, the limit is %d.", st.name, account, n, l.ConsumersPerStream)
	case l.CreatingConsumers > 0 && inCreation >= l.CreatingConsumers:
		return api.Errorf("LimitExceededException", "Stream %s under account %s has %d consumers in the CREATING state, the limit is %d.",
			st.name, account, inCreation, l.CreatingConsumers)
	}
	return nil
}

// A consumerRef is how an operation names a consumer: by its ARN, by its name
// and its stream, or by all three.
type consumerRef struct {
	ConsumerARN  *string
	ConsumerName *string
	StreamARN    *string
}

// consumer runs f on the consumer that r means, with its stream locked.
func (s *Service) consumer(r consumerRef, f func(st *stream, c *consumer, now time.Time) *api.Error) *api.Error {
	var v violations
	v.consumerARN(r.ConsumerARN)
	v.streamName("consumerName", r.ConsumerName)
	v.streamARN(r.StreamARN)
	if e := v.err(); e != nil {
		return e
	}
	streamARN, name := r.StreamARN, r.ConsumerName
	switch {
	case r.ConsumerARN != nil:
		ofStream, consumerName := splitConsumerARN(*r.ConsumerARN)
		if streamARN != nil && *streamARN != ofStream || name != nil && *name != consumerName {
			return invalid("ConsumerARN %s is not that of the given ConsumerName and StreamARN.", *r.ConsumerARN)
		}
		streamARN, name = &ofStream, &consumerName
	case streamARN == nil || name == nil:
		return invalid("Either ConsumerARN or both StreamARN and ConsumerName must be specified.")
	}
	return s.with(ref{StreamARN: streamARN}, func(st *stream, now time.Time) *api.Error {
		st.settleConsumers(now)
		c := st.fanOut.consumers[*name]
		if c == nil || r.ConsumerARN != nil && c.arn != *r.ConsumerARN {
			if r.ConsumerARN != nil {
				return noConsumer(*r.ConsumerARN)
			}
			return api.Errorf("ResourceNotFoundException", "Consumer %s of stream %s under account %s not found.", *name, st.name, s.opts.Identity.AccountID)
		}
		return f(st, c, now)
	})
}

func (s *Service) describeStreamConsumer(in *consumerRef) (any, *api.Error) {
	var out struct{ ConsumerDescription consumerDescription }
	e := s.consumer(*in, func(st *stream, c *consumer, _ time.Time) *api.Error {
		out.ConsumerDescription = c.describe()
		out.ConsumerDescription.StreamARN = st.arn
		return nil
	})
	return out, e
}

func (s *Service) deregisterStreamConsumer(in *consumerRef) (any, *api.Error) {
	return nil, s.consumer(*in, func(st *stream, c *consumer, now time.Time) *api.Error {
		if c.status != deleting {
			c.remove(st, s.opts.ConsumerDeleting, now)
		}
		return nil
	})
}

type listConsumersInput struct {
	StreamARN               *string
	NextToken               *string
	MaxResults              *int
	StreamCreationTimestamp *float64
}

func (s *Service) listStreamConsumers(in *listConsumersInput) (any, *api.Error) {
	var v violations
	v.requiredARN(in.StreamARN)
	v.between("maxResults", in.MaxResults, 1, mostLimit)
	if e := v.err(); e != nil {
		return nil, e
	}
	var after token
	if in.NextToken != nil {
		if in.StreamCreationTimestamp != nil {
			return nil, invalid("NextToken and StreamCreationTimestamp cannot be provided together.")
		}
		var e *api.Error
		if after, e = s.parseToken(*in.NextToken, tokenConsumers); e != nil {
			return nil, e
		}
	}
	var out struct {
		Consumers []consumerDescription
		NextToken string `json:",omitempty"`
	}
	out.Consumers = []consumerDescription{}
	e := s.with(ref{StreamARN: in.StreamARN}, func(st *stream, now time.Time) *api.Error {
		if in.NextToken != nil && after.stream != st.number {
			return invalid("NextToken is not one of stream %s.", st.name)
		}
		if c := in.StreamCreationTimestamp; c != nil && toMillis(*c)/1000 != st.created.Unix() {
			return notFound(st.name, s.opts.Identity.AccountID)
		}
		page := consumersPage
		if in.MaxResults != nil {
			page = min(*in.MaxResults, consumersPage)
		}
		st.settleConsumers(now)
		for _, name := range slices.Sorted(maps.Keys(st.fanOut.consumers)) {
			if name <= after.text {
				continue
			}
			if n := len(out.Consumers); n == page {
				out.NextToken = s.token(token{kind: tokenConsumers, stream: st.number, at: now.UnixMilli(), text: out.Consumers[n-1].ConsumerName})
				break
			}
			out.Consumers = append(out.Consumers, st.fanOut.consumers[name].describe())
		}
		return nil
	})
	return out, e
}

// requiredARN is streamARN for a member that must be there.
func (v *violations) requiredARN(s *string) {
	if s == nil {
		v.add(nil, "streamARN", notNull)
	}
	v.streamARN(s)
}

// consumerARN checks the form of a stream's ARN followed by
// /consumer/name:seconds. A nil one passes.
func (v *violations) consumerARN(s *string) {
	if s == nil {
		return
	}
	streamARN, rest, ok := strings.Cut(*s, "/consumer/")
	name, stamp, stamped := strings.Cut(rest, ":")
	var in violations
	in.streamARN(&streamARN)
	in.streamName("consumerName", &name)
	if !ok || !stamped || stamp == "" || strings.Trim(stamp, "0123456789") != "" || len(*s) > 2048 || len(in) > 0 {
		v.add(*s, "consumerARN",
			`Member must satisfy regular expression pattern: ^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+`)
	}
}

// splitConsumerARN takes a consumer's ARN of good form apart.
func splitConsumerARN(arn string) (streamARN, name string) {
	streamARN, rest, _ := strings.Cut(arn, "/consumer/")
	name, _, _ = strings.Cut(rest, ":")
	return streamARN, name
}
