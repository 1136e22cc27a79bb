package dynamo

import (
	"math"
	"strconv"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// expiryOp is the operation that Applied names for a row whose time to live
// is over.
const expiryOp = "TimeToLive"

// maxAge is how long past its time to live a row may be and still be deleted:
// DynamoDB takes an older time for a mistake.
const maxAge = 5 * 365 * 24 * time.Hour

// deadline returns when a row's time to live is over.
func (t *table) deadline(it Item) (time.Time, bool) {
	v, ok := it[t.lifetime.attribute]
	if !t.lifetime.on || !ok || v.Kind() != attr.Number {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(v.Text(), 64)
	if err != nil || seconds < 0 || seconds > math.MaxInt32*16 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// expires notes that a row was stored that may be the next to go.
func (t *table) expires(it Item) {
	if at, ok := t.deadline(it); ok && (t.nextExpiry.IsZero() || at.Before(t.nextExpiry)) {
		t.nextExpiry = at
	}
}

// expire deletes the rows whose time to live was over ExpiryLag ago. The lock
// is held.
func (s *Service) expire(t *table, now time.Time) {
	due := now.Add(-s.opts.ExpiryLag)
	if !t.lifetime.on || t.nextExpiry.IsZero() || t.nextExpiry.After(due) {
		return
	}
	var gone []Item
	t.nextExpiry = time.Time{}
	for _, e := range t.rows {
		at, ok := t.deadline(e.item)
		switch {
		case !ok || due.Sub(at) > maxAge:
		case at.After(due):
			t.expires(e.item)
		default:
			gone = append(gone, e.item)
		}
	}
	for _, it := range gone {
		w := &write{op: expiryOp, table: t.name, key: it}
		s.commit(&change{write: w, t: t, before: it}, now)
	}
}
