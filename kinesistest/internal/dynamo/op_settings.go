package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// Settings of a table. Nothing is backed up: point-in-time recovery is stored
// and read back.

// A lifetime is a table's time-to-live setting.
type lifetime struct {
	attribute string
	on        bool
	since     time.Time // of the last change; zero if there was none
}

// lifetimeRest is how long a time-to-live setting stays before it can be
// changed again.
const lifetimeRest = time.Hour

// maxRecoveryDays is how far back a table can be restored.
const maxRecoveryDays = 35

// recovery is a table's point-in-time recovery setting.
type recovery struct {
	on    bool
	days  int
	since time.Time
}

func (s *Service) updateTimeToLive(r *request) (any, error) {
	name := r.table(s.opts.Identity)
	var l lifetime
	given := false
	if sub := r.object("TimeToLiveSpecification"); sub != nil {
		l.attribute, _ = sub.str("AttributeName")
		l.on, given = sub.bool("Enabled")
		r.fail(sub.done())
	}
	switch {
	case !given:
		r.required("TimeToLiveSpecification")
	case l.attribute == "" || len(l.attribute) > 255:
		r.violate(l.attribute, "TimeToLiveSpecification.attributeName", "Member must have length between 1 and 255")
	}
	return s.withTable(r, name, func(t *table, now time.Time) (any, error) {
		switch {
		case t.status(now) != "ACTIVE":
			return nil, errInUse("Table is not in ACTIVE state: %s", name)
		case t.lifetime.on == l.on && l.on && t.lifetime.attribute != l.attribute:
			return nil, attr.Invalidf("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.lifetime.attribute)
		case t.lifetime.on == l.on && l.on:
			return nil, attr.Invalidf("TimeToLive is already enabled")
		case t.lifetime.on == l.on:
			return nil, attr.Invalidf("TimeToLive is already disabled")
		case !l.on && t.lifetime.attribute != l.attribute:
			return nil, attr.Invalidf("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.lifetime.attribute)
		}
		if since := t.lifetime.since; !since.IsZero() && now.Sub(since) < lifetimeRest {
			return nil, attr.Invalidf("Time to live has been modified multiple times within a fixed interval")
		}
		t.lifetime = l
		t.lifetime.since = now
		t.nextExpiry = time.Unix(0, 0) // look at all rows
		return map[string]any{"TimeToLiveSpecification": map[string]any{"AttributeName": l.attribute, "Enabled": l.on}}, nil
	})
}

func (s *Service) describeTimeToLive(r *request) (any, error) {
	return s.withTable(r, r.table(s.opts.Identity), func(t *table, _ time.Time) (any, error) {
		d := map[string]any{"TimeToLiveStatus": "DISABLED"}
		if t.lifetime.on {
			d = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.lifetime.attribute}
		}
		return map[string]any{"TimeToLiveDescription": d}, nil
	})
}

func (s *Service) updateContinuousBackups(r *request) (any, error) {
	name := r.table(s.opts.Identity)
	next := recovery{days: maxRecoveryDays}
	given := false
	if sub := r.object("PointInTimeRecoverySpecification"); sub != nil {
		next.on, given = sub.bool("PointInTimeRecoveryEnabled")
		if days, ok := sub.number("RecoveryPeriodInDays", 1); ok {
			next.days = days
		}
		r.fail(sub.done())
	}
	switch {
	case !given:
		r.required("PointInTimeRecoverySpecification")
	case next.days > maxRecoveryDays:
		r.violate(next.days, "PointInTimeRecoverySpecification.recoveryPeriodInDays", fmt.Sprintf("Member must have value less than or equal to %d", maxRecoveryDays))
	}
	return s.withBackups(r, name, func(t *table, now time.Time) (any, error) {
		if next.since = t.recovery.since; !t.recovery.on {
			next.since = now
		}
		t.recovery = next
		return t.backups(now), nil
	})
}

func (s *Service) describeContinuousBackups(r *request) (any, error) {
	return s.withBackups(r, r.table(s.opts.Identity), func(t *table, now time.Time) (any, error) { return t.backups(now), nil })
}

func (t *table) backups(now time.Time) any {
	d := map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if t.recovery.on {
		d = map[string]any{
			"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": t.recovery.days,
			"EarliestRestorableDateTime": seconds(t.recovery.since), "LatestRestorableDateTime": seconds(now),
		}
	}
	return map[string]any{"ContinuousBackupsDescription": map[string]any{"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": d}}
}

func (s *Service) tagResource(r *request) (any, error) {
	name := r.resource(s)
	if !r.has("Tags") {
		r.required("Tags")
	}
	tags := r.tags()
	return s.withTagged(r, name, func(t *table) (any, error) {
		next := maps.Clone(t.tags)
		maps.Copy(next, tags)
		if len(next) > maxTags {
			return nil, errTags(len(next))
		}
		t.tags = next
		return map[string]any{}, nil
	})
}

func (s *Service) untagResource(r *request) (any, error) {
	name := r.resource(s)
	if !r.has("TagKeys") {
		r.required("TagKeys")
	}
	keys := r.strings("TagKeys")
	return s.withTagged(r, name, func(t *table) (any, error) {
		for _, k := range keys {
			delete(t.tags, k)
		}
		return map[string]any{}, nil
	})
}

// withTagged is withTable for changes of tags, which do not see a table that is
// being created (cortexproject/cortex#1369).
func (s *Service) withTagged(r *request, name string, do func(*table) (any, error)) (any, error) {
	return s.withTable(r, name, func(t *table, now time.Time) (any, error) {
		if now.Before(t.readyAt) {
			return nil, errNoResource(s.arn(t))
		}
		return do(t)
	})
}

func errNoResource(arn string) error {
	return api.Errorf("ResourceNotFoundException", "Requested resource not found: ResourcArn: %s not found", arn)
}

func (s *Service) listTagsOfResource(r *request) (any, error) {
	name := r.resource(s)
	return s.withTable(r, name, func(t *table, _ time.Time) (any, error) {
		list := []any{}
		for _, k := range slices.Sorted(maps.Keys(t.tags)) {
			list = append(list, map[string]any{"Key": k, "Value": t.tags[k]})
		}
		return map[string]any{"Tags": list}, nil
	})
}

// resource takes ResourceArn and returns the table it names.
func (r *request) resource(s *Service) string {
	arn, ok := r.str("ResourceArn")
	name, own := strings.CutPrefix(arn, s.opts.Identity.ARN("dynamodb", "table/"))
	switch {
	case !ok:
		r.required("ResourceArn")
	case !strings.HasPrefix(arn, "arn:"):
		r.fail(attr.Invalidf("Invalid TableArn: Invalid ResourceArn provided as input %s", arn))
	case !own || !s.exists(name):
		r.fail(errNoResource(arn))
	}
	return name
}

// exists reports whether there is a table of that name.
func (s *Service) exists(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.find(name, s.now())
	return err == nil
}

// withBackups is withTable for operations on backups, which have an error of
// their own for a missing table.
func (s *Service) withBackups(r *request, name string, do func(*table, time.Time) (any, error)) (any, error) {
	if err := r.done(); err != nil {
		return nil, err
	}
	if !s.exists(name) {
		return nil, api.Errorf("TableNotFoundException", "Table not found: %s", name)
	}
	return s.withTable(r, name, do)
}

// withTable refuses what r has left, and calls do with the table, under the
// lock. do must be quick.
func (s *Service) withTable(r *request, name string, do func(*table, time.Time) (any, error)) (any, error) {
	if err := r.done(); err != nil {
		return nil, err
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(name, now)
	if err != nil {
		return nil, err
	}
	return do(t, now)
}
