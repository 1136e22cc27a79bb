package producer

import "slices"

// Of a record's attempts the first and the latest are kept, so that an outage
// that lasts costs no memory: what is kept is not charged to the buffer.
const (
	maxAttempts   = 32
	firstAttempts = 8
)

// attempts are the calls that carried a record. The slice in them is shared and
// never written to, except by append.
type attempts struct {
	kept  []Attempt
	total int
}

// with returns a with one more, which it takes from a slice of one that others
// share.
func (a attempts) with(one []Attempt) attempts {
	if a.kept == nil {
		return attempts{one[:1:1], 1}
	}
	return attempts{trim(append(a.kept, one[0])), a.total + 1}
}

// and returns a with all of b, which came later.
func (a attempts) and(b attempts) attempts {
	if a.total == 0 {
		return b
	}
	return attempts{trim(slices.Concat(a.kept, b.kept)), a.total + b.total}
}

// trim leaves out the middle of what is too long.
func trim(all []Attempt) []Attempt {
	if len(all) <= maxAttempts {
		return all
	}
	latest := len(all) - (maxAttempts - firstAttempts)
	return slices.Concat(all[:firstAttempts], all[latest:])
}
