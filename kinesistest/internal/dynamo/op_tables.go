package dynamo

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

func (s *Service) describeTable(r *request) (any, error) {
	return s.withTable(r, r.table(s.opts.Identity), func(t *table, now time.Time) (any, error) {
		return map[string]any{"Table": s.describe(t, now)}, nil
	})
}

func (s *Service) deleteTable(r *request) (any, error) {
	return s.withTable(r, r.table(s.opts.Identity), func(t *table, now time.Time) (any, error) {
		switch status := t.status(now); {
		case status == "DELETING":
			return map[string]any{"TableDescription": s.describe(t, now)}, nil
		case status != "ACTIVE":
			return nil, errInUse("Attempt to change a resource which is still in use: Table is being %s: %s", pastOf(status), t.name)
		case t.guarded:
			return nil, attr.Invalidf("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
		}
		t.goneAt = now.Add(s.opts.DeleteTable)
		d := s.describe(t, now)
		s.settle(now)
		return map[string]any{"TableDescription": d}, nil
	})
}

// pastOf returns the participle of a state such as CREATING.
func pastOf(status string) string {
	return strings.ToLower(strings.TrimSuffix(status, "ING")) + "ed"
}

func (s *Service) listTables(r *request) (any, error) {
	start := r.named("ExclusiveStartTableName")
	limit, given := r.number("Limit", 1)
	if !given {
		limit = 100
	}
	if limit > 100 {
		r.violate(limit, "Limit", "Member must have value less than or equal to 100")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.settle(s.now())
	names := slices.AppendSeq([]string{}, maps.Keys(s.tables)) // none is an empty list, not null
	s.mu.Unlock()

	slices.Sort(names)
	from, found := slices.BinarySearch(names, start)
	if found {
		from++
	}
	names = names[from:]
	if len(names) <= limit {
		return map[string]any{"TableNames": names}, nil
	}
	return map[string]any{"TableNames": names[:limit], "LastEvaluatedTableName": names[limit-1]}, nil
}
