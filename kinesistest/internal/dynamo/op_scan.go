package dynamo

import (
	"slices"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

func (s *Service) scan(r *request) (any, error) {
	rd := s.reading(r)
	segment, total := r.segment()
	rd.conditions(s, r, "ScanFilter")
	if err := r.done(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := rd.open(s, s.now()); err != nil {
		return nil, err
	}
	from, err := rd.from(s.opts.Limits)
	if err != nil {
		return nil, err
	}
	entries := rd.rows(s).part(segment, total)
	if from != nil {
		if from.segment(total) != segment {
			return nil, attr.Invalidf("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d", total, segment)
		}
		entries = entries.after(from)
	}
	if err := s.admit(rd.t, rd.ix, "", false, rd.now); err != nil {
		return nil, err
	}
	return rd.page(s, slices.Values(entries), ""), nil
}

// segment takes Segment and TotalSegments: 0 of 1 if there are none.
func (r *request) segment() (segment, total int) {
	segment, one := r.number("Segment", 0)
	total, all := r.number("TotalSegments", 1)
	switch {
	case !one && !all:
		return 0, 1
	case !all:
		r.fail(attr.Invalidf("The TotalSegments parameter is required but was not present in the request when Segment parameter is present"))
	case !one:
		r.fail(attr.Invalidf("The Segment parameter is required but was not present in the request when parameter TotalSegments is present"))
	case total > 1_000_000:
		r.violate(total, "TotalSegments", "Member must have value less than or equal to 1000000")
	case segment >= total:
		r.fail(attr.Invalidf("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", segment, total))
	}
	return segment, max(total, 1)
}
