package dynamo

import (
	"iter"
	"slices"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

func (s *Service) query(r *request) (any, error) {
	rd := s.reading(r)
	forward, given := r.bool("ScanIndexForward")
	forward = forward || !given
	cond := rd.conditions(s, r, "QueryFilter")
	if cond == nil && r.err == nil {
		r.fail(attr.Invalidf("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."))
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := rd.open(s, s.now()); err != nil {
		return nil, err
	}
	key, err := cond.Key(rd.key.hash, rd.key.rng)
	if err != nil {
		return nil, err
	}
	if err := rd.filterable(); err != nil {
		return nil, err
	}
	hash := key.Hash.SortKey()
	if err := s.admit(rd.t, rd.ix, hash, false, rd.now); err != nil {
		return nil, err
	}
	entries, err := rd.matching(s, key, forward)
	if err != nil {
		return nil, err
	}
	return rd.page(s, entries, hash), nil
}

// filterable refuses a query's filter on the key that is queried.
func (rd *reading) filterable() error {
	for _, p := range rd.filter.Paths() {
		if slices.Contains(rd.key.names(), p.Root()) {
			what := "Filter Expression"
			if rd.legacy {
				what = "QueryFilter"
			}
			return attr.Invalidf("%s can only contain non-primary key attributes: Primary key attribute: %s", what, p.Root())
		}
	}
	return nil
}

// matching returns the entries of a query, in its direction, behind its start
// key.
func (rd *reading) matching(s *Service, key *expr.KeyCondition, forward bool) (iter.Seq[*entry], error) {
	from, err := rd.from(s.opts.Limits)
	if err != nil {
		return nil, err
	}
	hash := key.Hash.SortKey()
	entries := rd.rows(s).partition(hash)
	if from != nil {
		switch {
		case from.hash != hash:
			return nil, attr.Invalidf("The provided starting key is outside query boundaries based on provided conditions")
		case !key.Range.Holds(rd.start):
			return nil, attr.Invalidf("The provided starting key does not match the range key predicate")
		}
		if forward {
			entries = entries.after(from)
		} else {
			entries = entries.before(from)
		}
	}
	return func(yield func(*entry) bool) {
		for i := range entries {
			e := entries[i]
			if !forward {
				e = entries[len(entries)-1-i]
			}
			if key.Range.Holds(e.item) && !yield(e) {
				return
			}
		}
	}, nil
}
