package stream

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// perStream has the operations of the control plane whose calls AWS counts by
// stream; those of all others count by account.
var perStream = map[string]bool{
	"SplitShard":                             true,
	"MergeShards":                            true,
	"UpdateStreamMode":                       true,
	"UpdateStreamRecordDistributionStrategy": true,
	"UpdateMaxRecordSize":                    true,
	"IncreaseStreamRetentionPeriod":          true,
	"DecreaseStreamRetentionPeriod":          true,
	"StartStreamEncryption":                  true,
	"StopStreamEncryption":                   true,
	"EnableEnhancedMonitoring":               true,
	"DisableEnhancedMonitoring":              true,
	"RegisterStreamConsumer":                 true,
	"DeregisterStreamConsumer":               true,
	"DescribeStreamConsumer":                 true,
	"ListStreamConsumers":                    true,
}

// controlRate spends one call of an operation's rate, or refuses it.
func (s *Service) controlRate(op string, body []byte) *api.Error {
	rate := s.opts.Limits.ControlCalls[op]
	if rate <= 0 {
		return nil
	}
	name := ""
	if perStream[op] {
		name = s.Names(body).Stream
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rates := s.rates
	if perStream[op] {
		st := s.streams[name]
		if st == nil {
			return nil // the operation says so
		}
		rates = st.rates
	}
	b := rates[op]
	if b == nil {
		b = new(bucket)
		rates[op] = b
	}
	now := s.now().UnixNano()
	if !b.has(now, 1, rate) {
		if perStream[op] {
			return limitExceeded("Rate exceeded for stream %s under account %s.", name, s.opts.Identity.AccountID)
		}
		return limitExceeded("Rate exceeded for %s under account %s.", op, s.opts.Identity.AccountID)
	}
	b.take(now, 1, rate)
	return nil
}

// A history has the times of changes of which a stream may make only so many
// in 24 hours.
type history []time.Time

// has reports whether a further change may be made. A limit of 0 is none.
func (h *history) has(now time.Time, limit int) bool {
	*h = slices.DeleteFunc(*h, func(t time.Time) bool { return now.Sub(t) >= 24*time.Hour })
	return limit <= 0 || len(*h) < limit
}

func (h *history) add(now time.Time) { *h = append(*h, now) }
