package stream

import (
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

const (
	leastRetention = 24   // hours
	mostRetention  = 8760 // hours
)

type retentionInput struct {
	ref
	RetentionPeriodHours *int
}

func (s *Service) increaseRetention(in *retentionInput) (any, *api.Error) {
	return nil, s.retention(in, func(st *stream, hours int) *api.Error {
		if have := int(st.retention / time.Hour); hours < have {
			return invalid("Requested retention period (%d hours) for stream %s can not be shorter than existing retention period (%d hours). "+
				"Use DecreaseRetentionPeriod API.", hours, st.name, have)
		}
		return nil
	})
}

func (s *Service) decreaseRetention(in *retentionInput) (any, *api.Error) {
	return nil, s.retention(in, func(st *stream, hours int) *api.Error {
		if have := int(st.retention / time.Hour); hours > have {
			return invalid("Requested retention period (%d hours) for stream %s can not be longer than existing retention period (%d hours). "+
				"Use IncreaseRetentionPeriod API.", hours, st.name, have)
		}
		return nil
	})
}

// retention sets a stream's retention if allowed finds nothing wrong with it.
func (s *Service) retention(in *retentionInput, allowed func(*stream, int) *api.Error) *api.Error {
	var v violations
	if in.RetentionPeriodHours == nil {
		v.add(nil, "retentionPeriodHours", notNull)
	}
	if e := v.err(); e != nil {
		return e
	}
	hours := *in.RetentionPeriodHours
	if hours < leastRetention {
		return invalid("Minimum allowed retention period is %d hours. Requested retention period (%d hours) is too short.", leastRetention, hours)
	}
	if hours > mostRetention {
		return invalid("Maximum allowed retention period is %d hours. Requested retention period (%d hours) is too long.", mostRetention, hours)
	}
	return s.with(in.ref, func(st *stream, now time.Time) *api.Error {
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		if e := allowed(st, hours); e != nil {
			return e
		}
		st.enter(updating, s.opts.Updating, now, func(at time.Time) {
			// What the old period has let go does not come back with a longer one.
			for _, sh := range st.shards {
				st.expire(sh, at, s.opts.KeepTrimmed)
			}
			st.retention = time.Duration(hours) * time.Hour
		})
		return nil
	})
}
